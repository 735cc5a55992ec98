/**
 * What the server's side of a connection is configured with, and whom it talks to.
 */
import type { Checksum, Clock } from "../ports.ts";
import type { ErrorName } from "./errors.ts";
import { frameSizeMaxDefault } from "./limits.ts";
import type { FrameOutput } from "./output.ts";

/** Every wait and every heap of a connection ends at one of these. A time of 0 means no limit. */
export interface ConnectionLimits {
  /** Connections at once; one more is told so and closed. */
  readonly connectionsMax: number;
  /** Requests that one connection may have open at once. */
  readonly inFlightMax: number;
  /** The largest value of a frame's length field, in bytes. */
  readonly frameSizeMax: number;
  /** Parts of frames that have come, over all connections: whoever goes beyond it is cut off. 0 is no limit. */
  readonly inputBytesMax: number;
  /** Replies that wait for a peer which does not read. */
  readonly outputBytesMax: number;
  /** No whole frame for so long: the peer is taken for dead. Clients ping three times within it. */
  readonly idleTimeoutMs: number;
  /** A frame whose first byte is here must be whole within this time. */
  readonly frameTimeoutMs: number;
  /** A peer that reads nothing of what was written for so long is cut off. */
  readonly stallTimeoutMs: number;
  /** The longest that a drain takes, whatever the peers do. */
  readonly drainTimeoutMs: number;
}

/** The limits of a server that says nothing else. */
export const connectionLimitsDefault: ConnectionLimits = {
  connectionsMax: 10_000,
  inFlightMax: 4_096,
  frameSizeMax: frameSizeMaxDefault,
  inputBytesMax: 0,
  outputBytesMax: 64 * 1024 * 1024,
  idleTimeoutMs: 60_000,
  frameTimeoutMs: 30_000,
  stallTimeoutMs: 30_000,
  drainTimeoutMs: 10_000,
};

const tickMsMax = 1_000;
/** A limit is noticed at most this part of it late. */
const ticksPerLimit = 8;

/** How often connections are looked at: an eighth of the shortest limit, and at least once a second. */
export function tickMsOf(limits: ConnectionLimits): number {
  const { idleTimeoutMs, frameTimeoutMs, stallTimeoutMs } = limits;
  const times = [idleTimeoutMs, frameTimeoutMs, stallTimeoutMs].filter((ms) => ms > 0);
  return Math.max(1, Math.min(tickMsMax, ...times.map((ms) => ms / ticksPerLimit)));
}

/** What ended a connection: for logs and metrics. */
export type CloseReason =
  /** The peer closed in order, or broke off. */
  | "peer-ended"
  | "peer-lost"
  /** It broke the protocol. */
  | "bad-frame"
  /** It ran into the limit of that name. */
  | "idle"
  | "frame-timeout"
  | "stalled"
  | "input-full"
  | "output-full"
  /** The server had no place for it, or shut down. */
  | "refused"
  | "drained"
  | "drain-timeout"
  /** The handler asked for it. */
  | "closed-by-server";

/** One client, as a handler sees it; connection.ts has the class behind it, and says more of each member. */
export interface ClientConnection<State> {
  readonly id: number;
  readonly state: State;
  readonly output: FrameOutput;
  readonly checksum: Checksum;
  readonly inFlight: number;
  readonly isOpen: boolean;
  pause(): void;
  resume(): void;
  answered(): void;
  pushed(): boolean;
  writable(): Promise<void>;
  refuse(idHigh: number, idLow: number, name: ErrorName, message: string, retryAfterMs?: number): void;
  deliver<Item>(delivery: Delivery<Item>): Promise<void>;
  flush(): void;
  close(reason: CloseReason): void;
  destroy(reason: CloseReason): void;
}

/** Who answers requests. */
export interface ConnectionHandler<State> {
  /** A connection begins; returns what the handler wants to keep for it. */
  opened(connection: ClientConnection<State>): State;
  /**
   * An intact request frame at `bytes[start..end)`, good only during the call. Sooner or later, call `answered` on the
   * connection once, also when nothing is replied.
   */
  request(
    connection: ClientConnection<State>,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): void;
  /** `request` threw `error`: a bug, of which the client has been told that much. */
  crashed(connection: ClientConnection<State>, error: unknown): void;
  /** The connection is gone. Called once; nothing is called for this connection afterwards. */
  closed(connection: ClientConnection<State>, reason: CloseReason): void;
}

/** What a hub is made of. */
export interface HubOptions<State> {
  readonly clock: Clock;
  readonly handler: ConnectionHandler<State>;
  readonly limits?: Partial<ConnectionLimits>;
  readonly checksum?: Checksum;
}

/** A stream of things to send to one peer: what a subscription is made of. */
export interface Delivery<Item> {
  /** Resolves to the next thing to send, when there is one; to undefined at the end or after `cancel`. */
  next(): Promise<Item | undefined>;
  /** Writes it into the connection's output. */
  put(item: Item, connection: { readonly output: FrameOutput }): void;
  /** It was written to a peer that was still there: only now may an offset move. */
  delivered(item: Item): void;
  /** The connection ends: `next` must settle now. */
  cancel(): void;
}
