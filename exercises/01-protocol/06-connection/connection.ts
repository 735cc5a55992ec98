// Generated from reference/protocol/connection.ts (stub eab44167).
// Write your solution here; `npx oz reset 01-protocol/06-connection` starts again.
/**
 * The life of a connection on the server's side: from accept to the moment when nothing of it is left.
 *
 * Sockets do not tell the truth. A peer that lost its power looks like one that thinks; a peer that sends one byte a
 * minute looks busy; a peer that never reads looks like a slow network. So every wait has a limit with a name, and
 * there is one place, `#finish`, through which every connection leaves, whatever ended it. What hangs on it (requests,
 * subscriptions, buffers) goes at that same moment: an early broker kept sending to clients that were gone, and moved
 * their offsets over records that nobody had received.
 * All connections share one timer: ten thousand silent clients need not be ten thousand timers. A limit is therefore
 * noticed up to one tick late, and no later. The hub does no I/O: a shell hands in accepted sockets as `Connection`s.
 */
import { todo } from "#exercises/lib/todo.ts";
import type { Checksum, Clock, Connection } from "#reference/ports.ts";
import type { CloseReason, ConnectionHandler, ConnectionLimits } from "#reference/protocol/connection-types.ts";
import type { ClientConnection, Delivery, HubOptions } from "#reference/protocol/connection-types.ts";
import { connectionLimitsDefault, tickMsOf } from "#reference/protocol/connection-types.ts";
import type { ErrorName } from "#reference/protocol/errors.ts";
import { errorNameOf } from "#reference/protocol/errors.ts";
import { frameChecksum } from "#reference/protocol/frame.ts";
import type { FrameFault, FrameOptions } from "#reference/protocol/frame.ts";
import { FrameStream } from "#reference/protocol/frame-stream.ts";
import { putErrorReply } from "#reference/protocol/handshake.ts";
import { InputMeter, InputShare } from "#reference/protocol/input-share.ts";
import { EndOfTurn, FrameOutput } from "#reference/protocol/output.ts";
import { RefusedPeers } from "#reference/protocol/refused-peers.ts";

/** All connections of one server. */
export class ConnectionHub<State> {
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly checksum: Checksum;
  readonly handler: ConnectionHandler<State>;
  /** Delivery loops that are running, over all connections. */
  liveDeliveries = 0;
  isDraining = false;
  /** Connections that have written in this turn, and what all hold of frames that are not whole. */
  readonly written = new EndOfTurn();
  readonly input: InputMeter;
  readonly frameOptions: FrameOptions;
  readonly #connections = new Set<ServerConnection<State>>();
  readonly #refused: RefusedPeers;
  #nextId = 1;
  #cancelTick: (() => void) | undefined = undefined;
  #drained: { readonly done: () => void; readonly promise: Promise<void> } | undefined = undefined;

  constructor(options: HubOptions<State>) {
    this.clock = options.clock;
    this.handler = options.handler;
    this.checksum = options.checksum ?? frameChecksum;
    this.limits = { ...connectionLimitsDefault, ...options.limits };
    this.frameOptions = { frameSizeMax: this.limits.frameSizeMax, checksum: this.checksum };
    this.input = new InputMeter(this.limits.inputBytesMax);
    this.#refused = new RefusedPeers(this.clock, this.checksum, () => this.#rest());
  }

  /** Connections that were accepted and are not gone. */
  get count(): number {
    return this.#connections.size;
  }

  // #region accept
  /** Takes a new connection in, or turns it away with an error that says why; undefined when turned away. */
  accept(connection: Connection): ServerConnection<State> | undefined {
    // 1. Decide before anything else: nobody in, and no place taken, that is not to stay.
    // 2. It counts from here, and not from its first request or its end: the next one may come before either.
    todo("accept");
  }
  // #endregion accept

  // #region forget
  /** Every connection leaves through here, once, and gives its place back. */
  forget(connection: ServerConnection<State>): void {
    todo("forget");
  }

  /** With nobody left there is no timer either, and nothing more to drain. */
  #rest(): void {
    todo("forget");
  }
  // #endregion forget

  // #region drain
  /** Answers what was accepted, refuses what comes now, and resolves when every connection is gone: in bounded time. */
  drain(): Promise<void> {
    // 1. From now on: no new connections, no new requests.
    // 2. A peer that neither answers nor reads must not hold the server back.
    // 3. Whoever owes nothing can go at once; the others go when they have answered.
    todo("drain");
  }
  // #endregion drain

  #tick(): void {
    const nowMs = this.clock.monotonicTimeMs();
    this.#cancelTick = this.clock.after(tickMsOf(this.limits), () => this.#tick());
    for (const connection of this.#connections) connection.check(nowMs);
    this.#refused.drop(nowMs - this.limits.stallTimeoutMs);
  }
}

/** One client, as the server sees it. */
export class ServerConnection<State> implements ClientConnection<State> {
  readonly id: number;
  /** What the handler keeps for this connection: made by `handler.opened`, gone with the connection. */
  readonly state: State;
  /** Where replies are written; call `answered` or `pushed` after each. */
  readonly output = new FrameOutput();
  readonly checksum: Checksum;
  /** Requests that were handed to the handler and are not answered. */
  inFlight = 0;

