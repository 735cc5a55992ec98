// Generated from reference/protocol/frame.ts (stub 62d691d3).
// Write your solution here; `npx oz reset 01-protocol/02-frame` starts again.
/**
 * Frames: one request or one response, with its length in front and a checksum behind.
 *
 * TCP carries a stream of bytes and knows nothing of messages, so every message says how long it is. A length prefix
 * beats a delimiter: the payload may hold any byte, and the reader knows what is coming before it comes.
 *
 * ```
 * request   0       4                12     13        14      16          16+N    20+N
 *           | length | requestId      | type | version | flags | payload N | crc32 |
 *
 * response  0       4                12       13                            (status 0)
 *           | length | requestId      | status | payload N | crc32 |
 *           | length | requestId      | status | errorCode 2 | payload N | crc32 |   (status 1 or 2)
 * ```
 *
 * All integers are big-endian and unsigned. `length` counts the bytes after itself. `crc32` covers every byte before
 * it, the length included: our reading of "entire message" in the network-layer plan, where this layout comes from.
 *
 * Two levels: `encodeRequest`, `decodeRequest` and their like for responses are for whoever wants a value and owns the
 * bytes. `inspectFrame` and `sealFrame` work in place, allocate nothing, and carry the broker's traffic.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";
import { viewOf } from "#reference/base/bytes.ts";
import type { Checksum } from "#reference/ports.ts";
import { errorCodeOf, errorNameOf } from "#reference/protocol/errors.ts";
import { frameSizeMaxDefault } from "#reference/protocol/limits.ts";
import { ByteReader } from "#reference/protocol/primitives.ts";

/** Bytes of the length field, which `length` itself does not count. */
export const lengthFieldBytes = 4;
/** Bytes of the checksum at the end of every frame. */
export const checksumBytes = 4;
/** Where a request's payload starts. */
export const requestHeaderBytes = 16;
/** Where the payload of a response with status 0 starts. */
export const responseHeaderBytes = 13;
/** Where the payload of a response with status 1 or 2 starts: behind the error code. */
export const errorResponseHeaderBytes = 15;

/** The kind of frame decides the least that its length field can say. */
export type FrameKind = "request" | "response";

/** The smallest `length` of each kind: its fixed fields after the length field, an empty payload, the checksum. */
export const frameLengthMin: Readonly<Record<FrameKind, number>> = {
  request: requestHeaderBytes - lengthFieldBytes + checksumBytes,
  response: responseHeaderBytes - lengthFieldBytes + checksumBytes,
};

