import { expect, test } from "vitest";
import { bytesEqual, concatBytes, fromHex, toHex, viewOf } from "./bytes.ts";

test("bytes are equal when length and every byte are", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  expect(bytesEqual(bytes, Uint8Array.of(1, 2, 3))).toBe(true);
  expect(bytesEqual(bytes, Uint8Array.of(1, 2))).toBe(false);
  expect(bytesEqual(Uint8Array.of(1, 2), bytes)).toBe(false);
  expect(bytesEqual(bytes, Uint8Array.of(1, 2, 4))).toBe(false);
  expect(bytesEqual(new Uint8Array(0), new Uint8Array(0))).toBe(true);
});

test("concatenation copies", () => {
  const part = Uint8Array.of(1, 2);
  const whole = concatBytes([part, new Uint8Array(0), Uint8Array.of(3)]);
  part[0] = 9;
  expect([...whole]).toEqual([1, 2, 3]);
  expect(concatBytes([])).toHaveLength(0);
});

test("a view covers the array's window, not the buffer behind it", () => {
  const window = Uint8Array.of(1, 2, 3, 4).subarray(1, 3);
  const view = viewOf(window);
  expect(view.byteLength).toBe(2);
  expect(view.getUint16(0)).toBe(0x0203);
});

test("hexadecimal goes both ways, with white space and comments on the way in", () => {
  expect(toHex(Uint8Array.of(0, 15, 255))).toBe("000fff");
  expect(toHex(fromHex("00 0F\n# a comment: 77\nff # 12")!)).toBe("000fff");
  expect(fromHex("")).toHaveLength(0);
  expect(fromHex("0")).toBeUndefined();
  expect(fromHex("0g")).toBeUndefined();
});
