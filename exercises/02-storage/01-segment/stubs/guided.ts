// Generated from reference/storage/segment.ts (stub 0ffd803f).
// Write your solution here; `npx oz reset 02-storage/01-segment` starts again.
/**
 * A segment: one file of a log, and the only place where records are appended and read.
 *
 * A log is cut into files so that old data can be removed by removing files. Within a segment batches lie back to
 * back, in the order of their offsets, from the first byte of the file on; the file's name is the offset of the first.
 *
 * Three ends, each at or behind the one before it, because three questions have different answers:
 *
 * ```
 * records   ···············|················|··············|
 *                     visible end     writtenOffset    endOffset
 *                     (readers)       (in the file)    (offsets given out)
 * ```
 *
 * `append` gives out offsets and copies bytes; it is synchronous, so appends cannot interleave. `write` hands what has
 * gathered to the file, in one call for many batches. Who may see it when is the caller's policy (group-commit.ts):
 * readers bring the visible end with them.
 */
import { todo } from "#exercises/lib/todo.ts";
import type { Checksum, DiskFile } from "#reference/ports.ts";
import { assert } from "#reference/base/assert.ts";
import type { AppendBuffers, AppendChunk } from "#reference/storage/append-buffers.ts";
import { readFully, writeFully } from "#reference/storage/file-io.ts";
import { uint53Max } from "#reference/storage/integers.ts";
import {
  baseOffsetAt,
  batchBytesAt,
  batchHeaderBytes,
  isHeaderIntact,
  maxTimestampAt,
  nextOffsetAt,
  recordCountAt,
  stampBatch,
  type BatchStamp,
} from "#reference/storage/record-batch.ts";
import { locateBatch, segmentOffsetsMax, SparseIndex, type Located } from "#reference/storage/sparse-index.ts";

/** The last offset that can be given out: beyond it, a number would no longer count one by one. */
export const offsetMax = uint53Max - 1;

/** What a segment starts from: nothing, or what recovery found. */
export interface SegmentState {
  readonly endOffset: number;
  readonly endPosition: number;
  readonly index: SparseIndex;
  readonly idMilliseconds: number;
}

/** What the log knows and the segment does not, for the stamp on each batch. */
export interface AppendContext {
  epoch: number;
  idMilliseconds: number;
  idSequence: number;
  /** Every record before this offset is known to be on disk. */
  durableEnd: number;
  /** How many offsets the batch takes, where compaction has left it fewer records. */
  offsets?: number | undefined;
}

/** A point that a segment can go back to. */
export interface SegmentMark {
  readonly writtenOffset: number;
  readonly writtenPosition: number;
}

/** What a read brings. */
export type SegmentRead =
  /** Whole batches; the first holds the wanted offset. Empty at the visible end. */
  | { readonly kind: "batches"; readonly bytes: Uint8Array; readonly nextOffset: number }
  /** The file is not a run of batches at this position: something is damaged here. */
  | { readonly kind: "broken"; readonly position: number };

/** Positions of the offsets where recent reads ended, so that the next read of a consumer needs no look-up. */
const hintsMax = 64;
const noBytes = new Uint8Array(0);

/** One file of a log. */
export class Segment {
  readonly baseOffset: number;
  readonly file: DiskFile;
  index: SparseIndex;
  /** The next offset to give out, and where in the file its batch will start. */
  endOffset: number;
  endPosition: number;
  /** All batches before this offset are in the file, up to this position. */
  writtenOffset: number;
  writtenPosition: number;
  /** When the last record was appended: the milliseconds of its id; 0 before the first. */
  idMilliseconds: number;

