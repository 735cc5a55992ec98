/** What recovery passes from step to step: what a walk over a file showed, what is to be done, and what is left. */
import type { Finding } from "./findings.ts";
import type { LogState } from "./log-state.ts";
import { SparseIndex, type DamagedRange } from "./sparse-index.ts";

/** One segment as it is after recovery. */
export interface RecoveredSegment {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly endPosition: number;
  readonly index: SparseIndex;
  readonly damage: readonly DamagedRange[];
  /** The milliseconds of the last id; 0 when there is no record. */
  readonly idMilliseconds: number;
  /** Whether the file was read; otherwise its index vouches for it. */
  readonly isScanned: boolean;
}

/** A log as it is after recovery: every record in it is on disk. */
export interface RecoveredLog {
  readonly state: LogState;
  readonly segments: readonly RecoveredSegment[];
  /** The next offset to give out; past the last segment's end when records at the end were lost. */
  readonly endOffset: number;
  /** Everything before it is proved to be on disk; what follows was read, which proves nothing (write-again.ts). */
  readonly durableOffset?: number;
  /** All offsets from the start on that are missing or unreadable, in order. */
  readonly damage: readonly DamagedRange[];
  readonly findings: readonly Finding[];
  /** Files of removed segments that may be written over. */
  readonly recycled: readonly string[];
  /** Whether there is a mark of tombstones that may be missing. */
  readonly hasTombstoneMark?: boolean;
}

/** What walking over one segment's file showed. Nothing is decided yet. */
export interface SegmentScan extends RecoveredSegment {
  readonly fileLength: number;
  /** What the bytes from `endPosition` on are. */
  readonly tail: "none" | "torn" | "zeros" | "stale";
  /** All records before this offset were durable when some batch of this segment was written. */
  readonly durableOffset: number;
  readonly epoch: number;
  /** The largest sequence given out in that millisecond. */
  readonly idSequence: number;
}

/** Where the walk through a segment begins: at its first byte, or behind a part that is known to be whole. */
export interface ScanStart {
  readonly baseOffset: number;
  readonly offset: number;
  readonly position: number;
  readonly index: SparseIndex;
  readonly damage: readonly DamagedRange[];
  readonly idMilliseconds?: number;
}

/** The start of a segment of which nothing is known. */
export function scanFromBase(baseOffset: number, indexIntervalBytes: number): ScanStart {
  const index = new SparseIndex(baseOffset, indexIntervalBytes);
  return { baseOffset, offset: baseOffset, position: 0, index, damage: [] };
}

/** What is to be done about a log. */
export interface RecoveryPlan {
  /** D of the table above. */
  readonly durableOffset: number;
  /** Segments that stay. The last of them may end earlier than its file. */
  readonly segments: readonly SegmentScan[];
  /** Segments that go. */
  readonly removed: readonly SegmentScan[];
  readonly endOffset: number;
}
