// Generated from reference/storage/retention.ts (stub be31aa2f).
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
  // 1. An empty segment takes any batch: one that is larger than the limit would fit into no other segment either.
  if (todo("which segment takes any batch?")) return false;
  // 2. A segment may reach its limit and not exceed it; neither may its offsets, which an index keeps in 32 bits.
  if (todo("when would it be too large?")) return true;
  if (!active.hasOffsetsFor(recordCount)) return true;
  // 3. A quiet log is cut by age, so that old records can go.
  return todo("when is it old enough?");
}
// #endregion roll

// #region range
/** Where an offset lies. The end itself is in range: the next record will be there. */
export function classifyOffset(
  offset: number,
  startOffset: number,
  endOffset: number,
): "below-start" | "in-range" | "above-end" {
  // 1. Before the start: removed. 2. Behind the end: not there yet. 3. The end itself is where the next record will be.
  if (todo("who is too late?")) return "below-start";
  return todo("who is ahead of the log?") ? "above-end" : "in-range";
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
  const { retentionMs = Infinity, retentionBytes = Infinity } = limits;
  let sizeBytes = segments.reduce((sum, segment) => sum + segment.endPosition, 0);
  let planned = startOffset;
  // 1. From the oldest on, up to but never including the active segment.
  for (const [number, segment] of segments.slice(0, -1).entries()) {
    if (todo("what is still being written?")) break;
    // 2. Time: its last record was appended longer ago. A clock that is behind makes the age negative: it stays.
    const isExpired = todo("is its last record too old?");
    // 3. Size: without it, what is left still fills the limit.
    const isSurplus = todo("does what is left fill the limit?");
    // 4. Stop at the first that stays: a log has no holes.
    if (!isExpired && !isSurplus) break;
    sizeBytes -= segment.endPosition;
    planned = todo("where does the log start without it?");
  }
  return planned;
}
// #endregion plan

// #region advance-start
/** Moves the log's start to `startOffset` and removes the segments before it. Resolves to how many there were. */
export async function advanceStart(
  set: SegmentSet,
  state: LogStateFile,
  startOffset: number,
): Promise<number> {
  // 1. First the new start, durably. It never moves back.
  if (startOffset > state.value.startOffset) await todo("what must be on disk before anything goes?");
  // 2. A segment goes when all of it lies before the start, and never the active one.
  const { segments } = set;
  let count = 0;
  while (count < segments.length - 1 && todo("does all of this segment lie before the start?")) count++;
  // 3. Off the list first, so that no new reader finds it; then the file, when the readers in it have finished.
  const removed = segments.splice(0, count);
  set.damage = set.damage.filter((range) => todo("which damage is still anybody's loss?"));
  await todo("the files, and may they be used again?");
  return count;
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
  const { segments, options } = set;
  // 1. What is acknowledged is never cut, an epoch is never used again, and a batch is cut as a whole or not at all.
  const { startOffset, epoch: lastEpoch } = state.value;
  if (todo("what is acknowledged?")) return refused(`offset ${offset} is below the high watermark ${highWatermark}`);
  if (offset < startOffset) return refused(`offset ${offset} is below the start ${startOffset}`);
  if (todo("which epochs may not be used?")) return refused(`epoch ${epoch} is not above ${lastEpoch}`);
  const batchBase = await set.segmentOf(offset).batchBaseOf(offset);
  if (batchBase !== offset) return refused(`offset ${offset} is inside the batch at ${batchBase}`);
  // 2. The new epoch first, durably; and recovery must not miss what is cut.
  await state.update({ epoch, recoveryOffset: todo("what must recovery not miss?") });
  // 3. Whole segments, the last one first: a crash in between leaves a log without a hole. Their files are not
  //    recycled: the same offsets will be written again, and the old batches could be taken for the new ones.
  while (todo("which segments go as a whole?"))
    await set.removeFiles(segments.splice(-1), false);
  // 4. Then the rest of the segment that holds the offset, and the copy of its index, which knows too much now.
  await removeIfThere(options.disk, indexPath(options.directory, set.active.baseOffset));
  await options.disk.syncDirectory(options.directory);
  await set.active.truncate(offset);
  await set.reopenActive();
  return { kind: "truncated", endOffset: set.active.endOffset, epoch };
}
// #endregion truncate-suffix

function refused(reason: string): TruncateResult {
  return { kind: "refused", reason };
}
