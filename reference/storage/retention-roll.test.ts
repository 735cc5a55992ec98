/** A busy log keeps its limits by itself: each time that a segment is full, old ones go, and their files come back. */
import { expect, test } from "vitest";
import { SimulatedDisk } from "../simulator/disk.ts";
import { VirtualClock } from "../testing/clock.ts";
import type { Log, LogOptions } from "./log.ts";
import { batchOf, openTestLog, readAll, textOf } from "./test-log.ts";

const segmentBytesMax = 420;

/** Appends and commits, one batch at a time, and lets the upkeep behind it finish. */
async function appendTexts(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    log.append(batchOf(textOf(number)));
    expect((await log.committed()).kind).toBe("committed");
    // Trimming nothing waits for its turn behind whatever is under way.
    await log.trim(0);
  }
}

function openLog(disk: SimulatedDisk, options: Partial<LogOptions>): Promise<Log> {
  return openTestLog(disk, { segmentBytesMax, indexIntervalBytes: 200, ...options });
}

test("by size, without anybody asking: the log stays within the limit and a segment, and says where it starts", async () => {
  const disk = new SimulatedDisk();
  const log = await openLog(disk, { retention: { retentionBytes: 1000 }, recycledMax: 2 });
  const starts: number[] = [];
  log.onTrimmed = (startOffset) => starts.push(startOffset);
  const files = new Set<number>();
  for (let number = 0; number < 60; number++) {
    await appendTexts(log, number, number + 1);
    expect(log.sizeBytes).toBeLessThanOrEqual(1000 + 2 * segmentBytesMax);
    files.add(disk.paths().filter((path) => path.endsWith(".log")).length);
  }
  expect(log.startOffset).toBeGreaterThan(40);
  expect(starts).toEqual(starts.toSorted((left, right) => left - right));
  expect(starts.at(-1)).toBe(log.startOffset);
  expect(Math.max(...files)).toBeLessThanOrEqual(5);
  const records = await readAll(log);
  expect([...records.keys()].at(0)).toBe(log.startOffset);
  for (const [offset, text] of records) expect(text).toBe(textOf(offset));
  const again = await openLog(disk.restart({ kind: "nothing" }), {});
  expect([again.startOffset, again.endOffset]).toEqual([log.startOffset, 60]);
});

test("by age as well; and without limits nothing goes", async () => {
  const clock = new VirtualClock();
  const aging = await openLog(new SimulatedDisk(), { clock, retention: { retentionMs: 5000 } });
  const keeping = await openLog(new SimulatedDisk(), { clock });
  for (let number = 0; number < 30; number++) {
    await appendTexts(aging, number, number + 1);
    await appendTexts(keeping, number, number + 1);
    clock.advance(1000);
  }
  expect(keeping.startOffset).toBe(0);
  // Six seconds are six records, and what shares a segment with them stays too.
  expect(aging.startOffset).toBeGreaterThan(15);
  expect(aging.startOffset).toBeLessThanOrEqual(24);
});

test("a crash at any call of it loses nothing that is kept, and brings nothing back", async () => {
  for (let call = 0; call < 90; call++) {
    const start = new SimulatedDisk();
    const before = await openLog(start, { retention: { retentionBytes: 1000 }, recycledMax: 2 });
    await appendTexts(before, 0, 20);
    await before.close();
    const disk = start.clone({
      faults: [{ call, kind: "crash", when: call % 2 === 0 ? "before" : "after" }],
    });
    const told = { trimmed: 0, committed: 20 };
    const run = async (): Promise<void> => {
      const log = await openLog(disk, { retention: { retentionBytes: 1000 }, recycledMax: 2 });
      log.onTrimmed = (startOffset) => void (told.trimmed = startOffset);
      log.onCommitted = (end) => void (told.committed = end);
      await appendTexts(log, 20, 30);
    };
    await Promise.race([disk.crashed, run()]);
    const { trimmed, committed } = told;
    const after = await openLog(disk.restart({ kind: "random", seed: call }), { scan: "all" });
    expect(after.damage).toEqual([]);
    expect(after.startOffset).toBeGreaterThanOrEqual(trimmed);
    expect(after.endOffset).toBeGreaterThanOrEqual(committed);
    const records = await readAll(after);
    expect(records.size).toBe(after.endOffset - after.startOffset);
    for (const [offset, text] of records) expect(text).toBe(textOf(offset));
  }
});
