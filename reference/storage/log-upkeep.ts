/**
 * The upkeep of a log: everything that is done to whole segments, beside the stream of appends and reads.
 *
 * A full segment is sealed, old ones go, closed ones are compacted or checked, and the end is cut when another
 * replica's history won. Each of these takes several steps on the disk, and each would get in the others' way: a segment
 * that is being compacted must not be removed under the compaction. So they form a queue, one piece of work after the
 * other, while appends and reads go on beside it.
 */
import type { Clock } from "../ports.ts";
import { compactSegments, type CompactionProgress, type CompactionResult } from "./compaction.ts";
import { ignoreDiskError } from "./file-io.ts";
import type { GroupCommit } from "./group-commit.ts";
import { compactionKeysMaxDefault, tombstoneKeepMsDefault, type CompactOptions } from "./log-options.ts";
import type { LogStateFile } from "./log-state.ts";
import type { RecordIdSource } from "./record-id.ts";
import { restartAt } from "./restart.ts";
import { advanceStart, planRetention, truncateSuffix } from "./retention.ts";
import type { RetentionLimits, TruncateResult } from "./retention.ts";
import type { Segment } from "./segment.ts";
import type { SegmentSet } from "./segment-set.ts";
import type { DamagedRange } from "./sparse-index.ts";
import type { TombstoneMark } from "./tombstone-mark.ts";

/** What a log knows of its segments. */
export interface SegmentParts {
  readonly set: SegmentSet;
  readonly state: LogStateFile;
  readonly tombstones: TombstoneMark;
}

/** The parts of a log that its upkeep works on. */
export interface UpkeepParts extends SegmentParts {
  readonly ids: RecordIdSource;
  readonly commit: GroupCommit;
}

/** Who is told that records are gone. */
export interface UpkeepEvents {
  /** Batches were cut; the new end. */
  readonly takenBack: (endOffset: number) => void;
  /** Records at the front were removed; the new start. */
  readonly trimmed: (startOffset: number) => void;
}

const neverCompacted: CompactionProgress = { cleanEnd: 0, closedEnd: 0 };

