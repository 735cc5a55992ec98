/**
 * Commitment (§5.3, §5.4.2): when an entry can never be lost again, and when it may be applied.
 *
 * An entry on a majority is not yet safe: Figure 8 of the paper shows one that is overwritten all the same,
 * because a server with an entry of a later term can win the next election. It becomes safe when an entry *of
 * the leader's own term* is on a majority; whatever comes before that one is safe with it.
 */
import { assert } from "../base/assert.ts";
import type { Configuration, NodeId } from "./entry.ts";
import { configurationOf, type Raft } from "./state.ts";

// #region majority
/**
 * The highest entry that a majority of these voters has. `matchOf` says how far each one's log is known to be
 * right.
 */
export function majorityIndex(voters: readonly NodeId[], matchOf: (voter: NodeId) => number): number {
  if (voters.length === 0) return Infinity;
  // 1. In falling order, the entry in the middle is on more than half of them: of 4 on 3, of 5 on 3.
  const matches = voters.map(matchOf).sort((one, other) => other - one);
  return matches[Math.floor(voters.length / 2)]!;
}

/**
 * The highest entry that is on a quorum: during a change of members, on a majority of the old and of the new
 * ones.
 */
export function quorumIndex(
  { voters, oldVoters }: Configuration,
  matchOf: (voter: NodeId) => number,
): number {
  return Math.min(majorityIndex(voters, matchOf), majorityIndex(oldVoters, matchOf));
}
// #endregion majority

// #region advance
/** At the leader: commits what has reached a quorum. */
export function advanceCommit(raft: Raft): void {
  assert(raft.role === "leader", () => `${raft.id} commits as ${raft.role}`);
  // 1. The leader counts itself only as far as its own log is durable, and only if it is a voter.
  const matchOf = (voter: NodeId): number => {
    return voter === raft.id ? raft.durableIndex : (raft.progress.get(voter)?.matchIndex ?? 0);
  };
  const index = quorumIndex(configurationOf(raft), matchOf);
  // 2. "Raft never commits log entries from previous terms by counting replicas" (§5.4.2).
  if (index <= raft.commitIndex || raft.log.termAt(index) !== raft.term) return;
  commitTo(raft, index);
  raft.rules.clients.onCommit(raft);
  raft.rules.membership.onCommit(raft);
}
// #endregion advance

// #region follow
/** At a follower: "set commitIndex = min(leaderCommit, index of last new entry)" (Figure 2). */
export function followCommit(raft: Raft, leaderCommit: number, matchIndex: number): void {
  // 1. What lies behind the last new entry has not been compared with the leader's log: it may be wrong.
  const index = Math.min(leaderCommit, matchIndex);
  // 2. Messages overtake each other; what is committed stays so.
  if (index > raft.commitIndex) commitTo(raft, index);
}
// #endregion follow

// #region apply
/**
 * Raises the commit index and hands out what is new, in order, each entry once. Applying it is the shell's
 * work.
 */
export function commitTo(raft: Raft, index: number): void {
  assert(index <= raft.log.lastIndex, () => `${raft.id} commits ${index} of ${raft.log.lastIndex} entries`);
  assert(index > raft.commitIndex, () => `${raft.id} goes back from ${raft.commitIndex} to ${index}`);
  raft.commitIndex = index;
  raft.observe?.({ kind: "commit", index });
  // 1. From the first that was not handed out, up to the last that is committed.
  const entries = raft.log.slice(raft.appliedIndex + 1, index);
  raft.appliedIndex = index;
  raft.effects.push({ kind: "apply", entries });
}
// #endregion apply
