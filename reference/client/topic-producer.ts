/**
 * A producer for one topic: chooses the partition, then leaves the rest to the batching producer.
 *
 * Records with the same key go to the same partition, so they stay in order. Records without a key go to one partition
 * for a while and then to the next: a batch full for one partition beats a batch for each with one record.
 */
import { crc32 } from "#reference/base/crc32.ts";
import type { Acks } from "../protocol/acks.ts";
import type { CancelSignal } from "./cancel.ts";
import { unlessAborted } from "./cancel.ts";
import type { BrokerClient } from "./client.ts";
import { Producer } from "./producer.ts";
import type { ProducerOptions, ProducerTransport } from "./producer-types.ts";
import type { ProtocolError } from "./protocol-error.ts";
import { protocolError } from "./protocol-error.ts";
import { toBytes } from "./records.ts";
import type { RecordLike } from "./records.ts";

/** Where a record went. */
export interface Delivered {
  readonly partition: number;
  readonly offset: number;
}

/** As the batching producer's, and how safe a record is when it counts as stored. */
export interface TopicProducerOptions extends ProducerOptions {
  /** In a cluster: on a majority of the nodes (`quorum`, the default), or on the disk of the one that leads. */
  readonly acks?: Acks;
}

/** What one send may say. */
export interface SendOptions {
  /** Chosen by the key, or in turn, when absent. */
  readonly partition?: number;
  /** Stops waiting. The record may be stored all the same, as with any request that was given up. */
  readonly signal?: CancelSignal;
}

/** Bytes without a key that go to one partition before the next has its turn. */
const turnBytes = 64 * 1024;

/** Gathers, sends and retries the records of one topic. */
export class TopicProducer {
  readonly topic: string;
  readonly #client: BrokerClient;
  readonly #producer: Producer;
  #partitions: number | undefined = undefined;
  #asking: Promise<number> | undefined = undefined;
  #turn = 0;
  #turnLeftBytes = turnBytes;

  constructor(client: BrokerClient, topic: string, options: TopicProducerOptions = {}) {
    this.topic = topic;
    this.#client = client;
    const { clock, random, checksum } = client;
    const { acks = "quorum" } = options;
    const transport: ProducerTransport = {
      initProducer: async () => Number((await client.call("InitProducer", {})).producerId),
      send: async (_topic, partition, batch) => {
        const sent = await client.produceBatch(topic, batch, { partition, connection: partition, acks });
        return sent.baseOffset;
      },
    };
    this.#producer = new Producer({ transport, clock, random, ...(checksum && { checksum }) }, options);
  }

  /** Bytes of records that have not settled. */
  get bufferedBytes(): number {
    return this.#producer.bufferedBytes;
  }

  /**
   * Resolves when the record is stored as safely as the server's policy says. Rejects with `buffer-full` when too much
   * is on its way already: await `writable` then.
   */
  async send(record: RecordLike, options: SendOptions = {}): Promise<Delivered> {
    const { signal } = options;
    if (signal?.aborted) throw protocolError("request-aborted", "", signal.reason);
    return unlessAborted(this.#send(record, options.partition), signal);
  }

  async #send(record: RecordLike, partition: number | undefined): Promise<Delivered> {
    const plain = typeof record === "string" || record instanceof Uint8Array ? { value: record } : record;
    const value = plain.value === null ? null : toBytes(plain.value);
    const key = plain.key === undefined ? undefined : toBytes(plain.key);
    const count = this.#partitions ?? (await this.#countPartitions());
    const chosen = partition ?? this.#choose(key, value?.length ?? 0, count);
    if (!Number.isInteger(chosen) || chosen < 0 || chosen >= count) {
      throw protocolError(
        "partition-not-found",
        `${this.topic} has partitions 0 to ${count - 1}, not ${chosen}`,
      );
    }
    const { topic } = this;
    const { timestampMs } = plain;
    const offset = await this.#producer.send({ topic, partition: chosen, value, key, timestampMs });
    return { partition: chosen, offset };
  }

  /** Resolves when there is room for more: less than half of the limit is on its way. */
  writable(): Promise<void> {
    return this.#producer.writable();
  }

  /** Sends what is gathered; resolves when everything sent before has settled. */
  async flush(): Promise<void> {
    await this.#admitted();
    await this.#producer.flush();
  }

  /** Takes no more records; resolves when those that it has have settled. */
  async close(): Promise<void> {
    await this.#admitted();
    await this.#producer.close();
  }

  /** Gives up at once. */
  destroy(reason?: ProtocolError): void {
    this.#producer.destroy(reason);
  }

  /** Resolves when the sends that wait to learn the number of partitions have gone on: they came before. */
  async #admitted(): Promise<void> {
    if (this.#partitions === undefined) await this.#asking?.catch(() => {});
  }

  #choose(key: Uint8Array | undefined, size: number, count: number): number {
    if (key !== undefined) return crc32(key) % count;
    if (this.#turnLeftBytes <= 0) {
      this.#turn++;
      this.#turnLeftBytes = turnBytes;
    }
    this.#turnLeftBytes -= size;
    return this.#turn % count;
  }

  #countPartitions(): Promise<number> {
    this.#asking ??= this.#client.describeTopic(this.topic).then(
      ({ partitions }) => (this.#partitions = partitions.length),
      (error: ProtocolError) => {
        this.#asking = undefined;
        // A server may make the topic when the first record comes, with one partition or more; the first is there.
        if (error.name === "topic-not-found") return 1;
        throw error;
      },
    );
    return this.#asking;
  }
}
