/**
 * Names like a mistyped one, so that an error can offer what was probably meant.
 */

/** At most three of `candidates` that `text` is a part of, or that a few slips of the finger turn it into. */
export function nearest(text: string, candidates: readonly string[]): readonly string[] {
  const slipsMax = Math.max(1, Math.round(text.length / 2.5));
  return candidates
    .map((candidate) => ({
      candidate,
      distance: candidate.includes(text) ? 0 : editDistance(text, candidate),
    }))
    .filter(({ distance }) => distance <= slipsMax)
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Levenshtein's distance: the fewest insertions, deletions and replacements that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
