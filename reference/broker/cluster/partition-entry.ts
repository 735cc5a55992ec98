/**
 * What stands in the entries of a partition's group: record batches, as the leader has numbered them, and now and
 * then a wish to give up old records.
 *
 * An entry says by itself which of the two it is: a batch begins with its length, which is never 0.
 *
 * ```
 * batch:  | length 4 | baseOffset 8 | epoch 4 | …       (storage/record-batch.ts)
 * trim:   | 0 4      | before 8     |
 * ```
 */
import type { Entry } from "../../raft/entry.ts";
import { getUint32, getUint53, setUint53 } from "../../storage/integers.ts";

/** Whether the data of a command is a batch: that lies in the partition's log and nowhere else. */
export function isBatch(data: Uint8Array): boolean {
  return getUint32(data, 0) !== 0;
}

/** The batches among some entries. */
export function batchesIn(entries: readonly Entry[]): Uint8Array[] {
  return entries.flatMap((entry) => (entry.kind === "command" && isBatch(entry.data) ? [entry.data] : []));
}

/** What of some entries stands in the journal. */
export function othersIn(entries: readonly Entry[]): Entry[] {
  return entries.filter((entry) => entry.kind !== "command" || !isBatch(entry.data));
}

/** Bytes of a trim; no batch has so few. */
export const trimBytes = 12;

/** The wish that records before an offset be gone. */
export function encodeTrim(beforeOffset: number): Uint8Array {
  const bytes = new Uint8Array(trimBytes);
  setUint53(bytes, 4, beforeOffset);
  return bytes;
}

/** The offset of a command that is no batch. */
export function trimOffset(data: Uint8Array): number {
  return getUint53(data, 4);
}
