/**
 * Where files are synced: in the thread pool, or in place.
 *
 * The way to the pool and back costs 50 µs and the waking of two threads, a fifth of what a record on its way through
 * three nodes takes. That is well spent while a disk is waited for. In memory, or on a disk that keeps its cache when
 * the power goes, a sync is nothing but a system call, and is made in place.
 *
 * A sync that came back from the pool soon may have been such a one: then the next is tried in place. Those in place
 * are watched: when more than a sixth of them are slow, the pool gets them again. One alone says little, because the
 * processor may have gone to somebody else meanwhile.
 */

/** A sync that took longer, with the way to the pool and back, was surely waited for. */
const poolMsMax = 0.2;
/** A sync in place that took longer was no mere system call. */
const inPlaceMsMax = 0.03;
/** How much a slow one counts, in fast ones, and when there were too many. */
const slowWeight = 5;
const slowMax = 20;
/** Afterwards nothing is tried for so many times as long as the slow ones took: the loop loses a hundredth at most. */
const pauseFactor = 100;

/** The decision for all files of a process: they share the disk. */
export class SyncPlace {
  /** Whether the next sync is made in place. */
  isInPlace = false;
  #notBeforeMs = 0;
  #slow = 0;
  #slowMs = 0;

  /** A sync came back from the pool. */
  notePool(startMs: number, endMs: number): void {
    if (endMs - startMs <= poolMsMax && endMs >= this.#notBeforeMs) this.isInPlace = true;
  }

  /** A sync was made in place. */
  noteInPlace(startMs: number, endMs: number): void {
    const tookMs = endMs - startMs;
    if (tookMs <= inPlaceMsMax) {
      if (this.#slow > 0) this.#slow--;
      else this.#slowMs = 0;
      return;
    }
    this.#slow += slowWeight;
    this.#slowMs += tookMs;
    if (this.#slow < slowMax) return;
    this.isInPlace = false;
    this.#notBeforeMs = endMs + this.#slowMs * pauseFactor;
    this.#slow = 0;
    this.#slowMs = 0;
  }
}
