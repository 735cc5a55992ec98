import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareRecordIds,
  decodeRecordId,
  encodeRecordId,
  formatRecordId,
  idMillisecondsMax,
  idSequenceMax,
  parseIdRange,
  parseIdRequest,
  parseRecordId,
  recordIdBytes,
  recordIdLast,
  RecordIdSource,
  recordIdZero,
  type RecordId,
} from "./record-id.ts";

const id = (milliseconds: number, sequence: number): RecordId => ({ milliseconds, sequence });
const anyId = fc.record({
  milliseconds: fc.oneof(fc.nat(20), fc.integer({ min: 0, max: idMillisecondsMax })),
  sequence: fc.oneof(fc.nat(20), fc.integer({ min: 0, max: idSequenceMax })),
});

describe("text", () => {
  test("is padded, and parsed with or without the padding", () => {
    expect(formatRecordId(id(1_718_000_000_123, 42))).toBe("001718000000123-0000000042");
    expect(parseRecordId("001718000000123-0000000042")).toEqual(id(1_718_000_000_123, 42));
    expect(parseRecordId("9-0")).toEqual(id(9, 0));
  });

  test("sorts as the ids do: 9-0 before 10-0", () => {
    expect(formatRecordId(id(9, 0)) < formatRecordId(id(10, 0))).toBe(true);
    fc.assert(
      fc.property(anyId, anyId, (left, right) => {
        const [leftText, rightText] = [formatRecordId(left), formatRecordId(right)];
        const textOrder = leftText < rightText ? -1 : leftText > rightText ? 1 : 0;
        expect(Math.sign(compareRecordIds(left, right))).toBe(textOrder);
        expect(parseRecordId(leftText)).toEqual(left);
      }),
    );
  });

  test.each(["", "-", "1", "1-", "-1", "1-2-3", "a-b", " 1-2", "1-2 ", "+1-2", "1.5-0", "1e3-0", "٣-٤"])(
    "%j is no id",
    (text) => {
      expect(parseRecordId(text)).toBe(undefined);
    },
  );

  test("numbers that do not fit are no id", () => {
    expect(parseRecordId(`${idMillisecondsMax}-${idSequenceMax}`)).toEqual(recordIdLast);
    expect(parseRecordId(`${idMillisecondsMax + 1}-0`)).toBe(undefined);
    expect(parseRecordId(`0-${idSequenceMax + 1}`)).toBe(undefined);
  });
});

describe("bytes", () => {
  test("are 12, big-endian, and sort as the ids do", () => {
    fc.assert(
      fc.property(anyId, anyId, (left, right) => {
        const bytes = new Uint8Array(2 * recordIdBytes);
        encodeRecordId(left, bytes, 0);
        encodeRecordId(right, bytes, recordIdBytes);
        expect(decodeRecordId(bytes, 0)).toEqual(left);
        const difference = bytes
          .slice(0, recordIdBytes)
          .findIndex((byte, at) => byte !== bytes[recordIdBytes + at]);
        const order = difference < 0 ? 0 : bytes[difference]! - bytes[recordIdBytes + difference]!;
        expect(Math.sign(compareRecordIds(left, right))).toBe(Math.sign(order));
      }),
    );
  });

  test("milliseconds of more than 48 bits are no id", () => {
    expect(decodeRecordId(new Uint8Array(12).fill(255), 0)).toBe(undefined);
  });
});

