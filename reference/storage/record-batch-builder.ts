/**
 * Building record batches: what a producer does with its records before it sends them.
 *
 * The builder writes each record where it will stay, into one buffer that it keeps from batch to batch, and fills in
 * the header at the end, when the count, the times and the checksum are known. Nothing is encoded twice and a steady
 * producer allocates nothing a record.
 */
import type { Checksum } from "../ports.ts";
import { crc32OfConcatenation } from "../base/crc32-combine.ts";
import { crc32 } from "../base/crc32.ts";
import { assert } from "../base/assert.ts";
import {
  attributeRecordChecksums,
  batchBytesMaxDefault,
  batchHeaderBytes,
  batchLayout,
  batchRecordsMax,
  batchVersion,
  keyBytesMax,
  recordFlags,
} from "./record-batch.ts";
import { setUint16, setUint32, setUint53, uint32Max } from "./integers.ts";

/** One record as a producer has it. */
export interface RecordInput {
  readonly key?: Uint8Array;
  /** Null is a tombstone: key compaction removes what the key had before. */
  readonly value: Uint8Array | null;
  /** When it happened, in milliseconds since the Unix epoch; without it, the batch's time. */
  readonly timestampMs?: number;
}

/** How a batch is made. */
export interface BatchOptions {
  /** Whether each record ends in its own checksum, so that a consumer can name the one that is damaged. */
  readonly recordChecksums?: boolean;
  /** Who sends it, for the refusal of duplicates; 0 is nobody in particular. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  /** The number of the first record among all of this producer's records for this partition. */
  readonly baseSequence?: number;
  /** The time of records that bring none, and the earliest time that a record of this batch can have. */
  readonly timestampMs?: number;
  readonly batchBytesMax?: number;
  readonly checksum?: Checksum;
}

const firstCapacity = 4096;
/** From this length on, carrying a record's checksum on costs less than computing it again. */
const carriedBytesMin = 512;

/** Gathers records into one batch at a time. */
export class RecordBatchBuilder {
  /** Records added since the last `reset`. */
  count = 0;
  /** Bytes that the batch has now, its header included. */
  sizeBytes = batchHeaderBytes;

  #bytes = new Uint8Array(firstCapacity);
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  /** The CRC-32 of all records so far; -1 when one of them was too short for that to pay. */
  #recordsCrc = -1;
  readonly #options: BatchOptions;
  readonly #checksum: Checksum;
  readonly #bytesMax: number;
  readonly #trailerBytes: number;

  constructor(options: BatchOptions = {}) {
    this.#options = options;
    this.#checksum = options.checksum ?? crc32;
    this.#bytesMax = options.batchBytesMax ?? batchBytesMaxDefault;
    this.#trailerBytes = (options.recordChecksums ?? true) ? 4 : 0;
  }

