/**
 * Stand-ins: batches without records, which compaction leaves where all records went, so that batches still tile the
 * offsets. One may stand for many batches that were there before; a replica that has some of these takes the rest.
 */
import { setUint32, setUint53 } from "./integers.ts";
import { batchHeaderBytes, batchLayout, readBatchHeader } from "./record-batch.ts";

/**
 * What the stand-in at the start of `batch` says about offsets from `from` on and before `to`, some of which it stands
 * for. Its header's checksum is left to the log that stores it.
 */
export function cutStandIn(batch: Uint8Array, from: number, to: number): Uint8Array {
  const { baseOffset, nextOffset, idSequence } = readBatchHeader(batch, 0);
  const first = Math.max(from, baseOffset);
  const cut = batch.slice(0, batchHeaderBytes);
  setUint53(cut, batchLayout.baseOffset, first);
  setUint32(cut, batchLayout.lastOffsetDelta, Math.min(to, nextOffset) - first - 1);
  setUint32(cut, batchLayout.idSequence, idSequence + (first - baseOffset));
  return cut;
}
