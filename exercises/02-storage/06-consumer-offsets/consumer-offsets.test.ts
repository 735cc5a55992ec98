/**
 * The suite of E2.6: consumer offsets. Everything goes through the store's own methods and through restarts of a
 * simulated disk; only the format of an entry is taken for granted, since it is not the learner's.
 */
import { describe, test } from "vitest";
import { concatBytes } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import { encodeOffsetEntry } from "#reference/storage/offset-entry.ts";
import { stillClock } from "#reference/storage/test-log.ts";
import { expectEqual, expectThat, explained, fail, formatValue, run } from "#exercises/lib/check.ts";
import { hexDump } from "#exercises/lib/hex-dump.ts";
import { seed } from "#exercises/lib/seed.ts";
import {
  diskFiles,
  ioTimeline,
  quiet,
  settles,
  surviveEveryCrash,
  watch,
} from "#exercises/lib/storage-disk.ts";
import { ConsumerOffsets, resolveStart } from "./consumer-offsets.ts";
import type {
  ConsumerOffsetsOptions,
  OffsetCommit,
  OffsetEntry,
  OffsetKey,
  ResetPolicy,
} from "./consumer-offsets.ts";

const key: OffsetKey = { group: "billing", topic: "orders", partition: 0 };
const path = "groups/offsets";

/** The key of another partition. */
function partition(number: number): OffsetKey {
  return { ...key, partition: number };
}

function where(disk: SimulatedDisk): { where: string } {
  return { where: `${ioTimeline(disk.trace)}\nthe files\n${diskFiles(disk)}` };
}

/** Opens the store with the subject. */
function open(disk: SimulatedDisk, options: Partial<ConsumerOffsetsOptions> = {}): Promise<ConsumerOffsets> {
  return settles(
    "ConsumerOffsets.open",
    ConsumerOffsets.open({ disk, path, clock: stillClock, ...options }),
    disk,
  );
}

/** A fresh store, and its disk. */
async function fresh(
  options: Partial<ConsumerOffsetsOptions> = {},
): Promise<{ disk: SimulatedDisk; offsets: ConsumerOffsets }> {
  const disk = new SimulatedDisk();
  const offsets = await open(disk, options);
  disk.replan({});
  return { disk, offsets };
}

/** The store as the next process finds it, after a power loss that leaves nothing of what was not synced. */
async function reopen(disk: SimulatedDisk): Promise<ConsumerOffsets> {
  return open(disk.restart({ kind: "nothing" }));
}

/** Awaits a commit, a set or an acquisition, which must say this. */
async function says(
  what: string,
  disk: SimulatedDisk,
  promise: Promise<unknown>,
  expected: unknown,
): Promise<void> {
  expectEqual(what, await settles(what, promise, disk), expected, where(disk));
}

/** Makes a new owner; its fence. */
async function acquire(disk: SimulatedDisk, offsets: ConsumerOffsets, of: OffsetKey = key): Promise<number> {
  const result = await settles("acquire", offsets.acquire(of), disk);
  if (result.kind !== "acquired")
    fail("acquire has made no owner", { actual: formatValue(result), ...where(disk) });
  return result.fence;
}

const committed = (offset: number): OffsetCommit => ({ kind: "committed", offset });

/** Fetches after a restart of the machine. */
async function expectKept(
  what: string,
  disk: SimulatedDisk,
  of: OffsetKey,
  offset: number | undefined,
): Promise<void> {
  const before = ioTimeline(disk.trace);
  const again = await reopen(disk);
  expectEqual(`${what}, after a restart`, again.fetch(of), offset, { where: before });
}

