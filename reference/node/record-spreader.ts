/** Spreads records over the partitions of a topic: packs them into batches and hands each to its partition's sender. */
import { crc32 } from "#reference/base/crc32.ts";
import { RecordBatchBuilder } from "../storage/record-batch-builder.ts";
import { ProtocolError } from "../client/protocol-error.ts";
import { protocolErrors } from "../protocol/errors.ts";
import { fastChecksum } from "./checksum/fast-crc32.ts";
import { PartitionSender } from "./partition-sender.ts";
import type { SenderOptions } from "./partition-sender.ts";

/** How records are spread. */
export interface SpreadOptions extends Omit<SenderOptions, "partition"> {
  /** Only to this partition; by key or in turn when absent. */
  readonly partition?: number;
  readonly batchBytes: number;
  readonly batchRecords: number;
}

/** What has gathered for one partition. */
interface Lane {
  readonly sender: PartitionSender;
  readonly builder: RecordBatchBuilder;
  /** The producer's number of the next record for this partition. */
  sequence: number;
}

/** Sequence numbers are 32 bits wide. */
const sequenceCount = 2 ** 32;

/** One producer for all partitions of a topic. */
export class RecordSpreader {
  readonly #options: SpreadOptions;
  readonly #producerId: number;
  readonly #partitions: number;
  readonly #lanes = new Map<number, Lane>();
  #turn = 0;

  /** Asks for a producer id, and for the number of partitions. A topic that is not there yet is made by the server. */
  static async open(options: SpreadOptions): Promise<RecordSpreader> {
    const { producerId } = await options.client.call("InitProducer", {});
    let partitions = 1;
    try {
      partitions = (await options.client.describeTopic(options.topic)).partitions.length;
    } catch (error) {
      const isMissing =
        error instanceof ProtocolError && error.code === protocolErrors["topic-not-found"].code;
      if (!isMissing) throw error;
    }
    return new RecordSpreader(options, Number(producerId), partitions);
  }

  private constructor(options: SpreadOptions, producerId: number, partitions: number) {
    this.#options = options;
    this.#producerId = producerId;
    this.#partitions = partitions;
  }

  /** Records that were sent and not acknowledged. */
  get recordsInDoubt(): number {
    let records = 0;
    for (const { sender } of this.#lanes.values()) records += sender.recordsInDoubt;
    return records;
  }

  /** Takes a record; its bytes are copied. A promise when a batch went out: wait for it before the next record. */
  add(value: Uint8Array, key?: Uint8Array): Promise<void> | undefined {
    const number = this.#partitionOf(key);
    const lane = this.#lane(number);
    const { builder } = lane;
    const nowMs = Date.now();
    if (!builder.add(value, key, nowMs)) {
      if (builder.count === 0) throw tooLarge(value.length);
      return this.#send(lane).then(() => this.add(value, key));
    }
    const { batchBytes, batchRecords } = this.#options;
    if (builder.sizeBytes < batchBytes && builder.count < batchRecords) return undefined;
    if (key === undefined) this.#turn++;
    return this.#send(lane);
  }

  /** Sends what has gathered; resolves when there is room for more. */
  async flush(): Promise<void> {
    this.#turn++;
    for (const lane of this.#lanes.values()) if (lane.builder.count > 0) await this.#send(lane);
  }

  /** Sends what has gathered, and resolves when everything is acknowledged. */
  async finish(): Promise<void> {
    await this.flush();
    await Promise.all([...this.#lanes.values()].map(({ sender }) => sender.finish()));
  }

  /** Equal keys always meet in one partition, in their order. */
  #partitionOf(key: Uint8Array | undefined): number {
    if (this.#options.partition !== undefined) return this.#options.partition;
    if (key !== undefined) return crc32(key) % this.#partitions;
    return this.#turn % this.#partitions;
  }

  #lane(number: number): Lane {
    let lane = this.#lanes.get(number);
    if (lane === undefined) {
      const sender = new PartitionSender({ ...this.#options, partition: number });
      const builder = new RecordBatchBuilder({ producerId: this.#producerId, checksum: fastChecksum });
      lane = { sender, builder, sequence: 0 };
      this.#lanes.set(number, lane);
    }
    return lane;
  }

  #send(lane: Lane): Promise<void> {
    const { builder, sender } = lane;
    const batch = builder.finish(lane.sequence).slice();
    const { count } = builder;
    lane.sequence = (lane.sequence + count) % sequenceCount;
    builder.reset();
    return sender.send(batch, count);
  }
}

function tooLarge(bytes: number): ProtocolError {
  return new ProtocolError(
    protocolErrors["record-too-large"].code,
    `a record of ${bytes} bytes fits into no batch`,
  );
}
