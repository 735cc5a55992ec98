/** Fills a partition's table of producers from the end of its log, at the first batch that asks for it. */
import { getUint16, getUint32, getUint53 } from "../storage/integers.ts";
import { baseOffsetAt, batchBytesAt, batchLayout, nextOffsetAt } from "../storage/record-batch.ts";
import { readLog } from "./fetch.ts";
import type { ErrorOutcome } from "./outcome.ts";
import type { Partition } from "./partition.ts";

/** How much of the log is read back: what all producers together may have under way, and a good deal more. */
export const producerTailBytes = 32 * 1024 * 1024;

const readBytes = 4 * 1024 * 1024;

/** Loads that are under way; all who wait for one share it. */
const loading = new WeakMap<Partition, Promise<ErrorOutcome | undefined>>();

/** Makes sure that the table is loaded; resolves to why it could not be. */
export function loadProducers(partition: Partition): Promise<ErrorOutcome | undefined> {
  let load = loading.get(partition);
  if (load === undefined) {
    load = readTail(partition).finally(() => loading.delete(partition));
    loading.set(partition, load);
  }
  return load;
}

async function readTail(partition: Partition): Promise<ErrorOutcome | undefined> {
  const { log, producers } = partition;
  if (producers.isLoaded) return undefined;
  let offset = tailStart(partition);
  while (offset < log.committedEnd) {
    const read = await readLog(partition, offset, readBytes);
    if (read.kind === "error") return read;
    for (let at = 0; at < read.bytes.length; at += batchBytesAt(read.bytes, at)) {
      rememberBatch(partition, read.bytes, at);
    }
    offset = read.nextOffset;
  }
  producers.isLoaded = true;
  return undefined;
}

/** An offset about so many bytes before the end, by the average size of a record. */
function tailStart({ log }: Partition): number {
  const count = log.committedEnd - log.startOffset;
  if (log.sizeBytes <= producerTailBytes) return log.startOffset;
  return Math.max(log.startOffset, log.committedEnd - Math.ceil((count * producerTailBytes) / log.sizeBytes));
}

function rememberBatch({ producers }: Partition, bytes: Uint8Array, at: number): void {
  const producerId = getUint53(bytes, at + batchLayout.producerId);
  if (producerId === 0) return;
  const baseOffset = baseOffsetAt(bytes, at);
  producers.remember(producerId, getUint16(bytes, at + batchLayout.producerEpoch), {
    sequence: getUint32(bytes, at + batchLayout.baseSequence),
    count: nextOffsetAt(bytes, at) - baseOffset,
    baseOffset,
    idMilliseconds: getUint53(bytes, at + batchLayout.idMilliseconds),
    idSequence: getUint32(bytes, at + batchLayout.idSequence),
  });
}
