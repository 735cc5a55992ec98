import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { exploreCrashPoints } from "../simulator/disk-explore.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import {
  ConsumerOffsets,
  resolveStart,
  type ConsumerOffsetsOptions,
  type OffsetKey,
} from "./consumer-offsets.ts";
import { stillClock } from "./test-log.ts";

const key: OffsetKey = { group: "billing", topic: "orders", partition: 0 };
const path = "groups/offsets";

function open(disk: SimulatedDisk, options: Partial<ConsumerOffsetsOptions> = {}): Promise<ConsumerOffsets> {
  return ConsumerOffsets.open({ disk, path, clock: stillClock, ...options });
}

/** The store as the next process finds it after a power loss that keeps nothing unsynced. */
async function reopen(disk: SimulatedDisk): Promise<ConsumerOffsets> {
  return open(disk.restart({ kind: "nothing" }));
}

describe("committing", () => {
  test("what was committed is there after a restart, also over several runs", async () => {
    let disk = new SimulatedDisk();
    for (let run = 1; run <= 4; run++) {
      const offsets = await open(disk);
      expect(offsets.fetch(key)).toBe(run === 1 ? undefined : (run - 1) * 50_000);
      for (let offset = (run - 1) * 50_000 + 1000; offset <= run * 50_000; offset += 1000) {
        expect(await offsets.commit(key, offset)).toEqual({ kind: "committed", offset });
      }
      disk = disk.restart({ kind: "nothing" });
    }
    expect((await open(disk)).fetch(key)).toBe(200_000);
  });

  test("keys do not mix, whatever their names look like", async () => {
    const keys = [
      { group: "a", topic: "bc", partition: 1 },
      { group: "ab", topic: "c", partition: 1 },
      { group: "a", topic: "bc", partition: 11 },
      { group: "c/b", topic: "a", partition: 1 },
      { group: "ü", topic: "日本", partition: 1 },
    ];
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    await Promise.all(keys.map((each, index) => offsets.commit(each, index)));
    const again = await reopen(disk);
    expect(keys.map((each) => again.fetch(each))).toEqual([0, 1, 2, 3, 4]);
  });

  test("what a start has found outlives the power, also where a sync had failed before", async () => {
    const rehearsal = new SimulatedDisk();
    await (await open(rehearsal)).commit(key, 7);
    const fault = { call: rehearsal.calls - 1, kind: "fail", code: "input-output" } as const;
    const disk = new SimulatedDisk({ faults: [fault] });
    expect(await (await open(disk)).commit(key, 7)).toMatchObject({ kind: "failed" });
    // The process ends, the machine does not: the entry can be read, and no sync will write it any more.
    const again = disk.restart({ kind: "everything" });
    expect((await open(again)).fetch(key)).toBe(7);
    expect((await reopen(again)).fetch(key)).toBe(7);
  });

  test("commits that come together share a sync", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    const before = disk.counts["sync"] ?? 0;
    await Promise.all(Array.from({ length: 50 }, (_, partition) => offsets.commit({ ...key, partition }, 7)));
    expect((disk.counts["sync"] ?? 0) - before).toBeLessThanOrEqual(2);
  });

  test("a commit that was overtaken does not take the group back, and a repeated one is fine", async () => {
    const offsets = await open(new SimulatedDisk());
    await offsets.commit(key, 10);
    expect(await offsets.commit(key, 9)).toEqual({ kind: "overtaken", offset: 10 });
    expect(await offsets.commit(key, 10)).toEqual({ kind: "committed", offset: 10 });
    expect(offsets.fetch(key)).toBe(10);
  });

  test("the answer waits for the disk", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    let isAnswered = false;
    disk.replan({ gate: (call) => (call.operation === "sync" ? new Promise(() => undefined) : undefined) });
    void offsets.commit(key, 10).then(() => (isAnswered = true));
    void offsets.commit(key, 10).then(() => (isAnswered = true));
    for (let step = 0; step < 100; step++) await Promise.resolve();
    expect(isAnswered).toBe(false);
  });
});

describe("setting by hand", () => {
  test.each([0, 5, 100])("goes to %i, in any direction, and stays there", async (target) => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    await offsets.commit(key, 50);
    expect(await offsets.set(key, target)).toEqual({ kind: "committed", offset: target });
    expect(offsets.fetch(key)).toBe(target);
    expect((await reopen(disk)).fetch(key)).toBe(target);
  });

  test("fences the owner: its next commit would undo it", async () => {
    const offsets = await open(new SimulatedDisk());
    const owner = await offsets.acquire(key);
    if (owner.kind !== "acquired") throw new Error(owner.kind);
    await offsets.commit(key, 50, owner.fence);
    await offsets.set(key, 0);
    expect(await offsets.commit(key, 51, owner.fence)).toEqual({ kind: "fenced", fence: owner.fence + 1 });
    expect(offsets.fetch(key)).toBe(0);
  });
});

describe("fencing", () => {
  test("a commit of an owner that was replaced is refused, also after a restart", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    const first = await offsets.acquire(key);
    const second = await offsets.acquire(key);
    if (first.kind !== "acquired" || second.kind !== "acquired") throw new Error("not acquired");
    expect(await offsets.commit(key, 10, first.fence)).toMatchObject({ kind: "fenced" });
    expect(await offsets.commit(key, 20, second.fence)).toMatchObject({ kind: "committed" });
    const again = await reopen(disk);
    expect(await again.commit(key, 30, first.fence)).toMatchObject({ kind: "fenced" });
    expect(await again.acquire(key)).toEqual({ kind: "acquired", fence: second.fence + 1 });
    expect(again.fetch(key)).toBe(20);
  });
});

