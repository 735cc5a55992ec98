/**
 * Heartbeats that say nothing new, taken in without a message for each: for a server that takes part in a thousand
 * groups, and most of the time has nothing to say in any of them.
 *
 * No lesson of its own, and no rule either. Each function looks whether a message would change anything besides the
 * time at which somebody was heard; then it does what `onAppendRequest` or `onAppendReply` would do, to the letter.
 * Otherwise it touches nothing and says so, and the caller takes the message the ordinary way.
 */
import type { NodeId } from "./entry.ts";
import type { Heard } from "./messages.ts";
import type { Raft } from "./state.ts";

/** An AppendEntries without entries. */
export interface Heartbeat extends Heard {
  readonly term: number;
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly commitIndex: number;
}

/** An answer to it: the logs are equal up to `matchIndex`. */
export interface HeartbeatAnswer extends Heard {
  readonly term: number;
  readonly matchIndex: number;
}

/**
 * At a follower: the leader is there, and that is all. The answer, if so, is that the log matches up to
 * `previousIndex`; it may leave at once, because everything of this server is durable.
 */
export function maybeFollow(raft: Raft, from: NodeId, heartbeat: Heartbeat): boolean {
  const { term, previousIndex, previousTerm, commitIndex } = heartbeat;
  if (raft.role !== "follower" || raft.leader !== from || raft.term !== term) return false;
  if (raft.log.termAt(previousIndex) !== previousTerm || commitIndex > raft.commitIndex) return false;
  if (raft.durableWriteNumber < raft.writeNumber) return false;
  raft.rules.replication.followLeader(raft, from);
  return true;
}

/** At the leader: a member is there and has what it had; nothing waits to be sent to it, and no read for its answer. */
export function maybeNoteHeard(raft: Raft, from: NodeId, answer: HeartbeatAnswer): boolean {
  if (raft.role !== "leader" || raft.term !== answer.term || raft.reads.length > 0) return false;
  const progress = raft.progress.get(from);
  if (progress?.mode !== "replicate" || answer.matchIndex > progress.matchIndex) return false;
  if (progress.nextIndex <= raft.log.lastIndex) return false;
  progress.heardAtMs = raft.nowMs;
  progress.heardRound = Math.max(progress.heardRound, answer.round);
  progress.heardSentAtMs = Math.max(progress.heardSentAtMs, answer.sentAtMs);
  return true;
}
