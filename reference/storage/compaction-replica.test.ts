import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import { exploreCrashPoints } from "../simulator/disk-explore.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import type { Log } from "./log.ts";
import { baseOffsetAt, batchBytesAt, nextOffsetAt, recordCountAt } from "./record-batch.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { RecordCursor } from "./record-cursor.ts";
import { cutStandIn } from "./stand-in.ts";
import { openTestLog, stillClock, testDirectory } from "./test-log.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const options = { segmentBytesMax: 600, indexIntervalBytes: 200 };
const gone = { tombstoneKeepMs: -1 };

/** Appends a batch: `a=1` sets a key, `a` removes it. */
async function append(log: Log, ...changes: readonly string[]): Promise<void> {
  const records = changes.map((change) => {
    const [key = "", value] = change.split("=");
    return { key: encoder.encode(key), value: value === undefined ? null : encoder.encode(value) };
  });
  const batch = encodeRecordBatch(records, { timestampMs: stillClock.wallTimeMs() });
  expect(log.append(batch).kind).toBe("appended");
  await log.committed();
}

/** Enough to close the segments before it. */
async function fill(log: Log, count: number): Promise<void> {
  for (let number = 0; number < count; number++) await append(log, `filler=${"x".repeat(250)}`);
}

/** The next term begins. */
async function nextEpoch(log: Log): Promise<void> {
  expect((await log.truncate(log.endOffset, log.endOffset, log.epoch + 1)).kind).toBe("truncated");
}

async function batchesOf(log: Log): Promise<Uint8Array[]> {
  const batches: Uint8Array[] = [];
  for (let offset = log.startOffset; offset < log.endOffset;) {
    const read = await log.read(offset, 500);
    if (read.kind !== "records") throw new Error(JSON.stringify(read));
    for (let at = 0; at < read.bytes.length; at += batchBytesAt(read.bytes, at))
      batches.push(read.bytes.slice(at, at + batchBytesAt(read.bytes, at)));
    offset = read.nextOffset;
  }
  return batches;
}

/** `offset key=value` of all records but fillers. */
async function contents(log: Log): Promise<string[]> {
  const found: string[] = [];
  for (const batch of await batchesOf(log)) {
    const cursor = new RecordCursor(batch, { checkRecords: true });
    while (cursor.next()) {
      const { key, value } = cursor.record();
      const name = decoder.decode(key);
      if (name === "filler") continue;
      found.push(`${cursor.offset} ${name}${value === null ? "" : `=${decoder.decode(value)}`}`);
    }
    expect(cursor.fault).toBeUndefined();
  }
  return found;
}

/** Takes over what a log lacks of another one, up to an offset, as a node that is far behind does. */
async function copy(from: Log, to: Log, end: number): Promise<void> {
  for (const batch of await batchesOf(from)) {
    if (nextOffsetAt(batch, 0) <= to.endOffset || to.endOffset >= end) continue;
    const isStandIn = recordCountAt(batch, 0) === 0;
    if (!isStandIn) expect(baseOffsetAt(batch, 0)).toBe(to.endOffset);
    const result = to.replicate(isStandIn ? cutStandIn(batch, to.endOffset, end) : batch);
    expect(result).toMatchObject({ kind: "appended" });
  }
  await to.committed();
}

