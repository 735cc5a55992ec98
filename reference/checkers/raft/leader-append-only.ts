/**
 * "Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends new entries"
 * (Figure 3).
 */
import type { NodeId } from "#reference/raft/entry.ts";
import type { Write } from "#reference/raft/effects.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class LeaderAppendOnly implements RaftChecker {
  readonly rule = "leader-append-only";
  /** By server: the term that it leads, and the end of its log after its last step. */
  readonly #leading = new Map<NodeId, { readonly term: number; readonly lastIndex: number }>();

  onStart({ name }: ServerView): void {
    this.#leading.delete(name);
  }

  onWrite({ name, state }: ServerView, { replaceFrom }: Write): void {
    const led = this.#leading.get(name);
    if (
      led === undefined ||
      replaceFrom === undefined ||
      state?.role !== "leader" ||
      state.term !== led.term
    ) {
      return;
    }
    if (replaceFrom <= led.lastIndex) {
      broken(
        this.rule,
        `${name} leads term ${led.term} and writes from ${replaceFrom} on over ${led.lastIndex} of its own`,
      );
    }
  }

  onStep({ name, state }: ServerView): void {
    // Who stops leading never leads again in that term.
    if (state?.role !== "leader") return;
    const { term } = state;
    const { lastIndex } = state.log;
    const led = this.#leading.get(name);
    if (led?.term === term && led.lastIndex === lastIndex) return;
    if (led !== undefined && led.term === term && lastIndex <= led.lastIndex) {
      broken(
        this.rule,
        `${name} leads term ${term} and its log went back from ${led.lastIndex} to ${lastIndex}`,
      );
    }
    this.#leading.set(name, { term, lastIndex });
  }
}
