/**
 * Plants bugs in the reference and reports which tests find them: the way to try a suite on wrong solutions that its
 * author has not thought of.
 */
import type { Exercise } from "#exercises/lib/exercise.ts";
import { bundleOf } from "./bundle.ts";
import { applyEdits } from "./edits.ts";
import { lineAt } from "./regions.ts";
import { findExercise, sourceTree } from "./source-tree.ts";
import { failuresByCheck, gradeOf, solutionOf } from "./verify.ts";
import { runVariants, type Variant } from "./variants.ts";

/** One bug: a place in the exercise's reference file, and what stands there instead. */
export interface Plant {
  readonly exercise: string;
  readonly find: string;
  readonly replace: string;
  readonly why: string;
}

export interface PlantVerdict extends Plant {
  /** `killed`: a check said no. `timed-out`, `ungradable`: noticed, but not by a check. `survived`: all passed. */
  readonly verdict: "killed" | "timed-out" | "ungradable" | "survived";
  /** Ids of the tests that failed by a check of their own. */
  readonly killedBy: readonly string[];
  /** The first line of what the learner would be told. */
  readonly message: string;
}

export type PlantsResult =
  | { readonly kind: "plants"; readonly plants: readonly Plant[] }
  | { readonly kind: "invalid"; readonly problem: string };

/** Reads the list; the first thing wrong with it is the answer, with its place. */
export function parsePlants(file: string, text: string): PlantsResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = Number(/at position (\d+)/.exec((error as Error).message)?.[1] ?? text.length);
    return {
      kind: "invalid",
      problem: `${file}:${lineAt(text, at)}: this is not JSON: ${(error as Error).message}`,
    };
  }
  if (!Array.isArray(value))
    return { kind: "invalid", problem: `${file}: must be a list of {exercise, find, replace, why}` };
  const plants: Plant[] = [];
  for (const [index, item] of (value as readonly unknown[]).entries()) {
    const plant = (item ?? {}) as Partial<Record<keyof Plant, unknown>>;
    const missing = (["exercise", "find", "replace", "why"] as const).find(
      (key) => typeof plant[key] !== "string",
    );
    if (missing !== undefined) {
      return {
        kind: "invalid",
        problem: `${file}: [${index}].${missing}: must be a text, found ${show(plant[missing])}`,
      };
    }
    plants.push(plant as Plant);
  }
  return { kind: "plants", plants };
}

export type PlantingResult =
  | { readonly kind: "verdicts"; readonly verdicts: readonly PlantVerdict[] }
  | { readonly kind: "invalid"; readonly problem: string };

/** Plants each bug by itself and runs the suite on it. */
export async function plantAll(
  file: string,
  plants: readonly Plant[],
  exercises: readonly Exercise[],
  signal?: AbortSignal,
): Promise<PlantingResult> {
  const tree = sourceTree();
  const variants: Variant[] = [];
  for (const [index, plant] of plants.entries()) {
    const named = findExercise(
      plant.exercise,
      exercises.map((exercise) => exercise.id),
    );
    if (named.kind === "not-found")
      return { kind: "invalid", problem: `${file}: [${index}]: ${named.problem}` };
    const exercise = exercises.find((candidate) => candidate.id === named.id)!;
    const bundled = bundleOf(exercise, tree);
    if (bundled.kind === "invalid") return { kind: "invalid", problem: bundled.problems[0]! };
    const edited = applyEdits(tree.read(exercise.source)!, [plant]);
    if (edited.kind === "invalid") {
      return { kind: "invalid", problem: `${file}: [${index}]: in ${exercise.source}, ${edited.problem}` };
    }
    variants.push({ bundle: bundled.bundle, text: solutionOf(exercise, edited.text) });
  }
  const runs = await runVariants(variants, signal === undefined ? {} : { signal });
  const verdicts = plants.map((plant, index): PlantVerdict => {
    const { bundle } = variants[index]!;
    const run = runs[index]!;
    const grade = gradeOf(bundle, run);
    const killedBy = failuresByCheck(bundle, run);
    const worst = grade.tests.find((test) => test.status === "fail" || test.status === "timeout");
    const first = grade.tests.find((test) => test.id === killedBy[0]) ?? worst;
    const verdict =
      run.end.kind === "unloadable"
        ? "ungradable"
        : killedBy.length > 0 || worst?.status === "fail"
          ? "killed"
          : worst !== undefined || run.end.kind !== "completed"
            ? "timed-out"
            : "survived";
    const message = (first?.failure?.message ?? grade.reason ?? "").split("\n")[0]!;
    const failing = grade.tests.filter((test) => test.status === "fail").map((test) => test.id);
    return {
      ...plant,
      exercise: bundle.exercise.id,
      verdict,
      killedBy: killedBy.length > 0 ? killedBy : failing,
      message,
    };
  });
  return { kind: "verdicts", verdicts };
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