describe("committing", () => {
  test("what was committed is fetched, and is there after a restart", async () => {
    const { disk, offsets } = await fresh();
    expectEqual("the offset of a group that has none", offsets.fetch(key), undefined);
    for (const offset of [0, 1, 7, 2 ** 40]) {
      await says(`commit ${offset}`, disk, offsets.commit(key, offset), committed(offset));
      expectEqual(`fetch after commit ${offset}`, offsets.fetch(key), offset);
    }
    await expectKept("commit 2^40", disk, key, 2 ** 40);
    const zero = await fresh();
    await says("commit 0", zero.disk, zero.offsets.commit(key, 0), committed(0));
    await expectKept("commit 0", zero.disk, key, 0);
  });

  test("several runs of 50,000 records, with a restart after each of them", async () => {
    let disk = new SimulatedDisk();
    for (let runs = 0; runs < 4; runs++) {
      const offsets = await open(disk);
      const expected = runs === 0 ? undefined : runs * 50_000;
      expectEqual(`what run ${runs + 1} finds`, offsets.fetch(key), expected, where(disk));
      for (let done = 5000; done <= 50_000; done += 5000) {
        const offset = runs * 50_000 + done;
        await says(`commit ${offset}`, disk, offsets.commit(key, offset), committed(offset));
      }
      disk = disk.restart({ kind: runs % 2 === 0 ? "nothing" : "everything" });
    }
    expectEqual("what the last run left", (await open(disk)).fetch(key), 200_000);
  });

  test("a consumer that goes on from its offset repeats no record and skips none", async () => {
    let disk = new SimulatedDisk();
    const processed: number[] = [];
    for (let end = 3; end <= 12; end += 3) {
      const offsets = await open(disk);
      const begin = run("resolveStart", () => resolveStart(offsets.fetch(key), 0, end, "earliest"));
      if (begin.kind === "out-of-range")
        fail("a consumer with an offset is out of range", { actual: formatValue(begin) });
      for (let offset = begin.offset; offset < end; offset++) {
        processed.push(offset);
        await settles("commit", offsets.commit(key, offset + 1), disk);
      }
      disk = disk.restart({ kind: "nothing" });
    }
    expectEqual("records processed in four runs", processed, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test("keys do not mix, whatever their names look like", async () => {
    const keys: OffsetKey[] = [
      { group: "a", topic: "bc", partition: 1 },
      { group: "ab", topic: "c", partition: 1 },
      { group: "a", topic: "bc", partition: 11 },
      { group: "c/b", topic: "a", partition: 1 },
      { group: "", topic: "x", partition: 0 },
      { group: "ü", topic: "日本", partition: 1 },
    ];
    const { disk, offsets } = await fresh();
    await settles(
      "six commits at once",
      Promise.all(keys.map((each, index) => offsets.commit(each, index))),
      disk,
    );
    const again = await reopen(disk);
    expectEqual(
      "offsets of six keys",
      keys.map((each) => again.fetch(each)),
      [0, 1, 2, 3, 4, 5],
      where(disk),
    );
    expectEqual("offsets in the list", again.list().length, 6);
    expectEqual(
      "offsets of group a",
      again
        .list("a")
        .map(({ offset }) => offset)
        .toSorted((one, other) => (one ?? 0) - (other ?? 0)),
      [0, 2],
    );
  });

  test("a commit that was overtaken changes nothing, and one that is repeated is fine", async () => {
    const { disk, offsets } = await fresh();
    await says("commit 10", disk, offsets.commit(key, 10), committed(10));
    await says("commit 9 after 10", disk, offsets.commit(key, 9), { kind: "overtaken", offset: 10 });
    await says("commit 10 once more", disk, offsets.commit(key, 10), committed(10));
    expectEqual("fetch", offsets.fetch(key), 10);
    await says("commit 0 after 10", disk, offsets.commit(key, 0), { kind: "overtaken", offset: 10 });
    await expectKept("commits 10, 9, 10, 0", disk, key, 10);
  });

  test("commits are held against those that are still on their way", async () => {
    const { disk, offsets } = await fresh();
    await says("commit 1", disk, offsets.commit(key, 1), committed(1));
    const [high, low, next] = [offsets.commit(key, 10), offsets.commit(key, 5), offsets.commit(key, 12)];
    await says("commit 10", disk, high, committed(10));
    await says("commit 5, while 10 is on its way", disk, low, { kind: "overtaken", offset: 10 });
    await says("commit 12", disk, next, committed(12));
    expectEqual("fetch", offsets.fetch(key), 12);
    await expectKept("commits 10, 5 and 12 at once", disk, key, 12);
    // Two rounds of writing: the second one's commit is on its way while the first one's is being stored.
    const held = await fresh();
    const release: Record<string, () => void> = {};
    const gates = Object.fromEntries(
      ["write", "sync"].map((each) => [each, new Promise<void>((resolve) => (release[each] = resolve))]),
    );
    held.disk.replan({ gate: ({ operation }) => gates[operation] });
    const first = held.offsets.commit(key, 10);
    await quiet();
    const second = held.offsets.commit(key, 20);
    release["write"]!();
    await quiet();
    const third = held.offsets.commit(key, 15);
    release["sync"]!();
    await says("commit 10, in the first round", held.disk, first, committed(10));
    await says("commit 20, in the second round", held.disk, second, committed(20));
    const overtaken = { kind: "overtaken", offset: 20 };
    await says("commit 15, after 10 was written and while 20 waits", held.disk, third, overtaken);
  });

  test("the answer waits for the disk, also when the same commit is on its way already", async () => {
    const { disk, offsets } = await fresh();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    disk.replan({ gate: ({ operation }) => (operation === "sync" ? gate : undefined) });
    const commits = [offsets.commit(key, 10), offsets.commit(key, 10)];
    const states = commits.map((each) => watch(each));
    await quiet();
    const early = states.filter((each) => each.state() === "settled").length;
    expectEqual("commits that were answered before the sync", early, 0, where(disk));
    release();
    for (const each of commits) await says("a commit, after the sync", disk, each, committed(10));
  });

  test("commits that come together share a sync, and a repeated one costs nothing", async () => {
    const { disk, offsets } = await fresh();
    const syncs = (): number => disk.counts["sync"] ?? 0;
    let before = syncs();
    const many = Array.from({ length: 50 }, (_, number) => offsets.commit(partition(number), 7));
    await settles("50 commits at once", Promise.all(many), disk);
    expectThat(syncs() - before <= 2, "commits that came together did not share a sync", {
      expected: "at most 2 syncs for 50 commits",
      actual: `${syncs() - before} syncs`,
      ...where(disk),
    });
    [before] = [syncs()];
    const bytes = disk.peek(path)?.length;
    await settles("a repeated commit", offsets.commit(partition(3), 7), disk);
    expectEqual(
      "bytes and syncs for a commit that changes nothing",
      [disk.peek(path)?.length, syncs()],
      [bytes, before],
    );
  });
});

describe("setting by hand", () => {
  test("an offset can be set in any direction, also to 0, and stays there", async () => {
    for (const target of [0, 5, 50, 100]) {
      const { disk, offsets } = await fresh();
      await settles("commit", offsets.commit(key, 50), disk);
      await says(`set ${target} after commit 50`, disk, offsets.set(key, target), committed(target));
      expectEqual(`fetch after set ${target}`, offsets.fetch(key), target);
      await says("the next commit", disk, offsets.commit(key, target + 1), committed(target + 1));
      await says(`set ${target} once more`, disk, offsets.set(key, target), committed(target));
      await expectKept(`set ${target}`, disk, key, target);
    }
    const { disk, offsets } = await fresh();
    await says("set 0 for a group without an offset", disk, offsets.set(key, 0), committed(0));
    await expectKept("set 0", disk, key, 0);
  });

  test("the owner is fenced: its next commit would undo it", async () => {
    const { disk, offsets } = await fresh();
    const fence = await acquire(disk, offsets);
    await says("the owner's commit", disk, offsets.commit(key, 50, fence), committed(50));
    await settles("set", offsets.set(key, 0), disk);
    const newest = offsets.fenceOf(key);
    expectThat(newest > fence, "set has not fenced the owner", {
      expected: `more than ${fence}`,
      actual: `${newest}`,
    });
    await says("the owner's commit after set 0", disk, offsets.commit(key, 51, fence), {
      kind: "fenced",
      fence: newest,
    });
    await expectKept("set 0, and a late commit of the owner", disk, key, 0);
    const next = await acquire(disk, await open(disk.clone()));
    expectThat(next > newest, "a new owner has the fence of the one that set fenced");
  });

  test("the last of several changes counts, although the others are still on their way", async () => {
    const { disk, offsets } = await fresh();
    const all = [offsets.commit(key, 50), offsets.set(key, 0), offsets.commit(key, 1)];
    await settles("commit 50, set 0 and commit 1 at once", Promise.all(all), disk);
    expectEqual("fetch", offsets.fetch(key), 1, where(disk));
    await expectKept("commit 50, set 0 and commit 1 at once", disk, key, 1);
    const other = await fresh();
    await settles(
      "two sets",
      Promise.all([other.offsets.set(key, 9), other.offsets.set(key, 3)]),
      other.disk,
    );
    await expectKept("set 9 and set 3 at once", other.disk, key, 3);
  });

  test("set is answered when it is on disk", async () => {
    const { disk, offsets } = await fresh();
    disk.replan({
      gate: ({ operation }) => (operation === "sync" ? new Promise(() => undefined) : undefined),
    });
    const setting = watch(offsets.set(key, 3));
    await quiet();
    expectEqual("set, while its sync is held", setting.state(), "pending", where(disk));
  });
});

describe("owners", () => {
  test("the commit of an owner that was replaced is refused, however late it comes", async () => {
    const { disk, offsets } = await fresh();
    const first = await acquire(disk, offsets);
    await says("the first owner's commit", disk, offsets.commit(key, 10, first), committed(10));
    const second = await acquire(disk, offsets);
    expectThat(second > first, "a new owner's fence is not larger", {
      expected: `> ${first}`,
      actual: `${second}`,
    });
    expectEqual("the offset that the new owner finds", offsets.fetch(key), 10);
    for (const offset of [9, 10, 11, 100]) {
      const what = `the first owner's commit ${offset}, after the second one came`;
      await says(what, disk, offsets.commit(key, offset, first), { kind: "fenced", fence: second });
    }
    await says("the second owner's commit", disk, offsets.commit(key, 12, second), committed(12));
    await expectKept("a late commit of the first owner", disk, key, 12);
  });

  test("fences survive a restart", async () => {
    const { disk, offsets } = await fresh();
    const first = await acquire(disk, offsets);
    const second = await acquire(disk, offsets);
    const other = await acquire(disk, offsets, partition(1));
    await settles("commit", offsets.commit(key, 10, second), disk);
    const again = await reopen(disk);
    expectEqual(
      "fences after a restart",
      [again.fenceOf(key), again.fenceOf(partition(1))],
      [second, other],
      where(disk),
    );
    const late = again.commit(key, 30, first);
    await says("the first owner's commit, after a restart", disk, late, { kind: "fenced", fence: second });
    await says("the second owner's commit", disk, again.commit(key, 20, second), committed(20));
    const third = await settles("acquire", again.acquire(key));
    expectThat(
      third.kind === "acquired" && third.fence > second,
      "an owner after a restart has an old fence",
      {
        expected: `a fence above ${second}`,
        actual: formatValue(third),
        ...where(disk),
      },
    );
  });

  test("nobody owns a partition before the fence is on disk", async () => {
    const { disk, offsets } = await fresh();
    disk.replan({
      gate: ({ operation }) => (operation === "sync" ? new Promise(() => undefined) : undefined),
    });
    const acquiring = watch(offsets.acquire(key));
    await quiet();
    expectEqual("acquire, while its sync is held", acquiring.state(), "pending", where(disk));
  });

  test("two owners at once get two fences, and only the later one is the owner", async () => {
    const { disk, offsets } = await fresh();
    const before = offsets.commit(key, 5);
    const acquiring = [offsets.acquire(key), offsets.acquire(key)];
    const early = offsets.commit(key, 7, 1);
    const results = await settles("two acquisitions at once", Promise.all(acquiring), disk);
    const fences = results.map((each) => (each.kind === "acquired" ? each.fence : -1));
    expectThat(fences[1]! > fences[0]! && fences[0]! > 0, "two owners have the same fence, or none", {
      expected: "two fences above 0, the second one larger",
      actual: formatValue(results),
    });
    await says("a commit from before", disk, before, committed(5));
    await says("a commit of the first owner, with the second on its way", disk, early, {
      kind: "fenced",
      fence: fences[1],
    });
    expectEqual("the offset that the owners find", offsets.fetch(key), 5, where(disk));
    await says("a commit of the second owner", disk, offsets.commit(key, 7, fences[1]), committed(7));
  });

  test("an owner without an offset has none, and a fence all the same", async () => {
    const { disk, offsets } = await fresh();
    const fence = await acquire(disk, offsets);
    expectEqual("fetch", offsets.fetch(key), undefined);
    expectEqual("the list", offsets.list(), []);
    const again = await reopen(disk);
    expectEqual("fetch after a restart", again.fetch(key), undefined);
    expectEqual("the fence after a restart", again.fenceOf(key), fence);
    await says("the first commit, of 0", disk, again.commit(key, 0, fence), committed(0));
    expectEqual("fetch after the first commit", again.fetch(key), 0);
  });

  test("a commit with a larger fence makes its sender the owner, also when the offset is the same", async () => {
    const { disk, offsets } = await fresh();
    await says("commit 10 under fence 3", disk, offsets.commit(key, 10, 3), committed(10));
    await says("commit 10 under fence 5", disk, offsets.commit(key, 10, 5), committed(10));
    await says("commit 11 under fence 3", disk, offsets.commit(key, 11, 3), { kind: "fenced", fence: 5 });
    await says("commit 12 without a fence", disk, offsets.commit(key, 12), committed(12));
    const again = await reopen(disk);
    await says("commit 13 under fence 4, after a restart", disk, again.commit(key, 13, 4), {
      kind: "fenced",
      fence: 5,
    });
    expectEqual("fetch", again.fetch(key), 12);
  });
});

describe("where a consumer begins", () => {
  test("at the stored offset when the log has it; 0 and the end are offsets like any other", () => {
    for (const policy of ["earliest", "latest", "fail"] as const) {
      for (const [stored, start, end] of [
        [0, 0, 10],
        [0, 0, 0],
        [5, 5, 10],
        [7, 5, 10],
        [10, 5, 10],
      ] as const) {
        const what = `stored ${stored}, a log from ${start} to ${end}, policy ${policy}`;
        expectEqual(
          what,
          run("resolveStart", () => resolveStart(stored, start, end, policy)),
          { kind: "resume", offset: stored },
        );
      }
    }
  });

  test("an offset that the log does not have is answered by the policy, never by an exception", () => {
    for (const [stored, because] of [
      [undefined, "no-offset"],
      [0, "below-start"],
      [4, "below-start"],
      [11, "above-end"],
      [2 ** 50, "above-end"],
    ] as const) {
      const at = (policy: ResetPolicy): unknown =>
        run("resolveStart", () => resolveStart(stored, 5, 10, policy));
      const what = `stored ${stored}, a log from 5 to 10`;
      expectEqual(`${what}, policy earliest`, at("earliest"), { kind: "reset", offset: 5, because });
      expectEqual(`${what}, policy latest`, at("latest"), { kind: "reset", offset: 10, because });
      expectEqual(`${what}, policy fail`, at("fail"), { kind: "out-of-range", because });
    }
    expectEqual("nothing stored, an empty log", resolveStart(undefined, 0, 0, "earliest"), {
      kind: "reset",
      offset: 0,
      because: "no-offset",
    });
  });
});

// ---------------------------------------------------------------------------------------------------------------
// The file

/** Entries as they stand in a file. */
function entries(...list: readonly Partial<OffsetEntry>[]): Uint8Array[] {
  return list.map((each) => encodeOffsetEntry({ ...key, offset: undefined, fence: 0, ...each }, crc32));
}

/** A disk with this file, durably. */
async function diskWith(bytes: Uint8Array): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await disk.makeDirectory("groups");
  await disk.syncDirectory("");
  disk.poke(path, bytes);
  disk.replan({});
  disk.trace.length = 0;
  return disk;
}

const threeEntries = entries({ offset: 7 }, { partition: 1, offset: 8, fence: 2 }, { offset: 9 });

describe("the file", () => {
  test("the last entry of a key counts", async () => {
    const disk = await diskWith(concatBytes([...threeEntries, ...entries({ partition: 1, fence: 3 })]));
    const offsets = await open(disk);
    expectEqual("offsets", [offsets.fetch(key), offsets.fetch(partition(1))], [9, undefined], where(disk));
    expectEqual("fences", [offsets.fenceOf(key), offsets.fenceOf(partition(1))], [0, 3]);
    expectEqual("bytes that were no entry", offsets.skippedBytes, 0);
  });

  test("an entry that a crash cut anywhere is cut off, and the next one lands behind the last whole one", async () => {
    const whole = concatBytes(threeEntries);
    const last = whole.length - threeEntries[2]!.length;
    for (let length = last; length < whole.length; length++) {
      const disk = await diskWith(whole.subarray(0, length));
      const offsets = await open(disk);
      const what = `a file that ends ${length - last} bytes into its last entry`;
      expectEqual(what, [offsets.fetch(key), offsets.fetch(partition(1))], [7, 8], where(disk));
      expectEqual(`${what}: the length of the file`, disk.peek(path)?.length, last, where(disk));
      await settles("commit", offsets.commit(key, 20), disk);
      const again = await reopen(disk);
      expectEqual(
        `${what}, then a commit and a restart`,
        [again.fetch(key), again.fetch(partition(1))],
        [20, 8],
        where(disk),
      );
      expectEqual(`${what}: bytes that were no entry`, again.skippedBytes, 0, where(disk));
    }
  });

  test("a damaged entry costs that entry, is told, and no other is lost with it", async () => {
    const [first, middle, last] = threeEntries;
    const start = first!.length;
    for (let at = 0; at < middle!.length; at++) {
      const bytes = concatBytes(threeEntries);
      bytes[start + at]! ^= 1 << (at % 8);
      const offsets = await open(await diskWith(bytes));
      const dump = hexDump(bytes, [{ start: start + at, end: start + at + 1, note: "one bit has flipped" }]);
      expectEqual(
        `a flipped bit in byte ${at} of the second entry`,
        [offsets.fetch(key), offsets.fetch(partition(1))],
        [9, undefined],
        { where: dump },
      );
      expectEqual("bytes that were no entry", offsets.skippedBytes, middle!.length, { where: dump });
    }
    const zeros = await open(
      await diskWith(concatBytes([first!, new Uint8Array(64), last!, new Uint8Array(30)])),
    );
    expectEqual("zeros between entries", [zeros.fetch(key), zeros.skippedBytes], [9, 64]);
  });

  test("any bytes at all can be opened, and used from then on", async () => {
    const random = new SeededRandom(seed);
    const whole = concatBytes(
      Array.from({ length: 12 }, (_, offset) => entries({ partition: offset % 3, offset })).flat(),
    );
    for (let round = 0; round < 60; round++) {
      const bytes = whole.slice(0, random.nextBetween(0, whole.length));
      for (let flips = random.nextBetween(0, 5); flips > 0 && bytes.length > 0; flips--) {
        bytes[random.nextBetween(0, bytes.length - 1)]! ^= 1 << random.nextBetween(0, 7);
      }
      const disk = await diskWith(bytes);
      const offsets = await open(disk);
      await says("the first commit", disk, offsets.commit(key, 1000), committed(1000));
      await expectKept(`a commit behind damaged bytes, round ${round}`, disk, key, 1000);
    }
  });

  test("what was found in memory is durable before it is relied on", async () => {
    const disk = await diskWith(new Uint8Array(0));
    const file = await disk.open(path, "read-write");
    await file.write(concatBytes(threeEntries), 0);
    const killed = disk.restart({ kind: "everything" });
    expectEqual("what a killed process left in memory", (await open(killed)).fetch(key), 9);
    await expectKept(
      "what a killed process left in memory, read once, and then the power failed",
      killed,
      key,
      9,
    );
    const young = new SimulatedDisk();
    await settles("commit", (await open(young)).commit(key, 1), young);
    await expectKept("a file that was just made", young, key, 1);
  });

  test("the file is replaced when most of it is out of date, with the newest entry of every key", async () => {
    const { disk, offsets } = await fresh({ compactBytesMin: 1000 });
    await settles("commit", offsets.commit(partition(1), 3), disk);
    await settles("commit", offsets.commit(partition(3), 0), disk);
    const owner = await acquire(disk, offsets, partition(2));
    for (let offset = 0; offset < 300; offset++) await settles("commit", offsets.commit(key, offset), disk);
    expectThat(disk.peek(path)!.length < 1200, "the file grows although most of it is out of date", {
      expected: "less than 1200 bytes, with compactBytesMin 1000",
      actual: `${disk.peek(path)!.length} bytes after 300 commits for one key`,
      ...where(disk),
    });
    expectEqual("files open", disk.openFiles, 1, where(disk));
    const replacements = disk.counts["rename"] ?? 0;
    expectThat(replacements <= 40, "the file is replaced again and again", {
      expected: "at most 40 replacements for 300 commits: each one makes room for many entries",
      actual: `${replacements} replacements`,
      ...where(disk),
    });
    const again = await reopen(disk);
    const found = [
      again.fetch(key),
      again.fetch(partition(1)),
      again.fetch(partition(3)),
      again.fenceOf(partition(2)),
    ];
    expectEqual(
      "offsets and a fence after 300 commits and a restart",
      found,
      [299, 3, 0, owner],
      where(disk),
    );
    expectEqual("bytes of the file that are no entry", again.skippedBytes, 0, where(disk));
  });

  test("a small file, and one that is mostly up to date, is left alone", async () => {
    const { disk, offsets } = await fresh({ compactBytesMin: 1000 });
    for (let offset = 0; offset < 15; offset++) await settles("commit", offsets.commit(key, offset), disk);
    for (let number = 0; number < 60; number++)
      await settles("commit", offsets.commit(partition(number), 99), disk);
    expectEqual("replacements of the file", disk.counts["rename"] ?? 0, 0, where(disk));
  });

  test("what was removed stays removed, and a fence outlives its offset", async () => {
    const { disk, offsets } = await fresh({ compactBytesMin: 0 });
    await settles("set", offsets.set(key, 5), disk);
    const fence = offsets.fenceOf(key);
    await settles("commit", offsets.commit({ ...key, topic: "other" }, 6), disk);
    const onItsWay = offsets.commit(partition(8), 1);
    const removing = offsets.remove(({ topic }) => topic === "orders");
    const removed = await settles("remove", removing, disk);
    expectThat(removed.kind === "committed", "remove has failed", { actual: formatValue(removed) });
    for (let offset = 7; offset < 40; offset++) {
      await settles("commit", offsets.commit({ ...key, topic: "other" }, offset), disk);
    }
    const again = await reopen(disk);
    expectEqual("the list", again.list(), [{ ...key, topic: "other", offset: 39, fence: 0 }], where(disk));
    await settles("the commit that was on its way when it was removed", onItsWay);
    expectEqual("the removed offsets", [again.fetch(key), again.fetch(partition(8))], [undefined, undefined]);
    expectThat(again.fenceOf(key) >= fence && fence > 0, "its fence is forgotten", {
      expected: `at least ${fence}, as set has left it`,
      actual: `${again.fenceOf(key)}`,
      ...where(disk),
    });
  });

  test("without room for a replacement the old file goes on", async () => {
    const { disk, offsets } = await fresh({ compactBytesMin: 0 });
    const many = Array.from({ length: 6 }, (_, number) => offsets.commit(partition(number), 1));
    await settles("commits", Promise.all(many), disk);
    const live = disk.peek(path)!.length;
    // The file may grow to more than four times what is worth keeping, but not with a copy of that beside it.
    disk.replan({ capacityBytes: live * 4.5 });
    for (let offset = 2; offset < 22; offset++) {
      await says(
        `commit ${offset}, with little room on the disk`,
        disk,
        offsets.commit(key, offset),
        committed(offset),
      );
    }
    disk.replan({});
    for (let offset = 22; offset < 30; offset++) await settles("commit", offsets.commit(key, offset), disk);
    expectThat(
      disk.peek(path)!.length < live * 4,
      "the file was not replaced when there was room again",
      where(disk),
    );
    await expectKept("commits on a disk that was nearly full", disk, key, 29);
    const again = await reopen(disk.clone());
    expectEqual(
      "the other offsets",
      [1, 2, 3, 4, 5].map((number) => again.fetch(partition(number))),
      [1, 1, 1, 1, 1],
    );
  });

  test("a full disk refuses the commit, keeps what was there, and takes the next one when there is room", async () => {
    const { disk, offsets } = await fresh();
    await settles("commit", offsets.commit(key, 10), disk);
    const room = disk.peek(path)!.length + 20;
    disk.replan({ capacityBytes: disk.peek(path)!.length + room });
    // There is room for the first of the two and for a piece of the second: neither is stored.
    const both = Promise.all([offsets.commit(key, 20), offsets.commit(partition(1), 5)]);
    const [refused, other] = await settles("two commits on a full disk", both, disk);
    expectEqual("the other one", other.kind, "failed", where(disk));
    const killed = await open(disk.clone().restart({ kind: "everything" }));
    expectEqual("what a restart finds of a commit that failed", killed.fetch(key), 10, where(disk));
    expectThat(
      refused.kind === "failed" && refused.error.code === "no-space",
      "a commit on a full disk has not failed",
      {
        actual: formatValue(refused),
        ...where(disk),
      },
    );
    expectEqual("fetch after a refused commit", offsets.fetch(key), 10);
    disk.replan({});
    await says("a smaller commit, with room", disk, offsets.commit(key, 15), committed(15));
    await expectKept("commits 10 and 15, and a refused one", disk, key, 15);
  });

  test("closing stores what is on its way, and leaves no file open", async () => {
    const { disk, offsets } = await fresh();
    const commit = offsets.commit(key, 4);
    await settles("close", offsets.close(), disk);
    await says("a commit that was on its way", disk, commit, committed(4));
    expectEqual("files left open", disk.openFiles, 0, where(disk));
    await expectKept("a commit before close", disk, key, 4);
  });
});

/** What a script was promised, and what it has asked for. */
interface Promised {
  /** The offset of the key after the last change that was answered. */
  offset: number | undefined;
  /** What may be found as well: a change that is on its way. */
  asked: number | undefined;
  fence: number;
  /** Whether another key's offset, which nobody touches afterwards, was stored. */
  steady: boolean;
  /** The disk has failed: nothing that is asked for from now on is stored. */
  failed: boolean;
}

/** A short life of a store: commits, a set back, an owner, and replacements of the file in between. */
async function live(disk: SimulatedDisk, promised: Promised): Promise<void> {
  const offsets = await ConsumerOffsets.open({ disk, path, clock: stillClock, compactBytesMin: 100 });
  const change = async (what: string, to: number, result: Promise<OffsetCommit>): Promise<void> => {
    if (!promised.failed) promised.asked = to;
    const { kind } = await result;
    promised.failed ||= kind === "failed";
    if (kind !== "committed") return;
    promised.offset = to;
    disk.note(`answered: ${what} ${to}`);
  };
  promised.steady = (await offsets.commit(partition(1), 77)).kind === "committed";
  promised.failed = !promised.steady;
  for (let offset = 1; offset <= 4; offset++) await change("commit", offset, offsets.commit(key, offset));
  const owner = await offsets.acquire(key);
  promised.failed ||= owner.kind === "failed";
  if (owner.kind === "acquired") {
    promised.fence = owner.fence;
    disk.note(`answered: acquire, fence ${owner.fence}`);
  }
  await change("set", 0, offsets.set(key, 0));
  for (let offset = 1; offset <= 3; offset++) await change("commit", offset, offsets.commit(key, offset));
  await offsets.close();
}

const nothingPromised = (): Promised => ({
  offset: undefined,
  asked: undefined,
  fence: 0,
  steady: false,
  failed: false,
});

/** The store that is left keeps what was promised, and finds the same when it is opened once more. */
async function expectPromises(
  disk: SimulatedDisk,
  { offset, asked, fence, steady }: Promised,
): Promise<void> {
  const offsets = await open(disk);
  const found = offsets.fetch(key);
  if (found !== offset && found !== asked) {
    const possible = [...new Set([offset, asked])].map(formatValue).join(", or ");
    fail("the offset is neither the last one that was answered nor the one that was on its way", {
      expected: possible,
      actual: formatValue(found),
      ...where(disk),
    });
  }
  if (steady)
    expectEqual("an offset that nobody has touched since", offsets.fetch(partition(1)), 77, where(disk));
  expectThat(
    offsets.fenceOf(key) >= fence,
    "a fence that was given out is forgotten: it will be given out again",
    {
      expected: `at least ${fence}`,
      actual: `${offsets.fenceOf(key)}`,
      ...where(disk),
    },
  );
  const again = await open(disk.restart({ kind: "nothing" }));
  expectEqual("what a second start finds, after one more power loss", again.fetch(key), found, where(disk));
}

describe("crashes and errors", () => {
  test("a crash at any call loses nothing that was answered", async () => {
    await surviveEveryCrash(
      {
        makeNotes: nothingPromised,
        run: live,
        check: expectPromises,
      },
      { outcomes: 2, exhaustiveCallsMax: 120 },
    );
  });

  test("an error of the disk at any call fails the commits that it touches, and loses nothing that was answered", async () => {
    const whole = new SimulatedDisk();
    await settles("a run without an error", live(whole, nothingPromised()), whole);
    for (let call = 0; call < whole.calls; call++) {
      const disk = new SimulatedDisk({ faults: [{ call, kind: "fail", code: "input-output" }] });
      const promised = nothingPromised();
      const outcome = live(disk, promised).then(
        () => undefined,
        (error: unknown) => error,
      );
      const error = await settles("a run with an error of the disk", outcome, disk);
      const name = error instanceof Error ? error.name : "DiskError";
      if (name !== "DiskError") throw explained(`a run in which call ${call} fails`, error, where(disk));
      try {
        await expectPromises(disk.restart({ kind: "nothing" }), promised);
      } catch (failure) {
        throw explained(`the store after an error of call ${call}`, failure, where(disk));
      }
    }
  });

  test("after a failed sync nothing is answered as stored any more", async () => {
    const { disk, offsets } = await fresh();
    await settles("commit", offsets.commit(key, 5), disk);
    disk.replan({ faults: [{ call: 1, kind: "fail", code: "input-output" }] });
    for (const offset of [10, 10, 11]) {
      const result = await settles("a commit after a failed sync", offsets.commit(key, offset), disk);
      expectEqual(`commit ${offset} after a failed sync`, result.kind, "failed", where(disk));
    }
    const owner = await settles("acquire", offsets.acquire(key), disk);
    expectEqual("acquire after a failed sync", owner.kind, "failed", where(disk));
    const setting = await settles("set", offsets.set(key, 0), disk);
    expectEqual("set after a failed sync", setting.kind, "failed", where(disk));
  });
});
