/**
 * What the stream store and its users say to each other: a stream, the answers to a read, and the pin that a reader
 * holds while it sends what it was given.
 */
import type { Lease } from "./budget.ts";
import type { Chunk } from "./chunk.ts";

/** One stream as the store knows it. A handle: ask the store, and do not keep it after `delete`. */
export interface Stream {
  readonly name: string;
  /** The first offset that still exists. */
  startOffset: number;
  /** The offset that the next batch gets. */
  endOffset: number;
  /** The disk has everything below. */
  confirmedOffset: number;
  /** Grows when offsets are used again, so that what was read before is known to be stale. */
  version: number;
  /** Chunks in memory, by offset. Between two of them there may be a gap: that part is on disk only. */
  readonly chunks: Chunk<Stream>[];
  /** Those of them that the disk has not confirmed to their end, oldest first. */
  readonly unconfirmed: Chunk<Stream>[];
  readonly lease: Lease;
}

/** The store has no room: nothing has changed. */
export interface StoreRefusal {
  readonly kind: "refused";
  /** Names of the protocol's error table; the first is retriable, the second is not. */
  readonly code: "overloaded" | "record-too-large";
  readonly retryAfterMs: number;
}

/** Says what a cold read is for; hand it to `fill` with what the disk gave. */
export interface Ticket {
  readonly stream: Stream;
  readonly offset: number;
  readonly version: number;
}

/** What a read found. */
export type ReadOutcome =
  | { readonly kind: "found"; readonly pin: Pin }
  /** On disk only, up to `untilOffset`, where memory begins again. */
  | { readonly kind: "cold"; readonly ticket: Ticket; readonly untilOffset: number }
  /** Nothing there yet. */
  | { readonly kind: "end" }
  | { readonly kind: "out-of-range"; readonly startOffset: number; readonly endOffset: number };

/** What memory is used for at this moment, for metrics. */
export interface StoreUsage {
  readonly streamCount: number;
  readonly chunkCount: number;
  /** Everything that the account is charged for. */
  readonly residentBytes: number;
  readonly reclaimableBytes: number;
  readonly hitCount: number;
  readonly missCount: number;
  readonly offloadedChunkCount: number;
}

/** Whole batches in memory, held still for a reader. The reader must `unpin` them when it has sent them. */
export interface Pin {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** Lets go. A second call changes nothing and returns false. */
  readonly unpin: () => boolean;
}
