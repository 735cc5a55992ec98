/**
 * Members (§6): who has a say, how that changes, and how those who have none any more are kept quiet.
 *
 * Servers cannot all switch to a new configuration at the same moment. If some decided by majorities of the
 * old and others by majorities of the new, both could decide, differently. So a change goes through a *joint*
 * configuration, in which a decision needs both majorities, and only when that is committed does the new one
 * follow.
 *
 * "Once a given server adds the new configuration entry to its log, it uses that configuration for all future
 * decisions", committed or not; and if the entry is taken back, so is the configuration.
 *
 * A server that is removed may not hear of it, and would call for elections for ever. Two rules keep it
 * quiet: it asks before it begins a term (pre-vote), and whoever hears a leader does not listen to others.
 */
import type { Configuration, NodeId } from "./entry.ts";
import type { PreVoteReply, PreVoteRequest, VoteRequest } from "./messages.ts";
import { configurationOf, type Raft } from "./state.ts";

/** Every server that receives the log. */
export function membersOf({ voters, oldVoters, learners }: Configuration): ReadonlySet<NodeId> {
  return new Set([...voters, ...oldVoters, ...learners]);
}

/** Every server that is asked for its vote. */
export function votersOf({ voters, oldVoters }: Configuration): ReadonlySet<NodeId> {
  return new Set([...voters, ...oldVoters]);
}

/** Whether this server has a say. */
export function isVoter({ voters, oldVoters }: Configuration, id: NodeId): boolean {
  return voters.includes(id) || oldVoters.includes(id);
}

/**
 * Whether this server begins elections. A voter does. And "a server that is not part of its own latest
 * configuration should still start new elections, as it might still be needed until the C_new entry is
 * committed" (thesis 4.2.2): it may be the only one that has that entry, and then nobody else can win. Its
 * own vote does not count.
 */
export function mayStand(raft: Raft): boolean {
  const [before, latest] = raft.configurations.slice(-2);
  if (latest === undefined) return before !== undefined && isVoter(before.configuration, raft.id);
  if (isVoter(latest.configuration, raft.id)) return true;
  return latest.index > raft.commitIndex && before !== undefined && isVoter(before.configuration, raft.id);
}

/** Whether a change is half done. */
export function isJoint({ oldVoters }: Configuration): boolean {
  return oldVoters.length > 0;
}

// #region quorum
/** Whether enough voters say yes: "separate majorities from both the old and new configurations" (§6). */
export function hasQuorum(
  { voters, oldVoters }: Configuration,
  saysYes: (voter: NodeId) => boolean,
): boolean {
  // 1. Two majorities, not one of all together; learners are in neither.
  return isMajority(voters, saysYes) && (oldVoters.length === 0 || isMajority(oldVoters, saysYes));
}

function isMajority(voters: readonly NodeId[], saysYes: (voter: NodeId) => boolean): boolean {
  let count = 0;
  for (const voter of voters) if (saysYes(voter)) count++;
  return count > voters.length / 2;
}
// #endregion quorum

/** Who the members shall be. */
export interface MemberChange {
  readonly voters: readonly NodeId[];
  readonly learners?: readonly NodeId[];
}

/** What becomes of a change. */
export type Changed =
  /**
   * It has begun; a `configuration` event says when it is in force, and the leader ends the joint one by
   * itself.
   */
  | { readonly kind: "begun"; readonly index: number }
  | {
      readonly kind: "refused";
      readonly reason:
        | "not-leader"
        | "transferring"
        /** Another change is not committed yet. */
        | "change-pending"
        /** This leader has committed nothing in its term: it cannot know whether a change is pending. */
        | "term-not-committed"
        | "no-voters"
        /** A new voter must first catch up as a learner; else the cluster could stand still until it has. */
        | "not-caught-up"
        | "nothing-changes";
    };

