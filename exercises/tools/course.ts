/**
 * What the course commands share: which exercises there are, what a learner's file is worth, and what is kept of it.
 *
 * All that is kept lies in `.oz`, which git ignores: the last grade of each exercise, the progress, how many hints
 * have been read, and a copy of every file that `oz reset` took away.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Grade } from "#exercises/grader/grade.ts";
import type { Exercise, ExerciseBundle } from "#exercises/lib/exercise.ts";
import { misused, type CommandResult } from "#reference/node/cli/command.ts";
import { bundleOf, pathsOf } from "./bundle.ts";
import { findExercise, listExerciseIds, listExercises, projectRoot, sourceTree } from "./source-tree.ts";
import { isUntouchedStub } from "./stubs.ts";

/** A value, or how the command ends instead. */
export type Attempt<T> =
  { readonly kind: "value"; readonly value: T } | { readonly kind: "end"; readonly result: CommandResult };

/** All exercises; the first thing wrong with one of them ends the command. */
export function loadExercises(): Attempt<readonly Exercise[]> {
  const { exercises, problems } = listExercises();
  if (problems.length > 0) return end(problems.join("\n"));
  return { kind: "value", value: exercises };
}

/** The exercise that `name` means. Only its own file has to be right. */
export function chooseExercise(name: string): Attempt<Exercise> {
  const named = findExercise(name, listExerciseIds());
  if (named.kind === "not-found") return end(named.problem);
  const { exercises, problems } = listExercises();
  const exercise = exercises.find((candidate) => candidate.id === named.id);
  if (exercise !== undefined) return { kind: "value", value: exercise };
  return end(problems.filter((problem) => problem.startsWith(`exercises/${named.id}/`)).join("\n"));
}

/** The exercises that `names` mean, each once. */
export function chooseExercises(names: readonly string[]): Attempt<readonly Exercise[]> {
  const chosen = new Map<string, Exercise>();
  for (const name of names) {
    const attempt = chooseExercise(name);
    if (attempt.kind === "end") return attempt;
    chosen.set(attempt.value.id, attempt.value);
  }
  return { kind: "value", value: [...chosen.values()] };
}

/** The bundle of an exercise; a region that is gone, or a file that is missing, ends the command. */
export function loadBundle(exercise: Exercise): Attempt<ExerciseBundle> {
  const result = bundleOf(exercise, sourceTree());
  return result.kind === "bundle" ? { kind: "value", value: result.bundle } : end(result.problems.join("\n"));
}

/** The learner's file of an exercise, from the project's root, and its text; the text is absent when it is missing. */
export function learnersFile(exercise: Exercise): {
  readonly path: string;
  readonly text: string | undefined;
} {
  const path = pathsOf(exercise).editable;
  return { path, text: sourceTree().read(path) };
}

/** Whether anybody has written in the exercise's file. */
export function isBegun(exercise: Exercise): boolean {
  const { text } = learnersFile(exercise);
  return text !== undefined && !isUntouchedStub(text);
}

function end<T>(message: string): Attempt<T> {
  return { kind: "end", result: misused(message) };
}

/** What is kept of an exercise's last whole run. */
export interface Progress {
  readonly earned: number;
  readonly possible: number;
  readonly isSolved: boolean;
  /** When, as an ISO 8601 text. */
  readonly at: string;
}

export function readProgress(): Readonly<Record<string, Progress>> {
  return readState<Record<string, Progress>>("progress.json", {});
}

/** Keeps the grade of a whole run, and the progress that it means. */
export function keepGrade(grade: Grade): void {
  writeState(join("grades", `${grade.exercise}.json`), grade);
  const { earned, possible } = grade.points;
  const isSolved = grade.outcome === "graded" && earned === possible;
  const progress: Progress = { earned, possible, isSolved, at: grade.run.startedAt };
  writeState("progress.json", { ...readProgress(), [grade.exercise]: progress });
}

/** Reads a file of `.oz`; one that is missing or broken is worth `otherwise`. */
export function readState<T>(path: string, otherwise: T): T {
  try {
    return JSON.parse(readFileSync(join(projectRoot, ".oz", path), "utf8")) as T;
  } catch {
    return otherwise;
  }
}

/** Writes a file of `.oz` in one step, so that a reader sees the old or the new one. */
export function writeState(path: string, value: unknown): void {
  const file = join(projectRoot, ".oz", path);
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.new`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(temporary, file);
}
