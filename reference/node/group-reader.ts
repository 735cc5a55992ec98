/** Reads a topic as a member of a consumer group, and commits what was written out. */
import type { FetchedRecords } from "../client/records.ts";
import type { Client } from "./client.ts";
import type { WriteRecords } from "./record-writer.ts";

/** What to read, as whom, and where it goes. */
export interface MemberOptions {
  readonly client: Client;
  readonly topic: string;
  readonly group: string;
  readonly countMax: number;
  readonly signal: AbortSignal;
  readonly write: WriteRecords;
}

/** Reads until `countMax` records are written or `signal` fires; both leave the group in order. */
export async function readAsMember({
  client,
  topic,
  group,
  countMax,
  signal,
  write,
}: MemberOptions): Promise<void> {
  if (countMax === 0) return;
  const consumer = client.consumer(topic, { group, from: "earliest" });
  // Closing commits and leaves the group, so it must be waited for, whoever began it.
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= consumer.close());
  const stop = (): void => void close();
  signal.addEventListener("abort", stop);
  let left = countMax;
  let stoppedAt: { readonly topic: string; readonly partition: number; readonly offset: number } | undefined;
  try {
    for await (const records of consumer.batches()) {
      const written = await write(records, left);
      left -= written;
      if (left > 0) continue;
      stoppedAt = { topic, partition: records.partition, offset: offsetAfter(records, written) };
      break;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await close();
  }
  // The consumer commits whole blocks; of the last one only the part counts that was written out.
  if (stoppedAt !== undefined) await client.commitOffsets(group, [stoppedAt]);
}

/** The offset after the first `count` records. */
function offsetAfter(records: FetchedRecords, count: number): number {
  const cursor = records.cursor();
  for (let index = 0; index < count; index++) cursor.next();
  return cursor.offset + 1;
}
