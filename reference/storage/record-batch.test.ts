import fs from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import {
  batchBytesAt,
  batchHeaderBytes,
  batchLayout,
  bodyCrcAt,
  checkRecordBatch,
  inspectBatch,
  stampBatch,
} from "./record-batch.ts";
import { encodeRecordBatch, RecordBatchBuilder, type RecordInput } from "./record-batch-builder.ts";
import { decodeRecordBatch, RecordCursor } from "./record-cursor.ts";
import { setUint32 } from "./integers.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const stamp = {
  baseOffset: 4711,
  epoch: 3,
  idMilliseconds: 1_700_000_000_000,
  idSequence: 7,
  lastOffsetDelta: 0,
  unsyncedBefore: 11,
};

/** A batch as the log stores it. */
function stamped(batch: Uint8Array, records: number, baseOffset = stamp.baseOffset): Uint8Array {
  const copy = batch.slice();
  stampBatch(copy, 0, { ...stamp, baseOffset, lastOffsetDelta: records - 1 }, crc32);
  return copy;
}

const anyRecord: fc.Arbitrary<RecordInput> = fc
  .record({
    key: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
    value: fc.option(fc.uint8Array({ maxLength: 60 }), { nil: null }),
    timestampMs: fc.nat(1e6),
  })
  .map(({ key, value, timestampMs }) => ({ ...(key === undefined ? {} : { key }), value, timestampMs }));

describe("a batch", () => {
  test("comes back as it went in, with and without record checksums", () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 30 }),
        fc.boolean(),
        (records, recordChecksums) => {
          const batch = encodeRecordBatch(records, {
            recordChecksums,
            producerId: 2 ** 40,
            producerEpoch: 5,
            baseSequence: 9,
          });
          expect(checkRecordBatch(batch, 0, batch.length, crc32)).toBe(undefined);
          const decoded = decodeRecordBatch(stamped(batch, records.length));
          if (decoded.kind !== "batch") throw new Error(decoded.kind);
          const { header } = decoded;
          expect(header).toMatchObject({
            producerId: 2 ** 40,
            producerEpoch: 5,
            baseSequence: 9,
            baseOffset: 4711,
            epoch: 3,
          });
          expect(header.nextOffset).toBe(4711 + records.length);
          expect(header.maxTimestamp).toBe(Math.max(...records.map(({ timestampMs }) => timestampMs!)));
          expect(decoded.records).toEqual(
            records.map(({ key, value, timestampMs }, index) => ({
              offset: 4711 + index,
              timestampMs,
              key,
              value,
            })),
          );
        },
      ),
      { seed: 1 },
    );
  });

  test("the largest timestamp is the largest one, not the last one", () => {
    const batch = encodeRecordBatch(
      [5, 3, 9, 1].map((timestampMs) => ({ value: bytesOf("x"), timestampMs })),
    );
    expect(inspectBatch(stamped(batch, 4), 0, batch.length, crc32)).toMatchObject({
      header: { baseTimestamp: 1, maxTimestamp: 9 },
    });
  });

  test("any single bit that flips is noticed", () => {
    const records = [{ key: bytesOf("k"), value: bytesOf("value"), timestampMs: 5 }, { value: null }];
    const batch = stamped(encodeRecordBatch(records, { timestampMs: 3 }), 2);
    for (let bit = 0; bit < batch.length * 8; bit++) {
      const bad = batch.slice();
      bad[bit >>> 3]! ^= 1 << (bit & 7);
      expect(inspectBatch(bad, 0, bad.length, crc32).kind).not.toBe("intact");
    }
  });

  test("of which a part is missing is incomplete, and says how much it needs", () => {
    const batch = stamped(encodeRecordBatch([{ value: bytesOf("hello") }]), 1);
    for (let length = 1; length < batch.length; length++) {
      const neededBytes = length < batchHeaderBytes ? batchHeaderBytes : batch.length;
      expect(inspectBatch(batch.subarray(0, length), 0, length, crc32)).toEqual({
        kind: "incomplete",
        neededBytes,
      });
    }
  });

  test("zeros are no batch", () => {
    expect(inspectBatch(new Uint8Array(500), 0, 500, crc32)).toEqual({ kind: "no-batch" });
  });

  test("whose body is damaged still says where it ends and what it held", () => {
    const batch = stamped(encodeRecordBatch([{ value: bytesOf("a") }, { value: bytesOf("b") }]), 2);
    batch[batch.length - 1]! ^= 1;
    expect(inspectBatch(batch, 0, batch.length, crc32)).toMatchObject({
      kind: "damaged-body",
      header: { baseOffset: 4711, nextOffset: 4713, endPosition: batch.length },
    });
  });

  test("no bytes at all make the readers throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, at) => {
        inspectBatch(bytes, at, bytes.length, crc32);
        decodeRecordBatch(bytes, Math.min(at, bytes.length));
        const cursor = new RecordCursor(bytes, { checkRecords: true });
        while (cursor.next());
        expect(checkRecordBatch(bytes, 0, bytes.length, crc32)).toBeDefined();
      }),
      { seed: 1, numRuns: 1000 },
    );
  });
});

