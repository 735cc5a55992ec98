/** The exercises, for pages and components. Runs while the site is built; nothing of it is sent to a reader. */
import { bundles } from "virtual:exercises";
import type { Exercise, ExerciseBundle } from "#exercises/lib/exercise.ts";

export const exerciseBundles: readonly ExerciseBundle[] = bundles;

/** The exercise with this id; the check of the chapters has refused unknown ones before. */
export function exerciseOf(id: string): Exercise {
  const bundle = bundles.find(({ exercise }) => exercise.id === id);
  if (bundle === undefined) throw new Error(`there is no exercise ${id}`);
  return bundle.exercise;
}

export function pointsOf(exercise: Exercise): number {
  return exercise.tests.reduce((sum, test) => sum + test.points, 0);
}
