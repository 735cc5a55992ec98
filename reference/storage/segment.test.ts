import { describe, expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk, type DiskPlan } from "../simulator/disk.ts";
import { AppendBuffers, smallChunkBytes } from "./append-buffers.ts";
import { RecordCursor } from "./record-cursor.ts";
import { offsetMax, Segment } from "./segment.ts";
import { batchOf, textOf } from "./test-log.ts";

const context = { epoch: 1, idMilliseconds: 5, idSequence: 0, durableEnd: 0 };

async function makeSegment(
  baseOffset = 0,
  plan: DiskPlan = {},
  buffers = new AppendBuffers(),
): Promise<{ segment: Segment; disk: SimulatedDisk }> {
  const disk = new SimulatedDisk(plan);
  const file = await disk.open("segment", "create");
  return {
    segment: new Segment(file, baseOffset, { checksum: crc32, buffers, indexIntervalBytes: 200 }),
    disk,
  };
}

function append(segment: Segment, ...texts: string[]): number {
  const batch = batchOf(...texts);
  return segment.append(batch, 0, batch.length, { ...context, durableEnd: segment.baseOffset });
}

/** Texts of the records in a read, with their offsets, from the wanted offset on. */
async function read(
  segment: Segment,
  offset: number,
  maxBytes = 1e6,
  visibleEnd = Infinity,
): Promise<string[]> {
  const result = await segment.read(offset, maxBytes, visibleEnd);
  if (result.kind !== "batches") throw new Error(`${result.kind} at ${result.position}`);
  const found: string[] = [];
  const cursor = new RecordCursor(result.bytes, { fromOffset: offset, checkRecords: true });
  while (cursor.next()) found.push(`${cursor.offset} ${String.fromCharCode(...cursor.record().value!)}`);
  expect(cursor.fault).toBe(undefined);
  return found;
}

describe("offsets", () => {
  test("batch of 1, of 2, of n: each begins where the one before it ended", async () => {
    const { segment } = await makeSegment(100);
    expect(append(segment, "a")).toBe(100);
    expect(append(segment, "b", "c")).toBe(101);
    expect(append(segment, "d", "e", "f", "g")).toBe(103);
    expect(append(segment, "h")).toBe(107);
    expect(segment.endOffset).toBe(108);
  });

  test("are exact up to the limit, and then there are none", async () => {
    const { segment } = await makeSegment(offsetMax - 2);
    expect(append(segment, "a", "b")).toBe(offsetMax - 2);
    expect(segment.hasOffsetsFor(1)).toBe(true);
    expect(segment.hasOffsetsFor(2)).toBe(false);
    expect(append(segment, "c")).toBe(offsetMax);
    await segment.write();
    expect(await read(segment, offsetMax)).toEqual([`${offsetMax} c`]);
    expect(segment.hasOffsetsFor(1)).toBe(false);
    expect(() => append(segment, "d")).toThrow("exceeds the limit");
  });
});

describe("reading", () => {
  test("every offset reads as the model says, for any size of read and of batch", async () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 30; round++) {
      const { segment } = await makeSegment(50, { timingSeed: round });
      const model: string[] = [];
      for (let batch = 0; batch < 20; batch++) {
        const texts = Array.from({ length: random.nextBetween(1, 5) }, (_, index) =>
          textOf(model.length + index),
        );
        append(segment, ...texts);
        model.push(...texts);
        if (random.nextChance(0.5)) await segment.write();
      }
      await segment.write();
      for (let offset = 0; offset < model.length; offset++) {
        const found = await read(segment, 50 + offset, random.pick([0, 1, 100, 500, 5000]));
        expect(found.length).toBeGreaterThan(0);
        expect(found).toEqual(
          model.slice(offset, offset + found.length).map((text, index) => `${50 + offset + index} ${text}`),
        );
      }
    }
  });

  test("shows nothing that is not written, and nothing past the visible end", async () => {
    const { segment } = await makeSegment();
    append(segment, "a", "b");
    expect(await read(segment, 0)).toEqual([]);
    await segment.write();
    append(segment, "c");
    expect(await read(segment, 0)).toEqual(["0 a", "1 b"]);
    await segment.write();
    expect(await read(segment, 0, 1e6, 2)).toEqual(["0 a", "1 b"]);
    expect(await read(segment, 2, 1e6, 2)).toEqual([]);
    // A batch is seen as a whole or not at all.
    expect(await read(segment, 0, 1e6, 1).catch(String)).not.toContain("0 a");
  });

  test("brings at least one batch, also one that is larger than asked for", async () => {
    const { segment } = await makeSegment();
    append(segment, "a".repeat(5000));
    append(segment, "b");
    await segment.write();
    expect((await read(segment, 0, 10))[0]).toHaveLength(5002);
    expect(await read(segment, 1, 10)).toEqual(["1 b"]);
  });

  test("fills the caller's buffer when it is large enough", async () => {
    const { segment } = await makeSegment();
    append(segment, "a");
    await segment.write();
    const target = new Uint8Array(1000);
    const result = await segment.read(0, 500, Infinity, target);
    if (result.kind !== "batches") throw new Error(result.kind);
    expect(result.bytes.buffer).toBe(target.buffer);
  });

  test("goes on where the last read ended without looking it up", async () => {
    const { segment, disk } = await makeSegment();
    for (let number = 0; number < 40; number++) append(segment, textOf(number));
    await segment.write();
    let offset = 0;
    let reads = 0;
    const before = disk.counts["read"] ?? 0;
    while (offset < 40) {
      const result = await segment.read(offset, 300, Infinity);
      if (result.kind !== "batches") throw new Error(result.kind);
      offset = result.nextOffset;
      reads++;
    }
    expect((disk.counts["read"] ?? 0) - before).toBe(reads);
  });

  test("reports bytes that are no batch instead of returning them", async () => {
    const { segment, disk } = await makeSegment();
    for (let number = 0; number < 5; number++) append(segment, textOf(number));
    await segment.write();
    const file = await disk.open("segment", "read-write");
    await file.write(new Uint8Array(20), 0);
    expect(await segment.read(1, 100, Infinity)).toMatchObject({ kind: "broken" });
    expect(await segment.read(0, 100, Infinity)).toMatchObject({ kind: "broken" });
  });
});