// #region change
/** Begins a change of members. */
export function changeMembers(raft: Raft, change: MemberChange): Changed {
  // Each name once: a voter that stood there twice would have two votes, and majorities need not meet any more.
  const voters = [...new Set(change.voters)];
  const learners = [...new Set(change.learners)];
  const refused = (reason: (Changed & { kind: "refused" })["reason"]): Changed => ({
    kind: "refused",
    reason,
  });
  const at = raft.configurations[raft.configurations.length - 1]!;
  const old = at.configuration;
  if (raft.role !== "leader") return refused("not-leader");
  if (raft.transfer !== undefined) return refused("transferring");
  // 1. One at a time: two overlapping changes could have majorities that do not meet.
  if (isJoint(old) || at.index > raft.commitIndex) return refused("change-pending");
  // 2. Without an entry committed in its own term a leader cannot be sure of that.
  if (raft.log.termAt(raft.commitIndex) !== raft.term) return refused("term-not-committed");
  if (voters.length === 0) return refused("no-voters");
  // 3. New voters come from the learners, when they have nearly everything.
  const newVoters = voters.filter((voter) => !old.voters.includes(voter));
  const least = raft.log.lastIndex - raft.options.catchUpEntriesMax;
  const isReady = (voter: NodeId): boolean =>
    (raft.progress.get(voter)?.matchIndex ?? 0) >= Math.max(1, least);
  if (!newVoters.every(isReady)) return refused("not-caught-up");
  const hasSameVoters = newVoters.length === 0 && voters.length === old.voters.length;
  const onlyLearners = learners.filter((learner) => !voters.includes(learner));
  const hasSameLearners =
    onlyLearners.length === old.learners.length &&
    onlyLearners.every((learner) => old.learners.includes(learner));
  if (hasSameVoters && hasSameLearners) return refused("nothing-changes");
  // 4. Learners have no say: they come and go in one step. Voters take two.
  const oldVoters = hasSameVoters ? [] : old.voters;
  const configuration: Configuration = { voters, oldVoters, learners: onlyLearners };
  const index = raft.rules.replication.appendOwn(raft, { kind: "configuration", configuration });
  raft.rules.replication.broadcastEntries(raft);
  return { kind: "begun", index };
}

/** At the leader, after a commit: the second half of a change, and what follows from it. */
export function onCommit(raft: Raft): void {
  const at = raft.configurations[raft.configurations.length - 1]!;
  if (raft.role !== "leader" || at.index > raft.commitIndex) return;
  const { voters, learners } = at.configuration;
  if (isJoint(at.configuration)) {
    // 1. The joint configuration is committed: nobody can decide by the old one alone any more.
    const configuration: Configuration = { voters, oldVoters: [], learners };
    raft.rules.replication.appendOwn(raft, { kind: "configuration", configuration });
    raft.rules.replication.broadcastEntries(raft);
  } else if (!voters.includes(raft.id)) {
    // 2. "The leader steps down once it has committed the C_new log entry", and says how far it got.
    raft.rules.replication.broadcastHeartbeat(raft);
    handOverToBest(raft);
    raft.rules.election.becomeFollower(raft, raft.term, undefined, "not a voter any more");
  }
}

/** Entries behind `lastIndex` were taken back: the configuration before them is in force again. */
export function rollBackTo(raft: Raft, lastIndex: number): void {
  while (
    raft.configurations.length > 1 &&
    raft.configurations[raft.configurations.length - 1]!.index > lastIndex
  ) {
    raft.configurations.pop();
    const at = raft.configurations[raft.configurations.length - 1]!;
    raft.observe?.({ kind: "configuration", index: at.index, configuration: at.configuration });
  }
}
// #endregion change

// #region pre-vote
/** Asks whether an election could be won, without beginning a term (thesis 9.6). */
export function startPreVote(raft: Raft): void {
  raft.role = "pre-candidate";
  raft.leader = undefined;
  raft.votes.clear();
  raft.observe?.({
    kind: "role",
    role: "pre-candidate",
    term: raft.term,
    leader: undefined,
    reason: "timeout",
  });
  // 1. The term that *would* begin: neither this server's term nor anybody else's changes by asking.
  const term = raft.term + 1;
  const { lastIndex, lastTerm } = raft.log;
  for (const to of votersOf(configurationOf(raft))) {
    if (to !== raft.id)
      raft.outbox.push({ kind: "pre-vote-request", from: raft.id, to, term, lastIndex, lastTerm });
  }
  countPreVote(raft, raft.id, true);
}

/** Would this server vote for that one? The answer binds nobody. */
export function onPreVoteRequest(raft: Raft, request: PreVoteRequest): void {
  // 1. Not in the past, not without the committed entries, and not while there is a leader.
  const isGranted =
    request.term > raft.term &&
    raft.rules.election.isUpToDate(raft, request.lastTerm, request.lastIndex) &&
    !hearsLeader(raft);
  // 2. A yes speaks of the term asked about; a no tells the asker which term it is.
  const term = isGranted ? request.term : raft.term;
  raft.outbox.push({ kind: "pre-vote-reply", from: raft.id, to: request.from, term, isGranted });
}