describe("ids that are given out", () => {
  test("rise, whatever the clock does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 60 }), (times) => {
        const source = new RecordIdSource();
        let last = recordIdZero;
        for (const time of times) {
          const result = source.next({ kind: "automatic" }, time);
          if (result.kind !== "id") throw new Error(result.kind);
          expect(compareRecordIds(result.id, last)).toBeGreaterThan(0);
          last = result.id;
        }
      }),
    );
  });

  test("follow the clock forwards, stand with it, and do not go back with it", () => {
    const source = new RecordIdSource();
    const next = (time: number): string => {
      const result = source.next({ kind: "automatic" }, time);
      return result.kind === "id" ? `${result.id.milliseconds}-${result.id.sequence}` : result.kind;
    };
    expect([100, 100, 100.7, 90, 101, 50].map(next)).toEqual([
      "100-0",
      "100-1",
      "100-2",
      "100-3",
      "101-0",
      "101-1",
    ]);
  });

  test("0-0 is never one of them", () => {
    expect(new RecordIdSource().next({ kind: "automatic" }, 0)).toEqual({ kind: "id", id: id(0, 1) });
    expect(new RecordIdSource().next({ kind: "partial", milliseconds: 0 }, 5)).toEqual({
      kind: "id",
      id: id(0, 1),
    });
    expect(new RecordIdSource().next({ kind: "explicit", id: id(0, 0) }, 5)).toMatchObject({
      kind: "too-small",
    });
  });

  test("borrow the next millisecond when the sequence is used up", () => {
    const source = new RecordIdSource(id(7, idSequenceMax));
    expect(source.next({ kind: "automatic" }, 7)).toEqual({ kind: "id", id: id(8, 0) });
    const near = new RecordIdSource(id(7, idSequenceMax - 2));
    expect(near.reserve(7, 3)).toBe(true);
    expect(near.last).toEqual(id(8, 2));
  });

  test("end with the last millisecond", () => {
    const source = new RecordIdSource(recordIdLast);
    expect(source.next({ kind: "automatic" }, 7)).toEqual({ kind: "exhausted", last: recordIdLast });
    expect(source.reserve(0, 1)).toBe(false);
    expect(source.last).toEqual(recordIdLast);
  });

  test("a partial id goes on within its millisecond and is too small in an earlier one", () => {
    const source = new RecordIdSource();
    const ask = (milliseconds: number): unknown => source.next({ kind: "partial", milliseconds }, 0);
    expect(ask(5)).toEqual({ kind: "id", id: id(5, 0) });
    expect(ask(5)).toEqual({ kind: "id", id: id(5, 1) });
    expect(ask(4)).toEqual({ kind: "too-small", last: id(5, 1) });
    expect(ask(6)).toEqual({ kind: "id", id: id(6, 0) });
    expect(
      new RecordIdSource(id(5, idSequenceMax)).next({ kind: "partial", milliseconds: 5 }, 9),
    ).toMatchObject({
      kind: "exhausted",
    });
  });

  test("an explicit id must be larger than the last, equal is not enough", () => {
    const source = new RecordIdSource();
    const ask = (wanted: RecordId): string => source.next({ kind: "explicit", id: wanted }, 0).kind;
    expect([id(5, 5), id(5, 5), id(5, 4), id(4, 9), id(5, 6)].map(ask)).toEqual([
      "id",
      "too-small",
      "too-small",
      "too-small",
      "id",
    ]);
  });

  test("requests are read from text", () => {
    expect(parseIdRequest("*")).toEqual({ kind: "automatic" });
    expect(parseIdRequest("0005-*")).toEqual({ kind: "partial", milliseconds: 5 });
    expect(parseIdRequest("5-1")).toEqual({ kind: "explicit", id: id(5, 1) });
    for (const text of ["", "**", "*-1", "5-", "5", "-*"]) expect(parseIdRequest(text)).toBe(undefined);
  });
});

describe("ranges", () => {
  test.each([
    ["-", "+", recordIdZero, recordIdLast],
    ["5", "5", id(5, 0), id(5, idSequenceMax)],
    ["5-2", "6-3", id(5, 2), id(6, 3)],
    ["(5-2", "(6-3", id(5, 3), id(6, 2)],
    ["(5", "(7", id(6, 0), id(6, idSequenceMax)],
    [`(5-${idSequenceMax}`, "(6-0", id(6, 0), id(5, idSequenceMax)],
  ])("%s to %s", (first, last, from, to) => {
    expect(parseIdRange(first, last)).toEqual({ first: from, last: to });
  });

  test("nothing lies outside all ids", () => {
    for (const [first, last] of [
      ["(281474976710655", "+"],
      ["-", "(0-0"],
    ] as const) {
      const range = parseIdRange(first, last)!;
      expect(compareRecordIds(range.first, range.last)).toBeGreaterThan(0);
    }
  });

  test.each(["", "(", "((5", "5-", "*", "5-*"])("%j is no bound", (bound) => {
    expect(parseIdRange(bound, "+")).toBe(undefined);
    expect(parseIdRange("-", bound)).toBe(undefined);
  });
});
