/**
 * One Raft server, without a disk, a network or a clock: calls in, effects out.
 *
 * Every method takes the time, does what the rules say and returns what the shell has to do, under the rules
 * of effects.ts. Nothing happens between two calls. So the same code runs on sockets and disks, in a page,
 * and in a simulator that tries ten thousand unlucky hours before lunch.
 */
import { assert, unreachable } from "../base/assert.ts";
import type { Random } from "../ports.ts";
import type { Proposed } from "./clients.ts";
import type { Effect } from "./effects.ts";
import { noConfiguration, type Configuration, type NodeId } from "./entry.ts";
import type { RaftEvent } from "./events.ts";
import { maybeFollow, maybeNoteHeard, type Heartbeat, type HeartbeatAnswer } from "./heartbeat.ts";
import { RaftLog } from "./log.ts";
import type { Changed, MemberChange, Transferred } from "./membership.ts";
import type { Message } from "./messages.ts";
import { makeRaftOptions, type RaftOptions } from "./options.ts";
import { emptyState, type DurableState } from "./persistence.ts";
import { referenceRules } from "./rules.ts";
import { configurationOf, type ConfigurationAt, type Raft, type RaftRules } from "./state.ts";

/** What a server is made of. */
export interface RaftNodeOptions {
  readonly id: NodeId;
  /** The monotonic clock, now. */
  readonly nowMs: number;
  /** Each server its own: shared random numbers would make timeouts equal. */
  readonly random: Random;
  /** What its disk holds; nothing for a new server. */
  readonly durable?: DurableState;
  /**
   * The first members, the same on each of them, for a server whose disk is empty. One that joins later has
   * none: it learns of the members from the leader.
   */
  readonly bootstrap?: Configuration;
  readonly options?: Partial<RaftOptions>;
  readonly rules?: RaftRules;
  readonly observe?: (event: RaftEvent) => void;
}

/** A result and what the shell has to do. */
export interface Stepped<Result> {
  readonly result: Result;
  readonly effects: readonly Effect[];
}

const noEffects: readonly Effect[] = [];

/** One server. */
export class RaftNode {
  readonly #raft: Raft;
  /**
   * What a restart leads to: the state machine takes the snapshot over. Carry it out before anything else.
   */
  readonly startEffects: readonly Effect[];

  constructor(options: RaftNodeOptions) {
    this.#raft = makeRaft(options);
    const { snapshot } = this.#raft;
    this.startEffects = snapshot === undefined ? [] : [{ kind: "restore", snapshot }];
  }

  /** What the server knows. To look at, never to change. */
  get state(): Readonly<Raft> {
    return this.#raft;
  }

  /** When `tick` has something to do; later calls of any kind may move it. */
  get nextTickMs(): number {
    return this.#raft.role === "leader" ? this.#raft.heartbeatDueMs : this.#raft.electionDueMs;
  }

  /** A message has arrived. */
  step(message: Message, nowMs: number): readonly Effect[] {
    const raft = this.#at(nowMs);
    assert(message.to === raft.id, () => `${raft.id} got a message to ${message.to}`);
    if (raft.rules.election.admit(raft, message)) dispatch(raft, message);
    return this.#flush();
  }

