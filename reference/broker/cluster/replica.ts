/**
 * The shell of one Raft server: carries out what raft/effects.ts asks for, with a real journal, real peers and
 * a state machine whose disk takes its time.
 *
 * Three rules of that file are kept here. Writes go to the journal in order. A message waits for the write that it
 * promises. Committed entries reach the machine in order, each once; while one waits for the disk, the others queue.
 *
 * Commands of one turn are proposed together: one write and one message to each follower for all of them.
 */
import { assert, unreachable } from "#reference/base/assert.ts";
import type { Proposed } from "../../raft/clients.ts";
import type { Effect } from "../../raft/effects.ts";
import type { Entry, NodeId, Snapshot } from "../../raft/entry.ts";
import type { Message, SnapshotRequest } from "../../raft/messages.ts";
import { RaftNode } from "../../raft/node.ts";
import type { RaftNodeOptions, Stepped } from "../../raft/node.ts";
import type { Raft } from "../../raft/state.ts";
import type { Clock } from "../../ports.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import { decodeClusterCommand } from "./commands.ts";
import type { RaftJournal } from "./journal.ts";
import type { Applied, ClusterMachine } from "./machine.ts";

/** What a replica is made of. */
export interface ReplicaOptions {
  readonly raft: Omit<RaftNodeOptions, "nowMs">;
  readonly journal: RaftJournal;
  readonly machine: ClusterMachine;
  readonly clock: Clock;
  /** When to propose what came in this turn. */
  readonly schedule: (run: () => void) => void;
  readonly send: (message: Message) => void;
  /** Gets the records that a snapshot covers from the node that sends it. Rejects when it cannot yet. */
  readonly catchUp: (from: NodeId) => Promise<void>;
  /** This node can do no more: its disk failed, or it has met a bug. */
  readonly onHalt: (error: unknown) => void;
  /** Something that others may want to look at has changed. */
  readonly onChange: () => void;
}

interface Waiting {
  readonly term: number;
  readonly settle: (applied: Applied) => void;
}

interface PendingProposal {
  readonly command: Uint8Array;
  readonly settle: (applied: Applied) => void;
}

/** The log is replaced by a snapshot when its entries take so much memory, or are so many. */
const logBytesMax = 16 * 2 ** 20;
const logEntriesMax = 20_000;
/** Beyond this, proposals are refused until what waits is committed. */
const uncommittedBytesMax = 64 * 2 ** 20;
const retryAfterMs = 100;

