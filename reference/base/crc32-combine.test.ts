import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32OfConcatenation, crc32OfSuffix } from "./crc32-combine.ts";
import { crc32 } from "./crc32.ts";

test("parts and whole fit together, wherever the cut is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(), (bytes, draw) => {
      const cut = draw % (bytes.length + 1);
      const [whole, prefix, suffix] = [crc32(bytes), crc32(bytes, 0, cut), crc32(bytes, cut)];
      expect(crc32OfSuffix(whole, prefix, bytes.length - cut)).toBe(suffix);
      expect(crc32OfConcatenation(prefix, suffix, bytes.length - cut)).toBe(whole);
    }),
  );
});

test("lengths that share a place among the kept factors do not mix", () => {
  const bytes = new Uint8Array(70_000).map((_, index) => index * 31);
  for (const cut of [10, 266, 522, 10, 65_546, 266]) {
    expect(crc32OfSuffix(crc32(bytes), crc32(bytes, 0, cut), bytes.length - cut)).toBe(crc32(bytes, cut));
  }
});

test("a megabyte and more, where many powers take part", () => {
  const bytes = new Uint8Array(5_000_001).map((_, index) => index ^ (index >>> 8));
  expect(crc32OfSuffix(crc32(bytes), crc32(bytes, 0, 100), bytes.length - 100)).toBe(crc32(bytes, 100));
});
