import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { VirtualClock } from "../testing/clock.ts";
import { AppendBuffers, smallChunkBytes } from "./append-buffers.ts";
import { FilePool } from "./file-pool.ts";
import type { Log, LogOptions } from "./log.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { decodeRecordBatch, RecordCursor } from "./record-cursor.ts";
import { compareRecordIds, type RecordId } from "./record-id.ts";
import { offsetMax } from "./segment.ts";
import { batchOf, openTestLog, readAll, testDirectory, textOf } from "./test-log.ts";

const options: Partial<LogOptions> = { segmentBytesMax: 420, indexIntervalBytes: 200 };

async function appendTexts(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) log.append(batchOf(textOf(number)));
  expect((await log.committed()).kind).toBe("committed");
}

describe("appending", () => {
  test("numbers records at once and shows them when they are committed", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    expect(log.append(batchOf("a", "b"))).toMatchObject({ kind: "appended", baseOffset: 0, nextOffset: 2 });
    expect(log.append(batchOf("c"))).toMatchObject({ kind: "appended", baseOffset: 2, nextOffset: 3 });
    expect([log.endOffset, log.committedEnd, log.durableEnd]).toEqual([3, 0, 0]);
    expect(await log.read(0, 100)).toMatchObject({ kind: "records", nextOffset: 0 });
    expect(await log.committed()).toEqual({ kind: "committed", endOffset: 3 });
    expect([log.committedEnd, log.durableEnd]).toEqual([3, 3]);
    expect([...(await readAll(log)).values()]).toEqual(["a", "b", "c"]);
  });

  test("the caller's bytes are its own again as soon as the call returns", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    const bytes = batchOf("mine");
    log.append(bytes);
    bytes.fill(0);
    await log.committed();
    expect([...(await readAll(log)).values()]).toEqual(["mine"]);
  });

  test("a batch may lie anywhere in a larger buffer, as it came off a socket", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    const batch = batchOf("inside");
    const buffer = new Uint8Array(batch.length + 30).fill(9);
    buffer.set(batch, 17);
    expect(log.append(buffer, 17, 17 + batch.length).kind).toBe("appended");
    await log.committed();
    expect([...(await readAll(log)).values()]).toEqual(["inside"]);
  });

  test("what is refused leaves no trace", async () => {
    const log = await openTestLog(new SimulatedDisk(), { ...options, batchBytesMax: 300 });
    const bad = batchOf("x");
    bad[bad.length - 1]! ^= 1;
    expect(log.append(bad)).toMatchObject({ kind: "refused", reason: "corrupt-batch" });
    expect(log.append(new Uint8Array(10))).toMatchObject({ kind: "refused", reason: "invalid-batch" });
    expect(log.append(batchOf("x".repeat(300)))).toMatchObject({ kind: "refused", reason: "too-large" });
    expect(log.endOffset).toBe(0);
    expect(log.append(batchOf("good"))).toMatchObject({ kind: "appended", baseOffset: 0, idSequence: 0 });
  });

  test("more than may wait is refused as overload, and taken when there is room again", async () => {
    const buffers = new AppendBuffers(smallChunkBytes);
    const log = await openTestLog(new SimulatedDisk(), { buffers });
    const big = batchOf("x".repeat(40_000));
    expect(log.append(big).kind).toBe("appended");
    expect(log.append(big)).toMatchObject({ kind: "refused", reason: "overloaded" });
    await log.committed();
    expect(log.append(big)).toMatchObject({ kind: "appended", baseOffset: 1, idSequence: 1 });
  });

  test("ids rise with the offsets, within batches, over batches and over restarts, whatever the clock does", async () => {
    const random = new SeededRandom(1);
    const clock = new VirtualClock();
    let disk = new SimulatedDisk();
    const ids: RecordId[] = [];
    for (let life = 0; life < 5; life++) {
      const log = await openTestLog(disk, { ...options, clock });
      for (let round = 0; round < 8; round++) {
        clock.stepWallTime(random.nextBetween(-50, 40));
        log.append(batchOf(...Array.from({ length: random.nextBetween(1, 4) }, () => "x")));
        await log.committed();
      }
      if (life % 2 === 0) await log.close();
      disk = disk.restart({ kind: "nothing" });
    }
    const log = await openTestLog(disk, { ...options, clock });
    for (let offset = 0; offset < log.committedEnd;) {
      const result = await log.read(offset, 1000);
      if (result.kind !== "records") throw new Error(result.kind);
      const cursor = new RecordCursor(result.bytes, { fromOffset: offset });
      while (cursor.next())
        ids.push({ milliseconds: cursor.batch!.idMilliseconds, sequence: cursor.idSequence });
      offset = result.nextOffset;
    }
    expect(ids.length).toBe(log.committedEnd);
    for (let index = 1; index < ids.length; index++) {
      expect(compareRecordIds(ids[index]!, ids[index - 1]!)).toBeGreaterThan(0);
    }
  });

  test("the last offset is exact, and then there are none", async () => {
    const disk = new SimulatedDisk();
    const first = await openTestLog(disk, options);
    await first.close();
    // A log that has come this far: the state says where it goes on.
    const { saveState } = await import("./log-state.ts");
    const { crc32 } = await import("#reference/base/crc32.ts");
    const state = {
      startOffset: offsetMax - 1,
      epoch: 0,
      recoveryOffset: offsetMax - 1,
      idMilliseconds: 0,
      idSequence: 0,
    };
    await saveState(disk, testDirectory, state, crc32);
    const log = await openTestLog(disk, options);
    expect(log.append(batchOf("a", "b", "c"))).toMatchObject({ kind: "refused", reason: "offset-limit" });
    expect(log.append(batchOf("a", "b"))).toMatchObject({ kind: "appended", baseOffset: offsetMax - 1 });
    expect((await log.committed()).kind).toBe("committed");
    expect([...(await readAll(log)).keys()]).toEqual([offsetMax - 1, offsetMax]);
    expect(log.append(batchOf("d"))).toMatchObject({ kind: "refused", reason: "offset-limit" });
  });

  test("after `close` nothing is taken", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    log.append(batchOf("last"));
    expect(await log.close()).toEqual({ kind: "committed", endOffset: 1 });
    expect(log.append(batchOf("x"))).toMatchObject({ kind: "refused", reason: "closed" });
    expect(await log.close()).toEqual({ kind: "committed", endOffset: 1 });
  });
});

