/** Excerpts of reference files for the prose. */
import { expect, test } from "vitest";
import { excerptOf, regionNames, wholeFile } from "./regions.ts";

const source = [
  "const before = 1;",
  "class Reader {",
  "  // #region read",
  "  read(): number {",
  "    return 1;",
  "  }",
  "  // #endregion read",
  "}",
  "",
].join("\n");

test("a region is shown without its marks, without common indentation, with its place in the file", () => {
  expect(excerptOf(source, "read")).toEqual({
    code: "read(): number {\n  return 1;\n}",
    firstLine: 4,
    lastLine: 6,
  });
});

test("a region that is not there, or never closed, is undefined", () => {
  expect(excerptOf(source, "write")).toBeUndefined();
  expect(excerptOf(source.replace("// #endregion read", ""), "read")).toBeUndefined();
});

test("the whole file ends at its last line", () => {
  expect(wholeFile(source)).toMatchObject({ firstLine: 1, lastLine: 8 });
});

test("the names of the regions are listed for messages", () => {
  expect(regionNames(source)).toEqual(["read"]);
});
