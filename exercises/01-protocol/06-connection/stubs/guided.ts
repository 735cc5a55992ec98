// Generated from reference/protocol/connection.ts (stub 4dc61b85).
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
    this.#cancelTick ??= this.clock.after(tickMsOf(this.limits), () => this.#tick());
    // 1. Decide before anything else: nobody in, and no place taken, that is not to stay.
    const { connectionsMax } = this.limits;
    if (this.isDraining) return this.#refused.add(connection, "shutting-down", "server is draining");
    if (todo("is the house full?")) {
      return this.#refused.add(connection, "too-many-connections", `maximum of ${connectionsMax} reached`);
    }
    // 2. It counts from here, and not from its first request or its end: the next one may come before either.
    const accepted = new ServerConnection<State>(this, connection, this.#nextId++);
    this.#connections.add(todo("who counts from here on?"));
    return accepted;
  }
  // #endregion accept

  // #region forget
  /** Every connection leaves through here, once, and gives its place back. */
  forget(connection: ServerConnection<State>): void {
    this.#connections.delete(connection);
    this.#rest();
  }

  /** With nobody left there is no timer either, and nothing more to drain. */
  #rest(): void {
    if (todo("is anybody left, inside or at the door?")) return;
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    this.#drained?.done();
  }
  // #endregion forget

  // #region drain
  /** Answers what was accepted, refuses what comes now, and resolves when every connection is gone: in bounded time. */
  drain(): Promise<void> {
    if (this.#drained !== undefined) return this.#drained.promise;
    // 1. From now on: no new connections, no new requests.
    this.isDraining = true;
    const { promise: gone, resolve: done } = Promise.withResolvers<void>();
    // 2. A peer that neither answers nor reads must not hold the server back.
    const cancel = this.clock.after(todo("for how long at most?"), () => {
      for (const connection of this.#connections) connection.destroy("drain-timeout");
      this.#refused.drop(Number.POSITIVE_INFINITY);
    });
    this.#drained = { done, promise: todo("when it is over, what must not be left running?") };
    // 3. Whoever owes nothing can go at once; the others go when they have answered.
    for (const connection of this.#connections) connection.closeWhenAnswered();
    this.#rest();
    return this.#drained.promise;
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
    if (this.#phase !== "open") return;
    this.#nowMs = this.#hub.clock.monotonicTimeMs();
    this.#input.receive(chunk, this);
    // 1. A frame may take its time, but not for ever: note when it began.
    if (todo("is there no unfinished frame?")) this.#partialSinceMs = undefined;
    else this.#partialSinceMs ??= this.#nowMs;
    // 2. Many frames that are never finished must not fill the memory together.
    if (!this.#share.hold(this.#input.reservedBytes)) this.close("input-full");
  }

  /** An intact request; called by the frame stream. */
  frame(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const { handler, limits, isDraining } = this.#hub;
    // 1. A whole frame is the sign of life; half a frame is none.
    this.#lastFrameMs = this.#nowMs;
    this.#partialSinceMs = undefined;
    if (this.#phase !== "open") return;
    const idHigh = view.getUint32(start + 4);
    const idLow = view.getUint32(start + 8);
    // 2. Accepting is a promise to answer, so refuse before accepting.
    if (isDraining) return this.refuse(idHigh, idLow, "shutting-down", "server is draining");
    if (todo("has it as many open as it may?")) {
      const message = `${limits.inFlightMax} requests are open already`;
      return this.refuse(idHigh, idLow, "too-many-requests", message);
    }
    const open = ++this.inFlight;
    // 3. A handler that throws fails its own request, and no other and no other's connection.
    try {
      handler.request(this, bytes, view, start, end);
    } catch (error) {
      handler.crashed(this, error);
      if (todo("has it been answered all the same?")) return;
      this.refuse(idHigh, idLow, "internal-error", "the server failed at this request");
      this.answered();
    }
  }

  /** The stream is broken: say so, as far as anyone listens, and end it. Called by the frame stream. */
  fault(fault: FrameFault): void {
    this.refuse(0, 0, errorNameOf(fault.code) ?? "malformed-frame", fault.message);
    this.close("bad-frame");
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
    if (this.#phase !== "open") return;
    const deliveries = (this.#deliveries ??= new Set()).add(delivery);
    this.#hub.liveDeliveries++;
    try {
      while (deliveries.has(delivery)) {
        // 1. Wait for the peer before asking for more to send.
        await this.writable();
        const item = await delivery.next();
        // 2. Much may have happened during the wait: what is not written is not delivered.
        if (item === undefined || todo("is there nobody left to send it to?")) break;
        delivery.put(item, this);
        this.#touch();
        delivery.delivered(item);
      }
    } finally {
      // 3. However the loop ends, it has ended.
      deliveries.delete(delivery);
      todo("the loop has ended");
    }
  }
  // #endregion deliver

  // #region flush
  /** Hands over what waits, in one write, unless the peer has stopped reading. */
  flush(): void {
    this.#isDirty = false;
    if (this.#phase === "gone" || this.#blockedSinceMs !== undefined) return;
    if (this.output.writeTo((bytes) => this.#connection.write(bytes))) {
      if (this.#connection.hasSent === true) this.output.recycle();
      // 1. Only when the last answer that is owed has left may the stream be ended.
      if (todo("is it too early to end the stream?")) return;
      this.#connection.end();
      if (this.#hasPeerEnded) this.#finish(this.#closeReason);
      return;
    }
    // 2. The peer is slow: read nothing more from it, or its requests would pile up as replies.
    this.#blockedSinceMs = this.#hub.clock.monotonicTimeMs();
    this.#connection.pause();
  }

  #drained(): void {
    if (this.#phase === "gone") return;
    this.#blockedSinceMs = undefined;
    this.flush();
    if (this.#blockedSinceMs !== undefined) return;
    if (todo("may we read again?")) this.resume();
    this.#proceed();
  }

  #touch(): void {
    if (this.#phase === "gone") return this.output.release();
    // 3. What a peer does not read is bounded, and the bound cuts it off.
    if (todo("does more wait than may?")) return this.destroy("output-full");
    if (!this.#isDirty) this.#hub.written.add(this);
    this.#isDirty = true;
  }
  // #endregion flush

  // #region check
  /** Called at each tick: cuts what has exceeded a limit. */
  check(nowMs: number): void {
    const { idleTimeoutMs, frameTimeoutMs, stallTimeoutMs } = this.#hub.limits;
    const isOver = (sinceMs: number, limitMs: number): boolean => todo("is the time over, if there is a limit at all?");
    // 1. It was told goodbye and does not go.
    const isLeaving = this.#phase === "closing";
    if (isLeaving && isOver(this.#closingSinceMs, stallTimeoutMs)) return this.destroy("stalled");
    // 2. It does not read.
    if (this.#blockedSinceMs !== undefined) {
      if (isOver(this.#blockedSinceMs, stallTimeoutMs)) this.destroy("stalled");
      return;
    }
    // 3. It does not finish its frame, or sends none. While we do not read, its silence is our doing.
    if (todo("when is its silence our doing?")) return;
    if (this.#partialSinceMs !== undefined && isOver(this.#partialSinceMs, frameTimeoutMs)) {
      return this.destroy("frame-timeout");
    }
    if (isOver(this.#lastFrameMs, idleTimeoutMs)) return this.destroy("idle");
    if (this.output.pendingBytes === 0) this.output.release();
  }
  // #endregion check

  // #region finish
  /** Ends the connection in order: after everything that was written has left. Takes no more requests. */
  close(reason: CloseReason): void {
    if (this.#phase !== "open") return;
    this.#phase = "closing";
    this.#closeReason = reason;
    this.#closingSinceMs = this.#hub.clock.monotonicTimeMs();
    this.#stopDeliveries();
    this.#touch();
  }

  /** For draining: closes now if no answer is owed, else after the last one. */
  closeWhenAnswered(): void {
    if (todo("is no answer owed?")) this.close("drained");
  }

  /** An orderly end is half a goodbye: the peer may still be reading the answers that it is owed. */
  #peerEnded(): void {
    this.#hasPeerEnded = true;
    this.#input.end(this);
    this.close("peer-ended");
    this.flush();
  }

  /** Drops the connection at once. */
  destroy(reason: CloseReason): void {
    if (this.#phase === "gone") return;
    this.#connection.destroy();
    this.#finish(reason);
  }

  /** The one way out. Whatever hung on this connection costs nothing from here on. */
  #finish(reason: CloseReason): void {
    // 1. A connection ends once, whoever noticed first.
    if (this.#phase === "gone") return;
    this.#phase = "gone";
    // 2. Loops, waiters, buffers; then the place in the hub.
    this.#stopDeliveries();
    this.output.release();
    this.#share.hold(0);
    this.#connection.end();
    this.#hub.forget(this);
    // 3. The handler last, when nothing can call it for this connection any more.
    todo("who is told, and last?");
  }

  #stopDeliveries(): void {
    for (const delivery of this.#deliveries ?? []) delivery.cancel();
    this.#deliveries?.clear();
    this.#proceed();
  }

  #proceed(): void {
    for (const proceed of this.#writableWaiters?.splice(0) ?? []) proceed();
  }
  // #endregion finish
}