  readonly #hub: ConnectionHub<State>;
  readonly #connection: Connection;
  readonly #input: FrameStream;
  readonly #share: InputShare;
  #phase: "open" | "closing" | "gone" = "open";
  #closeReason: CloseReason = "peer-ended";
  #hasPeerEnded = false;
  #isDirty = false;
  #isPausedByHandler = false;
  /** When the last chunk came, and the last whole frame. Bytes alone are no sign of life. */
  #nowMs: number;
  #lastFrameMs: number;
  /** When the frame began of which a part is here; undefined between frames. */
  #partialSinceMs: number | undefined = undefined;
  /** Since when the peer does not read what we write; undefined while it does. */
  #blockedSinceMs: number | undefined = undefined;
  /** Since when we have been waiting for the peer to close. */
  #closingSinceMs = 0;
  /** Delivery loops and those who wait for the peer to read; undefined while there are none: idle peers are many. */
  #deliveries: Set<Delivery<unknown>> | undefined = undefined;
  #writableWaiters: (() => void)[] | undefined = undefined;

  constructor(hub: ConnectionHub<State>, connection: Connection, id: number) {
    this.#hub = hub;
    this.#connection = connection;
    this.id = id;
    this.checksum = hub.checksum;
    this.#nowMs = this.#lastFrameMs = hub.clock.monotonicTimeMs();
    this.#share = new InputShare(hub.input);
    this.#input = new FrameStream("request", hub.frameOptions, hub.input.rooms);
    this.state = hub.handler.opened(this);
    connection.onData = (chunk) => this.#receive(chunk);
    connection.onDrain = () => this.#drained();
    connection.onClose = (reason) => (reason ? this.#finish("peer-lost") : this.#peerEnded());
  }

  /** False as soon as the peer is gone: whatever is written then goes nowhere. */
  get isOpen(): boolean {
    return this.#phase !== "gone";
  }

  // #region receive
  #receive(chunk: Uint8Array): void {
    // 1. A frame may take its time, but not for ever: note when it began.
    // 2. Many frames that are never finished must not fill the memory together.
    todo("receive");
  }

  /** An intact request; called by the frame stream. */
  frame(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    // 1. A whole frame is the sign of life; half a frame is none.
    // 2. Accepting is a promise to answer, so refuse before accepting.
    // 3. A handler that throws fails its own request, and no other and no other's connection.
    todo("receive");
  }

  /** The stream is broken: say so, as far as anyone listens, and end it. Called by the frame stream. */
  fault(fault: FrameFault): void {
    todo("receive");
  }
  // #endregion receive

  /** Stops reading from this peer, so that it feels that the server is full. */
  pause(): void {
    this.#isPausedByHandler = true;
    this.#connection.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#isPausedByHandler = false;
    this.#lastFrameMs = this.#hub.clock.monotonicTimeMs();
    if (this.#blockedSinceMs === undefined) this.#connection.resume();
  }

  /** A request is done with: its reply stands in `output`, or it gets none. */
  answered(): void {
    this.inFlight--;
    this.#touch();
    if (this.#hub.isDraining) this.closeWhenAnswered();
  }

  /** One of many replies stands in `output`; false means that the peer reads too slowly: wait for `writable`. */
  pushed(): boolean {
    this.#touch();
    return (
      this.#blockedSinceMs === undefined && this.output.pendingBytes < this.#hub.limits.outputBytesMax / 2
    );
  }

  /** Resolves when the peer reads again, or is gone: look at `isOpen` then. */
  writable(): Promise<void> {
    if (this.#phase !== "open" || this.pushed()) return Promise.resolve();
    return new Promise((resolve) => void (this.#writableWaiters ??= []).push(resolve));
  }

  /** Writes an error reply. */
  refuse(idHigh: number, idLow: number, name: ErrorName, message: string, retryAfterMs = 0): void {
    if (this.#phase === "gone") return;
    putErrorReply(this.output, this.checksum, idHigh, idLow, name, message, retryAfterMs);
    this.#touch();
  }

  // #region deliver
  /** Sends what `delivery` brings, one after the other, for as long as the peer is there; resolves at the end. */
  async deliver<Item>(delivery: Delivery<Item>): Promise<void> {
    // 1. Wait for the peer before asking for more to send.
    // 2. Much may have happened during the wait: what is not written is not delivered.
    // 3. However the loop ends, it has ended.
    todo("deliver");
  }
  // #endregion deliver

  // #region flush
  /** Hands over what waits, in one write, unless the peer has stopped reading. */
  flush(): void {
    // 1. Only when the last answer that is owed has left may the stream be ended.
    // 2. The peer is slow: read nothing more from it, or its requests would pile up as replies.
    todo("flush");
  }

  #drained(): void {
    todo("flush");
  }

  #touch(): void {
    // 3. What a peer does not read is bounded, and the bound cuts it off.
    todo("flush");
  }
  // #endregion flush

  // #region check
  /** Called at each tick: cuts what has exceeded a limit. */
  check(nowMs: number): void {
    // 1. It was told goodbye and does not go.
    // 2. It does not read.
    // 3. It does not finish its frame, or sends none. While we do not read, its silence is our doing.
    todo("check");
  }
  // #endregion check

  // #region finish
  /** Ends the connection in order: after everything that was written has left. Takes no more requests. */
  close(reason: CloseReason): void {
    todo("finish");
  }

  /** For draining: closes now if no answer is owed, else after the last one. */
  closeWhenAnswered(): void {
    todo("finish");
  }

  /** An orderly end is half a goodbye: the peer may still be reading the answers that it is owed. */
  #peerEnded(): void {
    todo("finish");
  }

  /** Drops the connection at once. */
  destroy(reason: CloseReason): void {
    todo("finish");
  }

  /** The one way out. Whatever hung on this connection costs nothing from here on. */
  #finish(reason: CloseReason): void {
    // 1. A connection ends once, whoever noticed first.
    // 2. Loops, waiters, buffers; then the place in the hub.
    // 3. The handler last, when nothing can call it for this connection any more.
    todo("finish");
  }

  #stopDeliveries(): void {
    todo("finish");
  }

  #proceed(): void {
    todo("finish");
  }
  // #endregion finish
}