describe("a hot tail beside the log", () => {
  test("is shown each batch as it will be stored, and told what is committed", async () => {
    const log = await openTestLog(new SimulatedDisk(), options);
    const stored: Uint8Array[] = [];
    const committed: number[] = [];
    log.onAppended = (batch) => void stored.push(batch.slice());
    log.onCommitted = (end) => void committed.push(end);
    await appendTexts(log, 0, 5);
    expect(committed).toEqual([5]);
    const read = await log.read(0, 1e6);
    if (read.kind !== "records") throw new Error(read.kind);
    expect(decodeRecordBatch(stored[0]!)).toMatchObject({ kind: "batch", header: { baseOffset: 0 } });
    expect(read.bytes.subarray(0, stored[0]!.length)).toEqual(stored[0]);
  });

  test("is told what was taken back", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    await appendTexts(log, 0, 2);
    const ends: number[] = [];
    log.onTakenBack = (end) => void ends.push(end);
    disk.replan({ faults: [{ call: 0, kind: "fail", code: "no-space" }] });
    log.append(batchOf("lost"));
    await log.committed();
    await log.truncate(1, 0, 1);
    expect(ends).toEqual([2, 1]);
  });
});

describe("a full disk", () => {
  test("fails what was being stored, wherever it was met, keeps the rest, and is over when there is room", async () => {
    for (let room = 0; room < 1500; room += 37) {
      const disk = new SimulatedDisk();
      const log = await openTestLog(disk, options);
      await appendTexts(log, 0, 5);
      const used = disk.paths().reduce((sum, path) => sum + disk.peek(path)!.length, 0);
      disk.replan({ capacityBytes: used + room });
      // Several batches over several segments, in one round.
      for (let number = 5; number < 14; number++) log.append(batchOf(textOf(number)));
      const result = await log.committed();
      if (result.kind === "failed") {
        expect(result.error.code).toBe("no-space");
        expect([log.endOffset, log.committedEnd, log.failure]).toEqual([5, 5, undefined]);
      }
      disk.replan({});
      const from = log.endOffset;
      await appendTexts(log, from, from + 6);
      const expected = Array.from({ length: from + 6 }, (_, number) => textOf(number));
      expect([...(await readAll(log)).values()]).toEqual(expected);
      await log.close();
      expect(disk.openFiles).toBe(0);
      const again = await openTestLog(disk.restart({ kind: "nothing" }), { ...options, scan: "all" });
      expect(again.damage).toEqual([]);
      expect([...(await readAll(again)).values()]).toEqual(expected);
    }
  });

  test("nothing that failed comes back after a crash, although it would fit behind what was stored then", async () => {
    for (let seed = 0; seed < 60; seed++) {
      const disk = new SimulatedDisk();
      const log = await openTestLog(disk, { ...options, segmentBytesMax: 10_000 });
      await appendTexts(log, 0, 3);
      const used = disk.paths().reduce((sum, path) => sum + disk.peek(path)!.length, 0);
      disk.replan({ capacityBytes: used + 350 });
      for (let number = 3; number < 9; number++) log.append(batchOf(`failed ${number}`));
      expect((await log.committed()).kind).toBe("failed");
      disk.replan({});
      // Of the same size as those that failed.
      log.append(batchOf("stored 3"));
      expect((await log.committed()).kind).toBe("committed");
      const left = seed === 0 ? ({ kind: "everything" } as const) : ({ kind: "random", seed } as const);
      const again = await openTestLog(disk.restart(left), options);
      expect([...(await readAll(again)).values()]).toEqual([textOf(0), textOf(1), textOf(2), "stored 3"]);
    }
  });
});