/** A question to the broker. */
export interface RequestFrame {
  /** Chosen by the client, unique among its open requests; the response carries it back. */
  readonly requestId: bigint;
  readonly type: number;
  /** The version of this request type's payload. */
  readonly version: number;
  /** 16 bits, none defined by the frame itself. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** 0 = done, 1 = nothing done, see the error code, 2 = done in part, the payload says which part. */
export type ResponseStatus = 0 | 1 | 2;

/** An answer to the request with the same id. */
export interface ResponseFrame {
  readonly requestId: bigint;
  readonly status: ResponseStatus;
  /** A code of the error table; 0 exactly when the status is 0. */
  readonly errorCode: number;
  readonly payload: Uint8Array;
}

/** What is wrong with bytes that claim to be a frame. `code` is a number of the error table. */
export interface FrameFault {
  readonly code: number;
  readonly message: string;
}

/** The outcome of decoding one frame from the start of some bytes. */
export type Decoded<Frame> =
  /** `size` is how many bytes the frame took; what follows them belongs to the next frame. */
  | { readonly kind: "frame"; readonly frame: Frame; readonly size: number }
  /** Not wrong so far: at least `neededBytes` more bytes are needed to say anything. */
  | { readonly kind: "incomplete"; readonly neededBytes: number }
  | { readonly kind: "fault"; readonly fault: FrameFault };

/** What a codec may be given; everything has a default. */
export interface FrameOptions {
  /** The largest value of the length field that is accepted, in bytes. */
  readonly frameSizeMax?: number;
  /** The checksum: `frameChecksum`, or a faster function that gives the same numbers. */
  readonly checksum?: Checksum;
  /** Makes the array that a decoded payload is copied into. Tests count with it. */
  readonly allocate?: (size: number) => Uint8Array;
}

/** `inspectFrame` has too few bytes to judge. */
export const frameIncomplete = 0;

/** The 256 entries of `makeChecksumTable`, made at the first use. */
let checksumTable: Uint32Array | undefined;

// #region checksum
/**
 * CRC-32 (IEEE 802.3: polynomial 0xEDB88320 in its reflected form) of `bytes[start..end)`, unsigned: a table look-up
 * for each byte. It is the plain form of the checksum, four to five times slower than `base/crc32.ts`, which the shells
 * hand in instead. Its known answer: "123456789" gives 0xCBF43926.
 */
export function frameChecksum(bytes: Uint8Array, start = 0, end = bytes.length): number {
  todo("checksum");
}

/** What eight steps of the division by the polynomial do to each value of the lowest byte. */
function makeChecksumTable(): Uint32Array {
  todo("checksum");
}
// #endregion checksum

// #region inspect-frame
/**
 * Judges the frame that starts at `bytes[start]`, of which everything up to `end` has arrived. In place: it allocates
 * nothing and keeps nothing. `view` must be a DataView over the same array.
 *
 * Returns the frame's size in bytes when it is complete and intact, `frameIncomplete` (0) when more bytes are needed,
 * and the negative of an error code when no further byte can make it good. The order of the checks is the point: a
 * length is judged before anyone waits for that many bytes or makes room for them.
 */
export function inspectFrame(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  kind: FrameKind,
  options: FrameOptions = {},
): number {
  todo("inspect-frame");
}
// #endregion inspect-frame

// #region seal-frame
/**
 * Finishes the frame whose header (but not its length) and payload stand at `bytes[start..payloadEnd)`: writes the
 * length in front and the checksum behind. Returns the frame's end. The caller has left four bytes there.
 */
export function sealFrame(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  payloadEnd: number,
  checksum: Checksum = frameChecksum,
): number {
  todo("seal-frame");
}
// #endregion seal-frame

/** Writes a request's fixed fields except the length, at `view[start + 4 .. start + 16)`; the id in two halves. */
export function putRequestHeader(
  view: DataView,
  start: number,
  requestIdHigh: number,
  requestIdLow: number,
  type: number,
  version: number,
  flags: number,
): void {
  view.setUint32(start + 4, requestIdHigh);
  view.setUint32(start + 8, requestIdLow);
  view.setUint8(start + 12, type);
  view.setUint8(start + 13, version);
  view.setUint16(start + 14, flags);
}

/** Writes a response's fixed fields except the length; returns where the payload starts. */
export function putResponseHeader(
  view: DataView,
  start: number,
  requestIdHigh: number,
  requestIdLow: number,
  status: ResponseStatus,
  errorCode: number,
): number {
  view.setUint32(start + 4, requestIdHigh);
  view.setUint32(start + 8, requestIdLow);
  view.setUint8(start + 12, status);
  if (status === 0) return start + responseHeaderBytes;
  view.setUint16(start + 13, errorCode);
  return start + errorResponseHeaderBytes;
}

// #region encode-request
/**
 * A request as bytes, or the fault `frame-too-large` when its length field would exceed the frame limit. A field that
 * does not fit its bytes is a bug of the caller and throws an AssertionError: another number must never be sent.
 */
export function encodeRequest(
  frame: RequestFrame,
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> | FrameFault {
  todo("encode-request");
}
// #endregion encode-request

// #region encode-response
/**
 * A response as bytes, or the fault `frame-too-large` when its length field would exceed the frame limit. A field that
 * does not fit, or an error code that is not 0 exactly when the status is, throws an AssertionError.
 */
export function encodeResponse(
  frame: ResponseFrame,
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> | FrameFault {
  todo("encode-response");
}
// #endregion encode-response

// #region decode-request
/**
 * Decodes the request at the start of `bytes`; what follows it is left alone. The payload is a copy, made in the array
 * of `options.allocate`: the caller may reuse `bytes` at once. Nothing is allocated for a frame that is not good.
 */
export function decodeRequest(bytes: Uint8Array, options: FrameOptions = {}): Decoded<RequestFrame> {
  todo("decode-request");
}
// #endregion decode-request

// #region decode-response
/**
 * Decodes the response at the start of `bytes`, as `decodeRequest` does. An intact frame that is no response is a
 * `malformed-frame`: an unknown status, no room for the error code, or an error code of 0 with a status that is not.
 */
export function decodeResponse(bytes: Uint8Array, options: FrameOptions = {}): Decoded<ResponseFrame> {
  todo("decode-response");
}
// #endregion decode-response

// #region decode-payload
/**
 * Reads a payload with `read` and makes sure that `read` used all of it; the fault is `invalid-request`. Bytes left
 * over mean that the two sides do not agree on the layout, and then the fields that did come out are not to be trusted.
 */
export function decodePayload<Value>(
  payload: Uint8Array,
  read: (reader: ByteReader) => Value,
):
  { readonly kind: "value"; readonly value: Value } | { readonly kind: "fault"; readonly fault: FrameFault } {
    todo("decode-payload");
  }
// #endregion decode-payload

/** The fault for a code that `inspectFrame` returned, with the numbers that it saw. */
export function frameFaultOf(
  code: number,
  lengthField: number,
  kind: FrameKind,
  options: FrameOptions,
): FrameFault {
  switch (errorNameOf(code)) {
    case "frame-too-large": {
      const limit = options.frameSizeMax ?? frameSizeMaxDefault;
      return { code, message: `frame of ${lengthField} bytes exceeds ${limit}` };
    }
    case "malformed-frame":
      return { code, message: `${kind} frame of ${lengthField} bytes is below ${frameLengthMin[kind]}` };
    default:
      return { code, message: `checksum of a ${kind} frame of ${lengthField} bytes does not match` };
  }
}

function notAFrame(view: DataView, size: number, kind: FrameKind, options: FrameOptions): Decoded<never> {
  const arrived = view.byteLength;
  if (size === frameIncomplete) {
    const total = arrived < lengthFieldBytes ? lengthFieldBytes : lengthFieldBytes + view.getUint32(0);
    return { kind: "incomplete", neededBytes: total - arrived };
  }
  return { kind: "fault", fault: frameFaultOf(-size, view.getUint32(0), kind, options) };
}

/** Field by field: does it fit? `first` and `second` are one byte, `third` is two. */
function assertHeader(requestId: bigint, first: number, second: number, third: number): void {
  const isFitting = first === (first & 0xff) && second === (second & 0xff) && third === (third & 0xffff);
  assert(isFitting, () => `${first}, ${second} and ${third} do not fit 1, 1 and 2 bytes`);
  assert(BigInt.asUintN(64, requestId) === requestId, () => `request id ${requestId} is not 64 bits`);
}

function sizeFault(length: number, options: FrameOptions): FrameFault | undefined {
  const limit = options.frameSizeMax ?? frameSizeMaxDefault;
  if (length <= limit) return undefined;
  return { code: errorCodeOf("frame-too-large"), message: `frame of ${length} bytes exceeds ${limit}` };
}

function copyOf(bytes: Uint8Array, start: number, end: number, options: FrameOptions): Uint8Array {
  const copy = options.allocate?.(end - start) ?? new Uint8Array(end - start);
  copy.set(bytes.subarray(start, end));
  return copy;
}

function malformed(message: string): { readonly kind: "fault"; readonly fault: FrameFault } {
  return { kind: "fault", fault: { code: errorCodeOf("malformed-frame"), message } };
}

function invalid(message: string): { readonly kind: "fault"; readonly fault: FrameFault } {
  return { kind: "fault", fault: { code: errorCodeOf("invalid-request"), message } };
}
