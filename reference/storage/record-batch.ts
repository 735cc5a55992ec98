/**
 * The record batch: the unit in which records travel, are stored and are fetched.
 *
 * A producer packs records into a batch and computes its checksum. The log stores these bytes as they came: it only
 * stamps the first 44 of them, with what the producer cannot know. A fetch hands the stored bytes out again. So nobody
 * between the producer and the consumer takes records apart and puts them together again, and the producer's checksum
 * still covers them at the far end.
 *
 * ```
 *  0        4            12      16               24           28
 *  | length | baseOffset | epoch | idMilliseconds | idSequence | lastOffsetDelta |
 *
 *  32               36        40          44        45           46              48            52
 *  | unsyncedBefore | bodyCrc | headerCrc | version | attributes | producerEpoch | recordCount | baseTimestamp |
 *
 *  60             68           76             80
 *  | maxTimestamp | producerId | baseSequence | records … |
 * ```
 *
 * Integers are big-endian and unsigned. `length` counts the bytes after itself. `headerCrc` covers bytes 0 to 40,
 * `bodyCrc` everything from 44 to the end. Two checksums, because recovery asks two questions: how far does this batch
 * reach and whose is it (the header), and are its records whole (the body)? A batch whose body is damaged can still be
 * stepped over, and the offsets that are lost with it can be named.
 *
 * Batches tile the offsets: each begins where the one before it ended, also after compaction (a batch without records
 * stands for the offsets that were removed). So a missing batch is always noticed.
 *
 * Kafka's batch is close to this one. It has one checksum, compression, and no header checksum of its own.
 */
import type { Checksum } from "../ports.ts";
import { assert } from "../base/assert.ts";
import { getUint16, getUint32, getUint53, setUint32, setUint53, uint32Max } from "./integers.ts";

// #region layout
/** Where each field of a batch starts. The producer sets `length`, `bodyCrc` and what follows `headerCrc`. */
export const batchLayout = {
  length: 0,
  baseOffset: 4,
  epoch: 12,
  idMilliseconds: 16,
  idSequence: 24,
  lastOffsetDelta: 28,
  unsyncedBefore: 32,
  bodyCrc: 36,
  headerCrc: 40,
  version: 44,
  attributes: 45,
  producerEpoch: 46,
  recordCount: 48,
  baseTimestamp: 52,
  maxTimestamp: 60,
  producerId: 68,
  baseSequence: 76,
  records: 80,
} as const;
// #endregion layout

/** Where each field of a record starts that every record has; the optional ones follow, in the order of the flags. */
export const recordLayout = { length: 0, flags: 4, optional: 5 } as const;

/** The version that this code writes, and the only one that it reads. */
export const batchVersion = 1;

/** Attribute bit: every record ends in a checksum of its own. */
export const attributeRecordChecksums = 1;
const attributesKnown = attributeRecordChecksums;

/** Record flags. A record has the optional fields whose bits are set, in this order: offset delta, timestamp, key. */
export const recordFlags = { key: 1, tombstone: 2, timestampDelta: 4, offsetDelta: 8 } as const;
const recordFlagsKnown = 15;
const recordFlagsOfProducers = recordFlags.key | recordFlags.tombstone | recordFlags.timestampDelta;

/** Bytes of a batch before its first record. */
export const batchHeaderBytes: number = batchLayout.records;
/** The most bytes of one batch, its length field included. */
export const batchBytesMaxDefault = 16 * 1024 * 1024;
/** The most records in one batch: a reader can trust a count before it has walked so many. */
export const batchRecordsMax = 1_000_000;
/** The longest key: its length is 16 bits wide. */
export const keyBytesMax = 65_535;

/** The latest timestamp, in milliseconds since the Unix epoch: 48 bits, which last until the year 10889. */
export const timestampMsMax = 2 ** 48 - 1;

/** The fields of a batch as values. `endPosition` is where the next batch starts in the bytes it was read from. */
export interface BatchHeader {
  readonly position: number;
  readonly endPosition: number;
  readonly baseOffset: number;
  /** The first offset after this batch. */
  readonly nextOffset: number;
  readonly epoch: number;
  readonly idMilliseconds: number;
  readonly idSequence: number;
  /** How many offsets before `baseOffset` were not known to be on disk when this batch was written. */
  readonly unsyncedBefore: number;
  readonly recordCount: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly version: number;
  readonly hasRecordChecksums: boolean;
}

/** Why a batch is refused: `invalid` breaks the format, `corrupt` does not match its checksum. */
export interface BatchFault {
  readonly kind: "invalid" | "corrupt";
  readonly at: number;
  readonly reason: string;
}

/** What stands at a position of a log: see `inspectBatch`. */
export type BatchInspection =
  | { readonly kind: "intact"; readonly header: BatchHeader }
  /** The header is good and says where the batch ends, but its records do not match their checksum. */
  | { readonly kind: "damaged-body"; readonly header: BatchHeader }
  /** A good header whose batch goes on after `end`. `neededBytes` counts from the batch's start. */
  | { readonly kind: "incomplete"; readonly neededBytes: number }
  | { readonly kind: "no-batch" };

