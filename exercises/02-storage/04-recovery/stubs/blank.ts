// Generated from reference/storage/recovery.ts (stub 1f13bb3c).
// Write your solution here; `npx oz reset 02-storage/04-recovery` starts again.
/**
 * Recovery: what a log is after a crash, decided from what is on the disk and from nothing else.
 *
 * A crash leaves any part of what was not synced: whole writes, half of one, its second half without its first. And a
 * disk can damage what was synced. The two look alike and call for opposite answers: an interrupted write was never
 * acknowledged and must go, or the next append would land behind garbage; a damaged record *was* acknowledged, so
 * throwing away what follows would turn one bad sector into the loss of everything after it.
 *
 * What tells them apart is how far the log was known to be durable. Each batch says how much before it was not synced
 * yet when it was written, and the state file has a recovery offset. The largest of these is the *durable offset* D:
 *
 * | at the expected place stands                            | before D            | from D on                   |
 * |---------------------------------------------------------|---------------------|-----------------------------|
 * | the next batch, whole                                   | take it             | take it                     |
 * | its header, but its records do not match their checksum | report, step over   | the log ends here; cut      |
 * | no header; a later batch is found further on            | report, go on there | the log ends here; cut      |
 * | no header, nothing found further on (torn, zeros)       | report, go on at D  | the log ends here; cut      |
 * | an older batch (stale: the file was written over)       | like no header      | the log ends here; cut      |
 * | the end of the file                                     | report, go on at D  | the log ends here           |
 *
 * A missing or stale index is no case of its own: it is built again from the batches.
 *
 * Recovery can itself be interrupted. It first writes down D, for the batches that prove it may be among those that it
 * removes, and every later step leads to the same decision when it is taken again.
 */
import { todo } from "#exercises/lib/todo.ts";
import type { Checksum, Disk, DiskFile } from "#reference/ports.ts";
import { readWhole, removeIfThere } from "#reference/storage/file-io.ts";
import type { Finding } from "#reference/storage/findings.ts";
import { emptyState, loadState, saveState, type LogState } from "#reference/storage/log-state.ts";
import {
  batchBytesAt,
  batchHeaderBytes,
  batchLayout,
  inspectBatch,
  isHeaderIntact,
  readBatchHeader,
  type BatchHeader,
  type BatchInspection,
} from "#reference/storage/record-batch.ts";
import {
  scanFromBase,
  type RecoveredLog,
  type RecoveredSegment,
  type RecoveryPlan,
  type ScanStart,
  type SegmentScan,
} from "#reference/storage/recovered-log.ts";
import { ScanWindow } from "#reference/storage/scan-window.ts";
import { indexPath, listLogFiles, segmentPath } from "#reference/storage/segment-files.ts";
import { segmentOffsetsMax, SparseIndex, type DamagedRange } from "#reference/storage/sparse-index.ts";

/** Where to recover from. */
export interface RecoveryOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly checksum: Checksum;
  readonly indexIntervalBytes: number;
  /** `all` reads every batch of every segment; otherwise only those that are not known to be durable. */
  readonly scan?: "unsynced" | "all";
}

// #region scan-segment
/** Walks from batch to batch. Never throws, whatever the file holds; rejects only when it cannot be read. */
export async function scanSegment(
  file: DiskFile,
  start: ScanStart,
  checksum: Checksum,
): Promise<SegmentScan> {
  todo("scan-segment");
}
// #endregion scan-segment

/** What stands at a position of the file, with all of it in memory. */
async function inspectAt(
  window: ScanWindow,
  position: number,
  fileLength: number,
  checksum: Checksum,
): Promise<BatchInspection> {
  let at = await window.load(position, batchHeaderBytes);
  const batchBytes = fileLength - position < batchHeaderBytes ? 0 : batchBytesAt(window.bytes, at);
  if (batchBytes <= fileLength - position)
    at = await window.load(position, Math.max(batchBytes, batchHeaderBytes));
  return inspectBatch(window.bytes, at, window.bytes.length, checksum);
}

// #region find-later-batch
/** The next batch of this log's future from `position` on; without one, what the bytes are. */
async function findLaterBatch(
  window: ScanWindow,
  position: number,
  fileLength: number,
  after: { offset: number; epoch: number },
  checksum: Checksum,
): Promise<{ position: number; header?: BatchHeader; tail: SegmentScan["tail"] }> {
  todo("find-later-batch");
}
// #endregion find-later-batch

// #region decide
/** The decision table, over segments in order of their offsets. */
export function decideRecovery(scans: readonly SegmentScan[], state: LogState): RecoveryPlan {
  todo("decide");
}

/** The segment without everything from the damaged range on. Its index is built again once the file is cut. */
function cutScan(scan: SegmentScan, cut: DamagedRange): SegmentScan {
  todo("decide");
}

/** Adds, to the segment before each, the ranges that are missing between segments and at the end of the log. */
function withGaps(scans: readonly SegmentScan[], startOffset: number, endOffset: number): SegmentScan[] {
  todo("decide");
}
// #endregion decide

