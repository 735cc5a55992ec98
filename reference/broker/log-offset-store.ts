/**
 * Consumer offsets in a log of their own, as Kafka keeps them: what is committed is appended, and what was appended last
 * for a group and partition is what holds.
 *
 * A log brings all that a file of offsets would have to invent: a commit is atomic, durable under the server's policy,
 * shares its sync with others, and survives a crash at any point. When the log has grown, everything that still holds is
 * appended once more and the rest is trimmed; a crash in the middle leaves both, which says the same.
 */
import type { Log } from "../storage/log.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import type { RecordInput } from "../storage/record-batch-builder.ts";
import { RecordCursor } from "../storage/record-cursor.ts";
import { getUint53, setUint53 } from "../storage/integers.ts";
import { refusalOfAppend, refusalOfDisk } from "./disk-refusal.ts";
import type { ErrorOutcome } from "./outcome.ts";
import type { OffsetStore, StoredOffset } from "./handle-offsets.ts";

/** The log is written anew when it has so many records for each one that holds. */
const recordsPerPosition = 16;

/** And never for fewer than so many records. */
const rewriteRecordsMin = 10_000;

/** Positions in one batch of a rewrite. */
const positionsPerBatch = 1000;

const readBytes = 1024 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Positions by group, then by `topic/partition`. */
type Positions = Map<string, Map<string, StoredOffset>>;

/** Keeps offsets in `log`, which belongs to it. */
export class LogOffsetStore implements OffsetStore {
  readonly #log: Log;
  readonly #positions: Positions;
  #rewriting: Promise<void> | undefined;

  /** Reads back what holds. Rejects with the DiskError of a log that cannot be read. */
  static async open(log: Log): Promise<LogOffsetStore> {
    const positions: Positions = new Map();
    let offset = log.startOffset;
    while (offset < log.committedEnd) {
      const read = await log.read(offset, readBytes);
      if (read.kind === "failed") throw read.error;
      // Damaged commits are as if they had not been made: the group reads some records again.
      if (read.kind === "damaged") offset = read.to;
      if (read.kind !== "records") continue;
      const cursor = new RecordCursor(read.bytes, { fromOffset: offset });
      while (cursor.next()) applyRecord(positions, read.bytes, cursor);
      offset = read.nextOffset;
    }
    return new LogOffsetStore(log, positions);
  }

  private constructor(log: Log, positions: Positions) {
    this.#log = log;
    this.#positions = positions;
  }

  async commit(group: string, offsets: readonly StoredOffset[]): Promise<ErrorOutcome | undefined> {
    const problem = await this.#append(offsets.map((position) => recordOf(group, position, position.offset)));
    if (problem !== undefined) return problem;
    for (const position of offsets) remember(this.#positions, group, position);
    if (this.#isWasteful()) this.#rewriting ??= this.#rewrite().finally(() => (this.#rewriting = undefined));
    return undefined;
  }

  fetch(group: string, topic: string, partition: number): number | undefined {
    return this.#positions.get(group)?.get(`${topic}/${partition}`)?.offset;
  }

  list(group: string): readonly StoredOffset[] {
    return [...(this.#positions.get(group)?.values() ?? [])];
  }

  groups(): readonly string[] {
    return [...this.#positions.keys()];
  }

  /** The positions go with the topic; should a topic of that name be made again, nobody has read it. */
  topicDeleted(topic: string): void {
    for (const [group, positions] of this.#positions) {
      const gone = [...positions.values()].filter((position) => position.topic === topic);
      if (gone.length === 0) continue;
      for (const { partition } of gone) positions.delete(`${topic}/${partition}`);
      // Not waited for: a crash now brings them back, and fetching clamps them to what exists.
      void this.#append(gone.map((position) => recordOf(group, position, undefined)));
    }
  }

  async close(): Promise<void> {
    await this.#rewriting?.catch(() => undefined);
    await this.#log.close();
  }

  /** Resolves to why it could not be stored, or to nothing. */
  async #append(records: readonly RecordInput[]): Promise<ErrorOutcome | undefined> {
    const result = this.#log.append(encodeRecordBatch(records));
    if (result.kind === "refused") return refusalOfAppend(result);
    const commit = await this.#log.committed();
    return commit.kind === "failed" ? refusalOfDisk(commit.error) : undefined;
  }

  #isWasteful(): boolean {
    const records = this.#log.committedEnd - this.#log.startOffset;
    let holding = 0;
    for (const positions of this.#positions.values()) holding += positions.size;
    return records > Math.max(rewriteRecordsMin, holding * recordsPerPosition);
  }

  /** Appends what holds, then gives up everything before it. */
  async #rewrite(): Promise<void> {
    const firstOffset = this.#log.endOffset;
    const all = [...this.#positions].flatMap(([group, positions]) =>
      [...positions.values()].map((position) => recordOf(group, position, position.offset)),
    );
    for (let at = 0; at < all.length; at += positionsPerBatch) {
      // What could not be written anew is still there in its old place.
      if ((await this.#append(all.slice(at, at + positionsPerBatch))) !== undefined) return;
    }
    await this.#log.trim(firstOffset);
  }
}

function remember(positions: Positions, group: string, position: StoredOffset): void {
  let ofGroup = positions.get(group);
  if (ofGroup === undefined) {
    ofGroup = new Map();
    positions.set(group, ofGroup);
  }
  ofGroup.set(`${position.topic}/${position.partition}`, position);
}

/** The key says whose position it is, the value where; without a value, there is none any more. */
function recordOf(
  group: string,
  { topic, partition }: StoredOffset,
  offset: number | undefined,
): RecordInput {
  const key = encoder.encode(JSON.stringify([group, topic, partition]));
  if (offset === undefined) return { key, value: null };
  const value = new Uint8Array(8);
  setUint53(value, 0, offset);
  return { key, value };
}

function applyRecord(positions: Positions, bytes: Uint8Array, cursor: RecordCursor): void {
  const key: unknown = JSON.parse(decoder.decode(bytes.subarray(cursor.keyStart, cursor.keyEnd)));
  if (!Array.isArray(key)) return;
  const [group, topic, partition] = key as [string, string, number];
  if (cursor.isTombstone) positions.get(group)?.delete(`${topic}/${partition}`);
  else remember(positions, group, { topic, partition, offset: getUint53(bytes, cursor.valueStart) });
}
