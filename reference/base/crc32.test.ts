import { crc32 as nativeCrc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { frameChecksum } from "../protocol/frame.ts";
import { crc32 } from "./crc32.ts";

/** The definition: one bit at a time. */
function slowCrc32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = 0xffff_ffff;
  for (let at = start; at < end; at++) {
    crc ^= bytes[at]!;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the known answers of CRC-32", () => {
  for (const checksum of [crc32, frameChecksum]) {
    expect(checksum(bytesOf("123456789"))).toBe(0xcbf4_3926);
    expect(checksum(bytesOf(""))).toBe(0);
    expect(checksum(bytesOf("a"))).toBe(0xe8b7_be43);
    expect(checksum(new Uint8Array(4))).toBe(0x2144_df1c);
  }
});

test("fast, plain, bit by bit and native agree on every length around the slices, and on every part", () => {
  const bytes = Uint8Array.from({ length: 80 }, (_, index) => (index * 167 + 13) & 0xff);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    const expected = slowCrc32(part);
    expect(crc32(part)).toBe(expected);
    expect(frameChecksum(part)).toBe(expected);
    expect(nativeCrc32(part)).toBe(expected);
  }
  const parts = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200));
  fc.assert(
    fc.property(parts, ([array, first, second]) => {
      const [start, end] = [
        Math.min(first, second, array.length),
        Math.min(Math.max(first, second), array.length),
      ];
      expect(crc32(array, start, end)).toBe(slowCrc32(array, start, end));
      expect(frameChecksum(array, start, end)).toBe(slowCrc32(array, start, end));
    }),
  );
});
