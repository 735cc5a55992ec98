/**
 * The shell of one server of one group of Raft: carries out what raft/effects.ts asks for, with real storage, real
 * peers and a state machine whose disk takes its time.
 *
 * Three rules of that file are kept here. Writes go to the storage in order. A message waits for the write that it
 * promises. Committed entries reach the machine in order, each once; while one waits for the disk, the others
 * queue.
 */
import { assert, unreachable } from "#reference/base/assert.ts";
import type { Proposed } from "../../raft/clients.ts";
import type { Effect } from "../../raft/effects.ts";
import type { Entry, NodeId, Snapshot } from "../../raft/entry.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../raft/heartbeat.ts";
import type { Message } from "../../raft/messages.ts";
import { RaftNode } from "../../raft/node.ts";
import type { RaftNodeOptions, Stepped } from "../../raft/node.ts";
import type { Raft } from "../../raft/state.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { GroupStorage } from "./group-storage.ts";
import { nameOf } from "./member-id.ts";
import { isPossibleAnswer } from "./message-check.ts";

/** What a group's entries change. */
export interface GroupMachine {
  /** Takes a snapshot's state over. */
  restore(snapshot: Snapshot): void | Promise<void>;
  /** Carries out a committed entry. A promise, where this node's disk has to be waited for. */
  apply(entry: Entry): void | Promise<void>;
  /** Some entries were carried out: a chance to tell others, once for all of them. */
  applied(): void;
  /** Resolves when all that was carried out can be read here. */
  settled(): Promise<void>;
  /** The state behind the last entry that was carried out. */
  save(): Uint8Array;
  /** Whether a snapshot would let something go on, however short the log is. */
  readonly wantsSnapshot: boolean;
  /** Nobody here will say what becomes of what was proposed at these places. */
  abandon(indexes: readonly number[]): void;
}

/** What a group is made of. */
export interface GroupOptions {
  readonly raft: Omit<RaftNodeOptions, "nowMs">;
  readonly storage: GroupStorage;
  readonly machine: GroupMachine;
  readonly nowMs: () => number;
  readonly send: (message: Message) => void;
  /** How many bytes of entries are kept before a snapshot takes their place. */
  readonly logBytesMax: () => number;
  /** Whether a snapshot may be taken now. */
  readonly mayCompact: () => boolean;
  /** This node can do no more: its disk failed, or it has met a bug. */
  readonly onHalt: (error: unknown) => void;
  /** Something that others may want to look at has changed. */
  readonly onChange: () => void;
}

/** A log of so many small entries is replaced by a snapshot too. */
const logEntriesMax = 20_000;
const retryAfterMs = 100;
/**
 * The most messages that wait for the disk. While it hangs, each heartbeat adds an answer: the oldest go, since the
 * newest says what they say and more, and Raft does without any of them.
 */
export const heldMax = 100;

