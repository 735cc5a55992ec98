/**
 * Work that no request asks for: giving up records that are too old or too many, and, in compacted topics, records
 * whose key has a newer one.
 *
 * Retention only drops whole segments, so a round asks every partition. Compaction reads a whole partition, so it is
 * done only when it is likely to pay: when the partition has grown by a share of its size since the last time. The cost
 * is then in proportion to what was written, however large the partition is.
 */
import type { Clock } from "../ports.ts";
import { DiskError } from "../ports.ts";
import type { Log } from "../storage/log.ts";
import { tombstoneKeepMsDefault } from "../storage/log-options.ts";
import type { RetentionLimits } from "../storage/retention.ts";
import type { Partition } from "./partition.ts";
import type { TopicRegistry } from "./registry.ts";

/** How often it is done, at the least. Retention is a bound on what is kept, not a promise to the second. */
export const housekeepingMs = 10_000;

/** What applies to a topic that does not say; 0 is no limit. */
export interface RetentionDefaults {
  readonly retentionMs: number;
  readonly retentionBytes: number;
}

/** When and how compacted topics are compacted. */
export interface CompactionLimits {
  /** The least time between two compactions of a partition; 0 compacts nothing. */
  readonly intervalMs: number;
  /** How much a partition must have grown since the last one, in percent of its size then. */
  readonly growthPercent: number;
  /** How long the removal of a key can be read, before it goes as well. */
  readonly tombstoneKeepMs: number;
  /** Keys that are held in memory at once; what does not fit is for the next round. */
  readonly keysMax?: number;
}

/** What holds when nobody says otherwise. */
export const compactionLimitsDefault: CompactionLimits = {
  intervalMs: 10 * 60_000,
  growthPercent: 50,
  tombstoneKeepMs: tombstoneKeepMsDefault,
};

/** What a topic keeps: its own limits where it has them. */
export function retentionOf(config: RetentionDefaults, defaults: RetentionDefaults): RetentionLimits {
  const retentionMs = config.retentionMs || defaults.retentionMs;
  const retentionBytes = config.retentionBytes || defaults.retentionBytes;
  return { ...(retentionMs > 0 && { retentionMs }), ...(retentionBytes > 0 && { retentionBytes }) };
}

/** How the last compaction of a log left it. */
interface Compacted {
  readonly atMs: number;
  /** The least size since then: retention may have taken more away. */
  sizeBytes: number;
  /** Whether it got to the end of the log. */
  readonly isDone: boolean;
}

/** Keeps the partitions of one broker. */
export class Housekeeping {
  readonly #topics: TopicRegistry;
  readonly #clock: Clock;
  readonly #retention: RetentionDefaults;
  readonly #compaction: CompactionLimits;
  readonly #compacted = new WeakMap<Log, Compacted>();
  #cancel: (() => void) | undefined = undefined;
  #isStopped = false;

  constructor(
    topics: TopicRegistry,
    clock: Clock,
    retention: RetentionDefaults = { retentionMs: 0, retentionBytes: 0 },
    compaction: CompactionLimits = compactionLimitsDefault,
  ) {
    this.#topics = topics;
    this.#clock = clock;
    this.#retention = retention;
    this.#compaction = compaction;
  }

  /** Does a round every `housekeepingMs`, or as often as compaction is asked for, until `stop`. */
  start(onBug: (error: unknown) => void): void {
    if (this.#isStopped) return;
    const { intervalMs } = this.#compaction;
    const delayMs = intervalMs === 0 ? housekeepingMs : Math.min(housekeepingMs, intervalMs);
    this.#cancel = this.#clock.after(delayMs, () => {
      // The next round is planned when this one has ended: rounds never overlap.
      void this.round()
        .catch(onBug)
        .then(() => this.start(onBug));
    });
  }

  /** No more rounds; one that runs ends with the partition that it is at. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** One round over all partitions. Retention goes first: it is quick, and frees what need not be compacted. */
  async round(): Promise<void> {
    await this.#each(
      this.#topics.list().flatMap(({ partitions }) => partitions),
      (partition) => this.#retain(partition),
    );
    if (this.#compaction.intervalMs === 0) return;
    const compacted = this.#topics.list().filter(({ config }) => config.isCompacted);
    await this.#each(
      compacted.flatMap(({ partitions }) => partitions),
      (partition) => this.#compact(partition),
    );
  }

  /** A disk that fails is the log's affair: it shows in its health, and the other partitions have their turn. */
  async #each(
    partitions: readonly Partition[],
    work: (partition: Partition) => Promise<void>,
  ): Promise<void> {
    for (const partition of partitions) {
      if (this.#isStopped) return;
      if (partition.isDeleted) continue;
      try {
        await work(partition);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
      }
    }
  }

  async #retain({ log, config }: Partition): Promise<void> {
    const limits = retentionOf(config, this.#retention);
    if (limits.retentionMs === undefined && limits.retentionBytes === undefined) return;
    await log.applyRetention(limits);
  }

  async #compact({ log, tombstonesBefore }: Partition): Promise<void> {
    const { tombstoneKeepMs, keysMax } = this.#compaction;
    const nowMs = this.#clock.monotonicTimeMs();
    if (!this.#isDue(log, nowMs)) return;
    let isDone = true;
    try {
      const bound = await tombstonesBefore?.();
      ({ isComplete: isDone } = await log.compact({
        tombstoneKeepMs,
        ...(bound !== undefined && { tombstonesBefore: bound }),
        ...(keysMax !== undefined && { keysMax }),
      }));
    } finally {
      // Also when it failed: what fails every time must not be tried in every round.
      this.#compacted.set(log, { atMs: nowMs, sizeBytes: log.sizeBytes, isDone });
    }
  }

  #isDue(log: Log, nowMs: number): boolean {
    const { intervalMs, growthPercent, tombstoneKeepMs } = this.#compaction;
    const last = this.#compacted.get(log);
    // 1. A log that was just opened waits too: a start has enough to do.
    if (last === undefined) {
      this.#compacted.set(log, { atMs: nowMs, sizeBytes: 0, isDone: false });
      return false;
    }
    const sinceMs = nowMs - last.atMs;
    if (sinceMs < intervalMs) return false;
    // 2. What the bound on keys left over comes next, and then what has grown enough.
    last.sizeBytes = Math.min(last.sizeBytes, log.sizeBytes);
    const growthBytes = log.sizeBytes - last.sizeBytes;
    if (!last.isDone || growthBytes * 100 > growthPercent * last.sizeBytes) return true;
    // 3. Tombstones come of age without anything being written.
    return sinceMs > tombstoneKeepMs;
  }
}
