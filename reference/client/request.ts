/**
 * What a request to a session looks like from outside: its options, and how its reply becomes a value.
 */
import type { Checksum, Clock } from "../ports.ts";
import type { ResponseStatus } from "../protocol/frame.ts";
import type { CancelSignal } from "./cancel.ts";

/** What a session may be given; everything but the clock has a default. */
export interface SessionOptions {
  readonly clock: Clock;
  readonly checksum?: Checksum;
  /** The largest frame that is sent or accepted: the value of its length field. */
  readonly frameSizeMax?: number;
  /** How long a request may take that says nothing else. */
  readonly requestTimeoutMs?: number;
  /** The high-water mark: the most bytes that wait for the connection. */
  readonly bufferBytesMax?: number;
}

/** What one request may say. */
export interface RequestOptions {
  readonly timeoutMs?: number;
  /** Gives up when it fires; an `AbortSignal` fits. */
  readonly signal?: CancelSignal;
  readonly flags?: number;
  /** Which trace the request belongs to, as `traceparent` of the W3C recommendation; what is not one is left out. */
  readonly traceparent?: string;
  /** The rest of the payload, behind the first part: saves a caller from gluing a header to a large batch. */
  readonly tail?: Uint8Array;
  /** The tail's CRC-32, when the caller knows it: then nobody runs over a large batch again. */
  readonly tailCrc?: number | undefined;
}

/**
 * Makes a value of a reply's payload at `bytes[start..end)`, which is overwritten after the call. Undefined means that
 * the payload is not what the request asked for. A promise is waited for by the caller, and by nobody else.
 */
export type ReadReply<Value> = (
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  status: ResponseStatus,
) => Value | PromiseLike<Value> | undefined;

/** Receives the replies of a request that has many of them. */
export interface StreamListener {
  /** Called with each reply, as `ReadReply` is. Returns whether this was the last one. */
  readonly reply: (bytes: Uint8Array, view: DataView, start: number, end: number) => boolean;
  /** Called at most once: an error reply, or the end of the session. Nothing comes after it. */
  readonly failed: (error: unknown) => void;
}
