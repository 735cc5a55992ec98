import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { VirtualClock } from "../testing/clock.ts";
import { resolveStart } from "./consumer-offsets.ts";
import type { Log, LogOptions } from "./log.ts";
import { classifyOffset, planRetention, shouldRoll } from "./retention.ts";
import type { Segment } from "./segment.ts";
import { batchOf, openTestLog, readAll, testDirectory, textOf } from "./test-log.ts";

const options: Partial<LogOptions> = { segmentBytesMax: 420, indexIntervalBytes: 200 };

async function appendTexts(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    log.append(batchOf(textOf(number)));
    expect((await log.committed()).kind).toBe("committed");
  }
}

function segmentBases(disk: SimulatedDisk): number[] {
  const names = disk.paths().filter((path) => path.endsWith(".log"));
  return names.map((path) => Number(path.slice(-24, -4)));
}

/** A segment as far as decisions go. */
function fakeSegment(
  baseOffset: number,
  endOffset: number,
  endPosition: number,
  idMilliseconds = 0,
): Segment {
  return {
    baseOffset,
    endOffset,
    endPosition,
    idMilliseconds,
    hasOffsetsFor: () => true,
  } as unknown as Segment;
}

describe("rolling", () => {
  const limits = { segmentBytesMax: 1000, segmentAgeMsMax: 60_000 };

  test.each([
    [900, 100, false],
    [900, 101, true],
    [1000, 1, true],
    [0, 5000, false],
  ])("a segment of %i bytes and a batch of %i: %s", (endPosition, batchBytes, rolls) => {
    expect(shouldRoll(fakeSegment(0, 10, endPosition), batchBytes, 1, 0, limits)).toBe(rolls);
  });

  test("an old segment is closed, an old empty one is not", () => {
    expect(shouldRoll(fakeSegment(0, 10, 10), 1, 1, 59_999, limits)).toBe(false);
    expect(shouldRoll(fakeSegment(0, 10, 10), 1, 1, 60_000, limits)).toBe(true);
    expect(shouldRoll(fakeSegment(0, 0, 0), 1, 1, 60_000, limits)).toBe(false);
  });

  test("a batch that is larger than a segment gets one of its own", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 1);
    log.append(batchOf("x".repeat(2000)));
    log.append(batchOf("after"));
    expect((await log.committed()).kind).toBe("committed");
    expect(segmentBases(disk)).toEqual([0, 1, 2]);
    expect([...(await readAll(log)).values()]).toEqual([textOf(0), "x".repeat(2000), "after"]);
  });

  test("no segment is larger than the limit, unless one batch is, and none is empty but the last", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(600), { minLength: 1, maxLength: 20 }), async (sizes) => {
        const disk = new SimulatedDisk();
        const log = await openTestLog(disk, options);
        for (const size of sizes) log.append(batchOf("x".repeat(size)));
        await log.committed();
        for (const path of disk.paths().filter((each) => each.endsWith(".log"))) {
          const bytes = disk.peek(path)!.length;
          expect(bytes).toBeGreaterThan(0);
          if (bytes > 420) expect(bytes).toBeLessThan(420 + 600);
        }
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  test("age closes a quiet segment at the next append", async () => {
    const disk = new SimulatedDisk();
    const clock = new VirtualClock();
    const log = await openTestLog(disk, { clock, segmentAgeMsMax: 1000 });
    await appendTexts(log, 0, 2);
    clock.advance(1000);
    await appendTexts(log, 2, 3);
    expect(segmentBases(disk)).toEqual([0, 2]);
  });
});

