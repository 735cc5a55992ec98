import { describe, expect, test } from "vitest";
import { bundleExercise } from "./bundle.ts";
import { fixtureBundle, fixtureId, fixtureTree } from "./fixtures/fixture.ts";
import { parsePlants } from "./plant.ts";
import { findExercise } from "./source-tree.ts";

describe("a bundle", () => {
  test("holds what the suite and the solution can reach, and nothing else", () => {
    expect(Object.keys(fixtureBundle().files)).toEqual([
      "exercises/01-tiny/01-counter/counter.test.ts",
      "exercises/01-tiny/01-counter/counter.ts",
      "exercises/lib/explain.ts",
      "exercises/lib/seed.ts",
      "exercises/lib/todo.ts",
      "reference/base/crc32.ts",
      "reference/ports.ts",
      "reference/tiny/limits.ts",
    ]);
  });

  test("has the stub of the exercise's depth as the file to edit, whatever lies on the disk", () => {
    const { files, editable, stubs } = fixtureBundle();
    expect(files[editable]).toBe(stubs.skeleton);
  });

  test("survives JSON, so that a page can be handed one", () => {
    const bundle = fixtureBundle();
    expect(JSON.parse(JSON.stringify(bundle))).toEqual(bundle);
  });

  test("that cannot be made says which file is missing, and who needs it", () => {
    const without = (missing: string) => ({
      read: (path: string) => (path === missing ? undefined : fixtureTree.read(path)),
    });
    expect(bundleExercise(fixtureId, without("reference/tiny/limits.ts"))).toEqual({
      kind: "invalid",
      problems: [
        "exercises/01-tiny/01-counter/counter.ts needs reference/tiny/limits.ts, and there is no such file",
      ],
    });
    expect(bundleExercise(fixtureId, without("reference/tiny/counter.ts"))).toEqual({
      kind: "invalid",
      problems: [
        "exercises/01-tiny/01-counter/exercise.json: source: there is no file reference/tiny/counter.ts",
      ],
    });
    expect(bundleExercise("01-tiny/09-none", fixtureTree)).toMatchObject({ kind: "invalid" });
  });
});

describe("an exercise is found", () => {
  const ids = [
    "01-protocol/01-primitives",
    "01-protocol/02-frame",
    "01-protocol/03-frame-stream",
    "02-storage/01-record",
  ];

  test.each([
    ["01-protocol/02-frame", "01-protocol/02-frame"],
    ["02-frame", "01-protocol/02-frame"],
    ["frame", "01-protocol/02-frame"],
    ["stream", "01-protocol/03-frame-stream"],
    ["prim", "01-protocol/01-primitives"],
    ["exercises/02-storage/01-record/", "02-storage/01-record"],
  ])("%s means %s", (name, id) => {
    expect(findExercise(name, ids)).toEqual({ kind: "found", id });
  });

  test("not, when several are meant, or none; then what is near is offered", () => {
    expect(findExercise("protocol", ids)).toMatchObject({
      problem: expect.stringContaining("may be 01-protocol/01"),
    });
    expect(findExercise("fram-stream", ids)).toEqual({
      kind: "not-found",
      problem: "there is no exercise fram-stream; did you mean frame-stream or 03-frame-stream?",
    });
    expect(findExercise("zebra", ids)).toMatchObject({
      problem: expect.stringContaining("there are 01-protocol/01"),
    });
  });
});

describe("a list of bugs to plant", () => {
  test("is read", () => {
    const plant = { exercise: "frame", find: "a", replace: "", why: "w" };
    expect(parsePlants("bugs.json", JSON.stringify([plant]))).toEqual({ kind: "plants", plants: [plant] });
  });

  test.each([
    ["[\n  {,\n]", "bugs.json:2: this is not JSON"],
    ["{}", "bugs.json: must be a list of {exercise, find, replace, why}"],
    ['[{"exercise": "frame", "find": 5}]', "bugs.json: [0].find: must be a text, found 5"],
    ["[null]", "bugs.json: [0].exercise: must be a text, found nothing"],
  ])("is refused with the place of what is wrong: %s", (text, start) => {
    const result = parsePlants("bugs.json", text);
    expect(result.kind === "invalid" && result.problem.startsWith(start)).toBe(true);
  });
});
