/**
 * Log replication (§5.3): how a leader makes every other log equal to its own.
 *
 * Each AppendEntries names the entry just before the new ones, and a follower that has another entry there
 * refuses. By induction over such steps two logs that agree on one entry agree on everything before it: the
 * Log Matching property.
 *
 * A leader that waited for each answer would send one batch a round trip. Ours sends on (*pipelining*) as
 * soon as one message has matched, up to a window, and goes back to one at a time when something does not
 * match or was lost. Heartbeats are ordinary AppendEntries behind the last entry sent, so a lost batch shows
 * as a conflict at the next heartbeat.
 */
import { assert } from "../base/assert.ts";
import type { Configuration, Entry, NodeId } from "./entry.ts";
import type { AppendReply, AppendRequest, Heard } from "./messages.ts";
import { appendEntries, configurationOf, type Progress, type Raft } from "./state.ts";

/** An entry before it has its place. */
export type NewEntry =
  | { readonly kind: "command"; readonly data: Uint8Array }
  | { readonly kind: "no-op" }
  | { readonly kind: "configuration"; readonly configuration: Configuration };

/** Appends to the leader's own log: "a leader never overwrites or deletes entries in its own log" (§5.3). */
export function appendOwn(raft: Raft, entry: NewEntry): number {
  assert(raft.role === "leader", () => `${raft.id} appends as ${raft.role}`);
  const index = raft.log.lastIndex + 1;
  appendEntries(raft, [{ ...entry, index, term: raft.term }]);
  if (entry.kind === "configuration") trackMembers(raft, index);
  return index;
}

/**
 * Begins to follow members that are new, and forgets those that are gone: who comes back, starts from
 * nothing.
 */
export function trackMembers(raft: Raft, nextIndex: number): void {
  const members = raft.rules.membership.membersOf(configurationOf(raft));
  for (const id of raft.progress.keys()) if (!members.has(id)) raft.progress.delete(id);
  for (const id of members) {
    if (id === raft.id || raft.progress.has(id)) continue;
    raft.progress.set(id, {
      matchIndex: 0,
      nextIndex,
      mode: "probe",
      isWaiting: false,
      inFlight: [],
      snapshot: undefined,
      snapshotOffset: 0,
      heardAtMs: raft.nowMs,
      heardRound: -1,
      heardSentAtMs: -Infinity,
    });
  }
}

// #region send
/** Tells every member that the leader is there, and sends what is waiting. */
export function broadcastHeartbeat(raft: Raft): void {
  raft.heartbeatDueMs = raft.nowMs + raft.options.heartbeatMs;
  raft.rules.clients.startRound(raft);
  for (const [peer, progress] of raft.progress) {
    // 1. Entries are a heartbeat too; only with none to send, an empty message goes out.
    if (!sendEntries(raft, peer, progress)) sendEmpty(raft, peer, progress);
  }
}

/** Sends every member what it lacks, as far as its window allows. */
export function broadcastEntries(raft: Raft): void {
  for (const [peer, progress] of raft.progress) sendEntries(raft, peer, progress);
}

/** Sends what one member lacks. Returns whether anything was sent. */
export function sendEntries(raft: Raft, peer: NodeId, progress: Progress): boolean {
  let hasSent = false;
  while (progress.mode !== "snapshot" && progress.nextIndex <= raft.log.lastIndex) {
    // 1. Probing, one message is out at a time; replicating, a window of them.
    const isFull =
      progress.mode === "probe" ? progress.isWaiting : progress.inFlight.length >= raft.options.inFlightMax;
    if (isFull) break;
    // 2. What is in a snapshot only cannot be sent as entries.
    if (progress.nextIndex <= raft.log.snapshotIndex) {
      raft.rules.snapshot.startSending(raft, peer, progress);
      return true;
    }
    // 3. A batch has a limit, whatever the follower lacks.
    const { batchEntriesMax, batchBytesMax } = raft.options;
    const entries = raft.log.slice(progress.nextIndex, undefined, batchEntriesMax, batchBytesMax);
    pushAppend(raft, peer, progress.nextIndex - 1, entries);
    hasSent = true;
    if (progress.mode === "probe") {
      progress.isWaiting = true;
    } else {
      // 4. Go on as if it had arrived: the answer will say so, or not.
      progress.nextIndex += entries.length;
      progress.inFlight.push(progress.nextIndex - 1);
    }
  }
  return hasSent;
}