/** An answer to this server's question. */
export function onPreVoteReply(raft: Raft, reply: PreVoteReply): void {
  if (raft.role === "pre-candidate") countPreVote(raft, reply.from, reply.isGranted);
}

function countPreVote(raft: Raft, from: NodeId, isGranted: boolean): void {
  raft.votes.set(from, isGranted);
  if (hasQuorum(configurationOf(raft), (voter) => raft.votes.get(voter) === true)) {
    raft.rules.election.startElection(raft, false);
  }
}

/**
 * Whether a request for a vote is not even looked at: "within the minimum election timeout of hearing from a
 * current leader" (§6).
 */
export function isProtected(raft: Raft, request: VoteRequest): boolean {
  // 1. An election that the leader itself has asked for disturbs nobody.
  return !request.isTransfer && hearsLeader(raft);
}

/** Whether there is a leader, as far as this server can know. A server that has just started assumes so. */
function hearsLeader(raft: Raft): boolean {
  // 1. A leader that checks its quorum steps down by itself. One that does not would be protected for ever.
  if (!raft.options.hasCheckQuorum) return false;
  return raft.role === "leader" || raft.nowMs - raft.leaderHeardAtMs < raft.options.electionTimeoutMinMs;
}
// #endregion pre-vote

/** What becomes of a wish to hand over. */
export type Transferred =
  | { readonly kind: "begun" }
  | { readonly kind: "refused"; readonly reason: "not-leader" | "transferring" | "not-a-voter" };

// #region transfer
/**
 * Hands leadership to another voter: "the prior leader stops accepting new client requests" meanwhile (thesis
 * 3.10).
 */
export function startTransfer(raft: Raft, target: NodeId): Transferred {
  if (raft.role !== "leader") return { kind: "refused", reason: "not-leader" };
  if (raft.transfer !== undefined) return { kind: "refused", reason: "transferring" };
  if (target === raft.id || !isVoter(configurationOf(raft), target))
    return { kind: "refused", reason: "not-a-voter" };
  raft.transfer = { target, dueMs: raft.nowMs + raft.options.electionTimeoutMaxMs };
  raft.observe?.({ kind: "transfer", target, step: "begun" });
  raft.rules.replication.broadcastEntries(raft);
  maybeHandOver(raft);
  return { kind: "begun" };
}

/** Tells the target to begin, once it has everything that this leader has. */
export function maybeHandOver(raft: Raft): void {
  const { transfer } = raft;
  if (raft.role !== "leader" || transfer === undefined) return;
  if (raft.progress.get(transfer.target)?.matchIndex !== raft.log.lastIndex) return;
  handOverTo(raft, transfer.target);
}

/**
 * Gives up on a target that does not make it. What was sent cannot be taken back, so the lease stays lost.
 */
export function checkTransfer(raft: Raft): void {
  if (raft.transfer === undefined || raft.nowMs < raft.transfer.dueMs) return;
  raft.observe?.({ kind: "transfer", target: raft.transfer.target, step: "given-up" });
  raft.transfer = undefined;
}

/** The leader wants this server to lead: it asks nobody whether it may. */
export function onTimeoutNow(raft: Raft): void {
  if (raft.role === "leader" || !isVoter(configurationOf(raft), raft.id)) return;
  raft.rules.election.restartElectionTimer(raft);
  raft.rules.election.startElection(raft, true);
}

/** The voter that has most of the log: the one that would win anyway. */
function handOverToBest(raft: Raft): void {
  let best: NodeId | undefined;
  for (const voter of configurationOf(raft).voters) {
    const match = raft.progress.get(voter)?.matchIndex ?? 0;
    if (best === undefined || match > (raft.progress.get(best)?.matchIndex ?? 0)) best = voter;
  }
  if (best !== undefined) handOverTo(raft, best);
}

function handOverTo(raft: Raft, to: NodeId): void {
  raft.hasHandedOver = true;
  raft.observe?.({ kind: "transfer", target: to, step: "handed-over" });
  raft.outbox.push({ kind: "timeout-now", from: raft.id, to, term: raft.term });
}
// #endregion transfer
