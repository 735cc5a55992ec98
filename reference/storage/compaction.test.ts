import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exploreCrashPoints } from "../simulator/disk-explore.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import type { Log } from "./log.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { RecordCursor } from "./record-cursor.ts";
import { openTestLog, stillClock } from "./test-log.ts";

/** A record: key 0 to 9 or none, and a value or a tombstone. */
interface Change {
  readonly key: number | undefined;
  readonly value: string | null;
}

const encoder = new TextEncoder();
const seed = 1;
const options = { segmentBytesMax: 600, indexIntervalBytes: 200 };

async function appendAll(log: Log, batches: readonly (readonly Change[])[]): Promise<void> {
  for (const batch of batches) {
    const records = batch.map(({ key, value }) => ({
      ...(key === undefined ? {} : { key: encoder.encode(`key ${key}`) }),
      value: value === null ? null : encoder.encode(value),
    }));
    log.append(encodeRecordBatch(records, { timestampMs: stillClock.wallTimeMs() }));
    await log.committed();
  }
}

interface Found {
  readonly offset: number;
  readonly key: string | undefined;
  readonly value: string | null;
}

async function readRecords(log: Log): Promise<Found[]> {
  const decoder = new TextDecoder();
  const found: Found[] = [];
  for (let offset = log.startOffset; offset < log.committedEnd;) {
    const result = await log.read(offset, 500);
    if (result.kind !== "records" || result.nextOffset <= offset) throw new Error(JSON.stringify(result));
    const cursor = new RecordCursor(result.bytes, { fromOffset: offset, checkRecords: true });
    while (cursor.next()) {
      const { key, value } = cursor.record();
      found.push({
        offset: cursor.offset,
        key: key === undefined ? undefined : decoder.decode(key),
        value: value === null ? null : decoder.decode(value),
      });
    }
    if (cursor.fault !== undefined) throw new Error(cursor.fault.reason);
    offset = result.nextOffset;
  }
  return found;
}

/** What compaction must leave of records up to `closedEnd`; from there on nothing is compacted. */
function expected(
  batches: readonly (readonly Change[])[],
  closedEnd: number,
  keepsTombstones: boolean,
): Found[] {
  const all = batches.flat().map(({ key, value }, offset) => {
    return { offset, key: key === undefined ? undefined : `key ${key}`, value };
  });
  return all.filter((record) => {
    if (record.offset >= closedEnd || record.key === undefined) return true;
    if (all.some((later) => later.offset > record.offset && later.key === record.key)) return false;
    return record.value !== null || keepsTombstones;
  });
}

const change: fc.Arbitrary<Change> = fc.record({
  key: fc.option(fc.nat(9), { nil: undefined, freq: 6 }),
  value: fc.option(fc.string({ maxLength: 40 }), { nil: null, freq: 5 }),
});
const history = fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 25 });
/** A tombstone without a key says nothing; producers do not send it, and the model would have to know of it. */
const usefulHistory = history.map((batches) =>
  batches.map((batch) =>
    batch.map(({ key, value }) => ({ key, value: key === undefined ? (value ?? "") : value })),
  ),
);

function baseOfActive(disk: SimulatedDisk): number {
  const names = disk.paths().filter((path) => path.endsWith(".log"));
  return Number(names[names.length - 1]!.slice(-24, -4));
}

