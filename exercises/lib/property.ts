/**
 * Property tests that explain themselves: fast-check finds and shrinks a counterexample, and the failure that reaches
 * the learner is the check's own explanation with that counterexample and the seed beside it.
 */
import fc from "fast-check";
import { explained, formatValue } from "./check.ts";
import { Explanation, type ExplanationDetails } from "./explain.ts";
import { seed } from "./seed.ts";
import { TodoError } from "./todo.ts";

/** Runs `check` on `runs` random values; it fails by throwing, best an `Explanation`. */
export function forAll<Value>(
  what: string,
  values: fc.Arbitrary<Value>,
  check: (value: Value) => void,
  runs = 100,
): void {
  const property = fc.property(values, (value) => check(value));
  const result = fc.check(property, { seed: seed | 0, numRuns: runs });
  if (!result.failed) return;
  const error: unknown = result.errorInstance;
  if (error instanceof TodoError) throw error;
  const counterexample = result.counterexample === null ? "none" : formatValue(result.counterexample[0]);
  const failure = explained(what, error) as Explanation & ExplanationDetails;
  const shrinks = `found after ${result.numRuns} values, made smaller ${result.numShrinks} times`;
  const explanation = new Explanation(failure.message, {
    ...detailsOf(failure),
    seed,
    counterexample: `${counterexample} (${shrinks})`,
  });
  if (failure.stack !== undefined) explanation.stack = failure.stack;
  throw explanation;
}

function detailsOf({ expected, actual, where }: ExplanationDetails): ExplanationDetails {
  return {
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
    ...(where === undefined ? {} : { where }),
  };
}
