/**
 * Snapshots (§7): how a log stays short, and how a server that is far behind gets what is not in any log any
 * more.
 *
 * "Each server takes snapshots independently, covering just the committed entries in its log." The snapshot
 * has three things beside the state machine's bytes: the index and the term of the last entry that it covers,
 * for the consistency check of the next one, and the configuration, whose entry may be gone.
 *
 * To a follower it travels in pieces, one at a time. The follower says how much it has; the leader sends what
 * comes next. So a piece that is lost, doubled or late does no harm, and nobody sees a snapshot of which a
 * piece is missing.
 */
import { assert } from "../base/assert.ts";
import type { NodeId, Snapshot } from "./entry.ts";
import { RaftLog } from "./log.ts";
import type { SnapshotReply, SnapshotRequest } from "./messages.ts";
import type { Progress, Raft } from "./state.ts";

// #region compact
/**
 * Takes a snapshot in place of the entries up to `index`. `data` is the state machine after exactly that
 * entry. Returns false when there is nothing to gain.
 */
export function compact(raft: Raft, index: number, data: Uint8Array): boolean {
  // 1. Only what is applied can be in the state machine.
  assert(index <= raft.appliedIndex, () => `snapshot at ${index}, and ${raft.appliedIndex} is applied`);
  if (index <= raft.log.snapshotIndex) return false;
  // 2. The term *of that entry*, not the current one: the next entry's consistency check asks for it.
  const term = raft.log.termAt(index)!;
  // 3. The configuration as of that entry; later ones are still in the log.
  const { configuration } = raft.configurations.findLast((at) => at.index <= index)!;
  // A server that joined knows none before the first that stands in its log, and must not say that there was none.
  if (configuration.voters.length === 0) return false;
  const snapshot: Snapshot = { index, term, configuration, data };
  adopt(raft, snapshot);
  raft.log.compactTo(index, term);
  raft.observe?.({ kind: "snapshot", step: "taken", snapshot });
  return true;
}

/** Makes it this server's snapshot. It and the shorter log go to disk in one record. */
function adopt(raft: Raft, snapshot: Snapshot): void {
  raft.snapshot = snapshot;
  raft.dirty.hasSnapshot = true;
  // Configurations before it are not needed for a roll-back any more: what is in a snapshot is committed.
  const later = raft.configurations.filter((at) => at.index > snapshot.index);
  raft.configurations = [{ index: snapshot.index, configuration: snapshot.configuration }, ...later];
}
// #endregion compact

// #region send
/** A member needs entries that are gone: it gets the snapshot. */
export function startSending(raft: Raft, peer: NodeId, progress: Progress): void {
  const { snapshot } = raft;
  assert(snapshot !== undefined, () => `${raft.id} has compacted its log and has no snapshot`);
  progress.mode = "snapshot";
  progress.snapshot = snapshot;
  progress.snapshotOffset = 0;
  progress.inFlight = [];
  progress.isWaiting = false;
  raft.observe?.({ kind: "snapshot", step: "sending", snapshot });
  sendChunk(raft, peer, progress);
}

/** Sends the next piece, or the same one again: it is also this member's heartbeat. */
export function sendChunk(raft: Raft, to: NodeId, progress: Progress): void {
  const { snapshot, snapshotOffset: offset } = progress;
  assert(snapshot !== undefined, "no snapshot is being sent");
  const end = Math.min(offset + raft.options.snapshotChunkBytesMax, snapshot.data.length);
  raft.outbox.push({
    kind: "snapshot-request",
    from: raft.id,
    to,
    term: raft.term,
    index: snapshot.index,
    lastTerm: snapshot.term,
    configuration: snapshot.configuration,
    offset,
    data: snapshot.data.subarray(offset, end),
    isLast: end === snapshot.data.length,
    round: raft.round,
    sentAtMs: raft.nowMs,
  });
}

