/**
 * Clients (§8): each command once, each read current, and nobody waits for ever.
 *
 * A client that hears nothing does not know whether its command was executed. It must be able to ask again
 * without a second execution, so the state machine remembers the last answer to each client: that is the
 * *session*, which is part of the replicated state and of every snapshot.
 *
 * A leader may have been deposed without knowing. It may answer a read only after a quorum has told it, since
 * the read came, that it still leads (ReadIndex); or while a quorum has promised not to elect anybody else
 * yet (a lease), which trusts clocks to run evenly.
 */
import { assert } from "../base/assert.ts";
import type { Refusal } from "./effects.ts";
import type { NodeId } from "./entry.ts";
import { configurationOf, type PendingRead, type Raft } from "./state.ts";

/** What becomes of commands that were handed in. */
export type Proposed =
  /**
   * They are in this leader's log. They are committed when `apply` brings an entry with this index *and
   * term*.
   */
  | {
      readonly kind: "accepted";
      readonly firstIndex: number;
      readonly lastIndex: number;
      readonly term: number;
    }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly leader: NodeId | undefined };

// #region propose
/** Appends clients' commands, in one batch: one write, one message to each follower. */
export function propose(raft: Raft, commands: readonly Uint8Array[]): Proposed {
  const refused = (reason: Refusal): Proposed => ({ kind: "refused", reason, leader: raft.leader });
  // 1. Only a leader can, and not one that is handing over: its successor would wait for the new entries.
  if (raft.role !== "leader") return refused("not-leader");
  if (raft.transfer !== undefined) return refused("transferring");
  if (raft.proposals.size + commands.length > raft.options.proposalsMax) return refused("too-many-proposals");
  const firstIndex = raft.log.lastIndex + 1;
  // 2. Remember each, until it is committed or this leader cannot say any more.
  for (const data of commands) {
    raft.proposals.set(raft.rules.replication.appendOwn(raft, { kind: "command", data }), raft.nowMs);
  }
  raft.rules.replication.broadcastEntries(raft);
  return { kind: "accepted", firstIndex, lastIndex: raft.log.lastIndex, term: raft.term };
}

/**
 * Entries are committed: those that were waited for, and the reads that waited for the first of this term.
 */
export function onCommit(raft: Raft): void {
  for (const [index, proposedAtMs] of raft.proposals) {
    if (index > raft.commitIndex) break;
    raft.proposals.delete(index);
    raft.observe?.({ kind: "commit-latency", index, latencyMs: raft.nowMs - proposedAtMs });
  }
  // 1. Now this leader knows how far the log is committed: reads may begin to be confirmed.
  let hasNew = false;
  for (const read of raft.reads) {
    if (read.index !== undefined) continue;
    read.index = raft.commitIndex;
    read.round = raft.round + 1;
    hasNew = true;
  }
  if (hasNew) confirmReads(raft);
}

/** This server leads no more: whoever waits is told, because nobody here will ever know more. */
export function abandonAll(raft: Raft): void {
  if (raft.proposals.size > 0) raft.effects.push({ kind: "abandon", indexes: [...raft.proposals.keys()] });
  raft.proposals.clear();
  refuseReads(raft);
}
// #endregion propose

// #region read
/** A read: the answer is a `read` effect, or `refuse-reads`. Ids are the caller's. */
export function read(raft: Raft, id: number): void {
  if (raft.role !== "leader") {
    raft.effects.push({ kind: "refuse-reads", ids: [id], leader: raft.leader });
    return;
  }
  // 1. A new leader has every committed entry and does not know which ones those are, until one of its own
  //    is.
  const isCommitKnown = raft.log.termAt(raft.commitIndex) === raft.term;
  if (!isCommitKnown) {
    raft.reads.push({ id, index: undefined, round: Infinity });
    return;
  }
  // 2. Within the lease nobody else can lead.
  if (holdsLease(raft)) {
    raft.effects.push({ kind: "read", id, index: raft.commitIndex });
    return;
  }
  // 3. Otherwise a quorum must answer a message that is sent after now.
  raft.reads.push({ id, index: raft.commitIndex, round: raft.round + 1 });
  if (raft.reads.length === 1 || isRoundHeard(raft, raft.round))
    raft.rules.replication.broadcastHeartbeat(raft);
  confirmReads(raft);
}