describe("the plan of retention", () => {
  const segments = [
    fakeSegment(0, 10, 100, 1000),
    fakeSegment(10, 20, 100, 2000),
    fakeSegment(20, 30, 100, 500),
    fakeSegment(30, 40, 100, 4000),
  ];

  test.each([
    ["no limits", {}, 40, 5000, 0],
    ["all too old: the active segment stays", { retentionMs: 1 }, 40, 1e6, 30],
    ["the first too old", { retentionMs: 3500 }, 40, 5000, 10],
    ["exactly as old as allowed stays", { retentionMs: 4000 }, 40, 5000, 0],
    ["an old one behind a young one stays: a log has no holes", { retentionMs: 3001 }, 40, 5000, 10],
    ["a clock that is behind removes nothing", { retentionMs: 1 }, 40, 0, 0],
    ["size: as long as the rest fills it", { retentionBytes: 300 }, 40, 5000, 10],
    ["size of nothing: the active segment stays", { retentionBytes: 0 }, 40, 5000, 30],
    ["nothing that is not committed goes", { retentionBytes: 0 }, 25, 5000, 20],
  ])("%s", (_, limits, committedEnd, nowMs, start) => {
    expect(planRetention(segments, 0, committedEnd, nowMs, limits)).toBe(start);
  });

  test("never moves the start back", () => {
    expect(planRetention(segments, 15, 40, 5000, {})).toBe(15);
    expect(planRetention(segments, 15, 40, 5000, { retentionBytes: 300 })).toBe(15);
  });
});

describe("removing from the front", () => {
  test("the start is kept over a restart, and segments before it are gone", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 11);
    expect(segmentBases(disk)).toEqual([0, 3, 6, 8]);
    expect(await log.trim(7)).toBe(7);
    expect(segmentBases(disk)).toEqual([6, 8]);
    const again = await openTestLog(disk.restart({ kind: "nothing" }), options);
    expect(again.startOffset).toBe(7);
    expect([...(await readAll(again)).keys()]).toEqual([7, 8, 9, 10]);
  });

  test("everything can go, and the offsets go on", async () => {
    const disk = new SimulatedDisk();
    const clock = new VirtualClock();
    const log = await openTestLog(disk, { ...options, clock });
    await appendTexts(log, 0, 11);
    clock.advance(10_000);
    expect(await log.applyRetention({ retentionMs: 5000 })).toBe(11);
    expect([log.startOffset, log.endOffset]).toEqual([11, 11]);
    expect(segmentBases(disk)).toEqual([11]);
    expect(await log.read(11, 100)).toMatchObject({ kind: "records", nextOffset: 11 });
    const again = await openTestLog(disk.restart({ kind: "nothing" }), options);
    await appendTexts(again, 11, 12);
    expect([...(await readAll(again)).keys()]).toEqual([11]);
  });

  test("an idle segment that is too old goes while appends come back: no record ends up in the wrong file", async () => {
    for (let timingSeed = 0; timingSeed < 60; timingSeed++) {
      const disk = new SimulatedDisk();
      const clock = new VirtualClock();
      const log = await openTestLog(disk, { ...options, clock, recycledMax: 3 });
      await appendTexts(log, 0, 11);
      clock.advance(10_000);
      await log.trim(8);
      disk.replan({ timingSeed });
      const retaining = log.applyRetention({ retentionMs: 5000 });
      for (let step = 0; step < timingSeed % 12; step++) await Promise.resolve();
      await appendTexts(log, 11, 14);
      await retaining;
      const again = await openTestLog(disk.restart({ kind: "random", seed: timingSeed }), options);
      expect(again.damage).toEqual([]);
      expect([...(await readAll(again)).values()].slice(-3)).toEqual([11, 12, 13].map(textOf));
    }
  });

  test("what is before the start, or behind the end, is out of range: also for a consumer that was away", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    await appendTexts(log, 0, 11);
    await log.trim(7);
    for (const offset of [0, 6, 12]) {
      expect(await log.read(offset, 100)).toEqual({ kind: "out-of-range", startOffset: 7, endOffset: 11 });
    }
    expect([6, 7, 11, 12].map((offset) => classifyOffset(offset, 7, 11))).toEqual([
      "below-start",
      "in-range",
      "in-range",
      "above-end",
    ]);
    expect(resolveStart(3, log.startOffset, log.committedEnd, "earliest")).toMatchObject({ offset: 7 });
  });

  test("a trim beyond what is committed stops there", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    await appendTexts(log, 0, 5);
    expect(await log.trim(1000)).toBe(5);
    expect(await log.trim(2)).toBe(5);
  });

  test("a reader in a segment that goes finishes its read; its next one is out of range", async () => {
    for (let timingSeed = 0; timingSeed < 30; timingSeed++) {
      const disk = new SimulatedDisk();
      const log = await openTestLog(disk, { ...options, recycledMax: timingSeed % 2 });
      await appendTexts(log, 0, 11);
      disk.replan({ timingSeed });
      const reading = log.read(1, 100);
      await log.trim(9);
      const result = await reading;
      if (result.kind === "records") expect(result.nextOffset).toBe(2);
      else expect(result.kind).toBe("out-of-range");
      expect((await log.read(1, 100)).kind).toBe("out-of-range");
    }
  });

  test("files of removed segments are used again, with nothing of the old records in sight", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, recycledMax: 2 });
    await appendTexts(log, 0, 11);
    await log.trim(9);
    const recycled = (): number => disk.paths().filter((path) => path.includes("recycled")).length;
    expect(recycled()).toBe(2);
    await appendTexts(log, 11, 20);
    expect(recycled()).toBe(0);
    for (const [offset, text] of await readAll(log)) expect(text).toBe(textOf(offset));
    await log.close();
    expect(disk.openFiles).toBe(0);
  });

  test("leaves no file open and no file behind", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 40);
    await readAll(log);
    await log.trim(38);
    await log.close();
    expect(disk.openFiles).toBe(0);
    expect(disk.paths().filter((path) => !path.endsWith("state")).length).toBe(2);
  });
});

