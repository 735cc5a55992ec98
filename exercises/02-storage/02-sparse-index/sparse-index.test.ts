/**
 * The suite of E2.2: the sparse index. The model is the list of all batches and a scan of it from the front; the index
 * must give the same answers and read next to nothing.
 */
import { describe, test } from "vitest";
import { viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import type { DiskFile } from "#reference/ports.ts";
import { SimulatedDisk, type DiskPlan } from "#reference/simulator/disk.ts";
import { batchHeaderBytes, stampBatch } from "#reference/storage/record-batch.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  expectThrows,
  fail,
  formatValue,
  run,
} from "#exercises/lib/check.ts";
import { uintField, type FieldLayout } from "#exercises/lib/field-tree.ts";
import { measure } from "#exercises/lib/meter.ts";
import { seed } from "#exercises/lib/seed.ts";
import { batchOf, whereBatch } from "#exercises/lib/storage-batch.ts";
import { ioTimeline, settles, surviveEveryCrash } from "#exercises/lib/storage-disk.ts";
import {
  indexIntervalBytesDefault,
  locateBatch,
  segmentBytesCeiling,
  segmentOffsetsMax,
  SparseIndex,
} from "./sparse-index.ts";
import type { DamagedRange, IndexedLog, Located } from "./sparse-index.ts";

/** A batch as the model knows it. */
interface Placed {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly position: number;
  readonly end: number;
  readonly maxTimestamp: number;
}

/** What a batch is made from. */
interface Shape {
  readonly records: number;
  readonly bytes: number;
  readonly timestamp: number;
}

/** Entries that the rules ask for. */
function modelEntries(batches: readonly Placed[], intervalBytes: number): Placed[] {
  const entries: Placed[] = [];
  for (const batch of batches) {
    const last = entries.at(-1);
    if (last === undefined || batch.position - last.position >= intervalBytes) entries.push(batch);
  }
  return entries;
}

/** The entries of an index as `offset@position`. */
function entriesOf(index: SparseIndex): string[] {
  return Array.from(
    { length: index.count },
    (_, entry) => `${index.offsetAt(entry)}@${index.positionAt(entry)}`,
  );
}

function show(batches: readonly Placed[]): string[] {
  return batches.map(({ baseOffset, position }) => `${baseOffset}@${position}`);
}

/** Batches without bytes: where they would lie. */
function place(shapes: readonly Shape[], baseOffset: number): Placed[] {
  const batches: Placed[] = [];
  let [offset, position] = [baseOffset, 0];
  for (const { records, bytes, timestamp } of shapes) {
    const end = position + bytes;
    batches.push({
      baseOffset: offset,
      nextOffset: offset + records,
      position,
      end,
      maxTimestamp: timestamp,
    });
    [offset, position] = [offset + records, end];
  }
  return batches;
}

function noteAll(index: SparseIndex, batches: readonly Placed[]): SparseIndex {
  for (const { baseOffset, position, maxTimestamp } of batches) {
    run(`noting the batch of offset ${baseOffset} at position ${position}`, () =>
      index.note(baseOffset, position, maxTimestamp),
    );
  }
  return index;
}

function randomShapes(random: SeededRandom, count: number): Shape[] {
  return Array.from({ length: count }, () => ({
    records: random.nextBetween(1, 5),
    bytes: random.nextBetween(86, 400),
    timestamp: random.nextBetween(0, 40),
  }));
}

/** A segment file, its batches and its index. */
interface Segment {
  readonly disk: SimulatedDisk;
  readonly file: DiskFile;
  readonly index: SparseIndex;
  readonly batches: Placed[];
  readonly length: number;
}

async function makeSegment(
  shapes: readonly Shape[],
  baseOffset: number,
  intervalBytes: number,
  plan: DiskPlan = {},
): Promise<Segment> {
  const batches: Placed[] = [];
  const parts: Uint8Array[] = [];
  let [offset, position] = [baseOffset, 0];
  for (const { records, bytes, timestamp } of shapes) {
    const batch = batchOf(
      Array.from({ length: records }, () => "x".repeat(Math.ceil(bytes / records))),
      Array.from({ length: records }, () => timestamp),
    );
    const stamp = { baseOffset: offset, epoch: 1, idMilliseconds: 5, idSequence: 0, unsyncedBefore: 0 };
    stampBatch(batch, 0, { ...stamp, lastOffsetDelta: records - 1 }, crc32);
    const end = position + batch.length;
    batches.push({
      baseOffset: offset,
      nextOffset: offset + records,
      position,
      end,
      maxTimestamp: timestamp,
    });
    parts.push(batch);
    [offset, position] = [offset + records, end];
  }
  const disk = new SimulatedDisk();
  const bytes = new Uint8Array(position);
  for (const [number, part] of parts.entries()) bytes.set(part, batches[number]!.position);
  disk.poke("segment", bytes);
  const file = await disk.open("segment", "read-write");
  disk.replan(plan);
  const index = noteAll(new SparseIndex(baseOffset, intervalBytes), batches);
  return { disk, file, index, batches, length: position };
}

function locate(segment: Segment, offset: number, length = segment.length): Promise<Located> {
  return settles(
    `finding offset ${offset}`,
    locateBatch(segment.file, segment.index, offset, length, crc32),
    segment.disk,
  );
}