/** One node's part in keeping the copies alike. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #node: RaftNode;
  #held: { readonly message: Message; readonly afterWrite: number }[] = [];
  #durableWrite = 0;
  #proposals: PendingProposal[] = [];
  readonly #waiting = new Map<number, Waiting>();
  /** Reads that Raft has not answered, by id; and those that wait for the machine, by index. */
  readonly #reads = new Map<number, (problem: ErrorOutcome | undefined) => void>();
  #confirmed: { readonly index: number; readonly settle: () => void }[] = [];
  #nextRead = 1;
  /** Entries and snapshots on their way to the machine. */
  #queue: (Entry | Snapshot)[] = [];
  #isApplying = false;
  #appliedIndex = 0;
  #appliedTerm = 0;
  /** The term in which this node leads and has shown everything before it. */
  #readyTerm = 0;
  #isCompacting = false;
  /** The snapshot whose records are being fetched, or are here already. */
  #fetching: { readonly index: number; isDone: boolean } | undefined;
  #wakeAtMs = Infinity;
  #isStopped = false;
  #isCarryingOut = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#node = new RaftNode({ ...options.raft, nowMs: this.#nowMs() });
    options.journal.onFailed = (error) => this.#halt(error);
    options.machine.onFailed = (error) => this.#halt(error);
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

  /** Takes the disk's state over and begins. Resolves to what is wrong with it; nothing when all is well. */
  start(): string | undefined {
    for (const effect of this.#node.startEffects) {
      assert(effect.kind === "restore", "a start restores, and does nothing else");
      const problem = this.#options.machine.load(effect.snapshot.data);
      if (problem !== undefined) return problem;
      this.#noteApplied(effect.snapshot.index, effect.snapshot.term);
    }
    this.#setAlarm();
    return undefined;
  }

  /** Ends all activity. Whoever waits is told that the outcome is unknown. */
  stop(): void {
    this.#isStopped = true;
    for (const { settle } of this.#waiting.values()) settle(unknown());
    this.#waiting.clear();
    for (const settle of this.#reads.values()) settle(notLeader(undefined));
    this.#reads.clear();
  }

  /** A message of another node. */
  receive(message: Message): void {
    if (this.#isStopped) return;
    if (message.kind === "snapshot-request" && message.isLast && message.term >= this.state.term) {
      return this.#run((node, nowMs) => node.step(this.#withholdLastPiece(message), nowMs));
    }
    this.#run((node, nowMs) => node.step(message, nowMs));
  }

  /** Resolves to what the command came to, when it is committed and applied here. */
  propose(command: Uint8Array): Promise<Applied> {
    return new Promise((settle) => this.proposeWith(command, settle));
  }

  /** As `propose`, without a promise. */
  proposeWith(command: Uint8Array, settle: (applied: Applied) => void): void {
    this.#proposals.push({ command, settle });
    if (this.#proposals.length === 1) this.#options.schedule(() => this.#proposeAll());
  }

  /** Resolves when the machine holds everything that was acknowledged before the call, or to why nobody can know. */
  read(): Promise<ErrorOutcome | undefined> {
    if (this.#isStopped) return Promise.resolve(notLeader(undefined));
    return new Promise((settle) => {
      const id = this.#nextRead++;
      this.#reads.set(id, settle);
      this.#run((node, nowMs) => node.read(id, nowMs));
    });
  }

  /** Changes of members and of leadership: the core decides. */
  command<Result>(call: (node: RaftNode, nowMs: number) => Stepped<Result>): Result {
    const { result, effects } = call(this.#node, this.#nowMs());
    this.#carryOut(effects);
    return result;
  }

  #proposeAll(): void {
    const proposals = this.#proposals;
    this.#proposals = [];
    const refuseAll = (problem: ErrorOutcome): void => {
      for (const { settle } of proposals) settle(problem);
    };
    if (this.#isStopped) return refuseAll(notLeader(undefined));
    if (this.state.role === "leader" && this.state.log.bytes > uncommittedBytesMax) {
      return refuseAll(
        refuse("overloaded", "the replicated log grows faster than it is stored", retryAfterMs),
      );
    }
    const commands = proposals.map(({ command }) => command);
    const { result, effects } = this.#node.propose(commands, this.#nowMs());
    this.#remember(proposals, result);
    this.#carryOut(effects);
  }

  #remember(proposals: readonly PendingProposal[], result: Proposed): void {
    if (result.kind === "accepted") {
      for (const [place, { settle }] of proposals.entries()) {
        this.#waiting.set(result.firstIndex + place, { term: result.term, settle });
      }
      return;
    }
    const isBusy = result.reason === "too-many-proposals";
    const problem = isBusy
      ? refuse("overloaded", "too many requests wait", retryAfterMs)
      : notLeader(result.leader);
    for (const { settle } of proposals) settle(problem);
  }

  #run(call: (node: RaftNode, nowMs: number) => readonly Effect[]): void {
    if (this.#isStopped) return;
    this.#carryOut(call(this.#node, this.#nowMs()));
  }

  #carryOut(effects: readonly Effect[]): void {
    const isOuter = !this.#isCarryingOut;
    this.#isCarryingOut = true;
    for (const effect of effects) this.#carryOutOne(effect);
    if (!isOuter) return;
    this.#isCarryingOut = false;
    void this.#applyQueued();
    this.#setAlarm();
    this.#options.onChange();
  }

  #carryOutOne(effect: Effect): void {
    switch (effect.kind) {
      case "persist": {
        const { number } = effect.write;
        return this.#options.journal.append(effect.write, () => this.#onDurable(number));
      }
      case "send":
        if (effect.afterWrite <= this.#durableWrite) this.#options.send(effect.message);
        else this.#held.push(effect);
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
        if (settle !== undefined)
          this.#confirmed.push({ index: effect.index, settle: () => settle(undefined) });
        return;
      }
      case "refuse-reads":
        for (const id of effect.ids) {
          this.#reads.get(id)?.(notLeader(effect.leader));
          this.#reads.delete(id);
        }
        return;
      case "abandon":
        for (const index of effect.indexes) {
          this.#waiting.get(index)?.settle(unknown());
          this.#waiting.delete(index);
        }
        return;
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
          if (applied instanceof Promise) await applied;
        }
        this.#answerReads();
      }
      this.#answerReads();
      this.#isApplying = false;
      await this.#afterApplying();
    } catch (error) {
      this.#halt(error);
    }
  }

  #applyOne(item: Entry | Snapshot): void | Promise<void> {
    const { machine } = this.#options;
    if (!("kind" in item)) {
      const problem = machine.load(item.data);
      if (problem !== undefined) throw new Error(problem);
      return this.#noteApplied(item.index, item.term);
    }
    if (item.kind !== "command") return this.#noteApplied(item.index, item.term);
    const applied = machine.apply(item.index, decodeClusterCommand(item.data));
    if (applied instanceof Promise) return applied.then((result) => this.#answer(item, result));
    return this.#answer(item, applied);
  }

  #answer({ index, term }: Entry, applied: Applied): void {
    this.#noteApplied(index, term);
    const waiting = this.#waiting.get(index);
    if (waiting === undefined) return;
    this.#waiting.delete(index);
    // Another leader's entry may stand at this index: then ours is nowhere, and may be sent again.
    waiting.settle(waiting.term === term ? applied : notLeader(this.state.leader));
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
      () => ready.forEach(({ settle }) => settle()),
      (error: unknown) => this.#halt(error),
    );
  }

  async #afterApplying(): Promise<void> {
    const { role, term, log } = this.state;
    if (role === "leader" && this.#appliedTerm === term && this.#readyTerm !== term) {
      // Everything that an earlier leader acknowledged comes before this term's first entry.
      await this.#options.machine.settled();
      this.#readyTerm = term;
      this.#options.onChange();
    }
    const behind = this.#appliedIndex - log.snapshotIndex;
    if (!this.#isCompacting && behind > 0 && (log.bytes > logBytesMax || behind > logEntriesMax)) {
      this.#isCompacting = true;
      const index = this.#appliedIndex;
      const data = this.#options.machine.save();
      // The entries may go only when what they said is durable elsewhere.
      await this.#options.machine.sync();
      this.#isCompacting = false;
      this.#run((node, nowMs) => node.compact(index, data, nowMs));
    }
  }

  /**
   * A snapshot says where each partition ends, and holds no records: those come from the sender's segments. Until they
   * are here, the last piece is held back. In its place Raft gets an empty one, so that the sender hears that this node
   * is alive and has got no further.
   */
  #withholdLastPiece(message: SnapshotRequest): SnapshotRequest {
    const { commitIndex } = this.state;
    const isHere = this.#fetching?.index === message.index && this.#fetching.isDone;
    if (message.index <= commitIndex || isHere) return message;
    if (this.#fetching === undefined || this.#fetching.isDone) {
      const fetching = { index: message.index, isDone: false };
      this.#fetching = fetching;
      this.#options.catchUp(message.from).then(
        () => void (fetching.isDone = true),
        () => {
          if (this.#fetching === fetching) this.#fetching = undefined;
        },
      );
    }
    return { ...message, data: message.data.subarray(0, 0), isLast: false };
  }

  #halt(error: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#options.onHalt(error);
  }

  #setAlarm(): void {
    const { nextTickMs } = this.#node;
    if (nextTickMs >= this.#wakeAtMs || this.#isStopped) return;
    this.#wakeAtMs = nextTickMs;
    this.#options.clock.after(Math.max(0, nextTickMs - this.#nowMs()), () => {
      // An earlier alarm has been set since.
      if (this.#wakeAtMs !== nextTickMs) return;
      this.#wakeAtMs = Infinity;
      if (this.#nowMs() >= this.#node.nextTickMs) this.#run((node, nowMs) => node.tick(nowMs));
      else this.#setAlarm();
    });
  }

  #nowMs(): number {
    return Math.floor(this.#options.clock.monotonicTimeMs());
  }
}

/** The refusal that sends a client elsewhere. */
export function notLeader(leader: NodeId | undefined): ErrorOutcome {
  const where = leader === undefined ? "no leader is known now" : `${leader} leads`;
  return refuse("not-leader", `this node does not lead: ${where}`, leader === undefined ? retryAfterMs : 0);
}

function unknown(): ErrorOutcome {
  return refuse(
    "request-timeout",
    "this node lost the leadership: the request may have been carried out, or not",
  );
}
