/**
 * Trace context: which larger operation a request is part of, so that a producer's trace goes on inside the broker.
 *
 * The ids are those of the W3C recommendation "Trace Context", so any tracing system understands them. HTTP carries
 * them as text in the header `traceparent`; a frame carries the same as 25 bytes, behind its flag:
 *
 *     traceparent   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *                   version   trace id                 span id          flags (bit 0: sampled)
 *
 *     in a frame    0              16        24      25
 *                   ├── trace id ──┼ span id ┼ flags ┤
 *
 * The flag is bit 0 of a request's flags, and the 25 bytes are the first of its payload. A request without a trace pays
 * nothing for it, in bytes or in time.
 */
import { concatBytes, fromHex, toHex, viewOf } from "#reference/base/bytes.ts";
import type { Checksum, Random } from "../ports.ts";
import { checksumBytes, requestHeaderBytes, sealFrame } from "./frame.ts";

/** One point in a trace. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all zero: the whole operation. */
  readonly traceId: string;
  /** 16 of them: the step that this request comes from. */
  readonly spanId: string;
  /** Whether whoever began the trace records it. */
  readonly isSampled: boolean;
}

/** The size of a trace context in a frame. */
export const traceContextBytes = 25;

const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a `traceparent`; undefined when it is not one, and then a new trace begins: a bad header is no error. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId, spanId, flags, rest] = traceparent.exec(text) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return undefined;
  // Version ff is forbidden. Version 00 ends after the flags; later versions may have more, which is skipped.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (isZero(traceId) || isZero(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Writes a `traceparent` of version 00. */
export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** The 25 bytes for a frame. */
export function encodeTraceContext({ traceId, spanId, isSampled }: TraceContext): Uint8Array {
  const bytes = new Uint8Array(traceContextBytes);
  bytes.set(fromHex(traceId + spanId) ?? [], 0);
  bytes[24] = isSampled ? 1 : 0;
  return bytes;
}

/** Reads the bytes of a frame; undefined when they are too few or an id is zero. Flags other than bit 0 are skipped. */
export function decodeTraceContext(bytes: Uint8Array, start = 0): TraceContext | undefined {
  if (bytes.length - start < traceContextBytes) return undefined;
  const traceId = toHex(bytes.subarray(start, start + 16));
  const spanId = toHex(bytes.subarray(start + 16, start + 24));
  if (isZero(traceId) || isZero(spanId)) return undefined;
  return { traceId, spanId, isSampled: (bytes[start + 24]! & 1) === 1 };
}

/** The bit of a request's flags that says: the payload begins with a trace context. */
export const tracedFlag = 1;

/** Whether the request frame at `bytes[start..]` says that it has a trace context. */
export function isTraced(bytes: Uint8Array, start: number): boolean {
  return (bytes[start + requestHeaderBytes - 1]! & tracedFlag) !== 0;
}

/** What a traced request is, taken apart. */
export interface TracedRequest {
  /** Undefined when its ids are zero: that is no trace, and no reason to refuse a request either. */
  readonly trace: TraceContext | undefined;
  /** The same request as it would have been sent without a trace: a new frame. */
  readonly frame: Uint8Array<ArrayBuffer>;
}

/**
 * Takes the trace context out of the intact request frame at `bytes[start..end)`, whose flag is set. Undefined when the
 * payload has no room for one.
 */
export function takeTraceContext(
  bytes: Uint8Array,
  start: number,
  end: number,
  checksum: Checksum,
): TracedRequest | undefined {
  const payloadAt = start + requestHeaderBytes;
  const payloadEnd = end - checksumBytes;
  // 1. The flag is the sender's word; the length is what counts. Behind the payload other bytes follow.
  if (payloadEnd - payloadAt < traceContextBytes) return undefined;
  const trace = decodeTraceContext(bytes, payloadAt);
  // 2. Whoever reads the frame from here on knows nothing of traces, so it must be whole without one.
  const rest = bytes.subarray(payloadAt + traceContextBytes, payloadEnd);
  const frame = new Uint8Array(requestHeaderBytes + rest.length + checksumBytes);
  frame.set(bytes.subarray(start, payloadAt));
  frame[requestHeaderBytes - 1]! &= ~tracedFlag;
  frame.set(rest, requestHeaderBytes);
  sealFrame(frame, viewOf(frame), 0, requestHeaderBytes + rest.length, checksum);
  return { trace, frame };
}

/** A payload with a trace context in front; for a request whose flags have `tracedFlag`. */
export function tracedPayload(trace: TraceContext, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatBytes([encodeTraceContext(trace), payload]);
}

/** A new trace. Its ids come from `random`, which must not be a seeded one in production. */
export function newTrace(random: Random, isSampled: boolean): TraceContext {
  return { traceId: randomId(random, 4), spanId: randomId(random, 2), isSampled };
}

/** The next step within the same trace. */
export function childOf({ traceId, isSampled }: TraceContext, random: Random): TraceContext {
  return { traceId, spanId: randomId(random, 2), isSampled };
}

/** A random id of so many 32-bit words; zero means "none", so it is drawn again. */
function randomId(random: Random, words: number): string {
  for (;;) {
    let id = "";
    for (let word = 0; word < words; word++) id += random.nextUint32().toString(16).padStart(8, "0");
    if (!isZero(id)) return id;
  }
}

function isZero(id: string): boolean {
  return /^0+$/.test(id);
}