/** Work on the segments of one log, one piece after the other. */
export class LogUpkeep {
  /** While the end is cut, nothing may be appended behind it. */
  isCutting = false;
  /** What lies behind it stays, whatever the limits say. */
  keptFrom = Infinity;
  readonly #set: SegmentSet;
  readonly #state: LogStateFile;
  readonly #ids: RecordIdSource;
  readonly #commit: GroupCommit;
  readonly #tombstones: TombstoneMark;
  readonly #clock: Clock;
  /** What to keep, applied each time that a segment is full. */
  readonly #retention: RetentionLimits;
  readonly #events: UpkeepEvents;
  #isFinishing = false;
  /** How far the last compaction came; each start begins anew. */
  #compacted: CompactionProgress = neverCompacted;
  /** The last piece of work; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    { set, state, ids, commit, tombstones }: UpkeepParts,
    clock: Clock,
    retention: RetentionLimits,
    events: UpkeepEvents,
  ) {
    this.#set = set;
    this.#state = state;
    this.#ids = ids;
    this.#commit = commit;
    this.#tombstones = tombstones;
    this.#clock = clock;
    this.#retention = retention;
    this.#events = events;
  }

  /** See `Log.trim`. */
  trim(beforeOffset: number): Promise<number> {
    return this.#queue(async () => {
      await this.#removeBefore(Math.min(beforeOffset, this.#commit.committedEnd, this.keptFrom));
      return this.#state.value.startOffset;
    });
  }

  /** See `Log.applyRetention`. */
  applyRetention(limits: RetentionLimits): Promise<number> {
    return this.#queue(async () => {
      const nowMs = this.#clock.wallTimeMs();
      const { active } = this.#set;
      const isIdle = active.endOffset === this.#commit.committedEnd && active.endPosition > 0;
      // The active segment never goes, so one that is wholly too old has to stop being it.
      if (isIdle && nowMs - active.idMilliseconds > (limits.retentionMs ?? Infinity)) {
        const next = this.#set.add(active.endOffset);
        await this.#set.create(next);
        await this.#seal(active);
      }
      await this.#retain(limits);
      return this.#state.value.startOffset;
    });
  }

  /** See `Log.verify`. */
  verify(): Promise<readonly DamagedRange[]> {
    return this.#queue(async () => {
      for (const segment of this.#set.segments) await this.#set.examine(segment);
      return this.#set.damage;
    });
  }

  /** See `Log.compact`. */
  compact(options: CompactOptions): Promise<CompactionResult> {
    return this.#queue(async () => {
      const { tombstoneKeepMs = tombstoneKeepMsDefault, keysMax = compactionKeysMaxDefault } = options;
      const { durableEnd, committedEnd } = this.#commit;
      const result = await compactSegments(this.#set, this.#tombstones, {
        last: this.#compacted,
        bound: Math.min(durableEnd, committedEnd, this.keptFrom),
        nowMs: this.#clock.wallTimeMs(),
        tombstoneKeepMs,
        tombstonesBefore: options.tombstonesBefore ?? Infinity,
        keysMax,
        isInterrupted: () => this.isCutting || this.#isFinishing,
      });
      this.#compacted = result;
      return result;
    });
  }

  /** See `Log.truncate`. */
  truncate(offset: number, highWatermark: number, epoch: number): Promise<TruncateResult> {
    return this.#whileStill(async () => {
      const result = await truncateSuffix(this.#set, this.#state, offset, highWatermark, epoch);
      if (result.kind === "refused") return result;
      // The same offsets will hold other records.
      this.#set.damage = this.#set.damage.filter(({ from }) => from < result.endOffset);
      this.#commit.truncated(result.endOffset);
      this.#forgetCompaction(result.endOffset);
      this.#events.takenBack(result.endOffset);
      return result;
    });
  }

  /** See `Log.restart`. */
  restart(offset: number): Promise<void> {
    return this.#whileStill(async () => {
      const commit = this.#commit;
      // Readers find nothing while there is nothing.
      commit.committedEnd = Math.min(commit.committedEnd, offset);
      await restartAt(this.#set, this.#state, offset);
      commit.writtenEnd = commit.durableEnd = commit.committedEnd = offset;
      this.#compacted = neverCompacted;
      this.#events.trimmed(offset);
    });
  }

  /** Seals a segment that has its last batch, in its turn. A disk that fails then fails the next append too. */
  sealFull(segment: Segment): void {
    void this.#queue(() => this.#seal(segment)).catch(ignoreDiskError);
  }

  /** Waits for all work; leaves the log so that the next start has nothing to scan, if all of it `isCommitted`. */
  async finish(isCommitted: boolean): Promise<void> {
    this.#isFinishing = true;
    await this.#last;
    if (isCommitted) {
      await this.#set.seal(this.#set.active).catch(ignoreDiskError);
      await this.#saveProgress(this.#commit.durableEnd).catch(ignoreDiskError);
    }
    await this.#set.close();
  }

  /** A segment has its last batch: make it durable, spare the next start from reading it, and let old ones go. */
  async #seal(segment: Segment): Promise<void> {
    const commit = this.#commit;
    // It may be cut meanwhile, and gone, or the active one again.
    const isFull = (): boolean => segment !== this.#set.active && this.#set.segments.includes(segment);
    while (isFull() && commit.durableEnd < segment.endOffset && commit.failure === undefined) {
      await commit.committed();
      await commit.sync();
    }
    if (!isFull() || commit.failure !== undefined) return;
    await this.#set.seal(segment);
    await this.#saveProgress(segment.endOffset);
    await this.#retain(this.#retention);
  }

  /** Removes the segments that the limits do not keep. */
  #retain(limits: RetentionLimits): Promise<void> {
    const { startOffset } = this.#state.value;
    const removableEnd = Math.min(this.#commit.committedEnd, this.keptFrom);
    const nowMs = this.#clock.wallTimeMs();
    return this.#removeBefore(planRetention(this.#set.segments, startOffset, removableEnd, nowMs, limits));
  }

  async #removeBefore(startOffset: number): Promise<void> {
    if (startOffset <= this.#state.value.startOffset) return;
    // The start offset also says that everything before it was durable: recovery relies on that.
    if (startOffset > this.#commit.durableEnd) {
      const error = await this.#commit.sync();
      if (error !== undefined) throw error;
    }
    await advanceStart(this.#set, this.#state, startOffset);
    this.#events.trimmed(startOffset);
  }

  /** What follows from `offset` on will be other records. */
  #forgetCompaction(offset: number): void {
    const { cleanEnd, closedEnd } = this.#compacted;
    this.#compacted = { cleanEnd: Math.min(cleanEnd, offset), closedEnd: Math.min(closedEnd, offset) };
  }

  /** Everything before `recoveryOffset` is durable: the next start need not read it. */
  #saveProgress(recoveryOffset: number): Promise<void> {
    const { lastMilliseconds: idMilliseconds, lastSequence: idSequence } = this.#ids;
    return this.#state.update({ recoveryOffset, idMilliseconds, idSequence });
  }

  /** A piece of work during which nothing is appended and nothing is on its way to the disk. */
  #whileStill<Value>(work: () => Promise<Value>): Promise<Value> {
    this.isCutting = true;
    return this.#queue(async () => {
      try {
        // After this, no timer finds anything to sync.
        await this.#commit.idle();
        const error = await this.#commit.sync();
        if (error !== undefined) throw error;
        return await work();
      } finally {
        this.isCutting = false;
      }
    });
  }

  /** One piece of work at a time; a failure is its caller's and does not stop the next piece. */
  #queue<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#last.then(work);
    this.#last = result.catch(ignoreDiskError);
    return result;
  }
}
