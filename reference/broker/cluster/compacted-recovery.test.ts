import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { exploreCrashPoints } from "../../simulator/disk-explore.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { Log } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { stampBatch } from "../../storage/record-batch.ts";
import { stillClock } from "../../storage/test-log.ts";
import { recoverGroup } from "./group-recovery.ts";
import { RaftJournal } from "./journal.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";

const group = { incarnation: 3, partition: 0 };
const directory = "topics/latest/0";
const batchCount = 24;
/** Offsets are one below the indexes. Within a segment, so that entries share a file with what is compacted. */
const snapshotEnd = 14;

/** Batch `offset`, which changes one of three keys. The term changes now and then. */
function batch(offset: number): Uint8Array {
  const encoder = new TextEncoder();
  const record = { key: encoder.encode(`key ${offset % 3}`), value: encoder.encode("x".repeat(100)) };
  const data = encodeRecordBatch([record]);
  const place = { baseOffset: offset, epoch: termOf(offset), idMilliseconds: 1000, idSequence: offset };
  stampBatch(data, 0, { ...place, lastOffsetDelta: 0, unsyncedBefore: 0 }, crc32);
  return data;
}

/** Terms of the entries behind the snapshot are one: a new one would begin with an entry of the journal's. */
const termOf = (offset: number): number => (offset < 5 ? 1 : offset < 9 ? 2 : 3);

async function open(disk: SimulatedDisk): Promise<{ log: Log; journal: RaftJournal }> {
  const opened = await RaftJournal.open(disk, "cluster/journal", crc32);
  if (opened.kind !== "open") throw new Error(opened.problem);
  const log = await Log.open({
    disk,
    directory,
    clock: stillClock,
    fsync: "always",
    segmentBytesMax: 1000,
    scan: "all",
  });
  return { log, journal: opened.journal };
}

/** What a start finds: the entries, and which records are left. */
async function recovered(disk: SimulatedDisk): Promise<{ entries: string[]; log: Log }> {
  const { log, journal } = await open(disk);
  const found = await recoverGroup(group, log, journal);
  if (found.kind === "damaged") throw new Error(found.problem);
  const { entries, snapshot } = found.durable;
  if (snapshot?.index !== snapshotEnd) throw new Error(`a snapshot to ${snapshot?.index}`);
  return { log, entries: entries.map(({ index, term, kind }) => `${index}/${term} ${kind}`) };
}

test("a start finds all entries behind the snapshot, whenever compaction is interrupted", async () => {
  const start = new SimulatedDisk();
  await start.makeDirectory("cluster");
  await start.makeDirectory(directory);
  for (const path of ["", "topics", "topics/latest"]) await start.syncDirectory(path);
  const before = await open(start);
  for (let offset = 0; offset < batchCount; offset++) {
    expect(before.log.replicate(batch(offset)).kind).toBe("appended");
    await before.log.committed();
  }
  const data = encodePartitionSnapshot({ ...emptyPartition, endOffset: snapshotEnd });
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  const snapshot = { index: snapshotEnd, term: termOf(snapshotEnd - 1), configuration, data };
  const rest = { votedFor: undefined, replaceFrom: undefined, entries: [], catchUpFrom: undefined };
  await before.journal.store({ kind: "write", group, term: 3, snapshot, ...rest });
  await before.log.close();
  await before.journal.close();

  const expected = Array.from(
    { length: batchCount - snapshotEnd },
    (_, at) => `${snapshotEnd + 1 + at}/3 command`,
  );
  expect((await recovered(start.restart({ kind: "nothing" }))).entries).toEqual(expected);
  let removed = 0;
  const explored = await exploreCrashPoints(
    {
      start,
      makeNotes: () => undefined,
      run: async (disk) => {
        const { log } = await recovered(disk);
        log.keptFrom = snapshotEnd;
        removed = (await log.compact()).recordsRemoved;
        await log.close();
      },
      check: async (disk) => {
        const { entries, log } = await recovered(disk);
        if (entries.join() !== expected.join()) throw new Error(`entries ${entries.join(", ")}`);
        if (log.damage.length > 0 || log.startOffset > 0) throw new Error(JSON.stringify(log.damage));
        if (log.endOffset !== batchCount) throw new Error(`the log ends at ${log.endOffset}`);
      },
    },
    { exhaustiveCallsMax: 100, outcomes: 2 },
  );
  expect(removed).toBeGreaterThan(3);
  expect(explored.checks).toBeGreaterThan(50);
});
