/** How a leader judges a producer's batches by what is agreed on and by what is on its way. */
import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { stampBatch } from "../../storage/record-batch.ts";
import { PendingProducers } from "./pending-producers.ts";

/** One record of a producer, at the offset of its sequence number. */
function batch(baseSequence: number, producerId = 7): Uint8Array {
  const bytes = encodeRecordBatch([{ value: new Uint8Array(1) }], {
    producerId,
    producerEpoch: 0,
    baseSequence,
  });
  const ids = { idMilliseconds: 1, idSequence: baseSequence };
  const stamp = { baseOffset: baseSequence, epoch: 1, ...ids, lastOffsetDelta: 0, unsyncedBefore: 0 };
  stampBatch(bytes, 0, stamp, crc32);
  return bytes;
}

const verdicts = (producers: PendingProducers, ...sequences: number[]): string[] =>
  sequences.map((sequence) => producers.judge(batch(sequence)).kind);

test("what is on its way counts, one batch after the other, until it is agreed on", () => {
  const producers = new PendingProducers();
  expect(verdicts(producers, 0, 1)).toEqual(["new", "gap"]);
  for (const sequence of [0, 1, 2]) producers.proposed(batch(sequence));
  expect(verdicts(producers, 0, 2, 3, 4)).toEqual(["repeated", "repeated", "new", "gap"]);
  for (const sequence of [0, 1, 2]) {
    producers.committed(batch(sequence));
    expect(verdicts(producers, 0, 2, 3, 4), `after ${sequence}`).toEqual([
      "repeated",
      "repeated",
      "new",
      "gap",
    ]);
  }
});

test("what was on its way and came to nothing is forgotten, and what was agreed on is not", () => {
  const producers = new PendingProducers();
  for (const sequence of [0, 1, 2]) producers.proposed(batch(sequence));
  producers.committed(batch(0));
  producers.clear();
  expect(verdicts(producers, 0, 1, 2)).toEqual(["repeated", "new", "gap"]);
  // Another leader had batch 1 agreed on; then this one leads again.
  producers.committed(batch(1));
  producers.proposed(batch(2));
  expect(verdicts(producers, 1, 2, 3)).toEqual(["repeated", "repeated", "new"]);
});

test("each producer counts for itself, and who has no name is never judged", () => {
  const producers = new PendingProducers();
  producers.proposed(batch(0, 8));
  expect(verdicts(producers, 0, 1)).toEqual(["new", "gap"]);
  producers.proposed(batch(5, 0));
  producers.committed(batch(5, 0));
  expect(producers.judge(batch(3, 0)).kind).toBe("new");
});

test("a producer with nothing on its way is judged by what is agreed on alone", () => {
  const producers = new PendingProducers();
  for (const sequence of [0, 1]) producers.proposed(batch(sequence));
  for (const sequence of [0, 1]) producers.committed(batch(sequence));
  producers.agreed.load([]);
  expect(verdicts(producers, 0)).toEqual(["new"]);
});