describe("a producer's batch is refused", () => {
  const good = encodeRecordBatch(
    [{ key: bytesOf("k"), value: bytesOf("v"), timestampMs: 8 }, { value: bytesOf("w") }],
    {
      timestampMs: 5,
      recordChecksums: false,
    },
  );

  /** The good batch with a change, and the checksum made right again. */
  function changed(change: (bytes: Uint8Array) => void): Uint8Array {
    const bytes = good.slice();
    change(bytes);
    setUint32(bytes, batchLayout.bodyCrc, crc32(bytes, batchLayout.version));
    return bytes;
  }

  const firstRecord = batchLayout.records;
  test.each<[string, (bytes: Uint8Array) => void]>([
    ["length says", (bytes) => setUint32(bytes, batchLayout.length, bytes.length)],
    ["unknown batch version 2", (bytes) => (bytes[batchLayout.version] = 2)],
    ["unknown attributes", (bytes) => (bytes[batchLayout.attributes] = 0x80)],
    ["0 records", (bytes) => setUint32(bytes, batchLayout.recordCount, 0)],
    ["record 2 of 3 is missing", (bytes) => setUint32(bytes, batchLayout.recordCount, 3)],
    ["bytes after the last record", (bytes) => setUint32(bytes, batchLayout.recordCount, 1)],
    ["ends", (bytes) => setUint32(bytes, firstRecord, 0xffffffff)],
    ["unknown flags", (bytes) => (bytes[firstRecord + 4] = 0x40)],
    ["unknown flags 13", (bytes) => (bytes[firstRecord + 4] = 13)],
    ["tombstone with a value", (bytes) => (bytes[firstRecord + 4]! |= 2)],
    ["maximum timestamp", (bytes) => (bytes[batchLayout.maxTimestamp + 7] = 9)],
    ["exceeds", (bytes) => (bytes[batchLayout.baseTimestamp] = 1)],
    ["shorter than its fields", (bytes) => (bytes[firstRecord + 9] = 0xff)],
  ])("when %s", (reason, change) => {
    const bytes = changed(change);
    const fault = checkRecordBatch(bytes, 0, bytes.length, crc32);
    expect(fault?.kind).toBe("invalid");
    expect(fault?.reason).toContain(reason.replace(/^record 2 of 3 is missing$/, "record 2 of 3"));
  });

  test("when its checksum does not match, which is not the producer's fault", () => {
    const bytes = good.slice();
    bytes[firstRecord + 10]! ^= 1;
    expect(checkRecordBatch(bytes, 0, bytes.length, crc32)).toMatchObject({ kind: "corrupt" });
  });

  test("when it is shorter than a header", () => {
    expect(checkRecordBatch(good, 0, batchHeaderBytes - 1, crc32)?.reason).toContain(
      "shorter than its header",
    );
  });
});

