import { describe, expect, test } from "vitest";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { parseExercise, sourceProblems } from "./exercise-file.ts";
import { fixtureTree } from "./fixtures/fixture.ts";

const path = "exercises/01-tiny/01-counter/exercise.json";
const text = fixtureTree.read(path)!;
const good = JSON.parse(text) as Exercise;
const source = fixtureTree.read(good.source)!;

/** What is said about the good exercise after `change` has spoilt it. */
function problemsAfter(change: (exercise: Record<string, never>) => void): readonly string[] {
  const spoilt = structuredClone(good) as unknown as Record<string, never>;
  change(spoilt);
  const result = parseExercise(path, JSON.stringify(spoilt));
  return result.kind === "invalid" ? result.problems : [];
}

test("a good exercise is read, and is said nothing about", () => {
  const result = parseExercise(path, text);
  expect(result.kind === "exercise" && result.exercise.id).toBe("01-tiny/01-counter");
  expect(result.kind === "exercise" && sourceProblems(result.exercise, source)).toEqual([]);
});

describe("what is not JSON is named by line and column", () => {
  test.each([
    ['{\n  "id": 1,\n  oops\n}', `${path}:3:3: this is not JSON: `],
    ['{"id": "x"', `${path}:1:11: this is not JSON: `],
    ["", `${path}:1:1: this is not JSON: the file ends too early`],
  ])("%j", (broken, start) => {
    const result = parseExercise(path, broken);
    const [problem, ...rest] = result.kind === "invalid" ? result.problems : [];
    expect(problem?.slice(0, start.length)).toBe(start);
    expect(problem).not.toContain("\n");
    expect(rest).toEqual([]);
  });
});

describe("a wrong form is named by place, with what was found and what is allowed", () => {
  test.each<[string, (exercise: any) => void]>([
    [
      'depth: found "deep", allowed are "guided", "skeleton", "blank"',
      (exercise) => (exercise.depth = "deep"),
    ],
    ["tests[1].points: found -1, it must be > 0", (exercise) => (exercise.tests[1].points = -1)],
    ['tests[0].points: found "4", it must be a number', (exercise) => (exercise.tests[0].points = "4")],
    ['the key "title" is missing', (exercise) => delete exercise.title],
    ['unknown key "titel", did you mean "title"?', (exercise) => (exercise.titel = "x")],
    [
      "holes[0].hints: found a list of 2, it must NOT have fewer than 3 items",
      (exercise) => exercise.holes[0].hints.pop(),
    ],
    [
      'rules[0].must: found "It may.", it must match \\bMUST\\b',
      (exercise) => (exercise.rules[0].must = "It may."),
    ],
    [
      'number: found "1.2", it must match ^E[0-9]+\\.[0-9]+$, such as "E1.2"',
      (exercise) => (exercise.number = "1.2"),
    ],
    ["found a list of 0, it must be an object", (exercise) => void exercise],
  ])("%s", (message, change) => {
    const problems = message.startsWith("found a list of 0")
      ? parseProblems("[]")
      : problemsAfter(change as never);
    expect(problems).toContain(`${path}: ${message}`);
  });
});

function parseProblems(json: string): readonly string[] {
  const result = parseExercise(path, json);
  return result.kind === "invalid" ? result.problems : [];
}

describe("a reference that leads nowhere is named", () => {
  test.each<[string, (exercise: any) => void]>([
    [
      'id: found "01-tiny/02-other", the folder is "01-tiny/01-counter"',
      (exercise) => (exercise.id = "01-tiny/02-other"),
    ],
    ['tests[1].id: found "adds", which tests[0] has too', (exercise) => (exercise.tests[1].id = "adds")],
    ['tests[0].rule: found "R9", did you mean "R1"?', (exercise) => (exercise.tests[0].rule = "R9")],
    [
      'tests[0].objective: found "x", there is only counting, waiting',
      (exercise) => (exercise.tests[0].objective = "x"),
    ],
    [
      'mutants[0].killedBy[0]: found "limits", did you mean "limit"?',
      (exercise) => (exercise.mutants[0].killedBy = ["limits"]),
    ],
    ["rules: no test proves R2", (exercise) => (exercise.tests[1].rule = "R1")],
    [
      "prediction.answer: found 2, there are 2 choices, from 0",
      (exercise) => (exercise.prediction.answer = 2),
    ],
  ])("%s", (message, change) => {
    expect(problemsAfter(change as never)).toContain(`${path}: ${message}`);
  });
});

describe("what does not fit the reference is named", () => {
  const mutated = (edits: Exercise["mutants"][number]["edits"]): readonly string[] => {
    return sourceProblems({ ...good, mutants: [{ ...good.mutants[0]!, edits }] }, source);
  };

  test("an edit whose text is not there once", () => {
    expect(mutated([{ find: "nowhere to be found", replace: "" }])).toEqual([
      `${path}: mutants[0] (0.1-01): in reference/tiny/counter.ts, "nowhere to be found" occurs nowhere, it must occur once`,
    ]);
    expect(mutated([{ find: "total", replace: "" }])[0]).toMatch(
      /"total" occurs \d+ times, it must occur once$/,
    );
  });

  test("an edit that changes nothing", () => {
    expect(mutated([{ find: "total += step.by", replace: "total += step.by" }])[0]).toContain(
      "change nothing",
    );
  });

  test("a region that is gone", () => {
    expect(sourceProblems(good, "export const nothing = 1;\n")[0]).toBe(
      `${path}: reference/tiny/counter.ts: there is no region count; its regions: none`,
    );
  });
});
