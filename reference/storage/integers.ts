/**
 * Big-endian integers at a position of a byte array, without a DataView and without bigint.
 *
 * Storage reads and writes headers of a few dozen bytes millions of times a second. Plain indexing compiles to plain
 * loads and stores; a `DataView` for each header would be garbage for each header. Offsets, timestamps and producer
 * ids are 64 bits wide on disk and numbers here: a number counts exactly up to 2^53 - 1, so that is the limit, and a
 * larger value on disk is not rounded but refused.
 */
import { assert } from "../base/assert.ts";

/** The largest 64-bit field that we write or believe: beyond it a number would silently lose its last bits. */
export const uint53Max = Number.MAX_SAFE_INTEGER;

/** The largest 32-bit field. */
export const uint32Max = 2 ** 32 - 1;

/** An unsigned 16-bit integer. */
export function getUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Writes an unsigned 16-bit integer. */
export function setUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** An unsigned 32-bit integer. */
export function getUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Writes an unsigned 32-bit integer. */
export function setUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** An unsigned 64-bit integer that fits in 53 bits; -1 when it does not. */
export function getUint53(bytes: Uint8Array, at: number): number {
  const high = getUint32(bytes, at);
  return high > 0x1fffff ? -1 : high * 2 ** 32 + getUint32(bytes, at + 4);
}

/** Writes a whole number from 0 to 2^53 - 1 as an unsigned 64-bit integer. */
export function setUint53(bytes: Uint8Array, at: number, value: number): void {
  if (value < 0 || value > uint53Max) assert(false, `${value} is outside 0 to ${uint53Max}`);
  const high = Math.floor(value / 2 ** 32);
  setUint32(bytes, at, high);
  setUint32(bytes, at + 4, value - high * 2 ** 32);
}
