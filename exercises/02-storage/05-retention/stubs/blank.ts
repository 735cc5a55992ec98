// Generated from reference/storage/retention.ts (stub 90dce970).
// Write your solution here; `npx oz reset 02-storage/05-retention` starts again.
/**
 * Roll, retention and truncation: when a segment is full, which records may go, and in which order that happens.
 *
 * Records leave a log at both ends, for different reasons and by different rights:
 *
 * - at the front, because they are old (retention) or were asked to go (trim). The log's *start offset* moves forward
 *   first, durably, and then whole segments before it are removed. In the other order a crash between the two steps
 *   would leave a log that claims records that it does not have;
 * - at the back, because another replica's history won (truncation). The *epoch* is raised first, durably, so that an
 *   offset that is given out again is never given out under the same epoch, and then the records are cut.
 *
 * The active segment never goes, and nothing at or after the high watermark is ever cut: that is acknowledged.
 */
import { todo } from "#exercises/lib/todo.ts";
import { indexPath } from "#reference/storage/segment-files.ts";
import { removeIfThere } from "#reference/storage/file-io.ts";
import type { LogStateFile } from "#reference/storage/log-state.ts";
import type { Segment } from "#reference/storage/segment.ts";
import type { SegmentSet } from "#reference/storage/segment-set.ts";

/** When the active segment is closed and the next one begun. */
export interface RollLimits {
  readonly segmentBytesMax: number;
  readonly segmentAgeMsMax: number;
}

/** How much of a log is kept. A limit that is missing does not apply. */
export interface RetentionLimits {
  readonly retentionMs?: number | undefined;
  readonly retentionBytes?: number | undefined;
}

/** What a truncation did. */
export type TruncateResult =
  /** The next offset to give out, and the epoch under which it will be. */
  | { readonly kind: "truncated"; readonly endOffset: number; readonly epoch: number }
  | { readonly kind: "refused"; readonly reason: string };

// #region roll
/** Whether the next batch belongs into a new segment. */
export function shouldRoll(
  active: Segment,
  batchBytes: number,
  recordCount: number,
  ageMs: number,
  limits: RollLimits,
): boolean {
  todo("roll");
}
// #endregion roll

// #region range
/** Where an offset lies. The end itself is in range: the next record will be there. */
export function classifyOffset(
  offset: number,
  startOffset: number,
  endOffset: number,
): "below-start" | "in-range" | "above-end" {
  todo("range");
}
// #endregion range

// #region plan
/**
 * The start offset that the limits ask for: the base of the first segment that stays. `committedEnd` bounds it, for a
 * segment that is not committed to its end is still being written.
 */
export function planRetention(
  segments: readonly Segment[],
  startOffset: number,
  committedEnd: number,
  nowMs: number,
  limits: RetentionLimits,
): number {
  todo("plan");
}
// #endregion plan

// #region advance-start
/** Moves the log's start to `startOffset` and removes the segments before it. Resolves to how many there were. */
export async function advanceStart(
  set: SegmentSet,
  state: LogStateFile,
  startOffset: number,
): Promise<number> {
  todo("advance-start");
}
// #endregion advance-start

// #region truncate-suffix
/**
 * Cuts every batch from `offset` on. Nothing may wait to be written. `highWatermark` is the end of what is
 * acknowledged; `epoch` must be larger than any that the log has seen.
 */
export async function truncateSuffix(
  set: SegmentSet,
  state: LogStateFile,
  offset: number,
  highWatermark: number,
  epoch: number,
): Promise<TruncateResult> {
  todo("truncate-suffix");
}
// #endregion truncate-suffix

function refused(reason: string): TruncateResult {
  return { kind: "refused", reason };
}
