/**
 * Failures that explain themselves: an error with the fields that a grade shows.
 *
 * A suite throws an `Explanation` through the checks of this folder. Vitest copies an error's own fields into its
 * report, in Node and in the page alike, so all of it arrives in `grade.json`.
 */

/** What an `Explanation` says beside its message; every field is text or a number, ready to be shown. */
export interface ExplanationDetails {
  readonly expected?: string;
  readonly actual?: string;
  /** A field tree with a hex dump, or a slice of a timeline. */
  readonly where?: string;
  readonly seed?: number;
  readonly counterexample?: string;
}

/** A failed check. Not an assertion of Vitest, so that Vitest adds no diff of its own to it. */
export class Explanation extends Error {
  override readonly name = "Explanation";

  constructor(message: string, details: ExplanationDetails = {}) {
    super(message);
    Object.assign(this, details);
  }
}
