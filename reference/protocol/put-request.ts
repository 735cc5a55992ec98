/**
 * Writing a request straight into a connection's output: one copy of the payload, and nothing else allocated.
 */
import { crc32OfConcatenation } from "../base/crc32-combine.ts";
import type { Checksum } from "../ports.ts";
import { checksumBytes, lengthFieldBytes, putRequestHeader, requestHeaderBytes, sealFrame } from "./frame.ts";
import type { FrameOutput } from "./output.ts";

/** The fields of a request that are not its payload. */
export interface RequestHeader {
  /** Below 2^53: requests are counted in numbers. */
  readonly id: number;
  readonly type: number;
  readonly version: number;
  readonly flags: number;
}

/** Bytes of a request whose payload has two parts of these lengths. */
export function requestSize(payloadBytes: number, tailBytes: number): number {
  return requestHeaderBytes + payloadBytes + tailBytes + checksumBytes;
}

/**
 * Writes a request whose payload is `payload` and behind it `tail`. With the tail's CRC-32 at hand, the frame's follows
 * from that and from what stands before the tail.
 */
export function putRequest(
  output: FrameOutput,
  header: RequestHeader,
  payload: Uint8Array,
  tail: Uint8Array,
  checksum: Checksum,
  tailCrc?: number,
): void {
  const start = output.reserve(requestSize(payload.length, tail.length));
  const { bytes, view } = output;
  const { id, type, version, flags } = header;
  putRequestHeader(view, start, Math.floor(id / 2 ** 32), id >>> 0, type, version, flags);
  const tailStart = start + requestHeaderBytes + payload.length;
  bytes.set(payload, start + requestHeaderBytes);
  bytes.set(tail, tailStart);
  const end = tailStart + tail.length;
  if (tailCrc === undefined) return output.commit(sealFrame(bytes, view, start, end, checksum));
  view.setUint32(start, end + checksumBytes - start - lengthFieldBytes);
  view.setUint32(end, crc32OfConcatenation(checksum(bytes, start, tailStart), tailCrc, tail.length));
  output.commit(end + checksumBytes);
}
