/**
 * All groups of one node: who gets a message, and when time passes.
 *
 * One timer drives the clocks of all groups. Those that this node leads are looked at once in each `beatMs` and not in
 * between, so that their heartbeats fall together and share a frame (heartbeat-codec.ts). Those that it follows are
 * not looked at before their patience can have come to its end. So a thousand groups that have nothing to do cost a
 * thousand comparisons a tick, and few frames.
 */
import { sideBySide } from "#reference/base/side-by-side.ts";
import type { Message } from "../../raft/messages.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Topic } from "../registry.ts";
import type { Partition } from "../partition.ts";
import type { Group } from "./group.ts";
import type { GroupId } from "./group-id.ts";
import type { NodeContext } from "./node-context.ts";
import { PartitionReplica } from "./partition-replica.ts";

/** How often time passes. */
const tickMs = 25;
/** Groups that are opened at once. */
const opensAtOnce = 16;
/** A tick that comes so much later than it should finds a node that has been asleep. */
const lateMs = 50;

/** How much memory entries may take before a snapshot takes their place. */
export interface EntryBytes {
  /** Of all partitions together. */
  readonly all: number;
  /** Of one partition at most: retention waits for a snapshot. */
  readonly max: number;
  /** What each may take however many there are. */
  readonly min: number;
  /** Of the metadata, which is small. */
  readonly metadata: number;
}

const entryBytesDefault: EntryBytes = {
  all: 64 * 2 ** 20,
  max: 2 * 2 ** 20,
  min: 128 * 1024,
  metadata: 16 * 2 ** 20,
};

/** A group, and until when nothing can be due in it as long as it does not lead. */
interface Member {
  readonly replica: PartitionReplica;
  lookAtMs: number;
}

/**
 * The most partitions of all topics of a cluster. Each is a group on every node, and takes part of a processor and of
 * memory without doing anything: a thousand about 5 % and 60 MB. With 4,000, and other work on the machine, elections
 * did not come to rest (bench/RESULTS.md, "Many partitions").
 */
const clusterPartitionsMax = 2000;

/** The groups. */
export class Groups {
  #members: Member[] = [];
  /** By incarnation of the topic, then by partition. */
  readonly #topics = new Map<number, PartitionReplica[]>();
  readonly #byPartition = new WeakMap<Partition, PartitionReplica>();
  /** Called at each tick, after the groups. */
  onTick: (nowMs: number) => void = () => {};
  #metadata: Group | undefined;
  /** How often this node says that it is there, for all groups that it leads; and how often it has come to that. */
  #beatMs = 0;
  #beat = 0;
  #cancel: () => void = () => {};
  #isStopped = false;
  readonly #entryBytes: EntryBytes;
  readonly #partitionsMax: number;
  /** Partitions of topics that are being made. */
  #planned = 0;

  constructor(entryBytes: EntryBytes = entryBytesDefault, partitionsMax = clusterPartitionsMax) {
    this.#entryBytes = entryBytes;
    this.#partitionsMax = partitionsMax;
  }

  /** At the leader: makes a topic of so many partitions, if the cluster may have them, or resolves to why not. */
  async make(
    partitions: number,
    make: () => Promise<ErrorOutcome | undefined>,
  ): Promise<ErrorOutcome | undefined> {
    const count = this.count + this.#planned;
    if (count + partitions > this.#partitionsMax) {
      const most = `a cluster has at most ${this.#partitionsMax} partitions`;
      return refuse("invalid-request", `${most}: there are ${count}, and ${partitions} more are too many`);
    }
    this.#planned += partitions;
    try {
      return await make();
    } finally {
      this.#planned -= partitions;
    }
  }

  /** Every partition's group. */
  get all(): Iterable<PartitionReplica> {
    return this.#members.map(({ replica }) => replica);
  }

  get count(): number {
    return this.#members.length;
  }

