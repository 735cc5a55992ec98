/**
 * When something comes back: one day after it went wrong, then three, seven and twenty-one days after each time that
 * the learner knew it. Whoever did not know it starts again.
 *
 * Waits that grow are what memory research recommends; four of them are what fits into a course.
 */
import type { ExerciseRecord } from "../scripts/storage.ts";

/** Days before the first, second, third and fourth time. */
export const waitDays = [1, 3, 7, 21] as const;
const dayMs = 24 * 60 * 60 * 1000;
/** Cards from one exercise: more would be the exercise again. */
const cardsPerExerciseMax = 3;

/** What is kept about one card. */
export interface ReviewEntry {
  /** How many times it was known in a row; the card is done when it was known after every wait. */
  readonly stage: number;
  /** When the present wait began. */
  readonly since: number;
  /** For predictions that belong to no exercise: what was asked, and where. */
  readonly prompt?: string;
  readonly path?: string;
}

/** When the card is due; undefined when it is done. */
export function dueAt({ stage, since }: ReviewEntry): number | undefined {
  const days = waitDays[stage];
  return days === undefined ? undefined : since + days * dayMs;
}

/** The entry after an answer. */
export function answered(entry: ReviewEntry, isKnown: boolean, now: number): ReviewEntry {
  return { ...entry, stage: isKnown ? entry.stage + 1 : 0, since: now };
}

/** The entry after something went wrong at `at`: it starts again, unless that was counted already. */
export function failedAgain(entry: ReviewEntry | undefined, at: number): ReviewEntry {
  return entry !== undefined && entry.since >= at ? entry : { stage: 0, since: at };
}

/** A failed test worth coming back to. */
export interface Stumble {
  readonly test: string;
  readonly failedAt: number;
}

/**
 * The tests of an exercise that gave the learner trouble and pass now. A run in which everything fails is a stub or a
 * broken file and says nothing about any one test, so what all tests have in common is taken off.
 */
export function stumblesOf({ tests = {} }: ExerciseRecord, testIds: readonly string[]): Stumble[] {
  const common = Math.min(...testIds.map((id) => tests[id]?.failures ?? 0));
  return testIds
    .flatMap((test) => {
      const { failures = 0, failedAt, passedAt } = tests[test] ?? {};
      const own = failures - common;
      return own > 0 && failedAt !== undefined && passedAt !== undefined ? { test, failedAt, own } : [];
    })
    .toSorted((a, b) => b.own - a.own)
    .slice(0, cardsPerExerciseMax)
    .map(({ test, failedAt }) => ({ test, failedAt }));
}

/** How far the learner is with one objective. */
export interface ObjectiveState {
  readonly passed: number;
  readonly total: number;
  readonly state: "open" | "begun" | "reached";
}

/** An objective is reached when every test that proves it has passed, in one run or in several. */
export function objectiveState(
  record: ExerciseRecord | undefined,
  testIds: readonly string[],
): ObjectiveState {
  const total = testIds.length;
  const isSolved = record?.solvedAt !== undefined;
  const passed = isSolved
    ? total
    : testIds.filter((id) => record?.tests?.[id]?.passedAt !== undefined).length;
  return { passed, total, state: passed === 0 ? "open" : passed < total ? "begun" : "reached" };
}
