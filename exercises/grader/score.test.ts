import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { fixtureBundle } from "#exercises/tools/fixtures/fixture.ts";
import type { RawError, RunEnd, RunEvent } from "./backend.ts";
import { consoleLinesMax, type Grade } from "./grade.ts";
import schema from "./grade.schema.json" with { type: "json" };
import { scoreRun } from "./score.ts";

const bundle = fixtureBundle();
const names = bundle.exercise.tests.map(({ name }) => name);
const validate = new Ajv({ strict: true }).compile(schema);
const completed: RunEnd = { kind: "completed" };

/** The events of a run in which the tests with these ids fail, each by `error`, and the others pass. */
function runFailing(ids: readonly string[], error: RawError = failedCheck): RunEvent[] {
  return bundle.exercise.tests.map(({ id, name }) => {
    const state = ids.includes(id) ? "fail" : "pass";
    return { kind: "finished", name, state, durationMs: 1.26, errors: state === "fail" ? [error] : [] };
  });
}

const failedCheck: RawError = { name: "Explanation", message: "too many", stack: [] };

function grade(events: readonly RunEvent[], end: RunEnd = completed): Grade {
  const times = { startedAt: "2026-11-21T05:00:00.000Z", durationMs: 12.3 };
  const result = scoreRun({ bundle, seed: 7, events, end, backend: "local", ...times });
  validate(result);
  expect(validate.errors).toBeNull();
  return result;
}

describe("points", () => {
  test("go to tests that were seen to pass", () => {
    const result = grade(runFailing(["adds"]));
    expect(result.points).toEqual({ earned: 6, possible: 10 });
    expect(result.tests.map(({ status }) => status)).toEqual(["fail", "pass", "pass", "pass", "pass"]);
    expect(result.outcome).toBe("graded");
  });

  test("stay with the tests that finished when the run was stopped, and the others are unknown", () => {
    const result = grade(runFailing([]).slice(0, 2), {
      kind: "stopped",
      reason: "too much memory\nin detail",
    });
    expect(result.points.earned).toBe(6.5);
    expect(result.tests.map(({ status }) => status)).toEqual([
      "pass",
      "pass",
      "unknown",
      "unknown",
      "unknown",
    ]);
    expect(result).toMatchObject({ outcome: "graded", reason: "too much memory" });
  });

  test("are none for a skipped test and for one that the plan does not know", () => {
    const skipped: RunEvent = { kind: "finished", name: names[0]!, state: "skip", durationMs: 0, errors: [] };
    const foreign: RunEvent = { kind: "finished", name: "another", state: "pass", durationMs: 0, errors: [] };
    const result = grade([skipped, foreign]);
    expect(result.tests[0]!.status).toBe("unknown");
    expect(result.points.earned).toBe(0);
  });

  test("of a run that could not happen are none, whatever was reported", () => {
    const broken = grade(runFailing([]), { kind: "broken", reason: "no Vitest" });
    expect(broken).toMatchObject({ outcome: "internal-error", reason: "no Vitest", points: { earned: 0 } });
    const error: RawError = {
      name: "SyntaxError",
      message: "Unexpected token",
      stack: [{ file: bundle.editable, line: 12, method: "" }],
    };
    const unloadable = grade([], { kind: "unloadable", errors: [error] });
    expect(unloadable.outcome).toBe("ungradable");
    expect(unloadable.diagnostics).toEqual([
      { file: bundle.editable, line: 12, message: "Unexpected token" },
    ]);
    expect(unloadable.reason).toBe(`${bundle.editable}:12: Unexpected token`);
  });
});

describe("a failure", () => {
  test("has its rule, what the check said, and the command that replays it", () => {
    const error: RawError = {
      ...failedCheck,
      expected: "10",
      actual: "11",
      where: "^^",
      seed: 3,
      counterexample: "[1]",
      diff: "- 10",
    };
    expect(grade(runFailing(["limit"], error)).tests[1]!.failure).toEqual({
      rule: "R2",
      must: "A count MUST NOT exceed 10.",
      message: "too many",
      expected: "10",
      actual: "11",
      where: "^^",
      seed: 3,
      counterexample: "[1]",
      replay: "npx oz test 01-tiny/01-counter -t limit --seed 7",
      stack: [],
    });
  });

  test("names the kind of an error that came out of the submission", () => {
    const error: RawError = { name: "RangeError", message: "Invalid length", stack: [] };
    expect(grade(runFailing(["limit"], error)).tests[1]!.failure?.message).toBe("RangeError: Invalid length");
  });

  test("of a time-out says how long the test may take, not how long it took", () => {
    const events: RunEvent[] = [{ kind: "timed-out", name: names[1]!, afterMs: 1234 }];
    const result = grade(events).tests[1]!;
    expect(result).toMatchObject({ status: "timeout", durationMs: 1234, points: { earned: 0 } });
    expect(result.failure?.message).toContain("within 500 ms");
  });
});

describe("a misconception", () => {
  test("is named when exactly one mutant has the same pattern of failures", () => {
    expect(grade(runFailing(["limit"])).misconception?.mutant).toBe("0.1-01");
    expect(grade(runFailing(["limit", "adds"])).misconception?.mutant).toBe("0.1-02");
    expect(grade(runFailing(["adds"])).misconception).toBeUndefined();
    expect(grade(runFailing([])).misconception).toBeUndefined();
  });

  test("is not named when two mutants share the pattern", () => {
    const killMatrix = { "0.1-01": ["limit"], "0.1-02": ["limit"] };
    const run = { seed: 1, events: runFailing(["limit"]), end: completed, startedAt: "", durationMs: 0 };
    expect(
      scoreRun({ ...run, bundle: { ...bundle, killMatrix }, backend: "local" }).misconception,
    ).toBeUndefined();
  });

  test("is not named while a test is undecided, timed out, or not written yet", () => {
    expect(grade(runFailing(["limit"]).slice(0, 4)).misconception).toBeUndefined();
    const timedOut: RunEvent = { kind: "timed-out", name: names[1]!, afterMs: 1 };
    expect(grade([...runFailing(["limit"]), timedOut]).misconception).toBeUndefined();
    const todo: RawError = { name: "TodoError", message: "not written yet: count", stack: [] };
    expect(grade(runFailing(["limit"], todo)).misconception).toBeUndefined();
  });
});

test("an error outside any test is a diagnostic of a graded run", () => {
  const error: RawError = {
    name: "Error",
    message: "lost",
    stack: [{ file: bundle.editable, line: 5, method: "f" }],
  };
  const result = grade([...runFailing([]), { kind: "stray", error }]);
  expect(result.outcome).toBe("graded");
  expect(result.diagnostics).toEqual([
    { file: bundle.editable, line: 5, message: "outside any test: Error: lost" },
  ]);
});

test("the console keeps its first lines and says how many it left out", () => {
  const texts = Array.from({ length: consoleLinesMax + 50 }, (_, index): RunEvent => {
    return { kind: "console", text: `line ${index}` };
  });
  const result = grade([{ kind: "console", text: "two\nlines" }, ...texts]).console;
  expect(result).toHaveLength(consoleLinesMax);
  expect(result.slice(0, 3)).toEqual(["two", "lines", "line 0"]);
  expect(result.at(-1)).toBe("… 53 more lines were left out");
});