describe("a disk that fails to sync", () => {
  test("ends the log: everybody waiting fails, reads go on, and a restart finds what was acknowledged", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, {});
    await appendTexts(log, 0, 3);
    disk.replan({ faults: [{ call: 1, kind: "fail", code: "input-output" }] });
    log.append(batchOf("covered"));
    const covered = log.committed();
    expect(await covered).toMatchObject({
      kind: "failed",
      error: { code: "input-output", operation: "sync" },
    });
    expect(log.append(batchOf("later"))).toMatchObject({ kind: "refused", reason: "failed" });
    expect(await log.committed()).toMatchObject({ kind: "failed" });
    expect([...(await readAll(log)).values()]).toEqual([textOf(0), textOf(1), textOf(2)]);
    expect((await log.close()).kind).toBe("failed");
    const again = await openTestLog(disk.restart({ kind: "nothing" }), options);
    expect(again.endOffset).toBe(3);
  });

  test("whichever call fails, nothing that was acknowledged is lost and nothing hangs", async () => {
    for (const code of ["input-output", "no-space", "read-only"] as const) {
      for (let call = 0; call < 60; call++) {
        const disk = new SimulatedDisk();
        const log = await openTestLog(disk, options);
        disk.replan({ faults: [{ call, kind: "fail", code }] });
        let acknowledged = 0;
        for (let number = 0; number < 9; number++) {
          const result = log.append(batchOf(textOf(number)));
          if (result.kind === "refused") break;
          if ((await log.committed()).kind === "committed") acknowledged = log.committedEnd;
          else break;
        }
        await log.close();
        expect(disk.openFiles).toBe(0);
        const again = await openTestLog(disk.restart({ kind: "nothing" }), options);
        expect(again.endOffset).toBeGreaterThanOrEqual(acknowledged);
        expect(again.damage, `${code} at call ${call}: ${disk.trace.join("\n")}`).toEqual([]);
      }
    }
  });
});