/** Before a broadcast: reads that came since the last one ride on this one. */
export function startRound(raft: Raft): void {
  if (raft.reads.some((waiting) => waiting.index !== undefined && waiting.round > raft.round)) raft.round++;
}

/** Answers the reads whose round a quorum has heard, and begins the next round if others wait for one. */
export function confirmReads(raft: Raft): void {
  if (raft.reads.length === 0) return;
  const waiting: PendingRead[] = [];
  for (const pending of raft.reads) {
    const { id, index, round } = pending;
    if (index !== undefined && round <= raft.round && isRoundHeard(raft, round)) {
      raft.effects.push({ kind: "read", id, index });
    } else {
      waiting.push(pending);
    }
  }
  raft.reads = waiting;
  // 1. One round at a time: many reads share one exchange of messages.
  const hasNext = waiting.some(({ index, round }) => index !== undefined && round > raft.round);
  if (hasNext && isRoundHeard(raft, raft.round)) {
    raft.rules.replication.broadcastHeartbeat(raft);
    // 2. A leader that is its own quorum has heard it already.
    if (isRoundHeard(raft, raft.round)) confirmReads(raft);
  }
}

function isRoundHeard(raft: Raft, round: number): boolean {
  return raft.rules.membership.hasQuorum(configurationOf(raft), (voter) => {
    return voter === raft.id || (raft.progress.get(voter)?.heardRound ?? -1) >= round;
  });
}

function refuseReads(raft: Raft): void {
  if (raft.reads.length === 0) return;
  const ids = raft.reads.map(({ id }) => id);
  raft.reads = [];
  raft.effects.push({ kind: "refuse-reads", ids, leader: raft.leader });
}
// #endregion read

// #region lease
/**
 * Whether no other server can lead now. Each follower that answered a message elects nobody for a minimal
 * election timeout after it *received* it, by its own clock; the leader counts from when it *sent* it, by its
 * own. If its clock is slow and theirs are fast by `clockDriftMax`, that is the factor by which the lease
 * must be shorter.
 */
export function holdsLease(raft: Raft): boolean {
  const { hasLeaseReads, electionTimeoutMinMs, clockDriftMax } = raft.options;
  // 1. Whoever was told to begin an election does not wait for any timeout.
  if (!hasLeaseReads || raft.hasHandedOver) return false;
  const leaseMs = (electionTimeoutMinMs * (1 - clockDriftMax)) / (1 + clockDriftMax);
  return raft.rules.membership.hasQuorum(configurationOf(raft), (voter) => {
    return voter === raft.id || (raft.progress.get(voter)?.heardSentAtMs ?? -Infinity) + leaseMs > raft.nowMs;
  });
}
// #endregion lease

/** What is replicated: it must do the same on every server, so it may look at nothing but its own state. */
export interface StateMachine {
  /** Executes a command and returns the answer to whoever sent it. */
  apply(command: Uint8Array): Uint8Array;
  /** All of its state. */
  save(): Uint8Array;
  /** Takes a saved state over. */
  load(state: Uint8Array): void;
}

/** The answer to one entry of the log. */
export type SessionReply =
  | { readonly kind: "opened"; readonly session: number }
  | { readonly kind: "done"; readonly result: Uint8Array }
  /** The client has a later answer already. */
  | { readonly kind: "stale" }
  /** The session was closed to make room: whether the command was executed before is not known any more. */
  | { readonly kind: "expired" };

/** One client, as every server remembers it. */
interface Session {
  /** The number of the last command that was executed, and its answer. */
  sequence: number;
  result: Uint8Array;
}

