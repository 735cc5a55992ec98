/**
 * Elections (§5.2, §5.4.1): how at most one server becomes leader of a term, and how one does become it soon.
 *
 * Safety rests on two sentences: each server votes once a term, and a leader needs a majority. Two majorities
 * share a server, and that server voted once. Liveness rests on chance: timeouts are random, so that usually
 * one server asks before the others begin to.
 *
 * ```
 *                 times out                     could win                    majority of votes
 *   follower ───────────────► pre-candidate ─────────────────► candidate ─────────────────────► leader
 *      ▲                            │                              │                               │
 *      └────────────────────────────┴── leader or higher term ─────┴───────────────────────────────┘
 * ```
 */
import { assert } from "../base/assert.ts";
import type { NodeId } from "./entry.ts";
import type { Message, VoteReply, VoteRequest } from "./messages.ts";
import { configurationOf, type Raft } from "./state.ts";

// #region term
/**
 * Looks at a message's term before anything else. Returns whether the message may be handled: "If one
 * server's current term is smaller than the other's, then it updates its current term to the larger value"
 * (§5.1).
 */
export function admit(raft: Raft, message: Message): boolean {
  // 1. A pre-vote speaks of a term that nobody has begun: it changes none.
  if (message.kind === "pre-vote-request") return true;
  if (message.kind === "pre-vote-reply" && message.isGranted) return message.term === raft.term + 1;
  if (message.term > raft.term) {
    // 2. Whoever hears a leader does not let others talk it into an election.
    if (message.kind === "vote-request" && raft.rules.membership.isProtected(raft, message)) return false;
    // 3. A higher term in any message, a reply included: this server's own term is over.
    const isFromLeader = message.kind === "append-request" || message.kind === "snapshot-request";
    becomeFollower(
      raft,
      message.term,
      isFromLeader ? message.from : undefined,
      `${message.kind} of a higher term`,
    );
    return true;
  }
  // 4. A request of an older term is answered, so that its sender learns the new one; an old reply is worth
  //    nothing.
  return message.term === raft.term || isRequest(message);
}

/** Goes back to following. In a new term the vote is free again; within a term it never is. */
export function becomeFollower(raft: Raft, term: number, leader: NodeId | undefined, reason: string): void {
  assert(term >= raft.term, () => `${raft.id} would go back from term ${raft.term} to ${term}`);
  const wasLeader = raft.role === "leader";
  // 1. Term and vote change together, and both go to disk.
  if (term > raft.term) {
    raft.term = term;
    raft.votedFor = undefined;
    raft.dirty.hasTerm = true;
  }
  const isNews = raft.role !== "follower" || raft.leader !== leader;
  raft.role = "follower";
  raft.leader = leader;
  raft.votes.clear();
  // 2. What only a leader has ends here: whoever waits for it must hear so.
  if (wasLeader) {
    raft.rules.clients.abandonAll(raft);
    raft.progress.clear();
    raft.transfer = undefined;
    restartElectionTimer(raft);
  }
  if (isNews) raft.observe?.({ kind: "role", role: "follower", term: raft.term, leader, reason });
}
// #endregion term

// #region timer
/**
 * Waits for a random time from now: "Raft uses randomized election timeouts to ensure that split votes are
 * rare" (§5.2).
 */
export function restartElectionTimer(raft: Raft): void {
  const { electionTimeoutMinMs, electionTimeoutMaxMs } = raft.options;
  // 1. Drawn anew each time and by each server for itself; else two that collide once collide for ever.
  const fraction = raft.random.nextUint32() / 2 ** 32;
  raft.electionDueMs =
    raft.nowMs + electionTimeoutMinMs + fraction * (electionTimeoutMaxMs - electionTimeoutMinMs);
}

/** The timer has run out: no leader was heard for too long. */
export function onElectionTimeout(raft: Raft): void {
  // 1. The next attempt, should this one come to nothing, has its own random time.
  restartElectionTimer(raft);
  // 2. Only those who may be needed stand. Others wait.
  if (!raft.rules.membership.mayStand(raft)) return;
  if (raft.options.hasPreVote) raft.rules.membership.startPreVote(raft);
  else startElection(raft, false);
}
// #endregion timer

// #region candidate
/**
 * "To begin an election, a follower increments its current term and transitions to candidate state" (§5.2).
 */
export function startElection(raft: Raft, isTransfer: boolean): void {
  // 1. A new term, with this server's own vote in it. Both must be durable before anybody hears of them.
  raft.term++;
  raft.votedFor = raft.id;
  raft.dirty.hasTerm = true;
  raft.role = "candidate";
  raft.leader = undefined;
  raft.votes.clear();
  raft.observe?.({ kind: "role", role: "candidate", term: raft.term, leader: undefined, reason: "election" });
  // 2. Ask every other voter. The own vote counts when it is on disk (onTermDurable).
  const { lastIndex, lastTerm } = raft.log;
  for (const to of raft.rules.membership.votersOf(configurationOf(raft))) {
    if (to === raft.id) continue;
    raft.outbox.push({
      kind: "vote-request",
      from: raft.id,
      to,
      term: raft.term,
      lastIndex,
      lastTerm,
      isTransfer,
    });
  }
}