describe("policies", () => {
  test("everysec: told after the write, on disk a second later", async () => {
    const clock = new VirtualClock();
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, fsync: "everysec", clock });
    await appendTexts(log, 0, 2);
    expect([log.committedEnd, log.durableEnd]).toEqual([2, 0]);
    expect((await openTestLog(disk.clone().restart({ kind: "nothing" }), options)).endOffset).toBe(0);
    expect((await openTestLog(disk.clone().restart({ kind: "everything" }), options)).endOffset).toBe(2);
    await clock.advanceAsync(1000);
    expect(log.durableEnd).toBe(2);
    expect((await openTestLog(disk.clone().restart({ kind: "nothing" }), options)).endOffset).toBe(2);
    await log.close();
    expect(clock.activeTimers).toBe(0);
  });

  test("never: a power loss may take all, a kill of the process nothing", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, fsync: "never" });
    await appendTexts(log, 0, 2);
    expect((await openTestLog(disk.clone().restart({ kind: "everything" }), options)).endOffset).toBe(2);
    expect(await log.sync()).toMatchObject({ kind: "committed" });
    expect((await openTestLog(disk.clone().restart({ kind: "nothing" }), options)).endOffset).toBe(2);
  });
});

describe("finding an offset", () => {
  test("by time and by id, as a scan of everything would", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ step: fc.nat(3), times: fc.array(fc.nat(40), { minLength: 1, maxLength: 4 }) }),
          {
            minLength: 1,
            maxLength: 20,
          },
        ),
        fc.nat(41),
        async (batches, wanted) => {
          const clock = new VirtualClock(100);
          const log = await openTestLog(new SimulatedDisk(), { ...options, clock });
          const times: number[] = [];
          const ids: RecordId[] = [];
          for (const batch of batches) {
            clock.advance(batch.step);
            const records = batch.times.map((timestampMs) => ({ value: new Uint8Array(30), timestampMs }));
            const result = log.append(encodeRecordBatch(records));
            if (result.kind !== "appended") throw new Error(result.detail);
            batch.times.forEach((time, index) => {
              times.push(time);
              ids.push({ milliseconds: result.idMilliseconds, sequence: result.idSequence + index });
            });
            await log.committed();
          }
          const end = times.length;
          const byTime = times.findIndex((time) => time >= wanted);
          expect(await log.offsetForTimestamp(wanted)).toBe(byTime < 0 ? end : byTime);
          for (const id of [...ids, { milliseconds: 100 + wanted, sequence: wanted % 5 }]) {
            const byId = ids.findIndex((each) => compareRecordIds(each, id) >= 0);
            expect(await log.offsetForId(id)).toBe(byId < 0 ? end : byId);
          }
        },
      ),
      { seed: 1, numRuns: 60 },
    );
  });
});

describe("many logs", () => {
  test("share one bound on open files", async () => {
    const disk = new SimulatedDisk();
    const files = new FilePool(disk, 5);
    const logs = [];
    for (let number = 0; number < 4; number++) {
      logs.push(await openTestLog(disk, { ...options, directory: `topics/a/${number}`, files }));
    }
    for (const log of logs) await appendTexts(log, 0, 20);
    // Full segments are put away in the background; this waits for that.
    for (const log of logs) await log.trim(0);
    const random = new SeededRandom(1);
    for (let round = 0; round < 100; round++) {
      const result = await random.pick(logs).read(random.nextBetween(0, 19), 100);
      expect(result.kind).toBe("records");
      expect(files.openCount).toBeLessThanOrEqual(5);
    }
    for (const log of logs) await log.close();
    expect([files.openCount, disk.openFiles]).toEqual([0, 0]);
  });
});

test("a directory that cannot be made is the disk's error, not a log", async () => {
  const disk = new SimulatedDisk({ faults: [{ call: 1, kind: "fail", code: "permission-denied" }] });
  await expect(openTestLog(disk, options)).rejects.toMatchObject({ code: "permission-denied" });
});