/** The command that opens a session. */
export const openSession: Uint8Array = new Uint8Array(0);
/** Bytes before a client's own command: session 6, sequence 4. */
const commandHeaderBytes = 10;

/** A client's command with its session and number, ready to be proposed. */
export function encodeCommand(session: number, sequence: number, command: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(commandHeaderBytes + command.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(session / 2 ** 32));
  view.setUint32(2, session >>> 0);
  view.setUint32(6, sequence);
  bytes.set(command, commandHeaderBytes);
  return bytes;
}

/** The opposite of `encodeCommand`. The command is a view of `data`. */
export function decodeCommand(data: Uint8Array): {
  readonly session: number;
  readonly sequence: number;
  readonly command: Uint8Array;
} {
  assert(data.length >= commandHeaderBytes, () => `a command of ${data.length} bytes has no session`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const session = view.getUint16(0) * 2 ** 32 + view.getUint32(2);
  return { session, sequence: view.getUint32(6), command: data.subarray(commandHeaderBytes) };
}

/** A state machine that executes each command of each client once, however often it is in the log. */
export class SessionTable {
  readonly #machine: StateMachine;
  readonly #sessionsMax: number;
  /** By the time of last use, the oldest first: the order is part of the state. */
  #sessions = new Map<number, Session>();

  constructor(machine: StateMachine, sessionsMax = 1000) {
    this.#machine = machine;
    this.#sessionsMax = sessionsMax;
  }

  /** How many clients are remembered. */
  get size(): number {
    return this.#sessions.size;
  }

  // #region session
  /** Applies one entry of the log: `index` is its index, `data` its data. */
  apply(index: number, data: Uint8Array): SessionReply {
    // 1. A new session is named by its entry's index, which nobody else has.
    if (data.length === 0) return this.#open(index);
    const { session: id, sequence, command } = decodeCommand(data);
    const session = this.#sessions.get(id);
    // 2. Not known (any more): executing it could be the second time.
    if (session === undefined) return { kind: "expired" };
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    // 3. The number says which command it is; two equal commands are two commands.
    if (sequence < session.sequence) return { kind: "stale" };
    if (sequence > session.sequence) {
      session.result = this.#machine.apply(command);
      session.sequence = sequence;
    }
    return { kind: "done", result: session.result };
  }

  #open(index: number): SessionReply {
    // 1. A bound that every server keeps in the same way: the one that was used longest ago goes.
    for (const [oldest] of this.#sessions) {
      if (this.#sessions.size < this.#sessionsMax) break;
      this.#sessions.delete(oldest);
    }
    this.#sessions.set(index, { sequence: 0, result: new Uint8Array(0) });
    return { kind: "opened", session: index };
  }
  // #endregion session

  /**
   * The machine's state and the sessions: a snapshot without them would forget which commands were executed.
   */
  save(): Uint8Array {
    const state = this.#machine.save();
    const sizes = [...this.#sessions.values()].map(({ result }) => 16 + result.length);
    const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 4 + state.length));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.#sessions.size);
    let offset = 4;
    for (const [id, { sequence, result }] of this.#sessions) {
      view.setFloat64(offset, id);
      view.setUint32(offset + 8, sequence);
      view.setUint32(offset + 12, result.length);
      bytes.set(result, offset + 16);
      offset += 16 + result.length;
    }
    bytes.set(state, offset);
    return bytes;
  }

  /** Takes a saved state over. */
  load(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#sessions = new Map();
    let offset = 4;
    for (let count = view.getUint32(0); count > 0; count--) {
      const length = view.getUint32(offset + 12);
      const result = bytes.slice(offset + 16, offset + 16 + length);
      this.#sessions.set(view.getFloat64(offset), { sequence: view.getUint32(offset + 8), result });
      offset += 16 + length;
    }
    this.#machine.load(bytes.subarray(offset));
  }
}
