/**
 * A counter that anyone may add to: in the end, when the network is whole again, everybody reads the sum of all that
 * was added.
 *
 * An addition that failed counts nothing. One whose outcome is unknown counts or does not, so with some of those a
 * whole set of sums is right. What is read before the end may lag behind, but for a counter that only grows it must
 * never exceed what had been asked for, nor go back at a server that a client stays with.
 */
import type { Operation } from "./history.ts";
import { examplesMax, type Verdict } from "./verdict.ts";

export type CounterInput =
  | { readonly kind: "add"; readonly delta: number }
  /** `isFinal`: after the last addition, and after the network has been whole for a while. */
  | { readonly kind: "read"; readonly isFinal: boolean };

/** The value, of a read; 0 otherwise. */
export type CounterOutput = number;

export interface CounterOptions {
  /** Whether no delta is negative: then early reads can be judged too. */
  readonly growsOnly?: boolean;
}

export interface CounterProblem {
  readonly rule: "final-sum" | "read-of-too-much" | "went-back" | "not-a-number";
  readonly operation: Operation<CounterInput, CounterOutput>;
  /** Why, with the numbers. */
  readonly reason: string;
}

export interface CounterResult {
  readonly verdict: Verdict;
  readonly finalReads: readonly number[];
  /** The sums that are right, as ranges of whole numbers, both ends included. */
  readonly acceptable: readonly (readonly [number, number])[];
  readonly problems: readonly CounterProblem[];
}

/** The most sums that unknown additions may make possible before only their range is kept. */
export const sumsMax = 100_000;

/** Judges a history. Without a final read the verdict is `unknown`. */
export function checkCounter(
  operations: readonly Operation<CounterInput, CounterOutput>[],
  { growsOnly = false }: CounterOptions = {},
): CounterResult {
  const sums = possibleSums(operations);
  const problems: CounterProblem[] = growsOnly ? earlyProblems(operations) : [];
  const finalReads: number[] = [];
  for (const operation of operations) {
    const { input, outcome } = operation;
    if (input.kind !== "read" || outcome.kind !== "ok") continue;
    const value: unknown = outcome.output;
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      problems.push({ rule: "not-a-number", operation, reason: `read ${JSON.stringify(value)}` });
      continue;
    }
    if (!input.isFinal) continue;
    finalReads.push(value);
    if (sums.includes(value)) continue;
    const reason = `read ${value} in the end, which must be ${rangesText(sums.ranges)}`;
    problems.push({ rule: "final-sum", operation, reason });
  }
  return {
    verdict: problems.length > 0 ? "invalid" : finalReads.length === 0 || !sums.isExact ? "unknown" : "valid",
    finalReads,
    acceptable: sums.ranges,
    problems: problems.slice(0, examplesMax),
  };
}

interface Sums {
  readonly ranges: readonly (readonly [number, number])[];
  readonly isExact: boolean;
  includes(value: number): boolean;
}

/** What the sum may be: that of the acknowledged additions, with any of the unknown ones. */
function possibleSums(operations: readonly Operation<CounterInput, CounterOutput>[]): Sums {
  let sums = new Set([0]);
  let definite = 0;
  let [least, most, isExact] = [0, 0, true];
  for (const { input, outcome } of operations) {
    if (input.kind !== "add" || outcome.kind === "failed") continue;
    if (outcome.kind === "ok") {
      definite += input.delta;
      continue;
    }
    least += Math.min(input.delta, 0);
    most += Math.max(input.delta, 0);
    const delta = input.delta;
    if (isExact) sums = new Set([...sums].flatMap((sum) => [sum, sum + delta]));
    if (sums.size > sumsMax) isExact = false;
  }
  const ranges = isExact
    ? rangesOf([...sums].map((sum) => sum + definite))
    : [[least + definite, most + definite] as const];
  return {
    ranges,
    isExact,
    includes: (value) => ranges.some(([low, high]) => value >= low && value <= high),
  };
}

function rangesOf(values: readonly number[]): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const value of values.toSorted((one, other) => one - other)) {
    const last = ranges.at(-1);
    if (last !== undefined && value <= last[1] + 1) last[1] = value;
    else ranges.push([value, value]);
  }
  return ranges;
}

function rangesText(ranges: readonly (readonly [number, number])[]): string {
  return ranges
    .slice(0, examplesMax)
    .map(([low, high]) => (low === high ? `${low}` : `${low} to ${high}`))
    .join(" or ");
}

/** Reads of a growing counter: never above what had been asked for by their end, never below what their client saw. */
function earlyProblems(operations: readonly Operation<CounterInput, CounterOutput>[]): CounterProblem[] {
  const problems: CounterProblem[] = [];
  const additions = operations.filter(
    ({ input, outcome }) => input.kind === "add" && outcome.kind !== "failed",
  );
  const reads = operations
    .filter(({ input, outcome }) => input.kind === "read" && outcome.kind === "ok")
    .toSorted((one, other) => one.completedAt - other.completedAt);
  const seen = new Map<string, number>();
  let [asked, next] = [0, 0];
  for (const operation of reads) {
    if (operation.outcome.kind !== "ok") continue;
    const value = operation.outcome.output;
    for (; next < additions.length && additions[next]!.invokedAt < operation.completedAt; next++) {
      const { input } = additions[next]!;
      if (input.kind === "add") asked += input.delta;
    }
    if (value > asked) {
      const reason = `read ${value} when no more than ${asked} had been asked for`;
      problems.push({ rule: "read-of-too-much", operation, reason });
    }
    const before = seen.get(operation.process) ?? 0;
    if (value < before) {
      problems.push({ rule: "went-back", operation, reason: `read ${value} after ${before}` });
    }
    seen.set(operation.process, value);
  }
  return problems;
}
