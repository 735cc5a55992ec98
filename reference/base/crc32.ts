/**
 * CRC-32 as Ethernet, gzip and PNG use it (IEEE 802.3: polynomial 0xEDB88320 reflected, start and final xor
 * 0xFFFFFFFF). Its known answer is crc32("123456789") = 0xCBF43926.
 *
 * A CRC finds every burst of up to 32 changed bits and misses about one random change in four billion. It is no
 * protection against a person: whoever changes the bytes can change the checksum too.
 *
 * One byte at a time costs a table look-up that must wait for the one before it. This one takes sixteen bytes a round
 * ("slicing", Kounavis and Berry, 2008): sixteen look-ups that do not wait for each other, in tables where entry t
 * holds a byte's effect after t more zero bytes.
 */
import type { Checksum } from "../ports.ts";

const sliceCount = 16;
const tables = makeTables();
const table = (slice: number): Int32Array => tables.subarray(slice * 256, slice * 256 + 256);
const t0 = table(0);
const t1 = table(1);
const t2 = table(2);
const t3 = table(3);
const t4 = table(4);
const t5 = table(5);
const t6 = table(6);
const t7 = table(7);
const t8 = table(8);
const t9 = table(9);
const t10 = table(10);
const t11 = table(11);
const t12 = table(12);
const t13 = table(13);
const t14 = table(14);
const t15 = table(15);

/** The CRC-32 of `bytes[start..end)` as an unsigned 32-bit number. Allocates nothing for bytes seen lately. */
export const crc32: Checksum = (bytes, start = 0, end = bytes.length) => {
  let crc = -1;
  let at = start;
  if (end - start >= viewedBytesMin) {
    const view = recentViewOf(bytes);
    const slicedEnd = end - (sliceCount - 1);
    while (at < slicedEnd) {
      const a = crc ^ view.getInt32(at, true);
      const b = view.getInt32(at + 4, true);
      const c = view.getInt32(at + 8, true);
      const d = view.getInt32(at + 12, true);
      crc =
        t15[a & 255]! ^
        t14[(a >>> 8) & 255]! ^
        t13[(a >>> 16) & 255]! ^
        t12[a >>> 24]! ^
        (t11[b & 255]! ^ t10[(b >>> 8) & 255]! ^ t9[(b >>> 16) & 255]! ^ t8[b >>> 24]!) ^
        (t7[c & 255]! ^ t6[(c >>> 8) & 255]! ^ t5[(c >>> 16) & 255]! ^ t4[c >>> 24]!) ^
        (t3[d & 255]! ^ t2[(d >>> 8) & 255]! ^ t1[(d >>> 16) & 255]! ^ t0[d >>> 24]!);
      at += sliceCount;
    }
  }
  while (end - at >= 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t7[crc & 255]! ^
      t6[(crc >>> 8) & 255]! ^
      t5[(crc >>> 16) & 255]! ^
      t4[crc >>> 24]! ^
      (t3[bytes[at + 4]!]! ^ t2[bytes[at + 5]!]! ^ t1[bytes[at + 6]!]! ^ t0[bytes[at + 7]!]!);
    at += 8;
  }
  while (end - at >= 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!;
    at += 4;
  }
  while (at < end) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at++]!) & 255]!;
  return ~crc >>> 0;
};

/** Shorter parts are done before a view is found. */
const viewedBytesMin = 64;

/**
 * Views of the arrays that were asked about last. A view reads four bytes at once, a quarter less work in all, but
 * making one costs as much as it saves; and a server asks about the same few buffers again and again.
 */
const recentCount = 4;
/** A larger array is not kept alive for that. */
const recentBytesMax = 2 * 1024 * 1024;
const recentBytes: Uint8Array[] = Array.from({ length: recentCount }, () => new Uint8Array(0));
const recentViews = recentBytes.map((bytes) => new DataView(bytes.buffer));
let oldest = 0;

function recentViewOf(bytes: Uint8Array): DataView {
  for (let index = 0; index < recentCount; index++) {
    if (recentBytes[index] === bytes) return recentViews[index]!;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > recentBytesMax) return view;
  recentBytes[oldest] = bytes;
  recentViews[oldest] = view;
  oldest = (oldest + 1) % recentCount;
  return view;
}

/** Table 0 maps a byte to its effect; table t maps it to its effect after t further zero bytes. */
function makeTables(): Int32Array {
  const made = new Int32Array(sliceCount * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    made[byte] = crc;
  }
  for (let at = 256; at < made.length; at++) {
    const before = made[at - 256]!;
    made[at] = (before >>> 8) ^ made[before & 255]!;
  }
  return made;
}