/** How far the follower is. */
export function onSnapshotReply(raft: Raft, reply: SnapshotReply): void {
  const progress = raft.progress.get(reply.from);
  if (raft.role !== "leader" || progress === undefined) return;
  raft.rules.replication.noteHeard(raft, reply.from, progress, reply);
  if (progress.mode !== "snapshot" || reply.index !== progress.snapshot?.index) return;
  if (reply.isInstalled) {
    // 1. Its log is ours up to there.
    progress.matchIndex = Math.max(progress.matchIndex, reply.index);
    maybeFinishSending(progress);
    raft.rules.replication.sendEntries(raft, reply.from, progress);
  } else if (reply.offset > progress.snapshotOffset) {
    // 2. Only news leads to the next piece: else each doubled answer would start a second stream of pieces.
    progress.snapshotOffset = reply.offset;
    sendChunk(raft, reply.from, progress);
  } else {
    // 3. It has lost what it had (it was restarted), or the answer is old: the next heartbeat will tell.
    progress.snapshotOffset = reply.offset;
  }
}

/** Goes back to entries, once the follower has what the snapshot covers. */
export function maybeFinishSending(progress: Progress): void {
  if (progress.mode !== "snapshot" || progress.matchIndex < (progress.snapshot?.index ?? 0)) return;
  progress.mode = "probe";
  progress.snapshot = undefined;
  progress.isWaiting = false;
  progress.nextIndex = progress.matchIndex + 1;
}
// #endregion send

// #region receive
/** One piece of the leader's snapshot, at a follower. */
export function onSnapshotRequest(raft: Raft, request: SnapshotRequest): void {
  // 1. Of an older term: the answer carries ours, and nothing else happens.
  if (request.term < raft.term) return pushReply(raft, request, 0, false);
  raft.rules.replication.followLeader(raft, request.from);
  // 2. Not newer than what is committed here: state never goes back.
  if (request.index <= raft.commitIndex) {
    raft.incoming = undefined;
    return pushReply(raft, request, 0, true);
  }
  // 3. Pieces of one transfer belong together; those of another leader or snapshot begin again.
  const key = `${request.term}/${request.from}/${request.index}`;
  if (raft.incoming?.key !== key) raft.incoming = { key, parts: [], bytes: 0 };
  const { incoming } = raft;
  // 4. Only the piece that comes next is kept; the answer says which one that is.
  if (request.offset === incoming.bytes) {
    // An empty piece is a sign of life and no more; while a shell holds the last one back there may be many.
    if (request.data.length > 0) incoming.parts.push(request.data);
    incoming.bytes += request.data.length;
    if (request.isLast) {
      raft.incoming = undefined;
      install(raft, request, joinParts(incoming.parts, incoming.bytes));
      return pushReply(raft, request, incoming.bytes, true);
    }
  }
  return pushReply(raft, request, incoming.bytes, false);
}
// #endregion receive

// #region install
/** Takes a complete snapshot over. */
export function install(
  raft: Raft,
  { index, lastTerm: term, configuration }: SnapshotRequest,
  data: Uint8Array,
): void {
  const snapshot: Snapshot = { index, term, configuration, data };
  // 1. "If existing log entry has same index and term as snapshot's last included entry, retain log entries
  //    following it" (Figure 13). Otherwise nothing in the log can be trusted.
  const isPrefix = raft.log.termAt(index) === term;
  if (isPrefix) {
    raft.log.compactTo(index, term);
  } else {
    raft.rules.persistence.onTruncate(raft, raft.log.snapshotIndex + 1);
    raft.rules.membership.rollBackTo(raft, raft.log.snapshotIndex);
    raft.log = new RaftLog(index, term);
    raft.dirty.replaceFrom = index + 1;
  }
  adopt(raft, snapshot);
  // 2. What it covers is committed and applied, by the state machine taking it over.
  raft.commitIndex = index;
  raft.appliedIndex = index;
  raft.effects.push({ kind: "restore", snapshot });
  raft.observe?.({ kind: "snapshot", step: "installed", snapshot });
}
// #endregion install

function pushReply(raft: Raft, request: SnapshotRequest, offset: number, isInstalled: boolean): void {
  const { index, round, sentAtMs } = request;
  raft.outbox.push({
    kind: "snapshot-reply",
    from: raft.id,
    to: request.from,
    term: raft.term,
    index,
    offset,
    isInstalled,
    round,
    sentAtMs,
  });
}

function joinParts(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
