import { expect, test } from "vitest";
import type { Entry } from "../../raft/entry.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { stillClock } from "../../storage/test-log.ts";
import { recoverGroup } from "./group-recovery.ts";
import { PartitionStorage } from "./group-storage.ts";
import type { GroupRecord } from "./journal-codec.ts";
import { isBatch } from "./partition-entry.ts";
import {
  batchEntry,
  noOp,
  openPartition,
  recordOf,
  snapshotOf,
  testDirectory,
  testGroup,
} from "./test-partition.ts";

/** Writes as a follower sees them: a leader of term 1, then one of term 2 that has only the first batch. */
const writes: readonly {
  readonly term: number;
  readonly from: number;
  readonly entries: readonly Entry[];
}[] = [
  { term: 1, from: 1, entries: [noOp(1, 1), batchEntry(2, 1, 0)] },
  { term: 1, from: 3, entries: [batchEntry(3, 1, 1), batchEntry(4, 1, 2)] },
  { term: 2, from: 3, entries: [noOp(3, 2), batchEntry(4, 2, 1)] },
  { term: 2, from: 5, entries: [batchEntry(5, 2, 2)] },
  { term: 3, from: 6, entries: [batchEntry(6, 2, 3), noOp(7, 3), batchEntry(8, 3, 4)] },
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

/** Carries the writes out, all at once or each when the one before it is durable; tells how many were reported. */
async function work(
  disk: SimulatedDisk,
  isHasty: boolean,
  onReported: (count: number) => void,
): Promise<void> {
  const { log, journal } = await openPartition(disk);
  const entries: Entry[] = [];
  const offsetBehind = (index: number): number =>
    entries.slice(0, index).filter((entry) => {
      return entry.kind === "command" && isBatch(entry.data);
    }).length;
  const storage = new PartitionStorage({
    group: testGroup,
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
        const { log, journal } = await openPartition(disk.restart({ kind: "random", seed: call * 3 + seed }));
        const recovered = await recoverGroup(testGroup, log, journal);
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
        const again = await recoverGroup(testGroup, log, journal);
        expect(again).toEqual(recovered);
      }
    }
  }
});

/** Index and term of what a start finds; or what it says. */
async function recover({ log, journal }: Awaited<ReturnType<typeof openPartition>>): Promise<string> {
  const recovered = await recoverGroup(testGroup, log, journal);
  if (recovered.kind === "damaged") return recovered.problem;
  const entries = recovered.durable.entries.map(({ index, term }) => `${index}/${term}`);
  return `${entries.join(" ")}, log to ${log.endOffset}`;
}

/** A journal with these records, and a log with these batches behind `startOffset`. */
async function found(
  records: readonly GroupRecord[],
  batches: readonly (Entry & { kind: "command" })[],
  startOffset = 0,
) {
  const disk = new SimulatedDisk();
  const { log, journal } = await openPartition(disk);
  if (startOffset > 0) await log.restart(startOffset);
  for (const { data } of batches) {
    expect(log.replicate(data)).toMatchObject({ kind: "appended" });
    await log.committed();
  }
  for (const record of records) await journal.store(record);
  return { disk, log, journal };
}

/** As after a restart of the process. */
async function restarted(disk: SimulatedDisk) {
  const next = disk.restart({ kind: "everything" });
  return { disk: next, ...(await openPartition(next)) };
}

test("a batch of another term than the entry before it is not an entry, and goes", async () => {
  // The no-op that begins term 3 is not there, so what stands behind entry 3 belongs elsewhere.
  const first = recordOf({ replaceFrom: 1, entries: [noOp(1, 1)] });
  const batches = [batchEntry(2, 1, 0), batchEntry(3, 1, 1), batchEntry(5, 3, 2), batchEntry(6, 3, 3)];
  const partition = await found([first], batches);
  expect(await recover(partition)).toBe("1/1 2/1 3/1, log to 2");
  expect(await recover(await restarted(partition.disk))).toBe("1/1 2/1 3/1, log to 2");
  // Nor is one that is older.
  const later = recordOf({ term: 2, replaceFrom: 1, entries: [noOp(1, 1), noOp(3, 2)] });
  const older = await found([later], [batchEntry(2, 1, 0), batchEntry(4, 1, 1)]);
  expect(await recover(older)).toBe("1/1 2/1 3/2, log to 1");
});