/** Bytes that the disk was asked for since call `from` of the trace, and in how many calls. */
function readSince({ disk }: Segment, from: number): { readonly bytes: number; readonly calls: number } {
  const calls = disk.trace
    .slice(from)
    .map((line) => /read segment (\d+) bytes/.exec(line))
    .filter((match) => match !== null);
  return { bytes: calls.reduce((sum, match) => sum + Number(match[1]), 0), calls: calls.length };
}

/** One look-up, held to the scan and to its bound. */
async function expectFound(segment: Segment, offset: number): Promise<void> {
  const { batches, index, disk } = segment;
  const from = disk.trace.length;
  const located = await locate(segment, offset);
  const expected = batches.find(({ nextOffset }) => nextOffset > offset)!;
  const where = (): string =>
    [
      `entries: ${entriesOf(index).join(" ")}`,
      `interval: ${index.intervalBytes} bytes`,
      ioTimeline(disk.trace.slice(from)),
    ].join("\n");
  if (located.kind !== "found" || located.position !== expected.position) {
    fail(`the look-up of offset ${offset} found another batch than a scan`, {
      expected: `position ${expected.position}, the batch of offsets ${expected.baseOffset} to ${expected.nextOffset - 1}`,
      actual: formatValue(located),
      where: where(),
    });
  }
  const read = readSince(segment, from);
  const isBounded = read.bytes <= index.intervalBytes + batchHeaderBytes && read.calls <= 1;
  expectThat(isBounded, `the look-up of offset ${offset} read too much`, {
    expected: `at most ${index.intervalBytes} bytes of an interval and ${batchHeaderBytes} of a header, in one call`,
    actual: `${read.bytes} bytes in ${read.calls} calls`,
    where: where(),
  });
  const floor = index.positionAt(
    modelEntries(batches, index.intervalBytes).findLastIndex(
      (entry) => entry.baseOffset <= offset && index.count > 0,
    ),
  );
  expectEqual(
    `the bytes that the look-up of offset ${offset} stepped over`,
    located.scannedBytes,
    expected.position - floor,
    { where: where() },
  );
}

const bases = [0, 7, 1_000_000, 2 ** 32 + 5, 2 ** 52];

describe("noting batches", () => {
  test("the first batch has an entry, and each that starts an interval or more after the last entry", () => {
    const exact = place(
      [100, 100, 50, 50, 99, 1, 300, 100].map((bytes) => ({ records: 1, bytes, timestamp: 1 })),
      0,
    );
    const index = noteAll(new SparseIndex(0, 100), exact);
    expectEqual(
      "the entries of batches at 0, 100, 200, 250, 300, 399, 400 and 700, interval 100",
      entriesOf(index),
      ["0@0", "1@100", "2@200", "4@300", "6@400", "7@700"],
    );
    const random = new SeededRandom(seed);
    for (let round = 0; round < 30; round++) {
      const intervalBytes = random.pick([1, 100, 300, 1000, 100_000]);
      const baseOffset = random.pick(bases);
      const batches = place(randomShapes(random, random.nextBetween(1, 40)), baseOffset);
      const noted = noteAll(new SparseIndex(baseOffset, intervalBytes), batches);
      expectEqual(
        `the entries with an interval of ${intervalBytes}`,
        entriesOf(noted),
        show(modelEntries(batches, intervalBytes)),
      );
    }
    expectEqual(
      "the entries of an index of nothing",
      [
        ...entriesOf(new SparseIndex(5, 10)),
        new SparseIndex(5, 10).offsetAt(-1),
        new SparseIndex(5, 10).positionAt(-1),
      ],
      [5, 0],
    );
  });

  test("what does not fit into 32 bits is never noted", () => {
    const index = new SparseIndex(1000, 1);
    noteAll(index, place([{ records: 1, bytes: 100, timestamp: 1 }], 1000));
    expectThrows("an offset before the segment's first was noted", () => index.note(999, 100, 1));
    expectThrows("an offset 2 ** 32 above the segment's first was noted", () =>
      index.note(1000 + segmentOffsetsMax + 1, 100, 1),
    );
    expectThrows("a position of 2 ** 32 was noted", () => index.note(1002, segmentBytesCeiling + 1, 1));
    expectEqual("the entries after notes that were refused", entriesOf(index), ["1000@0"]);
    run("noting the last offset that fits", () => index.note(1000 + segmentOffsetsMax, 100, 1));
    expectEqual("the last offset that fits", index.offsetAt(1), 1000 + segmentOffsetsMax);
    expectEqual(
      "its floor",
      [index.floor(1000 + segmentOffsetsMax), index.floor(999 + segmentOffsetsMax)],
      [1, 0],
    );
    const high = new SparseIndex(0, 1);
    run("noting the last position that fits", () => high.note(0, segmentBytesCeiling, 1));
    expectEqual("the last position that fits", high.positionAt(0), segmentBytesCeiling);
  });

  test("the largest timestamp is that of all batches, with an entry or without", () => {
    const index = new SparseIndex(0, 1000);
    expectEqual("before the first batch", index.maxTimestamp, -1);
    const seen: number[] = [];
    for (const [number, timestamp] of [5, 3, 9, 9, 2, 0].entries()) {
      run("noting a batch", () => index.note(number, number * 100, timestamp));
      seen.push(index.maxTimestamp);
    }
    expectEqual("the largest timestamp after 5, 3, 9, 9, 2 and 0", seen, [5, 5, 9, 9, 9, 9]);
    const zero = new SparseIndex(0, 1);
    run("noting a batch of time 0", () => zero.note(0, 0, 0));
    expectEqual("the largest timestamp of a batch of time 0", zero.maxTimestamp, 0);
  });

  test("after damaged bytes a batch has an entry however near the last one is", () => {
    const index = new SparseIndex(0, 1000);
    run("noting batches", () => {
      index.note(0, 0, 1);
      index.note(1, 100, 1);
      index.note(5, 300, 1, true);
      index.note(6, 400, 1);
      index.note(7, 1299, 1);
      index.note(8, 1300, 1);
    });
    expectEqual("the entries", entriesOf(index), ["0@0", "5@300", "8@1300"]);
  });

  test("there is room for any number of entries", () => {
    const batches = place(
      Array.from({ length: 1000 }, (_, number) => ({ records: 1, bytes: 100, timestamp: number })),
      3,
    );
    const index = noteAll(new SparseIndex(3, 1), batches);
    expectEqual("a thousand entries", entriesOf(index), show(batches));
    for (const number of [0, 1, 63, 64, 65, 127, 128, 999]) {
      expectEqual(`the floor of offset ${3 + number} among a thousand`, index.floor(3 + number), number);
      expectEqual(`the floor of time ${number} among a thousand`, index.floorOfTime(number), number);
    }
  });
});

