import { expect, test } from "vitest";
import { BatchCopies } from "./batch-copies.ts";

test("copies of any sizes hold what was given, however often the original is overwritten", () => {
  const copies = new BatchCopies();
  const original = new Uint8Array(20_000);
  const lengths = Array.from({ length: 300 }, (_, nth) => (nth * 613) % (nth % 10 === 0 ? 20_000 : 1500));
  const made = lengths.map((length, nth) => copies.of(original.fill(nth).subarray(0, length)));
  expect(made.map(({ length }) => length)).toEqual(lengths);
  expect(made.every((copy, nth) => copy.every((byte) => byte === nth % 256))).toBe(true);
});

test("small batches share an array, and large ones do not", () => {
  const copies = new BatchCopies();
  const arrays = Array.from({ length: 40 }, () => copies.of(new Uint8Array(200)).buffer);
  expect(new Set(arrays).size).toBe(1);
  expect(copies.of(new Uint8Array(5000)).buffer.byteLength).toBe(5000);
});
