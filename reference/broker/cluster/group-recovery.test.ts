import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import type { Entry } from "../../raft/entry.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { Log } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { stampBatch } from "../../storage/record-batch.ts";
import { stillClock } from "../../storage/test-log.ts";
import { recoverGroup } from "./group-recovery.ts";
import { PartitionStorage } from "./group-storage.ts";
import { RaftJournal } from "./journal.ts";
import { isBatch } from "./partition-entry.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";

const group = { incarnation: 3, partition: 0 };
const directory = "topics/orders/0";

function batch(index: number, term: number, offset: number): Entry {
  const data = encodeRecordBatch([{ value: new TextEncoder().encode(`${index}/${term}`) }]);
  const ids = { idMilliseconds: 1000, idSequence: offset };
  stampBatch(
    data,
    0,
    { baseOffset: offset, epoch: term, ...ids, lastOffsetDelta: 0, unsyncedBefore: 0 },
    crc32,
  );
  return { kind: "command", index, term, data };
}

const noOp = (index: number, term: number): Entry => ({ kind: "no-op", index, term });

/** Writes as a follower sees them: a leader of term 1, then one of term 2 that has only the first batch. */
const writes: readonly {
  readonly term: number;
  readonly from: number;
  readonly entries: readonly Entry[];
}[] = [
  { term: 1, from: 1, entries: [noOp(1, 1), batch(2, 1, 0)] },
  { term: 1, from: 3, entries: [batch(3, 1, 1), batch(4, 1, 2)] },
  { term: 2, from: 3, entries: [noOp(3, 2), batch(4, 2, 1)] },
  { term: 2, from: 5, entries: [batch(5, 2, 2)] },
  { term: 3, from: 6, entries: [batch(6, 2, 3), noOp(7, 3), batch(8, 3, 4)] },
];

/** What a log is after some of the writes, as index and term. */
function after(count: number): string[] {
  const log: Entry[] = [];
  for (const { from, entries } of writes.slice(0, count)) {
    log.length = from - 1;
    log.push(...entries);
  }
  return log.map(({ index, term }) => `${index}/${term}`);
}

async function open(disk: SimulatedDisk) {
  await disk.makeDirectory("cluster");
  await disk.makeDirectory(directory);
  for (const path of ["", "topics", "topics/orders"]) await disk.syncDirectory(path);
  const opened = await RaftJournal.open(disk, "cluster/journal", crc32);
  if (opened.kind !== "open") throw new Error(opened.problem);
  const log = await Log.open({ disk, directory, clock: stillClock, fsync: "always" });
  return { log, journal: opened.journal };
}

/** Carries the writes out, all at once or each when the one before it is durable; tells how many were reported. */
async function work(
  disk: SimulatedDisk,
  isHasty: boolean,
  onReported: (count: number) => void,
): Promise<void> {
  const { log, journal } = await open(disk);
  const entries: Entry[] = [];
  const offsetBehind = (index: number): number =>
    entries.slice(0, index).filter((entry) => {
      return entry.kind === "command" && isBatch(entry.data);
    }).length;
  const storage = new PartitionStorage({
    group,
    log,
    journal,
    clock: stillClock,
    term: 0,
    votedFor: undefined,
    lastIndex: 0,
    offsetBehind,
    agreedEnd: () => 0,
    onSnapshot: () => {},
    onFailed: () => {},
  });
  log.onStored = (end) => storage.stored(end);
  for (const [place, { term, from, entries: added }] of writes.entries()) {
    entries.length = from - 1;
    entries.push(...added);
    const write = { number: place + 1, term, votedFor: undefined, snapshot: undefined, replaceFrom: from };
    const durable = new Promise<void>((resolve) => {
      storage.persist({ ...write, entries: added }, () => {
        onReported(place + 1);
        resolve();
      });
    });
    if (!isHasty || place === writes.length - 1) await durable;
  }
}

test("after a power loss at any call the log holds all that was reported, and is one that there was", async () => {
  for (const isHasty of [false, true]) {
    let calls = 0;
    for (let call = 0; call <= calls || call < 10; call++) {
      for (const seed of [1, 2, 3]) {
        const disk = new SimulatedDisk({
          faults: [{ call, kind: "crash", when: seed % 2 === 0 ? "before" : "after" }],
        });
        let reported = 0;
        await Promise.race([work(disk, isHasty, (count) => (reported = count)), disk.crashed]);
        if (disk.isCrashed) calls = call + 1;
        const { log, journal } = await open(disk.restart({ kind: "random", seed: call * 3 + seed }));
        const recovered = await recoverGroup(group, log, journal);
        if (recovered.kind !== "recovered") throw new Error(recovered.problem);
        const found = recovered.durable.entries.map(({ index, term }) => `${index}/${term}`);
        // Behind what was reported there may be a part of what was under way, up to the place that it was cut to.
        const possible = Array.from({ length: writes.length - reported + 1 }, (_, more) =>
          after(reported + more),
        );
        const isPart = possible.some((whole, more) => {
          const least = more === 0 ? whole.length : (writes[reported + more - 1]?.from ?? 1) - 1;
          return (
            found.length >= Math.min(least, whole.length) && found.every((name, at) => name === whole[at])
          );
        });
        const isCut = (writes[reported]?.from ?? 1) - 1 === found.length;
        expect(isPart || isCut, `call ${call}, ${reported} reported: ${found.join(" ")}`).toBe(true);
        // A second start finds the same.
        const again = await recoverGroup(group, log, journal);
        expect(again).toEqual(recovered);
      }
    }
  }
});

test("a log that has lost records stops the node", async () => {
  const disk = new SimulatedDisk();
  await work(disk, false, () => {});
  const { log, journal } = await open(disk);
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  const rest = { term: 3, votedFor: undefined, replaceFrom: undefined, entries: [], catchUpFrom: undefined };
  const data = encodePartitionSnapshot({ ...emptyPartition, endOffset: 9 });
  await journal.store({
    kind: "write",
    group,
    ...rest,
    snapshot: { index: 8, term: 3, configuration, data },
  });
  expect(await recoverGroup(group, log, journal)).toEqual({
    kind: "damaged",
    problem: "ends at offset 5, and its snapshot says 9",
  });
});