describe("the floor", () => {
  test("it is the last entry at or below the offset, and -1 where there is none", () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 40; round++) {
      const intervalBytes = random.pick([1, 200, 600, 100_000]);
      const baseOffset = random.pick(bases);
      const batches = place(randomShapes(random, round % 12), baseOffset);
      const index = noteAll(new SparseIndex(baseOffset, intervalBytes), batches);
      const entries = modelEntries(batches, intervalBytes);
      const end = (batches.at(-1)?.nextOffset ?? baseOffset) + 3;
      for (let offset = Math.max(0, baseOffset - 2); offset < end; offset++) {
        const expected = entries.findLastIndex((entry) => entry.baseOffset <= offset);
        const actual = run(`the floor of ${offset}`, () => index.floor(offset));
        if (actual !== expected) {
          const of = (entry: number): string =>
            entry < 0 ? "-1: none" : `${entry}, offset ${entries[entry]?.baseOffset}`;
          fail(`the floor of offset ${offset}`, {
            expected: of(expected),
            actual: of(actual),
            where: `entries: ${entriesOf(index).join(" ")}`,
          });
        }
      }
    }
  });

  test("of a time it is the last entry before which every record is older", () => {
    const three = noteAll(
      new SparseIndex(0, 1),
      place(
        [5, 3, 9].map((timestamp) => ({ records: 1, bytes: 100, timestamp })),
        0,
      ),
    );
    expectEqual(
      "the floors of times 0 to 10 among 5, 3 and 9",
      Array.from({ length: 11 }, (_, time) => run("the floor", () => three.floorOfTime(time))),
      [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2],
    );
    const now = 1_700_000_000_000;
    const real = place(
      [5, 3, 9].map((timestamp) => ({ records: 1, bytes: 100, timestamp: now + timestamp })),
      0,
    );
    const late = noteAll(new SparseIndex(0, 1), real);
    const floors = [0, now, now + 5, now + 6, now + 9, now + 10].map((time) => late.floorOfTime(time));
    expectEqual("the floors of times of today", floors, [0, 0, 0, 2, 2, 2]);
    expectEqual("the largest time of today", late.maxTimestamp, now + 9);
    expectEqual("the floor of a time in an index of nothing", new SparseIndex(0, 1).floorOfTime(5), -1);
    const random = new SeededRandom(seed + 1);
    for (let round = 0; round < 40; round++) {
      const intervalBytes = random.pick([1, 200, 600, 100_000]);
      const batches = place(randomShapes(random, 1 + (round % 15)), 50);
      const index = noteAll(new SparseIndex(50, intervalBytes), batches);
      const entries = modelEntries(batches, intervalBytes);
      for (let time = 0; time <= 42; time++) {
        const isOlder = (entry: Placed): boolean =>
          batches.every(
            ({ baseOffset, maxTimestamp }) => baseOffset >= entry.baseOffset || maxTimestamp < time,
          );
        const expected = entries.findLastIndex(isOlder);
        const actual = run(`the floor of time ${time}`, () => index.floorOfTime(time));
        if (actual !== expected) {
          fail(`the floor of time ${time}`, {
            expected: String(expected),
            actual: String(actual),
            where: [
              `entries: ${entriesOf(index).join(" ")}`,
              `largest timestamps of all batches: ${batches.map((batch) => `${batch.baseOffset}: ${batch.maxTimestamp}`).join(", ")}`,
            ].join("\n"),
          });
        }
      }
    }
  });
});