describe("compaction of a replica's log", () => {
  test("leaves everything as it is that its group needs", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    for (let round = 0; round < 20; round++) await append(log, `a=${round}`, `b=${round}`);
    log.keptFrom = 20;
    const before = new Map(disk.paths().map((path) => [path, disk.peek(path)]));
    expect(await log.compact(gone)).toMatchObject({ isComplete: true });
    const found = await contents(log);
    expect(found.filter((line) => Number(line.split(" ")[0]) >= 20)).toHaveLength(20);
    expect(found.length).toBeLessThan(40);
    for (const [path, bytes] of before) {
      const base = Number(/(\d{20})\.log$/.exec(path)?.[1] ?? -1);
      if (base >= 20) expect(disk.peek(path)).toEqual(bytes);
    }
    log.keptFrom = 40;
    await log.compact(gone);
    await fill(log, 4);
    await log.compact(gone);
    expect(await contents(log)).toEqual(["38 a=19", "39 b=19"]);
  });

  test("keeps tombstones that others may need, and says which ones may be missing", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await append(log, "a=1", "b=1", "c=1");
    await append(log, "a");
    await append(log, "b");
    await fill(log, 6);
    expect(log.tombstones.goneTo).toBe(0);
    await log.compact({ ...gone, tombstonesBefore: 4 });
    expect(await contents(log)).toEqual(["2 c=1", "4 b"]);
    expect(log.tombstones).toMatchObject({ goneTo: 4, rounds: 1 });
    const golden = readFileSync(new URL("../testing/golden/tombstone-mark.hex", import.meta.url), "utf8");
    expect(disk.peek(`${testDirectory}/tombstones`)).toEqual(fromHex(golden));
    await log.compact({ ...gone, tombstonesBefore: 4 });
    expect(log.tombstones.rounds).toBe(1);
    await log.close();
    const again = await openTestLog(disk, options);
    expect(again.findings).toEqual([]);
    expect(again.tombstones).toMatchObject({ goneTo: 4, rounds: 1 });
    await again.compact(gone);
    expect(await contents(again)).toEqual(["2 c=1"]);
    expect(again.tombstones).toMatchObject({ goneTo: 5, rounds: 2 });
    await again.close();
    disk.flipBit(`${testDirectory}/tombstones`, 10);
    const damaged = await openTestLog(disk, options);
    expect(damaged.tombstones.goneTo).toBe(damaged.endOffset);
  });

  test("says so on disk before a tombstone goes, whenever it is interrupted", async () => {
    const start = new SimulatedDisk();
    const before = await openTestLog(start, options);
    await append(before, "a=1", "b=1");
    await append(before, "a", "c=1");
    await fill(before, 6);
    await before.close();
    const explored = await exploreCrashPoints(
      {
        start,
        makeNotes: () => undefined,
        run: async (disk) => {
          const log = await openTestLog(disk, options);
          await log.compact(gone);
          await log.close();
        },
        check: async (disk) => {
          const log = await openTestLog(disk, options);
          const found = await contents(log);
          if (found.includes("2 a")) return;
          if (log.tombstones.goneTo < 3) throw new Error(`the mark says ${log.tombstones.goneTo}`);
          if (found.includes("0 a=1")) throw new Error("a removed key is back");
        },
      },
      { exhaustiveCallsMax: 100, outcomes: 2 },
    );
    expect(explored.checks).toBeGreaterThan(0);
  });

  test("makes way for whoever cuts the log", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    for (let round = 0; round < 40; round++) await append(log, `a=${round}`);
    const compacting = log.compact(gone);
    const cutting = log.truncate(39, 30, 1);
    expect(await compacting).toMatchObject({ isComplete: false, segmentsRewritten: 0 });
    expect(await cutting).toMatchObject({ kind: "truncated" });
    expect(disk.paths().filter((path) => path.endsWith(".new"))).toEqual([]);
    await fill(log, 4);
    await log.compact(gone);
    expect(await contents(log)).toEqual(["38 a=38"]);
  });

  test("a part of a stand-in does not look older than what it follows on", async () => {
    const leader = await openTestLog(new SimulatedDisk(), { ...options, segmentBytesMax: 1000 });
    const disk = new SimulatedDisk();
    const follower = await openTestLog(disk, options);
    await append(leader, "a=1");
    await nextEpoch(leader);
    await append(leader, "a=2");
    await copy(leader, follower, 2);
    await append(leader, "a=3");
    await append(leader, "a=4");
    await fill(leader, 6);
    await leader.compact();
    await copy(leader, follower, leader.endOffset);
    await follower.close();
    const again = await openTestLog(disk, { ...options, scan: "all" });
    expect(again.findings).toEqual([]);
    expect(await contents(again)).toEqual(["0 a=1", "1 a=2", "3 a=4"]);
  });

  test("what is left can be copied by one that has any part of what was there", async () => {
    const round = fc.record({
      batches: fc.array(fc.array(fc.nat(2), { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 6 }),
      compacts: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(round, { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.nat(),
        async (rounds, has, wants) => {
          const [leader, whole] = [
            await openTestLog(new SimulatedDisk(), options),
            await openTestLog(new SimulatedDisk(), options),
          ];
          const ends = [0];
          let number = 0;
          for (const { batches, compacts } of rounds) {
            await nextEpoch(leader);
            for (const keys of batches) {
              await append(leader, ...keys.map((key) => `${key}=${"x".repeat(60)}${++number}`));
              ends.push(leader.endOffset);
            }
            await copy(leader, whole, leader.endOffset);
            if (compacts) await leader.compact();
          }
          const disk = new SimulatedDisk();
          const follower = await openTestLog(disk, options);
          await copy(whole, follower, ends[has % ends.length]!);
          const from = follower.endOffset;
          const end = ends[wants % ends.length]!;
          await copy(leader, follower, end);
          expect(follower.endOffset).toBe(Math.max(from, end));
          // The rest comes as entries: whole batches, each at its place.
          await copy(whole, follower, whole.endOffset);
          await follower.close();
          const again = await openTestLog(disk.restart({ kind: "nothing" }), { ...options, scan: "all" });
          expect(again.findings).toEqual([]);
          const newestOf = (lines: readonly string[]): Map<string, string> =>
            new Map(lines.map((line) => [line.split(/[ =]/)[1]!, line]));
          const [all, found] = [await contents(whole), await contents(again)];
          expect(all).toEqual(expect.arrayContaining(found));
          expect(newestOf(found)).toEqual(newestOf(all));
        },
      ),
      { seed: 1, numRuns: 150 },
    );
  });
});
