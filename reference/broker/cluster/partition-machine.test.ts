/** What a partition's machine lets readers see and lets go, and what its snapshots bring along. */
import { expect, test } from "vitest";
import type { Entry } from "../../raft/entry.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import type { LogOptions } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { settled } from "../../testing/clock.ts";
import { PartitionMachine } from "./partition-machine.ts";
import { encodeTrim } from "./partition-entry.ts";
import { decodePartitionSnapshot } from "./partition-snapshot.ts";
import { batchEntry, openPartition } from "./test-partition.ts";

/** A machine over a log of small segments in which some entries are stored; none is carried out yet. */
async function machineOver(count: number, options: Partial<LogOptions> = {}) {
  const { log } = await openPartition(new SimulatedDisk(), { segmentBytesMax: 250, ...options });
  const machine = new PartitionMachine(log, () => {});
  log.onStored = (end) => machine.stored(end);
  const entries = Array.from({ length: count }, (_, offset) => batchEntry(offset + 1, 1, offset));
  for (const { data } of entries) {
    log.replicate(data);
    await log.committed();
  }
  return { log, machine, entries };
}

const trimTo = (index: number, offset: number): Entry => {
  return { kind: "command", index, term: 1, data: encodeTrim(offset) };
};

const snapshotOf = (machine: PartitionMachine) => {
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  return { index: 9, term: 1, configuration, data: machine.save() };
};

/** Lets the disk do what it has to. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await settled();
}

test("readers see what is agreed on, however much is stored", async () => {
  const { log, machine, entries } = await machineOver(3);
  expect([log.storedEnd, log.committedEnd]).toEqual([3, 0]);
  machine.apply(entries[0]!);
  machine.applied();
  expect(log.committedEnd).toBe(1);
});

test("a trim waits for a snapshot, and never goes beyond it", async () => {
  const { log, machine, entries } = await machineOver(9);
  for (const entry of entries) machine.apply(entry);
  machine.apply(trimTo(10, 8));
  machine.applied();
  expect(machine.wantsSnapshot).toBe(true);
  let isTrimmed = false;
  void machine.trimmed().then(() => (isTrimmed = true));
  await quiet();
  expect([log.startOffset, isTrimmed]).toEqual([0, false]);
  // A snapshot that was taken earlier than the trim.
  machine.snapshotTaken(5);
  await quiet();
  expect([log.startOffset, isTrimmed]).toEqual([5, false]);
  expect(await log.trim(9)).toBe(5);
  machine.snapshotTaken(9);
  await quiet();
  expect([log.startOffset, isTrimmed]).toEqual([8, true]);
  expect(machine.wantsSnapshot).toBe(false);
});

test("retention stops at the snapshot", async () => {
  const { log, machine, entries } = await machineOver(12);
  for (const entry of entries) machine.apply(entry);
  machine.applied();
  await log.applyRetention({ retentionBytes: 1 });
  expect(log.startOffset).toBe(0);
  machine.snapshotTaken(5);
  await log.applyRetention({ retentionBytes: 1 });
  expect(log.startOffset).toBeGreaterThan(0);
  expect(log.startOffset).toBeLessThanOrEqual(5);
});

test("retention that runs while batches come in stops at the snapshot too", async () => {
  const { log } = await machineOver(12, { retention: { retentionBytes: 1 } });
  expect(log.startOffset).toBe(0);
});

test("a wish to trim beyond the end is one to trim all that there was", async () => {
  const { log, machine, entries } = await machineOver(4);
  for (const entry of entries.slice(0, 2)) machine.apply(entry);
  machine.apply(trimTo(3, 100));
  for (const entry of entries.slice(2)) machine.apply(entry);
  machine.applied();
  machine.snapshotTaken(4);
  await quiet();
  expect(log.startOffset).toBe(2);
});

test("a snapshot brings along where the log ends, the last id, the trim and the producers", async () => {
  const { machine, entries } = await machineOver(3);
  for (const entry of entries) machine.apply(entry);
  machine.apply(trimTo(4, 2));
  machine.producers.agreed.remember(77, 3, {
    sequence: 0,
    count: 5,
    baseOffset: 1,
    idMilliseconds: 1,
    idSequence: 0,
  });
  const { log, machine: other } = await machineOver(3);
  other.restore(snapshotOf(machine));
  expect(other.endOffset).toBe(3);
  expect(other.lastId).toEqual({ milliseconds: 1000, sequence: 2 });
  expect(other.producers.agreed.judge(77, 3, 0, 5)).toMatchObject({ kind: "repeated" });
  expect(log.committedEnd).toBe(3);
  expect(other.wantsSnapshot).toBe(true);
  expect(other.save()).toEqual(machine.save());
});

test("the last id is that of a batch's last record", async () => {
  const { machine } = await machineOver(0);
  const entry = batchEntry(1, 1, 0);
  // Five records, as the header says; their bytes do not matter here.
  new DataView(entry.data.buffer, entry.data.byteOffset).setUint32(48, 5);
  machine.apply(entry);
  expect(machine.lastId).toEqual({ milliseconds: 1000, sequence: 4 });
});

test("whoever reads through the leader waits until what was agreed on is stored here", async () => {
  const { log, machine } = await machineOver(0);
  const entry = batchEntry(1, 1, 0);
  machine.apply(entry);
  let isSettled = false;
  void machine.settled().then(() => (isSettled = true));
  await quiet();
  expect(isSettled).toBe(false);
  log.replicate(entry.data);
  await log.committed();
  await quiet();
  expect(isSettled).toBe(true);
});

test("nobody waits for a machine that was stopped", async () => {
  const { machine, entries } = await machineOver(2);
  for (const entry of entries) machine.apply(entry);
  machine.apply(batchEntry(3, 1, 2));
  machine.apply(trimTo(4, 2));
  const waiting = [machine.trimmed(), machine.settled()];
  machine.stop();
  expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
});

test("what was given up stays given up, whatever a later wish says", async () => {
  const { machine, entries } = await machineOver(9);
  for (const entry of entries) machine.apply(entry);
  machine.apply(trimTo(10, 7));
  machine.apply(trimTo(11, 3));
  expect(decodePartitionSnapshot(machine.save())?.trimmedTo).toBe(7);
});

test("a producer's batch counts from when it is agreed on", async () => {
  const { machine, entries } = await machineOver(1);
  machine.apply(entries[0]!);
  expect(decodePartitionSnapshot(machine.save())?.producers).toEqual([]);
  const data = encodeRecordBatch([{ value: new Uint8Array(1) }], {
    producerId: 7,
    producerEpoch: 2,
    baseSequence: 0,
  });
  machine.apply({ kind: "command", index: 2, term: 1, data });
  expect(decodePartitionSnapshot(machine.save())?.producers).toMatchObject([
    { id: 7, epoch: 2, nextSequence: 1 },
  ]);
});
