import { crc32 as nativeCrc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { checksumByZlib, fastChecksum } from "./fast-crc32.ts";

const noise = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
};

test("every length around rows, blocks and pieces has the checksum that zlib gives it", () => {
  const bytes = noise(64 * 1024);
  const lengths = [15 * 1024, 30 * 1024, 45 * 1024].flatMap((piece) =>
    Array.from({ length: 40 }, (_, index) => piece - 20 + index),
  );
  for (let length = 0; length <= 1300; length++) lengths.push(length);
  for (const length of lengths) {
    const expected = nativeCrc32(bytes.subarray(3, 3 + length));
    expect(fastChecksum(bytes, 3, 3 + length), `${length} bytes`).toBe(expected);
    expect(checksumByZlib(bytes, 3, 3 + length), `${length} bytes`).toBe(expected);
  }
});

test("any bytes have the checksum that zlib gives them, and one changed bit changes it", () => {
  const anyBytes = fc.uint8Array({ minLength: 250, maxLength: 700 });
  fc.assert(
    fc.property(anyBytes, fc.nat(), (bytes, place) => {
      expect(fastChecksum(bytes)).toBe(nativeCrc32(bytes));
      bytes[(place >>> 3) % bytes.length]! ^= 1 << (place & 7);
      expect(fastChecksum(bytes)).toBe(nativeCrc32(bytes));
    }),
  );
});

test("this Node takes the WebAssembly, so the tests above are about it", () => {
  expect(fastChecksum).not.toBe(checksumByZlib);
});

test.each([
  ["an engine that lacks the instructions", { validate: () => false }],
  ["an engine without WebAssembly", undefined],
])("%s has zlib", async (_name, engine) => {
  vi.stubGlobal("WebAssembly", engine);
  vi.resetModules();
  const there = await import("./fast-crc32.ts");
  vi.unstubAllGlobals();
  expect(there.fastChecksum).toBe(there.checksumByZlib);
  const bytes = noise(1000);
  expect(there.fastChecksum(bytes, 3)).toBe(nativeCrc32(bytes.subarray(3)));
});
