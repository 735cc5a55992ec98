/**
 * "It is not possible for the cluster to split into two independent majorities" (§6): each configuration that a leader
 * appends is one small step from the one before it, so that any two majorities that may decide at the same time meet.
 *
 * A step is: into the joint configuration of old and new voters, out of it, or learners alone. It begins when the step
 * before is committed, and when the leader has committed something of its own term (Ongaro's correction of 2015).
 */
import type { Configuration, NodeId } from "#reference/raft/entry.ts";
import type { Write } from "#reference/raft/effects.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class ConfigurationSteps implements RaftChecker {
  readonly rule = "configuration-steps";

  onWrite({ name, state }: ServerView, write: Write): void {
    if (state?.role !== "leader") return;
    for (const entry of write.entries) {
      if (entry.kind !== "configuration" || entry.term !== state.term) continue;
      const { index, configuration } = entry;
      const before = state.configurations.findLast((at) => at.index < index);
      // In a log that was compacted meanwhile the one before may be gone; then it was committed.
      if (before === undefined) continue;
      if (!isStep(before.configuration, configuration)) {
        broken(
          this.rule,
          `${name} goes from ${show(before.configuration)} to ${show(configuration)} at ${index}`,
        );
      }
      if (before.index > state.commitIndex) {
        broken(
          this.rule,
          `${name} begins the step at ${index}, and that at ${before.index} is not committed`,
        );
      }
      const committed = state.log.termAt(state.commitIndex);
      if (committed !== state.term) {
        broken(
          this.rule,
          `${name} begins a change in term ${state.term}, and has committed up to term ${committed}`,
        );
      }
    }
  }
}

function isStep(from: Configuration, to: Configuration): boolean {
  if (to.voters.length === 0 || new Set(to.voters).size < to.voters.length) return false;
  // Out of a joint configuration there is one way; into it, with the old voters as they were.
  if (from.oldVoters.length > 0) return to.oldVoters.length === 0 && isSame(from.voters, to.voters);
  return to.oldVoters.length > 0 ? isSame(from.voters, to.oldVoters) : isSame(from.voters, to.voters);
}

function isSame(one: readonly NodeId[], other: readonly NodeId[]): boolean {
  return one.length === other.length && one.every((voter) => other.includes(voter));
}

function show({ voters, oldVoters, learners }: Configuration): string {
  const old = oldVoters.length > 0 ? ` and ${oldVoters.join(", ")}` : "";
  return `[${voters.join(", ")}${old}${learners.length > 0 ? `; learning ${learners.join(", ")}` : ""}]`;
}
