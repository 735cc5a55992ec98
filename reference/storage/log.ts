/**
 * A log: the records of one partition, in order, in segments, on a disk.
 *
 * This file ties the parts together and holds what belongs to no one of them: which segment is the active one,
 * which offsets readers may have, and how batches become rounds of writing. The parts are:
 *
 * | part             | question                                              |
 * |------------------|-------------------------------------------------------|
 * | segment.ts       | how do batches get into a file and out again?         |
 * | group-commit.ts  | when does a record count as stored?                   |
 * | recovery.ts      | what is the log after a crash?                        |
 * | retention.ts     | when is a segment full, and which ones may go?        |
 * | record-id.ts     | which id does a record get?                           |
 * | log-upkeep.ts    | what happens to whole segments, in the background?    |
 *
 * Only `append` is synchronous. It checks, numbers and copies, and all waiting happens behind it, so that one loop
 * turn of a server can append for many clients and pay for one write.
 */
import type { Checksum, DiskError } from "../ports.ts";
import { crc32 } from "../base/crc32.ts";
import { AppendBuffers } from "./append-buffers.ts";
import type { CompactionResult } from "./compaction.ts";
import { FilePool } from "./file-pool.ts";
import type { Finding } from "./findings.ts";
import { GroupCommit, type CommitResult, type SyncableFile, type WriteRound } from "./group-commit.ts";
import { LogStateFile } from "./log-state.ts";
import {
  segmentAgeMsMaxDefault,
  segmentBytesMaxDefault,
  type AppendRefusal,
  type AppendResult,
  type CompactOptions,
  type LogOptions,
  type ReadResult,
  type RefusalReason,
} from "./log-options.ts";
import { LogReader } from "./log-reader.ts";
import { getUint32, getUint53 } from "./integers.ts";
import { batchBytesMaxDefault, batchLayout, checkRecordBatch, recordCountAt } from "./record-batch.ts";
import { LogUpkeep, type SegmentParts } from "./log-upkeep.ts";
import { RecordIdSource, type RecordId } from "./record-id.ts";
import { RoundClock } from "./round-clock.ts";
import type { RecoveredLog } from "./recovered-log.ts";
import { recoverLog } from "./recovery.ts";
import { advanceStart, shouldRoll } from "./retention.ts";
import type { RetentionLimits, RollLimits, TruncateResult } from "./retention.ts";
import type { AppendContext, Segment, SegmentMark } from "./segment.ts";
import { SegmentSet } from "./segment-set.ts";
import { indexIntervalBytesDefault, type DamagedRange } from "./sparse-index.ts";
import { TombstoneMark } from "./tombstone-mark.ts";

export type { AppendResult, LogOptions, ReadResult } from "./log-options.ts";
export type { CommitResult, FsyncPolicy } from "./group-commit.ts";
export type { Finding } from "./findings.ts";

/** One partition's records. */
export class Log {
  /** What recovery found when the log was opened. */
  readonly findings: readonly Finding[];
  /** Which tombstones may be missing, because a compaction has taken them out. */
  readonly tombstones: TombstoneMark;
  /** Called when `committedEnd` has moved. */
  onCommitted: ((committedEnd: number) => void) | undefined = undefined;
  /** Called with each batch as it will be stored. The bytes are the log's: copy what is to be kept. */
  onAppended: ((batch: Uint8Array, baseOffset: number, nextOffset: number) => void) | undefined = undefined;
  /**
   * Called when batches were taken back, because the disk is full or a replica's history lost: the new `endOffset`.
   */
  onTakenBack: ((endOffset: number) => void) | undefined = undefined;
  /** Called when `storedEnd` has moved: for a replica, which stores what is not agreed upon yet. */
  onStored: ((storedEnd: number) => void) | undefined = undefined;
  /** Called when records were removed from the front, by a trim or by retention: the new `startOffset`. */
  onTrimmed: ((startOffset: number) => void) | undefined = undefined;

