/** In which order a partition's group reaches the disk, and what happens when it does not. */
import { expect, test } from "vitest";
import type { Write } from "../../raft/effects.ts";
import type { Entry } from "../../raft/entry.ts";
import { DiskError } from "../../ports.ts";
import type { DiskCall, DiskPlan } from "../../simulator/disk.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { VirtualClock, settled } from "../../testing/clock.ts";
import { nextOffsetAt } from "../../storage/record-batch.ts";
import { PartitionStorage } from "./group-storage.ts";
import { isBatch } from "./partition-entry.ts";
import { batchEntry, noOp, openPartition, snapshotOf, testGroup } from "./test-partition.ts";

/** A storage, and what became of what it was given. */
class Bench {
  readonly disk: SimulatedDisk;
  readonly storage: PartitionStorage;
  readonly log: Awaited<ReturnType<typeof openPartition>>["log"];
  readonly journal: Awaited<ReturnType<typeof openPartition>>["journal"];
  /** Writes that are durable, and other news, in order. */
  readonly events: string[] = [];
  /** The group's entries, as Raft has them. */
  #entries: Entry[] = [];
  #count = 0;

  static async open(plan: DiskPlan = {}): Promise<Bench> {
    const disk = new SimulatedDisk();
    const opened = await openPartition(disk);
    disk.replan(plan);
    return new Bench(disk, opened);
  }

  private constructor(disk: SimulatedDisk, { log, journal }: Awaited<ReturnType<typeof openPartition>>) {
    this.disk = disk;
    this.log = log;
    this.journal = journal;
    this.storage = new PartitionStorage({
      group: testGroup,
      log,
      journal,
      clock: new VirtualClock(),
      term: 1,
      votedFor: undefined,
      lastIndex: 0,
      offsetBehind: (index) => {
        const last = this.#entries.findLast((entry) => {
          return entry.index <= index && entry.kind === "command" && isBatch(entry.data);
        });
        return last?.kind === "command" ? nextOffsetAt(last.data, 0) : 0;
      },
      agreedEnd: () => 0,
      onSnapshot: (endOffset) => void this.events.push(`snapshot to ${endOffset}`),
      onFailed: (error) => void this.events.push(`failed: ${String(error)}`),
    });
    log.onStored = (end) => this.storage.stored(end);
  }

  /** Hands a write in, with entries from `from` on; the term is that of the group. */
  persist(change: Partial<Write> & { readonly from?: number }): void {
    const { from, entries = [], ...rest } = change;
    const replaceFrom = from ?? rest.replaceFrom;
    const number = ++this.#count;
    const nothing = { term: 1, votedFor: undefined, snapshot: undefined };
    const write = { ...nothing, ...rest, number, replaceFrom, entries };
    // The storage asks for places in the group as it was before the write's entries.
    if (replaceFrom !== undefined) this.#entries = this.#entries.filter(({ index }) => index < replaceFrom);
    this.storage.persist(write, () => void this.events.push(`write ${number}`));
    this.#entries.push(...entries);
  }

  /** What the journal says of the group. */
  get stored() {
    return this.journal.state.groups.get("3/0");
  }

  /** Waits for the disk. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 40; turn++) await settled();
  }
}

/** Holds the syncs of files whose path has `part` until it is released. */
function held(part: string): { readonly plan: DiskPlan; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const gate = ({ operation, path }: DiskCall): Promise<void> | undefined =>
    operation === "sync" && path.includes(part) ? promise : undefined;
  return { plan: { gate }, release: resolve };
}

test("a vote is in the journal before it is reported, and so is a change of the term", async () => {
  for (const change of [{ votedFor: "n2" }, { term: 2 }]) {
    const { plan, release } = held("journal");
    const bench = await Bench.open(plan);
    bench.persist(change);
    await bench.quiet();
    expect(bench.events).toEqual([]);
    release();
    await bench.quiet();
    expect(bench.events).toEqual(["write 1"]);
    expect(bench.stored).toMatchObject(change);
  }
});

test("a batch is in the log before it is reported, and needs nothing of the journal", async () => {
  const { plan, release } = held("topics");
  const bench = await Bench.open(plan);
  bench.persist({ from: 1, entries: [batchEntry(1, 1, 0)] });
  await bench.quiet();
  expect(bench.events).toEqual([]);
  release();
  await bench.quiet();
  expect(bench.events).toEqual(["write 1"]);
  expect(bench.stored).toBeUndefined();
});

