import * as fc from "fast-check";
import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { encodeRequest } from "../protocol/frame.ts";
import { encodeRequestPayload } from "../protocol/messages-codec.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import { onePassChecksum } from "./one-pass-checksum.ts";

const bodyOffset = 44;

function produceFrame(topic: string, value: Uint8Array): { frame: Uint8Array; batchAt: number } {
  const batch = encodeRecordBatch([{ value }]);
  const payload = encodeRequestPayload("Produce", { topic, partition: 0, batch });
  const frame = encodeRequest({ requestId: 1n, type: 1, version: 1, flags: 0, payload });
  if (!(frame instanceof Uint8Array)) throw new Error(frame.message);
  return { frame, batchAt: frame.length - 4 - batch.length };
}

test("frames and batches get the checksums that they have, whatever came before", () => {
  const { frame, batch } = onePassChecksum(crc32);
  const request = fc.record({
    topic: fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 20 }),
    value: fc.uint8Array({ maxLength: 600 }),
  });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 8 }), (requests) => {
      for (const { topic, value } of [...requests, ...requests]) {
        const made = produceFrame(topic, value);
        const end = made.frame.length - 4;
        expect(frame(made.frame, 0, end)).toBe(crc32(made.frame, 0, end));
        const bodyAt = made.batchAt + bodyOffset;
        expect(batch(made.frame, bodyAt, end)).toBe(crc32(made.frame, bodyAt, end));
      }
    }),
  );
});

test("each byte of a batch that comes again is looked at once", () => {
  let bytesSeen = 0;
  const { frame, batch } = onePassChecksum((bytes, start = 0, end = bytes.length) => {
    bytesSeen += end - start;
    return crc32(bytes, start, end);
  });
  const made = produceFrame("orders", new Uint8Array(1000));
  const end = made.frame.length - 4;
  for (let round = 0; round < 3; round++) {
    bytesSeen = 0;
    frame(made.frame, 0, end);
    batch(made.frame, made.batchAt + bodyOffset, end);
  }
  expect(bytesSeen).toBe(end);
});

test("a buffer that was overwritten is looked at again", () => {
  const { frame, batch } = onePassChecksum(crc32);
  const made = produceFrame("orders", new Uint8Array(1000));
  const [end, bodyAt] = [made.frame.length - 4, made.batchAt + bodyOffset];
  for (let round = 0; round < 3; round++) frame(made.frame, 0, end);
  batch(made.frame, bodyAt, end);
  made.frame[end - 1] = 0xff;
  expect(batch(made.frame, bodyAt, end)).toBe(crc32(made.frame, bodyAt, end));
});

test("what only looks like a Produce request gets its checksum too", () => {
  const { frame } = onePassChecksum(crc32);
  const random = fc.uint8Array({ minLength: 13, maxLength: 200 }).map((bytes) => {
    bytes[12] = 1;
    return bytes;
  });
  fc.assert(
    fc.property(random, (bytes) => {
      for (let round = 0; round < 2; round++) expect(frame(bytes)).toBe(crc32(bytes));
    }),
  );
});
