/**
 * The stream store: the newest records in memory, as many as the budget allows, and never one byte more.
 *
 * The design notes tried a pool of buffers, so that memory could not run out: safe, and not alive, because a record
 * hogs its buffer for as long as it is kept. Bigger pools, split buffers and growing pools all end the same way. The
 * way out is to let go of records at least as fast as new ones come in, and that is possible because the disk has them:
 *
 *     appended ──────► confirmed by the disk ──────► dropped when its memory is wanted
 *     (must stay)      (stays while there is room)   (a read brings it back, as a copy that may go at any time)
 *
 * When producers are faster than the disk, nothing can be let go, and the store refuses on purpose: a retriable error
 * before memory runs out. When the disk catches up, the next append finds room. Nobody has to restart anything.
 *
 * Everything in here belongs to a chunk, every chunk to a lease, and whoever reads a chunk holds a pin: pinned memory
 * is neither dropped nor given to anyone else, so a reader never sees bytes change under its eyes.
 *
 * The store does no I/O. It says `cold` when a read needs the disk, and is given the bytes with `fill`.
 */
import { assert } from "../base/assert.ts";
import type { Account, Lease } from "./budget.ts";
import { Chunk, chunkCapacity, chunkCost, ChunkList, ChunkRecycler } from "./chunk.ts";
import type { Pin, ReadOutcome, StoreRefusal, StoreUsage, Stream, Ticket } from "./stream.ts";

/** Sizes and limits. */
export interface StreamStoreOptions {
  /** Pays for everything that the store keeps. */
  readonly account: Account;
  /** A quiet stream starts with a small chunk; each further one is twice as large, up to the maximum. */
  readonly chunkBytesMin: number;
  readonly chunkBytesMax: number;
  /** Freed memory that is kept for the next chunk. */
  readonly sparesBytesMax: number;
  readonly retryAfterMs: number;
  /** Fills freed memory with `poisonByte`, so that a test sees who reads it still. */
  readonly isPoisoning?: boolean;
  /** Called when more became reclaimable: the disk confirmed, or a reader let go. */
  readonly onReclaimable?: () => void;
}

/** What an object of the store costs beside its bytes. */
export const storeOverheadBytes = 512;

/** Records of many streams in memory, within one account of the budget. */
export class StreamStore {
  readonly #options: StreamStoreOptions;
  readonly #streams = new Map<string, Stream>();
  readonly #recycler: ChunkRecycler;
  readonly #sparesLease: Lease;
  /** Chunks that may go at once, in the order of their last use: those read back from disk go first. */
  readonly #idleLoaded = new ChunkList<Stream>();
  readonly #idleAppended = new ChunkList<Stream>();
  #residentBytes = 0;
  #chunkCount = 0;
  #hitCount = 0;
  #missCount = 0;
  #offloadedChunkCount = 0;

  constructor(options: StreamStoreOptions) {
    const lease = options.account.reserve(options.sparesBytesMax);
    assert(lease.kind === "lease", `no room for ${options.sparesBytesMax} bytes of spare chunks`);
    this.#options = options;
    this.#sparesLease = lease;
    this.#residentBytes = lease.bytes;
    this.#recycler = new ChunkRecycler(options.sparesBytesMax, options.isPoisoning ?? false);
  }

  /** What could be dropped at once; admission does not count it as used. */
  get reclaimableBytes(): number {
    return this.#idleLoaded.costBytes + this.#idleAppended.costBytes;
  }

