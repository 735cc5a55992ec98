/**
 * The state that all nodes share, and how a committed command changes it.
 *
 * Every node applies the same commands in the same order, so nothing here may depend on anything but the state and the
 * command: no clock, no randomness, no disk. What differs between nodes is only how much of the records is on their own
 * disk already. Two things say where each partition stands:
 *
 * - the *shared* end, kept here and in every snapshot: what the commands so far have made of it;
 * - the *stored* end: what this node's own log of the partition holds.
 *
 * After a restart the commands since the last snapshot are applied again, and the log may hold their batches already:
 * the stored end is ahead, and nothing is written twice. It is never behind, except while batches are on their way.
 */
import { assert } from "#reference/base/assert.ts";
import type { CommitResult, Log } from "../../storage/log.ts";
import { getUint16, getUint32, getUint53 } from "../../storage/integers.ts";
import { batchLayout, recordCountAt } from "../../storage/record-batch.ts";
import type { RecordId } from "../../storage/record-id.ts";
import { RecordIdSource } from "../../storage/record-id.ts";
import type { StoredOffset } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import type { SavedProducer } from "../producer-table.ts";
import { ProducerTable } from "../producer-table.ts";
import type { Topic, TopicRegistry } from "../registry.ts";
import type { TopicConfig } from "../topic.ts";
import type { AppendCommand, ClusterCommand } from "./commands.ts";

/** What a command came to, the same on every node. */
export type Applied =
  | {
      readonly kind: "appended";
      readonly baseOffset: number;
      readonly idMilliseconds: number;
      readonly idSequence: number;
    }
  | { readonly kind: "done" }
  | ErrorOutcome;

interface SharedPartition {
  /** The offset that the next record gets. */
  end: number;
  readonly ids: RecordIdSource;
  readonly producers: ProducerTable;
}

interface SharedTopic {
  readonly incarnation: number;
  readonly config: TopicConfig;
  readonly partitions: readonly SharedPartition[];
}

/** The form in which a snapshot keeps it all. */
interface SavedState {
  readonly topics: readonly {
    readonly name: string;
    readonly config: TopicConfig;
    readonly partitions: readonly {
      readonly end: number;
      readonly id: readonly [milliseconds: number, sequence: number];
      readonly producers: readonly SavedProducer[];
    }[];
  }[];
  readonly groups: readonly (readonly [group: string, positions: readonly StoredOffset[]])[];
  readonly addresses: readonly (readonly [node: string, address: string])[];
}

const done: Applied = { kind: "done" };

/** One node's copy. */
export class ClusterMachine {
  /** Where each node is reached, as far as the log says. */
  addresses = new Map<string, string>();
  /** A log could not store what was agreed on, and has taken it back: this node must stop. */
  onFailed: (error: unknown) => void = () => {};
  readonly #registry: TopicRegistry;
  #topics = new Map<string, SharedTopic>();
  /** By group, then by partition. */
  #groups = new Map<string, Map<string, StoredOffset>>();
  /** Logs that batches were appended to since they were last waited for. */
  readonly #written = new Set<Partition>();
  /** The commit of each log that is being watched for its end. */
  readonly #watched = new WeakMap<Partition, Promise<CommitResult>>();

  constructor(registry: TopicRegistry) {
    this.#registry = registry;
  }

  /** Carries out the command at `index`. A promise, where this node's disk has to be waited for. */
  apply(index: number, command: ClusterCommand): Applied | Promise<Applied> {
    switch (command.kind) {
      case "append":
        return this.#append(command);
      case "create-topic":
        return this.#create(index, command.topic, command.config);
      case "delete-topic":
        return this.#delete(index, command.topic);
      case "trim":
        return this.#trim(command);
      case "commit-offsets":
        this.#commit(command.group, command.positions);
        return done;
      case "address":
        this.addresses.set(command.node, command.address);
        return done;
    }
  }

