/** The review comes back after 1, 3, 7 and 21 days, and takes only what the learner really stumbled over. */
import { expect, test } from "vitest";
import type { ExerciseRecord, TestMemory } from "../scripts/storage.ts";
import { answered, dueAt, failedAgain, objectiveState, stumblesOf, type ReviewEntry } from "./schedule.ts";

const dayMs = 86_400_000;

function record(tests: Record<string, TestMemory>, more: Partial<ExerciseRecord> = {}): ExerciseRecord {
  return { depth: "blank", hints: {}, attempts: 1, history: [], tests, ...more };
}

test("a card that is known each time comes back after 1, 3, 7 and 21 days, and then no more", () => {
  let entry: ReviewEntry = failedAgain(undefined, 1_000);
  const waits: number[] = [];
  for (let due = dueAt(entry); due !== undefined; due = dueAt(entry)) {
    waits.push((due - entry.since) / dayMs);
    entry = answered(entry, true, due);
  }
  expect(waits).toEqual([1, 3, 7, 21]);
});

test("a card that is not known, or goes wrong again, starts from the beginning", () => {
  const later = answered(answered({ stage: 0, since: 0 }, true, 10), true, 20);
  expect(answered(later, false, 30)).toEqual({ stage: 0, since: 30 });
  expect(failedAgain(later, 25)).toEqual({ stage: 0, since: 25 });
  expect(failedAgain(later, 15)).toBe(later);
});

test("runs in which everything failed count for nothing, and a test that does not pass yet is still work", () => {
  const ids = ["a", "b", "c"];
  const stub = record({
    a: { failures: 2, failedAt: 5, passedAt: 9 },
    b: { failures: 2, failedAt: 5, passedAt: 9 },
    c: { failures: 2, failedAt: 5 },
  });
  expect(stumblesOf(stub, ids)).toEqual([]);
  const real = record({
    a: { failures: 1, failedAt: 5, passedAt: 9 },
    b: { failures: 3, failedAt: 7, passedAt: 9 },
    c: { failures: 4, failedAt: 8 },
  });
  expect(stumblesOf(real, ids)).toEqual([{ test: "b", failedAt: 7 }]);
  expect(stumblesOf(record({}), ids)).toEqual([]);
});

test("an objective is reached when all its tests have passed, and a solved exercise reaches all", () => {
  const some = record({ a: { failures: 0, passedAt: 1 }, b: { failures: 1, failedAt: 2 } });
  expect(objectiveState(undefined, ["a"])).toEqual({ passed: 0, total: 1, state: "open" });
  expect(objectiveState(some, ["a", "b"])).toEqual({ passed: 1, total: 2, state: "begun" });
  expect(objectiveState(some, ["a"]).state).toBe("reached");
  expect(objectiveState(record({}, { solvedAt: 3 }), ["x", "y"]).state).toBe("reached");
});
