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
 * Offsets stay dense over batches: a batch keeps its range when records in it go, and where whole batches go, one
 * without records stands in for their range. So recovery still sees every missing batch.
 */
import { BatchRewriter } from "./batch-rewriter.ts";
import { temporarySuffix, writeFully } from "./file-io.ts";
import { readBatchHeader } from "./record-batch.ts";
import { RecordCursor } from "./record-cursor.ts";
import type { Segment } from "./segment.ts";
import type { SegmentSet } from "./segment-set.ts";

/** What to compact and how far. */
export interface CompactionOptions {
  /** From where on keys are new since the last compaction. */
  readonly cleanEnd: number;
  /** Everything before this offset is committed and durable. */
  readonly durableEnd: number;
  readonly nowMs: number;
  /** How long a tombstone stays after it was appended. */
  readonly tombstoneKeepMs: number;
  /** Keys that one pass may hold in memory. */
  readonly keysMax: number;
}

/** What was done. */
export interface CompactionResult {
  /** Everything before this offset has been held against every newer key before it. */
  readonly cleanEnd: number;
  readonly segmentsRewritten: number;
  readonly recordsRemoved: number;
  readonly bytesRemoved: number;
}

/** The newest offset of each key between the last compaction's end and this one's. */
interface NewestKeys {
  readonly keys: ReadonlyMap<string, number>;
  readonly end: number;
}

/** How much is read at once. */
const readBytes = 1024 * 1024;
/** Turns any bytes into a text and different bytes into different texts. */
const keyDecoder = new TextDecoder("latin1");

/** Compacts the closed segments of a log. Damaged segments are left as they are. */
export async function compactSegments(
  set: SegmentSet,
  options: CompactionOptions,
): Promise<CompactionResult> {
  const newest = await collectKeys(set, options);
  const { end } = newest;
  let segmentsRewritten = 0;
  let recordsRemoved = 0;
  let bytesRemoved = 0;
  for (const segment of set.segments.slice(0, -1)) {
    if (segment.baseOffset >= end) break;
    if (set.isDamaged(segment)) continue;
    const outdated = await countOutdated(segment, newest, options);
    if (outdated <= 0) continue;
    const before = segment.endPosition;
    const replacement = await set.replace(segment, await rewriteSegment(set, segment, newest, options));
    segmentsRewritten++;
    recordsRemoved += outdated;
    bytesRemoved += before - replacement.endPosition;
  }
  return { cleanEnd: Math.max(options.cleanEnd, end), segmentsRewritten, recordsRemoved, bytesRemoved };
}

// #region collect-keys
/** The newest offset of each key from `cleanEnd` on, and how far that goes. */
async function collectKeys(set: SegmentSet, options: CompactionOptions): Promise<NewestKeys> {
  const keys = new Map<string, number>();
  let end = options.cleanEnd;
  for (const segment of set.segments) {
    if (segment.endOffset <= options.cleanEnd || set.isDamaged(segment)) continue;
    // The active segment's keys make older records superfluous too, as far as they are durable.
    const limit = Math.min(segment.endOffset, options.durableEnd);
    for await (const bytes of batchesOf(segment, Math.max(segment.baseOffset, options.cleanEnd), limit)) {
      const cursor = new RecordCursor(bytes, { fromOffset: options.cleanEnd });
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
/** Whether the cursor's record goes: its key has a newer one, or it is a tombstone that everybody has seen. */
function isOutdated(
  bytes: Uint8Array,
  cursor: RecordCursor,
  idMilliseconds: number,
  { keys, end }: NewestKeys,
  options: CompactionOptions,
): boolean {
  // 1. Without a key there is nothing that could replace it.
  if (!cursor.hasKey) return false;
  // 2. Only a later record of the same key does.
  const last = keys.get(keyOf(bytes, cursor));
  if (last !== undefined && last > cursor.offset) return true;
  // 3. The newest one of a key is kept, unless all that it says is that the key is gone, and has said so long enough.
  //    Behind `end` it must stay: what it removes has not been looked for yet.
  return (
    cursor.isTombstone && cursor.offset < end && options.nowMs - idMilliseconds > options.tombstoneKeepMs
  );
}
// #endregion outdated

/** How many records of a segment go. -1 when it cannot be read to its end: then it stays as it is. */
async function countOutdated(
  segment: Segment,
  newest: NewestKeys,
  options: CompactionOptions,
): Promise<number> {
  let count = 0;
  let offset = segment.baseOffset;
  for await (const bytes of batchesOf(segment, segment.baseOffset, segment.endOffset)) {
    const cursor = new RecordCursor(bytes);
    while (cursor.next()) {
      if (isOutdated(bytes, cursor, cursor.batch?.idMilliseconds ?? 0, newest, options)) count++;
    }
    if (cursor.fault !== undefined || cursor.batch === undefined) return -1;
    offset = cursor.batch.nextOffset;
  }
  return offset === segment.endOffset ? count : -1;
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
    for await (const bytes of batchesOf(segment, segment.baseOffset, segment.endOffset)) {
      const cursor = new RecordCursor(bytes);
      for (let at = 0; at < bytes.length;) {
        // 1. Batch by batch, so that each keeps its range of offsets.
        const header = readBatchHeader(bytes, at);
        rewriter.begin(bytes, header);
        for (let index = 0; index < header.recordCount && cursor.next(); index++) {
          if (!isOutdated(bytes, cursor, header.idMilliseconds, newest, options)) rewriter.keep(cursor);
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

/** Runs of whole batches of a segment, one after the other. */
async function* batchesOf(
  segment: Segment,
  fromOffset: number,
  endOffset: number,
): AsyncGenerator<Uint8Array> {
  for (let offset = fromOffset; offset < endOffset;) {
    const result = await segment.read(offset, readBytes, endOffset);
    if (result.kind === "broken" || result.bytes.length === 0) return;
    yield result.bytes;
    offset = result.nextOffset;
  }
}

function keyOf(bytes: Uint8Array, cursor: RecordCursor): string {
  return keyDecoder.decode(bytes.subarray(cursor.keyStart, cursor.keyEnd));
}
