/**
 * All groups of one node: who gets a message, and when time passes.
 *
 * One timer drives the clocks of all groups. It goes off at whole multiples of a fraction of the heartbeat, so that
 * the heartbeats of all groups that this node leads fall together, and what goes to one node shares a frame.
 */
import type { Message } from "../../raft/messages.ts";
import type { Topic } from "../registry.ts";
import type { Partition } from "../partition.ts";
import type { Group } from "./group.ts";
import type { GroupId } from "./group-id.ts";
import { groupKey } from "./group-id.ts";
import type { NodeContext } from "./node-context.ts";
import { PartitionReplica } from "./partition-replica.ts";

/** How often time passes. */
const tickMs = 25;
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

/** The groups. */
export class Groups {
  readonly #replicas = new Map<string, PartitionReplica>();
  readonly #byPartition = new WeakMap<Partition, PartitionReplica>();
  /** Called at each tick, after the groups. */
  onTick: (nowMs: number) => void = () => {};
  #metadata: Group | undefined;
  #cancel: () => void = () => {};
  #isStopped = false;
  readonly #entryBytes: EntryBytes;

  constructor(entryBytes: EntryBytes = entryBytesDefault) {
    this.#entryBytes = entryBytes;
  }

  /** Every partition's group. */
  get all(): Iterable<PartitionReplica> {
    return this.#replicas.values();
  }

  get count(): number {
    return this.#replicas.size;
  }

  /** A group's share of the memory. */
  get logBytesMax(): number {
    const { all, max, min } = this.#entryBytes;
    return Math.max(min, Math.min(max, all / Math.max(1, this.#replicas.size)));
  }

  /** What the metadata's entries may take. */
  get metadataBytesMax(): number {
    return this.#entryBytes.metadata;
  }

  get(id: GroupId): PartitionReplica | undefined {
    return this.#replicas.get(groupKey(id));
  }

  of(partition: Partition): PartitionReplica | undefined {
    return this.#byPartition.get(partition);
  }

  /** Begins the groups of a topic's partitions; returns what is wrong with one of them, as one line. */
  async open(context: NodeContext, { partitions }: Topic): Promise<string | undefined> {
    for (const partition of partitions) {
      if (this.#isStopped) return undefined;
      const opened = await PartitionReplica.open(context, partition);
      if (opened.kind === "damaged") return opened.problem;
      const { replica } = opened;
      this.#replicas.set(groupKey(replica.id), replica);
      this.#byPartition.set(partition, replica);
    }
    return undefined;
  }

  /** Ends the groups of a topic. */
  async close(incarnation: number): Promise<void> {
    for (const [key, replica] of this.#replicas) {
      if (replica.id.incarnation !== incarnation) continue;
      this.#replicas.delete(key);
      await replica.stop();
    }
  }

  /** Lets time pass for these groups and the metadata's. */
  start(context: NodeContext, metadata: Group): void {
    this.#metadata = metadata;
    this.#plan(context);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await Promise.all([...this.#replicas.values()].map((replica) => replica.stop()));
  }

  /** A message for a partition's group. One that is not here (yet) hears nothing; Raft says again what matters. */
  receive(id: GroupId, message: Message): void {
    this.get(id)?.receive(message);
  }

  #plan(context: NodeContext): void {
    const { clock, nowMs } = context;
    this.#cancel = clock.after(tickMs - (nowMs() % tickMs), () => {
      if (this.#isStopped) return;
      this.#tick(nowMs());
      this.#plan(context);
    });
  }

  #tick(nowMs: number): void {
    if (this.#metadata !== undefined && this.#metadata.nextTickMs <= nowMs) this.#metadata.tick();
    for (const replica of this.#replicas.values()) replica.tick(nowMs);
    this.onTick(nowMs);
  }
}