  readonly #checksum: Checksum;
  readonly #buffers: AppendBuffers;
  /** Chunks that are full or being filled, oldest first; the last one takes the next batch. */
  #gathered: AppendChunk[] = [];
  #writing: Promise<void> | undefined;
  readonly #hints = new Map<number, number>();
  readonly #stamp: BatchStamp = {
    baseOffset: 0,
    epoch: 0,
    idMilliseconds: 0,
    idSequence: 0,
    lastOffsetDelta: 0,
    unsyncedBefore: 0,
  };

  constructor(
    file: DiskFile,
    baseOffset: number,
    options: { checksum: Checksum; buffers: AppendBuffers; indexIntervalBytes?: number },
    state?: SegmentState,
  ) {
    this.file = file;
    this.baseOffset = baseOffset;
    this.#checksum = options.checksum;
    this.#buffers = options.buffers;
    this.index = state?.index ?? new SparseIndex(baseOffset, options.indexIntervalBytes);
    this.endOffset = this.writtenOffset = state?.endOffset ?? baseOffset;
    this.endPosition = this.writtenPosition = state?.endPosition ?? 0;
    this.idMilliseconds = state?.idMilliseconds ?? 0;
  }

  /** The largest timestamp of all records appended; -1 when there are none. */
  get maxTimestamp(): number {
    return this.index.maxTimestamp;
  }

  /** Bytes that were appended and are not in the file yet. */
  get gatheredBytes(): number {
    return this.endPosition - this.writtenPosition;
  }

  /** Whether a batch of so many records can still get offsets here that its fields can hold. */
  hasOffsetsFor(count: number): boolean {
    const end = this.endOffset + count;
    return end - 1 <= offsetMax && end - this.baseOffset <= segmentOffsetsMax;
  }

  // #region append
  /**
   * Appends the checked batch in `source[start..end)`, which stays the caller's. Returns the offset of its first
   * record, or -1 when there is no buffer for it now.
   */
  append(source: Uint8Array, start: number, end: number, context: AppendContext): number {
    const bytes = end - start;
    const count = context.offsets ?? recordCountAt(source, start);
    assert(
      this.hasOffsetsFor(count),
      () => `offset ${this.endOffset} plus ${count} records exceeds the limit`,
    );
    // 1. Find room for the whole batch in one chunk: a batch is never split over two writes.
    const chunk = this.#chunkFor(bytes);
    if (chunk === undefined) return -1;
    // 2. Its first record gets the next offset, and its last one that plus count - 1.
    const baseOffset = this.endOffset;
    const stamp = this.#stamp;
    stamp.baseOffset = baseOffset;
    stamp.lastOffsetDelta = todo("from the first record's offset to the last one's");
    stamp.epoch = context.epoch;
    stamp.idMilliseconds = context.idMilliseconds;
    stamp.idSequence = context.idSequence;
    stamp.unsyncedBefore = todo("how many offsets before this one are not known to be on disk");
    // 3. Copy once, and stamp the copy.
    chunk.bytes.set(source.subarray(start, end), chunk.used);
    stampBatch(chunk.bytes, chunk.used, stamp, this.#checksum);
    // 4. Move all ends by the whole batch: offsets by its records, positions by its bytes.
    this.index.note(baseOffset, todo("where this batch begins"), maxTimestampAt(source, start));
    chunk.used += bytes;
    this.endOffset = chunk.endOffset = baseOffset + count;
    this.endPosition += todo("how far?");
    this.idMilliseconds = context.idMilliseconds;
    return baseOffset;
  }
  // #endregion append

  /** The batch that was appended last, as it will be in the file; valid until the next call. */
  lastAppended(bytes: number): Uint8Array {
    const chunk = this.#gathered[this.#gathered.length - 1]!;
    return chunk.bytes.subarray(chunk.used - bytes, chunk.used);
  }

  // #region write
  /**
   * Hands everything gathered so far to the file; rejects with the disk's error, and then what is left stays gathered
   * until `discard`. Writes of one segment never overlap.
   */
  write(): Promise<void> {
    // 1. One write at a time: who comes meanwhile waits, and then finds what has gathered since.
    if (this.#writing !== undefined) return todo("wait for the write under way, and then look again");
    if (this.#gathered.length === 0) return Promise.resolve();
    this.#writing = this.#writeGathered().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #writeGathered(): Promise<void> {
    // 2. Take the chunks away from under `append`: what is appended from now on goes into another chunk.
    const chunks = this.#gathered;
    todo("take the chunks away from under append");
    while (chunks.length > 0) {
      const chunk = chunks[0]!;
      try {
        // 3. Write the whole chunk where its first batch belongs, however many calls that takes.
        await writeFully(this.file, chunk.bytes.subarray(0, chunk.used), this.writtenPosition);
      } catch (error) {
        todo("keep what is not in the file, in order");
        throw error;
      }
      // 4. Only now are its batches in the file.
      todo("where does the next chunk belong?");
      this.writtenOffset = chunk.endOffset;
      chunks.shift();
      this.#buffers.release(chunk);
    }
  }
  // #endregion write

  /** How far the file goes now, for `discard`. */
  mark(): SegmentMark {
    return { writtenOffset: this.writtenOffset, writtenPosition: this.writtenPosition };
  }

  /**
   * After a failed write: goes back to a mark that was made before it. Batches can be appended again at once; they are
   * written when no crash can bring back what the file holds of the others.
   */
  discard(mark: SegmentMark): Promise<void> {
    this.takeBack(mark);
    const cutting = this.file.truncate(this.writtenPosition).then(() => this.file.sync());
    this.#writing = cutting.finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  /** Forgets what came after a mark. Its offsets will be given out again: nobody may have been told of them. */
  takeBack(mark: SegmentMark): void {
    for (const chunk of this.#gathered) this.#buffers.release(chunk);
    this.#gathered = [];
    this.endOffset = this.writtenOffset = mark.writtenOffset;
    this.endPosition = this.writtenPosition = mark.writtenPosition;
    // The largest timestamp may now be that of a batch that is gone. That costs a look-up some steps, and no result.
    const { maxTimestamp } = this.index;
    this.index.truncate(mark.writtenOffset);
    this.index.maxTimestamp = maxTimestamp;
  }

  // #region read
  /**
   * Reads whole batches from the one that holds `offset`, up to `maxBytes` but at least one, and none that ends after
   * `visibleEnd`. The bytes are a view of `target` when it is large enough, and otherwise the caller's own.
   */
  async read(
    offset: number,
    maxBytes: number,
    visibleEnd: number,
    target?: Uint8Array,
  ): Promise<SegmentRead> {
    assert(
      offset >= this.baseOffset,
      () => `offset ${offset} is before the segment's base ${this.baseOffset}`,
    );
    // 1. Nothing past the visible end, and nothing that is not in the file yet, is ever returned.
    const end = todo("which of the two ends comes first?");
    if (offset >= end) return { kind: "batches", bytes: noBytes, nextOffset: offset };
    // 2. Find where the batch starts: where an earlier read ended, or through the index.
    const hint = this.#hints.get(offset);
    const located = hint === undefined ? await this.#locate(offset) : undefined;
    if (located?.kind === "broken") return { kind: "broken", position: located.position };
    const position = hint ?? located?.position ?? 0;
    const limit: number = todo("how many bytes of the file may be looked at from there?");
    // 3. Read as much as is wanted, but not past what is written: a recycled file goes on with old batches.
    let bytes = await this.#readBytes(position, Math.min(maxBytes, limit), target);
    // 4. When the first batch is larger than that, read all of it: a consumer must be able to get past it.
    if (bytes.length < batchHeaderBytes)
      bytes = await this.#readBytes(position, Math.min(batchHeaderBytes, limit));
    const firstBytes = bytes.length < batchHeaderBytes ? 0 : batchBytesAt(bytes, 0);
    if (firstBytes > bytes.length) bytes = await this.#readBytes(position, todo("all of the first batch"));
    // 5. Keep the whole batches that are visible.
    const run = wholeBatches(bytes, offset, end, this.#checksum);
    if (run.bytes === 0) return { kind: "broken", position };
    todo("where will the next read begin?");
    return { kind: "batches", bytes: bytes.subarray(0, run.bytes), nextOffset: run.nextOffset };
  }
  // #endregion read

  // #region truncate
  /**
   * Removes the batches from the one that holds `offset` on, durably: resolves when no crash can bring them back.
   * Nothing may be gathered or being written.
   */
  async truncate(offset: number): Promise<void> {
    assert(
      this.gatheredBytes === 0 && this.#writing === undefined,
      "truncate while batches wait to be written",
    );
    if (offset >= this.endOffset) return;
    // 1. Find the start of the batch, and cut the file there.
    const { kind, position } = await this.#locate(Math.max(offset, this.baseOffset));
    assert(kind === "found", () => `no batch at offset ${offset} of ${this.file.path}`);
    await this.file.truncate(position);
    // 2. A cut that is not synced can come undone: the old batches would follow on the new ones.
    await this.file.sync();
    // 3. Forget what was known about the removed part, and learn again what the index only knew as a whole.
    this.index.truncate(offset);
    this.#hints.clear();
    this.endPosition = this.writtenPosition = position;
    this.endOffset = this.writtenOffset = this.baseOffset;
    await this.#noteFrom(this.index.count - 1, position);
  }
  // #endregion truncate

  /** The first offset of the batch that holds `offset`; `offset` itself when it lies at or after the end. */
  async batchBaseOf(offset: number): Promise<number> {
    if (offset >= this.writtenOffset) return offset;
    const { position } = await this.#locate(offset);
    return baseOffsetAt(await this.#readBytes(position, batchHeaderBytes), 0);
  }

  /** Steps over the batches from an index entry to `endPosition` and notes them again. */
  async #noteFrom(entry: number, endPosition: number): Promise<void> {
    const header = new Uint8Array(batchHeaderBytes);
    let position = this.index.positionAt(entry);
    while (position < endPosition && (await readFully(this.file, header, position)) === batchHeaderBytes) {
      const baseOffset = baseOffsetAt(header, 0);
      if (baseOffset > this.index.offsetAt(this.index.count - 1) || this.index.count === 0) {
        this.index.note(baseOffset, position, maxTimestampAt(header, 0));
      } else {
        this.index.maxTimestamp = Math.max(this.index.maxTimestamp, maxTimestampAt(header, 0));
      }
      this.endOffset = this.writtenOffset = nextOffsetAt(header, 0);
      position += batchBytesAt(header, 0);
    }
  }

  #chunkFor(bytes: number): AppendChunk | undefined {
    const last = this.#gathered[this.#gathered.length - 1];
    if (last !== undefined && last.bytes.length - last.used >= bytes) return last;
    const chunk = this.#buffers.acquire(bytes, last === undefined);
    if (chunk !== undefined) this.#gathered.push(chunk);
    return chunk;
  }

  /**
   * Takes an index that was built by reading the file up to `endOffset`. It has an entry behind each damaged range,
   * which the one before did not know of: nobody can step over damage.
   */
  adoptIndex(index: SparseIndex, endOffset: number): void {
    const before = this.index;
    index.maxTimestamp = Math.max(index.maxTimestamp, before.maxTimestamp);
    for (let entry = before.floor(endOffset - 1) + 1; entry < before.count; entry++) {
      index.note(before.offsetAt(entry), before.positionAt(entry), index.maxTimestamp, true);
    }
    this.index = index;
  }

  #locate(offset: number): Promise<Located> {
    return locateBatch(this.file, this.index, offset, this.writtenPosition, this.#checksum);
  }

  /** Up to `length` bytes at `position`: fewer only where the file ends. */
  async #readBytes(position: number, length: number, target?: Uint8Array): Promise<Uint8Array> {
    const isEnough = target !== undefined && target.length >= length;
    const bytes = isEnough ? target.subarray(0, length) : new Uint8Array(length);
    const filled = await readFully(this.file, bytes, position);
    return filled === length ? bytes : bytes.subarray(0, filled);
  }

  #remember(offset: number, position: number): void {
    if (this.#hints.size >= hintsMax) {
      for (const oldest of this.#hints.keys()) {
        this.#hints.delete(oldest);
        break;
      }
    }
    this.#hints.set(offset, position);
  }
}

// #region whole-batches
/** A run of whole batches at the start of `bytes`: the first holds `offset`, the last ends by `visibleEnd`. */
function wholeBatches(
  bytes: Uint8Array,
  offset: number,
  visibleEnd: number,
  checksum: Checksum,
): { bytes: number; nextOffset: number } {
  let at = 0;
  let nextOffset = -1;
  while (bytes.length - at >= batchHeaderBytes) {
    // 1. Stop at a batch that is cut off or whose header is wrong. The records are the consumer's to check.
    const end = at + batchBytesAt(bytes, at);
    if (todo("is the batch cut off, or its header wrong?")) break;
    // 2. The first batch must hold the offset, and each one after it go on where the one before it ended.
    const batchNext = nextOffsetAt(bytes, at);
    const base = baseOffsetAt(bytes, at);
    const isNext = nextOffset < 0 ? todo("does the first batch hold the offset?") : base === nextOffset;
    // 3. A batch is visible as a whole or not at all.
    if (!isNext || todo("does it go beyond the visible end?")) break;
    at = end;
    nextOffset = batchNext;
  }
  return { bytes: at, nextOffset };
}
// #endregion whole-batches
