import { expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import {
  fieldAt,
  formatFields,
  frameLayout,
  lengthPrefixedField,
  readFields,
  uintField,
} from "./field-tree.ts";

const hello = "00000015 0102030405060708 02 01 8001 68656c6c6f 1a50f066";

test("a request is read field by field, with its checksum worked out", () => {
  const fields = readFields(fromHex(hello)!, frameLayout("request"));
  expect(fields.map(({ name, start, end }) => `${name} ${start}..${end}`)).toEqual([
    "length 0..4",
    "requestId 4..12",
    "type 12..13",
    "version 13..14",
    "flags 14..16",
    "payload 16..21",
    "crc32 21..25",
  ]);
  expect(fields[5]!.value).toBe('5 bytes: 68 65 6c 6c 6f "hello"');
  expect(fields[6]!.value).toBe("0x1a50f066 = 441512038 (matches)");
  const changed = fromHex(hello.replace("68656c", "68656d"))!;
  expect(readFields(changed, frameLayout("request"))[6]!.value).toMatch(/bytes before it give 0x/);
});

test("a response has an error code when its status is not 0", () => {
  const named = (digits: string): string[] =>
    readFields(fromHex(digits)!, frameLayout("response")).map(({ name, value }) => `${name}: ${value}`);
  expect(named("0000000d 0000000000000007 00 b5cb5bf5")).toContain("errorCode: absent: status 0");
  expect(named("0000000f 0102030405060708 01 000c 267abf0d")).toContain("errorCode: 0x000c = 12");
});

test("nothing is too broken: what is missing is said, what is left over is shown", () => {
  for (let cut = 0; cut <= 25; cut++) readFields(fromHex(hello)!.subarray(0, cut), frameLayout("request"));
  const short = readFields(fromHex("00000015 0102")!, frameLayout("request"));
  expect(short[1]!.value).toBe("2 of 8 bytes");
  expect(readFields(fromHex("ffffffff")!, frameLayout("request")).at(-1)!.value).toBe("0 of 4 bytes");
  expect(readFields(fromHex("05 06 07")!, [uintField("one", 1)])[1]).toMatchObject({
    name: "left over",
    start: 1,
    end: 3,
  });
  expect(readFields(fromHex("fffffff0 61")!, [lengthPrefixedField("text")])[0]!.end).toBe(4);
});

test("an arrow stands at the field of the marked byte, or at the last one behind the end", () => {
  const fields = readFields(fromHex("01 0203")!, [uintField("one", 1), uintField("two", 2)]);
  expect(formatFields(fields, 2)).toBe("  0..1  one  0x01 = 1\n> 1..3  two  0x0203 = 515");
  expect(fieldAt(fields, 9)?.name).toBe("two");
  expect(fieldAt([], 0)).toBeUndefined();
});