describe("the builder", () => {
  test("refuses a record that does not fit, leaves the batch as it was, and begins again", () => {
    const builder = new RecordBatchBuilder({ batchBytesMax: 200 });
    expect(builder.add(new Uint8Array(100))).toBe(true);
    expect(builder.add(new Uint8Array(100))).toBe(false);
    const first = builder.finish().slice();
    expect(checkRecordBatch(first, 0, first.length, crc32)).toBe(undefined);
    expect(first.length).toBe(batchBytesAt(first, 0));
    builder.reset();
    expect(builder.add(new Uint8Array(100))).toBe(true);
    expect(builder.finish()).toEqual(first);
  });

  test("grows past its first buffer without losing what is in it", () => {
    const builder = new RecordBatchBuilder();
    for (let number = 0; number < 2000; number++)
      builder.add(bytesOf(`record ${number}`), bytesOf("k"), number);
    const decoded = decodeRecordBatch(stamped(builder.finish(), 2000));
    if (decoded.kind !== "batch") throw new Error(decoded.kind);
    expect(decoded.records[1999]).toEqual({
      offset: 6710,
      timestampMs: 1999,
      key: bytesOf("k"),
      value: bytesOf("record 1999"),
    });
  });

  test("refuses a key that is too long and a time before the batch's", () => {
    const builder = new RecordBatchBuilder();
    expect(builder.add(null, new Uint8Array(65_536))).toBe(false);
    builder.add(bytesOf("x"), undefined, 10);
    expect(builder.add(bytesOf("y"), undefined, 9)).toBe(false);
  });
});

describe("the cursor", () => {
  const run = (): Uint8Array => {
    const first = stamped(encodeRecordBatch([{ value: bytesOf("a") }, { value: bytesOf("b") }]), 2, 10);
    const second = stamped(encodeRecordBatch([{ value: bytesOf("c") }]), 1, 12);
    return Uint8Array.from([...first, ...second]);
  };

  test("walks over batches, from a record in the middle of one", () => {
    const cursor = new RecordCursor(run(), { fromOffset: 11 });
    const found: string[] = [];
    while (cursor.next()) found.push(`${cursor.offset} ${String.fromCharCode(...cursor.record().value!)}`);
    expect(found).toEqual(["11 b", "12 c"]);
    expect(cursor.fault).toBe(undefined);
  });

  test("gives each record its id", () => {
    const cursor = new RecordCursor(run());
    const ids: number[] = [];
    while (cursor.next()) ids.push(cursor.idSequence);
    expect(ids).toEqual([7, 8, 7]);
  });

  test("names the record that is damaged", () => {
    const bytes = run();
    bytes[batchHeaderBytes + 10 + 5]! ^= 1;
    const cursor = new RecordCursor(bytes, { checkRecords: true });
    expect(cursor.next()).toBe(true);
    expect(cursor.next()).toBe(false);
    expect(cursor.fault).toMatchObject({ kind: "corrupt", reason: "record 11 does not match its checksum" });
  });

  test("says so when the bytes end in the middle of a batch", () => {
    const bytes = run();
    const cursor = new RecordCursor(bytes.subarray(0, bytes.length - 1));
    while (cursor.next());
    expect(cursor.fault?.kind).toBe("invalid");
  });
});

test("golden: a stored batch, byte for byte", () => {
  const text = fs.readFileSync(path.join(import.meta.dirname, "../testing/golden/record-batch.hex"), "utf8");
  const records = [
    { key: bytesOf("user-7"), value: bytesOf("signed in"), timestampMs: 1_700_000_000_000 },
    { value: bytesOf("no key"), timestampMs: 1_700_000_000_250 },
    { key: bytesOf("user-7"), value: null, timestampMs: 1_700_000_000_100 },
  ];
  const batch = stamped(
    encodeRecordBatch(records, { producerId: 99, producerEpoch: 2, baseSequence: 1000 }),
    3,
  );
  expect(toHex(batch)).toBe(toHex(fromHex(text)!));
});

test("the body's checksum is right for short and long records in any order, computed again or carried on", () => {
  const builder = new RecordBatchBuilder();
  for (const sizes of [[600], [20, 600], [600, 20], [600, 20, 600], [2000, 513, 512, 507], [1, 2, 3]]) {
    builder.reset();
    for (const [index, size] of sizes.entries()) builder.add(new Uint8Array(size).fill(index + 1));
    const batch = builder.finish();
    expect(bodyCrcAt(batch, 0)).toBe(crc32(batch, batchLayout.version));
  }
});
