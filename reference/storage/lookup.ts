/**
 * From a time or a record id to an offset: by halving, over nothing but reads.
 *
 * Ids rise with the offsets, so any batch says in which half the wanted id lies. Times do not rise with the offsets: a
 * producer's clock may be behind, or a batch may wait. The first record that is at least as late as t can only be
 * found through the running maximum that the index keeps (sparse-index.ts), and a walk from there.
 */
import { readBatchHeader, type BatchHeader } from "./record-batch.ts";
import { RecordCursor } from "./record-cursor.ts";
import { compareRecordIds, type RecordId } from "./record-id.ts";

/** Reads whole batches from the one that holds an offset, or says where reading can go on. */
export type ReadBatches = (
  offset: number,
  maxBytes: number,
) => Promise<{ readonly bytes: Uint8Array } | { readonly continueAt: number }>;

/** How much a walk reads at once. */
const walkBytes = 64 * 1024;

/** The first offset in [startOffset, endOffset) whose record has an id of at least `id`; `endOffset` if none has. */
export async function findOffsetOfId(
  read: ReadBatches,
  startOffset: number,
  endOffset: number,
  id: RecordId,
): Promise<number> {
  let low = startOffset;
  let high = endOffset;
  // Records before `low` have smaller ids, records from `high` on do not.
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const found = await read(middle, 1);
    if ("continueAt" in found) {
      // Damaged: the question goes to what comes before it, or else to what comes after.
      const before = await findOffsetOfId(read, low, middle, id);
      if (before < middle) return before;
      low = Math.max(middle + 1, found.continueAt);
      continue;
    }
    if (found.bytes.length === 0) return endOffset;
    const header = readBatchHeader(found.bytes, 0);
    if (compareRecordIds(idAt(header, header.nextOffset - 1), id) < 0) low = header.nextOffset;
    else if (compareRecordIds(idAt(header, header.baseOffset), id) >= 0)
      high = Math.min(high, header.baseOffset);
    // Within the batch, ids follow the offsets one by one.
    else return header.baseOffset + (id.sequence - header.idSequence);
  }
  return Math.min(Math.max(low, startOffset), endOffset);
}

/** The first offset from `fromOffset` on whose record is not older than `timestampMs`; `endOffset` if none is. */
export async function findOffsetOfTime(
  read: ReadBatches,
  fromOffset: number,
  endOffset: number,
  timestampMs: number,
): Promise<number> {
  let offset = fromOffset;
  while (offset < endOffset) {
    const found = await read(offset, walkBytes);
    if ("continueAt" in found) {
      offset = Math.max(offset + 1, found.continueAt);
      continue;
    }
    if (found.bytes.length === 0) break;
    const cursor = new RecordCursor(found.bytes, { fromOffset: offset });
    while (cursor.next()) {
      if (cursor.timestampMs >= timestampMs) return cursor.offset;
    }
    if (cursor.batch === undefined || cursor.fault !== undefined) break;
    offset = cursor.batch.nextOffset;
  }
  return endOffset;
}

function idAt(header: BatchHeader, offset: number): RecordId {
  return { milliseconds: header.idMilliseconds, sequence: header.idSequence + (offset - header.baseOffset) };
}