  /** Starts to keep a stream that has these offsets on disk; undefined when there is no memory for one more. */
  open(name: string, startOffset: number, endOffset: number): Stream | undefined {
    assert(!this.#streams.has(name), `stream ${name} is open already`);
    const lease = this.#reserve(storeOverheadBytes, "everything");
    if (lease === undefined) return undefined;
    const offsets = { startOffset, endOffset, confirmedOffset: endOffset, version: 0 };
    const stream: Stream = { name, ...offsets, chunks: [], unconfirmed: [], lease };
    this.#streams.set(name, stream);
    return stream;
  }

  // #region append
  /** Copies a batch behind the last one of its stream; returns the copy, which stays put until the disk confirms it. */
  append(
    stream: Stream,
    baseOffset: number,
    nextOffset: number,
    source: Uint8Array,
    start = 0,
    end = source.length,
  ): Uint8Array | StoreRefusal {
    // 1. Batches follow each other without a gap and without overlap.
    assert(
      baseOffset === stream.endOffset && nextOffset > baseOffset,
      () => `batch ${baseOffset} out of order`,
    );
    // 2. Find room: in the newest chunk, or in a new one that the budget pays for. No room: refuse, change nothing.
    let chunk = stream.chunks.at(-1);
    if (chunk === undefined || !chunk.hasRoomFor(end - start)) {
      const added = this.#addChunk(stream, end - start);
      if (added === undefined) return this.#refusal(end - start);
      chunk = added;
    }
    // 3. What the disk does not have must stay: it cannot be dropped from now on.
    if (chunk.list !== undefined) chunk.list.remove(chunk);
    if (stream.unconfirmed.at(-1) !== chunk) stream.unconfirmed.push(chunk);
    stream.endOffset = nextOffset;
    return chunk.add(baseOffset, nextOffset, source, start, end);
  }

  /** A new chunk at the end of a stream, twice as large as the last if that can be had; undefined without room. */
  #addChunk(stream: Stream, size: number): Chunk<Stream> | undefined {
    const { chunkBytesMin, chunkBytesMax } = this.#options;
    const last = stream.chunks.at(-1);
    const wanted = Math.min(chunkBytesMax, Math.max(chunkBytesMin, (last?.memory.bytes.length ?? 0) * 2));
    // 1. Ask for the size that the stream has grown to; content oneself with the smallest that will do.
    const smallest = chunkCapacity(size, chunkBytesMin, chunkBytesMax);
    for (const capacity of [Math.max(wanted, smallest), smallest]) {
      const chunk = this.#newChunk(stream, capacity, stream.endOffset, false);
      if (chunk === undefined) continue;
      // 2. The new chunk is the only one that is written to.
      if (last !== undefined) last.isSealed = true;
      stream.chunks.push(chunk);
      return chunk;
    }
    return undefined;
  }
  // #endregion append

  // #region confirm
  /** The disk has everything below `offset`: what lies below may be dropped from now on, and not a moment earlier. */
  confirm(stream: Stream, offset: number): void {
    assert(offset <= stream.endOffset, () => `confirmed ${offset} of ${stream.endOffset}`);
    stream.confirmedOffset = Math.max(stream.confirmedOffset, offset);
    // 1. A chunk is confirmed when its last batch is: one batch that only memory has keeps it all here.
    let chunk = stream.unconfirmed[0];
    while (chunk !== undefined && chunk.nextOffset <= stream.confirmedOffset) {
      stream.unconfirmed.shift();
      // 2. Trimmed while the disk was still writing it: now it can go. Otherwise it may go, unless somebody reads it.
      if (chunk.nextOffset <= stream.startOffset) this.#dropAt(stream, stream.chunks.indexOf(chunk));
      else if (chunk.pinCount === 0) this.#setIdle(chunk);
      chunk = stream.unconfirmed[0];
    }
    this.#options.onReclaimable?.();
  }
  // #endregion confirm

  // #region offload
  /** Drops what may go, least recently used first, until `bytes` came free. As many steps as chunks dropped. */
  offload(bytes: number): number {
    let freed = 0;
    while (freed < bytes) {
      // 1. Copies of what the disk gave go first, then appended chunks. What is pinned or unconfirmed is in no list.
      const chunk = this.#idleLoaded.oldest ?? this.#idleAppended.oldest;
      if (chunk === undefined) break;
      // 2. The ledger says how much that was.
      freed += chunk.lease.bytes;
      this.#offloadedChunkCount++;
      this.#dropAt(chunk.owner, chunkIndex(chunk.owner, chunk.baseOffset));
    }
    return freed;
  }