  /**
   * A heartbeat has arrived. Returns whether it is no news and may be answered at once: "matched, up to where it
   * begins". Otherwise nothing has happened, and it is a message for `step`.
   */
  maybeFollow(from: NodeId, heartbeat: Heartbeat, nowMs: number): boolean {
    return maybeFollow(this.#at(nowMs), from, heartbeat);
  }

  /** The answer to a heartbeat has arrived. Returns whether it is no news; otherwise it is a message for `step`. */
  maybeNoteHeard(from: NodeId, answer: HeartbeatAnswer, nowMs: number): boolean {
    return maybeNoteHeard(this.#at(nowMs), from, answer);
  }

  /** Time has passed. */
  tick(nowMs: number): readonly Effect[] {
    const raft = this.#at(nowMs);
    raft.rules.election.onTick(raft);
    return this.#flush();
  }

  /** A write is durable, and so are all before it. */
  persisted(number: number, nowMs: number): readonly Effect[] {
    const raft = this.#at(nowMs);
    raft.rules.persistence.onPersisted(raft, number);
    return this.#flush();
  }

  /** Clients' commands, as one batch. */
  propose(commands: readonly Uint8Array[], nowMs: number): Stepped<Proposed> {
    const raft = this.#at(nowMs);
    const result = raft.rules.clients.propose(raft, commands);
    return { result, effects: this.#flush() };
  }

  /** A linearizable read; the answer is a `read` or a `refuse-reads` effect with this id, now or later. */
  read(id: number, nowMs: number): readonly Effect[] {
    const raft = this.#at(nowMs);
    raft.rules.clients.read(raft, id);
    return this.#flush();
  }

  /** The state machine after exactly entry `index`, in place of the log up to it. */
  compact(index: number, data: Uint8Array, nowMs: number): readonly Effect[] {
    const raft = this.#at(nowMs);
    raft.rules.snapshot.compact(raft, index, data);
    return this.#flush();
  }

  /** Begins a change of members. */
  changeMembers(change: MemberChange, nowMs: number): Stepped<Changed> {
    const raft = this.#at(nowMs);
    const result = raft.rules.membership.changeMembers(raft, change);
    return { result, effects: this.#flush() };
  }

  /** Begins to hand leadership to another voter. */
  transfer(target: NodeId, nowMs: number): Stepped<Transferred> {
    const raft = this.#at(nowMs);
    const result = raft.rules.membership.startTransfer(raft, target);
    return { result, effects: this.#flush() };
  }

  #at(nowMs: number): Raft {
    assert(nowMs >= this.#raft.nowMs, () => `time went back from ${this.#raft.nowMs} to ${nowMs} ms`);
    this.#raft.nowMs = nowMs;
    return this.#raft;
  }

  /** The effects of this call: the write, the messages with the write that each waits for, and the rest. */
  #flush(): readonly Effect[] {
    const raft = this.#raft;
    const write = raft.rules.persistence.collectWrite(raft);
    if (write === undefined && raft.outbox.length === 0 && raft.effects.length === 0) return noEffects;
    const effects: Effect[] = write === undefined ? [] : [{ kind: "persist", write }];
    for (const message of raft.outbox) {
      effects.push({ kind: "send", message, afterWrite: raft.rules.persistence.writeBefore(raft, message) });
    }
    for (const effect of raft.effects) effects.push(effect);
    raft.outbox = [];
    raft.effects = [];
    return effects;
  }
}

function dispatch(raft: Raft, message: Message): void {
  const { election, replication, snapshot, membership } = raft.rules;
  switch (message.kind) {
    case "pre-vote-request":
      return membership.onPreVoteRequest(raft, message);
    case "pre-vote-reply":
      return membership.onPreVoteReply(raft, message);
    case "vote-request":
      return election.onVoteRequest(raft, message);
    case "vote-reply":
      return election.onVoteReply(raft, message);
    case "append-request":
      return replication.onAppendRequest(raft, message);
    case "append-reply":
      return replication.onAppendReply(raft, message);
    case "snapshot-request":
      return snapshot.onSnapshotRequest(raft, message);
    case "snapshot-reply":
      return snapshot.onSnapshotReply(raft, message);
    case "timeout-now":
      return membership.onTimeoutNow(raft);
    default:
      return unreachable(message, "message");
  }
}

function makeRaft({ id, nowMs, random, durable = emptyState, bootstrap, ...rest }: RaftNodeOptions): Raft {
  const { snapshot, entries, term, votedFor } = durable;
  const log = new RaftLog(snapshot?.index ?? 0, snapshot?.term ?? 0, entries);
  const first = snapshot?.configuration ?? bootstrap ?? noConfiguration;
  const configurations: ConfigurationAt[] = [{ index: snapshot?.index ?? 0, configuration: first }];
  for (const entry of entries) {
    if (entry.kind === "configuration") {
      configurations.push({ index: entry.index, configuration: entry.configuration });
    }
  }
  const raft: Raft = {
    id,
    options: makeRaftOptions(rest.options),
    random,
    rules: rest.rules ?? referenceRules,
    observe: rest.observe,
    nowMs,
    term,
    votedFor,
    log,
    snapshot,
    role: "follower",
    leader: undefined,
    commitIndex: log.snapshotIndex,
    appliedIndex: log.snapshotIndex,
    configurations,
    electionDueMs: 0,
    // It may have promised a leader not to elect another one; it does not remember, so it keeps the promise.
    leaderHeardAtMs: nowMs,
    votes: new Map(),
    heartbeatDueMs: 0,
    progress: new Map(),
    proposals: new Map(),
    round: 0,
    reads: [],
    transfer: undefined,
    hasHandedOver: false,
    incoming: undefined,
    writeNumber: 0,
    termWriteNumber: 0,
    durableWriteNumber: 0,
    durableIndex: log.lastIndex,
    pendingWrites: [],
    dirty: { hasTerm: false, replaceFrom: undefined, hasSnapshot: false },
    outbox: [],
    effects: [],
  };
  // A new server waits as long as any: not to disturb a leader that it has not heard yet.
  raft.rules.election.restartElectionTimer(raft);
  assert(configurationOf(raft) !== undefined, "a server has a configuration, if only an empty one");
  return raft;
}
