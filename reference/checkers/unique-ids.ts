/**
 * Unique ids: no id is handed out twice, to anybody, ever. Ids may be any JSON value; two that print alike are
 * the same.
 */
import type { Operation } from "./history.ts";
import { examplesMax, type Verdict } from "./verdict.ts";

export interface UniqueIdsResult {
  readonly verdict: Verdict;
  readonly attemptCount: number;
  readonly acknowledgedCount: number;
  /** How many different ids were handed out more than once; a few of them follow, with how often. */
  readonly duplicatedCount: number;
  readonly duplicated: readonly { readonly id: unknown; readonly count: number }[];
}

/** Judges a history in which each answer is an id. Without any answer there is nothing to judge. */
export function checkUniqueIds(operations: readonly Operation<unknown, unknown>[]): UniqueIdsResult {
  const answered = operations.flatMap(({ outcome }) => (outcome.kind === "ok" ? [outcome.output] : []));
  // Numbers above 2^53 have already become their neighbours when JSON was read: as such they count as equal.
  const byText = Map.groupBy(answered, (id) => JSON.stringify(id) ?? "undefined");
  const repeated = [...byText.values()].filter((ids) => ids.length > 1);
  return {
    verdict: repeated.length > 0 ? "invalid" : answered.length === 0 ? "unknown" : "valid",
    attemptCount: operations.length,
    acknowledgedCount: answered.length,
    duplicatedCount: repeated.length,
    duplicated: repeated.slice(0, examplesMax).map((ids) => ({ id: ids[0], count: ids.length })),
  };
}
