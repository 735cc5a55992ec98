/**
 * "Log Matching: if two logs contain an entry with the same index and term, then the logs are identical in
 * all entries up through the given index" (Figure 3).
 *
 * Comparing all logs with each other after each event would take most of the time. By induction two small
 * facts are enough: an index and a term name one entry, and that entry always has the same entry before it.
 * Both can be looked at when an entry enters a log, once. `naiveLogMatching` is the sentence itself, and a
 * test holds the one against the other.
 */
import type { Entry } from "#reference/raft/entry.ts";
import type { Write } from "#reference/raft/effects.ts";
import { broken, isSameEntry, type RaftChecker, type ServerView } from "./checker.ts";

interface Known {
  readonly entry: Entry;
  /** The term of the entry before it. */
  readonly previousTerm: number;
}

/** The rule's name. */
const rule = "log-matching";
/** More terms than any simulation has: index and term in one number. */
const termsMax = 2 ** 22;

/** Every entry that ever was in a log, by index and term. */
export class LogMatching implements RaftChecker {
  readonly rule = rule;
  readonly #known = new Map<number, Known>();

  onWrite({ name, state }: ServerView, write: Write): void {
    for (const [place, entry] of write.entries.entries()) {
      const previousTerm = place > 0 ? write.entries[place - 1]!.term : state?.log.termAt(entry.index - 1);
      if (previousTerm === undefined) continue;
      const key = entry.index * termsMax + entry.term;
      const known = this.#known.get(key);
      if (known === undefined) {
        this.#known.set(key, { entry, previousTerm });
        continue;
      }
      if (!isSameEntry(known.entry, entry)) {
        broken(rule, `entry ${entry.index} of term ${entry.term} at ${name} is not the one that others have`);
      }
      if (known.previousTerm !== previousTerm) {
        broken(
          rule,
          `before entry ${entry.index} of term ${entry.term}, ${name} has term ${previousTerm}, others ${known.previousTerm}`,
        );
      }
    }
  }
}

/** The sentence itself, over all pairs of logs (entries from index 1 on). */
export function naiveLogMatching(logs: readonly (readonly Entry[])[]): boolean {
  return logs.every((one) =>
    logs.every((other) => {
      for (let place = Math.min(one.length, other.length) - 1; place >= 0; place--) {
        if (one[place]!.term !== other[place]!.term) continue;
        return one.slice(0, place + 1).every((entry, index) => isSameEntry(entry, other[index]!));
      }
      return true;
    }),
  );
}
