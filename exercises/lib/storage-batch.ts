/** Batches for suites of the storage chapter: made from texts, read back as texts, and shown as a field tree. */
import { crc32 } from "#reference/base/crc32.ts";
import { batchBytesAt, batchHeaderBytes } from "#reference/storage/record-batch.ts";
import { encodeRecordBatch } from "#reference/storage/record-batch-builder.ts";
import { RecordCursor } from "#reference/storage/record-cursor.ts";
import { hexDump } from "./hex-dump.ts";
import { formatFields, readFields, showBytes, uintField, type FieldLayout } from "./field-tree.ts";

/** The timestamp of records that were given none. */
export const batchTimestampMs = 1_700_000_000_000;

/** A producer's batch of records with these texts; `timestampsMs` gives each its time. */
export function batchOf(texts: readonly string[], timestampsMs: readonly number[] = []): Uint8Array {
  const encoder = new TextEncoder();
  const records = texts.map((text, index) => ({
    value: encoder.encode(text),
    timestampMs: timestampsMs[index] ?? batchTimestampMs,
  }));
  return encodeRecordBatch(records, { recordChecksums: false });
}

/** A text for record `number`, of a length that varies with it. */
export function textOf(number: number): string {
  return `record ${number} ${"x".repeat((number * 37) % 90)}`;
}

/**
 * Offset and text of each record in stored batches, from `fromOffset` on: `7 hello`. A line that begins with `!` says
 * where the bytes stop being batches.
 */
export function recordsIn(bytes: Uint8Array, fromOffset = 0): string[] {
  const found: string[] = [];
  const decoder = new TextDecoder();
  const cursor = new RecordCursor(bytes, { fromOffset, checkRecords: true });
  while (cursor.next()) {
    found.push(`${cursor.offset} ${decoder.decode(cursor.record().value ?? new Uint8Array(0))}`);
  }
  if (cursor.fault !== undefined) found.push(`! ${cursor.fault.reason}`);
  return found;
}

/** The fields of one stored batch, in the order of the format. */
export const batchFields: readonly FieldLayout[] = [
  uintField("length", 4),
  uintField("baseOffset", 8),
  uintField("epoch", 4),
  uintField("idMilliseconds", 8),
  uintField("idSequence", 4),
  uintField("lastOffsetDelta", 4),
  uintField("unsyncedBefore", 4),
  uintField("bodyCrc", 4),
  {
    name: "headerCrc",
    size: 4,
    show: (field, whole, start) => {
      const stored = new DataView(field.buffer, field.byteOffset).getUint32(0);
      const isRight = crc32(whole, 0, start) === stored;
      return `0x${stored.toString(16).padStart(8, "0")} (${isRight ? "matches" : "does not match the header"})`;
    },
  },
  uintField("version", 1),
  uintField("attributes", 1),
  uintField("producerEpoch", 2),
  uintField("recordCount", 4),
  uintField("baseTimestamp", 8),
  uintField("maxTimestamp", 8),
  uintField("producerId", 8),
  uintField("baseSequence", 4),
  {
    name: "records",
    size: (bytes) => (bytes.length < 4 ? 0 : batchBytesAt(bytes, 0) - batchHeaderBytes),
    show: showBytes,
  },
];

/** A dump of the batch at `at` with its fields; `note` points at its first byte. */
export function whereBatch(bytes: Uint8Array, at: number, note: string): string {
  const length = bytes.length - at < 4 ? 0 : Math.min(batchBytesAt(bytes, at), 4096);
  const batch = bytes.subarray(at, at + Math.max(length, batchHeaderBytes));
  const shown = hexDump(batch.subarray(0, 128), [{ start: 0, end: 1, note }]);
  return `the bytes from position ${at}\n${shown}\n${formatFields(readFields(batch, batchFields))}`;
}
