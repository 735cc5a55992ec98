import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import type { DiskFile } from "../ports.ts";
import { stampBatch } from "./record-batch.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { locateBatch, segmentOffsetsMax, SparseIndex } from "./sparse-index.ts";

/** A batch somewhere in a segment. */
interface Placed {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly position: number;
  readonly maxTimestamp: number;
}

/** A segment file with batches of these shapes, and its index. */
async function segmentOf(
  shapes: readonly { records: number; bytes: number; timestamp: number }[],
  baseOffset: number,
  intervalBytes: number,
): Promise<{ file: DiskFile; index: SparseIndex; batches: Placed[]; length: number }> {
  const file = await new SimulatedDisk().open("segment", "create");
  const index = new SparseIndex(baseOffset, intervalBytes);
  const batches: Placed[] = [];
  let [position, offset] = [0, baseOffset];
  for (const { records, bytes, timestamp } of shapes) {
    const values = Array.from({ length: records }, () => ({
      value: new Uint8Array(bytes),
      timestampMs: timestamp,
    }));
    const batch = encodeRecordBatch(values);
    const stamp = { baseOffset: offset, epoch: 0, idMilliseconds: 0, idSequence: 0, unsyncedBefore: 0 };
    stampBatch(batch, 0, { ...stamp, lastOffsetDelta: records - 1 }, crc32);
    await file.write(batch, position);
    index.note(offset, position, timestamp);
    batches.push({ baseOffset: offset, nextOffset: offset + records, position, maxTimestamp: timestamp });
    offset += records;
    position += batch.length;
  }
  return { file, index, batches, length: position };
}

const shape = fc.record({
  records: fc.integer({ min: 1, max: 5 }),
  bytes: fc.nat(80),
  timestamp: fc.nat(30),
});
const shapes = fc.array(shape, { minLength: 1, maxLength: 30 });
const base = fc.constantFrom(0, 7, 1_000_000, 2 ** 52);
const interval = fc.constantFrom(1, 100, 300, 100_000);

