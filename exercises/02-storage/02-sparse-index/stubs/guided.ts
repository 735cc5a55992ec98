// Generated from reference/storage/sparse-index.ts (stub 67177df3).
// Write your solution here; `npx oz reset 02-storage/02-sparse-index` starts again.
/**
 * The sparse index of a segment: from an offset or a time to a position in the file.
 *
 * It has an entry for about every `intervalBytes` of log. A lookup finds the last entry at or before what is wanted
 * (the *floor*) and steps from batch to batch from there, over less than one interval. So the index is small, costs
 * nothing on most appends, and a lookup reads a bounded number of bytes however large the segment is.
 *
 * Each entry also holds the largest timestamp of all batches *before* it. Timestamps come from producers and may go
 * back, but a running maximum never does, so it can be searched: everything before the last entry whose maximum is
 * below t is older than t.
 *
 * ```
 * file     0       4         8            16          24          32             40
 *          | magic | version | baseOffset | endOffset | logLength | maxTimestamp | idMilliseconds |
 *          48           52            56
 *          | entryCount | damageCount | entries … | damaged ranges … | crc32 |
 * entry    | relativeOffset 4 | position 4 | maxTimestampBefore 8 |
 * damaged  | from 8 | to 8 | position 8 | endPosition 8 |
 * ```
 *
 * The file is a copy that saves a scan at start-up. It is never trusted: it must match its checksum and the log file
 * that it says it describes, or the index is built again from the log.
 */
import { todo } from "#exercises/lib/todo.ts";
import type { Checksum, DiskFile } from "#reference/ports.ts";
import { assert } from "#reference/base/assert.ts";
import { readFully } from "#reference/storage/file-io.ts";
import { getUint32, getUint53, setUint32, setUint53, uint32Max } from "#reference/storage/integers.ts";
import {
  baseOffsetAt,
  batchBytesAt,
  batchHeaderBytes,
  isHeaderIntact,
  nextOffsetAt,
} from "#reference/storage/record-batch.ts";

/** Log bytes from one entry to the next, at the least. */
export const indexIntervalBytesDefault = 16 * 1024;
/** Offsets that one segment can cover: an entry's offset is relative to the segment's and 32 bits wide. */
export const segmentOffsetsMax = uint32Max;
/** Bytes that one segment can have: a position is 32 bits wide. */
export const segmentBytesCeiling = uint32Max;

const indexMagic = 0x4f5a4958; // "OZIX"
const indexVersion = 1;
const indexHeaderBytes = 56;
const entryBytes = 16;
const damageBytes = 32;
const firstCapacity = 64;

/** Offsets and bytes of a segment that are damaged. Nobody changes them any more; readers are told. */
export interface DamagedRange {
  /** The first offset missing, and the first one after it that is there. */
  readonly from: number;
  readonly to: number;
  readonly position: number;
  readonly endPosition: number;
}

/** What an index file says about the log file that it was made from. */
export interface IndexedLog {
  readonly endOffset: number;
  /** Bytes of the log file that the index covers. They were synced before the index was written. */
  readonly logLength: number;
  /** When the last record was appended: the milliseconds of its id; 0 when there is none. */
  readonly idMilliseconds: number;
  readonly damage: readonly DamagedRange[];
}

/** The entries of one segment, in memory. */
export class SparseIndex {
  readonly baseOffset: number;
  readonly intervalBytes: number;
  /** Entries. */
  count = 0;
  /** The largest timestamp of all batches noted, with an entry or without; -1 before the first. */
  maxTimestamp = -1;

  #offsets = new Uint32Array(firstCapacity);
  #positions = new Uint32Array(firstCapacity);
  #timestamps = new Float64Array(firstCapacity);

  constructor(baseOffset: number, intervalBytes: number = indexIntervalBytesDefault) {
    this.baseOffset = baseOffset;
    this.intervalBytes = intervalBytes;
  }