function sendEmpty(raft: Raft, peer: NodeId, progress: Progress): void {
  if (progress.mode === "snapshot") return raft.rules.snapshot.sendChunk(raft, peer, progress);
  if (progress.nextIndex <= raft.log.snapshotIndex)
    return raft.rules.snapshot.startSending(raft, peer, progress);
  // An empty message goes through the same check as any other: it names the entry before the next one.
  pushAppend(raft, peer, progress.nextIndex - 1, []);
}

function pushAppend(raft: Raft, to: NodeId, previousIndex: number, entries: readonly Entry[]): void {
  const previousTerm = raft.log.termAt(previousIndex);
  assert(previousTerm !== undefined, () => `no term for entry ${previousIndex}`);
  raft.outbox.push({
    kind: "append-request",
    from: raft.id,
    to,
    term: raft.term,
    previousIndex,
    previousTerm,
    entries,
    commitIndex: raft.commitIndex,
    round: raft.round,
    sentAtMs: raft.nowMs,
  });
}
// #endregion send

// #region receive
/** A leader's message, at a follower. */
export function onAppendRequest(raft: Raft, request: AppendRequest): void {
  // 1. "Reply false if term < currentTerm", and do nothing else: not even the timer starts again.
  if (request.term < raft.term) return pushReply(raft, request, { kind: "stale" });
  followLeader(raft, request.from);
  // 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm",
  //    heartbeat or not.
  const conflict = findConflict(raft, request);
  if (conflict !== undefined) return pushReply(raft, request, conflict);
  // 3. Keep what is there already: a late duplicate must not cut off what came after it.
  const { log } = raft;
  const added = request.entries.findIndex((entry) => {
    return entry.index > log.snapshotIndex && log.termAt(entry.index) !== entry.term;
  });
  if (added >= 0) {
    const entries = request.entries.slice(added);
    // 4. "If an existing entry conflicts with a new one, delete the existing entry and all that follow it."
    truncate(raft, entries[0]!.index);
    appendEntries(raft, entries);
  }
  // 5. Only as far as *this message* has shown the logs to be equal, however long ours is.
  const matchIndex = request.previousIndex + request.entries.length;
  raft.rules.commit.followCommit(raft, request.commitIndex, matchIndex);
  pushReply(raft, request, { kind: "matched", matchIndex });
}

/** A message of this term's leader: whoever stood against it gives up, and patience begins anew. */
export function followLeader(raft: Raft, leader: NodeId): void {
  assert(raft.role !== "leader", () => `${raft.id} and ${leader} both lead in term ${raft.term}`);
  if (raft.role !== "follower" || raft.leader !== leader) {
    raft.rules.election.becomeFollower(raft, raft.term, leader, "heard the leader");
  }
  raft.leaderHeardAtMs = raft.nowMs;
  raft.rules.election.restartElectionTimer(raft);
}

/** Takes back entries that were never committed, and the configurations among them. */
export function truncate(raft: Raft, from: number): void {
  if (from > raft.log.lastIndex) return;
  assert(
    from > raft.commitIndex,
    () => `${raft.id} would take back ${from} with ${raft.commitIndex} committed`,
  );
  raft.observe?.({ kind: "truncate", from, count: raft.log.lastIndex - from + 1 });
  raft.log.truncateFrom(from);
  raft.rules.membership.rollBackTo(raft, from - 1);
  raft.rules.persistence.onTruncate(raft, from);
}

/** What is in the way of the entries, for the leader to go back by; undefined when nothing is. */
export function findConflict(raft: Raft, request: AppendRequest): AppendReply["outcome"] | undefined {
  const { previousIndex, previousTerm } = request;
  const { log } = raft;
  // 1. What the snapshot covers is committed, and so is the same everywhere.
  if (previousIndex < log.snapshotIndex) return undefined;
  const term = log.termAt(previousIndex);
  if (term === previousTerm) return undefined;
  // 2. Too short: the leader shall go on where the log ends.
  if (term === undefined) {
    return { kind: "conflict", previousIndex, conflictTerm: undefined, conflictIndex: log.lastIndex + 1 };
  }
  // 3. "The follower can include the term of the conflicting entry and the first index it stores for that
  //    term" (§5.3).
  return {
    kind: "conflict",
    previousIndex,
    conflictTerm: term,
    conflictIndex: log.firstIndexOfTermAt(previousIndex),
  };
}

