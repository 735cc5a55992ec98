/** What the tests of storage share: batches of known records, a log over any disk, and reading it back. */
import type { Disk } from "../ports.ts";
import { Log, type LogOptions } from "./log.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { RecordCursor } from "./record-cursor.ts";

/** Where the tests' log is. */
export const testDirectory = "topics/a/0";

/** A clock that stands still: no test of storage waits. */
export const stillClock = {
  wallTimeMs: () => 1_700_000_000_000,
  monotonicTimeMs: () => 0,
  after: () => () => undefined,
};

/** Opens a log that promises durability and rolls early. */
export function openTestLog(disk: Disk, options: Partial<LogOptions> = {}): Promise<Log> {
  return Log.open({ disk, directory: testDirectory, clock: stillClock, fsync: "always", ...options });
}

/** A batch of records with these texts. */
export function batchOf(...texts: string[]): Uint8Array {
  const encoder = new TextEncoder();
  return encodeRecordBatch(
    texts.map((text) => ({ value: encoder.encode(text) })),
    { timestampMs: stillClock.wallTimeMs() },
  );
}

/** A text for record `number`, of a length that varies with it. */
export function textOf(number: number): string {
  return `record ${number} ${"x".repeat((number * 37) % 90)}`;
}

/** Offset and text of every record that the log shows; damaged ranges are stepped over. */
export async function readAll(log: Log, maxBytes = 1000): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const decoder = new TextDecoder();
  for (let offset = log.startOffset; offset < log.committedEnd;) {
    const result = await log.read(offset, maxBytes);
    if (result.kind === "damaged") {
      offset = result.to;
      continue;
    }
    if (result.kind === "failed") throw result.error;
    if (result.kind !== "records") throw new Error(`read at ${offset}: ${JSON.stringify(result)}`);
    if (result.bytes.length === 0) throw new Error(`nothing to read at ${offset} of ${log.committedEnd}`);
    const cursor = new RecordCursor(result.bytes, { fromOffset: offset, checkRecords: true });
    while (cursor.next())
      found.set(cursor.offset, decoder.decode(cursor.record().value ?? new Uint8Array(0)));
    if (cursor.fault !== undefined) throw new Error(`read at ${offset}: ${cursor.fault.reason}`);
    offset = result.nextOffset;
  }
  return found;
}