  // #region note
  /**
   * Notes a batch, in the order of the log. `isResumption` asks for an entry whatever the distance: after damaged
   * bytes, which nobody can step over.
   */
  note(baseOffset: number, position: number, maxTimestamp: number, isResumption = false): void {
    const last = this.count - 1;
    // 1. The first batch gets an entry, and then each that starts an interval or more after the last entry.
    if (last < 0 || isResumption || todo("does it start an interval or more after the last entry?")) {
      // 2. Offsets are kept relative to the segment's base. What does not fit in 32 bits must never get here.
      const relative: number = todo("the offset, as an entry keeps it");
      if (relative < 0 || relative > segmentOffsetsMax)
        assert(false, `relative offset ${relative} exceeds 32 bits`);
      if (position > segmentBytesCeiling) assert(false, `position ${position} exceeds 32 bits`);
      if (this.count === this.#offsets.length) this.#grow();
      this.#offsets[this.count] = relative;
      this.#positions[this.count] = position;
      this.#timestamps[this.count] = todo("the largest timestamp before this batch");
      this.count++;
    }
    // 3. Only batches after this one are later than its timestamps.
    if (maxTimestamp > this.maxTimestamp) this.maxTimestamp = maxTimestamp;
  }
  // #endregion note

  // #region floor
  /** The number of the last entry whose offset is at or below `offset`; -1 when there is none. */
  floor(offset: number): number {
    // 1. Entries hold offsets relative to the segment's base.
    const relative = offset - this.baseOffset;
    // 2. Halve: everything before `low` is at or below the offset, everything from `high` on is above it.
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (todo("is the entry at or below the offset?")) low = middle + 1;
      else high = middle;
    }
    // 3. The entry before `low` is the floor; -1 when there is none.
    return low - 1;
  }

