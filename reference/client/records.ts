/**
 * Records on the client's side: what a user hands in, and what a fetch gives back.
 *
 * This is the one place where the client meets the batch format, which is the log's own: what a producer packs is what
 * lies on the broker's disk and what a consumer unpacks.
 */
import { crc32OfConcatenation } from "../base/crc32-combine.ts";
import { crc32 } from "../base/crc32.ts";
import type { Checksum, Clock } from "../ports.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import { RecordBatchBuilder, encodeRecordBatch } from "../storage/record-batch-builder.ts";
import {
  batchBytesAt,
  batchHeaderBytes,
  batchLayout,
  bodyCrcAt,
  nextOffsetAt,
} from "../storage/record-batch.ts";
import { RecordCursor } from "../storage/record-cursor.ts";
import { protocolError } from "./protocol-error.ts";

/** A record to produce: a bare value, or one with a key. A value of null deletes the key in a compacted topic. */
export type RecordLike =
  | string
  | Uint8Array
  | {
      readonly value: string | Uint8Array | null;
      readonly key?: string | Uint8Array | undefined;
      /** When it happened; now when absent. */
      readonly timestampMs?: number | undefined;
    };

/** Joining two checksums costs as much as one over so many bytes. */
const combinedBytesMin = 1024;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Text as UTF-8; bytes as they are. */
export function toBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? textEncoder.encode(value) : value;
}

/** Packs records into batches, one after the other, in one buffer. */
export class BatchEncoder {
  readonly #clock: Clock;
  readonly #checksum: { readonly checksum?: Checksum };
  readonly #builder: RecordBatchBuilder;
  /** For batches of one record: its checksum would say the same as the batch's. */
  readonly #single: RecordBatchBuilder;

  constructor(ports: { readonly clock: Clock; readonly checksum?: Checksum }) {
    this.#clock = ports.clock;
    this.#checksum = ports.checksum === undefined ? {} : { checksum: ports.checksum };
    this.#builder = new RecordBatchBuilder(this.#checksum);
    this.#single = new RecordBatchBuilder({ ...this.#checksum, recordChecksums: false });
  }

  /** One batch of all records, as a view that is good until the next call. Throws when they do not fit into one. */
  encode(records: readonly RecordLike[]): Uint8Array {
    if (records.length === 0) throw protocolError("invalid-request", "a batch needs at least one record");
    const builder = records.length === 1 ? this.#single : this.#builder;
    const nowMs = this.#clock.wallTimeMs();
    builder.reset();
    for (const record of records) {
      const isPlain = typeof record === "string" || record instanceof Uint8Array;
      const isAdded = isPlain
        ? builder.add(toBytes(record), undefined, nowMs)
        : builder.add(
            record.value === null ? null : toBytes(record.value),
            record.key === undefined ? undefined : toBytes(record.key),
            record.timestampMs ?? nowMs,
          );
      if (!isAdded) return this.#encodeUnordered(records, nowMs);
    }
    return builder.finish();
  }

  /** The CRC-32 of a whole batch of this encoder, as far as that is quicker had from the one that stands in it. */
  crcOf(batch: Uint8Array): number | undefined {
    if (batch.length < combinedBytesMin) return undefined;
    const { checksum = crc32 } = this.#checksum;
    const bodyBytes = batch.length - batchLayout.version;
    return crc32OfConcatenation(checksum(batch, 0, batchLayout.version), bodyCrcAt(batch, 0), bodyBytes);
  }

  /** Records whose times step back need the earliest time first, and so a look at all of them before the first. */
  #encodeUnordered(records: readonly RecordLike[], nowMs: number): Uint8Array {
    const inputs = records.map((record) => {
      if (typeof record === "string" || record instanceof Uint8Array) {
        return { value: toBytes(record), timestampMs: nowMs };
      }
      const { value, key, timestampMs = nowMs } = record;
      const keyed = key === undefined ? {} : { key: toBytes(key) };
      return { value: value === null ? null : toBytes(value), timestampMs, ...keyed };
    });
    try {
      return encodeRecordBatch(inputs, this.#checksum);
    } catch (error) {
      throw protocolError(
        "record-too-large",
        `${records.length} records do not fit into one batch, by their size or by the span of their times`,
        error,
      );
    }
  }
}

/** Where fetched records come from. */
export interface RecordSource {
  readonly topic: string;
  readonly partition: number;
  /** The first offset that was asked for. Batches begin where the producer began them, which may be before it. */
  readonly offset: number;
}

/** One record that was read. Its bytes are views of what was fetched: copy what must outlive it in small pieces. */
export class ConsumedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | undefined;
  /** Null where the record deletes its key. */
  readonly value: Uint8Array | null;
  readonly #idMs: number;
  readonly #idSequence: number;

  constructor(source: RecordSource, cursor: RecordCursor) {
    const { key, value } = cursor.record();
    this.topic = source.topic;
    this.partition = source.partition;
    this.offset = cursor.offset;
    this.timestampMs = cursor.timestampMs;
    this.key = key;
    this.value = value;
    this.#idMs = cursor.batch?.idMilliseconds ?? 0;
    this.#idSequence = cursor.idSequence;
  }

  /** The id that the broker gave it, `<ms>-<seq>`. */
  get id(): string {
    return `${this.#idMs}-${this.#idSequence}`;
  }

  /** The value as text; empty where the record deletes its key. */
  text(): string {
    return this.value === null ? "" : textDecoder.decode(this.value);
  }
}

/** What one fetch brought. Records are taken out of the batches only while somebody walks over them. */
export class FetchedRecords implements Iterable<ConsumedRecord> {
  readonly topic: string;
  readonly partition: number;
  /** The oldest offset that the partition keeps. */
  readonly startOffset: number;
  /** The offset after the last record that may be read. */
  readonly endOffset: number;
  /** Where the next fetch goes on. */
  readonly nextOffset: number;
  /** The batches as they lie in the log. */
  readonly bytes: Uint8Array;
  readonly #fromOffset: number;

  constructor(source: RecordSource, reply: ReplyOf<"Fetch">) {
    this.topic = source.topic;
    this.partition = source.partition;
    this.startOffset = reply.startOffset;
    this.endOffset = reply.endOffset;
    this.bytes = reply.batches;
    this.#fromOffset = source.offset;
    this.nextOffset = Math.max(source.offset, offsetAfter(reply.batches));
  }

  /** Whether the fetch brought nothing: there is nothing at or after the offset yet. */
  get isEmpty(): boolean {
    return this.bytes.length === 0;
  }

  /** A walk without an object for each record: the fastest way to look at all of them. */
  cursor(): RecordCursor {
    return new RecordCursor(this.bytes, { fromOffset: this.#fromOffset });
  }

  *[Symbol.iterator](): Generator<ConsumedRecord, void, undefined> {
    const source = { topic: this.topic, partition: this.partition, offset: this.#fromOffset };
    const cursor = this.cursor();
    while (cursor.next()) yield new ConsumedRecord(source, cursor);
    if (cursor.fault !== undefined) throw protocolError("invalid-reply", cursor.fault.reason);
  }
}

/** The offset after the last of the batches, 0 when there are none. Steps over them by their lengths. */
function offsetAfter(batches: Uint8Array): number {
  let next = 0;
  for (let at = 0; at + batchHeaderBytes <= batches.length; at += batchBytesAt(batches, at)) {
    next = nextOffsetAt(batches, at);
  }
  return next;
}