test("a batch does not overtake what was handed in before it", async () => {
  const { plan, release } = held("journal");
  const bench = await Bench.open(plan);
  bench.persist({ from: 1, entries: [noOp(1, 1)] });
  bench.persist({ from: 2, entries: [batchEntry(2, 1, 0)] });
  await bench.quiet();
  expect(bench.log.endOffset).toBe(0);
  release();
  await bench.quiet();
  expect(bench.events).toEqual(["write 1", "write 2"]);
  expect(bench.log.endOffset).toBe(1);
});

test("what is replaced goes from log and journal, also when only batches come in its place", async () => {
  const bench = await Bench.open();
  bench.persist({ from: 1, entries: [noOp(1, 1), batchEntry(2, 1, 0)] });
  bench.persist({ term: 2, from: 3, entries: [noOp(3, 2), batchEntry(4, 2, 1)] });
  bench.persist({ term: 3 });
  await bench.quiet();
  expect(bench.stored?.entries.map(({ index }) => index)).toEqual([1, 3]);
  // The leader of term 3 has a batch of term 1 there.
  bench.persist({ term: 3, from: 3, entries: [batchEntry(3, 1, 1)] });
  await bench.quiet();
  expect(bench.events).toEqual(["write 1", "write 2", "write 3", "write 4"]);
  expect(bench.stored?.entries.map(({ index }) => index)).toEqual([1]);
  expect(bench.log.endOffset).toBe(2);
});

test("a snapshot is stored when its records are, and only then may old records go", async () => {
  const { plan, release } = held("topics");
  const bench = await Bench.open(plan);
  bench.persist({ from: 1, entries: [batchEntry(1, 1, 0), batchEntry(2, 1, 1)] });
  bench.persist({ snapshot: snapshotOf(2, 1, 2) });
  await bench.quiet();
  expect(bench.stored).toBeUndefined();
  expect(bench.events).toEqual([]);
  release();
  await bench.quiet();
  expect(bench.stored).toMatchObject({ snapshot: { index: 2 } });
  expect(bench.events).toEqual(["write 1", "snapshot to 2", "write 2"]);
  const journal = held("journal");
  bench.disk.replan(journal.plan);
  bench.persist({ from: 3, entries: [batchEntry(3, 1, 2)] });
  bench.persist({ snapshot: snapshotOf(3, 1, 3) });
  await bench.quiet();
  expect(bench.events.at(-1)).toBe("write 3");
  journal.release();
  await bench.quiet();
  expect(bench.events.slice(-2)).toEqual(["snapshot to 3", "write 4"]);
});

