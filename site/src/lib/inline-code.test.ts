/** Code between backticks, and backticks that are none. */
import { expect, test } from "vitest";
import { textParts } from "./inline-code.ts";

test("code stands between two backticks", () => {
  expect(textParts("call `uint8()` first")).toEqual([
    { text: "call ", isCode: false },
    { text: "uint8()", isCode: true },
    { text: " first", isCode: false },
  ]);
});

test("a backtick alone, and two with nothing between, are text", () => {
  expect(textParts("a ` b")).toEqual([{ text: "a ` b", isCode: false }]);
  expect(textParts("``")).toEqual([{ text: "``", isCode: false }]);
});