describe("writing", () => {
  test("goes on after a short write, and loses nothing", async () => {
    for (const bytes of [1, 7, 90]) {
      const { segment } = await makeSegment(0, { faults: [{ call: 1, kind: "short", bytes }] });
      append(segment, "hello", "world");
      await segment.write();
      expect(await read(segment, 0)).toEqual(["0 hello", "1 world"]);
    }
  });

  test("50 appends with writes between them, none waited for, end up in order and whole", async () => {
    const { segment } = await makeSegment(0, { timingSeed: 5 });
    const writes: Promise<void>[] = [];
    for (let number = 0; number < 50; number++) {
      expect(append(segment, textOf(number))).toBe(number);
      writes.push(segment.write());
      if (number % 3 === 0) await Promise.resolve();
    }
    await Promise.all(writes);
    expect(await read(segment, 0)).toEqual(
      Array.from({ length: 50 }, (_, number) => `${number} ${textOf(number)}`),
    );
  });

  test("takes one call for many batches", async () => {
    const { segment, disk } = await makeSegment();
    for (let number = 0; number < 100; number++) append(segment, "x");
    await segment.write();
    expect(disk.counts["write"]).toBe(1);
  });

  test("that fails leaves the batches waiting, and `discard` gives their offsets out again", async () => {
    const { segment, disk } = await makeSegment(0, {}, new AppendBuffers(3 * smallChunkBytes));
    append(segment, "kept");
    await segment.write();
    const mark = segment.mark();
    append(segment, "lost", "lost too");
    disk.replan({ faults: [{ call: 0, kind: "fail", code: "no-space" }] });
    await expect(segment.write()).rejects.toMatchObject({ code: "no-space" });
    expect(segment.writtenOffset).toBe(1);
    const discarded = segment.discard(mark);
    expect(append(segment, "next")).toBe(1);
    await discarded;
    await segment.write();
    expect(await read(segment, 0)).toEqual(["0 kept", "1 next"]);
  });

  test("a bound on what waits: the append is refused and changes nothing", async () => {
    const buffers = new AppendBuffers(smallChunkBytes);
    const { segment } = await makeSegment(0, {}, buffers);
    const big = "x".repeat(40_000);
    expect(append(segment, big)).toBe(0);
    expect(append(segment, big)).toBe(-1);
    expect([segment.endOffset, segment.endPosition > 40_000]).toEqual([1, true]);
    await segment.write();
    expect(buffers.heldBytes).toBe(0);
    expect(append(segment, big)).toBe(1);
  });
});

describe("truncating", () => {
  test("removes the batches from an offset on, durably, and what is appended then reads right", async () => {
    for (const cut of [0, 3, 9, 10]) {
      const { segment, disk } = await makeSegment();
      const model = Array.from({ length: 10 }, (_, number) => textOf(number));
      for (const text of model) append(segment, text);
      await segment.write();
      await disk.syncDirectory("");
      await segment.file.sync();
      await segment.truncate(cut);
      expect([segment.endOffset, segment.writtenOffset]).toEqual([cut, cut]);
      // No crash brings back what was cut.
      for (let crash = 0; crash < 10; crash++) {
        const left = disk.clone().restart({ kind: "random", seed: crash }).peek("segment");
        expect(left).toHaveLength(segment.endPosition);
      }
      expect(append(segment, "new")).toBe(cut);
      await segment.write();
      for (let offset = 0; offset <= cut; offset++) {
        const text = offset === cut ? "new" : model[offset];
        expect((await read(segment, offset, 1))[0]).toBe(`${offset} ${text}`);
      }
    }
  });

  test("forgets where earlier reads ended", async () => {
    const { segment } = await makeSegment();
    for (let number = 0; number < 10; number++) append(segment, textOf(number));
    await segment.write();
    for (let offset = 0; offset < 10; offset++) await read(segment, offset, 1);
    await segment.truncate(3);
    for (let number = 3; number < 12; number++) append(segment, "another length");
    await segment.write();
    for (let offset = 11; offset >= 3; offset--) {
      expect((await read(segment, offset, 1))[0]).toBe(`${offset} another length`);
    }
  });

  test("keeps the largest timestamp of what is left", async () => {
    const { segment } = await makeSegment();
    append(segment, "a");
    const before = segment.maxTimestamp;
    for (let number = 0; number < 20; number++) append(segment, textOf(number));
    await segment.write();
    await segment.truncate(1);
    expect(segment.maxTimestamp).toBe(before);
    await segment.truncate(0);
    expect(segment.maxTimestamp).toBe(-1);
  });
});