test("a disk that is full while batches follow each other ends the group with the disk's word", async () => {
  const isRound = ({ operation, path }: DiskCall): boolean =>
    operation === "write" && path.includes("topics");
  for (const record of [false, true]) {
    const { promise, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const bench = await Bench.open({ gate: (call) => (isRound(call) ? promise : undefined) });
    bench.persist({ from: 1, entries: [batchEntry(1, 1, 0)] });
    await bench.quiet();
    reject(new DiskError("no-space", "write", "topics"));
    // The log takes the batch back before anybody here has heard of it, and Raft goes on.
    for (let turn = 0; bench.log.endOffset > 0; turn++) {
      expect(turn).toBeLessThan(1000);
      await Promise.resolve();
    }
    if (record) bench.persist({ votedFor: "n2", from: 2, entries: [batchEntry(2, 1, 1)] });
    else bench.persist({ from: 2, entries: [batchEntry(2, 1, 1)] });
    await bench.quiet();
    expect(bench.events.filter((event) => !event.includes("no-space"))).toEqual([]);
    expect(bench.events.length).toBeGreaterThan(0);
  }
});

test("while records are fetched the journal says so, before the first of them is in the log", async () => {
  const { plan, release } = held("journal");
  const bench = await Bench.open();
  bench.persist({ from: 1, entries: [batchEntry(1, 1, 0), batchEntry(2, 1, 1)] });
  await bench.quiet();
  bench.disk.replan(plan);
  let hasBegun = false;
  void bench.storage.beginCatchUp(1).then(() => (hasBegun = true));
  await bench.quiet();
  expect([hasBegun, bench.log.endOffset]).toEqual([false, 2]);
  release();
  await bench.quiet();
  expect([hasBegun, bench.log.endOffset]).toEqual([true, 1]);
  expect(bench.stored).toMatchObject({ catchUpFrom: 1 });
  bench.persist({ votedFor: "n2" });
  await bench.quiet();
  expect(bench.stored).toMatchObject({ votedFor: "n2", catchUpFrom: 1 });
});

test("a group's own entries are on disk again before the journal forgets what was fetched", async () => {
  const bench = await Bench.open();
  const entries = [batchEntry(1, 1, 0), batchEntry(2, 1, 1)];
  bench.persist({ from: 1, entries });
  await bench.quiet();
  await bench.storage.beginCatchUp(1);
  bench.log.replicate(batchEntry(7, 5, 1).data);
  await bench.log.committed();
  const { plan, release } = held("topics");
  bench.disk.replan(plan);
  const ended = bench.storage.endCatchUp(entries, 0);
  await bench.quiet();
  expect(bench.stored).toMatchObject({ catchUpFrom: 1 });
  release();
  await ended;
  expect(bench.stored).toMatchObject({ catchUpFrom: undefined });
  const read = await bench.log.read(1, 1000);
  expect(read).toMatchObject({ kind: "records", bytes: entries[1]!.data });
});

test("a snapshot that was fetched ends the fetching", async () => {
  const bench = await Bench.open();
  await bench.storage.beginCatchUp(0);
  bench.log.replicate(batchEntry(7, 1, 0).data);
  await bench.log.committed();
  bench.persist({ from: 8, snapshot: snapshotOf(7, 1, 0) });
  await bench.quiet();
  expect(bench.stored).toMatchObject({ snapshot: { index: 7 }, catchUpFrom: undefined });
});

test("each batch is reported when it is on disk itself, and not with the one before it", async () => {
  const syncs: (() => void)[] = [];
  const gate = ({ operation, path }: DiskCall): Promise<void> | undefined => {
    if (operation !== "sync" || !path.includes("topics")) return undefined;
    return new Promise((resolve) => void syncs.push(resolve));
  };
  const bench = await Bench.open({ gate });
  for (const [offset, expected] of [["write 1"], ["write 1", "write 2"]].entries()) {
    if (offset === 0) bench.persist({ from: 1, entries: [batchEntry(1, 1, 0)] });
    await bench.quiet();
    // It comes while the disk is busy with the first.
    if (offset === 0) bench.persist({ from: 2, entries: [batchEntry(2, 1, 1)] });
    while (bench.log.storedEnd <= offset) {
      expect(bench.events).toHaveLength(offset);
      syncs.shift()?.();
      await bench.quiet();
    }
    expect(bench.events).toEqual(expected);
  }
});

test("what has nothing to write is reported when its caller has ended, and not before", async () => {
  const bench = await Bench.open();
  bench.persist({});
  expect(bench.events).toEqual([]);
  await bench.quiet();
  expect(bench.events).toEqual(["write 1"]);
});

test("another batch takes the place of the last one", async () => {
  const bench = await Bench.open();
  bench.persist({ from: 1, entries: [noOp(1, 1), batchEntry(2, 1, 0)] });
  await bench.quiet();
  const other = batchEntry(2, 3, 0);
  bench.persist({ term: 3, from: 2, entries: [other] });
  await bench.quiet();
  expect(bench.events).toEqual(["write 1", "write 2"]);
  expect(await bench.log.read(0, 1000)).toMatchObject({ kind: "records", bytes: other.data });
});

test.each(["topics", "journal"])("a disk that fails under the %s ends the group", async (part) => {
  const gate = ({ operation, path }: DiskCall): Promise<void> | undefined => {
    const fails = operation === "sync" && path.includes(part);
    return fails ? Promise.reject(new DiskError("input-output", operation, path)) : undefined;
  };
  const bench = await Bench.open({ gate });
  if (part === "topics") bench.persist({ from: 1, entries: [batchEntry(1, 1, 0)] });
  else bench.persist({ votedFor: "n2" });
  await bench.quiet();
  expect(bench.events).toHaveLength(1);
  expect(bench.events[0]).toContain("failed");
});

test("own entries come back also where all of the log is another node's by now", async () => {
  const bench = await Bench.open();
  const entries = [batchEntry(1, 1, 0), batchEntry(2, 1, 1)];
  bench.persist({ from: 1, entries });
  await bench.quiet();
  await bench.storage.beginCatchUp(1);
  await bench.log.restart(50);
  let isOver = false;
  void bench.storage.endCatchUp(entries, 0).then(() => (isOver = true));
  await bench.quiet();
  expect(isOver).toBe(true);
  expect([bench.log.startOffset, bench.log.storedEnd, bench.log.endOffset]).toEqual([0, 2, 2]);
});
