/**
 * The segments of one log: which there are, where an offset lies, and how one comes and goes on disk.
 *
 * A segment comes in two steps. `add` makes it in memory, so that an append never waits; `create` makes its file when
 * the first batches are written. And it goes in two steps: first it is taken off the list, so that no new reader finds
 * it, then its file is removed, when the last reader has finished.
 */
import type { Checksum, Disk } from "../ports.ts";
import type { AppendBuffers } from "./append-buffers.ts";
import { ignoreDiskError, removeIfThere, temporarySuffix, writeTemporary } from "./file-io.ts";
import type { FilePool, PooledFile } from "./file-pool.ts";
import { scanFromBase, type RecoveredLog } from "./recovered-log.ts";
import { scanSegment } from "./recovery.ts";
import { Segment, type SegmentMark, type SegmentState } from "./segment.ts";
import { indexPath, recycledPath, segmentPath } from "./segment-files.ts";
import type { DamagedRange } from "./sparse-index.ts";
import { writeAgain } from "./write-again.ts";

/** What the segments of a log share. */
export interface SegmentSetOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly checksum: Checksum;
  readonly files: FilePool;
  readonly buffers: AppendBuffers;
  readonly indexIntervalBytes: number;
  /** How many files of removed segments are kept, to be written over: that is faster than making new ones. */
  readonly recycledMax: number;
  /** Files smaller than this are not worth keeping. */
  readonly recycledBytesMin: number;
}

/** The segments of one log, in order of their offsets. The last one is the active one. */
export class SegmentSet {
  readonly options: SegmentSetOptions;
  readonly segments: Segment[] = [];
  /** Offsets from the log's start on that are missing or unreadable, in order. */
  damage: readonly DamagedRange[];
  /** Segments whose file is on disk under its name, durably. */
  readonly #created = new Set<Segment>();
  readonly #creating = new Map<Segment, Promise<void>>();
  #recycled: string[];