/** One node's part in one group. */
export class Group {
  readonly #options: GroupOptions;
  readonly #node: RaftNode;
  #held: { readonly message: Message; readonly afterWrite: number }[] = [];
  #durableWrite = 0;
  /** Reads that Raft has not answered, by id; and those that wait for the machine, by index. */
  readonly #reads = new Map<number, (problem: ErrorOutcome | undefined) => void>();
  #confirmed: { readonly index: number; readonly settle: (problem: ErrorOutcome | undefined) => void }[] = [];
  #nextRead = 1;
  /** Entries and snapshots on their way to the machine. */
  #queue: (Entry | Snapshot)[] = [];
  #isApplying = false;
  #appliedIndex = 0;
  #appliedTerm = 0;
  /** The term in which this node leads and has shown everything before it. */
  #readyTerm = 0;
  #settlingTerm = 0;
  #isStopped = false;
  #isCarryingOut = false;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#node = new RaftNode({ ...options.raft, nowMs: options.nowMs() });
  }

  /** What Raft knows. To look at. */
  get state(): Readonly<Raft> {
    return this.#node.state;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Whether this node leads and holds everything that was ever acknowledged. */
  get isReady(): boolean {
    const { role, term } = this.#node.state;
    return !this.#isStopped && role === "leader" && this.#readyTerm === term;
  }

  /** Takes the disk's state over and begins. */
  async start(): Promise<void> {
    for (const effect of this.#node.startEffects) {
      assert(effect.kind === "restore", "a start restores, and does nothing else");
      await this.#options.machine.restore(effect.snapshot);
      this.#noteApplied(effect.snapshot.index, effect.snapshot.term);
    }
  }

  /** Ends all activity. */
  stop(): void {
    this.#isStopped = true;
    for (const settle of this.#reads.values()) settle(notLeader(undefined));
    for (const { settle } of this.#confirmed) settle(notLeader(undefined));
    this.#reads.clear();
    this.#confirmed = [];
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return this.#isStopped ? Infinity : this.#node.nextTickMs;
  }

  /** Time has passed. */
  tick(): void {
    this.#run((node, nowMs) => node.tick(nowMs));
  }

  /** A message of another node. */
  receive(message: Message): void {
    if (isPossibleAnswer(message, this.state)) this.#run((node, nowMs) => node.step(message, nowMs));
  }

  /** A heartbeat of another node; returns whether it may be answered at once. If not, it is a message. */
  maybeFollow(from: NodeId, heartbeat: Heartbeat): boolean {
    return !this.#isStopped && this.#node.maybeFollow(from, heartbeat, this.#options.nowMs());
  }

  /** The answer to a heartbeat; returns whether that was all. If not, it is a message. */
  maybeNoteHeard(from: NodeId, answer: HeartbeatAnswer): boolean {
    return !this.#isStopped && this.#node.maybeNoteHeard(from, answer, this.#options.nowMs());
  }

  /** Begins an election now, as if this node's leader had asked for it. */
  stand(): void {
    const { id, term } = this.state;
    this.receive({ kind: "timeout-now", from: id, to: id, term });
  }

  /** Whether so many proposals would be taken. */
  mayPropose(count: number): boolean {
    const { role, transfer, proposals, options } = this.state;
    return role === "leader" && transfer === undefined && proposals.size + count <= options.proposalsMax;
  }

  propose(commands: readonly Uint8Array[]): Proposed {
    return this.command((node, nowMs) => node.propose(commands, nowMs));
  }

  /**
   * Resolves when the machine holds everything that was acknowledged before the call, or to why nobody can know.
   */
  read(): Promise<ErrorOutcome | undefined> {
    if (this.#isStopped) return Promise.resolve(notLeader(undefined));
    return new Promise((settle) => {
      const id = this.#nextRead++;
      this.#reads.set(id, settle);
      this.#run((node, nowMs) => node.read(id, nowMs));
    });
  }

  /** Anything that changes the core and says what came of it. */
  command<Result>(call: (node: RaftNode, nowMs: number) => Stepped<Result>): Result {
    try {
      const { result, effects } = call(this.#node, this.#options.nowMs());
      this.#carryOut(effects);
      return result;
    } catch (error) {
      this.#halt(error);
      throw error;
    }
  }

  /** Takes a snapshot, if there is reason to, and nothing is in the way. */
  compact(): void {
    const { log, durableIndex } = this.state;
    const index = this.#appliedIndex;
    if (this.#isApplying || this.#isStopped || index <= log.snapshotIndex || index > durableIndex) return;
    const { machine, logBytesMax, mayCompact } = this.#options;
    const isLong = log.bytes > logBytesMax() || index - log.snapshotIndex > logEntriesMax;
    if ((!isLong && !machine.wantsSnapshot) || !mayCompact()) return;
    const data = machine.save();
    this.#run((node, nowMs) => node.compact(index, data, nowMs));
  }

  #run(call: (node: RaftNode, nowMs: number) => readonly Effect[]): void {
    if (this.#isStopped) return;
    try {
      this.#carryOut(call(this.#node, this.#options.nowMs()));
    } catch (error) {
      // What the core has half done is on no disk and in no message: nobody may go on from there.
      this.#halt(error);
    }
  }

  #carryOut(effects: readonly Effect[]): void {
    const isOuter = !this.#isCarryingOut;
    this.#isCarryingOut = true;
    for (const effect of effects) this.#carryOutOne(effect);
    if (!isOuter) return;
    this.#isCarryingOut = false;
    if (this.#queue.length > 0) void this.#applyQueued();
    else if (!this.#isApplying) this.#answerReads();
    this.#options.onChange();
  }

  #carryOutOne(effect: Effect): void {
    switch (effect.kind) {
      case "persist": {
        const { number } = effect.write;
        return this.#options.storage.persist(effect.write, () => this.#onDurable(number));
      }
      case "send":
        if (effect.afterWrite <= this.#durableWrite) this.#options.send(effect.message);
        else if (this.#held.push(effect) > heldMax) this.#held.shift();
        return;
      case "apply":
        for (const entry of effect.entries) this.#queue.push(entry);
        return;
      case "restore":
        this.#queue.push(effect.snapshot);
        return;
      case "read": {
        const settle = this.#reads.get(effect.id);
        this.#reads.delete(effect.id);
        if (settle !== undefined) this.#confirmed.push({ index: effect.index, settle });
        return;
      }
      case "refuse-reads":
        for (const id of effect.ids) {
          this.#reads.get(id)?.(notLeader(effect.leader));
          this.#reads.delete(id);
        }
        return;
      case "abandon":
        return this.#options.machine.abandon(effect.indexes);
      default:
        unreachable(effect, "effect");
    }
  }

  #onDurable(number: number): void {
    if (this.#isStopped) return;
    this.#durableWrite = number;
    const released = this.#held.filter(({ afterWrite }) => afterWrite <= number);
    this.#held = this.#held.filter(({ afterWrite }) => afterWrite > number);
    for (const { message } of released) this.#options.send(message);
    this.#run((node, nowMs) => node.persisted(number, nowMs));
    this.compact();
  }

  /** Hands what is committed to the machine, one after the other. */
  async #applyQueued(): Promise<void> {
    if (this.#isApplying || this.#isStopped) return;
    this.#isApplying = true;
    try {
      while (this.#queue.length > 0 && !this.#isStopped) {
        const queue = this.#queue;
        this.#queue = [];
        for (const item of queue) {
          const applied = this.#applyOne(item);
          if (applied !== undefined) await applied;
          if (this.#isStopped) return;
        }
        this.#options.machine.applied();
        this.#answerReads();
      }
      this.#isApplying = false;
      this.#becomeReady();
      this.compact();
    } catch (error) {
      this.#halt(error);
    }
  }

  #applyOne(item: Entry | Snapshot): void | Promise<void> {
    const { machine } = this.#options;
    const done = "kind" in item ? machine.apply(item) : machine.restore(item);
    if (done === undefined) return this.#noteApplied(item.index, item.term);
    return done.then(() => this.#noteApplied(item.index, item.term));
  }

  #noteApplied(index: number, term: number): void {
    this.#appliedIndex = index;
    this.#appliedTerm = term;
  }

  #answerReads(): void {
    if (this.#confirmed.length === 0) return;
    const ready = this.#confirmed.filter(({ index }) => index <= this.#appliedIndex);
    this.#confirmed = this.#confirmed.filter(({ index }) => index > this.#appliedIndex);
    if (ready.length === 0) return;
    this.#options.machine.settled().then(
      () => ready.forEach(({ settle }) => settle(undefined)),
      (error: unknown) => this.#halt(error),
    );
  }

  /** Everything that an earlier leader acknowledged comes before this term's first entry. */
  #becomeReady(): void {
    const { role, term } = this.state;
    if (role !== "leader" || this.#appliedTerm !== term || this.#settlingTerm === term) return;
    this.#settlingTerm = term;
    this.#options.machine.settled().then(
      () => {
        this.#readyTerm = term;
        if (!this.#isStopped) this.#options.onChange();
      },
      (error: unknown) => this.#halt(error),
    );
  }

  #halt(error: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#options.onHalt(error);
  }
}

/** The refusal that sends a client elsewhere. */
export function notLeader(leader: NodeId | undefined): ErrorOutcome {
  const where = leader === undefined ? "no leader is known now" : `${nameOf(leader)} leads`;
  return refuse("not-leader", `this node does not lead: ${where}`, leader === undefined ? retryAfterMs : 0);
}

/** What is said of a request whose leader is none any more. */
export function unknownOutcome(): ErrorOutcome {
  return refuse(
    "request-timeout",
    "this node lost the leadership: the request may have been carried out, or not",
  );
}
