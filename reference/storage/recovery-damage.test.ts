/** Damage to records that were durable: it is told, and nothing else is lost with them. */
import { describe, expect, test } from "vitest";
import { exploreCrashPoints } from "../simulator/disk-explore.ts";
import { batchHeaderBytes, batchLayout } from "./record-batch.ts";
import { batchOf, openTestLog, readAll, textOf } from "./test-log.ts";
import {
  appendTexts,
  batchPositions,
  closedLog,
  expectTexts,
  killedLog,
  logFiles,
  options,
} from "../testing/ended-logs.ts";

describe("damage to what was durable", () => {
  test.each([0, 1, 2])(
    "in segment %i of several is reported, and nothing behind it is lost",
    async (number) => {
      const disk = await killedLog(11);
      const path = logFiles(disk)[number]!;
      const missing = Number(path.slice(-24, -4)) + 1;
      disk.flipBit(path, batchPositions(disk, path)[1]! + batchHeaderBytes + 2);
      const bytes = disk.peek(path);
      const log = await openTestLog(disk, { ...options, scan: "all" });
      expect(log.findings).toMatchObject([
        { kind: "damaged", segment: path, from: missing, to: missing + 1 },
      ]);
      expect(log.damage).toMatchObject([{ from: missing, to: missing + 1 }]);
      expect(await log.read(missing, 100)).toEqual({ kind: "damaged", from: missing, to: missing + 1 });
      expectTexts(await readAll(log), [missing], 11);
      // The file is left as it is, by this start and by what is appended after it.
      await appendTexts(log, 11, 14);
      await log.close();
      expect(disk.peek(path)).toEqual(bytes);
      const again = await openTestLog(disk, options);
      expect(again.damage).toMatchObject([{ from: missing, to: missing + 1 }]);
      expectTexts(await readAll(again), [missing], 14);
    },
  );

  test("in a header is found too: the batch behind it says where the log goes on", async () => {
    const disk = await killedLog(11);
    const path = logFiles(disk)[1]!;
    const base = Number(path.slice(-24, -4));
    disk.flipBit(path, batchPositions(disk, path)[1]! + batchLayout.length + 2);
    const log = await openTestLog(disk, { ...options, scan: "all" });
    expect(log.findings).toMatchObject([{ kind: "damaged", from: base + 1, to: base + 2 }]);
    expectTexts(await readAll(log), [base + 1], 11);
  });

  test("in the active segment closes it: nothing is appended behind damage", async () => {
    const disk = await killedLog(5);
    const path = logFiles(disk).at(-1)!;
    const base = Number(path.slice(-24, -4));
    disk.flipBit(path, batchPositions(disk, path)[0]! + batchHeaderBytes + 2);
    const bytes = disk.peek(path);
    const log = await openTestLog(disk, options);
    expect(log.damage).toMatchObject([{ from: base, to: base + 1 }]);
    await appendTexts(log, 5, 7);
    expect(disk.peek(path)).toEqual(bytes);
    expect(logFiles(disk).at(-1)).not.toBe(path);
    expectTexts(await readAll(log), [base], 7);
  });

  test("in the last durable record is reported, also when the start that found it was interrupted", async () => {
    // Only the batches behind it prove that it was durable, and they are torn: they go.
    const disk = await killedLog(0);
    const large = { ...options, segmentBytesMax: 10_000 };
    const log = await openTestLog(disk, large);
    await appendTexts(log, 0, 5);
    for (let number = 5; number < 8; number++) log.append(batchOf(textOf(number)));
    await log.committed();
    const path = logFiles(disk)[0]!;
    const start = disk.restart({ kind: "nothing" });
    const positions = batchPositions(start, path);
    start.flipBit(path, positions[4]! + batchHeaderBytes);
    start.flipBit(path, positions[5]! + batchHeaderBytes);
    const explored = await exploreCrashPoints(
      {
        start,
        makeNotes: () => undefined,
        run: async (crashing) => {
          await openTestLog(crashing, large);
        },
        check: async (left) => {
          const again = await openTestLog(left, large);
          expect(again.damage).toMatchObject([{ from: 4, to: 5 }]);
          expect(again.endOffset).toBe(5);
        },
      },
      { outcomes: 3 },
    );
    expect(explored.checks).toBeGreaterThan(0);
  });

  test("that is met while reading is found then, and told", async () => {
    const disk = await closedLog(11);
    const path = logFiles(disk)[0]!;
    const log = await openTestLog(disk, options);
    expect(log.findings).toEqual([]);
    disk.flipBit(path, batchPositions(disk, path)[1]! + 5);
    expect(await log.read(1, 100)).toEqual({ kind: "damaged", from: 1, to: 2 });
    expectTexts(await readAll(log), [1], 11);
  });

  test("a segment that is missing is missing offsets, not a shorter log", async () => {
    const disk = await closedLog(11);
    const path = logFiles(disk)[1]!;
    const [from, to] = [path, logFiles(disk)[2]!].map((each) => Number(each.slice(-24, -4)));
    await disk.remove(path);
    const log = await openTestLog(disk, options);
    expect(log.damage).toMatchObject([{ from, to }]);
    expect(log.endOffset).toBe(11);
    expect(await log.read(from!, 100)).toEqual({ kind: "damaged", from, to });
  });

  test("an end that is lost is not given out again", async () => {
    const disk = await closedLog(11);
    const path = logFiles(disk).at(-1)!;
    const base = Number(path.slice(-24, -4));
    await disk.remove(path);
    const log = await openTestLog(disk, options);
    expect(log.endOffset).toBe(11);
    expect(log.damage).toMatchObject([{ from: base, to: 11 }]);
    await appendTexts(log, 11, 12);
    expectTexts(
      await readAll(log),
      [base, base + 1, base + 2].filter((offset) => offset < 11),
      12,
    );
  });

  test("the loss of everything is said, and the offsets go on", async () => {
    const disk = await closedLog(11);
    for (const path of disk.paths()) if (!path.endsWith("state")) await disk.remove(path);
    const log = await openTestLog(disk, options);
    expect([log.startOffset, log.endOffset]).toEqual([0, 11]);
    expect(log.damage).toMatchObject([{ from: 0, to: 11 }]);
  });
});