describe("where a consumer begins", () => {
  test("at the stored offset, if the log has it; 0 and the end are offsets too", () => {
    expect(resolveStart(0, 0, 10, "latest")).toEqual({ kind: "resume", offset: 0 });
    expect(resolveStart(10, 0, 10, "earliest")).toEqual({ kind: "resume", offset: 10 });
  });

  test.each([
    [undefined, "no-offset"],
    [4, "below-start"],
    [11, "above-end"],
  ] as const)("a stored offset of %s is answered by the policy", (stored, because) => {
    expect(resolveStart(stored, 5, 10, "earliest")).toEqual({ kind: "reset", offset: 5, because });
    expect(resolveStart(stored, 5, 10, "latest")).toEqual({ kind: "reset", offset: 10, because });
    expect(resolveStart(stored, 5, 10, "fail")).toEqual({ kind: "out-of-range", because });
  });
});

describe("the file", () => {
  test("is replaced when most of it is out of date, and the newest offsets are in the new one", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk, { compactBytesMin: 1000 });
    const other = { ...key, partition: 1 };
    await offsets.commit(other, 3);
    for (let offset = 0; offset < 500; offset++) await offsets.commit(key, offset);
    expect(disk.peek(path)!.length).toBeLessThan(1200);
    const again = await reopen(disk);
    expect([again.fetch(key), again.fetch(other)]).toEqual([499, 3]);
    expect(disk.openFiles).toBe(1);
  });

  test("forgets what is removed, and keeps its fence", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk, { compactBytesMin: 0 });
    await offsets.set(key, 5);
    await offsets.commit({ ...key, topic: "other" }, 6);
    await offsets.remove(({ topic }) => topic === "orders");
    const again = await reopen(disk);
    expect(again.list()).toEqual([{ ...key, topic: "other", offset: 6, fence: 0 }]);
    expect(again.fenceOf(key)).toBe(1);
  });

  test("a full disk refuses the commit, keeps what was there, and takes the next one when there is room", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    await offsets.commit(key, 10);
    disk.replan({ capacityBytes: disk.peek(path)!.length + 20 });
    expect(await offsets.commit(key, 20)).toMatchObject({ kind: "failed", error: { code: "no-space" } });
    expect(offsets.fetch(key)).toBe(10);
    disk.replan({});
    expect(await offsets.commit(key, 15)).toEqual({ kind: "committed", offset: 15 });
    expect((await reopen(disk)).fetch(key)).toBe(15);
  });

  test("after a failed sync nothing is acknowledged any more", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    disk.replan({ faults: [{ call: 1, kind: "fail", code: "input-output" }] });
    expect(await offsets.commit(key, 10)).toMatchObject({ kind: "failed" });
    expect(await offsets.commit(key, 10)).toMatchObject({ kind: "failed" });
    expect((await reopen(disk)).fetch(key)).toBe(undefined);
  });

  test("any bytes at all can be opened", async () => {
    const random = new SeededRandom(1);
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    for (let offset = 0; offset < 30; offset++)
      await offsets.commit({ ...key, partition: offset % 3 }, offset);
    const good = disk.peek(path)!;
    for (let round = 0; round < 300; round++) {
      const bad = good.slice(0, random.nextBetween(0, good.length));
      for (let flips = random.nextBetween(0, 5); flips > 0 && bad.length > 0; flips--) {
        bad[random.nextBetween(0, bad.length - 1)]! ^= 1 << random.nextBetween(0, 7);
      }
      const image = new SimulatedDisk();
      await image.makeDirectory("groups");
      image.poke(path, bad);
      const opened = await open(image);
      expect((await opened.commit(key, 1000)).kind).toBe("committed");
      expect((await reopen(image)).fetch(key)).toBe(1000);
    }
  });

  test("a damaged entry in the middle is skipped and said to be, the rest is kept", async () => {
    const disk = new SimulatedDisk();
    const offsets = await open(disk);
    for (const partition of [0, 1, 2]) await offsets.commit({ ...key, partition }, 7);
    await offsets.close();
    const entryBytes = disk.peek(path)!.length / 3;
    disk.flipBit(path, entryBytes + 15);
    const again = await open(disk);
    expect(again.skippedBytes).toBe(entryBytes);
    expect([0, 1, 2].map((partition) => again.fetch({ ...key, partition }))).toEqual([7, undefined, 7]);
  });

  test("a crash at any call loses no commit that was acknowledged", async () => {
    const explored = await exploreCrashPoints(
      {
        makeNotes: () => ({ acknowledged: -1, asked: -1 }),
        run: async (disk, notes) => {
          const offsets = await open(disk, { compactBytesMin: 150 });
          for (let offset = 0; offset < 9; offset++) {
            notes.asked = offset;
            await offsets.commit(key, offset);
            notes.acknowledged = offset;
          }
          await offsets.close();
        },
        check: async (disk, { acknowledged, asked }) => {
          const offsets = await open(disk);
          const found = offsets.fetch(key) ?? -1;
          if (found < acknowledged || found > asked)
            throw new Error(`found ${found}, acknowledged ${acknowledged}`);
          await offsets.close();
          if (disk.openFiles !== 0) throw new Error(`${disk.openFiles} files are left open`);
          const again = await open(disk.restart({ kind: "nothing" }));
          if ((again.fetch(key) ?? -1) !== found) throw new Error("a second start finds something else");
        },
      },
      { exhaustiveCallsMax: 100 },
    );
    expect(explored.checks).toBeGreaterThan(0);
  });
});
