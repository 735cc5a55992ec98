/** Writes fetched records to a stream: the bare bytes and a newline, or one JSON document for each. */
import { once } from "node:events";
import type { Writable } from "node:stream";
import type { FetchedRecords } from "../client/records.ts";

/** Writes up to `countMax` records; resolves to how many, when the stream wants more. */
export type WriteRecords = (records: FetchedRecords, countMax: number) => Promise<number>;

/** A writer for text (bytes as they are) or for JSON (values as UTF-8, or base64 where they are not). */
export function recordWriter(stream: Writable, json: boolean): WriteRecords {
  return async (records, countMax) => {
    const [bytes, count] = json ? jsonLines(records, countMax) : bareLines(records, countMax);
    if (bytes.length > 0 && !stream.write(bytes)) await once(stream, "drain");
    return count;
  };
}

/** All values with their newlines, in one piece: a write for each record would take most of the time. */
function bareLines(records: FetchedRecords, countMax: number): [Uint8Array, number] {
  // The values and newlines take less than the batches, where each record has its header of 5 bytes and more.
  const lines = Buffer.allocUnsafe(records.bytes.length);
  const cursor = records.cursor();
  let at = 0;
  let count = 0;
  while (count < countMax && cursor.next()) {
    lines.set(records.bytes.subarray(cursor.valueStart, cursor.valueEnd), at);
    at += cursor.valueEnd - cursor.valueStart;
    lines[at++] = 0x0a;
    count++;
  }
  return [lines.subarray(0, at), count];
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function jsonLines(records: FetchedRecords, countMax: number): [Uint8Array, number] {
  const lines: string[] = [];
  for (const record of records) {
    if (lines.length >= countMax) break;
    const { partition, offset, id, timestampMs, key, value } = record;
    const fields = { partition, offset, id, timestampMs, ...named("key", key), ...named("value", value) };
    lines.push(`${JSON.stringify(fields)}\n`);
  }
  return [Buffer.from(lines.join("")), lines.length];
}

/** Bytes as JSON: as text when they are text, else as base64 under another name. */
function named(name: string, bytes: Uint8Array | null | undefined): Record<string, string | null> {
  if (bytes === undefined) return {};
  if (bytes === null) return { [name]: null };
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes).toString("base64") };
  }
}
