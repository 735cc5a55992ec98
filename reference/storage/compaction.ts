/**
 * Key compaction: keeping, of each key, only the newest record.
 *
 * A log of changes grows for ever while what it describes does not. Compaction rewrites closed segments without the
 * records whose key has a newer one, so that a reader from the start still learns the last value of every key, at the
 * same offsets and in the same order. Records without a key say nothing about one another and are all kept. A
 * *tombstone* (a key without a value) stays for a while, so that readers learn of the removal, and then goes too.
 *
 * Two passes: the first learns the newest offset of each key, from where the last compaction ended up to where a bound
 * on memory is reached; the second rewrites every closed segment up to there.
 *
 * A replica's log ends in records that are not agreed on, or that its group still needs as they are: a bound says how
 * far compaction may look, and a segment that reaches beyond it waits. And while tombstones go by age in a log that is
 * alone, other replicas may need them yet: a second bound says which ones may go.
 *
 * Offsets stay dense over batches: a batch keeps its range when records in it go, and where whole batches go, one
 * without records stands in for their range. So recovery still sees every missing batch.
 */
import { BatchRewriter } from "./batch-rewriter.ts";
import { removeIfThere, temporarySuffix, writeFully } from "./file-io.ts";
import { readBatchHeader } from "./record-batch.ts";
import { RecordCursor } from "./record-cursor.ts";
import type { Segment } from "./segment.ts";
import type { SegmentSet } from "./segment-set.ts";
import type { TombstoneMark } from "./tombstone-mark.ts";

/** What to compact and how far. */
export interface CompactionOptions {
  /** What the last compaction of this log said of itself. */
  readonly last: CompactionProgress;
  /** Everything before this offset is committed and durable, and nobody needs it as it is. */
  readonly bound: number;
  readonly nowMs: number;
  /** How long a tombstone stays after it was appended. */
  readonly tombstoneKeepMs: number;
  /** Tombstones from this offset on stay, however old they are. */
  readonly tombstonesBefore: number;
  /** Keys that one pass may hold in memory. */
  readonly keysMax: number;
  /** Something that cannot wait wants the log: what is done stays, and the rest is for the next time. */
  readonly isInterrupted: () => boolean;
}

/** How far compaction has come. */
export interface CompactionProgress {
  /** Every record of a closed segment has been held against every newer key before this offset. */
  readonly cleanEnd: number;
  /** Where the closed segments ended then. */
  readonly closedEnd: number;
}

/** What was done. */
export interface CompactionResult extends CompactionProgress {
  /** Whether that is as far as there was to go. */
  readonly isComplete: boolean;
  readonly segmentsRewritten: number;
  readonly recordsRemoved: number;
  readonly bytesRemoved: number;
}

/** The newest offset of each key between the last compaction's end and this one's. */
interface NewestKeys {
  readonly keys: ReadonlyMap<string, number>;
  readonly end: number;
}

/** What goes of a segment. */
interface Outdated {
  readonly count: number;
  /** Behind the last tombstone that goes because of its age; 0 for none. */
  readonly tombstonesTo: number;
}

/** How much is read at once. */
const readBytes = 1024 * 1024;
/** Turns any bytes into a text and different bytes into different texts. */
const keyDecoder = new TextDecoder("latin1");

/** Compacts the closed segments of a log. Damaged segments are left as they are. */
export async function compactSegments(
  set: SegmentSet,
  mark: TombstoneMark,
  given: CompactionOptions,
): Promise<CompactionResult> {
  const closed = set.segments.slice(0, -1).filter(({ endOffset }) => endOffset <= given.bound);
  const { last } = given;
  const closedEnd = Math.max(last.closedEnd, closed[closed.length - 1]?.endOffset ?? 0);
  // What has been closed since was not rewritten: its keys are looked at once more.
  const isSame = closedEnd === last.closedEnd;
  const fromOffset = isSame ? last.cleanEnd : Math.min(last.cleanEnd, last.closedEnd);
  const newest = await collectKeys(set, fromOffset, given);
  let options = given;
  let segmentsRewritten = 0;
  let recordsRemoved = 0;
  let bytesRemoved = 0;
  for (const segment of closed) {
    if (segment.baseOffset >= newest.end) break;
    const outdated = set.isDamaged(segment) ? undefined : await countOutdated(segment, newest, options);
    // What stays in this one may be of keys that a later tombstone removes.
    if (outdated === undefined)
      options = { ...options, tombstonesBefore: Math.min(options.tombstonesBefore, segment.baseOffset) };
    if (outdated === undefined || outdated.count === 0) continue;
    const path = await rewriteSegment(set, segment, newest, options);
    if (options.isInterrupted()) {
      await removeIfThere(set.options.disk, path);
      break;
    }
    const before = segment.endPosition;
    const replace = (): Promise<Segment> => set.replace(segment, path);
    const { tombstonesTo } = outdated;
    const replacement = await (tombstonesTo > 0 ? mark.takingOut(tombstonesTo, replace) : replace());
    segmentsRewritten++;
    recordsRemoved += outdated.count;
    bytesRemoved += before - replacement.endPosition;
  }
  const progress = options.isInterrupted() ? last : { cleanEnd: newest.end, closedEnd };
  const isComplete = !options.isInterrupted() && newest.end >= options.bound;
  return { ...progress, isComplete, segmentsRewritten, recordsRemoved, bytesRemoved };
}

