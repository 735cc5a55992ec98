import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "#reference/base/bytes.ts";
import { bytesSize, ByteReader, ByteWriter, textSize, uvarintMax, uvarintSize } from "./primitives.ts";

const golden = fromHex(readFileSync(join(import.meta.dirname, "../testing/golden/primitives.hex"), "utf8"))!;

function hex(digits: string): Uint8Array<ArrayBuffer> {
  return fromHex(digits)!;
}

/** Any of Unicode's. (fast-check's own `unit: "binary"` builds a table of them all first, for four seconds.) */
const codePoint: fc.Arbitrary<string> = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0x80, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((point) => String.fromCodePoint(point));

describe("golden bytes", () => {
  test("are read field by field", () => {
    const reader = new ByteReader(golden);
    expect(reader.uint8()).toBe(1);
    expect(reader.uint16()).toBe(515);
    expect(reader.uint32()).toBe(4294967295);
    expect(reader.uint64()).toBe(2n ** 64n - 1n);
    expect(reader.int8()).toBe(-1);
    expect(reader.int16()).toBe(-32768);
    expect(reader.int32()).toBe(-2);
    expect(reader.int64()).toBe(-(2n ** 63n));
    expect(reader.uvarint()).toBe(300);
    expect(reader.uvarint()).toBe(uvarintMax);
    expect(reader.text()).toBe("né");
    expect(reader.text()).toBeNull();
    expect(reader.bytes()).toEqual(new Uint8Array(0));
    expect(reader.array((item) => item.uint16(), 2)).toEqual([5, 6]);
    expect(reader.failure).toBeUndefined();
    expect(reader.remaining).toBe(0);
  });

  test("are written field by field", () => {
    const writer = new ByteWriter();
    writer.uint8(1);
    writer.uint16(515);
    writer.uint32(4294967295);
    writer.uint64(2n ** 64n - 1n);
    writer.int8(-1);
    writer.int16(-32768);
    writer.int32(-2);
    writer.int64(-(2n ** 63n));
    writer.uvarint(300);
    writer.uvarint(uvarintMax);
    writer.text("né");
    writer.text(null);
    writer.bytes(new Uint8Array(0));
    writer.array([5, 6], (each, item) => each.uint16(item));
    expect(writer.failure).toBeUndefined();
    expect(toHex(writer.finish())).toBe(toHex(golden));
  });
});

describe("round trips", () => {
  const edges = [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32, 2 ** 49 - 1, 2 ** 49, uvarintMax];

  test("a uvarint comes back and takes the bytes that its size says", () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat()), (value) => {
        const writer = new ByteWriter();
        writer.uvarint(value);
        expect(writer.length).toBe(uvarintSize(value));
        expect(new ByteReader(writer.finish()).uvarint()).toBe(value);
      }),
    );
  });

  test("text and bytes come back and take the bytes that their sizes say", () => {
    fc.assert(
      fc.property(
        fc.option(fc.string({ unit: codePoint, maxLength: 30 })),
        fc.option(fc.uint8Array({ maxLength: 60 })),
        (text, bytes) => {
          const writer = new ByteWriter();
          writer.text(text);
          expect(writer.length).toBe(textSize(text));
          writer.bytes(bytes);
          expect(writer.length).toBe(textSize(text) + bytesSize(bytes));
          const reader = new ByteReader(writer.finish());
          expect(reader.text()).toBe(text);
          expect(reader.bytes()).toEqual(bytes);
          expect(reader.remaining).toBe(0);
        },
      ),
    );
  });

  test("random bytes never throw, whatever is read from them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const reader = new ByteReader(bytes);
        reader.text();
        reader.uvarint();
        reader.array((item) => item.bytes(), 4);
        reader.int64();
        expect(reader.position).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 300 },
    );
  });
});

describe("failures", () => {
  test("a hostile length is refused by the bytes that are there", () => {
    for (const digits of ["7fffffff", "7fffffff 6162", "00000003 6162"]) {
      const reader = new ByteReader(hex(digits));
      expect(reader.bytes()).toBeNull();
      expect(reader.failure).toMatchObject({ kind: "truncated", at: 0 });
      expect(reader.position).toBe(0);
    }
    const reader = new ByteReader(hex("7fffffff 61"));
    expect(reader.array(() => expect.fail("an item was read"))).toBeNull();
  });

  test("the first failure stays, also against a later rejection", () => {
    const reader = new ByteReader(hex("0102"));
    reader.uint8();
    reader.uint32();
    reader.reject(0, "later");
    expect(reader.failure).toEqual({ kind: "truncated", at: 1, neededBytes: 3 });
    expect(reader.position).toBe(1);
    expect(reader.uint8()).toBe(0);
  });

  test("a rejection by the caller is a failure like any other", () => {
    const reader = new ByteReader(hex("09 01"));
    reader.uint8();
    reader.reject(0, "9 is not a colour");
    expect(reader.failure).toEqual({ kind: "malformed", at: 0, reason: "9 is not a colour" });
    expect(reader.uint8()).toBe(0);
  });

  test("a writer's limit is never above what a length can count", () => {
    const writer = new ByteWriter(Number.POSITIVE_INFINITY);
    writer.text("ok");
    expect(writer.failure).toBeUndefined();
    const small = new ByteWriter(5);
    small.text("ok");
    expect(small.failure).toEqual({ kind: "too-large", at: 0, limitBytes: 5 });
  });

  test("a part outside the bytes, an item of no bytes and the size of no uvarint are bugs", () => {
    expect(() => new ByteReader(hex("0102"), 0, 3)).toThrow("0 to 3 of 2 bytes");
    expect(() => new ByteReader(hex("0102"), 2, 1)).toThrow("2 to 1 of 2 bytes");
    expect(() => new ByteReader(hex("00000000")).array(() => 0, 0)).toThrow("at least one byte");
    expect(() => uvarintSize(Number.POSITIVE_INFINITY)).toThrow("Infinity");
    expect(() => uvarintSize(-1)).toThrow("-1");
  });
});