describe("key compaction", () => {
  test("keeps exactly the newest record of each key, at its offset, and everything without a key", async () => {
    await fc.assert(
      fc.asyncProperty(usefulHistory, fc.boolean(), async (batches, keepsTombstones) => {
        const disk = new SimulatedDisk();
        const log = await openTestLog(disk, options);
        await appendAll(log, batches);
        await log.compact({ tombstoneKeepMs: keepsTombstones ? 1000 : -1 });
        const wanted = expected(batches, baseOfActive(disk), keepsTombstones);
        expect(await readRecords(log)).toEqual(wanted);
        // Again from what is on disk, with every batch checked.
        await log.close();
        const again = await openTestLog(disk.restart({ kind: "nothing" }), { ...options, scan: "all" });
        expect(again.findings).toEqual([]);
        expect(await readRecords(again)).toEqual(wanted);
        expect(disk.openFiles).toBe(0);
      }),
      { seed, numRuns: 150 },
    );
  });

  test("in steps, when the keys do not fit into memory at once, ends at the same", async () => {
    await fc.assert(
      fc.asyncProperty(usefulHistory, fc.boolean(), async (batches, keepsTombstones) => {
        const disk = new SimulatedDisk();
        const log = await openTestLog(disk, options);
        await appendAll(log, batches);
        for (let step = 0, end = -1; step < 200; step++) {
          const { cleanEnd } = await log.compact({
            keysMax: 3,
            tombstoneKeepMs: keepsTombstones ? 1000 : -1,
          });
          if (cleanEnd === end) break;
          end = cleanEnd;
        }
        expect(await readRecords(log)).toEqual(expected(batches, baseOfActive(disk), keepsTombstones));
      }),
      { seed, numRuns: 60 },
    );
  });

  test("finds nothing to do the second time, and writes nothing then", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendAll(
      log,
      Array.from({ length: 40 }, (_, round) => [{ key: round % 3, value: `value ${round}` }]),
    );
    expect((await log.compact()).recordsRemoved).toBeGreaterThan(20);
    const writes = disk.counts["write"];
    expect(await log.compact()).toMatchObject({ segmentsRewritten: 0, recordsRemoved: 0, bytesRemoved: 0 });
    expect(disk.counts["write"]).toBe(writes);
  });

  test("a reader in the middle of an old file gets what it asked for", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendAll(
      log,
      Array.from({ length: 40 }, (_, round) => [{ key: round % 3, value: `value ${round}` }]),
    );
    disk.replan({ timingSeed: 3 });
    const reads = Array.from({ length: 40 }, (_, offset) => log.read(offset, 1));
    await Promise.all([log.compact(), ...reads]);
    for (const [offset, read] of reads.entries()) {
      const result = await read;
      if (result.kind !== "records") throw new Error(JSON.stringify(result));
      expect(result.nextOffset).toBeGreaterThan(offset);
    }
  });

  test("holds no more keys at once than it may, and says how far it came", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    const changes = [0, 0, 1, 0, 2, 3].map((key) => ({ key, value: "x".repeat(200) }));
    await appendAll(
      log,
      changes.map((one) => [one]),
    );
    expect(await log.compact({ keysMax: 2 })).toMatchObject({ cleanEnd: 3, isComplete: false });
    expect(await log.compact({ keysMax: 2 })).toMatchObject({ cleanEnd: 5, isComplete: false });
    expect(await log.compact({ keysMax: 2 })).toMatchObject({ cleanEnd: 6, isComplete: true });
    // The record that the first round could not see the successor of goes in the next.
    expect((await readRecords(log)).map(({ offset }) => offset)).toEqual([2, 3, 4, 5]);
  });

  test("what was superseded before its segment was closed goes when it is, and does not come back", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    await appendAll(log, [[{ key: 1, value: "old" }], [{ key: 1, value: null }], [{ key: 2, value: "x" }]]);
    await log.compact({ tombstoneKeepMs: -1 });
    expect((await readRecords(log)).map(({ offset }) => offset)).toEqual([0, 1, 2]);
    await appendAll(
      log,
      Array.from({ length: 8 }, () => [{ key: 3, value: "x".repeat(300) }]),
    );
    await log.compact({ tombstoneKeepMs: -1 });
    expect((await readRecords(log)).map(({ offset }) => offset)).toEqual([2, 10]);
  });

  test("keeps for each batch the latest time of what stays in it", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    const recordAt = (timestampMs: number, key: string) => ({
      key: encoder.encode(key),
      value: encoder.encode("x".repeat(200)),
      timestampMs,
    });
    log.append(
      encodeRecordBatch([recordAt(100, "a"), recordAt(300, "b"), recordAt(150, "c"), recordAt(500, "d")]),
    );
    for (const timestampMs of [600, 700]) log.append(encodeRecordBatch([recordAt(timestampMs, "d")]));
    await log.committed();
    expect(await log.offsetForTimestamp(400)).toBe(3);
    expect((await log.compact()).recordsRemoved).toBe(1);
    expect(await log.offsetForTimestamp(250)).toBe(1);
    expect(await log.offsetForTimestamp(400)).toBe(4);
  });

  test("leaves a damaged segment as it is", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendAll(
      log,
      Array.from({ length: 40 }, (_, round) => [{ key: round % 3, value: `value ${round}` }]),
    );
    await log.close();
    const first = disk.paths().find((path) => path.endsWith(".log"))!;
    disk.flipBit(first, 100);
    const damaged = disk.peek(first);
    const again = await openTestLog(disk, { ...options, scan: "all" });
    expect(again.damage.length).toBe(1);
    await again.compact();
    expect(disk.peek(first)).toEqual(damaged);
  });

  test("a crash at any call leaves the old records or the new ones", async () => {
    const batches = Array.from({ length: 16 }, (_, round) => [
      { key: round % 3, value: `value ${round}` },
      { key: undefined, value: `free ${round}` },
    ]);
    const start = new SimulatedDisk();
    const before = await openTestLog(start, options);
    await appendAll(before, batches);
    const whole = await readRecords(before);
    await before.close();
    const explored = await exploreCrashPoints(
      {
        start,
        makeNotes: () => undefined,
        run: async (disk) => {
          const log = await openTestLog(disk, options);
          await log.compact();
          await log.close();
        },
        check: async (disk) => {
          const log = await openTestLog(disk, options);
          if (log.damage.length > 0) throw new Error(`damage: ${JSON.stringify(log.damage)}`);
          const found = await readRecords(log);
          const newest = expected(batches, 1000, true);
          const isBetween =
            newest.every((record) => found.some(({ offset }) => offset === record.offset)) &&
            found.every((record) => JSON.stringify(whole[record.offset]) === JSON.stringify(record));
          if (!isBetween) throw new Error(`found ${JSON.stringify(found)}`);
        },
      },
      { exhaustiveCallsMax: 400, outcomes: 2 },
    );
    expect(explored.checks).toBeGreaterThan(0);
  });
});
