/** A node that is filling its log from another one, and loses its power or a piece of its disk in the middle. */
import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { RaftLog } from "../../raft/log.ts";
import type { SnapshotRequest } from "../../raft/messages.ts";
import type { Raft } from "../../raft/state.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { stillClock } from "../../storage/test-log.ts";
import { CatchUp } from "./catch-up.ts";
import { recoverGroup } from "./group-recovery.ts";
import { PartitionStorage } from "./group-storage.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";
import { batchEntry, noOp, openPartition, recordOf, snapshotOf, testDirectory } from "./test-partition.ts";
import { testGroup } from "./test-partition.ts";

/** Own records to 6, of which a snapshot covers 3; the leader's snapshot says 12. */
const ownEnd = 6;
const snapshotEnd = 3;
const leaderEnd = 12;
/** Two records in each segment; or all of them in one, which a start reads. */
type Segments = { readonly segmentBytesMax: number };
const small: Segments = { segmentBytesMax: 256 };
const large: Segments = { segmentBytesMax: 65_536 };

/** A disk with the node's own records, all safe. */
async function ownDisk(segments: Segments): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const { log, journal } = await openPartition(disk, segments);
  for (let offset = 0; offset < ownEnd; offset++) {
    log.replicate(batchEntry(offset + 2, 1, offset).data);
    await log.committed();
  }
  await journal.store(recordOf({ replaceFrom: 1, entries: [noOp(1, 1)] }));
  await journal.store(recordOf({ snapshot: snapshotOf(snapshotEnd + 1, 1, snapshotEnd) }));
  return disk;
}

/** Fetches what a leader has from `leaderStart` on, until that is done or the disk has crashed. */
async function catchUp(disk: SimulatedDisk, segments: Segments, leaderStart: number): Promise<void> {
  const { log, journal } = await openPartition(disk, segments);
  const recovered = await recoverGroup(testGroup, log, journal);
  if (recovered.kind === "damaged") throw new Error(recovered.problem);
  const storage = new PartitionStorage({
    group: testGroup,
    log,
    journal,
    clock: stillClock,
    term: 1,
    votedFor: undefined,
    lastIndex: ownEnd + 1,
    offsetBehind: () => ownEnd,
    agreedEnd: () => snapshotEnd,
    onSnapshot: () => {},
    onFailed: () => {},
  });
  const raft: Partial<Raft> = { log: new RaftLog(), term: 1, commitIndex: ownEnd + 1, incoming: undefined };
  const working = new CatchUp({
    log,
    clock: stillClock,
    checksum: crc32,
    storage,
    state: () => raft as Raft,
    offsetBehind: () => ownEnd,
    source: () => ({
      fetch: async ({ offset }) => {
        const batches = offset < leaderStart ? new Uint8Array(0) : batchEntry(offset + 2, 1, offset).data;
        const said = { safeEnd: 0, tombstonesGoneTo: 0, tombstoneRounds: 0 };
        return { startOffset: leaderStart, ...said, batches };
      },
    }),
    name: { topic: "orders", ...testGroup },
    onFailed: () => {},
  });
  const data = encodePartitionSnapshot({ ...emptyPartition, endOffset: leaderEnd });
  const rest = {
    configuration: { voters: [], oldVoters: [], learners: [] },
    round: 1,
    sentAtMs: 0,
    offset: 0,
  };
  const place = { from: "n2", to: "n1", term: 1, index: 30, lastTerm: 1, isLast: true } as const;
  const piece: SnapshotRequest = { kind: "snapshot-request", ...place, ...rest, data };
  for (let turn = 0; turn < 400 && !disk.isCrashed; turn++) {
    if (working.admit(piece)?.isLast === true) return;
    for (let step = 0; step < 100; step++) await Promise.resolve();
  }
}

/** What a start says and finds: the first and last offset of the log, and how many records can be read. */
async function start(disk: SimulatedDisk, segments: Segments) {
  const { log, journal } = await openPartition(disk, segments);
  const recovered = await recoverGroup(testGroup, log, journal);
  if (recovered.kind === "damaged") return recovered.problem;
  let readTo = log.startOffset;
  while (readTo < log.endOffset) {
    const read = await log.read(readTo, 2 ** 20);
    if (read.kind !== "records") break;
    readTo = read.nextOffset;
  }
  return { startOffset: log.startOffset, endOffset: log.endOffset, readTo };
}

