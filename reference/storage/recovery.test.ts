import { describe, expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { describeFinding } from "./findings.ts";
import { batchBytesAt, batchHeaderBytes } from "./record-batch.ts";
import { recoverLog } from "./recovery.ts";
import { batchOf, openTestLog, readAll, testDirectory, textOf } from "./test-log.ts";
import {
  appendBytes,
  appendTexts,
  batchPositions,
  closedLog,
  expectTexts,
  killedLog,
  logFiles,
  options,
} from "../testing/ended-logs.ts";

describe("a clean log", () => {
  test("is opened without reading its records", async () => {
    const disk = (await closedLog(30)).restart({ kind: "nothing" });
    const log = await openTestLog(disk, options);
    expect(log.findings).toEqual([]);
    expect(log.endOffset).toBe(30);
    expect(disk.trace.filter((line) => /read .*\.log /.test(line))).toEqual([]);
    expectTexts(await readAll(log), [], 30);
  });

  test("is opened the same way when every record is checked", async () => {
    const log = await openTestLog(await closedLog(30), { ...options, scan: "all" });
    expect(log.findings).toEqual([]);
    expectTexts(await readAll(log), [], 30);
  });

  test("goes on in its last segment and in its ids", async () => {
    const disk = await closedLog(4);
    const files = logFiles(disk);
    const log = await openTestLog(disk, options);
    const result = log.append(batchOf("x"));
    expect(result).toMatchObject({ kind: "appended", baseOffset: 4, idSequence: 4 });
    await log.committed();
    expect(logFiles(disk)).toEqual(files);
  });

  test("is made, with its directory, when there is none", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, options);
    expect([log.startOffset, log.endOffset, log.findings]).toEqual([0, 0, []]);
    expect(disk.restart({ kind: "nothing" }).paths()).toEqual([
      `${testDirectory}/00000000000000000000.log`,
      `${testDirectory}/state`,
    ]);
  });
});

describe("a torn tail", () => {
  const tails: [string, (batch: Uint8Array) => Uint8Array, string][] = [
    ["part of a header", (batch) => batch.subarray(0, 20), "torn"],
    ["a header and part of its records", (batch) => batch.subarray(0, batchHeaderBytes + 3), "torn"],
    ["all but the last byte", (batch) => batch.subarray(0, batch.length - 1), "torn"],
    ["noise", (batch) => batch.map((byte, index) => byte ^ (index * 7 + 1)), "torn"],
    ["zeros", () => new Uint8Array(700), "zeros"],
    ["one zero", () => new Uint8Array(1), "zeros"],
  ];
  test.each(tails)(
    "of %s is cut off, physically, and the next append lands behind the last record",
    async (_, make, tail) => {
      const disk = await killedLog(4);
      const path = logFiles(disk).at(-1)!;
      const whole = disk.peek(path)!;
      const bytes = make(whole.slice(0, batchBytesAt(whole, 0)));
      await appendBytes(disk, path, bytes);
      const log = await openTestLog(disk, options);
      expect(log.findings).toEqual([
        { kind: "tail-cut", tail, segment: path, position: whole.length, bytes: bytes.length, offset: 4 },
      ]);
      expect(describeFinding(log.findings[0]!)).toContain(`cut ${bytes.length} bytes`);
      expect(disk.peek(path)).toEqual(whole);
      await appendTexts(log, 4, 6);
      // Recover again: nothing of the old tail may come between.
      const again = await openTestLog(disk.restart({ kind: "nothing" }), { ...options, scan: "all" });
      expect(again.findings).toEqual([]);
      expectTexts(await readAll(again), [], 6);
    },
  );

  test("whose first half is lost and whose second half is there is cut as a whole", async () => {
    const disk = await killedLog(4);
    const path = logFiles(disk).at(-1)!;
    const before = disk.clone();
    const log = await openTestLog(before, options);
    // One write of three batches; the power goes, and of the first the sector is lost.
    for (let number = 4; number < 7; number++) log.append(batchOf(textOf(number)));
    await log.committed();
    const grown = before.peek(path)!;
    const torn = grown.slice();
    torn.fill(0, disk.peek(path)!.length, disk.peek(path)!.length + 60);
    disk.poke(path, torn);
    const again = await openTestLog(disk, options);
    expect(again.findings).toMatchObject([{ kind: "tail-cut", offset: 4 }]);
    expect(again.endOffset).toBe(4);
  });

  test("with whole batches behind the hole leaves nothing of them in the index", async () => {
    const disk = await killedLog(0);
    const path = logFiles(disk)[0]!;
    const log = await openTestLog(disk, { ...options, segmentBytesMax: 10_000 });
    for (let number = 0; number < 12; number++) log.append(batchOf(textOf(number)));
    await log.committed();
    const next = disk.restart({ kind: "nothing" });
    next.flipBit(path, batchPositions(next, path)[2]! + batchHeaderBytes);
    const again = await openTestLog(next, { ...options, segmentBytesMax: 10_000 });
    expect(again.findings).toMatchObject([{ kind: "tail-cut", offset: 2 }]);
    for (let number = 2; number < 14; number++) again.append(batchOf(`another ${textOf(number * 5)}`));
    await again.committed();
    // Backwards, so that each is looked up: a read forwards goes on where the last one ended.
    for (let offset = 13; offset >= 0; offset--) {
      expect(await again.read(offset, 1)).toMatchObject({ kind: "records", nextOffset: offset + 1 });
    }
  });

  test("and a lookup after recovery does not go by what was cut", async () => {
    const disk = await killedLog(2);
    await appendBytes(disk, logFiles(disk).at(-1)!, new Uint8Array(300).fill(1));
    const log = await openTestLog(disk, options);
    await appendTexts(log, 2, 12);
    for (let offset = 11; offset >= 0; offset--) {
      const result = await log.read(offset, 1);
      expect(result).toMatchObject({ kind: "records", nextOffset: offset + 1 });
    }
  });
});

