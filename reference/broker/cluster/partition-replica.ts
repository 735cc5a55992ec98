/**
 * One partition on one node: its group of Raft, wired to the partition's log, to the producers and to the readers.
 *
 * The log of the partition *is* the log of the group: what is appended here is what Raft persists. Readers see it
 * as far as it is agreed on.
 */
import { assert } from "#reference/base/assert.ts";
import type { NodeId, Snapshot } from "../../raft/entry.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../raft/heartbeat.ts";
import type { Message } from "../../raft/messages.ts";
import type { DurableState } from "../../raft/persistence.ts";
import { configurationOf } from "../../raft/state.ts";
import type { Acks } from "../../protocol/acks.ts";
import { getUint32, getUint53 } from "../../storage/integers.ts";
import { batchLayout, nextOffsetAt, recordCountAt } from "../../storage/record-batch.ts";
import type { RecordId } from "../../storage/record-id.ts";
import type { BrokerConnection } from "../connection.ts";
import type { ErrorOutcome } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import { CatchUp } from "./catch-up.ts";
import { Group, notLeader, unknownOutcome } from "./group.ts";
import type { GroupId } from "./group-id.ts";
import { recoverGroup } from "./group-recovery.ts";
import { PartitionStorage } from "./group-storage.ts";
import { isPartitionMessage } from "./message-check.ts";
import type { NodeContext } from "./node-context.ts";
import { encodeTrim, isBatch } from "./partition-entry.ts";
import { PartitionMachine } from "./partition-machine.ts";
import { decodePartitionSnapshot } from "./partition-snapshot.ts";
import { biased, preferredLeader } from "./preference.ts";
import { ProduceQueue } from "./produce-queue.ts";
import type { Led } from "./transfer.ts";
import { pause } from "./transfer.ts";

/** What opening a partition's group came to. */
export type OpenedReplica =
  | { readonly kind: "open"; readonly replica: PartitionReplica }
  /** One line for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

/** Times after the creation of a partition at which the preferred node asks to lead, while nobody does. */
const firstStandsMs = [0, 50, 150, 350, 750];

/** How long a leader that hands over waits until the batches that it has taken are answered. */
const drainMs = 500;
const drainLookMs = 5;

/** How long the others have to say what they hold: the next partition waits for its turn. */
const askMs = 1000;

/** One node's copy of one partition. */
export class PartitionReplica implements Led {
  readonly id: GroupId;
  readonly partition: Partition;
  readonly group: Group;
  /** When the leadership was last handed to this node on purpose, and by whom. */
  handedOverAtMs = -Infinity;
  handedOverBy: NodeId | undefined;
  readonly #context: NodeContext;
  readonly #machine: PartitionMachine;
  readonly #storage: PartitionStorage;
  readonly #catchUp: CatchUp;
  readonly #produce: ProduceQueue;
  #leader: NodeId | undefined;
  #isLeader = false;
  #isStopped = false;
  /** The snapshot that was looked at last, and where it ends. */
  #snapshot: Snapshot | undefined;
  #snapshotEnd = 0;
  /** Nobody has ever led, and this node shall. */
  readonly #isFirst: boolean;
  /** Stands that are still to come, by the clock. */
  #standsAtMs: number[] = [];

  /** Recovers the group from log and journal, and begins to take part. */
  static async open(context: NodeContext, partition: Partition): Promise<OpenedReplica> {
    const { topic, number, config, log } = partition;
    const id = { incarnation: config.incarnation ?? 0, partition: number };
    const recovered = await recoverGroup(id, log, context.journal);
    if (recovered.kind === "damaged") {
      return { kind: "damaged", problem: `${topic}/${number} ${recovered.problem}` };
    }
    const replica = new PartitionReplica(context, partition, id, recovered.durable);
    await replica.group.start();
    replica.#machine.snapshotTaken(replica.#offsetBehind(replica.group.state.log.snapshotIndex));
    return { kind: "open", replica };
  }

