/**
 * A client's connection as the broker's handlers see it, and the functions that put replies on it.
 *
 * Replies are written straight into the connection's output, where they wait for the end of the loop's turn and leave
 * together in one write.
 */
import type { Checksum } from "../ports.ts";
import type { Delivery } from "../protocol/connection-types.ts";
import { errorCodeOf } from "../protocol/errors.ts";
import type { ErrorName } from "../protocol/errors.ts";
import {
  checksumBytes,
  errorResponseHeaderBytes,
  putResponseHeader,
  responseHeaderBytes,
  sealFrame,
} from "../protocol/frame.ts";
import { putErrorReply } from "../protocol/handshake.ts";
import type { FrameOutput } from "../protocol/output.ts";
import type { ConnectionState } from "./connection-state.ts";
import type { ErrorOutcome } from "./outcome.ts";

/** What the broker needs of a connection; protocol/connection.ts provides it. */
export interface BrokerConnection {
  readonly id: number;
  /** False as soon as the peer is gone: whatever is written then goes nowhere. */
  readonly isOpen: boolean;
  /** The broker's own state of this connection. */
  readonly state: ConnectionState;
  readonly output: FrameOutput;
  readonly checksum: Checksum;
  /** A whole reply has been committed to `output`: it leaves at the end of the turn, and its request is done. */
  answered(): void;
  /** One of many replies has been committed; false means that the peer reads too slowly. */
  pushed(): boolean;
  /** Hands over what waits, now and not at the end of the turn. */
  flush(): void;
  /** Resolves when the peer reads again, or is gone. */
  writable(): Promise<void>;
  /** Runs a loop of deliveries, which hears at once when the connection begins to end. */
  deliver(delivery: Delivery<never>): Promise<void>;
  /** Stops reading from the peer, so that it feels that we are full. */
  pause(): void;
  resume(): void;
}

const produceReplyBytes = 20;
const produceFrameBytes = responseHeaderBytes + produceReplyBytes + checksumBytes;

/** The reply to Produce, in place: the busiest reply of all. */
export function replyProduced(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  baseOffset: number,
  idMilliseconds: number,
  idSequence: number,
): void {
  const { output } = connection;
  const start = output.reserve(produceFrameBytes);
  const { bytes, view } = output;
  const at = putResponseHeader(view, start, requestIdHigh, requestIdLow, 0, 0);
  putUint53(view, at, baseOffset);
  putUint53(view, at + 8, idMilliseconds);
  view.setUint32(at + 16, idSequence);
  output.commit(sealFrame(bytes, view, start, at + produceReplyBytes, connection.checksum));
  connection.answered();
}

const fetchedHeaderBytes = 20;

/** The reply to Fetch and ReadRange: the batches are copied once, from the read buffer to the output. */
export function replyFetched(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  startOffset: number,
  endOffset: number,
  batches: Uint8Array,
): void {
  const { output } = connection;
  const start = output.reserve(responseHeaderBytes + fetchedHeaderBytes + batches.length + checksumBytes);
  const { bytes, view } = output;
  const at = putResponseHeader(view, start, requestIdHigh, requestIdLow, 0, 0);
  putUint53(view, at, startOffset);
  putUint53(view, at + 8, endOffset);
  view.setUint32(at + 16, batches.length);
  bytes.set(batches, at + fetchedHeaderBytes);
  const end = at + fetchedHeaderBytes + batches.length;
  output.commit(sealFrame(bytes, view, start, end, connection.checksum));
  connection.answered();
}

/** Any other reply. `name` is the error of a partial success. */
export function replyPayload(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  payload: Uint8Array,
  name: ErrorName = "none",
): void {
  putReply(connection, requestIdHigh, requestIdLow, name === "none" ? 0 : 2, name, payload);
  connection.answered();
}

/** A refusal. */
export function replyError(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  error: ErrorOutcome,
): void {
  const { name, message, retryAfterMs } = error;
  const { output, checksum } = connection;
  putErrorReply(output, checksum, requestIdHigh, requestIdLow, name, message, retryAfterMs);
  connection.answered();
}

/** One of many replies to the same request; false when the peer reads too slowly. */
export function pushPayload(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  payload: Uint8Array,
): boolean {
  putReply(connection, requestIdHigh, requestIdLow, 0, "none", payload);
  return connection.pushed();
}

function putReply(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  status: 0 | 2,
  name: ErrorName,
  payload: Uint8Array,
): void {
  const { output } = connection;
  const start = output.reserve(errorResponseHeaderBytes + payload.length + checksumBytes);
  const { bytes, view } = output;
  const at = putResponseHeader(view, start, requestIdHigh, requestIdLow, status, errorCodeOf(name));
  bytes.set(payload, at);
  output.commit(sealFrame(bytes, view, start, at + payload.length, connection.checksum));
}

/** A number of up to 53 bits in 64, without a bigint. */
export function putUint53(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

/** A 64-bit number that fits 53 bits; -1 when it does not. */
export function getUint53(view: DataView, at: number): number {
  const high = view.getUint32(at);
  return high < 2 ** 21 ? high * 2 ** 32 + view.getUint32(at + 4) : -1;
}
