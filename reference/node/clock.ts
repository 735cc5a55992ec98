/** The Clock and Random ports of a real machine, and its fast checksum. */
import { webcrypto } from "node:crypto";
import { crc32 as zlibCrc32 } from "node:zlib";
import { crc32 } from "#reference/base/crc32.ts";
import type { Checksum, Clock, Random } from "../ports.ts";

export const nodeClock: Clock = {
  wallTimeMs: () => Date.now(),
  monotonicTimeMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Drawn a kilobyte at a time: a call into the system for each number would cost a hundred times more. */
export const nodeRandom: Random = {
  nextUint32() {
    if (poolAt === pool.length) {
      webcrypto.getRandomValues(pool);
      poolAt = 0;
    }
    return pool[poolAt++] ?? 0;
  },
};
const pool = new Uint32Array(256);
let poolAt = pool.length;

/**
 * Where the native CRC-32 starts to pay. It runs at several bytes a nanosecond, but a call across the border costs about
 * as much as 400 bytes in JavaScript.
 */
const nativeChecksumBytesMin = 400;

/** CRC-32 by whichever of the two is faster for this length. */
export const fastChecksum: Checksum = (bytes, start = 0, end = bytes.length) =>
  end - start < nativeChecksumBytesMin ? crc32(bytes, start, end) : zlibCrc32(bytes.subarray(start, end));