  /** Resolves when all that was applied can be read here; rejects with what the disk said. */
  async settled(): Promise<void> {
    const written = [...this.#written];
    this.#written.clear();
    await allOf(written, (log) => log.committed());
  }

  /** Makes durable here what was applied: only then may the commands that said so be forgotten. */
  async sync(): Promise<void> {
    const partitions = this.#registry.list().flatMap((topic) => topic.partitions);
    await allOf(partitions, (log) => log.sync());
  }

  position(group: string, topic: string, partition: number): number | undefined {
    return this.#groups.get(group)?.get(`${topic}/${partition}`)?.offset;
  }

  positionsOf(group: string): readonly StoredOffset[] {
    return [...(this.#groups.get(group)?.values() ?? [])];
  }

  allPositions(): readonly (StoredOffset & { readonly group: string })[] {
    return [...this.#groups].flatMap(([group, of]) => [...of.values()].map((at) => ({ group, ...at })));
  }

  /** All of the shared state. */
  save(): Uint8Array {
    const state: SavedState = {
      topics: [...this.#topics].map(([name, { config, partitions }]) => ({
        name,
        config,
        partitions: partitions.map(({ end, ids, producers }) => ({
          end,
          id: [ids.lastMilliseconds, ids.lastSequence],
          producers: producers.save(),
        })),
      })),
      groups: [...this.#groups].map(([group, positions]) => [group, [...positions.values()]]),
      addresses: [...this.addresses],
    };
    return new TextEncoder().encode(JSON.stringify(state));
  }

  /** Takes a saved state over. Returns what this node's disk lacks of it, as one line; nothing when it lacks nothing. */
  load(bytes: Uint8Array): string | undefined {
    const state = JSON.parse(new TextDecoder().decode(bytes)) as SavedState;
    this.addresses = new Map(state.addresses);
    this.#groups = new Map(
      state.groups.map(([group, positions]) => [
        group,
        new Map(positions.map((at) => [`${at.topic}/${at.partition}`, at])),
      ]),
    );
    this.#topics = new Map(
      state.topics.map(({ name, config, partitions }) => {
        const shared = partitions.map(({ end, id: [milliseconds, sequence], producers }) => {
          const partition = newPartition();
          partition.end = end;
          partition.ids.lastMilliseconds = milliseconds;
          partition.ids.lastSequence = sequence;
          partition.producers.load(producers);
          return partition;
        });
        return [name, { incarnation: config.incarnation ?? 0, config, partitions: shared }];
      }),
    );
    return this.#lacking();
  }

  /** A topic that is not there at all was deleted by a command that is yet to be applied again. */
  #lacking(): string | undefined {
    for (const [name, { incarnation, partitions }] of this.#topics) {
      const stored = this.#stored(name, incarnation);
      for (const [number, { end }] of partitions.entries()) {
        const { log } = stored?.partitions[number] ?? {};
        if (log === undefined || log.endOffset >= end) continue;
        return `${name}/${number} ends at offset ${log.endOffset}, and the snapshot says ${end}: records are missing`;
      }
    }
    return undefined;
  }

  #append(command: AppendCommand): Applied | Promise<Applied> {
    const { topic: name, incarnation, partition: number, batch } = command;
    const topic = this.#topics.get(name);
    const shared = topic?.incarnation === incarnation ? topic.partitions[number] : undefined;
    if (shared === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    // 1. Whether the producer has sent it before is judged here, where all nodes agree, and not where it came in.
    const verdict = judgeBatch(shared, batch);
    if (verdict !== undefined) return verdict;
    // 2. Its place and its ids, from the shared state alone.
    const count = recordCountAt(batch, 0);
    const baseOffset = shared.end;
    if (!shared.ids.reserve(command.timeMs, count)) return refuse("storage-error", "no record ids are left");
    shared.end += count;
    const { lastMilliseconds: idMilliseconds, lastSequence } = shared.ids;
    const idSequence = lastSequence - (count - 1);
    rememberBatch(shared, batch, { baseOffset, count, idMilliseconds, idSequence });
    const applied: Applied = { kind: "appended", baseOffset, idMilliseconds, idSequence };
    // 3. Onto this node's disk, unless it is there from before a restart.
    const partition = this.#stored(name, incarnation)?.partitions[number];
    if (partition === undefined || partition.log.endOffset >= shared.end) return applied;
    const id = { milliseconds: idMilliseconds, sequence: idSequence };
    if (this.#store(partition, batch, baseOffset, id)) return applied;
    return this.#storeLater(partition, batch, baseOffset, id).then(() => applied);
  }

  /** Appends to the node's own log; false when it has no room before others are written. */
  #store(partition: Partition, batch: Uint8Array, baseOffset: number, id: RecordId): boolean {
    const { log } = partition;
    if (log.endOffset < baseOffset) {
      throw new Error(
        `${partition.topic}/${partition.number} has lost its end: its disk is full or has failed`,
      );
    }
    assert(
      log.endOffset === baseOffset,
      () => `a batch for ${baseOffset} meets a log that ends at ${log.endOffset}`,
    );
    const result = log.append(batch, 0, batch.length, id);
    if (result.kind === "appended") {
      this.#written.add(partition);
      this.#watch(partition);
      return true;
    }
    if (result.reason === "overloaded") return false;
    throw log.failure ?? new Error(`a committed batch is refused: ${result.detail}`);
  }

  /** A log that cannot write takes back what was appended. Nobody may forget the commands that said so. */
  #watch(partition: Partition): void {
    const commit = partition.log.committed();
    if (this.#watched.get(partition) === commit) return;
    this.#watched.set(partition, commit);
    void commit.then((result) => {
      if (result.kind === "failed" && !partition.isDeleted) this.onFailed(result.error);
    });
  }