describe("stale batches", () => {
  test("of a recycled file's earlier life are told from new ones", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, recycledMax: 3 });
    await appendTexts(log, 0, 12);
    await log.trim(9);
    expect(disk.paths().filter((path) => path.includes("recycled")).length).toBe(3);
    await appendTexts(log, 12, 14);
    // The new batches lie over the old ones, which go on behind them.
    const path = logFiles(disk).at(-1)!;
    const next = disk.restart({ kind: "everything" });
    const before = next.peek(path)!.length;
    const again = await openTestLog(next, options);
    expect(again.findings.filter(({ kind }) => kind !== "tail-cut")).toEqual([]);
    expect(next.peek(path)!.length).toBeLessThanOrEqual(before);
    expect(again.endOffset).toBe(14);
    expectTexts(await readAll(again), [0, 1, 2, 3, 4, 5, 6, 7, 8], 14);
  });

  test("are told from new ones also where one begins exactly where the new ones end", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, recycledMax: 3 });
    const append = async (text: string): Promise<void> => {
      log.append(batchOf(text));
      await log.committed();
    };
    // Four batches of the same size a segment.
    for (let number = 10; number < 22; number++) await append(`same ${number}`);
    await log.trim(8);
    await append("same 22");
    const again = await openTestLog(disk.restart({ kind: "everything" }), options);
    expect(again.damage).toEqual([]);
    expect(again.endOffset).toBe(13);
    expect([...(await readAll(again)).values()]).toEqual(
      [18, 19, 20, 21, 22].map((number) => `same ${number}`),
    );
  });

  test("that were truncated are told from new ones by their epoch, although their offsets fit", async () => {
    const disk = new SimulatedDisk();
    const log = await openTestLog(disk, { ...options, segmentBytesMax: 10_000 });
    await appendTexts(log, 0, 6);
    const path = logFiles(disk)[0]!;
    const old = disk.peek(path)!;
    const positions = batchPositions(disk, path);
    expect(await log.truncate(3, 3, 1)).toMatchObject({ kind: "truncated", endOffset: 3 });
    // A batch of the same size as the one that was there, and behind it the old one again, as a cut that came undone
    // would leave it.
    log.append(batchOf(textOf(3).replace("record", "RECORD")));
    await log.committed();
    await appendBytes(disk, path, old.subarray(positions[4]!));
    const again = await openTestLog(disk.restart({ kind: "everything" }), { ...options, scan: "all" });
    expect(again.endOffset).toBe(4);
    expect(again.findings).toMatchObject([{ kind: "tail-cut", tail: "stale", offset: 4 }]);
  });
});

