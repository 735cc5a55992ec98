/**
 * Persistence (Figure 2, "Persistent state on all servers"): what is on disk before which message leaves.
 *
 * Raft's proof treats a vote and an acknowledgement as promises. A server that forgets one in a power loss
 * votes twice in a term, or lets the leader commit an entry that it does not have. So everything that changes
 * goes into one record, the record is durable as a whole or not at all, and the messages that promise it
 * wait.
 *
 * The leader's own AppendEntries do not wait for its disk: they promise nothing. The followers' disks and its
 * own work at the same time (thesis 10.2.1), and the leader counts itself when its own write is done.
 *
 * The design notes also list the commit index and the last applied index as persistent. They need not be: a
 * restarted server starts from its snapshot and learns from the leader how far the log is committed.
 */
import { assert } from "../base/assert.ts";
import type { Write } from "./effects.ts";
import type { Entry, NodeId, Snapshot } from "./entry.ts";
import type { Message } from "./messages.ts";
import type { Raft } from "./state.ts";

/** What a server finds on its disk when it starts. */
export interface DurableState {
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly snapshot: Snapshot | undefined;
  /** The entries behind the snapshot. */
  readonly entries: readonly Entry[];
}

/** The disk of a server that has never run. */
export const emptyState: DurableState = { term: 0, votedFor: undefined, snapshot: undefined, entries: [] };

// #region collect
/** All that has changed since the last write, as one atomic record; undefined when nothing has. */
export function collectWrite(raft: Raft): Write | undefined {
  const { dirty, log } = raft;
  if (!dirty.hasTerm && !dirty.hasSnapshot && dirty.replaceFrom === undefined) return undefined;
  const number = ++raft.writeNumber;
  // 1. Term and vote together, in every record: no crash can come between them.
  if (dirty.hasTerm) raft.termWriteNumber = number;
  const write: Write = {
    number,
    term: raft.term,
    votedFor: raft.votedFor,
    snapshot: dirty.hasSnapshot ? raft.snapshot : undefined,
    // 2. Where the log was cut and what came instead, in the same record: else a crash leaves a mixture.
    replaceFrom: dirty.replaceFrom,
    // 3. A copy: the log goes on changing while the disk is still writing.
    entries: dirty.replaceFrom === undefined ? [] : log.slice(dirty.replaceFrom),
  };
  raft.pendingWrites.push({ number, lastIndex: log.lastIndex });
  raft.dirty = { hasTerm: false, replaceFrom: undefined, hasSnapshot: false };
  return write;
}
// #endregion collect

// #region withhold
/** The write that must be durable before a message may leave; 0 when none must. */
export function writeBefore(raft: Raft, message: Message): number {
  switch (message.kind) {
    // 1. These promise that the log is on disk up to some entry.
    case "append-reply":
    case "snapshot-reply":
      return raft.writeNumber;
    // 2. These show a term or a vote, and nothing of the log. A leader's entries leave before they are on its
    //    own disk.
    case "vote-request":
    case "vote-reply":
    case "pre-vote-request":
    case "pre-vote-reply":
    case "append-request":
    case "snapshot-request":
    case "timeout-now":
      return raft.termWriteNumber;
  }
}
// #endregion withhold

// #region durable
/** The disk has made a write durable, and with it all before it. */
export function onPersisted(raft: Raft, number: number): void {
  assert(
    number > raft.durableWriteNumber && number <= raft.writeNumber,
    () => `write ${number} is durable after ${raft.durableWriteNumber} of ${raft.writeNumber}`,
  );
  raft.durableWriteNumber = number;
  // 1. The log is durable as far as that write took it, unless it was cut since.
  const before = raft.durableIndex;
  while (raft.pendingWrites.length > 0 && raft.pendingWrites[0]!.number <= number) {
    raft.durableIndex = Math.max(raft.durableIndex, raft.pendingWrites.shift()!.lastIndex);
  }
  // 2. Only now do this server's own vote and its own copy of an entry count.
  if (number >= raft.termWriteNumber) raft.rules.election.onTermDurable(raft);
  if (raft.role === "leader" && raft.durableIndex > before) raft.rules.commit.advanceCommit(raft);
}

/**
 * The log was cut: what is durable, or on its way to the disk, counts only up to the cut. Without this an old
 * write that finishes late would vouch for entries that have been replaced: same indexes, other contents.
 */
export function onTruncate(raft: Raft, from: number): void {
  raft.dirty.replaceFrom = Math.min(raft.dirty.replaceFrom ?? from, from);
  raft.durableIndex = Math.min(raft.durableIndex, from - 1);
  for (const write of raft.pendingWrites) write.lastIndex = Math.min(write.lastIndex, from - 1);
}
// #endregion durable

// #region recover
/** What the disk holds after one more record: what a shell does record by record when it starts. */
export function applyWrite(state: DurableState, write: Write): DurableState {
  const snapshot = write.snapshot ?? state.snapshot;
  const base = snapshot?.index ?? 0;
  // 1. The snapshot takes the place of what it covers.
  let entries = state.entries.filter((entry) => entry.index > base);
  // 2. New entries take the place of everything from the first of them on.
  const { replaceFrom } = write;
  if (replaceFrom !== undefined) {
    entries = [...entries.filter((entry) => entry.index < replaceFrom), ...write.entries];
  }
  return { term: write.term, votedFor: write.votedFor, snapshot, entries };
}
// #endregion recover
