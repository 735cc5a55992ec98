/** A mistake in a chapter is one line that names file, line and what there is instead. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkChapter, components } from "./check-chapters.ts";
import { isolationHeaders } from "./headers.ts";

const root = join(import.meta.dirname, "..", "..");
const path = "chapters/01-protocol/09-example.mdx";
const head = `---
title: An example
chapter: 01-protocol
order: 9
summary: One line.
exercises: [01-protocol/01-primitives]
outcomes: []
---
`;

/** What is wrong with a lesson of this body, which starts at line 9. */
function complaintsAbout(body: string, frontmatter = head): string[] {
  return checkChapter(root, path, frontmatter + body);
}

test("a right lesson has no complaints", () => {
  const body = `
Text with \`<Code>\` in it.

<SourceCode file="reference/protocol/frame.ts" region="seal-frame" />
<Predict prompt="Which?" choices={["a", "b"]} answer={1}>

because

</Predict>

\`\`\`ts
import { x } from "y";
const element = <Unknown />;
\`\`\`
`;
  expect(complaintsAbout(body)).toEqual([]);
});

test.each([
  [
    "an unknown component",
    "<Sourcecode />",
    /:9: unknown component <Sourcecode>; there are SourceCode, Exercise/,
  ],
  ["a missing attribute", "<Exercise />", /:9: <Exercise> lacks id/],
  [
    "an unknown attribute",
    '<Exercise id="01-protocol/01-primitives" name="x" />',
    /:9: <Exercise> has no attribute name/,
  ],
  [
    "an unknown exercise",
    '<Exercise id="01-protocol/77-none" />',
    /:9: <Exercise> names the exercise 01-protocol\/77-none/,
  ],
  ["a missing file", '<SourceCode file="reference/none.ts" />', /:9: <SourceCode> names reference\/none\.ts/],
  [
    "a missing region",
    '<SourceCode file="reference/protocol/frame.ts" region="none" />',
    /:9: reference\/protocol\/frame\.ts has no region none; it has checksum, inspect-frame/,
  ],
  ["an import", 'import x from "y";', /:9: a chapter has no imports/],
])("%s is one line", (_name, body, expected) => {
  const complaints = complaintsAbout(body);
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toMatch(expected);
  expect(complaints[0]).toMatch(/^chapters\/01-protocol\/09-example\.mdx:9: .+$/);
});

test.each([
  ["a missing field", head.replace(/summary:.*\n/, ""), /:1: the frontmatter lacks summary/],
  [
    "another chapter",
    head.replace("chapter: 01-protocol", "chapter: 02-storage"),
    /:3: chapter is 02-storage, but the file lies in 01-protocol/,
  ],
  [
    "an unknown exercise",
    head.replace("01-primitives", "88-none"),
    /:6: there is no exercise 01-protocol\/88-none/,
  ],
  ["no frontmatter", "Text.\n", /:1: there is no frontmatter/],
])("in the frontmatter, %s is one line", (_name, frontmatter, expected) => {
  const complaints = complaintsAbout("", frontmatter);
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toMatch(expected);
});

test("the components that the check knows are those that the pages have", () => {
  const source = readFileSync(join(root, "site/src/components/chapter-components.ts"), "utf8");
  const given = [...source.matchAll(/^import (\w+) from/gm)].map((match) => match[1]);
  expect(new Set(given)).toEqual(new Set(Object.keys(components)));
});

test("hosts that read _headers send the headers that we send", () => {
  const file = readFileSync(join(root, "site/public/_headers"), "utf8");
  for (const [name, value] of Object.entries(isolationHeaders))
    expect(file).toContain(`  ${name}: ${value}\n`);
});

test("a table whose first column has no heading is refused, because a screen reader would say nothing", () => {
  expect(complaintsAbout("| | a |\n|---|---|\n| x | 1 |")).toEqual([
    `${path}:9: a table's first column needs a heading`,
  ]);
  expect(complaintsAbout("| `x` | a |\n|---|---|\n| | 1 |\n| `y` | 2 |")).toEqual([]);
});
