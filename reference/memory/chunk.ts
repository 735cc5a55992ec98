/**
 * Chunks: the pieces of memory that the stream store keeps records in, and two things that they need.
 *
 * A chunk holds whole batches of one stream, one after the other, and marks where each begins. The store frees chunks
 * and never single records, so that freeing a megabyte is a few steps and not ten thousand.
 */
import { assert } from "../base/assert.ts";
import type { Lease } from "./budget.ts";

/** What freed memory is filled with in tests: a reader that sees it was reading what is no longer its own. */
export const poisonByte = 0xdd;

/** Room for marks, two numbers (16 bytes) each: one for every so many bytes of a chunk. */
const bytesPerMark = 128;

/** The memory of one chunk: allocated once, used by one chunk after another. */
export interface ChunkMemory {
  readonly bytes: Uint8Array;
  /** For each batch its first offset and the position where it begins. */
  readonly marks: Float64Array;
}

/** What a chunk of this capacity costs the budget: its bytes, its marks and the objects around them. */
export function chunkCost(capacity: number, overheadBytes: number): number {
  return capacity + markCount(capacity) * 16 + overheadBytes;
}

/** The capacity of a chunk for `size` bytes: one of few sizes, so that freed memory fits the next chunk. */
export function chunkCapacity(size: number, chunkBytesMin: number, chunkBytesMax: number): number {
  if (size > chunkBytesMax) return Math.ceil(size / chunkBytesMin) * chunkBytesMin;
  let capacity = chunkBytesMin;
  while (capacity < size) capacity *= 2;
  return Math.min(capacity, chunkBytesMax);
}

/** How many batches a chunk of this capacity can hold. */
export function markCount(capacity: number): number {
  return Math.max(4, Math.ceil(capacity / bytesPerMark));
}

/** A run of batches of one stream in memory. The store alone changes it. */
export class Chunk<Owner> {
  readonly owner: Owner;
  readonly memory: ChunkMemory;
  /** Pays for it, from before the memory is taken until after it is given back. */
  readonly lease: Lease;
  /** Whether it was read back from disk, or appended here. */
  readonly isLoaded: boolean;
  /** The first offset it answers for. */
  readonly baseOffset: number;
  /** The offset after its last batch. */
  nextOffset: number;
  /** Bytes in use, from the start. */
  size = 0;
  batchCount = 0;
  /** No more batches are written behind the last one. */
  isSealed: boolean;
  /** Readers that look at its bytes at this moment. */
  pinCount = 0;
  /** Out of the store's index; waits for its last reader, to be freed. */
  isDropped = false;
  older: Chunk<Owner> | undefined;
  newer: Chunk<Owner> | undefined;
  list: ChunkList<Owner> | undefined;

  constructor(owner: Owner, memory: ChunkMemory, lease: Lease, baseOffset: number, isLoaded: boolean) {
    this.owner = owner;
    this.memory = memory;
    this.lease = lease;
    this.baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.isLoaded = isLoaded;
    this.isSealed = isLoaded;
  }

  /** Whether a batch of this size can be written behind the last one. */
  hasRoomFor(size: number): boolean {
    const isMarkFree = (this.batchCount + 1) * 2 <= this.memory.marks.length;
    return !this.isSealed && isMarkFree && this.size + size <= this.memory.bytes.length;
  }

  /** Copies a batch behind the last one; returns the copy, as a view. */
  add(baseOffset: number, nextOffset: number, source: Uint8Array, start: number, end: number): Uint8Array {
    const position = this.size;
    assert(position + end - start <= this.memory.bytes.length, "batch larger than the room in its chunk");
    this.memory.bytes.set(source.subarray(start, end), position);
    this.memory.marks[this.batchCount * 2] = baseOffset;
    this.memory.marks[this.batchCount * 2 + 1] = position;
    this.batchCount++;
    this.size = position + end - start;
    this.nextOffset = nextOffset;
    return this.memory.bytes.subarray(position, this.size);
  }

