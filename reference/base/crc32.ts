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

/** The CRC-32 of `bytes[start..end)` as an unsigned 32-bit number. Allocates nothing. */
export const crc32: Checksum = (bytes, start = 0, end = bytes.length) => {
  let crc = -1;
  let at = start;
  const slicedEnd = end - (sliceCount - 1);
  while (at < slicedEnd) {
    crc =
      t15[bytes[at]! ^ (crc & 255)]! ^
      t14[bytes[at + 1]! ^ ((crc >>> 8) & 255)]! ^
      t13[bytes[at + 2]! ^ ((crc >>> 16) & 255)]! ^
      t12[bytes[at + 3]! ^ (crc >>> 24)]! ^
      t11[bytes[at + 4]!]! ^
      t10[bytes[at + 5]!]! ^
      t9[bytes[at + 6]!]! ^
      t8[bytes[at + 7]!]! ^
      t7[bytes[at + 8]!]! ^
      t6[bytes[at + 9]!]! ^
      t5[bytes[at + 10]!]! ^
      t4[bytes[at + 11]!]! ^
      t3[bytes[at + 12]!]! ^
      t2[bytes[at + 13]!]! ^
      t1[bytes[at + 14]!]! ^
      t0[bytes[at + 15]!]!;
    at += sliceCount;
  }
  while (at < end) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at++]!) & 255]!;
  return ~crc >>> 0;
};

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