function pushReply(raft: Raft, request: AppendRequest, outcome: AppendReply["outcome"]): void {
  const { round, sentAtMs } = request;
  raft.outbox.push({
    kind: "append-reply",
    from: raft.id,
    to: request.from,
    term: raft.term,
    outcome,
    round,
    sentAtMs,
  });
}
// #endregion receive

// #region reply
/** A follower's answer, at the leader. `admit` has made sure that it is of this term. */
export function onAppendReply(raft: Raft, reply: AppendReply): void {
  const progress = raft.progress.get(reply.from);
  // 1. Not a leader any more, or not a member any more: the answer is nobody's business.
  if (raft.role !== "leader" || progress === undefined) return;
  noteHeard(raft, reply.from, progress, reply);
  const { outcome } = reply;
  if (outcome.kind === "matched") {
    // 2. Equal up to what *that request* brought. Answers overtake each other, so it only ever grows.
    const hasGrown = outcome.matchIndex > progress.matchIndex;
    if (hasGrown) progress.matchIndex = outcome.matchIndex;
    progress.nextIndex = Math.max(progress.nextIndex, progress.matchIndex + 1);
    while (progress.inFlight.length > 0 && progress.inFlight[0]! <= progress.matchIndex)
      progress.inFlight.shift();
    raft.rules.snapshot.maybeFinishSending(progress);
    if (progress.mode === "probe") {
      progress.mode = "replicate";
      progress.isWaiting = false;
      progress.nextIndex = progress.matchIndex + 1;
    }
    if (hasGrown) {
      raft.rules.commit.advanceCommit(raft);
      raft.rules.membership.maybeHandOver(raft);
    }
  } else if (outcome.kind === "conflict") {
    backOff(raft, reply.from, progress, outcome);
  }
  // 3. Its window may have room again. (It may be gone, or this leader may: then there is nothing to send.)
  if (raft.progress.get(reply.from) === progress) sendEntries(raft, reply.from, progress);
}

/**
 * Goes back to where the logs may agree: one step for each term with conflicting entries, not for each entry.
 */
export function backOff(
  raft: Raft,
  peer: NodeId,
  progress: Progress,
  { previousIndex, conflictTerm, conflictIndex }: AppendReply["outcome"] & { kind: "conflict" },
): void {
  // 1. An old answer: it is known to match beyond that, or this is no longer the question.
  if (progress.mode === "snapshot" || previousIndex <= progress.matchIndex) return;
  if (progress.mode === "probe" && previousIndex !== progress.nextIndex - 1) return;
  // 2. Where we have entries of that term too, the logs may agree up to our last one; else skip the whole
  //    term.
  const { log } = raft;
  const last =
    conflictTerm === undefined ? undefined : log.lastIndexWithTermAtMost(conflictTerm, previousIndex);
  const isShared = last !== undefined && log.termAt(last) === conflictTerm;
  const next = isShared ? last + 1 : Math.min(conflictIndex, previousIndex);
  // 3. Never to where they are known to match, nor below the first entry.
  progress.nextIndex = Math.max(next, progress.matchIndex + 1, 1);
  progress.mode = "probe";
  progress.isWaiting = false;
  progress.inFlight = [];
  raft.observe?.({ kind: "back-off", peer, nextIndex: progress.nextIndex });
}
// #endregion reply

/** Any answer of this term says that the follower takes this server for its leader. */
export function noteHeard(raft: Raft, peer: NodeId, progress: Progress, { round, sentAtMs }: Heard): void {
  progress.heardAtMs = raft.nowMs;
  progress.heardRound = Math.max(progress.heardRound, round);
  progress.heardSentAtMs = Math.max(progress.heardSentAtMs, sentAtMs);
  raft.observe?.({ kind: "round-trip", peer, durationMs: raft.nowMs - sentAtMs });
  raft.rules.clients.confirmReads(raft);
}