// #region collect-keys
/** The newest offset of each key from `fromOffset` on, and how far that goes. */
async function collectKeys(
  set: SegmentSet,
  fromOffset: number,
  options: CompactionOptions,
): Promise<NewestKeys> {
  const keys = new Map<string, number>();
  let end = fromOffset;
  for (const segment of set.segments) {
    if (segment.endOffset <= fromOffset || set.isDamaged(segment)) continue;
    // The active segment's keys make older records superfluous too, as far as they are durable.
    const limit = Math.min(segment.endOffset, options.bound);
    if (limit <= end || options.isInterrupted()) break;
    for await (const bytes of batchesOf(segment, Math.max(segment.baseOffset, end), limit, options)) {
      const cursor = new RecordCursor(bytes, { fromOffset });
      while (cursor.next()) {
        if (cursor.hasKey) keys.set(keyOf(bytes, cursor), cursor.offset);
        if (keys.size >= options.keysMax) return { keys, end: cursor.offset + 1 };
      }
    }
    end = limit;
  }
  return { keys, end };
}
// #endregion collect-keys

// #region outdated
/** Why the cursor's record goes: its key has a newer one, or it is a tombstone that everybody has seen. */
function reasonToGo(
  bytes: Uint8Array,
  cursor: RecordCursor,
  idMilliseconds: number,
  { keys, end }: NewestKeys,
  options: CompactionOptions,
): "newer" | "aged" | undefined {
  // 1. Without a key there is nothing that could replace it.
  if (!cursor.hasKey) return undefined;
  // 2. Only a later record of the same key does.
  const last = keys.get(keyOf(bytes, cursor));
  if (last !== undefined && last > cursor.offset) return "newer";
  // 3. The newest one of a key is kept, unless all that it says is that the key is gone, and has said so long enough.
  //    Behind `end` it must stay: what it removes has not been looked for yet.
  const isAged = options.nowMs - idMilliseconds > options.tombstoneKeepMs;
  const isFree = cursor.offset < Math.min(end, options.tombstonesBefore);
  return cursor.isTombstone && isAged && isFree ? "aged" : undefined;
}
// #endregion outdated

/** What of a segment goes; undefined when it cannot be read to its end: then it stays as it is. */
async function countOutdated(
  segment: Segment,
  newest: NewestKeys,
  options: CompactionOptions,
): Promise<Outdated | undefined> {
  let count = 0;
  let tombstonesTo = 0;
  let offset = segment.baseOffset;
  for await (const bytes of batchesOf(segment, segment.baseOffset, segment.endOffset, options)) {
    const cursor = new RecordCursor(bytes);
    while (cursor.next()) {
      const reason = reasonToGo(bytes, cursor, cursor.batch?.idMilliseconds ?? 0, newest, options);
      if (reason !== undefined) count++;
      if (reason === "aged") tombstonesTo = cursor.offset + 1;
    }
    if (cursor.fault !== undefined || cursor.batch === undefined) return undefined;
    offset = cursor.batch.nextOffset;
  }
  return offset === segment.endOffset ? { count, tombstonesTo } : undefined;
}

// #region rewrite
/** Writes what stays of a segment beside it, durably. */
async function rewriteSegment(
  set: SegmentSet,
  segment: Segment,
  newest: NewestKeys,
  options: CompactionOptions,
): Promise<string> {
  const { checksum, disk } = set.options;
  const path = segment.file.path + temporarySuffix;
  const file = await disk.open(path, "create");
  try {
    // What an interrupted attempt left behind may be longer.
    await file.truncate(0);
    const rewriter = new BatchRewriter(checksum);
    let position = 0;
    for await (const bytes of batchesOf(segment, segment.baseOffset, segment.endOffset, options)) {
      const cursor = new RecordCursor(bytes);
      for (let at = 0; at < bytes.length;) {
        // 1. Batch by batch, so that each keeps its range of offsets.
        const header = readBatchHeader(bytes, at);
        rewriter.begin(bytes, header);
        for (let index = 0; index < header.recordCount && cursor.next(); index++) {
          const reason = reasonToGo(bytes, cursor, header.idMilliseconds, newest, options);
          if (reason === undefined) rewriter.keep(cursor);
        }
        rewriter.end();
        at = header.endPosition;
      }
      const ready = rewriter.take(false);
      await writeFully(file, ready, position);
      position += ready.length;
    }
    await writeFully(file, rewriter.take(true), position);
    // 2. Durable before it takes the old file's place.
    await file.sync();
  } finally {
    await file.close();
  }
  return path;
}
// #endregion rewrite

/** Runs of whole batches of a segment, one after the other; they end early when something cannot wait. */
async function* batchesOf(
  segment: Segment,
  fromOffset: number,
  endOffset: number,
  options: CompactionOptions,
): AsyncGenerator<Uint8Array> {
  for (let offset = fromOffset; offset < endOffset && !options.isInterrupted();) {
    const result = await segment.read(offset, readBytes, endOffset);
    if (result.kind === "broken" || result.bytes.length === 0) return;
    yield result.bytes;
    offset = result.nextOffset;
  }
}

function keyOf(bytes: Uint8Array, cursor: RecordCursor): string {
  return keyDecoder.decode(bytes.subarray(cursor.keyStart, cursor.keyEnd));
}
