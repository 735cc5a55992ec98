/** What the library of the suites writes, the page reads back: bytes, carets, fields. */
import { expect, test } from "vitest";
import { expectBytes, whereIn } from "#exercises/lib/check.ts";
import { frameLayout, uintField } from "#exercises/lib/field-tree.ts";
import { hexDump } from "#exercises/lib/hex-dump.ts";
import { fieldsOf, parseWhere, type Block } from "./where.ts";

const bytes = Uint8Array.from({ length: 40 }, (_, index) => (index * 7) & 0xff);

function bytesBlock(blocks: readonly Block[], title = ""): Block & { readonly kind: "bytes" } {
  return blocks.find((block) => block.kind === "bytes" && block.title === title) as Block & { kind: "bytes" };
}

function failureOf(check: () => void): { readonly where: string } {
  try {
    check();
  } catch (error) {
    return error as { where: string };
  }
  throw new Error("the check passed");
}

test("every byte and every caret of a dump comes back at its place", () => {
  for (let at = 0; at <= bytes.length; at++) {
    for (const size of [1, 2, 5]) {
      const mark = { start: at, end: at + size, note: "here" };
      const { rows } = bytesBlock(parseWhere(hexDump(bytes, [mark])));
      const read = rows.flatMap((row) => row.bytes).map((digits) => Number.parseInt(digits, 16));
      expect(Uint8Array.from(read)).toEqual(bytes);
      const marks = rows.flatMap((row) => row.marks);
      expect(marks[0]).toMatchObject({ start: at, note: "here" });
      expect(marks.at(-1)?.end).toBe(at + size);
    }
  }
});

test("rows that a long dump leaves out are known to be missing", () => {
  const { rows } = bytesBlock(parseWhere(hexDump(new Uint8Array(0x12000), [{ start: 0x8004, end: 0x8005 }])));
  expect(rows.filter(({ isAfterGap }) => isAfterGap)).toHaveLength(2);
  expect(rows.flatMap(({ marks }) => marks)).toEqual([{ start: 0x8004, end: 0x8005, note: "" }]);
});

test("a text with a column of bars is not taken for bytes", () => {
  expect(bytesBlock(parseWhere("at 5 ms | append | sync"))).toBeUndefined();
});

test("fields come back with their bytes, and the one in question is marked", () => {
  const blocks = parseWhere(whereIn(bytes, 5, "wrong", frameLayout("request")));
  const fields = fieldsOf(blocks, bytesBlock(blocks));
  expect(fields.map(({ name }) => name).slice(0, 3)).toEqual(["length", "requestId", "type"]);
  expect(fields.filter(({ isMarked }) => isMarked)).toMatchObject([{ name: "requestId", start: 4, end: 12 }]);
});

test("a comparison has bytes and fields of both sides", () => {
  const layout = [uintField("first", 1), uintField("two words", 2)];
  const failure = failureOf(() =>
    expectBytes("it", Uint8Array.from([1, 9, 3]), Uint8Array.from([1, 2, 3]), layout),
  );
  const blocks = parseWhere(failure.where);
  expect(bytesBlock(blocks, "actual bytes").rows[0]?.bytes).toEqual(["01", "09", "03"]);
  expect(fieldsOf(blocks, bytesBlock(blocks, "expected bytes"))).toMatchObject([
    { name: "first", isMarked: false },
    { name: "two words", value: "0x0203 = 515", isMarked: true },
  ]);
});

test("what is neither stays the text it is, around a table too", () => {
  const text = `appended 3 records\nthe input\n${hexDump(Uint8Array.from([1]))}\nthen a crash`;
  expect(parseWhere(text).map((block) => (block.kind === "text" ? block.text : block.title))).toEqual([
    "appended 3 records",
    "the input",
    "then a crash",
  ]);
});
