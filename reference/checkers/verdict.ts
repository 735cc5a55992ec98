/**
 * What a checker says. Three answers, not two: a check that gave up, or had nothing to look at, has not found the
 * history right.
 */
export type Verdict = "valid" | "invalid" | "unknown";

/** The verdict on a whole from the verdicts on its parts: one that is wrong decides, then one that is open. */
export function worstOf(verdicts: Iterable<Verdict>): Verdict {
  let worst: Verdict = "valid";
  for (const verdict of verdicts) {
    if (verdict === "invalid") return "invalid";
    if (verdict === "unknown") worst = "unknown";
  }
  return worst;
}

/** The most examples of one kind that a checker hands out: a broken run breaks in the same way thousands of times. */
export const examplesMax = 16;