  private constructor(context: NodeContext, partition: Partition, id: GroupId, durable: DurableState) {
    this.#context = context;
    this.partition = partition;
    this.id = id;
    const { topic, number, config, log } = partition;
    const { node, broker, checksum, schedule, journal } = context;
    const replicas = config.replicas ?? [];
    const isPreferred = preferredLeader(topic, number, replicas) === node;
    this.#machine = new PartitionMachine(log, () => this.#produce.abandon());
    const { producers } = this.#machine;
    this.#produce = new ProduceQueue({
      partition,
      broker,
      checksum,
      producers,
      schedule,
      proposed: context.proposed,
      group: () => this.group,
    });
    const offsetBehind = (index: number): number => this.#offsetBehind(index);
    this.#storage = new PartitionStorage({
      group: id,
      log,
      journal,
      clock: context.clock,
      term: durable.term,
      votedFor: durable.votedFor,
      lastIndex: (durable.snapshot?.index ?? 0) + durable.entries.length,
      offsetBehind,
      agreedEnd: () => this.#machine.endOffset,
      onSnapshot: (endOffset) => this.#machine.snapshotTaken(endOffset),
      onFailed: (error) => this.#halt(error),
    });
    this.#catchUp = new CatchUp({
      log,
      clock: context.clock,
      checksum,
      storage: this.#storage,
      state: () => this.group.state,
      offsetBehind,
      source: context.source,
      name: { topic, ...id },
      onFailed: (error) => this.#halt(error),
    });
    this.group = new Group({
      raft: {
        id: node,
        random: biased(context.random, isPreferred),
        durable,
        options: context.raft,
        ...(context.metrics !== undefined && { observe: context.metrics.follow() }),
        bootstrap: { voters: [...replicas], oldVoters: [], learners: [] },
      },
      storage: this.#storage,
      machine: this.#machine,
      nowMs: context.nowMs,
      send: (message) => context.send(id, message),
      logBytesMax: context.logBytesMax,
      mayCompact: () => !this.#catchUp.isActive,
      onHalt: (error) => this.#halt(error),
      onChange: () => this.#changed(),
    });
    log.onStored = (storedEnd) => {
      this.#storage.stored(storedEnd);
      this.#machine.stored(storedEnd);
      this.#produce.advanced();
    };
    partition.tombstonesBefore = () => this.#tombstonesBefore();
    partition.listen(() => {
      this.#produce.advanced();
      return !this.#isStopped;
    });
    const isNew = durable.term === 0 && durable.entries.length === 0 && durable.snapshot === undefined;
    this.#isFirst = isNew && isPreferred;
  }

  /** All groups of the topic are here: now the one that shall lead a new one asks for it. */
  begin(): void {
    if (!this.#isFirst) return;
    this.#standsAtMs = firstStandsMs.map((afterMs) => this.#context.nowMs() + afterMs);
  }

  /** Who leads, as far as this node knows. */
  get leader(): NodeId | undefined {
    return this.group.state.leader;
  }

  /** Whether this node leads, as far as it knows. */
  get isLeading(): boolean {
    return this.#isLeader;
  }

  /** The node that should lead. */
  get preferred(): NodeId | undefined {
    const { topic, number } = this.partition;
    return preferredLeader(topic, number, configurationOf(this.group.state).voters);
  }

  /** Records before this offset are never lost here, whatever the group's log becomes. */
  get safeEnd(): number {
    return this.#machine.keptFrom;
  }

  /** Why this node may not answer for the partition; undefined when it may. */
  refusal(): ErrorOutcome | undefined {
    if (this.group.isReady) return undefined;
    const { leader } = this;
    return notLeader(leader === this.#context.node ? undefined : leader);
  }

  /** A message of another node. */
  receive(message: Message): void {
    if (this.#isStopped) return;
    const isOurs = isPartitionMessage(message, this.group.state, (index) => this.#offsetBehind(index));
    if (!isOurs) return;
    if (message.kind === "snapshot-request") {
      const admitted = this.#catchUp.admit(message);
      if (admitted !== undefined) this.group.receive(admitted);
      return;
    }
    if (message.kind === "append-request" && this.#catchUp.isActive) {
      // Its entries go on where this group's own end, which are not in the log now.
      if (message.term >= this.group.state.term) this.#catchUp.giveUp();
      return;
    }
    if (message.kind === "timeout-now") {
      this.handedOverAtMs = this.#context.nowMs();
      this.handedOverBy = message.from;
    }
    this.group.receive(message);
  }

  /** Whether a heartbeat may be answered at once; see `Group`. */
  maybeFollow(from: NodeId, heartbeat: Heartbeat): boolean {
    return !this.#catchUp.isActive && this.group.maybeFollow(from, heartbeat);
  }

  /** Whether the answer to a heartbeat was no news; see `Group`. */
  maybeNoteHeard(from: NodeId, answer: HeartbeatAnswer): boolean {
    return this.group.maybeNoteHeard(from, answer);
  }

  /** Time has passed. Returns until when none need to pass, unless this node leads by then. */
  tick(nowMs: number): number {
    if (this.group.nextTickMs <= nowMs) this.group.tick();
    if ((this.#standsAtMs[0] ?? Infinity) <= nowMs) {
      this.#standsAtMs.shift();
      if (this.leader === undefined && this.group.state.term < firstStandsMs.length) this.group.stand();
      else this.#standsAtMs = [];
    }
    // Whatever makes patience begin anew from now on gives it at least this long.
    const patientMs = nowMs + this.group.state.options.electionTimeoutMinMs;
    return Math.min(this.group.nextTickMs, patientMs, this.#standsAtMs[0] ?? Infinity);
  }

  /** Replicates a checked batch, which is copied, and answers the request. */
  produce(connection: BrokerConnection, idHigh: number, idLow: number, batch: Uint8Array, acks: Acks): void {
    this.#produce.add({ connection, idHigh, idLow, acks }, batch);
  }

  /** Gives records up, on all nodes; resolves when they are gone here, or to why they are not. */
  async trim(beforeOffset: number): Promise<ErrorOutcome | undefined> {
    const { group } = this;
    if (!group.isReady || !group.mayPropose(1)) return this.refusal() ?? notLeader(undefined);
    const proposed = group.propose([encodeTrim(beforeOffset)]);
    assert(proposed.kind === "accepted", "a leader that could propose a moment ago does not");
    for (;;) {
      // What a leader carries out in the term in which it proposed it is what it proposed.
      const problem = await group.read();
      if (problem !== undefined || group.state.term !== proposed.term) return unknownOutcome();
      if (group.appliedIndex >= proposed.lastIndex) break;
      // That it leads a majority has said; on the disks of one the entry need not be yet, this node's among them.
      await pause(this.#context.clock, drainLookMs);
    }
    await this.#machine.trimmed();
    return undefined;
  }

  /** Takes no more batches for the moment; resolves when those that were taken are answered, or soon anyway. */
  async drain(): Promise<void> {
    this.#produce.isHeld = true;
    const { clock, nowMs } = this.#context;
    const deadlineMs = nowMs() + drainMs;
    while (!this.#produce.isIdle && nowMs() < deadlineMs) await pause(clock, drainLookMs);
  }

  release(): void {
    this.#produce.isHeld = false;
  }

  /** Resolves when the log may be closed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.group.stop();
    this.#machine.stop();
    this.#produce.abandon();
    await this.#storage.stop();
    this.partition.log.onStored = undefined;
  }

  /** The offset behind an entry of the group. */
  #offsetBehind(index: number): number {
    const { log, snapshot } = this.group.state;
    for (let at = index; at > log.snapshotIndex; at--) {
      const entry = log.entryAt(at);
      if (entry?.kind === "command" && isBatch(entry.data)) return nextOffsetAt(entry.data, 0);
    }
    if (snapshot !== undefined && snapshot !== this.#snapshot) {
      this.#snapshot = snapshot;
      this.#snapshotEnd = decodePartitionSnapshot(snapshot.data)?.endOffset ?? 0;
    }
    return this.#snapshotEnd;
  }

  #changed(): void {
    const { role, leader } = this.group.state;
    const isLeader = role === "leader";
    const wasLeader = this.#isLeader;
    this.#isLeader = isLeader;
    if (isLeader && !wasLeader) this.#lead();
    if (!isLeader && wasLeader) {
      this.#machine.producers.clear();
      this.#produce.abandon();
      this.partition.tail?.end();
    }
    if (leader !== this.#leader || isLeader !== wasLeader) {
      this.#leader = leader;
      this.partition.notify();
    }
  }

  /**
   * Tombstones before this offset are missed by nobody: every member has what it says for good. While one of them
   * does not answer, all stay.
   */
  async #tombstonesBefore(): Promise<number> {
    const { source, node, clock } = this.#context;
    const { voters, oldVoters, learners } = configurationOf(this.group.state);
    const others = new Set([...voters, ...oldVoters, ...learners]);
    others.delete(node);
    const request = { topic: this.partition.topic, ...this.id, offset: 0, bytesMax: 0 };
    const ends = [...others].map(async (other) => (await source(other).fetch(request)).safeEnd);
    const answers = Promise.all(ends).catch(() => [0]);
    return Math.min(this.safeEnd, ...(await Promise.race([answers, pause(clock, askMs).then(() => [0])])));
  }

  /** From here on this node numbers the batches: behind everything in its log, agreed on or not. */
  #lead(): void {
    const { log } = this.group.state;
    let lastId: RecordId = this.#machine.lastId;
    this.#machine.producers.clear();
    for (let index = this.group.appliedIndex + 1; index <= log.lastIndex; index++) {
      const entry = log.entryAt(index);
      if (entry?.kind !== "command" || !isBatch(entry.data)) continue;
      const { data } = entry;
      const sequence = getUint32(data, batchLayout.idSequence) + recordCountAt(data, 0) - 1;
      lastId = { milliseconds: getUint53(data, batchLayout.idMilliseconds), sequence };
      this.#machine.producers.proposed(data);
    }
    this.#produce.lead(this.#offsetBehind(log.lastIndex), lastId);
  }

  #halt(error: unknown): void {
    if (!this.#isStopped && !this.partition.isDeleted) this.#context.onHalt(error);
  }
}
