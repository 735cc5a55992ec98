/**
 * The same bundle and the same submission get the same grade in every backend, times aside. Vitest on Node is the
 * yardstick; whatever the page or a container does otherwise shows up here. (The container is the stand-in over real
 * processes: what that proves, and what it cannot, stands in exercises/grader/webcontainer/index.ts.)
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { bundleExercise, type SourceTree } from "#exercises/tools/bundle.ts";
import { applyEdits } from "#exercises/tools/edits.ts";
import { fixtureId, fixtureTree } from "#exercises/tools/fixtures/fixture.ts";
import { listExerciseIds, listExercises, projectRoot, sourceTree } from "#exercises/tools/source-tree.ts";
import { runVariants } from "#exercises/tools/variants.ts";
import { changedOnly, rememberVerified, toolchainFingerprint } from "#exercises/tools/verified.ts";
import { solutionOf } from "#exercises/tools/verify.ts";
import { findBrowser } from "../../../scripts/find-browser.ts";
import type { Backend, RunEnd, RunEvent } from "../backend.ts";
import { withoutTimes, type Grade } from "../grade.ts";
import { createLocalBackend } from "../local/index.ts";
import { scoreRun } from "../score.ts";
import { createWebContainerBackend } from "../webcontainer/index.ts";
import { bootLocalProcessContainer, readRunnerFiles } from "../webcontainer/local-process-container.ts";
import { goodRing, openTestPage, ringBundle, type TestPage } from "./test/harness.ts";

const seed = 7;

/**
 * How many mutants of each exercise are compared, spread evenly; all of them with `OZ_PARITY=all`. They are there to
 * bring many kinds of failures, and a course has more of them than a test run has minutes.
 */
const mutantsMax = process.env["OZ_PARITY"] === "all" ? Number.POSITIVE_INFINITY : 1;

/**
 * With `OZ_PARITY=changed`, as `npm test` has it, exercises are left out that were compared on this machine as they are
 * now, and by the same code in the same browser. A fresh clone compares all.
 */
const isChangedOnly = process.env["OZ_PARITY"] === "changed";
const tree = sourceTree();
const toolchain = await compareFingerprint();
const { exercises } = listExercises();
const changed = isChangedOnly ? changedOnly(exercises, tree, toolchain, "compared.json") : exercises;
const unchangedIds = new Set(exercises.filter((one) => !changed.includes(one)).map(({ id }) => id));
const chosenIds = listExerciseIds().filter((id) => !unchangedIds.has(id));
const local = createLocalBackend();
let container: Backend;
let page: TestPage;

beforeAll(async () => {
  container = createWebContainerBackend({
    boot: bootLocalProcessContainer,
    runnerFiles: await readRunnerFiles(),
  });
  page = await openTestPage();
});

afterAll(async () => {
  await page.close();
  await container.dispose();
  await local.dispose();
});

type Graded = ReturnType<typeof withoutTimes>;

function grade(bundle: ExerciseBundle, events: readonly RunEvent[], end: RunEnd): Graded {
  const run = { bundle, seed, events, end, startedAt: "", durationMs: 0, backend: "local" } as const;
  return withoutTimes(scoreRun(run) satisfies Grade);
}

async function gradeBy(backend: Backend, bundle: ExerciseBundle, submission: string): Promise<Graded> {
  const events: RunEvent[] = [];
  const end = await backend.run({ bundle, submission, seed }, (event) => void events.push(event));
  return grade(bundle, events, end);
}

async function gradeInPage(bundle: ExerciseBundle, submission: string): Promise<Graded> {
  const { events, end } = await page.run({ bundle, submission, seed });
  return grade(bundle, events, end);
}

/** Compares the three grades, and returns one of them for a closer look. The page's may be known already. */
async function expectEqualGrades(
  bundle: ExerciseBundle,
  submission: string,
  known?: Graded,
): Promise<Graded> {
  const [inPage, onNode, inContainer] = await Promise.all([
    known ?? gradeInPage(bundle, submission),
    gradeBy(local, bundle, submission),
    gradeBy(container, bundle, submission),
  ]);
  expect({ inPage, inContainer }).toEqual({ inPage: onNode, inContainer: onNode });
  return onNode;
}

/** The fixture with a plan of its tests, so that each of them has its place in the grade. */
function planned(bundle: ExerciseBundle, names: readonly string[]): ExerciseBundle {
  const tests = names.map((name, index) => {
    return {
      id: `t${index}`,
      name,
      rule: "R1",
      objective: "o",
      level: "L1",
      kind: "safety",
      points: 1,
    } as const;
  });
  return { ...bundle, exercise: { ...bundle.exercise, tests } };
}

async function namesIn(bundle: ExerciseBundle): Promise<readonly string[]> {
  const { events } = await page.run({ bundle, submission: goodRing, seed });
  return events.flatMap((event) => (event.kind === "collected" ? event.names : []));
}