test("an entry behind a hole does not count, and never will, whatever fills the hole", async () => {
  const written = [recordOf({ replaceFrom: 1, entries: [noOp(1, 1)] })];
  written.push(recordOf({ replaceFrom: 4, entries: [noOp(4, 1)] }));
  const partition = await found(written, [batchEntry(2, 1, 0)]);
  expect(await recover(partition)).toBe("1/1 2/1, log to 1");
  partition.log.replicate(batchEntry(3, 1, 1).data);
  await partition.log.committed();
  expect(await recover(await restarted(partition.disk))).toBe("1/1 2/1 3/1, log to 2");
});

test("a term and a vote come back, with entries and without", async () => {
  const vote = recordOf({ term: 7, votedFor: "n2" });
  for (const more of [[], [recordOf({ term: 7, votedFor: "n2", replaceFrom: 1, entries: [noOp(1, 3)] })]]) {
    const { log, journal } = await found([vote, ...more], []);
    const recovered = await recoverGroup(testGroup, log, journal);
    expect(recovered).toMatchObject({ kind: "recovered", durable: { term: 7, votedFor: "n2" } });
  }
});

test("records that were being fetched do not count, and what comes in their place does", async () => {
  const first = recordOf({ replaceFrom: 1, entries: [noOp(1, 1)] });
  const filling = recordOf({ term: 1, catchUpFrom: 1 });
  // They look like entries of the same term.
  const batches = [batchEntry(2, 1, 0), batchEntry(3, 1, 1), batchEntry(4, 1, 2)];
  const partition = await found([first, filling], batches);
  expect(await recover(partition)).toBe("1/1 2/1, log to 1");
  partition.log.replicate(batchEntry(3, 1, 1).data);
  await partition.log.committed();
  expect(await recover(await restarted(partition.disk))).toBe("1/1 2/1 3/1, log to 2");
});

test("a log that was beginning anew does so where the snapshot ends", async () => {
  const snapshot = recordOf({ snapshot: snapshotOf(6, 1, 5) });
  const filling = recordOf({ catchUpFrom: 0 });
  const short = await found([snapshot, filling], [batchEntry(2, 1, 0), batchEntry(3, 1, 1)]);
  expect(await recover(short)).toBe(", log to 5");
  expect(short.log.startOffset).toBe(5);
  const behind = await found([snapshot, filling], [batchEntry(9, 1, 8)], 8);
  expect(await recover(behind)).toBe(", log to 5");
  expect(behind.log.startOffset).toBe(5);
});

test("a log that was being filled, and has lost records of its own, stops the node as any other", async () => {
  const written = [recordOf({ snapshot: snapshotOf(6, 1, 5) }), recordOf({ catchUpFrom: 5 })];
  const short = await found(written, [batchEntry(2, 1, 0)]);
  expect(await recover(short)).toBe("ends at offset 1, and its snapshot says 5");
  const behind = await found(written, [batchEntry(9, 1, 8)], 8);
  expect(await recover(behind)).toBe("begins at offset 8, behind its snapshot at 5");
});

test("a log that has lost records stops the node, and says which", async () => {
  const snapshot = recordOf({ snapshot: snapshotOf(8, 1, 9) });
  expect(await recover(await found([snapshot], [batchEntry(2, 1, 0)]))).toBe(
    "ends at offset 1, and its snapshot says 9",
  );
  expect(await recover(await found([snapshot], [], 12))).toBe(
    "begins at offset 12, behind its snapshot at 9",
  );
  expect(await recover(await found([], [], 3))).toBe("begins at offset 3, behind its snapshot at 0");
  const first = recordOf({ replaceFrom: 1, entries: [noOp(1, 1)] });
  const { disk } = await found([first], [batchEntry(2, 1, 0), batchEntry(3, 1, 1), batchEntry(4, 1, 2)]);
  const [name = ""] = (await disk.list(testDirectory)).filter((file) => file.endsWith(".log"));
  disk.flipBit(`${testDirectory}/${name}`, batchEntry(2, 1, 0).data.length + 90);
  expect(await recover(await restarted(disk))).toBe("offsets 1 to 2 are damaged");
});

test("a snapshot that is none stops the node", async () => {
  const snapshot = { ...snapshotOf(8, 1, 9), data: Uint8Array.of(1, 2, 3) };
  expect(await recover(await found([recordOf({ snapshot })], []))).toBe(
    "its snapshot in the journal is no snapshot",
  );
});
