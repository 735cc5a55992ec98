/**
 * The settings of Vitest that a grade depends on: equal in every backend, or the same submission would be told
 * different things in the page and in the shell.
 */
import type { Exercise } from "#exercises/lib/exercise.ts";

/** Vitest's `test` options for an exercise's suite. A backend adds what is its own (pool, reporters). */
export function testOptionsOf(exercise: Pick<Exercise, "testTimeLimitMs">) {
  return {
    testTimeout: exercise.testTimeLimitMs,
    hookTimeout: exercise.testTimeLimitMs,
    globals: false,
    retry: 0,
    allowOnly: true,
    passWithNoTests: true,
    includeTaskLocation: false,
    maxConcurrency: 5,
    // 0: messages name the whole value instead of "{ …(3) }".
    chaiConfig: { truncateThreshold: 0 },
    sequence: { shuffle: false, concurrent: false, hooks: "stack", seed: 1 },
    fakeTimers: { loopLimit: 10_000, shouldClearNativeTimers: true },
  } as const;
}