/** Term and vote of this server are on disk: now a candidate's vote for itself counts like any other. */
export function onTermDurable(raft: Raft): void {
  if (raft.role === "candidate") countVote(raft, raft.id, true);
}

/** A voter's answer. `admit` has made sure that it is of this term. */
export function onVoteReply(raft: Raft, reply: VoteReply): void {
  // 1. An answer to a candidacy that is over, won or lost, changes nothing.
  if (raft.role === "candidate") countVote(raft, reply.from, reply.isGranted);
}

function countVote(raft: Raft, from: NodeId, isGranted: boolean): void {
  // 1. By name, so that an answer that comes twice counts once.
  raft.votes.set(from, isGranted);
  // 2. A majority of all voters, whether they answered or not; votes of others are not asked for and do not
  //    count.
  const hasVote = (voter: NodeId): boolean => raft.votes.get(voter) === true;
  if (raft.rules.membership.hasQuorum(configurationOf(raft), hasVote)) becomeLeader(raft);
}
// #endregion candidate

// #region vote
/** Decides about a candidate. "Each server will vote for at most one candidate in a given term" (§5.2). */
export function onVoteRequest(raft: Raft, request: VoteRequest): void {
  // 1. The term has been looked at: what is older than ours gets no vote, but an answer.
  const isCurrent = request.term === raft.term;
  // 2. One vote a term. Asked again by the same candidate, the answer is the same.
  const isFree = raft.votedFor === undefined || raft.votedFor === request.from;
  // 3. A leader must have every committed entry (§5.4.1).
  const isGranted = isCurrent && isFree && isUpToDate(raft, request.lastTerm, request.lastIndex);
  if (isGranted) {
    // 4. The vote must be durable before the answer leaves.
    if (raft.votedFor === undefined) raft.dirty.hasTerm = true;
    raft.votedFor = request.from;
    // 5. Patience with a candidate that can win, and only with such a one; whoever thought of standing itself
    //    gives way.
    if (raft.role !== "follower") becomeFollower(raft, raft.term, undefined, "voted for another");
    restartElectionTimer(raft);
  }
  raft.observe?.({ kind: "vote", term: request.term, candidate: request.from, isGranted });
  raft.outbox.push({ kind: "vote-reply", from: raft.id, to: request.from, term: raft.term, isGranted });
}

/**
 * "If the logs have last entries with different terms, then the log with the later term is more up-to-date.
 * If the logs end with the same term, then whichever log is longer is more up-to-date" (§5.4.1). As good is
 * good enough.
 */
export function isUpToDate(raft: Raft, lastTerm: number, lastIndex: number): boolean {
  if (lastTerm !== raft.log.lastTerm) return lastTerm > raft.log.lastTerm;
  return lastIndex >= raft.log.lastIndex;
}
// #endregion vote

// #region leader
/** The election is won. */
export function becomeLeader(raft: Raft): void {
  assert(raft.role === "candidate", () => `${raft.id} would lead as ${raft.role}`);
  raft.role = "leader";
  raft.leader = raft.id;
  raft.hasHandedOver = false;
  raft.observe?.({ kind: "role", role: "leader", term: raft.term, leader: raft.id, reason: "elected" });
  // 1. Nothing is known about the others yet, except that each was reachable a moment ago.
  raft.progress.clear();
  raft.rules.replication.trackMembers(raft, raft.log.lastIndex + 1);
  // 2. An entry of this term: committing it commits everything before it (§8).
  raft.rules.replication.appendOwn(raft, { kind: "no-op" });
  // 3. Tell everybody at once, "to establish its authority and prevent new elections" (§5.2).
  raft.rules.replication.broadcastHeartbeat(raft);
}

/** Time has passed. */
export function onTick(raft: Raft): void {
  if (raft.role !== "leader") {
    if (raft.nowMs >= raft.electionDueMs) onElectionTimeout(raft);
    return;
  }
  // 1. A leader has no election timer: it leads until it learns better, or hears no quorum any more.
  if (raft.nowMs < raft.heartbeatDueMs) return;
  raft.rules.membership.checkTransfer(raft);
  if (raft.options.hasCheckQuorum && !hearsQuorum(raft)) {
    return becomeFollower(raft, raft.term, undefined, "no quorum was heard for an election timeout");
  }
  raft.rules.replication.broadcastHeartbeat(raft);
}

/** Whether a quorum, with this leader, has answered within the last election timeout. */
function hearsQuorum(raft: Raft): boolean {
  const sinceMs = raft.nowMs - raft.options.electionTimeoutMaxMs;
  return raft.rules.membership.hasQuorum(configurationOf(raft), (voter) => {
    return voter === raft.id || (raft.progress.get(voter)?.heardAtMs ?? -Infinity) >= sinceMs;
  });
}
// #endregion leader

function isRequest(message: Message): boolean {
  return (
    message.kind === "vote-request" ||
    message.kind === "append-request" ||
    message.kind === "snapshot-request"
  );
}
