import { expect, test } from "vitest";
import { hexDump } from "./hex-dump.ts";

const count = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index & 0xff);

test("rows of sixteen bytes with their offset and text, and carets under what is marked", () => {
  const bytes = Uint8Array.from("length-prefixed!!\0", (character) => character.charCodeAt(0));
  expect(hexDump(bytes, [{ start: 6, end: 9, note: "here" }])).toBe(
    [
      "0000  6c 65 6e 67 74 68 2d 70  72 65 66 69 78 65 64 21  |length-prefixed!|",
      "                        ^^^^^^^^^ here",
      "0010  21 00                                             |!.|",
    ].join("\n"),
  );
});

test("a caret may stand where a byte is missing, also at the start of a row that is not there", () => {
  const lines = hexDump(count(16), [{ start: 16, end: 17, note: "missing" }]).split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[2]).toBe("      ^^ missing");
  expect(hexDump(new Uint8Array(0), [{ start: 0, end: 1 }]).split("\n")[1]).toBe("      ^^");
});

test("a mark that goes over a row's end has carets in both rows and its note in the first", () => {
  const lines = hexDump(count(32), [{ start: 15, end: 18, note: "cut" }]).split("\n");
  expect(lines[1]).toMatch(/^ +\^\^ cut$/);
  expect(lines[3]).toBe("      ^^^^^");
});

test("a long dump shows its ends and what is marked", () => {
  const dump = hexDump(count(1600), [{ start: 800, end: 801, note: "here" }]);
  expect(dump).toContain("0000  00 01");
  expect(dump).toContain("0320  20 21");
  expect(dump).toContain("^^ here");
  expect(dump).toContain("…");
  expect(dump.split("\n").length).toBeLessThan(12);
});