describe("finding a batch", () => {
  test("every offset is found where a scan finds it, and less than an interval is read", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 24; round++) {
      const intervalBytes = [1, 100, 300, 1000, 100_000][round % 5]!;
      const segment = await makeSegment(
        randomShapes(random, random.nextBetween(1, 25)),
        random.pick(bases),
        intervalBytes,
      );
      for (let offset = segment.index.baseOffset; offset < segment.batches.at(-1)!.nextOffset; offset++)
        await expectFound(segment, offset);
    }
  });

  test("one record, and one batch, are found", async () => {
    for (const records of [1, 3]) {
      const segment = await makeSegment([{ records, bytes: 30, timestamp: 1 }], 10, 1000);
      for (let offset = 10; offset < 10 + records; offset++) await expectFound(segment, offset);
      const without: Segment = { ...segment, index: new SparseIndex(10, 1000) };
      for (let offset = 10; offset < 10 + records; offset++) await expectFound(without, offset);
    }
  });

  test("a batch without records, which stands for offsets that were removed, is found", async () => {
    const segment = await makeSegment([{ records: 2, bytes: 60, timestamp: 1 }], 10, 1000);
    const { length } = segment;
    const empty = batchOf(["x"]).slice(0, batchHeaderBytes);
    viewOf(empty).setUint32(0, batchHeaderBytes - 4);
    const stamp = { baseOffset: 12, epoch: 1, idMilliseconds: 5, idSequence: 0, unsyncedBefore: 0 };
    stampBatch(empty, 0, { ...stamp, lastOffsetDelta: 4 }, crc32);
    await segment.file.write(empty, length);
    run("noting it", () => segment.index.note(12, length, 1));
    const end = length + batchHeaderBytes;
    const placed = { baseOffset: 12, nextOffset: 17, position: length, end, maxTimestamp: 1 };
    const both: Segment = { ...segment, batches: [...segment.batches, placed], length: end };
    for (let offset = 10; offset < 17; offset++) await expectFound(both, offset);
  });

  test("an offset that has an entry is found without a look at the file", async () => {
    const segment = await makeSegment(randomShapes(new SeededRandom(seed), 30), 7, 500);
    for (let entry = 0; entry < segment.index.count; entry++) {
      const from = segment.disk.trace.length;
      const located = await locate(segment, segment.index.offsetAt(entry));
      expectEqual(`the look-up of entry ${entry}`, located, {
        kind: "found",
        position: segment.index.positionAt(entry),
        scannedBytes: 0,
      });
      expectEqual("calls of read", readSince(segment, from).calls, 0, {
        where: ioTimeline(segment.disk.trace.slice(from)),
      });
    }
  });

  test("a batch larger than the interval does not make the look-up longer", async () => {
    const shapes = [50, 5000, 50, 50, 20_000, 50, 50, 50].map((bytes) => ({
      records: 3,
      bytes,
      timestamp: 1,
    }));
    const segment = await makeSegment(shapes, 0, 600);
    for (let offset = 0; offset < 24; offset++) await expectFound(segment, offset);
  });

  test("when the index misleads, the look-up says so within its bound instead of reading on", async () => {
    const shapes = Array.from({ length: 60 }, () => ({ records: 1, bytes: 60, timestamp: 1 }));
    const whole = await makeSegment(shapes, 0, 600);
    const sparse = new SparseIndex(0, 600);
    run("noting the first batch alone", () => sparse.note(0, 0, 1));
    const wrong = new SparseIndex(0, 600);
    run("noting a wrong position", () => {
      wrong.note(0, 0, 1);
      wrong.note(20, whole.batches[20]!.position + 3, 1);
    });
    const other = new SparseIndex(0, 600);
    run("noting the position of another batch", () => {
      other.note(0, 0, 1);
      other.note(20, whole.batches[23]!.position, 1);
    });
    for (const [name, index, offset] of [
      ["an index that lost its entries", sparse, 59],
      ["an index with a position inside a batch", wrong, 22],
      ["an index with the position of another batch", other, 22],
    ] as const) {
      const segment: Segment = { ...whole, index };
      const from = whole.disk.trace.length;
      const located = await locate(segment, offset);
      const where = ioTimeline(whole.disk.trace.slice(from));
      expectThat(located.kind === "broken", `${name}: the look-up of offset ${offset}`, {
        expected: "kind broken: not within an interval of the floor",
        actual: formatValue(located),
        where,
      });
      const { bytes } = readSince(segment, from);
      expectThat(bytes <= 600 + batchHeaderBytes, `${name}: the look-up of offset ${offset} read on`, {
        expected: `at most ${600 + batchHeaderBytes} bytes`,
        actual: `${bytes} bytes`,
        where,
      });
    }
  });

  test("a header that is damaged on the way is reported with its place", async () => {
    const shapes = Array.from({ length: 10 }, () => ({ records: 2, bytes: 60, timestamp: 1 }));
    for (const [field, at] of [
      ["length", 0],
      ["length", 3],
      ["baseOffset", 11],
      ["lastOffsetDelta", 31],
      ["headerCrc", 43],
    ] as const) {
      const segment = await makeSegment(shapes, 40, 100_000);
      const { position, baseOffset } = segment.batches[4]!;
      segment.disk.flipBit("segment", position + at, 2);
      for (let offset = 40; offset < baseOffset; offset++) {
        const { kind } = await locate(segment, offset);
        expectEqual(`the look-up of offset ${offset}, before the damage`, kind, "found");
      }
      const located = await locate(segment, baseOffset + 3);
      expectThat(
        located.kind === "broken" && located.position === position,
        `a look-up past a batch whose ${field} is damaged`,
        {
          expected: `kind broken at position ${position}`,
          actual: formatValue(located),
          where: whereBatch(segment.disk.peek("segment")!, position, "damaged"),
        },
      );
    }
    // A batch that is whole, and not the next one: its offset does not follow.
    const segment = await makeSegment(shapes, 40, 100_000);
    const [second, third] = [segment.batches[1]!, segment.batches[2]!];
    const file = segment.disk.peek("segment")!;
    await segment.file.write(file.slice(third.position, third.end), second.position);
    const located = await locate(segment, third.nextOffset + 1);
    expectEqual(
      "a look-up past a batch that stands at the wrong place",
      [located.kind, located.position],
      ["broken", second.position],
    );
  });

  test("nothing behind the end of the log counts, though the file goes on", async () => {
    const shapes = Array.from({ length: 10 }, () => ({ records: 2, bytes: 60, timestamp: 1 }));
    const whole = await makeSegment(shapes, 0, 100_000);
    const { position, baseOffset } = whole.batches[5]!;
    const index = noteAll(new SparseIndex(0, 100_000), whole.batches.slice(0, 5));
    const segment: Segment = { ...whole, index };
    for (const length of [position, position + 40]) {
      const located = await locate(segment, baseOffset, length);
      expectThat(located.kind === "broken", "a batch behind the end of the log was found", {
        expected: "kind broken",
        actual: formatValue(located),
      });
    }
    const short = await makeSegment(shapes, 0, 100_000);
    await short.file.truncate(position - 30);
    const lost = await locate(short, baseOffset + 2);
    expectEqual("a look-up in a file that has lost its end", lost.kind, "broken");
    for (let offset = 0; offset < baseOffset; offset++) {
      const located = await locate(segment, offset, position);
      expectEqual(`the look-up of offset ${offset}`, located.kind, "found");
    }
  });

  test("a read that the disk cuts short is continued", async () => {
    const shapes = Array.from({ length: 10 }, () => ({ records: 2, bytes: 60, timestamp: 1 }));
    for (const bytes of [1, 50, 100]) {
      const faults = Array.from({ length: 8 }, (_, call) => ({ call, kind: "short", bytes }) as const);
      const segment = await makeSegment(shapes, 0, 100_000, { faults });
      const located = await locate(segment, 15);
      expectEqual(
        `a look-up with at most ${bytes} bytes a call`,
        [located.kind, located.position],
        ["found", segment.batches[7]!.position],
      );
    }
  });
});

