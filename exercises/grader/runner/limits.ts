/**
 * Limits that every backend keeps alike, and the words for passing them.
 */

/** After so many tests that had to be stopped by force, the rest is not tried. */
export const hangsMax = 3;

/** Why a run ended at `hangsMax`. */
export const hungTooOften = `${hangsMax} tests never ended and had to be stopped; the tests after them were not run`;

/** Why a run ended at its limit of memory, and in which test, when there was one. */
export function outOfMemory(limitMiB: number, test?: string): string {
  const where = test === undefined ? "" : ` in “${test}”`;
  return `the run needed more than ${limitMiB} MiB of memory${where} and was stopped; the tests after it were not run`;
}

/** Why a run ended when the submission took its process down with it. */
export const processEnded = "the submission ended the process; the tests after it were not run";

/** Why a run ended when somebody asked for it. */
export const stoppedByUser = "stopped by you";

/** Why a submission cannot be graded when its loading had to be stopped. */
export const neverLoaded = "it never finishes loading: is there an endless loop outside its functions?";

/** Why a run ended when nothing happened any more although no test was running. */
export const stuckBetweenTests = "the run came to a standstill between two tests";
