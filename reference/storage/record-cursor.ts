/**
 * Reading records out of batches: what a consumer, compaction and inspection do.
 *
 * The cursor walks over batches that lie back to back, as a fetch brings them, and gives positions into the bytes
 * instead of copies: a consumer that only counts or forwards records allocates nothing for each of them.
 */
import type { Checksum } from "../ports.ts";
import { crc32 } from "../base/crc32.ts";
import { getUint16, getUint32 } from "./integers.ts";
import {
  areRecordFlagsKnown,
  batchHeaderBytes,
  batchVersion,
  inspectBatch,
  readBatchHeader,
  recordFlags,
  recordLayout,
  type BatchFault,
  type BatchHeader,
} from "./record-batch.ts";

/** One stored record. `key` and `value` are views of the bytes that it was read from. */
export interface StoredRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | undefined;
  /** Null for a tombstone. */
  readonly value: Uint8Array | null;
}

/** What a cursor checks. A consumer that trusts its connection's checksum may leave both out. */
export interface CursorOptions {
  /** Records before this offset are stepped over: a fetch begins at a batch, not at a record. */
  readonly fromOffset?: number;
  /** Checks each record's own checksum where the batch has them. */
  readonly checkRecords?: boolean;
  readonly checksum?: Checksum;
}

/** A position in a run of batches. Call `next`; while it says true, the fields describe one record. */
export class RecordCursor {
  /** The batch that the record is in. */
  batch: BatchHeader | undefined = undefined;
  offset = 0;
  timestampMs = 0;
  /** Where the record starts and ends in the bytes, its length field and its checksum included. */
  recordStart = 0;
  recordEnd = 0;
  hasKey = false;
  keyStart = 0;
  keyEnd = 0;
  isTombstone = false;
  valueStart = 0;
  valueEnd = 0;
  /** Set when `next` said false because of what it found, and not because the bytes are at their end. */
  fault: BatchFault | undefined = undefined;

  readonly #bytes: Uint8Array;
  readonly #fromOffset: number;
  readonly #checksum: Checksum | undefined;
  #position: number;
  #index = 0;

  constructor(bytes: Uint8Array, options: CursorOptions = {}, start = 0) {
    this.#bytes = bytes;
    this.#fromOffset = options.fromOffset ?? 0;
    this.#checksum = options.checkRecords === true ? (options.checksum ?? crc32) : undefined;
    this.#position = start;
    this.recordEnd = start;
  }

  /** The record's sequence in its id `<idMilliseconds>-<sequence>`; the milliseconds are the batch's. */
  get idSequence(): number {
    const batch = this.batch;
    return batch === undefined ? 0 : batch.idSequence + this.offset - batch.baseOffset;
  }