/** Recovers the log in a directory, which is made when it is missing. Rejects only with what the disk itself says. */
export async function recoverLog(options: RecoveryOptions): Promise<RecoveredLog> {
  const { disk, directory, checksum } = options;
  const findings: Finding[] = [];
  const { baseOffsets, recycled, hasTombstoneMark, unknown } = await listLogFiles(disk, directory);
  for (const path of unknown) findings.push({ kind: "unknown-file", path });
  const found = await loadState(disk, directory, checksum);
  const loaded = typeof found === "string" ? emptyState : found;
  const scans: SegmentScan[] = [];
  for (const baseOffset of baseOffsets)
    scans.push(await examineSegment(options, baseOffset, loaded, findings));
  const isNew = found === "missing" && scans.length === 0;
  const state = typeof found === "string" && !isNew ? rebuildState(scans, findings) : loaded;

  const plan = decideRecovery(scans, state);
  const segments = await applyPlan(options, plan, state, findings);
  const last = scans.reduce((max, scan) => (isLaterId(scan, max) ? scan : max), state as IdMark);
  const recovered: LogState = {
    startOffset: state.startOffset,
    epoch: scans.reduce((epoch, scan) => Math.max(epoch, scan.epoch), state.epoch),
    recoveryOffset: plan.endOffset,
    idMilliseconds: last.idMilliseconds,
    idSequence: last.idSequence,
  };
  // What was found is not promised before the log has written it again (write-again.ts).
  const proved = { ...recovered, recoveryOffset: plan.durableOffset };
  if (isNew || findings.length > 0) await saveState(disk, directory, proved, checksum);
  const head = segments[0]?.baseOffset ?? plan.endOffset;
  const missing = { from: state.startOffset, to: head, position: 0, endPosition: 0 };
  const damage = segments
    .flatMap((segment) => segment.damage)
    .filter((range) => range.to > state.startOffset);
  if (missing.from < missing.to) damage.unshift(missing);
  for (const range of damage)
    findings.push({ kind: "damaged", segment: segmentOf(segments, range, directory), ...range });
  const { endOffset, durableOffset } = plan;
  const files = { recycled, hasTombstoneMark };
  return { state: recovered, segments, endOffset, durableOffset, damage, findings, ...files };
}

// #region apply
/** Makes the disk what was decided, in an order in which it may be interrupted anywhere and begun again. */
async function applyPlan(
  options: RecoveryOptions,
  plan: RecoveryPlan,
  state: LogState,
  findings: Finding[],
): Promise<RecoveredSegment[]> {
  todo("apply");
}

async function applyToSegment(
  options: RecoveryOptions,
  scan: SegmentScan,
  continuesAt: number,
  findings: Finding[],
): Promise<RecoveredSegment> {
  todo("apply");
}
// #endregion apply

/** Reads what is known about a segment: from its index when it can vouch for the file, and otherwise from the file. */
async function examineSegment(
  options: RecoveryOptions,
  baseOffset: number,
  state: LogState,
  findings: Finding[],
): Promise<SegmentScan> {
  const { disk, directory, checksum, indexIntervalBytes, scan } = options;
  const segment = segmentPath(directory, baseOffset);
  const saved = await readWhole(disk, indexPath(directory, baseOffset));
  const decoded = saved && SparseIndex.decode(saved, baseOffset, indexIntervalBytes, checksum);
  const file = await disk.open(segment, "read");
  try {
    const fileLength = await file.length();
    const isUsable = decoded !== undefined && decoded.log.logLength <= fileLength;
    if (saved !== undefined && !isUsable) findings.push({ kind: "index-rebuilt", segment });
    if (isUsable && scan !== "all" && decoded.log.endOffset <= state.recoveryOffset) {
      const { index, log } = decoded;
      if (log.logLength < fileLength) {
        const start = {
          baseOffset,
          index,
          damage: log.damage,
          offset: log.endOffset,
          position: log.logLength,
        };
        return await scanSegment(file, { ...start, idMilliseconds: log.idMilliseconds }, checksum);
      }
      const { endOffset, logLength: endPosition, damage, idMilliseconds } = log;
      const nothing = { tail: "none", durableOffset: 0, epoch: 0, idSequence: 0 } as const;
      const known = { baseOffset, endOffset, endPosition, index, damage, idMilliseconds };
      return { ...known, fileLength, ...nothing, isScanned: false };
    }
    return await scanSegment(file, scanFromBase(baseOffset, indexIntervalBytes), checksum);
  } finally {
    await file.close();
  }
}

/** A log's numbers when their file is lost: what the segments show, and an epoch that none of them has seen. */
function rebuildState(scans: readonly SegmentScan[], findings: Finding[]): LogState {
  const startOffset = scans[0]?.baseOffset ?? 0;
  const epoch = scans.reduce((max, scan) => Math.max(max, scan.epoch), 0) + 1;
  findings.push({ kind: "state-rebuilt", startOffset, epoch });
  return { ...emptyState, startOffset, epoch, recoveryOffset: startOffset };
}

interface IdMark {
  readonly idMilliseconds: number;
  readonly idSequence: number;
}

function isLaterId(left: IdMark, right: IdMark): boolean {
  if (left.idMilliseconds !== right.idMilliseconds) return left.idMilliseconds > right.idMilliseconds;
  return left.idSequence > right.idSequence;
}

function segmentOf(segments: readonly RecoveredSegment[], range: DamagedRange, directory: string): string {
  const segment = segments.findLast(({ baseOffset }) => baseOffset <= range.from);
  return segment === undefined ? directory : segmentPath(directory, segment.baseOffset);
}
