/**
 * A scripted peer: the other end of a connection, played by a test, byte for byte.
 */
import { concatBytes } from "#reference/base/bytes.ts";
import type { Connection } from "../ports.ts";
import type { RequestFrame, ResponseFrame } from "../protocol/frame.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../protocol/frame.ts";

/** A connection whose peer is the test: it reads what the subject wrote and decides what comes back, and when. */
export class ScriptedConnection implements Connection {
  onData: (chunk: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (reason?: Error) => void = () => {};

  /** What the subject wrote, in order. Bytes are copied, as a socket would have sent them by now. */
  readonly writes: Uint8Array[] = [];
  /** What the subject did to the connection. */
  state: "open" | "ended" | "destroyed" = "open";
  isPaused = false;
  /** The peer's window: `write` says false when more than this has been written and not been read. */
  windowBytes = Number.POSITIVE_INFINITY;

  #unreadBytes = 0;
  #takenWrites = 0;
  #isClosed = false;

  write(bytes: Uint8Array): boolean {
    if (this.state !== "open") return true;
    this.writes.push(bytes.slice());
    this.#unreadBytes += bytes.length;
    return this.#unreadBytes <= this.windowBytes;
  }

  end(): void {
    if (this.state === "open") this.state = "ended";
  }

  destroy(): void {
    if (this.state !== "destroyed") this.state = "destroyed";
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  /** Everything that the subject wrote since the last call. */
  take(): Uint8Array {
    const bytes = concatBytes(this.writes.slice(this.#takenWrites));
    this.#takenWrites = this.writes.length;
    return bytes;
  }

  /** The requests that the subject wrote since the last call. */
  takeRequests(): RequestFrame[] {
    return decodeAll(this.take(), decodeRequest);
  }

  /** The responses that the subject wrote since the last call. */
  takeResponses(): ResponseFrame[] {
    return decodeAll(this.take(), decodeResponse);
  }

  /** The peer reads what was written; the subject may write again. */
  drain(): void {
    this.#unreadBytes = 0;
    this.onDrain();
  }

  /** Bytes arrive from the peer. */
  deliver(...chunks: Uint8Array[]): void {
    for (const chunk of chunks) this.onData(chunk);
  }

  /** A request arrives from the peer. */
  deliverRequest(frame: Partial<RequestFrame> & { readonly requestId: bigint }): void {
    const whole = { type: 1, version: 1, flags: 0, payload: new Uint8Array(0), ...frame };
    this.deliver(bytesOf(encodeRequest(whole)));
  }

  /** A response arrives from the peer. */
  deliverResponse(frame: Partial<ResponseFrame> & { readonly requestId: bigint }): void {
    const whole = { status: 0 as const, errorCode: 0, payload: new Uint8Array(0), ...frame };
    this.deliver(bytesOf(encodeResponse(whole)));
  }

  /** The peer is gone: in order, or by the given accident. */
  vanish(reason?: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onClose(reason);
  }
}

function bytesOf(encoded: ReturnType<typeof encodeRequest>): Uint8Array {
  if (encoded instanceof Uint8Array) return encoded;
  throw new Error(encoded.message);
}

function decodeAll<Frame>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => ReturnType<typeof decodeRequest> | ReturnType<typeof decodeResponse>,
): Frame[] {
  const frames: Frame[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const decoded = decode(rest);
    if (decoded.kind !== "frame")
      throw new Error(`the subject wrote a bad frame: ${JSON.stringify(decoded)}`);
    frames.push(decoded.frame as Frame);
    rest = rest.subarray(decoded.size);
  }
  return frames;
}