  /** Adds one record; false, with nothing changed, when it does not fit any more: finish this batch first. */
  add(value: Uint8Array | null, key?: Uint8Array, timestampMs?: number): boolean {
    const keyBytes = key === undefined ? 0 : 2 + key.length;
    if (key !== undefined && key.length > keyBytesMax) return false;
    if (this.count === 0) this.#baseTimestamp = this.#options.timestampMs ?? timestampMs ?? 0;
    const timestampDelta = (timestampMs ?? this.#baseTimestamp) - this.#baseTimestamp;
    // A record from before the batch's base cannot say so: deltas are unsigned. `encodeRecordBatch` finds the
    // base first.
    if (timestampDelta < 0 || timestampDelta > uint32Max) return false;
    const deltaBytes = timestampDelta === 0 ? 0 : 4;
    const valueBytes = value === null ? 0 : value.length;
    const recordBytes = 5 + deltaBytes + keyBytes + valueBytes + this.#trailerBytes;
    const end = this.sizeBytes + recordBytes;
    if (end > this.#bytesMax || this.count === batchRecordsMax) return false;
    if (end > this.#bytes.length) this.#grow(end);

    const bytes = this.#bytes;
    const start = this.sizeBytes;
    setUint32(bytes, start, recordBytes - 4);
    bytes[start + 4] =
      (value === null ? recordFlags.tombstone : 0) |
      (deltaBytes === 0 ? 0 : recordFlags.timestampDelta) |
      (key === undefined ? 0 : recordFlags.key);
    let at = start + 5;
    if (deltaBytes !== 0) {
      setUint32(bytes, at, timestampDelta);
      at += 4;
    }
    if (key !== undefined) {
      setUint16(bytes, at, key.length);
      bytes.set(key, at + 2);
      at += keyBytes;
    }
    if (value !== null) {
      bytes.set(value, at);
      at += valueBytes;
    }
    if (this.#trailerBytes !== 0) {
      const recordCrc = this.#checksum(bytes, start, at);
      setUint32(bytes, at, recordCrc);
      this.#noteChecksum(recordCrc, at, recordBytes);
    }
    this.#maxTimestamp = Math.max(
      this.count === 0 ? 0 : this.#maxTimestamp,
      this.#baseTimestamp + timestampDelta,
    );
    this.count++;
    this.sizeBytes = end;
    return true;
  }

  /**
   * The finished batch: a view of the builder's own bytes, valid until the next `add` or `reset`. `baseSequence`
   * overrides the option, for a producer that sends one batch after another.
   */
  finish(baseSequence = this.#options.baseSequence ?? 0): Uint8Array {
    assert(this.count > 0, "a batch needs a record");
    const bytes = this.#bytes;
    const options = this.#options;
    bytes.fill(0, 0, batchHeaderBytes);
    setUint32(bytes, batchLayout.length, this.sizeBytes - 4);
    bytes[batchLayout.version] = batchVersion;
    bytes[batchLayout.attributes] = this.#trailerBytes === 0 ? 0 : attributeRecordChecksums;
    setUint16(bytes, batchLayout.producerEpoch, options.producerEpoch ?? 0);
    setUint32(bytes, batchLayout.recordCount, this.count);
    setUint53(bytes, batchLayout.baseTimestamp, this.#baseTimestamp);
    setUint53(bytes, batchLayout.maxTimestamp, this.#maxTimestamp);
    setUint53(bytes, batchLayout.producerId, options.producerId ?? 0);
    setUint32(bytes, batchLayout.baseSequence, baseSequence);
    setUint32(bytes, batchLayout.bodyCrc, this.#bodyCrc());
    return bytes.subarray(0, this.sizeBytes);
  }

  /** Begins the next batch in the same buffer. */
  reset(): void {
    this.count = 0;
    this.sizeBytes = batchHeaderBytes;
  }

  /** A long record's checksum is carried into that of all records, so that nobody runs over its bytes again. */
  #noteChecksum(recordCrc: number, trailerAt: number, recordBytes: number): void {
    if (recordBytes < carriedBytesMin || (this.count > 0 && this.#recordsCrc < 0)) {
      this.#recordsCrc = -1;
      return;
    }
    const trailerCrc = this.#checksum(this.#bytes, trailerAt, trailerAt + 4);
    const wholeCrc = crc32OfConcatenation(recordCrc, trailerCrc, 4);
    const before = this.count === 0 ? 0 : this.#recordsCrc;
    this.#recordsCrc = crc32OfConcatenation(before, wholeCrc, recordBytes);
  }

  #bodyCrc(): number {
    const bytes = this.#bytes;
    const { version } = batchLayout;
    if (this.#trailerBytes === 0 || this.#recordsCrc < 0)
      return this.#checksum(bytes, version, this.sizeBytes);
    const headerCrc = this.#checksum(bytes, version, batchHeaderBytes);
    return crc32OfConcatenation(headerCrc, this.#recordsCrc, this.sizeBytes - batchHeaderBytes);
  }

  #grow(neededBytes: number): void {
    const larger = new Uint8Array(Math.min(this.#bytesMax, Math.max(neededBytes, this.#bytes.length * 2)));
    larger.set(this.#bytes.subarray(0, this.sizeBytes));
    this.#bytes = larger;
  }
}

/** One batch of all the records, in bytes of its own. They must fit into one: this is for tools and tests. */
export function encodeRecordBatch(records: readonly RecordInput[], options: BatchOptions = {}): Uint8Array {
  let earliest = options.timestampMs ?? Infinity;
  for (const record of records) earliest = Math.min(earliest, record.timestampMs ?? earliest);
  const builder = new RecordBatchBuilder({ ...options, timestampMs: earliest === Infinity ? 0 : earliest });
  for (const record of records) {
    const isAdded = builder.add(record.value, record.key, record.timestampMs ?? options.timestampMs);
    assert(isAdded, () => `record ${builder.count} does not fit into the batch`);
  }
  return builder.finish();
}
