import { describe, expect, test } from "vitest";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { parseExercise, sourceProblems } from "./exercise-file.ts";
import { fixtureTree } from "./fixtures/fixture.ts";

const path = "exercises/01-tiny/01-counter/exercise.json";
const text = fixtureTree.read(path)!;
const good = JSON.parse(text) as Exercise;
const source = fixtureTree.read(good.source)!;

/** The good exercise with another value at a place such as `tests.1.points`; undefined takes the key away. */
function spoil(place: string, value: unknown): string {
  const spoilt = structuredClone(good) as object;
  const keys = place.split(".");
  const last = keys.pop()!;
  const parent = keys.reduce((at, key) => Reflect.get(at, key) as object, spoilt);
  if (value === undefined) Reflect.deleteProperty(parent, last);
  else Reflect.set(parent, last, value);
  return JSON.stringify(spoilt);
}

function problemsOf(json: string): readonly string[] {
  const result = parseExercise(path, json);
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
  test.each<[string, string, unknown]>([
    ['depth: found "deep", allowed are "guided", "skeleton", "blank"', "depth", "deep"],
    ["tests[1].points: found -1, it must be > 0", "tests.1.points", -1],
    ['tests[0].points: found "4", it must be a number', "tests.0.points", "4"],
    ['the key "title" is missing', "title", undefined],
    ['unknown key "titel", did you mean "title"?', "titel", "x"],
    ["holes[0].hints: found a list of 2, it must NOT have fewer than 3 items", "holes.0.hints", ["a", "b"]],
    ['rules[0].must: found "It may.", it must match \\bMUST\\b', "rules.0.must", "It may."],
    ['number: found "1.2", it must match ^E[0-9]+\\.[0-9]+$, such as "E1.2"', "number", "1.2"],
  ])("%s", (message, place, value) => {
    expect(problemsOf(spoil(place, value))).toContain(`${path}: ${message}`);
  });

  test("also when it is no exercise at all", () => {
    expect(problemsOf("[]")).toEqual([`${path}: found a list of 0, it must be an object`]);
  });
});

describe("a reference that leads nowhere is named", () => {
  test.each<[string, string, unknown]>([
    ['id: found "01-tiny/02-other", the folder is "01-tiny/01-counter"', "id", "01-tiny/02-other"],
    ['tests[1].id: found "adds", which tests[0] has too', "tests.1.id", "adds"],
    ['tests[0].rule: found "R9", did you mean "R1"?', "tests.0.rule", "R9"],
    ['tests[0].objective: found "x", there is only counting, waiting', "tests.0.objective", "x"],
    ['mutants[0].killedBy[0]: found "limits", did you mean "limit"?', "mutants.0.killedBy.0", "limits"],
    ["rules: no test proves R2", "tests.1.rule", "R1"],
    ["prediction.answer: found 2, there are 2 choices, from 0", "prediction.answer", 2],
  ])("%s", (message, place, value) => {
    expect(problemsOf(spoil(place, value))).toContain(`${path}: ${message}`);
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
