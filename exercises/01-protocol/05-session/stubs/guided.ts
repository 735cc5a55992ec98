// Generated from reference/client/session.ts (stub 01ceda56).
// Write your solution here; `npx oz reset 01-protocol/05-session` starts again.
/**
 * A session: many requests at once over one connection, and each of them settled exactly once.
 *
 * A caller that waits for each answer before it sends the next request leaves the line idle for a round trip. So
 * requests go out as they come ("pipelining"), each with an id of its own, and the answers find their way back by that
 * id, in whatever order they come. All the rest of this file is about what can go wrong with that: answers that come
 * twice, late or never; a peer that reads too slowly; a caller that gives up; a connection that ends.
 *
 * - Every request settles once: with its answer, or with a `ProtocolError`. Afterwards nothing of it is left.
 * - The deadline runs from the moment of `request`, whether or not its bytes have left.
 * - What is not sent yet stays below `bufferBytesMax`; beyond that, a request is refused and not queued.
 * - An intact answer that does not fit its request fails that request alone. A broken *frame* ends the connection,
 *   because nobody knows where the next frame starts.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";
import type { Checksum, Clock, Connection } from "#reference/ports.ts";
import { checksumBytes, errorResponseHeaderBytes, frameChecksum } from "#reference/protocol/frame.ts";
import { lengthFieldBytes, responseHeaderBytes } from "#reference/protocol/frame.ts";
import type { FrameFault } from "#reference/protocol/frame.ts";
import { FrameStream } from "#reference/protocol/frame-stream.ts";
import { frameSizeMaxDefault, protocolVersionMin } from "#reference/protocol/limits.ts";
import { FrameOutput } from "#reference/protocol/output.ts";
import { putRequest, requestSize } from "#reference/protocol/put-request.ts";
import { RoomPool } from "#reference/protocol/room-pool.ts";
import type { CancelSignal } from "#reference/client/cancel.ts";
import { ProtocolError, errorFromReply, invalidReply, protocolError } from "#reference/client/protocol-error.ts";
import type { ReadReply, RequestOptions, SessionOptions, StreamListener } from "#reference/client/request.ts";
import { SlotTable } from "#reference/client/slot-table.ts";

const bufferBytesMaxDefault = 2 * frameSizeMaxDefault;
/** What is handed over before the turn ends: the server works at it while we encode the rest. */
const flushBytes = 64 * 1024;
const flushRequests = 64;
const noTail = new Uint8Array(0);
/** What a stream's reader returns for every reply but the last. */
const goesOn = Symbol("goes on");

/** A request that has not settled. It is in the table, and nowhere else. */
interface OpenRequest {
  readonly id: number;
  readonly type: number;
  /** On the monotonic clock. */
  deadlineMs: number;
  /** Makes a value of a reply that is no error; `goesOn` says that more replies follow. */
  readonly read: ReadReply<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: CancelSignal | undefined;
  readonly onAbort: (() => void) | undefined;
}