  /** A group's share of the memory. */
  get logBytesMax(): number {
    const { all, max, min } = this.#entryBytes;
    return Math.max(min, Math.min(max, all / Math.max(1, this.count)));
  }

  /** What the metadata's entries may take. */
  get metadataBytesMax(): number {
    return this.#entryBytes.metadata;
  }

  get({ incarnation, partition }: GroupId): PartitionReplica | undefined {
    return this.#topics.get(incarnation)?.[partition];
  }

  of(partition: Partition): PartitionReplica | undefined {
    return this.#byPartition.get(partition);
  }

  /** Begins the groups of a topic's partitions; returns what is wrong with one of them, as one line. */
  async open(context: NodeContext, { partitions }: Topic): Promise<string | undefined> {
    const replicas: PartitionReplica[] = [];
    const open = async (partition: Partition): Promise<string | undefined> => {
      if (this.#isStopped) return undefined;
      const opened = await PartitionReplica.open(context, partition);
      if (opened.kind === "damaged") return opened.problem;
      replicas[partition.number] = opened.replica;
      this.#byPartition.set(partition, opened.replica);
      return undefined;
    };
    const problems = await sideBySide(partitions, opensAtOnce, open);
    // A node that has stopped meanwhile ends those that it has opened like all others.
    for (const replica of replicas) {
      if (replica === undefined) continue;
      this.#topics.set(replica.id.incarnation, replicas);
      this.#members.push({ replica, lookAtMs: 0 });
      if (this.#isStopped) await replica.stop();
      else replica.begin();
    }
    return problems.find((problem) => problem !== undefined);
  }

  /** Ends the groups of a topic. */
  async close(incarnation: number): Promise<void> {
    const replicas = this.#topics.get(incarnation) ?? [];
    this.#topics.delete(incarnation);
    this.#members = this.#members.filter(({ replica }) => replica.id.incarnation !== incarnation);
    for (const replica of replicas) await replica.stop();
  }

  /**
   * Lets time pass for these groups and the metadata's. Raft's own `heartbeatMs` has to be less than `beatMs`: a group
   * that spoke a little late must be due again at the next beat.
   */
  start(context: NodeContext, metadata: Group, beatMs: number): void {
    this.#metadata = metadata;
    this.#beatMs = beatMs;
    // Opening them may have taken longer than they have patience. The leaders are to be heard first.
    const listenUntilMs = context.nowMs() + (context.raft.electionTimeoutMinMs ?? 0);
    for (const member of this.#members) member.lookAtMs = listenUntilMs;
    this.#plan(context);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await Promise.all(this.#members.map(({ replica }) => replica.stop()));
  }

  /** A message for a partition's group. One that is not here (yet) hears nothing; Raft says again what matters. */
  receive(id: GroupId, message: Message): void {
    this.get(id)?.receive(message);
  }

  #plan(context: NodeContext): void {
    const { clock, nowMs, schedule } = context;
    const delayMs = tickMs - (nowMs() % tickMs);
    const dueMs = nowMs() + delayMs;
    const tick = (): void => {
      if (this.#isStopped) return;
      this.#tick(nowMs());
      this.#plan(context);
    };
    this.#cancel = clock.after(delayMs, () => {
      // What leaders have said meanwhile is waiting to be read: nobody is to lose patience before it was.
      if (nowMs() - dueMs > lateMs) schedule(tick);
      else tick();
    });
  }

  #tick(nowMs: number): void {
    const beat = Math.floor(nowMs / this.#beatMs);
    const isBeat = beat > this.#beat;
    this.#beat = beat;
    const metadata = this.#metadata;
    const mayTick = isBeat || metadata?.state.role !== "leader";
    if (mayTick && metadata !== undefined && metadata.nextTickMs <= nowMs) metadata.tick();
    for (const member of this.#members) {
      const { replica } = member;
      if (replica.isLeading ? isBeat : member.lookAtMs <= nowMs) member.lookAtMs = replica.tick(nowMs);
    }
    this.onTick(nowMs);
  }
}
