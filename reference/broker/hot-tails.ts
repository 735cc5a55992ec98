/**
 * Hot tails: the newest records of the partitions that somebody reads, in memory, so that a consumer that keeps up
 * never goes to the disk.
 *
 * What the disk has, the system's page cache has as well, and a copy of it in our own memory buys nothing but the way
 * there: a system call or two, on another thread when the cache is slow. For a large read the bytes cost more than the
 * way; for the few records that a follower is behind, the way is most of it, and it is gone again and again. So a
 * partition gets a tail when a reader has come to its end, and loses it when nobody has read while a whole budget of
 * records went by. A log that is only written to is never copied, and neither is an old record that is read once.
 *
 *     appended ──► copied to the tail ──► committed: readers get it ──► dropped, oldest first, when room is wanted
 *
 * The store (memory/stream-store.ts) does the rest: it takes no more than its account has, lets go of the oldest for
 * the newest, and gives way at once when batches that wait for the disk want the memory (admission offloads it). When
 * it cannot take a batch, the tail ends, and readers go to the disk: a copy is never a reason to refuse a producer.
 */
import type { Account } from "../memory/budget.ts";
import { StreamStore } from "../memory/stream-store.ts";
import type { Pin, StoreUsage, Stream } from "../memory/stream.ts";
import type { Log } from "../storage/log.ts";

/** A quiet partition's tail begins with a chunk of the first size; a busy one's chunks grow to the other at most. */
const chunkBytesMin = 4 * 1024;
const chunkBytesLimit = 1024 * 1024;

/** One chunk is at most this part of the account: a read ends with its chunk, and so does the life of its records. */
const chunkPart = 64;

/** This part of the account is kept as free chunks: what is dropped for the newest records is used again for them. */
const sparesPart = 16;

/** Tells how long to wait before trying again; no tail ever waits. */
const retryAfterMs = 0;

/** The tails of one server, in one account. */
export class HotTails {
  /** What admission may take from: records that the disk has too. */
  readonly store: StreamStore;
  readonly account: Account;
  /** Reads that were answered from memory, and those that had to ask the log. */
  #hitCount = 0;
  #missCount = 0;

  /** `onReclaimable` is called when records became droppable, since somebody may be waiting for the memory. */
  constructor(account: Account, onReclaimable?: () => void) {
    this.account = account;
    this.store = new StreamStore({
      account,
      chunkBytesMin,
      chunkBytesMax: chunkBytesMaxOf(account.capBytes),
      sparesBytesMax: Math.floor(account.capBytes / sparesPart),
      retryAfterMs,
      ...(onReclaimable !== undefined && { onReclaimable }),
    });
  }

  /** The tail of a log, which begins with the first reader that reaches its end. */
  tailOf(name: string, log: Log): HotTail {
    const count = (isHit: boolean): void => void (isHit ? this.#hitCount++ : this.#missCount++);
    return new HotTail(this.store, name, log, this.account.capBytes, count);
  }

  /** For metrics. Reads of partitions without a tail count as misses too, which the store knows nothing of. */
  usage(): StoreUsage {
    return { ...this.store.usage(), hitCount: this.#hitCount, missCount: this.#missCount };
  }
}

/** The largest chunk: a power of two, so that freed memory fits the next one. */
function chunkBytesMaxOf(accountBytes: number): number {
  const wanted = Math.max(chunkBytesMin, Math.min(chunkBytesLimit, accountBytes / chunkPart));
  return 2 ** Math.floor(Math.log2(wanted));
}

/** The newest records of one partition, while somebody follows it. */
export class HotTail {
  readonly #store: StreamStore;
  readonly #name: string;
  readonly #log: Log;
  readonly #unreadBytesMax: number;
  readonly #count: (isHit: boolean) => void;
  /** Undefined while nobody follows the partition. */
  #stream: Stream | undefined;
  /** What was appended since the last read from here. */
  #unreadBytes = 0;

  constructor(
    store: StreamStore,
    name: string,
    log: Log,
    unreadBytesMax: number,
    count: (isHit: boolean) => void,
  ) {
    this.#store = store;
    this.#name = name;
    this.#log = log;
    this.#unreadBytesMax = unreadBytesMax;
    this.#count = count;
    log.onTakenBack = (endOffset) => {
      if (this.#stream !== undefined) store.truncate(this.#stream, endOffset);
    };
    log.onTrimmed = (startOffset) => {
      if (this.#stream !== undefined) store.trim(this.#stream, Math.min(startOffset, this.#stream.endOffset));
    };
  }

  /**
   * Committed batches from the one that holds `offset` on, held still until they are unpinned; undefined when they are
   * not here, and the log has to be asked.
   */
  read(offset: number, bytesMax: number): Pin | undefined {
    const found =
      this.#stream === undefined
        ? undefined
        : this.#store.read(this.#stream, offset, bytesMax, this.#log.committedEnd);
    this.#count(found?.kind === "found");
    if (found?.kind !== "found") return undefined;
    this.#unreadBytes = 0;
    return found.pin;
  }

  /** A reader has everything there is: what comes from now on is kept for it. */
  follow(): void {
    if (this.#stream !== undefined) return;
    const { startOffset, endOffset } = this.#log;
    this.#stream = this.#store.open(this.#name, startOffset, endOffset);
    if (this.#stream === undefined) return;
    this.#unreadBytes = 0;
    this.#log.onAppended = (batch, baseOffset, nextOffset) => this.#append(batch, baseOffset, nextOffset);
  }

  /** The disk has everything below `offset`: from now on it may be read, and dropped. */
  committed(offset: number): void {
    if (this.#stream !== undefined)
      this.#store.confirm(this.#stream, Math.min(offset, this.#stream.endOffset));
  }

  /** Gives everything back. The next reader that reaches the end begins anew. */
  end(): void {
    if (this.#stream === undefined) return;
    this.#log.onAppended = undefined;
    this.#store.delete(this.#stream);
    this.#stream = undefined;
  }

  #append(batch: Uint8Array, baseOffset: number, nextOffset: number): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#unreadBytes += batch.length;
    if (this.#unreadBytes > this.#unreadBytesMax) return this.end();
    const kept = this.#store.append(stream, baseOffset, nextOffset, batch);
    if (!(kept instanceof Uint8Array)) this.end();
  }
}
