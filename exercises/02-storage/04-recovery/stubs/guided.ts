// Generated from reference/storage/recovery.ts (stub 0fb52923).
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
  const fileLength = await file.length();
  const window = new ScanWindow(file, fileLength);
  const { baseOffset, index } = start;
  const damage: DamagedRange[] = [...start.damage];
  const last = { durableOffset: 0, epoch: 0, idMilliseconds: start.idMilliseconds ?? 0, idSequence: 0 };
  let { position, offset } = start;
  let isResumption = false;
  let tail: SegmentScan["tail"] = "none";
  while (position < fileLength) {
    const found = await inspectAt(window, position, fileLength, checksum);
    const header = "header" in found ? found.header : undefined;
    // 1. A header counts only at its place: a batch of the file's earlier life has an older offset or epoch.
    const isStale = header !== undefined && (todo("which headers come from the file's earlier life?"));
    if (header === undefined || isStale || header.baseOffset > offset) {
      // 2. No batch where the next one belongs. Look for a later one, or else for what the bytes are.
      const after = { offset, epoch: last.epoch };
      const later = await findLaterBatch(window, position, fileLength, after, checksum);
      if (later.header === undefined) {
        ({ tail } = later);
        break;
      }
      damage.push(todo("what is missing, and between which positions?"));
      ({ position } = later);
      offset = later.header.baseOffset;
      isResumption = true;
      continue;
    }
    const { nextOffset, idMilliseconds, epoch } = header;
    const endPosition = position + (header.endPosition - header.position);
    // 3. A whole batch is taken. With a damaged body, the header still says what is missing and where to go on.
    if (found.kind === "intact") index.note(offset, position, header.maxTimestamp, isResumption);
    else todo("the header is good: what do you know about the lost records?");
    isResumption = found.kind !== "intact";
    last.durableOffset = todo("what does this batch prove about those before it?");
    last.epoch = epoch;
    last.idMilliseconds = idMilliseconds;
    last.idSequence = header.idSequence + (nextOffset - offset) - 1;
    offset = nextOffset;
    position = endPosition;
  }
  const end = { endOffset: offset, endPosition: position, tail, fileLength };
  return { baseOffset, index, damage, ...end, ...last, isScanned: true };
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
  // 1. Until something else is seen, the bytes are zeros.
  let tail: SegmentScan["tail"] = "zeros";
  for (let from = position; from < fileLength;) {
    const at = await window.load(from, batchHeaderBytes);
    const { bytes } = window;
    for (let here = at; here < bytes.length; here++) {
      if (bytes[here] !== 0 && tail === "zeros") tail = "torn";
      // 2. A header may begin anywhere. Cheap tests first: an offset begins with a zero byte, and few positions hold
      //    the length of a batch.
      if (bytes[here + batchLayout.baseOffset] !== 0 || bytes.length - here < batchHeaderBytes) continue;
      const batchBytes = batchBytesAt(bytes, here);
      const found = from + here - at;
      if (batchBytes < batchHeaderBytes || batchBytes > fileLength - found) continue;
      if (!isHeaderIntact(bytes, here, checksum)) continue;
      // 3. Is it a batch of this log's future? One of the file's earlier life is no place to go on.
      const header = readBatchHeader(bytes, here);
      const isLater =
        todo("is this an offset of this log's future?");
      if (isLater && header.epoch >= after.epoch) return { position: found, header, tail };
      todo("a batch that is no later one: what are these bytes?");
    }
    // 4. Go on with an overlap: a header may lie across the edge of the window.
    const loadedEnd = from + bytes.length - at;
    from = todo("where does the next piece begin, so that no header is missed?");
  }
  return { position: fileLength, tail };
}
// #endregion find-later-batch