  /** The number of the last batch that begins at or before `offset`; 0 when all begin after it. */
  batchAt(offset: number): number {
    let low = 0;
    let high = this.batchCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.offsetOf(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The first offset of batch `number`; the next offset of the chunk for the batch after its last. */
  offsetOf(number: number): number {
    return number < this.batchCount ? this.memory.marks[number * 2]! : this.nextOffset;
  }

  /** Where batch `number` begins; the size of the chunk for the batch after its last. */
  positionOf(number: number): number {
    return number < this.batchCount ? this.memory.marks[number * 2 + 1]! : this.size;
  }

  /** Forgets the batches from `number` on. Their bytes stay as they are: a reader may still look at them. */
  cut(number: number): void {
    this.size = this.positionOf(number);
    this.nextOffset = this.offsetOf(number);
    this.batchCount = Math.min(this.batchCount, number);
    this.isSealed = true;
  }
}

/** Chunks in the order of their last use. Every operation takes the same few steps, however many there are. */
export class ChunkList<Owner> {
  oldest: Chunk<Owner> | undefined;
  #newest: Chunk<Owner> | undefined;
  /** Σ of what its chunks would give back to the budget. */
  costBytes = 0;

  /** Puts a chunk at the young end. */
  push(chunk: Chunk<Owner>): void {
    assert(chunk.list === undefined, "chunk is in a list already");
    chunk.list = this;
    chunk.older = this.#newest;
    if (this.#newest === undefined) this.oldest = chunk;
    else this.#newest.newer = chunk;
    this.#newest = chunk;
    this.costBytes += chunk.lease.bytes;
  }

  /** Takes a chunk out, wherever it stands. */
  remove(chunk: Chunk<Owner>): void {
    assert(chunk.list === this, "chunk is not in this list");
    if (chunk.older === undefined) this.oldest = chunk.newer;
    else chunk.older.newer = chunk.newer;
    if (chunk.newer === undefined) this.#newest = chunk.older;
    else chunk.newer.older = chunk.older;
    chunk.older = undefined;
    chunk.newer = undefined;
    chunk.list = undefined;
    this.costBytes -= chunk.lease.bytes;
  }
}

/**
 * Where chunk memory comes from and goes to. A few freed pieces are kept for the next chunk: memory that was never
 * touched costs a page fault for every 4 KiB, and what the garbage collector has not collected yet is still resident.
 */
export class ChunkRecycler {
  readonly #spares: ChunkMemory[] = [];
  readonly #sparesBytesMax: number;
  readonly #isPoisoning: boolean;
  #sparesBytes = 0;

  /** `sparesBytesMax` bounds what is kept unused; whoever makes the recycler pays for that much. */
  constructor(sparesBytesMax: number, isPoisoning: boolean) {
    this.#sparesBytesMax = sparesBytesMax;
    this.#isPoisoning = isPoisoning;
  }

  /** Memory of exactly this capacity. Its contents are whatever was there before. */
  take(capacity: number): ChunkMemory {
    const at = this.#spares.findIndex(({ bytes }) => bytes.length === capacity);
    if (at < 0) return { bytes: new Uint8Array(capacity), marks: new Float64Array(markCount(capacity) * 2) };
    const [memory] = this.#spares.splice(at, 1);
    assert(memory !== undefined, "spare vanished");
    this.#sparesBytes -= chunkCost(capacity, 0);
    return memory;
  }

  /** Takes memory back. The oldest spares make room for it, so a size that nobody wants any more goes away. */
  give(memory: ChunkMemory): void {
    if (this.#isPoisoning) memory.bytes.fill(poisonByte);
    this.#spares.push(memory);
    this.#sparesBytes += chunkCost(memory.bytes.length, 0);
    while (this.#sparesBytes > this.#sparesBytesMax) {
      const dropped = this.#spares.shift();
      assert(dropped !== undefined, "spares without bytes");
      this.#sparesBytes -= chunkCost(dropped.bytes.length, 0);
    }
  }
}