  readonly #options: LogOptions;
  readonly #checksum: Checksum;
  readonly #buffers: AppendBuffers;
  readonly #commit: GroupCommit;
  readonly #ids: RecordIdSource;
  readonly #limits: RollLimits;
  readonly #set: SegmentSet;
  readonly #state: LogStateFile;
  readonly #reader: LogReader;
  readonly #clock: RoundClock;
  /** When the active segment got its first batch. */
  #activeSinceMs: number;
  #isClosed = false;
  /** Where the write round in flight began: where the log goes back to when it fails. */
  #roundStart: { segment: Segment; mark: SegmentMark } | undefined;
  readonly #upkeep: LogUpkeep;
  /** Where readers must stop, however much is stored: a replica's records count when a majority has them. */
  #highWatermark = Infinity;
  readonly #context: AppendContext = { epoch: 0, idMilliseconds: 0, idSequence: 0, durableEnd: 0 };

  /** Recovers the log in its directory and opens it. Rejects only with what the disk itself says. */
  static async open(options: LogOptions): Promise<Log> {
    const { disk, directory, checksum = crc32, indexIntervalBytes = indexIntervalBytesDefault } = options;
    const { scan = "unsynced", recycledMax = 0, segmentBytesMax = segmentBytesMaxDefault } = options;
    const files = options.files ?? new FilePool(disk);
    const buffers = options.buffers ?? new AppendBuffers();
    const recovered = await recoverLog({ disk, directory, checksum, indexIntervalBytes, scan });
    const tombstones = await TombstoneMark.open(disk, directory, checksum, recovered);
    const shared = { disk, directory, checksum, indexIntervalBytes, files, buffers };
    const set = await SegmentSet.open(
      { ...shared, recycledMax, recycledBytesMin: segmentBytesMax / 2 },
      recovered,
    );
    const state = new LogStateFile(disk, directory, checksum, recovered.state);
    // Finishes a removal that a crash interrupted.
    try {
      await advanceStart(set, state, recovered.state.startOffset);
    } catch (error) {
      await set.close();
      throw error;
    }
    return new Log(options, recovered, { set, state, tombstones });
  }

  private constructor(options: LogOptions, recovered: RecoveredLog, parts: SegmentParts) {
    const { set, state, tombstones } = parts;
    this.#options = options;
    this.#checksum = set.options.checksum;
    this.#buffers = set.options.buffers;
    const { segmentBytesMax = segmentBytesMaxDefault, segmentAgeMsMax = segmentAgeMsMaxDefault } = options;
    this.#limits = { segmentBytesMax, segmentAgeMsMax };
    this.findings = recovered.findings;
    this.#set = set;
    this.#state = state;
    const { idMilliseconds: milliseconds, idSequence: sequence } = recovered.state;
    this.#ids = new RecordIdSource({ milliseconds, sequence });
    this.#activeSinceMs = options.clock.wallTimeMs();
    this.#reader = new LogReader(set, this);
    this.#clock = new RoundClock(options.clock);
    const target = { write: () => this.#write(), discard: () => this.#discard() };
    this.#commit = new GroupCommit(target, {
      policy: options.fsync ?? "everysec",
      clock: options.clock,
      durableEnd: recovered.endOffset,
      onCommitted: (endOffset) => {
        this.onStored?.(endOffset);
        this.onCommitted?.(this.committedEnd);
      },
      syncIntervalMs: options.syncIntervalMs,
      schedule: options.schedule,
    });
    this.tombstones = tombstones;
    const takenBack = (end: number): void => this.onTakenBack?.(end);
    const trimmed = (start: number): void => this.onTrimmed?.(start);
    const upkept = { ...parts, ids: this.#ids, commit: this.#commit };
    this.#upkeep = new LogUpkeep(upkept, options.clock, options.retention ?? {}, { takenBack, trimmed });
  }

  /** The first offset that readers can have. */
  get startOffset(): number {
    return this.#state.value.startOffset;
  }

  /** The offset that the next record will get. */
  get endOffset(): number {
    return this.#set.active.endOffset;
  }