// #region decide
/** The decision table, over segments in order of their offsets. */
export function decideRecovery(scans: readonly SegmentScan[], state: LogState): RecoveryPlan {
  // 1. How far was the log known to be durable? Any batch, anywhere, may be the one that proves it.
  let durableOffset = Math.max(state.recoveryOffset, state.startOffset);
  for (const scan of scans) durableOffset = todo("who can prove more?");
  const kept: SegmentScan[] = [];
  for (const [number, scan] of scans.entries()) {
    // 2. From the durable offset on, the first thing that is wrong ends the log, wherever it is.
    const cut = scan.damage.find((range) => todo("which damage ends the log?"));
    if (cut !== undefined) {
      kept.push(cutScan(scan, cut));
      return { durableOffset, segments: kept, removed: scans.slice(number + 1), endOffset: cut.from };
    }
    kept.push(scan);
    const next = scans[number + 1];
    if (next === undefined) break;
    // 3. A segment that ends before the next one begins is the same case, between two files.
    if (todo("when is the end of a segment the end of the log?")) {
      return { durableOffset, segments: kept, removed: scans.slice(number + 1), endOffset: scan.endOffset };
    }
  }
  // 4. What was durable is never given out again, even when it is lost: the log goes on at the durable offset.
  const endOffset = todo("where does the log go on?");
  return { durableOffset, segments: withGaps(kept, state.startOffset, endOffset), removed: [], endOffset };
}

/** The segment without everything from the damaged range on. Its index is built again once the file is cut. */
function cutScan(scan: SegmentScan, cut: DamagedRange): SegmentScan {
  const damage = scan.damage.filter((range) => range.from < cut.from);
  return { ...scan, endOffset: cut.from, endPosition: cut.position, damage, tail: "torn" };
}

/** Adds, to the segment before each, the ranges that are missing between segments and at the end of the log. */
function withGaps(scans: readonly SegmentScan[], startOffset: number, endOffset: number): SegmentScan[] {
  return scans.map((scan, number) => {
    const to = scans[number + 1]?.baseOffset ?? endOffset;
    const from = Math.max(scan.endOffset, startOffset);
    if (to <= from || scan.damage.some((range) => range.from <= from && range.to >= to)) return scan;
    const gap = { from, to, position: scan.endPosition, endPosition: scan.endPosition };
    return { ...scan, damage: [...scan.damage, gap] };
  });
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
  const { disk, directory, checksum } = options;
  // 1. Remember how far the log was durable before anything goes that proves it.
  if (todo("when is there something to remember?")) {
    await saveState(disk, directory, { ...state, recoveryOffset: plan.durableOffset }, checksum);
  }
  // 2. Remove segments that followed on a cut, the last one first: what is left is always a log.
  for (const scan of plan.removed.toReversed()) {
    const segment = segmentPath(directory, scan.baseOffset);
    await removeIfThere(disk, indexPath(directory, scan.baseOffset));
    await todo("the segment goes, after its index");
    findings.push({ kind: "segment-removed", segment, offset: scan.baseOffset });
  }
  await disk.syncDirectory(directory);
  const segments: RecoveredSegment[] = [];
  for (const [number, scan] of plan.segments.entries()) {
    const continuesAt = plan.segments[number + 1]?.baseOffset ?? plan.endOffset;
    segments.push(scan.isScanned ? await applyToSegment(options, scan, continuesAt, findings) : scan);
  }
  return segments;
}

async function applyToSegment(
  options: RecoveryOptions,
  scan: SegmentScan,
  continuesAt: number,
  findings: Finding[],
): Promise<RecoveredSegment> {
  const { disk, directory, checksum } = options;
  const segment = segmentPath(directory, scan.baseOffset);
  const file = await disk.open(segment, "read-write");
  try {
    // 3. Cut what no batch claims, physically: the next append must land behind the last whole batch. Where records
    //    are missing behind it, the bytes may be what is left of them: they stay.
    let result: RecoveredSegment = scan;
    const bytes = scan.fileLength - scan.endPosition;
    if (bytes > 0 && scan.endOffset === todo("when may these bytes be cut?") && scan.tail !== "none") {
      await file.truncate(scan.endPosition);
      const { tail, endPosition: position, endOffset: offset } = scan;
      findings.push({ kind: "tail-cut", tail, segment, position, bytes, offset });
      // 4. The index describes the file as it is now, not as it was found.
      result = await scanSegment(file, scanFromBase(scan.baseOffset, options.indexIntervalBytes), checksum);
    }
    // 5. What was found may be in memory only, if the machine did not stop: make it durable before it is relied on.
    await todo("what was found may be in memory only");
    return result;
  } finally {
    await file.close();
  }
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
