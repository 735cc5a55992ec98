/**
 * The segment viewer without its face: a real log on a disk in memory, read back file by file, and the steps by which
 * a look-up finds one offset in it.
 */
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import { encodeRecordBatch } from "#reference/storage/record-batch-builder.ts";
import { batchHeaderBytes, isHeaderIntact, readBatchHeader } from "#reference/storage/record-batch.ts";
import { Log } from "#reference/storage/log.ts";
import { baseOffsetOfName, segmentPath } from "#reference/storage/segment-files.ts";
import { locateBatch, SparseIndex } from "#reference/storage/sparse-index.ts";
import { stillClock } from "./virtual-clock.ts";

/** Bytes after which a segment is closed here; a real log waits for 128 MiB. */
export const segmentBytesMax = 3_000;
/** The distances between index entries to choose from. */
export const intervals = [128, 512, 1024] as const;
/** The offset that the picture starts with. */
export const offsetFirst = 50;
const batchCount = 36;
const directory = "orders-0";

export interface BatchView {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly position: number;
  readonly bytes: number;
}

export interface SegmentView {
  readonly name: string;
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly bytes: number;
  readonly batches: readonly BatchView[];
  readonly index: SparseIndex;
}

export interface LogView {
  readonly disk: SimulatedDisk;
  readonly segments: readonly SegmentView[];
  readonly endOffset: number;
}

/** How one offset is found. */
export interface LookUp {
  readonly offset: number;
  readonly segment: SegmentView;
  /** The number of the index entry, -1 for the start of the file. */
  readonly entry: number;
  readonly startPosition: number;
  /** Batches stepped over, and the one that holds the offset last. */
  readonly visited: readonly BatchView[];
  /** What the broker's own look-up says: it and the picture must agree. */
  readonly position: number;
}

/** Writes a log of some small batches and reads its files. */
export async function makeLog(indexIntervalBytes: number): Promise<LogView> {
  const disk = new SimulatedDisk();
  const options = {
    disk,
    directory,
    clock: stillClock,
    fsync: "always",
    segmentBytesMax,
    indexIntervalBytes,
  } as const;
  const log = await Log.open(options);
  const random = new SeededRandom(7);
  for (let number = 0; number < batchCount; number++) {
    const records = Array.from({ length: random.nextBetween(1, 4) }, () => {
      return { value: new Uint8Array(random.nextBetween(8, 70)), timestampMs: 0 };
    });
    log.append(encodeRecordBatch(records));
    await log.committed();
  }
  await log.close();
  const bases = disk.paths().flatMap((path) => baseOffsetOfName(path.slice(directory.length + 1)) ?? []);
  const segments = bases.map((base) => readSegment(disk, base, indexIntervalBytes));
  return { disk, segments, endOffset: segments.at(-1)?.endOffset ?? 0 };
}

/** The batches of one file, and its index as the broker would build it from them. */
function readSegment(disk: SimulatedDisk, baseOffset: number, intervalBytes: number): SegmentView {
  const path = segmentPath(directory, baseOffset);
  const bytes = disk.peek(path) ?? new Uint8Array(0);
  const index = new SparseIndex(baseOffset, intervalBytes);
  const batches: BatchView[] = [];
  let at = 0;
  while (bytes.length - at >= batchHeaderBytes && isHeaderIntact(bytes, at, crc32)) {
    const header = readBatchHeader(bytes, at);
    index.note(header.baseOffset, at, header.maxTimestamp);
    const { nextOffset, endPosition } = header;
    batches.push({ baseOffset: header.baseOffset, nextOffset, position: at, bytes: endPosition - at });
    at = endPosition;
  }
  const endOffset = batches.at(-1)?.nextOffset ?? baseOffset;
  return { name: path.slice(directory.length + 1), baseOffset, endOffset, bytes: at, batches, index };
}

/** The steps to one offset: the file, the index entry, the walk. */
export async function lookUp({ disk, segments }: LogView, offset: number): Promise<LookUp> {
  const segment = segments.findLast(({ baseOffset }) => baseOffset <= offset) ?? segments[0]!;
  const entry = segment.index.floor(offset);
  const startPosition = segment.index.positionAt(entry);
  const target = segment.batches.find(({ nextOffset }) => offset < nextOffset)!;
  const visited = segment.batches.filter(
    ({ position }) => position >= startPosition && position <= target.position,
  );
  const file = await disk.open(`${directory}/${segment.name}`, "read");
  const located = await locateBatch(file, segment.index, offset, segment.bytes, crc32);
  await file.close();
  return { offset, segment, entry, startPosition, visited, position: located.position };
}

/** All that the picture shows, as text. */
export function describeLookUp(
  view: LogView,
  { offset, segment, entry, startPosition, visited }: LookUp,
): string {
  const files = view.segments.map(
    ({ name, baseOffset, endOffset, batches, bytes, index }) =>
      `${name}  offsets ${baseOffset} to ${endOffset - 1}, ${batches.length} batches, ${bytes} bytes, ${index.count} index entries`,
  );
  const target = visited.at(-1)!;
  const skipped = visited.length - 1;
  return [
    ...files,
    "",
    `Looking for offset ${offset}:`,
    `1. Files: the last one whose name is not above ${offset} is ${segment.name}.`,
    entry < 0
      ? "2. Index: no entry at or below it, so start at byte 0."
      : `2. Index: the last entry not above it says offset ${segment.index.offsetAt(entry)} is at byte ${startPosition}.`,
    `3. Walk: step over ${skipped} batch${skipped === 1 ? "" : "es"} to byte ${target.position}, ` +
      `where a batch holds offsets ${target.baseOffset} to ${target.nextOffset - 1}.`,
  ].join("\n");
}