  /** All records before this offset are acknowledged and can be read. */
  get committedEnd(): number {
    return Math.min(this.#commit.committedEnd, this.#highWatermark);
  }

  /**
   * All records before this offset are stored as the fsync policy means it, whether readers may have them or not.
   */
  get storedEnd(): number {
    return this.#commit.committedEnd;
  }

  /**
   * Lets readers have what is stored before this offset, and nothing behind it. A log that is no replica has no
   * limit.
   */
  set highWatermark(offset: number) {
    const before = this.committedEnd;
    this.#highWatermark = offset;
    if (this.committedEnd > before) this.onCommitted?.(this.committedEnd);
  }

  /** Nothing from this offset on is removed by a trim or by retention: a replica may need it yet. */
  set keptFrom(offset: number) {
    this.#upkeep.keptFrom = offset;
  }

  /** All records before this offset are known to be on disk. */
  get durableEnd(): number {
    return this.#commit.durableEnd;
  }

  /** The epoch of new batches. */
  get epoch(): number {
    return this.#state.value.epoch;
  }

  /**
   * The error that ended this log's life: it can still be read, and takes nothing more until it is opened again.
   */
  get failure(): DiskError | undefined {
    return this.#commit.failure;
  }

  /** Bytes of all segments, with what is not written yet. */
  get sizeBytes(): number {
    return this.#set.sizeBytes;
  }

  /** Offsets that are missing or unreadable. */
  get damage(): readonly DamagedRange[] {
    return this.#set.damage;
  }

  /**
   * Appends the batch in `bytes[start..end)`, which stays the caller's. It is numbered now and stored soon:
   * `committed` says when. Nothing that is refused leaves a trace.
   */
  append(bytes: Uint8Array, start = 0, end: number = bytes.length): AppendResult {
    const bytesMax = this.#options.batchBytesMax ?? batchBytesMaxDefault;
    if (end - start > bytesMax)
      return refused("too-large", `batch of ${end - start} bytes exceeds ${bytesMax}`);
    const fault = checkRecordBatch(bytes, start, end, this.#checksum);
    if (fault !== undefined) return refused(`${fault.kind}-batch`, fault.reason);
    return this.#store(bytes, start, end, this.epoch, undefined);
  }

  /**
   * Appends a batch that another replica has numbered, under its epoch and with its ids, so that a record is the
   * same wherever it is read. The batch was checked when it was first taken.
   */
  replicate(batch: Uint8Array): AppendResult {
    const milliseconds = getUint53(batch, batchLayout.idMilliseconds);
    const firstId = { milliseconds, sequence: getUint32(batch, batchLayout.idSequence) };
    return this.#store(batch, 0, batch.length, getUint32(batch, batchLayout.epoch), firstId);
  }

  #store(
    bytes: Uint8Array,
    start: number,
    end: number,
    epoch: number,
    firstId: RecordId | undefined,
  ): AppendResult {
    if (this.#isClosed) return refused("closed", "the log is closed");
    if (this.failure !== undefined) return refused("failed", this.failure.message);
    if (this.#upkeep.isCutting) return refused("overloaded", "the end of the log is being cut");
    // A batch that was numbered before may have lost records to compaction, and keeps its offsets.
    const offsets =
      firstId === undefined ? undefined : getUint32(bytes, start + batchLayout.lastOffsetDelta) + 1;
    const count = offsets ?? recordCountAt(bytes, start);
    const nowMs = this.#clock.wallTimeMs();
    let active = this.#set.active;
    if (shouldRoll(active, end - start, count, nowMs - this.#activeSinceMs, this.#limits)) {
      active = this.#set.add(this.endOffset);
    }
    if (!active.hasOffsetsFor(count))
      return refused("offset-limit", `no offsets are left after ${active.endOffset}`);
    const ids = this.#ids;
    const { lastMilliseconds, lastSequence } = ids;
    if (firstId !== undefined) ids.follow(firstId, count);
    else if (!ids.reserve(nowMs, count)) return refused("offset-limit", "no record ids are left");
    const context = this.#context;
    context.epoch = epoch;
    context.idMilliseconds = ids.lastMilliseconds;
    context.idSequence = ids.lastSequence - (count - 1);
    context.durableEnd = this.#commit.durableEnd;
    context.offsets = offsets;
    if (active.endPosition === 0) this.#activeSinceMs = nowMs;
    const baseOffset = active.append(bytes, start, end, context);
    if (baseOffset < 0) {
      ids.lastMilliseconds = lastMilliseconds;
      ids.lastSequence = lastSequence;
      const detail = `more than ${this.#buffers.bytesMax} bytes wait to be written`;
      return { ...refused("overloaded", detail), retryAfterMs: this.#buffers.retryAfterMs };
    }
    this.#commit.appended();
    const nextOffset = baseOffset + count;
    if (this.onAppended !== undefined)
      this.onAppended(active.lastAppended(end - start), baseOffset, nextOffset);
    const { idMilliseconds, idSequence } = context;
    return { kind: "appended", baseOffset, nextOffset, idMilliseconds, idSequence };
  }

  /** Resolves when everything appended so far is committed, as the fsync policy means it, or has failed. */
  committed(): Promise<CommitResult> {
    return this.#commit.committed();
  }

  /** Makes everything appended so far durable, whatever the policy. */
  async sync(): Promise<CommitResult> {
    const result = await this.committed();
    const error = await this.#commit.sync();
    return error === undefined ? result : { kind: "failed", error };
  }

  /**
   * Reads whole committed batches from the one that holds `offset`, up to `maxBytes` but at least one. The bytes
   * are a view of `target` when it is given and large enough.
   */
  read(offset: number, maxBytes: number, target?: Uint8Array): Promise<ReadResult> {
    return this.#reader.read(offset, maxBytes, target);
  }

  /**
   * The first offset whose record is not older than `timestampMs`, by the producers' clocks; the end if none is.
   */
  offsetForTimestamp(timestampMs: number): Promise<number> {
    return this.#reader.offsetForTimestamp(timestampMs);
  }

  /** The first offset whose record has an id of at least `id`; the end if none has. */
  offsetForId(id: RecordId): Promise<number> {
    return this.#reader.offsetForId(id);
  }

  /** Removes every record before `beforeOffset`, which must be committed. Resolves to the new start offset. */
  trim(beforeOffset: number): Promise<number> {
    return this.#upkeep.trim(beforeOffset);
  }

  /** Removes what the limits do not keep. Resolves to the new start offset. */
  applyRetention(limits: RetentionLimits): Promise<number> {
    return this.#upkeep.applyRetention(limits);
  }

  /**
   * Reads and checks every batch. Resolves to the offsets that are missing or unreadable, which `read` then tells.
   */
  verify(): Promise<readonly DamagedRange[]> {
    return this.#upkeep.verify();
  }

  /** Keeps only the newest record of each key, in the segments that are closed (compaction.ts). */
  compact(options: CompactOptions = {}): Promise<CompactionResult> {
    return this.#upkeep.compact(options);
  }

  /**
   * Cuts everything from `offset` on, for a replica whose history lost. `epoch` is that of the batches that follow,
   * and larger than any before it. Nothing is appended meanwhile.
   */
  truncate(offset: number, highWatermark: number, epoch: number): Promise<TruncateResult> {
    return this.#upkeep.truncate(offset, highWatermark, epoch);
  }

  /**
   * Forgets every record and goes on at `offset`, for a replica whose records are older than all that others keep.
   */
  restart(offset: number): Promise<void> {
    return this.#upkeep.restart(offset);
  }

  /** Writes and syncs what is left, and leaves the log so that the next start has nothing to scan. */
  async close(): Promise<CommitResult> {
    if (this.#isClosed) return { kind: "committed", endOffset: this.committedEnd };
    this.#isClosed = true;
    const result = await this.#commit.close();
    await this.#upkeep.finish(result.kind === "committed");
    return result;
  }

  async #write(): Promise<WriteRound> {
    this.#clock.beginRound();
    const pending = this.#set.unwritten();
    const files: SyncableFile[] = [];
    const full: Segment[] = [];
    let endOffset = this.#commit.writtenEnd;
    this.#roundStart = { segment: pending[0]!, mark: pending[0]!.mark() };
    for (const segment of pending) {
      if (segment.gatheredBytes === 0) continue;
      if (!this.#set.isCreated(segment)) {
        await this.#set.create(segment);
        const before = this.#set.before(segment);
        if (before !== undefined) full.push(before);
      }
      await segment.write();
      files.push(segment.file);
      endOffset = segment.writtenOffset;
      // More came for this segment meanwhile, and then perhaps for the next one: they are the next round's, in order.
      if (segment.gatheredBytes > 0) break;
    }
    for (const segment of full) this.#upkeep.sealFull(segment);
    return { endOffset, files };
  }

  #discard(): Promise<void> {
    const { segment, mark } = this.#roundStart!;
    const isSafe = this.#set.discard(segment, mark);
    this.onTakenBack?.(this.endOffset);
    return isSafe;
  }
}

function refused(reason: RefusalReason, detail: string): AppendRefusal {
  return { kind: "refused", reason, detail };
}