  /** The segments that recovery found, and a new active one unless the last of them can go on being it. */
  static async open(options: SegmentSetOptions, recovered: RecoveredLog): Promise<SegmentSet> {
    await writeAgain(options.disk, options.directory, recovered);
    const set = new SegmentSet(options, recovered);
    for (const found of recovered.segments) {
      const segment = set.#make(found.baseOffset, found);
      set.segments.push(segment);
      set.#created.add(segment);
    }
    const last = recovered.segments[recovered.segments.length - 1];
    if (last?.endOffset === recovered.endOffset) await set.reopenActive();
    else await set.create(set.add(recovered.endOffset));
    // What was read is not read again by the next start, and damage that was found is not forgotten.
    for (const [number, { isScanned }] of recovered.segments.entries()) {
      const segment = set.segments[number]!;
      if (isScanned && segment !== set.active) await set.saveIndex(segment);
    }
    // More files than are wanted may have been kept under other settings.
    for (const path of set.#recycled.splice(options.recycledMax)) await removeIfThere(options.disk, path);
    return set;
  }

  private constructor(options: SegmentSetOptions, recovered: RecoveredLog) {
    this.options = options;
    this.damage = recovered.damage;
    this.#recycled = [...recovered.recycled];
  }

  /** The segment that is appended to. */
  get active(): Segment {
    return this.segments[this.segments.length - 1]!;
  }

  /** Bytes of all segments, with what is not written yet. */
  get sizeBytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.endPosition, 0);
  }

  /** The segment that holds `offset`: the last one that begins at or before it, or the first one. */
  segmentOf(offset: number): Segment {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return this.segments[Math.max(0, low - 1)]!;
  }

  /** Makes the last segment the active one again. Nothing is ever appended behind damage: then a new one begins. */
  async reopenActive(): Promise<void> {
    const { baseOffset, endOffset } = this.active;
    if (this.damage.some(({ from, to }) => to > baseOffset && from < endOffset))
      await this.create(this.add(endOffset));
  }

  /** Begins a segment, in memory. */
  add(baseOffset: number): Segment {
    const segment = this.#make(baseOffset);
    this.segments.push(segment);
    return segment;
  }

  /** Whether the segment has a file. */
  isCreated(segment: Segment): boolean {
    return this.#created.has(segment);
  }

  /** Makes a segment's file, and its name durable: records in a file without a name are lost. */
  create(segment: Segment): Promise<void> {
    if (this.#created.has(segment)) return Promise.resolve();
    // Who comes while it is being made waits for the same file: a second one would get the name of the first.
    const creating = this.#creating.get(segment) ?? this.#createOnce(segment);
    this.#creating.set(segment, creating);
    return creating;
  }

  async #createOnce(segment: Segment): Promise<void> {
    const { disk, directory } = this.options;
    const file = fileOf(segment);
    // A recycled file still holds batches of its former life. Their offsets lie before this segment's, so recovery
    // does not take them for ours.
    const recycled = this.#recycled.pop();
    try {
      if (recycled !== undefined) await disk.rename(recycled, file.path);
      await file.prepare();
      await disk.syncDirectory(directory);
    } catch (error) {
      // Another attempt may give the name to another file: this one must not be written to then.
      await file.reopen().catch(ignoreDiskError);
      throw error;
    } finally {
      this.#creating.delete(segment);
    }
    file.markMade();
    this.#created.add(segment);
  }

  /** Cuts a full segment to its size and writes its index. It must be durable. */
  async seal(segment: Segment): Promise<void> {
    const file = fileOf(segment);
    if ((await file.length()) > segment.endPosition) {
      await file.truncate(segment.endPosition);
      await file.sync();
    }
    await this.saveIndex(segment);
  }

  /**
   * Writes the copy of a segment's index. The segment must be durable as far as it goes: an index may not promise what
   * a crash can take. A failure costs the next start some time, and nothing else.
   */
  async saveIndex(segment: Segment): Promise<void> {
    const { disk, directory, checksum } = this.options;
    const { baseOffset, endOffset, endPosition: logLength, idMilliseconds } = segment;
    const damage = this.damage.filter(({ from, to }) => from >= baseOffset && to <= endOffset);
    const bytes = segment.index.encode({ endOffset, logLength, idMilliseconds, damage }, checksum);
    const path = indexPath(directory, baseOffset);
    try {
      await writeTemporary(disk, path, bytes);
      await disk.rename(path + temporarySuffix, path);
    } catch (error) {
      ignoreDiskError(error);
    }
  }

  /** The segments that something waits to be written for, in order: the active one, and those that just became full. */
  unwritten(): Segment[] {
    let first = this.segments.length - 1;
    while (first > 0 && this.#isUnwritten(this.segments[first - 1]!)) first--;
    return this.segments.slice(first);
  }

  /** The segment before another one. */
  before(segment: Segment): Segment | undefined {
    return this.segments[this.segments.indexOf(segment) - 1];
  }

  /**
   * After a failed write: goes back to where `segment` was at `mark`, and forgets the segments after it. What was
   * appended is forgotten at once; resolves when no crash can bring it back.
   */
  async discard(segment: Segment, mark: SegmentMark): Promise<void> {
    const later = this.segments.splice(this.segments.indexOf(segment) + 1);
    for (const next of later) next.takeBack({ writtenOffset: next.baseOffset, writtenPosition: 0 });
    segment.takeBack(mark);
    if (this.#created.has(segment)) {
      const cut = segment.discard(mark);
      await this.removeFiles(later, false);
      await cut;
    }
  }

  /** Removes all segments and begins anew at `offset`, which may lie before or behind what there was. */
  async restart(offset: number): Promise<void> {
    const next = this.#make(offset);
    const removed = this.segments.splice(0, this.segments.length, next);
    this.damage = [];
    // The last one first: what a crash leaves has no hole. No file is kept: its batches could be taken for new ones.
    await this.removeFiles(removed.toReversed(), false);
    for (const path of this.#recycled.splice(0)) await removeIfThere(this.options.disk, path);
    await this.create(next);
  }

  /** Removes segments from disk, when nobody reads them any more. They must be off the list already. */
  async removeFiles(removed: readonly Segment[], isRecyclable: boolean): Promise<void> {
    const { disk, directory, recycledMax, recycledBytesMin } = this.options;
    for (const segment of removed) {
      const file = fileOf(segment);
      await file.close();
      this.#created.delete(segment);
      await removeIfThere(disk, indexPath(directory, segment.baseOffset));
      if (isRecyclable && this.#recycled.length < recycledMax && segment.endPosition >= recycledBytesMin) {
        const path = recycledPath(directory, segment.baseOffset);
        await disk.rename(file.path, path);
        this.#recycled.push(path);
      } else {
        await removeIfThere(disk, file.path);
      }
    }
    if (removed.length > 0) await disk.syncDirectory(directory);
  }

  /** Reads a whole segment, as far as it is written, to learn which of its offsets are damaged. */
  async examine(segment: Segment): Promise<void> {
    const { checksum, indexIntervalBytes } = this.options;
    const end = segment.writtenOffset;
    const scan = await scanSegment(
      segment.file,
      scanFromBase(segment.baseOffset, indexIntervalBytes),
      checksum,
    );
    const found = scan.damage.filter((range) => range.from < end);
    // What the walk did not reach is missing too.
    const gap = { from: scan.endOffset, to: end, position: scan.endPosition, endPosition: scan.endPosition };
    if (gap.from < gap.to) found.push(gap);
    const others = this.damage.filter((range) => range.to <= segment.baseOffset || range.from >= end);
    this.damage = [...others, ...found].sort((left, right) => left.from - right.from);
    if (found.length === 0) return;
    segment.adoptIndex(scan.index, scan.endOffset);
    // Written down, so that the next start knows of it without reading the segment again.
    if (segment !== this.active) await this.saveIndex(segment);
  }

  /** Whether records of the segment are missing. */
  isDamaged({ baseOffset, endOffset }: Segment): boolean {
    return this.damage.some(({ from, to }) => to > baseOffset && from < endOffset);
  }

  /** Puts another file in the place of a closed segment's; the file at `path` has the same offsets and is durable. */
  async replace(segment: Segment, path: string): Promise<Segment> {
    const { disk, directory, checksum, indexIntervalBytes } = this.options;
    // The copy of the index would point into the middle of other batches.
    await removeIfThere(disk, indexPath(directory, segment.baseOffset));
    await disk.syncDirectory(directory);
    await disk.rename(path, segment.file.path);
    await disk.syncDirectory(directory);
    const file = this.options.files.file(segment.file.path, "read-write");
    const scan = await scanSegment(file, scanFromBase(segment.baseOffset, indexIntervalBytes), checksum);
    const replacement = new Segment(file, segment.baseOffset, this.options, scan);
    this.segments[this.segments.indexOf(segment)] = replacement;
    this.#created.delete(segment);
    this.#created.add(replacement);
    await segment.file.close();
    await this.saveIndex(replacement);
    return replacement;
  }

  /** Closes all files. */
  async close(): Promise<void> {
    for (const segment of this.segments) await segment.file.close().catch(ignoreDiskError);
  }

  #isUnwritten(segment: Segment): boolean {
    return segment.gatheredBytes > 0 || !this.#created.has(segment);
  }

  #make(baseOffset: number, state?: SegmentState): Segment {
    const { directory, files } = this.options;
    const file = files.file(
      segmentPath(directory, baseOffset),
      state === undefined ? "create" : "read-write",
    );
    return new Segment(file, baseOffset, this.options, state);
  }
}

/** Segments of a set hold files of its pool. */
function fileOf(segment: Segment): PooledFile {
  return segment.file as PooledFile;
}
