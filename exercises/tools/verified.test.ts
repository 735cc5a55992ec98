/** What makes an exercise count as changed. */
import { expect, test } from "vitest";
import { fixtureBundle, fixtureTree } from "./fixtures/fixture.ts";
import { pathsOf, type SourceTree } from "./bundle.ts";
import { exerciseFingerprint, toolchainFingerprint } from "./verified.ts";

const tree = fixtureTree;
const { exercise } = fixtureBundle();

/** The fixture with one file's text changed. */
const changed = (path: string): SourceTree => ({
  read: (wanted) => {
    const text = tree.read(wanted);
    return wanted === path && text !== undefined ? `${text}\n// changed\n` : text;
  },
});

test("the same inputs have the same fingerprint, another toolchain has another", () => {
  const print = exerciseFingerprint(exercise, tree, "a");
  expect(print).toMatch(/^[0-9a-f]{64}$/);
  expect(exerciseFingerprint(exercise, tree, "a")).toBe(print);
  expect(exerciseFingerprint(exercise, tree, "b")).not.toBe(print);
});

test("a change of the suite or of the reference is seen, one of another file is not", () => {
  const print = exerciseFingerprint(exercise, tree, "a");
  for (const path of [pathsOf(exercise).suite, exercise.source]) {
    expect(exerciseFingerprint(exercise, changed(path), "a")).not.toBe(print);
  }
  expect(exerciseFingerprint(exercise, changed("README.md"), "a")).toBe(print);
  expect(exerciseFingerprint({ ...exercise, title: "another" }, tree, "a")).not.toBe(print);
});

test("the toolchain's fingerprint does not depend on when it is taken", () => {
  expect(toolchainFingerprint()).toBe(toolchainFingerprint());
});
