/**
 * What is committed stays committed: a server's commit index never falls while it runs, never passes the end
 * of its log, and never lags behind what it has handed out; its term never falls, restarts included.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class CommitMonotone implements RaftChecker {
  readonly rule = "commit-monotone";
  readonly #commit = new Map<NodeId, number>();
  readonly #term = new Map<NodeId, number>();

  onStart({ name, state }: ServerView): void {
    this.#commit.set(name, state?.commitIndex ?? 0);
  }

  onStep({ name, state, durable }: ServerView): void {
    if (state === undefined) return;
    const { commitIndex, appliedIndex, log } = state;
    const before = this.#commit.get(name) ?? 0;
    if (commitIndex < before) {
      broken(this.rule, `${name} went back from commit ${before} to ${commitIndex}`);
    }
    if (commitIndex > log.lastIndex) broken(this.rule, `${name} commits ${commitIndex} of ${log.lastIndex}`);
    if (appliedIndex > commitIndex) broken(this.rule, `${name} applies ${appliedIndex} of ${commitIndex}`);
    this.#commit.set(name, commitIndex);
    // Only what was durable binds: a term that nobody heard of may be forgotten.
    const term = this.#term.get(name) ?? 0;
    if (state.term < term) broken(this.rule, `${name} went back from term ${term} to ${state.term}`);
    this.#term.set(name, durable.term);
  }
}