  /** A lease, after dropping no more than is needed for it; undefined when it cannot be had. */
  #reserve(bytes: number, sacrifice: "everything" | "loaded"): Lease | undefined {
    const { account } = this.#options;
    // 1. Free memory first. When not even offloading would do, drop nothing in vain.
    let outcome = account.reserve(bytes);
    const idleBytes = sacrifice === "loaded" ? this.#idleLoaded.costBytes : this.reclaimableBytes;
    if (outcome.kind === "refused" && account.roomBytes + idleBytes < bytes) return undefined;
    // 2. Then offload at least as much as is demanded; for a mere copy only other copies, which go first anyway.
    if (outcome.kind === "refused") {
      this.offload(bytes - Math.max(0, account.roomBytes));
      outcome = account.reserve(bytes);
    }
    // 3. One number for the gauge, changed where the ledger is.
    if (outcome.kind === "refused") return undefined;
    this.#residentBytes += bytes;
    return outcome;
  }
  // #endregion offload

  // #region read
  /** Whole batches from the one that holds `offset` on, up to about `bytesMax`, all of them below `beforeOffset`. */
  read(stream: Stream, offset: number, bytesMax: number, beforeOffset = stream.endOffset): ReadOutcome {
    // 1. Outside of what exists is an answer of its own; at the end there is nothing yet.
    const { startOffset, endOffset } = stream;
    if (offset < startOffset || offset > endOffset) return { kind: "out-of-range", startOffset, endOffset };
    if (offset >= beforeOffset) return { kind: "end" };
    // 2. Find the chunk; what no chunk holds is on disk.
    const index = chunkIndex(stream, offset);
    const chunk = stream.chunks[index];
    if (chunk === undefined || offset >= chunk.nextOffset) {
      this.#missCount++;
      const untilOffset = stream.chunks[index + 1]?.baseOffset ?? endOffset;
      return { kind: "cold", ticket: { stream, offset, version: stream.version }, untilOffset };
    }
    // 3. Take whole batches: the first always, more while they fit and are not too new.
    const first = chunk.batchAt(offset);
    let last = first + 1;
    const limit = chunk.positionOf(first) + bytesMax;
    while (
      last < chunk.batchCount &&
      chunk.positionOf(last + 1) <= limit &&
      chunk.offsetOf(last + 1) <= beforeOffset
    ) {
      last++;
    }
    if (chunk.offsetOf(last) > beforeOffset) return { kind: "end" };
    this.#hitCount++;
    return { kind: "found", pin: this.#pin(chunk, first, last) };
  }

  /** Holds a chunk for a reader. */
  #pin(chunk: Chunk<Stream>, first: number, last: number): Pin {
    // 1. Pinned chunks are in no list, so nothing that looks for memory can find them.
    chunk.pinCount++;
    if (chunk.list !== undefined) chunk.list.remove(chunk);
    const bytes = chunk.memory.bytes.subarray(chunk.positionOf(first), chunk.positionOf(last));
    let isHeld = true;
    const unpin = (): boolean => {
      // 2. Each pin counts once, however often it is let go.
      if (!isHeld) return false;
      isHeld = false;
      chunk.pinCount--;
      // 3. The last reader frees what was dropped meanwhile; anything else becomes the most recently used.
      if (chunk.pinCount > 0) return true;
      if (chunk.isDropped) this.#free(chunk);
      else if (chunk.nextOffset <= chunk.owner.confirmedOffset) this.#setIdle(chunk);
      this.#options.onReclaimable?.();
      return true;
    };
    return { bytes, baseOffset: chunk.offsetOf(first), nextOffset: chunk.offsetOf(last), unpin };
  }
  // #endregion read

  // #region fill
  /** Keeps a copy of what the disk gave for a cold read, if there is room; no reader depends on it. */
  fill(
    ticket: Ticket,
    batches: readonly { baseOffset: number; nextOffset: number; bytes: Uint8Array }[],
  ): void {
    const { stream, offset, version } = ticket;
    // 1. Since the read began, the stream may be gone, or its offsets may mean something else.
    if (this.#streams.get(stream.name) !== stream || stream.version !== version) return;
    // 2. Keep what lies in the gap only: the rest is in memory already, or trimmed.
    const index = chunkIndex(stream, offset);
    if (offset < stream.startOffset || offset < (stream.chunks[index]?.nextOffset ?? 0)) return;
    const untilOffset = stream.chunks[index + 1]?.baseOffset ?? stream.confirmedOffset;
    const kept = batches.filter(({ nextOffset }) => nextOffset > offset && nextOffset <= untilOffset);
    const size = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (size === 0) return;
    // 3. A copy may push out other copies, never what was appended.
    const capacity = chunkCapacity(size, this.#options.chunkBytesMin, this.#options.chunkBytesMax);
    const chunk = this.#newChunk(stream, capacity, Math.min(offset, kept[0]!.baseOffset), true);
    if (chunk === undefined) return;
    for (const { baseOffset, nextOffset, bytes } of kept) {
      if ((chunk.batchCount + 1) * 2 > chunk.memory.marks.length) break;
      chunk.add(baseOffset, nextOffset, bytes, 0, bytes.length);
    }
    stream.chunks.splice(chunkIndex(stream, chunk.baseOffset) + 1, 0, chunk);
    this.#setIdle(chunk);
  }
  // #endregion fill

  // #region forget
  /** Retention: records below `offset` exist no more. Their memory comes back at once, or with the last pin. */
  trim(stream: Stream, offset: number): void {
    assert(offset <= stream.endOffset, () => `trim to ${offset} of ${stream.endOffset}`);
    stream.startOffset = Math.max(stream.startOffset, offset);
    // 1. A chunk goes when all of it is below. One that the disk is still writing goes when that is confirmed.
    for (let chunk = stream.chunks[0]; chunk !== undefined; chunk = stream.chunks[0]) {
      if (chunk.nextOffset > stream.startOffset || chunk === stream.unconfirmed[0]) break;
      this.#dropAt(stream, 0);
    }
  }

  /** Records from `offset` on exist no more, and their offsets will be used again. The disk must not be writing. */
  truncate(stream: Stream, offset: number): void {
    assert(offset >= stream.startOffset, () => `truncate to ${offset} below ${stream.startOffset}`);
    // 1. Whatever was read before may not come back as if it were the new records.
    stream.version++;
    // 2. Whole chunks go; the one that is cut is written to no more, because a reader may hold its bytes.
    for (let chunk = stream.chunks.at(-1); chunk !== undefined; chunk = stream.chunks.at(-1)) {
      if (chunk.nextOffset <= offset) break;
      const keptCount = chunk.batchAt(offset);
      if (keptCount === 0) this.#dropAt(stream, stream.chunks.length - 1);
      else chunk.cut(keptCount);
    }
    // 3. The end and what is confirmed go back with it.
    stream.endOffset = Math.min(stream.endOffset, offset);
    this.confirm(stream, Math.min(stream.confirmedOffset, offset));
    stream.confirmedOffset = Math.min(stream.confirmedOffset, offset);
  }

  /** Ends a stream and gives back everything that it held. The disk must not be writing. */
  delete(stream: Stream): void {
    assert(this.#streams.get(stream.name) === stream, `stream ${stream.name} is not open`);
    // 1. First the chunks, from the end, then the stream itself: its name, its lease.
    while (stream.chunks.length > 0) this.#dropAt(stream, stream.chunks.length - 1);
    this.#streams.delete(stream.name);
    this.#residentBytes -= stream.lease.bytes;
    stream.lease.release();
  }

  /** Gives back everything, also what is kept for later. */
  close(): void {
    for (const stream of this.#streams.values()) this.delete(stream);
    this.#residentBytes -= this.#sparesLease.bytes;
    this.#sparesLease.release();
  }
  // #endregion forget

  /** What memory is used for. Counting happens where things change, so asking is cheap. */
  usage(): StoreUsage {
    return {
      streamCount: this.#streams.size,
      chunkCount: this.#chunkCount,
      residentBytes: this.#residentBytes,
      reclaimableBytes: this.reclaimableBytes,
      hitCount: this.#hitCount,
      missCount: this.#missCount,
      offloadedChunkCount: this.#offloadedChunkCount,
    };
  }

  #newChunk(
    stream: Stream,
    capacity: number,
    baseOffset: number,
    isLoaded: boolean,
  ): Chunk<Stream> | undefined {
    const lease = this.#reserve(chunkCost(capacity, storeOverheadBytes), isLoaded ? "loaded" : "everything");
    if (lease === undefined) return undefined;
    this.#chunkCount++;
    return new Chunk(stream, this.#recycler.take(capacity), lease, baseOffset, isLoaded);
  }

  #setIdle(chunk: Chunk<Stream>): void {
    (chunk.isLoaded ? this.#idleLoaded : this.#idleAppended).push(chunk);
  }

  /** Takes a chunk out of the index; frees it, unless somebody still reads it. */
  #dropAt(stream: Stream, index: number): void {
    const [chunk] = stream.chunks.splice(index, 1);
    assert(chunk !== undefined, () => `no chunk ${index} in ${stream.name}`);
    const unconfirmedAt = stream.unconfirmed.indexOf(chunk);
    if (unconfirmedAt >= 0) stream.unconfirmed.splice(unconfirmedAt, 1);
    if (chunk.list !== undefined) chunk.list.remove(chunk);
    chunk.isDropped = true;
    if (chunk.pinCount === 0) this.#free(chunk);
  }

  /** Gives memory and lease back, in this order: whoever hears of free memory may take it at once. */
  #free(chunk: Chunk<Stream>): void {
    this.#chunkCount--;
    this.#residentBytes -= chunk.lease.bytes;
    this.#recycler.give(chunk.memory);
    chunk.lease.release();
  }

  #refusal(size: number): StoreRefusal {
    const { account, chunkBytesMin, chunkBytesMax, retryAfterMs } = this.#options;
    const cost = chunkCost(chunkCapacity(size, chunkBytesMin, chunkBytesMax), storeOverheadBytes);
    const isTooLarge = cost > account.possibleBytes - this.#sparesLease.bytes;
    return isTooLarge
      ? { kind: "refused", code: "record-too-large", retryAfterMs: 0 }
      : { kind: "refused", code: "overloaded", retryAfterMs };
  }
}

/** The place of the last chunk that begins at or before `offset`; -1 when all begin after it. */
function chunkIndex(stream: Stream, offset: number): number {
  let low = -1;
  let high = stream.chunks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (stream.chunks[middle]!.baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