/** What the log stamps on a batch. */
export interface BatchStamp {
  baseOffset: number;
  epoch: number;
  idMilliseconds: number;
  idSequence: number;
  /** Offsets that the batch covers, less one. */
  lastOffsetDelta: number;
  unsyncedBefore: number;
}

/** Bytes of the batch at `at`, its length field included. The caller has made sure that the field is there. */
export function batchBytesAt(bytes: Uint8Array, at: number): number {
  return 4 + getUint32(bytes, at + batchLayout.length);
}

/** The offset of the first record of the batch at `at`. */
export function baseOffsetAt(bytes: Uint8Array, at: number): number {
  return getUint53(bytes, at + batchLayout.baseOffset);
}

/** The first offset after the batch at `at`. */
export function nextOffsetAt(bytes: Uint8Array, at: number): number {
  return baseOffsetAt(bytes, at) + getUint32(bytes, at + batchLayout.lastOffsetDelta) + 1;
}

/** How many records the batch at `at` holds. */
export function recordCountAt(bytes: Uint8Array, at: number): number {
  return getUint32(bytes, at + batchLayout.recordCount);
}

/** The largest timestamp in the batch at `at`: not the last record's, for a producer's clock may step back. */
export function maxTimestampAt(bytes: Uint8Array, at: number): number {
  return getUint53(bytes, at + batchLayout.maxTimestamp);
}

/** The checksum of the body of the batch at `at`, as it says. */
export function bodyCrcAt(bytes: Uint8Array, at: number): number {
  return getUint32(bytes, at + batchLayout.bodyCrc);
}

/** The fields of the batch at `at`, which the caller has checked or will check. */
export function readBatchHeader(bytes: Uint8Array, at: number): BatchHeader {
  return {
    position: at,
    endPosition: at + batchBytesAt(bytes, at),
    baseOffset: baseOffsetAt(bytes, at),
    nextOffset: nextOffsetAt(bytes, at),
    epoch: getUint32(bytes, at + batchLayout.epoch),
    idMilliseconds: getUint53(bytes, at + batchLayout.idMilliseconds),
    idSequence: getUint32(bytes, at + batchLayout.idSequence),
    unsyncedBefore: getUint32(bytes, at + batchLayout.unsyncedBefore),
    recordCount: recordCountAt(bytes, at),
    baseTimestamp: getUint53(bytes, at + batchLayout.baseTimestamp),
    maxTimestamp: maxTimestampAt(bytes, at),
    producerId: getUint53(bytes, at + batchLayout.producerId),
    producerEpoch: getUint16(bytes, at + batchLayout.producerEpoch),
    baseSequence: getUint32(bytes, at + batchLayout.baseSequence),
    version: bytes[at + batchLayout.version]!,
    hasRecordChecksums: (bytes[at + batchLayout.attributes]! & attributeRecordChecksums) !== 0,
  };
}

/**
 * Checks a producer's batch that fills `bytes[start..end)`, before anything of it is stored: what gets into the log is
 * believed from then on, by recovery too. The records' own checksums are left to the consumer: they are the producer's
 * word to it, and the body's checksum covers them on the way.
 */
export function checkRecordBatch(
  bytes: Uint8Array,
  start: number,
  end: number,
  checksum: Checksum,
): BatchFault | undefined {
  if (end - start < batchHeaderBytes) {
    return invalid(start, `batch of ${end - start} bytes is shorter than its header of ${batchHeaderBytes}`);
  }
  if (batchBytesAt(bytes, start) !== end - start) {
    return invalid(start, `length says ${batchBytesAt(bytes, start)} bytes, the batch has ${end - start}`);
  }
  const version = bytes[start + batchLayout.version]!;
  if (version !== batchVersion)
    return invalid(start + batchLayout.version, `unknown batch version ${version}`);
  const crc = checksum(bytes, start + batchLayout.version, end);
  if (crc !== getUint32(bytes, start + batchLayout.bodyCrc)) {
    return {
      kind: "corrupt",
      at: start + batchLayout.bodyCrc,
      reason: "the batch does not match its checksum",
    };
  }
  const attributes = bytes[start + batchLayout.attributes]!;
  if ((attributes & ~attributesKnown) !== 0) {
    return invalid(start + batchLayout.attributes, `unknown attributes ${attributes}`);
  }
  const count = recordCountAt(bytes, start);
  if (count < 1 || count > batchRecordsMax) {
    return invalid(start + batchLayout.recordCount, `${count} records is outside 1 to ${batchRecordsMax}`);
  }
  return checkRecords(bytes, start, end, count);
}