describe("cutting the index", () => {
  test("every entry at or after the offset goes, and no other", () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 30; round++) {
      const intervalBytes = random.pick([1, 200, 600]);
      const baseOffset = random.pick([0, 7, 5000, 2 ** 40]);
      const batches = place(randomShapes(random, round % 14), baseOffset);
      const entries = modelEntries(batches, intervalBytes);
      const end = batches.at(-1)?.nextOffset ?? baseOffset;
      for (let offset = baseOffset; offset <= end + 1; offset++) {
        const index = noteAll(new SparseIndex(baseOffset, intervalBytes), batches);
        run(`cutting at offset ${offset}`, () => index.truncate(offset));
        const left = entries.filter((entry) => entry.baseOffset < offset);
        expectEqual(
          `the entries of ${show(entries).join(" ")}, cut at offset ${offset}`,
          entriesOf(index),
          show(left),
        );
      }
    }
  });

  test("the largest timestamp becomes that of the batches before the last entry left", () => {
    const batches = place(
      [30, 10, 50, 20, 40].map((timestamp) => ({ records: 1, bytes: 100, timestamp })),
      0,
    );
    const expected = [-1, -1, 30, 30, 50, 50];
    for (let offset = 0; offset <= 5; offset++) {
      const index = noteAll(new SparseIndex(0, 1), batches);
      run(`cutting at offset ${offset}`, () => index.truncate(offset));
      expectEqual(
        `the largest timestamp of 30, 10, 50, 20, 40, cut at offset ${offset}`,
        index.maxTimestamp,
        expected[offset],
      );
    }
  });

  test("what is appended after a cut is found, and so is what was left", async () => {
    const random = new SeededRandom(seed);
    const shapes = randomShapes(random, 20);
    for (const cut of [0, 1, 7, 13, 20]) {
      for (const intervalBytes of [1, 300, 100_000]) {
        const before = await makeSegment(shapes, 100, intervalBytes);
        const after = await makeSegment(
          [...shapes.slice(0, cut), ...randomShapes(random, 12)],
          100,
          intervalBytes,
        );
        const { index } = before;
        const offset = before.batches[cut]?.baseOffset ?? before.batches.at(-1)!.nextOffset;
        run(`cutting at offset ${offset}`, () => index.truncate(offset));
        // The caller notes the batches again from the last entry that is left.
        const last = index.count === 0 ? -1 : index.offsetAt(index.count - 1);
        for (const batch of after.batches) {
          if (batch.baseOffset > last)
            run("noting", () => index.note(batch.baseOffset, batch.position, batch.maxTimestamp));
          else
            index.maxTimestamp = Math.max(
              index.maxTimestamp,
              batch.baseOffset === last ? batch.maxTimestamp : -1,
            );
        }
        const segment: Segment = { ...after, index };
        for (let each = 100; each < after.batches.at(-1)!.nextOffset; each++)
          await expectFound(segment, each);
        expectEqual(
          "the entries after cut and append",
          entriesOf(index),
          show(modelEntries(after.batches, intervalBytes)),
        );
        expectEqual(
          "the largest timestamp after cut and append",
          index.maxTimestamp,
          Math.max(...after.batches.map(({ maxTimestamp }) => maxTimestamp)),
        );
        for (let time = 0; time <= 42; time += 3) {
          const entries = modelEntries(after.batches, intervalBytes);
          const isOlder = (entry: Placed): boolean =>
            after.batches.every((batch) => batch.baseOffset >= entry.baseOffset || batch.maxTimestamp < time);
          expectEqual(
            `the floor of time ${time} after cut and append`,
            index.floorOfTime(time),
            entries.findLastIndex(isOlder),
          );
        }
      }
    }
  });
});

