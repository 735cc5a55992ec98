/**
 * A consumer: the records of a topic as an async iterator, from partitions that it names or that its group gives it.
 *
 * ```ts
 * for await (const record of client.consumer("orders", { group: "billing" })) { … }
 * ```
 *
 * A record counts as processed when the loop asks for the next one, and not when it was handed out: `commit` stores the
 * position behind the last processed record. So after a crash records come again rather than never ("at least once").
 */
import type { BrokerClient } from "./client.ts";
import type { CancelSignal } from "./cancel.ts";
import { GroupMembership } from "./group-membership.ts";
import type { GroupOffset, PartitionName } from "./group-membership.ts";
import { Mailbox } from "./mailbox.ts";
import { startPulling, startPushing } from "./partition-reader.ts";
import type { PartitionReader } from "./partition-reader.ts";
import { protocolError } from "./protocol-error.ts";
import type { ConsumedRecord, FetchedRecords } from "./records.ts";
import { Stop } from "./stop.ts";

/** Where to begin where nothing is committed: the oldest record, behind the newest, or an offset. */
export type StartingPoint = "earliest" | "latest" | number;

/** How to consume; everything has a default. */
export interface ConsumerOptions {
  /** Partitions to read; all of the topic's when absent. Not with a group, which says itself what to read. */
  readonly partitions?: readonly number[];
  /** Share the topic with the other members of this group. */
  readonly group?: string;
  readonly from?: StartingPoint;
  /** `pull` fetches ahead; `push` lets the server send as records come. */
  readonly delivery?: "pull" | "push";
  readonly bytesMax?: number;
  /** Blocks of each partition that are held ready while the loop is busy. */
  readonly prefetch?: number;
  /** How long the server may hold a fetch at the end of the log. */
  readonly waitMs?: number;
  /** Commit at this interval, with a group; 0 leaves it to `commit`. A group's consumer also commits when it closes. */
  readonly autoCommitMs?: number;
  /** Ends the loop with `request-aborted`. */
  readonly signal?: CancelSignal;
  /** The trace that its requests are part of; absent, that of the work in which it is made. */
  readonly traceparent?: string;
}

interface Reading {
  readonly stop: Stop;
  reader: PartitionReader | undefined;
  /** The offset of the next record to process. */
  position: number;
  isStopped: boolean;
}

interface Block {
  readonly reading: Reading;
  readonly records: FetchedRecords;
}

/** Reads one topic. Iterate over it once. */
export class Consumer implements AsyncIterable<ConsumedRecord> {
  readonly topic: string;
  readonly #client: BrokerClient;
  readonly #options: Required<Omit<ConsumerOptions, "partitions" | "group" | "signal" | "traceparent">> &
    ConsumerOptions;
  /** A loop belongs to the work that began it, whatever goes on when it asks for more. */
  readonly #trace: { readonly traceparent?: string };
  readonly #blocks = new Mailbox<Block>();
  readonly #readings = new Map<number, Reading>();
  readonly #membership: GroupMembership | undefined;
  #isStarted = false;
  #isClosed = false;
  #cancelCommit: (() => void) | undefined = undefined;
  readonly #onAbort = (): void =>
    void this.#finish(protocolError("request-aborted", "", this.#options.signal?.reason));