  /** Steps to the next record; false at the end and after a fault. */
  next(): boolean {
    do {
      if (this.fault !== undefined) return false;
      while (this.batch === undefined || this.#index === this.batch.recordCount) {
        if (!this.#nextBatch()) return false;
      }
      if (!this.#nextRecord(this.batch)) return false;
    } while (this.offset < this.#fromOffset);
    return true;
  }

  /** A view of the record as a value. */
  record(): StoredRecord {
    return {
      offset: this.offset,
      timestampMs: this.timestampMs,
      key: this.hasKey ? this.#bytes.subarray(this.keyStart, this.keyEnd) : undefined,
      value: this.isTombstone ? null : this.#bytes.subarray(this.valueStart, this.valueEnd),
    };
  }

  #nextBatch(): boolean {
    const at = this.#position;
    const bytes = this.#bytes;
    if (at === bytes.length) return false;
    if (bytes.length - at < batchHeaderBytes) return this.#fail(at, "the bytes end inside a batch header");
    const batch = readBatchHeader(bytes, at);
    if (batch.endPosition > bytes.length || batch.endPosition - at < batchHeaderBytes) {
      return this.#fail(
        at,
        `batch length ${batch.endPosition - at} does not fit into ${bytes.length - at} bytes`,
      );
    }
    if (batch.version !== batchVersion) return this.#fail(at, `unknown batch version ${batch.version}`);
    this.batch = batch;
    this.#index = 0;
    this.recordEnd = at + batchHeaderBytes;
    this.#position = batch.endPosition;
    // A whole batch before the wanted offset is not even looked into.
    if (batch.nextOffset <= this.#fromOffset) this.#index = batch.recordCount;
    return true;
  }

  #nextRecord(batch: BatchHeader): boolean {
    const bytes = this.#bytes;
    const start = this.recordEnd;
    const batchEnd = batch.endPosition;
    if (batchEnd - start < recordLayout.optional)
      return this.#fail(start, "the batch ends before its last record");
    const end = start + 4 + getUint32(bytes, start);
    const flags = bytes[start + recordLayout.flags]!;
    const valueEnd = batch.hasRecordChecksums ? end - 4 : end;
    let at = start + recordLayout.optional;
    let delta = this.#index;
    let timestampMs = batch.baseTimestamp;
    if (end > batchEnd) return this.#fail(start, `a record ends ${end - batchEnd} bytes after its batch`);
    if (!areRecordFlagsKnown(flags)) return this.#fail(start, `unknown record flags ${flags}`);
    if ((flags & recordFlags.offsetDelta) !== 0) {
      delta = getUint32(bytes, at);
      at += 4;
    }
    if ((flags & recordFlags.timestampDelta) !== 0) {
      timestampMs += getUint32(bytes, at);
      at += 4;
    }
    this.hasKey = (flags & recordFlags.key) !== 0;
    if (this.hasKey) {
      this.keyStart = at + 2;
      at = this.keyEnd = at + 2 + getUint16(bytes, at);
    }
    if (at > valueEnd) return this.#fail(start, "a record is shorter than its fields");
    if (this.#checksum !== undefined && batch.hasRecordChecksums) {
      if (this.#checksum(bytes, start, valueEnd) !== getUint32(bytes, valueEnd)) {
        const offset = batch.baseOffset + delta;
        this.fault = { kind: "corrupt", at: start, reason: `record ${offset} does not match its checksum` };
        return false;
      }
    }
    this.isTombstone = (flags & recordFlags.tombstone) !== 0;
    this.offset = batch.baseOffset + delta;
    this.timestampMs = timestampMs;
    this.recordStart = start;
    this.valueStart = at;
    this.valueEnd = valueEnd;
    this.recordEnd = end;
    this.#index++;
    return true;
  }

  #fail(at: number, reason: string): false {
    this.fault = { kind: "invalid", at, reason };
    return false;
  }
}

/** A whole batch as values. */
export type DecodedBatch =
  | { readonly kind: "batch"; readonly header: BatchHeader; readonly records: readonly StoredRecord[] }
  /** More bytes are needed, at least so many from the batch's start. */
  | { readonly kind: "incomplete"; readonly neededBytes: number }
  | { readonly kind: "corrupt"; readonly at: number; readonly reason: string };

/** Decodes and checks the stored batch at `at`, with every checksum that it has. */
export function decodeRecordBatch(bytes: Uint8Array, at = 0, checksum: Checksum = crc32): DecodedBatch {
  const found = inspectBatch(bytes, at, bytes.length, checksum);
  if (found.kind === "incomplete") return found;
  if (found.kind === "no-batch")
    return { kind: "corrupt", at, reason: "the batch header does not match its checksum" };
  if (found.kind === "damaged-body")
    return { kind: "corrupt", at, reason: "the batch does not match its checksum" };
  const records: StoredRecord[] = [];
  const whole = bytes.subarray(0, found.header.endPosition);
  const cursor = new RecordCursor(whole, { checkRecords: true, checksum }, at);
  while (cursor.next()) records.push(cursor.record());
  if (cursor.fault !== undefined)
    return { kind: "corrupt", at: cursor.fault.at, reason: cursor.fault.reason };
  return { kind: "batch", header: found.header, records };
}
