/**
 * "Only log entries from the leader's current term are committed by counting replicas" (§5.4.2).
 *
 * The sentence behind Figure 8. Breaking it does harm only when several unlucky things follow, so waiting for
 * the harm finds it late; here it is looked at by itself, whenever a leader's commit index rises.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class CommitCurrentTerm implements RaftChecker {
  readonly rule = "commit-current-term";
  readonly #commit = new Map<NodeId, number>();

  onStart({ name, state }: ServerView): void {
    this.#commit.set(name, state?.commitIndex ?? 0);
  }

  onStep({ name, state }: ServerView): void {
    if (state === undefined) return;
    const { commitIndex, log, role, term } = state;
    if (role === "leader" && commitIndex > (this.#commit.get(name) ?? 0)) {
      const committed = log.termAt(commitIndex);
      if (committed !== term) {
        broken(
          this.rule,
          `${name} leads term ${term} and commits ${commitIndex} of term ${committed} by counting`,
        );
      }
    }
    this.#commit.set(name, commitIndex);
  }
}