/** Runs a catch-up that ends at each call of the disk, one after the other, and what comes of it. */
async function atEachCall(
  segments: Segments,
  leaderStart: number,
  look: (disk: SimulatedDisk, call: number) => Promise<void>,
) {
  const kept = await ownDisk(segments);
  for (let call = 0, calls = 1; call < calls; call++) {
    for (const seed of [1, 2, 3]) {
      const when = seed % 2 === 0 ? "before" : "after";
      const plan = { faults: [{ call, kind: "crash", when }] } as const;
      const disk = kept.restart({ kind: "everything" }, plan);
      await Promise.race([catchUp(disk, segments, leaderStart), disk.crashed]);
      if (disk.isCrashed) calls = call + 2;
      await look(disk.restart({ kind: "random", seed: call * 3 + seed }), call);
    }
  }
}

/** Where a log begins, and how far it can be read. */
async function fetched(disk: SimulatedDisk): Promise<readonly number[]> {
  const { log } = await openPartition(disk, large);
  let readTo = log.startOffset;
  for (let end = -1; readTo !== end;) {
    end = readTo;
    const read = await log.read(readTo, 2 ** 20);
    if (read.kind === "records") readTo = read.nextOffset;
  }
  return [log.startOffset, readTo];
}

test.each([
  ["all that is missing", 0, small],
  ["all that is missing", 0, large],
  ["only what is behind all of its own", 9, small],
])("a node that loses power while it fetches %s starts, and catches up", async (_, leaderStart, segments) => {
  await atEachCall(segments, leaderStart, async (disk, call) => {
    const found = await start(disk, segments);
    if (typeof found === "string") throw new Error(`call ${call}: ${found}`);
    expect(found.readTo, `call ${call}`).toBe(found.endOffset);
    expect(found.endOffset, `call ${call}`).toBeGreaterThanOrEqual(snapshotEnd);
    // What others keep it has still.
    if (leaderStart === 0) expect(found.startOffset, `call ${call}`).toBe(0);
    const again = disk.restart({ kind: "everything" });
    await catchUp(again, segments, leaderStart);
    const { log } = await openPartition(again.restart({ kind: "everything" }), segments);
    expect([log.startOffset <= leaderStart, log.endOffset], `call ${call}`).toEqual([true, leaderEnd]);
  });
});

test("a node that loses power and a record of its own while it fetches others says so, and never begins behind it", async () => {
  let damaged = 0;
  await atEachCall(large, 0, async (disk, call) => {
    const [first] = (await disk.list(testDirectory)).filter((file) => file.endsWith(".log")).toSorted();
    disk.flipBit(`${testDirectory}/${first}`, batchEntry(2, 1, 0).data.length + 90);
    const found = await start(disk, large);
    expect(found, `call ${call}`).toBe("offsets 1 to 2 are damaged");
    damaged++;
  });
  expect(damaged).toBeGreaterThan(10);
});

test("damage behind its own records goes with what was being fetched, which is asked for again", async () => {
  const disk = await ownDisk(large);
  const { log, journal } = await openPartition(disk, large);
  await journal.store(recordOf({ catchUpFrom: ownEnd }));
  for (let offset = ownEnd; offset < leaderEnd; offset++) {
    log.replicate(batchEntry(offset + 2, 1, offset).data);
    await log.committed();
  }
  const broken = disk.restart({ kind: "everything" });
  const [first] = (await broken.list(testDirectory)).filter((file) => file.endsWith(".log"));
  broken.flipBit(`${testDirectory}/${first}`, 7 * batchEntry(2, 1, 0).data.length + 90);
  const { readTo, ...ends } = (await start(broken, large)) as Exclude<
    Awaited<ReturnType<typeof start>>,
    string
  >;
  expect([ends, readTo]).toEqual([{ startOffset: 0, endOffset: ownEnd }, ownEnd]);
  const again = broken.restart({ kind: "everything" });
  await catchUp(again, large, 0);
  expect(await fetched(again.restart({ kind: "everything" }))).toEqual([0, leaderEnd]);
});