  constructor(client: BrokerClient, topic: string, options: ConsumerOptions = {}) {
    this.topic = topic;
    this.#client = client;
    this.#options = {
      from: options.group === undefined ? "latest" : "earliest",
      delivery: "pull",
      bytesMax: 1024 * 1024,
      prefetch: 2,
      waitMs: 5_000,
      autoCommitMs: 5_000,
      ...options,
    };
    const traceparent = options.traceparent ?? client.currentTrace();
    this.#trace = traceparent === undefined ? {} : { traceparent };
    if (options.group === undefined) return;
    this.#membership = new GroupMembership({
      client,
      group: options.group,
      topics: [topic],
      trace: this.#trace,
      onAssigned: (offsets) => {
        for (const { partition, isCommitted, offset } of offsets) {
          void this.#read(partition, isCommitted ? offset : this.#options.from);
        }
      },
      onRevoked: (partitions) => this.#release(partitions),
      onError: (error) => void this.#finish(error),
    });
  }

  /** The offset of the next record to process, by partition: what `commit` stores. */
  get positions(): ReadonlyMap<number, number> {
    return new Map([...this.#readings].map(([partition, { position }]) => [partition, position]));
  }

  /** Records one by one. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord, void, undefined> {
    for await (const { reading, records } of this.#eachBlock()) {
      for (const record of records) {
        yield record;
        if (reading.isStopped) break;
        reading.position = record.offset + 1;
      }
    }
  }

  /** Blocks of records, as they were fetched: faster where there are many small ones. */
  async *batches(): AsyncGenerator<FetchedRecords, void, undefined> {
    for await (const { records } of this.#eachBlock()) yield records;
  }

  /** Stores how far this consumer got, for its group. */
  async commit(): Promise<void> {
    if (this.#membership === undefined)
      throw protocolError("invalid-request", "only a group's consumer commits");
    const offsets = this.#offsetsOf([...this.#readings.keys()]);
    if (offsets.length > 0) await this.#membership.commit(offsets);
  }

  /** Ends the loop in order; a group's consumer commits and leaves its group. */
  async close(): Promise<void> {
    await this.#finish();
  }

  async *#eachBlock(): AsyncGenerator<Block, void, undefined> {
    if (this.#isStarted) throw protocolError("invalid-request", "a consumer is iterated over once");
    this.#isStarted = true;
    try {
      await this.#start();
      for (;;) {
        const block = await this.#blocks.next();
        if (block === undefined) return;
        const { reading, records } = block;
        if (reading.isStopped) continue;
        yield block;
        if (!reading.isStopped) reading.position = Math.max(reading.position, records.nextOffset);
        reading.reader?.taken(records);
      }
    } finally {
      await this.#finish();
    }
  }

  async #start(): Promise<void> {
    const { signal, autoCommitMs, partitions, from } = this.#options;
    if (signal?.aborted) return this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort);
    if (this.#membership !== undefined) {
      this.#membership.start();
      if (autoCommitMs > 0) this.#commitLater(autoCommitMs);
      return;
    }
    const all =
      partitions ??
      (await this.#client.describeTopic(this.topic, this.#trace)).partitions.map((_, index) => index);
    await Promise.all(all.map((partition) => this.#read(partition, from)));
  }

  /** Begins to read a partition. */
  async #read(partition: number, from: StartingPoint): Promise<void> {
    const { topic } = this;
    const { delivery, bytesMax, prefetch, waitMs } = this.#options;
    const reading: Reading = { stop: new Stop(), reader: undefined, position: 0, isStopped: false };
    this.#readings.set(partition, reading);
    try {
      let offset = from;
      if (typeof offset !== "number") {
        const range = await this.#client.getOffset(topic, partition, {
          signal: reading.stop,
          ...this.#trace,
        });
        offset = offset === "earliest" ? range.startOffset : range.endOffset;
      }
      reading.position = offset;
      if (reading.isStopped) return;
      const start = delivery === "push" ? startPushing : startPulling;
      reading.reader = start({
        client: this.#client,
        topic,
        partition,
        offset,
        bytesMax,
        prefetch,
        waitMs,
        signal: reading.stop,
        traceparent: this.#trace.traceparent,
        onRecords: (records) => this.#blocks.push({ reading, records }),
        onError: (error) => void this.#finish(error),
      });
    } catch (error) {
      if (!reading.isStopped) void this.#finish(error);
    }
  }

  /** Stops reading partitions; returns how far each got. */
  #release(partitions: readonly PartitionName[]): readonly GroupOffset[] {
    const offsets = this.#offsetsOf(partitions.map(({ partition }) => partition));
    for (const { partition } of partitions) {
      const reading = this.#readings.get(partition);
      if (reading === undefined) continue;
      reading.isStopped = true;
      this.#readings.delete(partition);
      reading.stop.abort();
    }
    this.#blocks.keep(({ reading }) => !reading.isStopped);
    return offsets;
  }

  #offsetsOf(partitions: readonly number[]): GroupOffset[] {
    return partitions.flatMap((partition) => {
      const reading = this.#readings.get(partition);
      const isKnown = reading?.reader !== undefined;
      return isKnown ? [{ topic: this.topic, partition, offset: reading.position }] : [];
    });
  }

  #commitLater(intervalMs: number): void {
    this.#cancelCommit = this.#client.clock.after(intervalMs, () => {
      // A commit that fails is tried again at the next interval; a lost membership ends the loop by itself.
      this.commit().catch(() => {});
      if (!this.#isClosed) this.#commitLater(intervalMs);
    });
  }

  async #finish(error?: unknown): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelCommit?.();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#blocks.end(error);
    if (this.#membership !== undefined) await this.#membership.leave();
    this.#release([...this.#readings.keys()].map((partition) => ({ topic: this.topic, partition })));
    this.#blocks.keep(() => false);
  }
}