  /** The number of the last entry before which every record is older than `timestampMs`; -1 when there is none. */
  floorOfTime(timestampMs: number): number {
    // 1. The running maximum never falls, so it can be halved like the offsets.
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (todo("is everything before the entry older?")) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
  // #endregion floor

  /** The offset of entry `number`; the segment's base for -1. */
  offsetAt(number: number): number {
    return number < 0 ? this.baseOffset : this.baseOffset + this.#offsets[number]!;
  }

  /** The position of entry `number`; the start of the file for -1. */
  positionAt(number: number): number {
    return number < 0 ? 0 : this.#positions[number]!;
  }

  // #region truncate-index
  /** Forgets every batch from `offset` on. `maxTimestamp` becomes that of the batches before the last entry left. */
  truncate(offset: number): void {
    // 1. Entries are cut by offset, the unit that they are sorted by; an entry at the offset itself goes too.
    let count = this.count;
    while (count > 0 && todo("does the last entry go?")) count--;
    this.maxTimestamp = todo("what is known of the timestamps that are left?");
    this.count = count;
    // 2. The batches from the last entry left on must be noted again by the caller, for their timestamps.
  }
  // #endregion truncate-index

  // #region encode-index
  /** The index as a file's bytes, for a log file that is on disk up to `log.logLength`. */
  encode(log: IndexedLog, checksum: Checksum): Uint8Array {
    const damageAt = indexHeaderBytes + this.count * entryBytes;
    const bytes = new Uint8Array(damageAt + log.damage.length * damageBytes + 4);
    setUint32(bytes, 0, indexMagic);
    setUint32(bytes, 4, indexVersion);
    setUint53(bytes, 8, this.baseOffset);
    setUint53(bytes, 16, log.endOffset);
    setUint53(bytes, 24, log.logLength);
    // Plus one, for "no record yet" is -1.
    setUint53(bytes, 32, this.maxTimestamp + 1);
    setUint53(bytes, 40, log.idMilliseconds);
    setUint32(bytes, 48, this.count);
    setUint32(bytes, 52, log.damage.length);
    for (let number = 0, at = indexHeaderBytes; number < this.count; number++, at += entryBytes) {
      setUint32(bytes, at, this.#offsets[number]!);
      setUint32(bytes, at + 4, this.#positions[number]!);
      setUint53(bytes, at + 8, this.#timestamps[number]! + 1);
    }
    for (const [number, range] of log.damage.entries()) {
      const at = damageAt + number * damageBytes;
      setUint53(bytes, at, range.from);
      setUint53(bytes, at + 8, range.to);
      setUint53(bytes, at + 16, range.position);
      setUint53(bytes, at + 24, range.endPosition);
    }
    setUint32(bytes, bytes.length - 4, checksum(bytes, 0, bytes.length - 4));
    return bytes;
  }

  /**
   * The index in a file's bytes, or undefined when they are not one for the segment at `baseOffset`. The caller then
   * builds a new one; it also compares `logLength` with the log file. Entries are checked one by one, for a checksum
   * does not say that the writer was right.
   */
  static decode(
    bytes: Uint8Array,
    baseOffset: number,
    intervalBytes: number,
    checksum: Checksum,
  ): { index: SparseIndex; log: IndexedLog } | undefined {
    if (bytes.length < indexHeaderBytes + 4) return undefined;
    const count = getUint32(bytes, 48);
    const damageAt = indexHeaderBytes + count * entryBytes;
    const damageCount = getUint32(bytes, 52);
    if (todo("is it exactly as long as its counts say?")) return undefined;
    if (getUint32(bytes, 0) !== indexMagic || getUint32(bytes, 4) !== indexVersion) return undefined;
    if (checksum(bytes, 0, bytes.length - 4) !== getUint32(bytes, bytes.length - 4)) return undefined;
    if (todo("is it for another segment?")) return undefined;
    const damage: DamagedRange[] = [];
    for (let at = damageAt; at < bytes.length - 4; at += damageBytes) {
      const [from, to] = [getUint53(bytes, at), getUint53(bytes, at + 8)];
      damage.push({ from, to, position: getUint53(bytes, at + 16), endPosition: getUint53(bytes, at + 24) });
    }
    const log: IndexedLog = {
      endOffset: getUint53(bytes, 16),
      logLength: getUint53(bytes, 24),
      idMilliseconds: getUint53(bytes, 40),
      damage,
    };
    const index = new SparseIndex(baseOffset, intervalBytes);
    for (let number = 0, at = indexHeaderBytes; number < count; number++, at += entryBytes) {
      const offset = baseOffset + getUint32(bytes, at);
      const position = getUint32(bytes, at + 4);
      const isAscending = todo("do both rise?");
      if ((number > 0 && !isAscending) || todo("does it point behind the log?"))
        return undefined;
      index.maxTimestamp = getUint53(bytes, at + 8) - 1;
      index.note(offset, position, index.maxTimestamp, true);
    }
    index.maxTimestamp = getUint53(bytes, 32) - 1;
    return { index, log };
  }
  // #endregion encode-index

  #grow(): void {
    const capacity = this.#offsets.length * 2;
    const offsets = new Uint32Array(capacity);
    const positions = new Uint32Array(capacity);
    const timestamps = new Float64Array(capacity);
    offsets.set(this.#offsets);
    positions.set(this.#positions);
    timestamps.set(this.#timestamps);
    this.#offsets = offsets;
    this.#positions = positions;
    this.#timestamps = timestamps;
  }
}

/** Where the batch with an offset begins. */
export type Located =
  | { readonly kind: "found"; readonly position: number; readonly scannedBytes: number }
  /** The bytes on the way are not a run of batches: something is damaged around here. */
  | { readonly kind: "broken"; readonly position: number; readonly scannedBytes: number };

// #region locate
/**
 * Finds the batch that holds `offset`, which must lie between the segment's base and its end. Reads at most one
 * interval and one header, and says how much it stepped over.
 */
export async function locateBatch(
  file: DiskFile,
  index: SparseIndex,
  offset: number,
  logLength: number,
  checksum: Checksum,
): Promise<Located> {
  // 1. Start at the floor entry. When it is the offset itself, there is nothing to scan.
  const entry = index.floor(offset);
  const start = index.positionAt(entry);
  if (entry >= 0 && index.offsetAt(entry) === offset)
    return { kind: "found", position: start, scannedBytes: 0 };
  // 2. Every batch before the next entry starts less than an interval after this one: one read brings all headers.
  const window = new Uint8Array(todo("how many bytes can be needed?"));
  const filled = await readFully(file, window, start);
  // 3. Step from batch to batch, each beginning where the one before it ended, to the one that ends after the offset.
  let at = 0;
  let expectedOffset = index.offsetAt(entry);
  while (filled - at >= batchHeaderBytes) {
    if (!isHeaderIntact(window, at, checksum) || todo("is it not the batch that must come next?")) break;
    expectedOffset = nextOffsetAt(window, at);
    if (todo("does this batch hold the offset?")) return { kind: "found", position: start + at, scannedBytes: at };
    at += todo("to the next batch");
  }
  // 4. Not found within the bound: say so, instead of reading on to the end of the segment.
  return { kind: "broken", position: start + at, scannedBytes: filled };
}
// #endregion locate
