/** Puts batches together again from the records that stay, when a log is compacted. */
import type { Checksum } from "../ports.ts";
import { setUint16, setUint32, setUint53, uint32Max } from "./integers.ts";
import {
  attributeRecordChecksums,
  batchHeaderBytes,
  batchLayout,
  batchVersion,
  readBatchHeader,
  recordFlags,
  recordLayout,
  stampBatch,
  type BatchHeader,
} from "./record-batch.ts";
import type { RecordCursor } from "./record-cursor.ts";

const firstCapacity = 64 * 1024;

/** For each batch: `begin`, `keep` for each record that stays, `end`. Then `take` what is ready. */
export class BatchRewriter {
  readonly #checksum: Checksum;
  #bytes = new Uint8Array(firstCapacity);
  #used = 0;
  #source: Uint8Array = this.#bytes;
  #header: BatchHeader | undefined;
  #batchStart = 0;
  #kept = 0;
  #maxTimestamp = 0;
  /** Where the batch without records starts that the next one can join; -1 when the last batch has records. */
  #emptyStart = -1;

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /** Begins with the next batch, which lies in `source`; the bytes must stay as they are until `end`. */
  begin(source: Uint8Array, header: BatchHeader): void {
    this.#source = source;
    this.#header = header;
    // Each record may grow by its offset delta.
    this.#reserve(header.endPosition - header.position + header.recordCount * 4);
    this.#batchStart = this.#used;
    this.#used += batchHeaderBytes;
    this.#kept = 0;
    this.#maxTimestamp = header.baseTimestamp;
  }

  /** Keeps a record of the batch. It says its offset from now on: its place in the batch says it no longer. */
  keep(cursor: RecordCursor): void {
    const bytes = this.#bytes;
    const source = this.#source;
    const header = this.#header!;
    const start = this.#used;
    const flags = source[cursor.recordStart + recordLayout.flags]!;
    const rest =
      cursor.recordStart + recordLayout.optional + ((flags & recordFlags.offsetDelta) === 0 ? 0 : 4);
    bytes[start + recordLayout.flags] = flags | recordFlags.offsetDelta;
    setUint32(bytes, start + recordLayout.optional, cursor.offset - header.baseOffset);
    bytes.set(source.subarray(rest, cursor.valueEnd), start + recordLayout.optional + 4);
    let at = start + recordLayout.optional + 4 + (cursor.valueEnd - rest);
    setUint32(bytes, start, at - start - 4 + (header.hasRecordChecksums ? 4 : 0));
    if (header.hasRecordChecksums) {
      setUint32(bytes, at, this.#checksum(bytes, start, at));
      at += 4;
    }
    this.#maxTimestamp = Math.max(this.#maxTimestamp, cursor.timestampMs);
    this.#used = at;
    this.#kept++;
  }

  /** Ends the batch. */
  end(): void {
    const header = this.#header!;
    const start = this.#batchStart;
    if (this.#kept === header.recordCount && this.#kept > 0) {
      // Nothing went: the batch stays byte for byte, with its producer's checksums.
      this.#bytes.set(this.#source.subarray(header.position, header.endPosition), start);
      this.#used = start + (header.endPosition - header.position);
      this.#emptyStart = -1;
      return;
    }
    let offsets = header.nextOffset - header.baseOffset;
    let first = header;
    let sealAt = start;
    if (this.#kept === 0 && this.#emptyStart >= 0) {
      // Join the empty batch before: only its range grows. Not over epochs: a replica that has some of the range takes
      // the rest of it, which must not look older than what it follows on.
      const before = readBatchHeader(this.#bytes, this.#emptyStart);
      if (before.epoch === header.epoch && header.nextOffset - before.baseOffset <= uint32Max) {
        offsets = header.nextOffset - before.baseOffset;
        first = before;
        sealAt = this.#emptyStart;
        this.#used = sealAt + batchHeaderBytes;
      }
    }
    this.#seal(sealAt, first, offsets - 1);
    this.#emptyStart = this.#kept === 0 ? sealAt : -1;
  }

  /** The bytes that are ready, valid until the next call; an empty batch at the end waits for its successor. */
  take(isLast: boolean): Uint8Array {
    const end = !isLast && this.#emptyStart >= 0 ? this.#emptyStart : this.#used;
    const ready = this.#bytes.slice(0, end);
    this.#bytes.copyWithin(0, end, this.#used);
    this.#used -= end;
    if (this.#emptyStart >= 0) this.#emptyStart -= end;
    return ready;
  }

  #seal(start: number, header: BatchHeader, lastOffsetDelta: number): void {
    const bytes = this.#bytes;
    bytes.fill(0, start, start + batchHeaderBytes);
    setUint32(bytes, start + batchLayout.length, this.#used - start - 4);
    bytes[start + batchLayout.version] = batchVersion;
    bytes[start + batchLayout.attributes] = header.hasRecordChecksums ? attributeRecordChecksums : 0;
    setUint16(bytes, start + batchLayout.producerEpoch, header.producerEpoch);
    setUint32(bytes, start + batchLayout.recordCount, this.#kept);
    setUint53(bytes, start + batchLayout.baseTimestamp, header.baseTimestamp);
    setUint53(bytes, start + batchLayout.maxTimestamp, this.#maxTimestamp);
    setUint53(bytes, start + batchLayout.producerId, header.producerId);
    setUint32(bytes, start + batchLayout.baseSequence, header.baseSequence);
    setUint32(
      bytes,
      start + batchLayout.bodyCrc,
      this.#checksum(bytes, start + batchLayout.version, this.#used),
    );
    // Only what is durable is compacted, so nothing before it waits for a sync.
    stampBatch(bytes, start, { ...header, lastOffsetDelta, unsyncedBefore: 0 }, this.#checksum);
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#used + bytes));
    larger.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = larger;
  }
}