describe("what can be made again", () => {
  test("an index that is missing, damaged or of another length", async () => {
    for (const spoil of ["missing", "damaged", "longer"] as const) {
      const disk = await closedLog(11);
      for (const path of disk.paths().filter((each) => each.endsWith(".index"))) {
        if (spoil === "missing") await disk.remove(path);
        if (spoil === "damaged") disk.flipBit(path, 30);
        if (spoil === "longer") await appendBytes(disk, path, new Uint8Array(16));
      }
      const log = await openTestLog(disk, options);
      expect(log.findings.every(({ kind }) => kind === "index-rebuilt")).toBe(true);
      expect(log.findings.length > 0).toBe(spoil !== "missing");
      expectTexts(await readAll(log), [], 11);
    }
  });

  test("an index of an earlier, longer life of its file is not believed", async () => {
    const disk = await closedLog(3);
    const [log, index] = ["log", "index"].map((kind) => `${testDirectory}/00000000000000000000.${kind}`);
    const old = disk.peek(index!)!;
    const again = await openTestLog(disk, options);
    await again.truncate(1, 1, 1);
    await appendTexts(again, 1, 2);
    const next = disk.restart({ kind: "everything" });
    next.poke(index!, old);
    const third = await openTestLog(next, options);
    expect(third.findings).toEqual([{ kind: "index-rebuilt", segment: log }]);
    expectTexts(await readAll(third), [], 2);
  });

  test("the state: the log begins with its first segment, in an epoch that was never used", async () => {
    const disk = await closedLog(11);
    disk.flipBit(`${testDirectory}/state`, 9);
    const log = await openTestLog(disk, options);
    expect(log.findings).toContainEqual({ kind: "state-rebuilt", startOffset: 0, epoch: 1 });
    expect(log.epoch).toBe(1);
    expectTexts(await readAll(log), [], 11);
    const again = await openTestLog(disk.restart({ kind: "nothing" }), options);
    expect(again.findings.filter(({ kind }) => kind === "state-rebuilt")).toEqual([]);
  });

  test("files of others are left alone and named", async () => {
    const disk = await closedLog(2);
    disk.poke(`${testDirectory}/notes.txt`, new Uint8Array(3));
    disk.poke(`${testDirectory}/00000000000000000000.log.new`, new Uint8Array(3));
    const log = await openTestLog(disk, options);
    expect(log.findings).toEqual([{ kind: "unknown-file", path: `${testDirectory}/notes.txt` }]);
    expect(disk.peek(`${testDirectory}/notes.txt`)).toBeDefined();
  });
});

describe("any image at all", () => {
  test("can be opened, twice with the same result, and appended to", async () => {
    const random = new SeededRandom(1);
    const good = await killedLog(9);
    for (let round = 0; round < 600; round++) {
      const disk = good.clone();
      for (let changes = random.nextBetween(1, 4); changes > 0; changes--) {
        const path = random.pick(disk.paths());
        const bytes = disk.peek(path)!;
        const kind = random.nextBetween(0, 4);
        if (kind === 0) await disk.remove(path);
        else if (kind === 1) disk.poke(path, bytes.subarray(0, random.nextBetween(0, bytes.length)));
        else if (kind === 2) await appendBytes(disk, path, bytes.slice(random.nextBetween(0, bytes.length)));
        else if (bytes.length > 0) {
          for (let flips = 0; flips < 5; flips++) {
            disk.flipBit(path, random.nextBetween(0, bytes.length - 1), random.nextBetween(0, 7));
          }
        }
      }
      const scan = random.pick(["unsynced", "all"] as const);
      const first = await recoverLog({
        disk,
        directory: testDirectory,
        checksum: crc32,
        indexIntervalBytes: 200,
        scan,
      });
      const log = await openTestLog(disk.restart({ kind: "nothing" }), { ...options, scan });
      expect(log.endOffset).toBe(first.endOffset);
      // A start that does not read everything may not know of all the damage yet.
      await log.verify();
      for (const [offset, text] of await readAll(log)) expect(text).toBe(textOf(offset));
      const next = log.endOffset;
      expect(log.append(batchOf("new"))).toMatchObject({ kind: "appended", baseOffset: next });
      expect((await log.committed()).kind).toBe("committed");
      expect((await readAll(log)).get(next)).toBe("new");
    }
  });
});
