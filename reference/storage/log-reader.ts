/**
 * Reading a log: which segment to ask, what to say when the records are gone or damaged, and how to find an offset by
 * time or by id.
 *
 * A read races with everything that removes records. It never waits for that and never locks it out: it asks the
 * segment that held the offset a moment ago, and when that one has gone meanwhile, it looks again.
 */
import { DiskError } from "../ports.ts";
import { ignoreDiskError } from "./file-io.ts";
import type { ReadResult } from "./log-options.ts";
import { findOffsetOfId, findOffsetOfTime } from "./lookup.ts";
import type { RecordId } from "./record-id.ts";
import { classifyOffset } from "./retention.ts";
import type { SegmentSet } from "./segment-set.ts";

/** What readers may have, as it is now. */
export interface ReadableRange {
  readonly startOffset: number;
  readonly committedEnd: number;
}

/** Reads the segments of one log. */
export class LogReader {
  readonly #set: SegmentSet;
  readonly #range: ReadableRange;

  constructor(set: SegmentSet, range: ReadableRange) {
    this.#set = set;
    this.#range = range;
  }

  /** See `Log.read`. */
  async read(offset: number, maxBytes: number, target?: Uint8Array): Promise<ReadResult> {
    for (;;) {
      const { startOffset, committedEnd: endOffset } = this.#range;
      if (classifyOffset(offset, startOffset, endOffset) !== "in-range") {
        return { kind: "out-of-range", startOffset, endOffset };
      }
      const damage = this.#set.damage.find((range) => offset < range.to);
      if (damage !== undefined && offset >= damage.from)
        return { kind: "damaged", from: damage.from, to: damage.to };
      const visibleEnd = Math.min(endOffset, damage?.from ?? Infinity);
      const segment = this.#set.segmentOf(offset);
      try {
        const result = await segment.read(offset, maxBytes, visibleEnd, target);
        if (result.kind === "batches")
          return { kind: "records", bytes: result.bytes, nextOffset: result.nextOffset };
        // Damage that nobody knew of. Look at the whole segment once, and answer from what is known then.
        await this.#set.examine(segment);
        const isFound = this.#set.damage.some(({ from, to }) => offset >= from && offset < to);
        if (!isFound)
          return { kind: "failed", error: new DiskError("input-output", "read", segment.file.path) };
      } catch (error) {
        ignoreDiskError(error);
        // Removed or replaced meanwhile: that its file is closed is no answer.
        if (this.#set.segments.includes(segment)) return { kind: "failed", error: error as DiskError };
      }
    }
  }

  /** See `Log.offsetForTimestamp`. */
  async offsetForTimestamp(timestampMs: number): Promise<number> {
    const { startOffset, committedEnd } = this.#range;
    const segment = this.#set.segments.find((candidate) => candidate.maxTimestamp >= timestampMs);
    if (segment === undefined) return committedEnd;
    const from = segment.index.offsetAt(segment.index.floorOfTime(timestampMs));
    return findOffsetOfTime(this.#readBatches, Math.max(from, startOffset), committedEnd, timestampMs);
  }

  /** See `Log.offsetForId`. */
  offsetForId(id: RecordId): Promise<number> {
    const { startOffset, committedEnd } = this.#range;
    return findOffsetOfId(this.#readBatches, startOffset, committedEnd, id);
  }

  readonly #readBatches = async (
    offset: number,
    maxBytes: number,
  ): Promise<{ bytes: Uint8Array } | { continueAt: number }> => {
    const result = await this.read(offset, maxBytes);
    if (result.kind === "records") return result;
    if (result.kind === "failed") throw result.error;
    return { continueAt: result.kind === "damaged" ? result.to : result.startOffset };
  };
}