/** Walks the records: they fill the batch exactly, are as many as it says, and none is later than it says. */
function checkRecords(bytes: Uint8Array, start: number, end: number, count: number): BatchFault | undefined {
  const attributes = bytes[start + batchLayout.attributes]!;
  const trailerBytes = (attributes & attributeRecordChecksums) !== 0 ? 4 : 0;
  let maxDelta = 0;
  let at = start + batchHeaderBytes;
  for (let index = 0; index < count; index++) {
    if (end - at < recordLayout.optional) return invalid(at, `record ${index} of ${count} is missing`);
    const recordEnd = at + 4 + getUint32(bytes, at);
    if (recordEnd > end) return invalid(at, `record ${index} ends ${recordEnd - end} bytes after its batch`);
    const flags = bytes[at + recordLayout.flags]!;
    if ((flags & ~recordFlagsOfProducers) !== 0)
      return invalid(at, `record ${index} has unknown flags ${flags}`);
    let optionalEnd = at + recordLayout.optional;
    if ((flags & recordFlags.timestampDelta) !== 0) {
      if (recordEnd - optionalEnd < 4) return invalid(at, `record ${index} is shorter than its fields`);
      maxDelta = Math.max(maxDelta, getUint32(bytes, optionalEnd));
      optionalEnd += 4;
    }
    if ((flags & recordFlags.key) !== 0) {
      if (recordEnd - optionalEnd < 2) return invalid(at, `record ${index} is shorter than its fields`);
      optionalEnd += 2 + getUint16(bytes, optionalEnd);
    }
    if (optionalEnd + trailerBytes > recordEnd)
      return invalid(at, `record ${index} is shorter than its fields`);
    if ((flags & recordFlags.tombstone) !== 0 && optionalEnd + trailerBytes !== recordEnd) {
      return invalid(at, `record ${index} is a tombstone with a value`);
    }
    at = recordEnd;
  }
  if (at !== end) return invalid(at, `${end - at} bytes after the last record`);
  const base = getUint53(bytes, start + batchLayout.baseTimestamp);
  if (base < 0 || base + maxDelta > timestampMsMax) {
    return invalid(start + batchLayout.baseTimestamp, `a timestamp exceeds ${timestampMsMax}`);
  }
  if (maxTimestampAt(bytes, start) !== base + maxDelta) {
    return invalid(start + batchLayout.maxTimestamp, "the maximum timestamp is not that of the records");
  }
  return undefined;
}

// #region stamp
/** Writes the log's part of the batch at `at` and seals the header with its checksum. */
export function stampBatch(bytes: Uint8Array, at: number, stamp: BatchStamp, checksum: Checksum): void {
  if (stamp.epoch < 0 || stamp.epoch > uint32Max) assert(false, `epoch ${stamp.epoch} is outside 32 bits`);
  setUint53(bytes, at + batchLayout.baseOffset, stamp.baseOffset);
  setUint32(bytes, at + batchLayout.epoch, stamp.epoch);
  setUint53(bytes, at + batchLayout.idMilliseconds, stamp.idMilliseconds);
  setUint32(bytes, at + batchLayout.idSequence, stamp.idSequence);
  setUint32(bytes, at + batchLayout.lastOffsetDelta, stamp.lastOffsetDelta);
  setUint32(bytes, at + batchLayout.unsyncedBefore, Math.min(stamp.unsyncedBefore, uint32Max));
  setUint32(bytes, at + batchLayout.headerCrc, checksum(bytes, at, at + batchLayout.headerCrc));
}
// #endregion stamp

/**
 * What stands at `at` in `bytes[..end)` of a log: the one question that recovery, index rebuilding and inspection ask.
 * Never throws, whatever the bytes are. Every header that it calls good has matched its checksum and says things that
 * can be: an all-zero header fails the checksum, for the CRC of 40 zeros is not zero.
 */
export function inspectBatch(
  bytes: Uint8Array,
  at: number,
  end: number,
  checksum: Checksum,
): BatchInspection {
  if (end - at < batchHeaderBytes) {
    return end > at ? { kind: "incomplete", neededBytes: batchHeaderBytes } : { kind: "no-batch" };
  }
  if (!isHeaderIntact(bytes, at, checksum)) return { kind: "no-batch" };
  const neededBytes = batchBytesAt(bytes, at);
  if (neededBytes > end - at) return { kind: "incomplete", neededBytes };
  const header = readBatchHeader(bytes, at);
  const crc = checksum(bytes, at + batchLayout.version, header.endPosition);
  if (crc !== getUint32(bytes, at + batchLayout.bodyCrc)) return { kind: "damaged-body", header };
  return { kind: bytes[at + batchLayout.version] === batchVersion ? "intact" : "damaged-body", header };
}

/** Whether the 44 bytes at `at` are a stamped header; they must all be there. */
export function isHeaderIntact(bytes: Uint8Array, at: number, checksum: Checksum): boolean {
  if (batchBytesAt(bytes, at) < batchHeaderBytes || baseOffsetAt(bytes, at) < 0) return false;
  return checksum(bytes, at, at + batchLayout.headerCrc) === getUint32(bytes, at + batchLayout.headerCrc);
}

/** Whether all flags of a stored record are known; compaction also writes offset deltas, producers may not. */
export function areRecordFlagsKnown(flags: number): boolean {
  return (flags & ~recordFlagsKnown) === 0;
}

function invalid(at: number, reason: string): BatchFault {
  return { kind: "invalid", at, reason };
}
