/**
 * Append buffers: where batches gather between two writes, and the bound on how many bytes may wait there.
 *
 * A batch is copied once, from the bytes that it came in into one of these chunks, and the chunk is what the disk
 * gets. All logs of a process share one set: a log holds a chunk only while it has something to write, so a thousand
 * quiet partitions hold nothing. The first chunk of a round is small and the following ones are large: most rounds of
 * a quiet log are small, and a busy log should write in few calls.
 *
 * A chunk that comes back is kept for the next round, and its memory is paid for all the while: what was dropped would
 * stay resident until the garbage collector looks for it, which is no time at which to count on it.
 *
 * When the bound is reached, `acquire` gives nothing and the append is refused with a retriable error. That is the
 * choice between refusing on purpose and running out of memory.
 * The refusal says when to come back: when a quarter of what waits will be written, at the speed of the last second.
 */
import { assert } from "../base/assert.ts";

/** One chunk: batches lie in `bytes[0..used)`, each of them whole. */
export interface AppendChunk {
  readonly bytes: Uint8Array;
  used: number;
  /** The offset after the last batch in the chunk. */
  endOffset: number;
  /** What pays for it, when there is a budget. */
  readonly lease?: { release(): void } | undefined;
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

/** What a producer that was refused is asked to wait at least, and at most. */
const retryAfterMsMin = 20;
const retryAfterMsMax = 2000;
/** The speed of the disk is that of about so long: older times count half. */
const rateWindowMs = 1000;

/** Memory that a chunk can have: paid for as long as it exists, in use or not. */
interface ChunkMemory {
  readonly bytes: Uint8Array;
  readonly lease?: { release(): void } | undefined;
}

/** A bounded set of chunks. */
export class AppendBuffers {
  /** Bytes of all chunks that are out: batches that wait to be written. */
  heldBytes = 0;
  /** Bytes of the chunks that came back and wait to be used again. */
  freeBytes = 0;
  /** Called when `heldBytes` has changed. */
  onHeld: ((heldBytes: number) => void) | undefined = undefined;
  readonly bytesMax: number;
  /** Chunks that came back. Their memory has been touched, which makes them fast, and it counts as ours. */
  readonly #freeSmall: ChunkMemory[] = [];
  readonly #freeLarge: ChunkMemory[] = [];
  readonly #budget: AppendBudget | undefined;
  readonly #nowMs: () => number;
  /** So much came back since then. */
  #writtenBytes = 0;
  #sinceMs = 0;

  /** Without a clock, `retryAfterMs` is the least that it can be. */
  constructor(bytesMax = appendBytesMaxDefault, budget?: AppendBudget, nowMs: () => number = () => 0) {
    this.bytesMax = bytesMax;
    this.#budget = budget;
    this.#nowMs = nowMs;
  }

  /** When a producer whose batch found no room should come back, by how fast the disk takes what waits. */
  get retryAfterMs(): number {
    const tookMs = this.#nowMs() - this.#sinceMs;
    // As long as nothing came back, as long again as that has been.
    const neededMs = this.#writtenBytes === 0 ? tookMs : (this.heldBytes / 4 / this.#writtenBytes) * tookMs;
    return Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, Math.ceil(neededMs)));
  }

  /** A chunk with room for `neededBytes`, or undefined when that would exceed the bound. */
  acquire(neededBytes: number, isFirst: boolean): AppendChunk | undefined {
    const isSmall = isFirst && neededBytes <= smallChunkBytes;
    // A batch larger than a chunk gets one of its own size, which is not kept afterwards.
    const size = isSmall ? smallChunkBytes : Math.max(largeChunkBytes, neededBytes);
    const memory = (size <= largeChunkBytes ? this.#takeFree(isSmall) : undefined) ?? this.#allocate(size);
    if (memory === undefined) return undefined;
    if (this.heldBytes === 0) this.#beginMeasuring();
    this.heldBytes += size;
    this.onHeld?.(this.heldBytes);
    return { bytes: memory.bytes, used: 0, endOffset: 0, lease: memory.lease };
  }

  /** Takes a chunk back. The caller must not touch its bytes any more. */
  release({ bytes, lease }: AppendChunk): void {
    this.heldBytes -= bytes.length;
    assert(this.heldBytes >= 0, "a chunk was released twice");
    this.#writtenBytes += bytes.length;
    this.#forgetOldTimes();
    if (bytes.length > largeChunkBytes) {
      lease?.release();
    } else {
      this.freeBytes += bytes.length;
      (bytes.length === smallChunkBytes ? this.#freeSmall : this.#freeLarge).push({ bytes, lease });
    }
    this.onHeld?.(this.heldBytes);
  }

  /** Gives up free chunks until `bytes` came back to the budget, or none is left; returns how many bytes did. */
  dropFree(bytes: number): number {
    let dropped = 0;
    while (dropped < bytes) {
      const memory = this.#takeFree(false) ?? this.#takeFree(true);
      if (memory === undefined) break;
      dropped += memory.bytes.length;
      memory.lease?.release();
    }
    return dropped;
  }

  /** While nothing waits the disk has nothing to show. */
  #beginMeasuring(): void {
    this.#writtenBytes = 0;
    this.#sinceMs = this.#nowMs();
  }

  #forgetOldTimes(): void {
    const tookMs = this.#nowMs() - this.#sinceMs;
    if (tookMs < rateWindowMs) return;
    this.#writtenBytes /= 2;
    this.#sinceMs += tookMs / 2;
  }

  #takeFree(isSmall: boolean): ChunkMemory | undefined {
    const memory = (isSmall ? this.#freeSmall : this.#freeLarge).pop();
    this.freeBytes -= memory?.bytes.length ?? 0;
    return memory;
  }

  /** New memory within the bound and the budget. Free chunks of the other size make room for it. */
  #allocate(size: number): ChunkMemory | undefined {
    const excess = this.heldBytes + this.freeBytes + size - this.bytesMax;
    if (excess > 0 && this.dropFree(excess) < excess) return undefined;
    const lease = this.#budget?.reserve(size);
    if (this.#budget !== undefined && lease === undefined) return undefined;
    return { bytes: new Uint8Array(size), lease };
  }
}