describe("a suite that uses all that suites may use", () => {
  test.each([
    ["good", "", "", 24],
    ["wrong values", "total + value, 0)", "total * 2 + value, 0)", 20],
    ["wrong state", "#values: number[] = [];", "#values: number[] = [9];", 19],
    ["a throw", "this.#values.shift();", "throw new RangeError('full');", 22],
    ["a throw of text", "this.#values.shift();", "throw 'full';", 22],
    ["a type error", "return [...this.#values];", "return (this as never as { gone: [] }).gone.slice();", 19],
    ["an undefined value", "return [...this.#values];", "return (undefined as never)[0];", 19],
    ["other words", "capacity ${capacity} is not positive", "wrong: ${capacity}", 23],
    ["a timer too late", "setTimeout(callback, delayMs)", "setTimeout(callback, delayMs + 1)", 22],
    ["endless recursion", "return this.#values.length;", "return this.size;", 19],
    [
      "printing",
      "this.#values.push(value);",
      "console.log({ value }, [1n, null], this); this.#values.push(value);",
      24,
    ],
    [
      "a rejection that nobody handles",
      "this.#values.push(value);",
      "this.#values.push(value); void fail();",
      24,
    ],
    ["an unfinished part", "return values.reduce(", "throw new TodoError('sum'); return values.reduce(", 18],
    ["a promise that never settles", "await Promise.resolve();", "await new Promise(() => {});", 21],
    [
      "an endless loop",
      "this.#values.push(value);",
      "while (value === 7);\n    this.#values.push(value);",
      23,
    ],
    ["a syntax error", "get size(): number {", "get size(): number {{", 0],
    ["a missing export", "export function later", "function later", 0],
    ["a throw while it is loaded", "/** The sum,", "throw new Error('at once');\n/** The sum,", 0],
  ])("%s", async (_title, find, replace, points) => {
    const bundle = planned(ringBundle, await namesIn(ringBundle));
    const helper = "\nasync function fail(): Promise<never> {\n  throw new Error('unheard');\n}\n";
    const grade = await expectEqualGrades(bundle, goodRing.replace(find, replace) + helper);
    expect(grade.points.earned).toBe(points);
  });
});

describe("the versions of an exercise: its solution, its stubs, its mutants", () => {
  test.each([[fixtureId, fixtureTree], ...chosenIds.map((id): [string, SourceTree] => [id, tree])])(
    "%s",
    async (id, files) => {
      const result = bundleExercise(id, files);
      if (result.kind === "invalid") throw new Error(result.problems.join("\n"));
      const { bundle } = result;
      const texts = versionsOf(bundle, files);
      const onNode = runVariants(
        texts.map(({ text }) => ({ bundle, text })),
        { seed },
      );
      const inPage: Graded[] = [];
      for (const { text } of texts) inPage.push(await gradeInPage(bundle, text));
      for (const [index, { events, end }] of (await onNode).entries()) {
        const name = texts[index]?.name;
        expect({ name, grade: inPage[index] }).toEqual({ name, grade: grade(bundle, events, end) });
      }
      for (const text of [bundle.solution, bundle.stubs.blank]) {
        await expectEqualGrades(bundle, text, inPage[texts.findIndex((version) => version.text === text)]);
      }
      if (files === tree) rememberVerified([bundle.exercise], tree, toolchain, "compared.json");
    },
    600_000,
  );
});

/** A fingerprint of all that a comparison depends on beside the exercise. */
async function compareFingerprint(): Promise<string> {
  const hash = createHash("sha256").update(toolchainFingerprint());
  hash.update(String(mutantsMax)).update(readFileSync(import.meta.filename));
  for (const script of ["build-runner.ts", "find-browser.ts", "static-server.ts"]) {
    hash.update(readFileSync(join(projectRoot, "scripts", script)));
  }
  const browser = await findBrowser();
  return hash.update(`${browser} ${statSync(browser).mtimeMs}`).digest("hex");
}

function versionsOf(
  bundle: ExerciseBundle,
  files: SourceTree,
): { readonly name: string; readonly text: string }[] {
  const { exercise, solution, stubs } = bundle;
  const source = files.read(exercise.source) ?? "";
  const step = Math.max(1, exercise.mutants.length / mutantsMax);
  const chosen = exercise.mutants.filter(
    (_mutant, index) => Math.floor(index / step) > Math.floor((index - 1) / step),
  );
  const mutants = chosen.map(({ id, edits }) => {
    const edited = applyEdits(source, edits);
    if (edited.kind === "invalid") throw new Error(`${id}: ${edited.problem}`);
    return { name: `mutant ${id}`, text: solutionOf(exercise, edited.text) };
  });
  const named = Object.entries(stubs).map(([depth, text]) => ({ name: `the ${depth} stub`, text }));
  return [{ name: "the solution", text: solution }, ...named, ...mutants];
}