describe("the index against a scan of everything", () => {
  test("finds the batch of every offset, and steps over less than an interval", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, base, interval, async (all, baseOffset, intervalBytes) => {
        const { file, index, batches, length } = await segmentOf(all, baseOffset, intervalBytes);
        for (let offset = baseOffset; offset < batches.at(-1)!.nextOffset; offset++) {
          const naive = batches.find(({ nextOffset }) => nextOffset > offset)!;
          const located = await locateBatch(file, index, offset, length, crc32);
          expect(located).toMatchObject({ kind: "found", position: naive.position });
          expect(located.scannedBytes).toBeLessThan(intervalBytes);
        }
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  test("says where to look for a time: nothing before it is late enough, whatever the order of the times", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, interval, fc.nat(31), async (all, intervalBytes, timestamp) => {
        const { index, batches } = await segmentOf(all, 50, intervalBytes);
        const from = index.offsetAt(index.floorOfTime(timestamp));
        const naive = batches.find(({ maxTimestamp }) => maxTimestamp >= timestamp);
        if (naive !== undefined) expect(from).toBeLessThanOrEqual(naive.baseOffset);
        expect(index.maxTimestamp).toBe(Math.max(...batches.map(({ maxTimestamp }) => maxTimestamp)));
        // And it is a sharp bound where every batch has an entry.
        if (naive !== undefined && intervalBytes === 1) expect(from).toBe(naive.baseOffset);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test("is the same after a way through a file", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, base, async (all, baseOffset) => {
        const { index, batches, length } = await segmentOf(all, baseOffset, 100);
        const endOffset = batches.at(-1)!.nextOffset;
        const damage = [{ from: baseOffset, to: baseOffset + 1, position: 0, endPosition: 90 }];
        const log = { endOffset, logLength: length, idMilliseconds: 12, damage };
        const decoded = SparseIndex.decode(index.encode(log, crc32), baseOffset, 100, crc32)!;
        expect(decoded.log).toEqual(log);
        expect(decoded.index.maxTimestamp).toBe(index.maxTimestamp);
        expect(decoded.index.count).toBe(index.count);
        for (let offset = baseOffset; offset < endOffset; offset++) {
          expect(decoded.index.floor(offset)).toBe(index.floor(offset));
          expect(decoded.index.positionAt(index.floor(offset))).toBe(index.positionAt(index.floor(offset)));
        }
      }),
      { seed: 1, numRuns: 50 },
    );
  });
});

describe("the floor", () => {
  const index = new SparseIndex(100, 10);
  for (const [offset, position] of [
    [100, 0],
    [105, 20],
    [120, 45],
  ] as const)
    index.note(offset, position, offset);

  test.each([
    [99, -1],
    [100, 0],
    [104, 0],
    [105, 1],
    [119, 1],
    [120, 2],
    [1_000_000, 2],
  ])("of %i is entry %i", (offset, entry) => {
    expect(index.floor(offset)).toBe(entry);
  });

  test("of an empty index is the segment's start", () => {
    const empty = new SparseIndex(100);
    expect(empty.floor(100)).toBe(-1);
    expect([empty.offsetAt(-1), empty.positionAt(-1)]).toEqual([100, 0]);
    expect(empty.floorOfTime(5)).toBe(-1);
  });
});

describe("limits", () => {
  test("an offset 2^32 behind the base is refused, one before that is exact", () => {
    const index = new SparseIndex(1000, 1);
    index.note(1000 + segmentOffsetsMax, 10, 0);
    expect(index.offsetAt(0)).toBe(1000 + segmentOffsetsMax);
    expect(() => index.note(1001 + segmentOffsetsMax, 20, 0)).toThrow("exceeds 32 bits");
  });

  test("a position past 32 bits is refused", () => {
    expect(() => new SparseIndex(0).note(0, 2 ** 32, 0)).toThrow("exceeds 32 bits");
  });

  test("a search that meets no batch stops after an interval and says so", async () => {
    const { file, index, length } = await segmentOf(
      Array.from({ length: 50 }, () => ({ records: 1, bytes: 50, timestamp: 0 })),
      0,
      100_000,
    );
    const wrong = new SparseIndex(0, 500);
    expect(await locateBatch(file, wrong, 40, length, crc32)).toMatchObject({ kind: "broken" });
    await file.write(new Uint8Array(100).fill(255), 300);
    const located = await locateBatch(file, index, 40, length, crc32);
    expect(located).toMatchObject({ kind: "broken" });
    expect(located.position).toBeLessThanOrEqual(300);
  });
});

describe("truncation", () => {
  test("removes the entries from an offset on, whatever their positions", () => {
    const index = new SparseIndex(100, 10);
    for (let number = 0; number < 5; number++) index.note(100 + number, 1000 * number, number);
    index.truncate(102);
    expect([index.count, index.offsetAt(1), index.maxTimestamp]).toEqual([2, 101, 0]);
    index.truncate(100);
    expect([index.count, index.maxTimestamp]).toEqual([0, -1]);
  });
});

describe("an index file", () => {
  const index = new SparseIndex(100, 10);
  for (let number = 0; number < 5; number++) index.note(100 + number, 1000 * number, number);
  const good = index.encode({ endOffset: 105, logLength: 5000, idMilliseconds: 1, damage: [] }, crc32);

  test("that is damaged anywhere is none", () => {
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >>> 3]! ^= 1 << (bit & 7);
      expect(SparseIndex.decode(bad, 100, 10, crc32)).toBe(undefined);
    }
    for (let length = 0; length < good.length; length++) {
      expect(SparseIndex.decode(good.subarray(0, length), 100, 10, crc32)).toBe(undefined);
    }
  });

  test("of another segment is none", () => {
    expect(SparseIndex.decode(good, 101, 10, crc32)).toBe(undefined);
  });

  test("that points behind its log is none, though its checksum is right", () => {
    const lying = index.encode({ endOffset: 105, logLength: 3999, idMilliseconds: 1, damage: [] }, crc32);
    expect(SparseIndex.decode(lying, 100, 10, crc32)).toBe(undefined);
  });
});