const uint64 = (name: string): FieldLayout => uintField(name, 8);
const uint32 = (name: string): FieldLayout => uintField(name, 4);

/** The fields of an index file with so many entries and damaged ranges. */
function indexLayout(entries: number, damaged: number): FieldLayout[] {
  const times = (count: number, fields: (number: number) => FieldLayout[]): FieldLayout[] =>
    Array.from({ length: count }, (_, number) => fields(number)).flat();
  return [
    uint32("magic"),
    uint32("version"),
    uint64("baseOffset"),
    uint64("endOffset"),
    uint64("logLength"),
    uint64("maxTimestamp"),
    uint64("idMilliseconds"),
    uint32("entryCount"),
    uint32("damageCount"),
    ...times(entries, (number) => [
      uint32(`entry ${number}: relativeOffset`),
      uint32(`entry ${number}: position`),
      uint64(`entry ${number}: maxTimestampBefore`),
    ]),
    ...times(damaged, (number) => [
      uint64(`damage ${number}: from`),
      uint64(`damage ${number}: to`),
      uint64(`damage ${number}: position`),
      uint64(`damage ${number}: endPosition`),
    ]),
    uint32("crc32"),
  ];
}

/** The bytes of an index file, field by field. */
function modelFile(fields: {
  readonly baseOffset: number;
  readonly log: IndexedLog;
  readonly maxTimestamp: number;
  readonly entries: readonly (readonly [number, number, number])[];
}): Uint8Array {
  const { baseOffset, log, maxTimestamp, entries } = fields;
  const bytes = new Uint8Array(56 + 16 * entries.length + 32 * log.damage.length + 4);
  const view = viewOf(bytes);
  let at = 0;
  const put32 = (value: number): void => view.setUint32((at += 4) - 4, value);
  const put64 = (value: number): void => view.setBigUint64((at += 8) - 8, BigInt(value));
  put32(0x4f5a4958);
  put32(1);
  for (const value of [baseOffset, log.endOffset, log.logLength, maxTimestamp + 1, log.idMilliseconds])
    put64(value);
  put32(entries.length);
  put32(log.damage.length);
  for (const [relative, position, before] of entries) {
    put32(relative);
    put32(position);
    put64(before + 1);
  }
  for (const range of log.damage)
    for (const value of [range.from, range.to, range.position, range.endPosition]) put64(value);
  put32(crc32(bytes, 0, at));
  return bytes;
}

const noDamage: readonly DamagedRange[] = [];
const smallLog: IndexedLog = { endOffset: 1030, logLength: 900, idMilliseconds: 77, damage: noDamage };
const damagedLog: IndexedLog = {
  ...smallLog,
  damage: [
    { from: 1003, to: 1008, position: 200, endPosition: 450 },
    { from: 1012, to: 1013, position: 600, endPosition: 700 },
  ],
};

/** An index of three entries: 1000@0, 1010@450 after damage, 1020@800. */
function smallIndex(): SparseIndex {
  const index = new SparseIndex(1000, 400);
  run("noting three batches", () => {
    index.note(1000, 0, 60);
    index.note(1008, 450, 50);
    index.note(1020, 850, 90);
  });
  return index;
}

const smallFile = (log: IndexedLog = smallLog): Uint8Array =>
  modelFile({
    baseOffset: 1000,
    log,
    maxTimestamp: 90,
    entries: [
      [0, 0, -1],
      [8, 450, 60],
      [20, 850, 60],
    ],
  });

function decode(bytes: Uint8Array, baseOffset = 1000): ReturnType<typeof SparseIndex.decode> {
  return run(`decoding ${bytes.length} bytes`, () => SparseIndex.decode(bytes, baseOffset, 400, crc32));
}

/** The same bytes with a right checksum: what a wrong writer would leave. */
function sealed(bytes: Uint8Array): Uint8Array {
  viewOf(bytes).setUint32(bytes.length - 4, crc32(bytes, 0, bytes.length - 4));
  return bytes;
}

