/** The search finds what is looked for, as it is typed and with a slip, and shows where. */
import { expect, test } from "vitest";
import { excerptOf, makeFinder, type SearchDocument } from "./find.ts";

const document = (id: string, title: string, text: string, heading = ""): SearchDocument => {
  return { id, kind: "lesson", title, heading, text };
};
const find = makeFinder([
  document("a", "Bytes", "A checksum is not a signature.", "What a checksum does not promise"),
  document("b", "Recovery", "After a crash the tail of the log may be torn."),
  document("c", "Framing", "A length prefix beats a delimiter."),
]);
const ids = (query: string): string[] => find(query).map(({ document }) => document.id);

test("words are found as they are typed, in any order, and with a slip", () => {
  expect(ids("recov")).toEqual(["b"]);
  expect(ids("log crash")).toEqual(["b"]);
  expect(ids("chekcsum")).toEqual(["a"]);
  expect(ids("crash delimiter")).toEqual([]);
  expect(ids("")).toEqual([]);
});

test("the excerpt begins near the match and marks it", () => {
  const text = `${"word ".repeat(60)}a torn tail ${"more ".repeat(60)}`;
  const excerpt = excerptOf(text, ["torn"]);
  expect(excerpt.filter(({ isMatch }) => isMatch).map((part) => part.text)).toEqual(["torn"]);
  const whole = excerpt.map((part) => part.text).join("");
  expect(whole).toMatch(/^… .* …$/);
  expect(whole.length).toBeLessThan(200);
});

test("what is typed is no pattern", () => {
  expect(() => excerptOf("a (b) c", ["(", "[x"])).not.toThrow();
});