  async #storeLater(
    partition: Partition,
    batch: Uint8Array,
    baseOffset: number,
    id: RecordId,
  ): Promise<void> {
    const { log } = partition;
    while (log.endOffset <= baseOffset && !this.#store(partition, batch, baseOffset, id)) {
      const result = await log.committed();
      if (result.kind === "failed") throw result.error;
    }
  }

  async #create(index: number, name: string, given: TopicConfig): Promise<Applied> {
    if (this.#topics.has(name)) return refuse("topic-already-exists", `topic ${name} exists already`);
    const config = { ...given, incarnation: index };
    const partitions = Array.from({ length: config.partitions }, newPartition);
    this.#topics.set(name, { incarnation: index, config, partitions });
    const stored = this.#registry.get(name)?.config.incarnation ?? 0;
    // From before a restart: this one, or one that was made after it.
    if (stored >= index) return done;
    if (stored > 0) throwRefusal(await this.#registry.delete(name));
    throwRefusal(await this.#registry.create(name, config));
    return done;
  }

  async #delete(index: number, name: string): Promise<Applied> {
    if (!this.#topics.delete(name))
      return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    for (const [group, positions] of this.#groups) {
      for (const [key, { topic }] of positions) if (topic === name) positions.delete(key);
      if (positions.size === 0) this.#groups.delete(group);
    }
    const stored = this.#registry.get(name)?.config.incarnation;
    if (stored !== undefined && stored < index) throwRefusal(await this.#registry.delete(name));
    return done;
  }

  async #trim(command: Extract<ClusterCommand, { readonly kind: "trim" }>): Promise<Applied> {
    const { topic: name, incarnation, partition: number, beforeOffset } = command;
    const shared = this.#topics.get(name);
    const end = shared?.incarnation === incarnation ? shared.partitions[number]?.end : undefined;
    if (end === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    const log = this.#stored(name, incarnation)?.partitions[number]?.log;
    if (log !== undefined) {
      await this.settled();
      await log.trim(Math.min(beforeOffset, end));
    }
    return done;
  }

  #commit(group: string, positions: readonly StoredOffset[]): void {
    const known = this.#groups.get(group) ?? new Map<string, StoredOffset>();
    this.#groups.set(group, known);
    for (const at of positions) known.set(`${at.topic}/${at.partition}`, at);
  }

  /** The topic on this node's disk, if it is the one that is meant. */
  #stored(name: string, incarnation: number): Topic | undefined {
    const stored = this.#registry.get(name);
    return stored?.config.incarnation === incarnation ? stored : undefined;
  }
}

/** Waits for all logs; one whose topic was deleted meanwhile does not matter any more. */
async function allOf(
  partitions: readonly Partition[],
  wait: (log: Log) => Promise<CommitResult>,
): Promise<void> {
  await Promise.all(
    partitions.map(async (partition) => {
      if (partition.isDeleted) return;
      const result = await wait(partition.log);
      if (result.kind === "failed" && !partition.isDeleted) throw result.error;
    }),
  );
}

function newPartition(): SharedPartition {
  const producers = new ProducerTable();
  producers.isLoaded = true;
  return { end: 0, ids: new RecordIdSource(), producers };
}

/** What an idempotent producer's batch comes to without being stored; undefined when it is to be stored. */
function judgeBatch({ producers }: SharedPartition, batch: Uint8Array): Applied | undefined {
  const id = getUint53(batch, batchLayout.producerId);
  if (id <= 0) return undefined;
  const epoch = getUint16(batch, batchLayout.producerEpoch);
  const sequence = getUint32(batch, batchLayout.baseSequence);
  const verdict = producers.judge(id, epoch, sequence, recordCountAt(batch, 0));
  switch (verdict.kind) {
    case "new":
      return undefined;
    case "repeated": {
      const { baseOffset, idMilliseconds, idSequence } = verdict.batch;
      return { kind: "appended", baseOffset, idMilliseconds, idSequence };
    }
    case "gap":
      return refuse("sequence-gap", `producer ${id} sent sequence ${sequence}, expected ${verdict.expected}`);
    case "fenced":
      return refuse("producer-fenced", `producer ${id} has epoch ${verdict.epoch}, this batch says ${epoch}`);
  }
}

function rememberBatch(
  { producers }: SharedPartition,
  batch: Uint8Array,
  place: {
    readonly baseOffset: number;
    readonly count: number;
    readonly idMilliseconds: number;
    readonly idSequence: number;
  },
): void {
  const id = getUint53(batch, batchLayout.producerId);
  if (id <= 0) return;
  const sequence = getUint32(batch, batchLayout.baseSequence);
  producers.remember(id, getUint16(batch, batchLayout.producerEpoch), { sequence, ...place });
}

/** What all nodes have agreed on must succeed on each; one that cannot must stop. */
function throwRefusal(result: unknown): void {
  if (typeof result !== "object" || result === null || !("kind" in result) || result.kind !== "error") return;
  const { message } = result as ErrorOutcome;
  throw new Error(`an agreed change failed on this node: ${message}`);
}
