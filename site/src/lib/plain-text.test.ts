/** The search finds what a reader can read: text, not marks. */
import { expect, test } from "vitest";
import { plainText, sectionsOf } from "./plain-text.ts";

test("marks, tags and addresses go, and the text stays", () => {
  expect(plainText("A *long* `word` in [a link](../02-framing/) and **more**.")).toBe(
    "A long word in a link and more .",
  );
  expect(plainText('<Predict prompt="What?" choices={["a", "b"]} answer={1}>because</Predict>')).toBe(
    "because",
  );
  expect(plainText("- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |")).toBe("one two a b 1 2");
});

test("a name with underscores and a comparison stay whole", () => {
  expect(plainText("payload_length is below 3 < 4")).toBe("payload_length is below 3 < 4");
});

test("headings begin sections, and a # in code does not", () => {
  const body = "Before.\n\n## One `thing`\n\nText.\n\n```sh\n## no heading\n```\n\n### Two\nEnd.";
  expect(sectionsOf(body)).toEqual([
    { heading: undefined, text: "Before." },
    { heading: "One thing", text: "Text. ## no heading" },
    { heading: "Two", text: "End." },
  ]);
});
