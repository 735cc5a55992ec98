import { expect, test } from "vitest";
import { fixtureBundle } from "#exercises/tools/fixtures/fixture.ts";
import type { RunEnd, RunEvent } from "./backend.ts";
import { renderGrade } from "./render-text.ts";
import { scoreRun } from "./score.ts";

const bundle = fixtureBundle();

function render(events: readonly RunEvent[], end: RunEnd = { kind: "completed" }): string {
  return renderGrade(
    scoreRun({ bundle, seed: 1, events, end, backend: "local", startedAt: "", durationMs: 480 }),
  );
}

test("the list shows every test, and the first failure stands below it in full", () => {
  const events = bundle.exercise.tests.map(({ name }, index): RunEvent => {
    if (index !== 1) return { kind: "finished", name, state: "pass", durationMs: 1, errors: [] };
    const error = {
      name: "Explanation",
      message: "the count passes its limit",
      expected: "10",
      actual: "one\ntwo",
      where: "count = 101\n        ^^^",
      stack: [{ file: bundle.editable, line: 25, method: "count" }],
    };
    return { kind: "finished", name, state: "fail", durationMs: 1, errors: [error] };
  });
  expect(render([{ kind: "console", text: "hello" }, ...events])).toBe(
    [
      "A counter · 01-tiny/01-counter",
      "",
      "  count",
      "    ✓ adds the steps 4",
      "    ✗ stops at the limit 0/2.5",
      "  ✓ doubles 1",
      "  Counter",
      "    ✓ counts up 1",
      "    ✓ answers later 1.5",
      "",
      "  printed:",
      "  │ hello",
      "",
      "✗ count > stops at the limit",
      "  R2  A count MUST NOT exceed 10.",
      "",
      "  the count passes its limit",
      "",
      "  expected  10",
      "  actual",
      "    one",
      "    two",
      "",
      "  count = 101",
      "          ^^^",
      "",
      "  at count exercises/01-tiny/01-counter/counter.ts:25",
      "",
      "  seed 1 · once more: npx oz test 01-tiny/01-counter -t limit --seed 1",
      "",
      "  This pattern of failures is known:",
      "  The limit is forgotten.",
      "  What is the count of 100 steps?",
      "",
      "  7.5 of 10 points · 4 of 5 tests · 0.5 s",
    ].join("\n"),
  );
});

test("a submission that cannot run gets the place and the message instead of a list", () => {
  const stack = [{ file: bundle.editable, line: 3, method: "" }];
  const text = render([], {
    kind: "unloadable",
    errors: [{ name: "SyntaxError", message: "Unexpected token", stack }],
  });
  expect(text).toContain(`${bundle.editable}:3\n    Unexpected token`);
  expect(text).not.toContain("points");
});
