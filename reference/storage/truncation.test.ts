import { describe, expect, test } from "vitest";
import { SimulatedDisk } from "../simulator/disk.ts";
import { exploreCrashPoints } from "../simulator/disk-explore.ts";
import { VirtualClock } from "../testing/clock.ts";
import type { Log, LogOptions } from "./log.ts";
import { batchOf, openTestLog, readAll, textOf } from "./test-log.ts";

const options: Partial<LogOptions> = { segmentBytesMax: 420, indexIntervalBytes: 200 };

async function appendTexts(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    log.append(batchOf(textOf(number)));
    expect((await log.committed()).kind).toBe("committed");
  }
}

describe("cutting the end", () => {
  test("removes what is behind an offset, durably, and gives it out again under a new epoch", async () => {
    for (const cut of [0, 1, 4, 8, 10, 11]) {
      const disk = new SimulatedDisk();
      const log = await openTestLog(disk, options);
      await appendTexts(log, 0, 11);
      expect(await log.truncate(cut, 0, 1)).toEqual({ kind: "truncated", endOffset: cut, epoch: 1 });
      expect([log.endOffset, log.committedEnd, log.epoch]).toEqual([cut, cut, 1]);
      log.append(batchOf("new"));
      await log.committed();
      const again = await openTestLog(disk.restart({ kind: "random", seed: cut }), {
        ...options,
        scan: "all",
      });
      expect(again.damage).toEqual([]);
      const records = await readAll(again);
      expect([...records.keys()]).toEqual(Array.from({ length: cut + 1 }, (_, offset) => offset));
      for (const [offset, text] of records) expect(text).toBe(offset === cut ? "new" : textOf(offset));
      expect(again.epoch).toBe(1);
    }
  });

  test("is refused below the high watermark, below the start, within a batch, and without a new epoch", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 9);
    log.append(batchOf("nine", "ten", "eleven"));
    await log.committed();
    const records = (): unknown =>
      disk
        .paths()
        .filter((path) => path.endsWith(".log"))
        .map((path) => disk.peek(path));
    const before = records();
    expect(await log.truncate(4, 5, 1)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("high watermark 5") as string,
    });
    expect(await log.truncate(10, 5, 1)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("inside the batch at 9") as string,
    });
    expect(await log.truncate(9, 5, 0)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("epoch 0") as string,
    });
    expect(records()).toEqual(before);
    await log.trim(6);
    expect(await log.truncate(5, 5, 1)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("start 6") as string,
    });
  });

  test("look-ups after it know nothing of what was cut", async () => {
    const disk = new SimulatedDisk();
    const clock = new VirtualClock();
    const log = await openTestLog(disk, { ...options, clock });
    await appendTexts(log, 0, 11);
    await log.truncate(5, 0, 1);
    for (let number = 5; number < 16; number++) {
      log.append(batchOf(`other ${number} ${"z".repeat((number * 53) % 110)}`));
      await log.committed();
    }
    for (let offset = 15; offset >= 0; offset--) {
      expect(await log.read(offset, 1)).toMatchObject({ kind: "records", nextOffset: offset + 1 });
    }
    await log.close();
    const again = await openTestLog(disk, options);
    expect(again.findings).toEqual([]);
    expect((await readAll(again)).size).toBe(16);
  });

  test("takes no appends while it is under way, and minds no timer", async () => {
    const disk = new SimulatedDisk();
    const clock = new VirtualClock();
    const log = await openTestLog(disk, { ...options, clock, fsync: "everysec" });
    await appendTexts(log, 0, 6);
    const cutting = log.truncate(2, 0, 1);
    for (let step = 0; step < 5; step++) await Promise.resolve();
    expect(log.append(batchOf("x"))).toMatchObject({ kind: "refused", reason: "overloaded" });
    clock.advance(1000);
    expect(await cutting).toMatchObject({ kind: "truncated", endOffset: 2 });
    expect(log.append(batchOf("x"))).toMatchObject({ kind: "appended", baseOffset: 2 });
    expect((await log.close()).kind).toBe("committed");
  });

  test("takes the copy of the index with it: no later start may believe it", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 11);
    await log.truncate(1, 0, 1);
    expect(
      disk
        .restart({ kind: "nothing" })
        .paths()
        .filter((path) => path.endsWith(".index")),
    ).toEqual([]);
  });

  test("a crash at any call leaves the log before the cut or after it", async () => {
    const start = new SimulatedDisk();
    const before = await openTestLog(start, options);
    await appendTexts(before, 0, 11);
    await before.close();
    const explored = await exploreCrashPoints(
      {
        start,
        makeNotes: () => ({ isCut: false, isAppended: false }),
        run: async (disk, notes) => {
          const log = await openTestLog(disk, options);
          await log.truncate(4, 4, 7);
          notes.isCut = true;
          log.append(batchOf("new"));
          await log.committed();
          notes.isAppended = true;
          await log.close();
        },
        check: async (disk, { isCut, isAppended }) => {
          const log = await openTestLog(disk, options);
          const records = await readAll(log);
          const must = (isTrue: boolean, promise: string): void => {
            if (!isTrue) throw new Error(`${promise}: ${JSON.stringify([...records])}`);
          };
          must(log.damage.length === 0, "a crash is no damage");
          must(records.size >= 4, "what is before the cut stays");
          must(!isCut || records.size <= 5, "what was cut does not come back");
          must(!isCut || log.epoch === 7, "the epoch is kept");
          must(!isAppended || records.get(4) === "new", "what was acknowledged is there");
          // An offset from the cut on holds its old record, in the old epoch, or the new one; no mixture.
          if (records.get(4) === "new") must(records.size === 5, "old records do not follow on new ones");
          else
            for (const [offset, text] of records)
              must(text === textOf(offset), `offset ${offset} is another record`);
        },
      },
      { exhaustiveCallsMax: 100 },
    );
    expect(explored.checks).toBeGreaterThan(0);
  });
});
