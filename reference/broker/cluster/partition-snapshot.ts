/**
 * A snapshot of a partition's group: where its log was, and which producers had sent what. It holds no records:
 * those stay in the log, and a node that lacks them fetches them from another node's segments.
 *
 * ```
 * | end 8 | trimmed 8 | id milliseconds 8 | id sequence 4 | producers 4 | producer … |
 * producer: | id 8 | epoch 2 | next sequence 4 | batches 1 | batch … |
 * batch:    | sequence 4 | count 4 | offset 8 | id milliseconds 8 | id sequence 4 |
 * ```
 *
 * Fields of 8 bytes are kept one higher, as all numbers of the cluster are (FORMAT.md).
 */
import type { RecordId } from "../../storage/record-id.ts";
import { ByteReader, ByteWriter } from "../../protocol/primitives.ts";
import type { RememberedBatch, SavedProducer } from "../producer-table.ts";
import { finish, putNumber, readNumber } from "./raft-codec.ts";

/** The state of a partition behind some entry of its group. */
export interface PartitionSnapshot {
  /** The offset behind the last record. */
  readonly endOffset: number;
  /** Records before this offset were given up on request, on all nodes. */
  readonly trimmedTo: number;
  /** The id of the last record. */
  readonly lastId: RecordId;
  readonly producers: readonly SavedProducer[];
}

/** What a group without a snapshot begins with. */
export const emptyPartition: PartitionSnapshot = {
  endOffset: 0,
  trimmedTo: 0,
  lastId: { milliseconds: 0, sequence: 0 },
  producers: [],
};

export function encodePartitionSnapshot(snapshot: PartitionSnapshot): Uint8Array {
  const { endOffset, trimmedTo, lastId, producers } = snapshot;
  const to = new ByteWriter();
  putNumber(to, endOffset);
  putNumber(to, trimmedTo);
  putNumber(to, lastId.milliseconds);
  to.uint32(lastId.sequence);
  to.uint32(producers.length);
  for (const { id, epoch, nextSequence, batches } of producers) {
    putNumber(to, id);
    to.uint16(epoch);
    to.uint32(nextSequence);
    to.uint8(batches.length);
    for (const batch of batches) {
      to.uint32(batch.sequence);
      to.uint32(batch.count);
      putNumber(to, batch.baseOffset);
      putNumber(to, batch.idMilliseconds);
      to.uint32(batch.idSequence);
    }
  }
  return finish(to);
}

/** The snapshot again; undefined when the bytes are none. */
export function decodePartitionSnapshot(bytes: Uint8Array): PartitionSnapshot | undefined {
  const input = new ByteReader(bytes);
  const endOffset = readNumber(input);
  const trimmedTo = readNumber(input);
  const lastId = { milliseconds: readNumber(input), sequence: input.uint32() };
  const producers: SavedProducer[] = [];
  for (let left = input.uint32(); left > 0 && input.failure === undefined; left--) {
    const producer = { id: readNumber(input), epoch: input.uint16(), nextSequence: input.uint32() };
    const batches: RememberedBatch[] = [];
    for (let count = input.uint8(); count > 0 && input.failure === undefined; count--) {
      batches.push({
        sequence: input.uint32(),
        count: input.uint32(),
        baseOffset: readNumber(input),
        idMilliseconds: readNumber(input),
        idSequence: input.uint32(),
      });
    }
    producers.push({ ...producer, batches });
  }
  const isWhole = input.failure === undefined && input.remaining === 0 && Math.min(endOffset, trimmedTo) >= 0;
  return isWhole ? { endOffset, trimmedTo, lastId, producers } : undefined;
}
