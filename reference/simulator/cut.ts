/**
 * A cut: what to leave out of a seed's scenario. Together with the seed and the command line it says
 * everything about a run, in a few words.
 *
 * It has a file of its own, apart from the shrinking that finds it, so that a page can replay a run without
 * the library that shrinks.
 */

/** What to leave out of a seed's scenario. */
export interface Cut {
  /** The faults to keep, by their number in the schedule; undefined keeps all. */
  readonly keep: readonly number[] | undefined;
  /** Features to do without. */
  readonly without: readonly string[];
}

/** Keeps everything. */
export const wholeScenario: Cut = { keep: undefined, without: [] };