describe("the index file", () => {
  test("it has its fields in order, big-endian, the checksum behind", () => {
    for (const log of [smallLog, damagedLog]) {
      const bytes = run("encoding", () => smallIndex().encode(log, crc32));
      expectBytes(
        "an index of three entries as a file",
        bytes,
        smallFile(log),
        indexLayout(3, log.damage.length),
      );
    }
    const empty: IndexedLog = { endOffset: 5, logLength: 0, idMilliseconds: 0, damage: [] };
    const bytes = run("encoding", () => new SparseIndex(5, 400).encode(empty, crc32));
    expectBytes(
      "an index of nothing as a file",
      bytes,
      modelFile({ baseOffset: 5, log: empty, maxTimestamp: -1, entries: [] }),
      indexLayout(0, 0),
    );
  });

  test("it comes back as it was, and goes on as if it had never been away", () => {
    for (const log of [smallLog, damagedLog]) {
      const decoded = decode(smallFile(log));
      if (decoded === undefined) fail("a good index file was refused");
      expectEqual("what it says of the log", decoded.log, log);
      expectEqual("its entries", entriesOf(decoded.index), ["1000@0", "1008@450", "1020@850"]);
      expectEqual("its largest timestamp", decoded.index.maxTimestamp, 90);
      expectEqual(
        "its base and its interval",
        [decoded.index.baseOffset, decoded.index.intervalBytes],
        [1000, 400],
      );
      expectEqual(
        "its floors of times",
        [0, 60, 61, 90, 91].map((time) => decoded.index.floorOfTime(time)),
        [0, 0, 2, 2, 2],
      );
      run("noting more", () => {
        decoded.index.note(1030, 1249, 10);
        decoded.index.note(1031, 1250, 95);
        decoded.index.note(1032, 1650, 1);
      });
      expectEqual("its entries with three batches more", entriesOf(decoded.index), [
        "1000@0",
        "1008@450",
        "1020@850",
        "1031@1250",
        "1032@1650",
      ]);
      expectEqual(
        "its floor of time 91 with three batches more",
        [decoded.index.floorOfTime(91), decoded.index.floorOfTime(96), decoded.index.maxTimestamp],
        [3, 4, 95],
      );
    }
    const window = new Uint8Array(smallFile().length + 30).subarray(17, 17 + smallFile().length);
    window.set(smallFile());
    const inWindow = decode(window);
    const shown = inWindow === undefined ? "refused" : entriesOf(inWindow.index);
    expectEqual("the entries of a file in a window on a larger array", shown, [
      "1000@0",
      "1008@450",
      "1020@850",
    ]);
    const wider = run("decoding with another interval", () =>
      SparseIndex.decode(smallFile(), 1000, 5000, crc32),
    );
    const kept = wider === undefined ? "refused" : entriesOf(wider.index);
    expectEqual("the entries of a file that was made with a smaller interval", kept, [
      "1000@0",
      "1008@450",
      "1020@850",
    ]);
    const empty = decode(
      modelFile({
        baseOffset: 5,
        log: { ...smallLog, endOffset: 5, logLength: 0 },
        maxTimestamp: -1,
        entries: [],
      }),
      5,
    );
    expectEqual(
      "an index of nothing",
      empty === undefined ? undefined : [empty.index.count, empty.index.maxTimestamp],
      [0, -1],
    );
    const random = new SeededRandom(seed);
    for (let round = 0; round < 20; round++) {
      const batches = place(randomShapes(random, round * 8), 2 ** 40);
      const index = noteAll(new SparseIndex(2 ** 40, 400), batches);
      const log: IndexedLog = {
        endOffset: batches.at(-1)?.nextOffset ?? 2 ** 40,
        logLength: batches.at(-1)?.end ?? 0,
        idMilliseconds: round,
        damage: [],
      };
      const back = decode(
        run("encoding", () => index.encode(log, crc32)),
        2 ** 40,
      );
      expectEqual(
        "the entries of a random index",
        back === undefined ? "refused" : entriesOf(back.index),
        entriesOf(index),
      );
      for (let time = 0; time <= 42; time += 2)
        expectEqual(`its floor of time ${time}`, back?.index.floorOfTime(time), index.floorOfTime(time));
    }
  });

  test("whichever bit flips and wherever it is cut, it is refused", () => {
    const file = smallFile(damagedLog);
    const layout = indexLayout(3, 2);
    for (let bit = 0; bit < file.length * 8; bit++) {
      const bytes = file.slice();
      bytes[bit >> 3]! ^= 0x80 >> (bit & 7);
      const decoded = decode(bytes);
      if (decoded !== undefined)
        expectBytes(`an index file with bit ${bit} flipped, which was taken for good,`, bytes, file, layout);
    }
    for (let length = 0; length < file.length; length++) {
      if (decode(file.slice(0, length)) !== undefined)
        fail(`the first ${length} of ${file.length} bytes were taken for an index`, {
          expected: "undefined",
        });
      const longer = new Uint8Array(file.length + 1 + length);
      longer.set(file);
      if (decode(longer) !== undefined)
        fail(`an index file with ${1 + length} bytes behind it was taken for good`, {
          expected: "undefined",
        });
    }
  });

  test("an index of another segment, another format or another time is refused", () => {
    expectThat(decode(smallFile(), 1000) !== undefined, "a good index file was refused");
    for (const baseOffset of [0, 999, 1001, 1008]) {
      expectThat(
        decode(smallFile(), baseOffset) === undefined,
        `the index of segment 1000 was taken for that of segment ${baseOffset}`,
        { expected: "undefined" },
      );
    }
    for (const [name, at] of [
      ["magic", 0],
      ["magic", 3],
      ["version", 4],
      ["version", 7],
    ] as const) {
      const bytes = smallFile();
      bytes[at]! ^= 2;
      expectThat(decode(sealed(bytes)) === undefined, `a file with another ${name} was taken for an index`, {
        expected: "undefined",
      });
    }
  });

  test("entries that cannot be are refused, though the checksum is right", () => {
    for (const [name, entries] of [
      [
        "offsets that fall",
        [
          [0, 0, -1],
          [20, 450, 60],
          [8, 850, 60],
        ],
      ],
      [
        "the same offset twice",
        [
          [0, 0, -1],
          [8, 450, 60],
          [8, 850, 60],
        ],
      ],
      [
        "positions that fall",
        [
          [0, 0, -1],
          [8, 850, 60],
          [20, 450, 60],
        ],
      ],
      [
        "the same position twice",
        [
          [0, 0, -1],
          [8, 450, 60],
          [20, 450, 60],
        ],
      ],
      [
        "a position at the end of the log",
        [
          [0, 0, -1],
          [8, 450, 60],
          [20, 900, 60],
        ],
      ],
      [
        "a position behind the end of the log",
        [
          [0, 0, -1],
          [8, 450, 60],
          [20, 5000, 60],
        ],
      ],
      [
        "an offset at the end of the log",
        [
          [0, 0, -1],
          [8, 450, 60],
          [30, 850, 60],
        ],
      ],
      [
        "an offset behind the end of the log",
        [
          [0, 0, -1],
          [8, 450, 60],
          [4_000_000_000, 850, 60],
        ],
      ],
    ] as const) {
      const bytes = modelFile({ baseOffset: 1000, log: smallLog, maxTimestamp: 90, entries });
      expectThat(decode(bytes) === undefined, `an index with ${name} was taken for good`, {
        expected: "undefined: the caller builds a new one",
      });
    }
  });

  test("a count is a claim: nothing is allocated for it, and nothing throws", () => {
    const random = new SeededRandom(seed);
    for (const [entries, damaged] of [
      [0xffff_ffff, 0],
      [0, 0xffff_ffff],
      [4, 0],
      [2, 0],
      [3, 1],
      [0x1000_0003, 0],
      [0, 0x0800_0000],
    ] as const) {
      const bytes = smallFile();
      viewOf(bytes).setUint32(48, entries);
      viewOf(bytes).setUint32(52, damaged);
      let decoded: unknown;
      measure(() => void (decoded = decode(sealed(bytes))), { allocatedBytes: 65_536, copiedBytes: 65_536 });
      expectThat(
        decoded === undefined,
        `a file of three entries that claims ${entries}, and ${damaged} damaged ranges, was taken for an index`,
        { expected: "undefined" },
      );
    }
    for (let round = 0; round < 300; round++) {
      const bytes = Uint8Array.from({ length: random.nextBetween(0, 140) }, () => random.nextBetween(0, 255));
      if (round % 2 === 0) bytes.set(smallFile().subarray(0, Math.min(bytes.length, 56)));
      if (bytes.length >= 4) sealed(bytes);
      if (bytes.length !== 108) expectThat(decode(bytes) === undefined, "noise was taken for an index");
    }
  });

  test("an index that a crash has torn is refused or right, and never points behind what was synced", async () => {
    const batches = place(
      Array.from({ length: 90 }, (_, number) => ({ records: 1, bytes: 100, timestamp: number })),
      0,
    );
    const log = new Uint8Array(9000).fill(7);
    const fileAt = (count: number): Uint8Array => {
      const index = noteAll(new SparseIndex(0, 1), batches.slice(0, count));
      return index.encode({ endOffset: count, logLength: count * 100, idMilliseconds: 1, damage: [] }, crc32);
    };
    await surviveEveryCrash(
      {
        makeNotes: () => ({}),
        run: async (disk) => {
          const data = await disk.open("log", "create");
          const index = await disk.open("index", "create");
          await disk.syncDirectory("");
          // The log is safe before the index that describes it is written; the index is written in place, and torn.
          for (const count of [40, 90]) {
            await data.write(log.subarray(0, count * 100), 0);
            await data.sync();
            const bytes = fileAt(count);
            await index.write(bytes, 0);
            await index.sync();
          }
        },
        check: async (disk) => {
          const bytes = disk.peek("index") ?? new Uint8Array(0);
          const decoded = decode(bytes, 0);
          if (decoded === undefined) return;
          const count = decoded.log.endOffset;
          expectThat(count === 40 || count === 90, "a torn index was taken for good", {
            expected: "an index of 40 or of 90 batches, or none",
            actual: `one up to offset ${count}`,
          });
          expectEqual(
            "the entries of an index that was found after the crash",
            entriesOf(decoded.index),
            show(batches.slice(0, count)),
          );
          const length = disk.peek("log")?.length ?? 0;
          expectThat(decoded.log.logLength <= length, "the index describes more of the log than there is", {
            expected: `at most ${length} bytes`,
            actual: `${decoded.log.logLength}`,
          });
        },
      },
      { outcomes: 8 },
    );
    expectThat(indexIntervalBytesDefault > 0, "the interval must be positive");
  });
});
