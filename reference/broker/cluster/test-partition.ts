/** What the tests of a partition's group share: its log and its node's journal on one disk, and entries for them. */
import { crc32 } from "#reference/base/crc32.ts";
import type { Entry } from "../../raft/entry.ts";
import type { Disk } from "../../ports.ts";
import type { LogOptions } from "../../storage/log.ts";
import { Log } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { stampBatch } from "../../storage/record-batch.ts";
import { stillClock } from "../../storage/test-log.ts";
import type { GroupRecord } from "./journal-codec.ts";
import { RaftJournal } from "./journal.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";

/** The group under test. */
export const testGroup = { incarnation: 3, partition: 0 };

/** Where its log is. */
export const testDirectory = "topics/orders/0";

/** Opens the log and the journal, and makes them where they are not. */
export async function openPartition(
  disk: Disk,
  options: Partial<LogOptions> = {},
): Promise<{ readonly log: Log; readonly journal: RaftJournal }> {
  await disk.makeDirectory("cluster");
  await disk.makeDirectory(testDirectory);
  for (const path of ["", "topics", "topics/orders"]) await disk.syncDirectory(path);
  const opened = await RaftJournal.open(disk, "cluster/journal", crc32);
  if (opened.kind !== "open") throw new Error(opened.problem);
  const log = await Log.open({
    disk,
    directory: testDirectory,
    clock: stillClock,
    fsync: "always",
    ...options,
  });
  return { log, journal: opened.journal };
}

/** An entry of one record, as a leader of `term` has numbered it. */
export function batchEntry(index: number, term: number, offset: number): Entry & { kind: "command" } {
  const data = encodeRecordBatch([{ value: new TextEncoder().encode(`${index}/${term}`) }]);
  const ids = { idMilliseconds: 1000, idSequence: offset };
  const stamp = { baseOffset: offset, epoch: term, ...ids, lastOffsetDelta: 0, unsyncedBefore: 0 };
  stampBatch(data, 0, stamp, crc32);
  return { kind: "command", index, term, data };
}

/** An entry that stands in the journal. */
export function noOp(index: number, term: number): Entry {
  return { kind: "no-op", index, term };
}

/** A record of the group that says nothing but this. */
export function recordOf(change: Partial<GroupRecord>): GroupRecord {
  const nothing = { votedFor: undefined, snapshot: undefined, replaceFrom: undefined, entries: [] };
  return { kind: "write", group: testGroup, term: 1, ...nothing, catchUpFrom: undefined, ...change };
}

/** A snapshot of the group to an entry, with the log at an offset. */
export function snapshotOf(index: number, term: number, endOffset: number) {
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  const data = encodePartitionSnapshot({ ...emptyPartition, endOffset });
  return { index, term, configuration, data };
}
