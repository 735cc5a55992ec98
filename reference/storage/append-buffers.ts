/**
 * Append buffers: where batches gather between two writes, and the bound on how many bytes may wait there.
 *
 * A batch is copied once, from the bytes that it came in into one of these chunks, and the chunk is what the disk
 * gets. All logs of a process share one set: a log holds a chunk only while it has something to write, so a thousand
 * quiet partitions hold nothing. The first chunk of a round is small and the following ones are large: most rounds of
 * a quiet log are small, and a busy log should write in few calls.
 *
 * When the bound is reached, `acquire` gives nothing and the append is refused with a retriable error. That is the
 * choice between refusing on purpose and running out of memory.
 */
import { assert } from "../base/assert.ts";

/** One chunk: batches lie in `bytes[0..used)`, each of them whole. */
export interface AppendChunk {
  readonly bytes: Uint8Array;
  used: number;
  /** The offset after the last batch in the chunk. */
  endOffset: number;
  /** What pays for it, when there is a budget. */
  readonly lease?: { release(): void };
}

/** Pays for chunks: a part of a process's memory budget. */
export interface AppendBudget {
  /** Undefined: there is no room now. */
  reserve(bytes: number): { release(): void } | undefined;
}

/** Size of a round's first chunk. */
export const smallChunkBytes = 64 * 1024;
/** Size of a round's further chunks. */
export const largeChunkBytes = 1024 * 1024;
/** The default bound on all chunks that are out at once. */
export const appendBytesMaxDefault = 64 * 1024 * 1024;
/** This part of the bound is kept as free chunks: their memory has been touched, which makes them fast. */
const freePart = 4;

/** A bounded set of chunks. */
export class AppendBuffers {
  /** Bytes of all chunks that are out. */
  heldBytes = 0;
  readonly bytesMax: number;
  /** The most that is kept in free chunks, which no lease of the budget pays for: set it aside. */
  readonly freeBytesMax: number;
  #freeBytes = 0;
  readonly #freeSmall: Uint8Array[] = [];
  readonly #freeLarge: Uint8Array[] = [];
  readonly #budget: AppendBudget | undefined;

  constructor(bytesMax = appendBytesMaxDefault, budget?: AppendBudget) {
    this.bytesMax = bytesMax;
    this.freeBytesMax = Math.floor(bytesMax / freePart);
    this.#budget = budget;
  }

  /** A chunk with room for `neededBytes`, or undefined when that would exceed the bound. */
  acquire(neededBytes: number, isFirst: boolean): AppendChunk | undefined {
    const isSmall = isFirst && neededBytes <= smallChunkBytes;
    // A batch larger than a chunk gets one of its own size, which is not kept afterwards.
    const size = isSmall ? smallChunkBytes : Math.max(largeChunkBytes, neededBytes);
    if (this.heldBytes + size > this.bytesMax) return undefined;
    const lease = this.#budget?.reserve(size);
    if (this.#budget !== undefined && lease === undefined) return undefined;
    this.heldBytes += size;
    const free = isSmall ? this.#freeSmall : this.#freeLarge;
    const kept = size <= largeChunkBytes ? free.pop() : undefined;
    this.#freeBytes -= kept?.length ?? 0;
    const bytes = kept ?? new Uint8Array(size);
    return { bytes, used: 0, endOffset: 0, ...(lease !== undefined && { lease }) };
  }

  /** Takes a chunk back. The caller must not touch its bytes any more. */
  release(chunk: AppendChunk): void {
    this.heldBytes -= chunk.bytes.length;
    assert(this.heldBytes >= 0, "a chunk was released twice");
    const isSmall = chunk.bytes.length === smallChunkBytes;
    const free = isSmall ? this.#freeSmall : this.#freeLarge;
    const isKept = isSmall || chunk.bytes.length === largeChunkBytes;
    if (isKept && this.#freeBytes + chunk.bytes.length <= this.freeBytesMax) {
      free.push(chunk.bytes);
      this.#freeBytes += chunk.bytes.length;
    }
    chunk.lease?.release();
  }
}