/** One connection's requests. */
export class Session {
  /** The protocol version that requests are sent in: what the handshake agreed on. */
  version = protocolVersionMin;
  /** Replies to nobody: late, doubled or invented. */
  ignoredReplies = 0;
  /** Called once, when the session has ended. */
  onEnd: (reason: ProtocolError) => void = () => {};

  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #checksum: Checksum;
  readonly #requestTimeoutMs: number;
  readonly #bufferBytesMax: number;
  readonly #frameSizeMax: number;
  readonly #input: FrameStream;
  readonly #output = new FrameOutput();
  /** Open requests by id. Ids are never used again, so a late reply cannot meet a newer request. */
  readonly #open = new SlotTable<OpenRequest>();
  readonly #write = (bytes: Uint8Array): boolean => this.#connection.write(bytes);
  readonly #sink = {
    frame: (bytes: Uint8Array, view: DataView, start: number, end: number) =>
      this.#receive(bytes, view, start, end),
    fault: (fault: FrameFault) => this.destroy(new ProtocolError(fault.code, fault.message)),
  };
  #nextId = 1;
  /** Requests that were given up. */
  #abandoned = 0;
  #isBlocked = false;
  #isFlushPlanned = false;
  /** Requests since the last flush, and when the first of them came. */
  #unflushed = 0;
  #unflushedMs = 0;
  /** One timer serves all deadlines: it stands at the earliest, or before it. */
  #timerAtMs = Number.POSITIVE_INFINITY;
  #cancelTimer: (() => void) | undefined = undefined;
  #ended: ProtocolError | undefined = undefined;
  #closing: { readonly done: () => void; readonly promise: Promise<void> } | undefined = undefined;
  #writableWaiters: (() => void)[] = [];

  constructor(connection: Connection, options: SessionOptions) {
    const { frameSizeMax = frameSizeMaxDefault, checksum = frameChecksum } = options;
    this.#connection = connection;
    this.#clock = options.clock;
    this.#checksum = checksum;
    this.#frameSizeMax = frameSizeMax;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
    this.#bufferBytesMax = options.bufferBytesMax ?? bufferBytesMaxDefault;
    this.#input = new FrameStream("response", { frameSizeMax, checksum }, new RoomPool());
    connection.onData = (chunk) => this.#input.receive(chunk, this.#sink);
    connection.onDrain = () => this.#drained();
    connection.onClose = (reason) => this.#connectionClosed(reason);
  }

  /** Requests that have not settled. */
  get openRequests(): number {
    return this.#open.size;
  }

  /** Bytes that wait for the connection. */
  get bufferedBytes(): number {
    return this.#output.pendingBytes;
  }

  /** Whether the connection takes data at once. */
  get isWritable(): boolean {
    return !this.#isBlocked;
  }

  /** Whether requests are taken: not ended, and not closing. */
  get isOpen(): boolean {
    return this.#ended === undefined && this.#closing === undefined;
  }

  // #region request
  /**
   * Sends one request. The payload is copied before this returns. The promise resolves to what `read` makes of the
   * reply and rejects with a `ProtocolError`: the server's, or one of this side.
   */
  request<Value>(
    type: number,
    payload: Uint8Array,
    read: ReadReply<Value>,
    options: RequestOptions = {},
  ): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      // 1. Refuse what can be refused now: nothing of it may be left behind.
      const refusal = this.#refusal(payload, options);
      if (refusal !== undefined) return todo("what is to be said to a request that cannot be tried?");
      // 2. The deadline starts here, however long the bytes will have to wait.
      const id = this.#nextId++;
      const deadlineMs = todo("until when?");
      // 3. Enter the request into the table before its bytes can leave.
      const { signal } = options;
      const onAbort = signal && this.#watch(id, signal);
      const settle = resolve as (value: unknown) => void;
      this.#open.add({ id, type, deadlineMs, read, resolve: settle, reject, signal, onAbort });
      this.#watchDeadline(todo("when must somebody wake up?"));
      // 4. Its bytes go behind those that wait already.
      this.#append(id, type, payload, options);
    });
  }
  // #endregion request

  /**
   * Sends a request that is answered many times, until `listener.reply` says that a reply was the last. The first
   * reply must come within the deadline; the others take their time. Returns the request's id.
   */
  stream(type: number, payload: Uint8Array, listener: StreamListener, options: RequestOptions = {}): number {
    const refusal = this.#refusal(payload, options);
    const id = this.#nextId++;
    if (refusal !== undefined) {
      listener.failed(refusal);
      return id;
    }
    const deadlineMs = this.#nowMs() + (options.timeoutMs ?? this.#requestTimeoutMs);
    const read: ReadReply<unknown> = (bytes, view, start, end) =>
      listener.reply(bytes, view, start, end) ? id : goesOn;
    const { signal } = options;
    const onAbort = signal && this.#watch(id, signal);
    const settlers = { resolve: () => {}, reject: listener.failed };
    this.#open.add({ id, type, deadlineMs, read, ...settlers, signal, onAbort });
    this.#watchDeadline(deadlineMs);
    this.#append(id, type, payload, options);
    return id;
  }

  /** Sends a request that is never answered. */
  send(type: number, payload: Uint8Array): void {
    if (this.#ended === undefined) this.#append(this.#nextId++, type, payload, {});
  }

  // #region receive
  /** One intact reply. Whatever it holds, it can hurt no request but its own. */
  #receive(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    // 1. The id says whose reply it is; the order of arrival says nothing.
    const id = todo("all 64 bits of the id");
    const opened = this.#open.get(id);
    // 2. Nobody waits for it any more, or nobody ever did.
    if (opened === undefined) {
      this.ignoredReplies++;
      if (this.#abandoned > 0) this.#abandoned--;
      return;
    }
    // 3. A status decides where the payload starts, and an error status what it means.
    const status = view.getUint8(start + 12);
    const payloadStart = start + (todo("where does the payload start?"));
    const payloadEnd = end - checksumBytes;
    if ((status !== 0 && status !== 1 && status !== 2) || payloadStart > payloadEnd) {
      return this.#fail(opened, invalidReply(id, `of ${end - start} bytes has status ${status}`));
    }
    if (todo("did the server refuse?")) {
      const payload = bytes.subarray(payloadStart, payloadEnd);
      return this.#fail(opened, errorFromReply(view.getUint16(start + 13), payload));
    }
    // 4. Hand it over. A reader that throws is its own caller's trouble.
    try {
      const value = opened.read(bytes, view, payloadStart, payloadEnd, status);
      if (value === goesOn) return void (opened.deadlineMs = Number.POSITIVE_INFINITY);
      if (value === undefined)
        return this.#fail(opened, invalidReply(id, `is not one of type ${opened.type}`));
      this.#settle(opened);
      opened.resolve(value);
    } catch (error) {
      this.#fail(opened, error);
    }
  }
  // #endregion receive

  // #region settle
  /** Takes a request out of the table, with everything that was kept for it. */
  #settle(opened: OpenRequest): void {
    // 1. The slot, and the ear at the caller's signal.
    this.#open.delete(todo("which slot is free?"));
    if (opened.onAbort !== undefined) opened.signal?.removeEventListener("abort", opened.onAbort);
    // 2. Without open requests there is no deadline to wait for.
    if (this.#open.size > 0) return;
    this.#stopTimer();
    // 3. A closing session waits for exactly this.
    todo("who waits for the last one?");
  }

  #fail(opened: OpenRequest, error: unknown): void {
    this.#settle(opened);
    opened.reject(error);
  }
  // #endregion settle

  // #region deadlines
  /** Now, asked once for the requests that leave together. */
  #nowMs(): number {
    if (!this.#isFlushPlanned) this.#unflushedMs = this.#clock.monotonicTimeMs();
    return this.#unflushedMs;
  }

  /** Makes sure that the timer fires no later than `deadlineMs`. */
  #watchDeadline(deadlineMs: number): void {
    // 1. A timer that fires before that will see to it.
    if (todo("does the timer fire early enough already?")) return;
    // 2. Otherwise the timer moves forward: there is one for all.
    this.#stopTimer();
    this.#timerAtMs = deadlineMs;
    this.#cancelTimer = this.#clock.after(deadlineMs - this.#clock.monotonicTimeMs(), () => this.#expire());
  }

  /** Fails every request whose deadline has passed, and sets the timer to the next one. */
  #expire(): void {
    this.#stopTimer();
    const nowMs = this.#clock.monotonicTimeMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const opened of this.#open.entries()) {
      if (todo("is there time left?")) {
        nextMs = Math.min(nextMs, opened.deadlineMs);
        continue;
      }
      // 1. Out of the table: a reply that comes now is late.
      this.#abandoned++;
      const message = `no answer to request ${opened.id} of type ${opened.type}`;
      this.#fail(opened, protocolError("request-timeout", message));
    }
    // 2. The next deadline, if there is one.
    if (todo("does anybody still wait?")) this.#watchDeadline(nextMs);
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }
  // #endregion deadlines

  // #region abort
  /** Listens for the caller's change of mind. */
  #watch(id: number, signal: CancelSignal): () => void {
    const onAbort = (): void => {
      const opened = this.#open.get(id);
      // 1. As with a deadline: the slot goes, and a reply that still comes is late.
      this.#abandoned += opened === undefined ? 0 : 1;
      if (opened !== undefined) this.#fail(opened, todo("what does the caller hear, and why?"));
    };
    signal.addEventListener("abort", onAbort);
    return onAbort;
  }
  // #endregion abort

  // #region flush
  /** Writes one frame behind the others and sees to it that they leave by the end of this turn. */
  #append(id: number, type: number, payload: Uint8Array, options: RequestOptions): void {
    // 1. The payload is copied here, behind the frames that wait already.
    const output = this.#output;
    const { tail = noTail, flags = 0, tailCrc } = options;
    putRequest(output, { id, type, version: this.version, flags }, payload, tail, this.#checksum, tailCrc);
    // 2. One write for the requests of a turn, but a large heap of them does not wait for its end.
    if (todo("is the heap large enough to go now?")) return this.#flush();
    if (this.#isFlushPlanned || this.#isBlocked) return;
    this.#isFlushPlanned = true;
    void Promise.resolve().then(() => this.#flush());
  }

  /** Hands over what waits, unless the connection has said stop. */
  #flush(): void {
    this.#isFlushPlanned = false;
    this.#unflushed = 0;
    // 1. Whoever said stop is left alone until it drains.
    if (todo("when may nothing be written?")) return;
    this.#isBlocked = !this.#output.writeTo(this.#write);
    // 2. Memory that nobody reads any more may be written again; what a socket still reads may not.
    if (todo("may the memory be used again?")) this.#output.recycle();
  }

  /** The connection takes more: send what waited, then let in those who wait for room. */
  #drained(): void {
    // 1. What waited goes first, and may fill the connection again.
    this.#isBlocked = false;
    this.#flush();
    // 2. Only then is there room for more.
    if (!this.#isBlocked) for (const proceed of this.#writableWaiters.splice(0)) proceed();
  }
  // #endregion flush

  /** Resolves when the connection takes data, or when the session has ended and a request would say so. */
  writable(): Promise<void> {
    if (!this.#isBlocked || this.#ended !== undefined) return Promise.resolve();
    return new Promise((resolve) => void this.#writableWaiters.push(resolve));
  }

  // #region close
  /** Takes no more requests, waits until those that are open have settled, then ends the connection in order. */
  close(): Promise<void> {
    // 1. Closed twice is closed once.
    if (this.#closing !== undefined) return this.#closing.promise;
    let done = (): void => {};
    const promise = new Promise<void>((resolve) => {
      done = resolve;
    }).then(() => {
      if (this.#ended !== undefined) return;
      this.#flush();
      // 3. A server that still works at what we gave up would keep the connection until it is done: do not wait.
      if (todo("does the server still work at what nobody wants?")) return this.destroy();
      this.#connection.end();
      this.#end(protocolError("client-closed"));
    });
    this.#closing = { done, promise };
    // 2. Their own deadlines bound how long the open ones can take.
    if (todo("is there nothing to wait for?")) done();
    return promise;
  }

  /** Ends everything at once: each open request fails with `reason`. */
  destroy(reason: ProtocolError = protocolError("client-closed")): void {
    if (this.#ended !== undefined) return;
    this.#connection.destroy();
    this.#end(reason);
  }

  #connectionClosed(reason: Error | undefined): void {
    // 3. An end in the middle of a frame is a fault, and is reported as one.
    this.#input.end(this.#sink);
    if (this.#ended !== undefined) return;
    this.#connection.end();
    this.#end(protocolError("connection-closed", reason && `connection closed: ${reason.message}`, reason));
  }

  #end(reason: ProtocolError): void {
    assert(this.#ended === undefined, "a session ends once");
    this.#ended = reason;
    // 1. Settle each request.
    for (const opened of this.#open.entries()) todo("what does each of them hear?");
    // 2. Nothing of this session costs anything from here on.
    this.#output.release();
    for (const proceed of this.#writableWaiters.splice(0)) proceed();
    this.onEnd(reason);
  }
  // #endregion close

  /** Why a request cannot even be tried; undefined when it can. */
  #refusal(payload: Uint8Array, { tail = noTail, signal }: RequestOptions): ProtocolError | undefined {
    if (this.#ended !== undefined) return this.#ended;
    if (this.#closing !== undefined) return protocolError("client-closed");
    if (signal?.aborted) return protocolError("request-aborted", "", signal.reason);
    const size = requestSize(payload.length, tail.length);
    const sizeMax = Math.min(this.#frameSizeMax + lengthFieldBytes, this.#bufferBytesMax);
    if (size > sizeMax)
      return protocolError("frame-too-large", `request of ${size} bytes exceeds ${sizeMax}`);
    if (this.bufferedBytes + size <= this.#bufferBytesMax) return undefined;
    const problem = `${this.bufferedBytes} of ${this.#bufferBytesMax} bytes are not sent yet`;
    return protocolError("buffer-full", problem);
  }
}