describe("any order of work on one log", () => {
  test("leaves what the model says", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = new SeededRandom(seed);
      const disk = new SimulatedDisk({ timingSeed: seed });
      let log = await openTestLog(disk, { ...options, recycledMax: seed % 3 });
      let model = new Map<number, string>();
      let [start, end, epoch] = [0, 0, 0];
      for (let step = 0; step < 60; step++) {
        const draw = random.nextBetween(0, 9);
        if (draw < 6) {
          const text = `${seed}/${step} ${"q".repeat(random.nextBetween(0, 150))}`;
          log.append(batchOf(text));
          expect((await log.committed()).kind).toBe("committed");
          model.set(end++, text);
        } else if (draw === 6) {
          start = Math.max(start, random.nextBetween(start, end));
          expect(await log.trim(start)).toBe(start);
        } else if (draw === 7) {
          const cut = random.nextBetween(start, end);
          expect((await log.truncate(cut, start, ++epoch)).kind).toBe("truncated");
          end = cut;
        } else if (draw === 8) {
          start = await log.applyRetention({ retentionBytes: random.nextBetween(0, 2000) });
        } else {
          await log.close();
          expect(disk.openFiles).toBe(0);
          log = await openTestLog(disk, {
            ...options,
            recycledMax: seed % 3,
            scan: random.pick(["all", "unsynced"]),
          });
          expect(log.findings).toEqual([]);
        }
        model = new Map([...model].filter(([offset]) => offset >= start && offset < end));
        expect([log.startOffset, log.endOffset]).toEqual([start, end]);
        expect(await readAll(log)).toEqual(model);
      }
    }
  });
});

test("the log's directory is its own: nothing outside it is touched", async () => {
  const disk = new SimulatedDisk();
  await disk.makeDirectory("topics/a/1");
  disk.poke("topics/a/1/other", new Uint8Array(3));
  const log = await openTestLog(disk, options);
  await appendTexts(log, 0, 20);
  await log.trim(20);
  await log.close();
  expect(disk.paths().filter((path) => !path.startsWith(`${testDirectory}/`))).toEqual(["topics/a/1/other"]);
});
