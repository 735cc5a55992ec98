/**
 * Copies of batches that wait to be agreed on.
 *
 * An entry keeps its batch until a snapshot takes its place. An array of its own for each batch of one record costs
 * more than the record: memory outside the heap that is asked for, watched by the collector and given back. So small
 * ones lie in an array together. It lives as long as one of them does, but they come and go in order.
 */

/** One array. Little, because a partition that falls silent keeps the last one. */
const roomBytes = 8 * 1024;
/** Larger batches get an array of their own. */
const sharedBytesMax = roomBytes / 8;

/** Copies for one partition. */
export class BatchCopies {
  #room = new Uint8Array(0);
  #used = 0;

  of(batch: Uint8Array): Uint8Array {
    const { length } = batch;
    if (length > sharedBytesMax) return new Uint8Array(batch);
    if (this.#used + length > this.#room.length) {
      this.#room = new Uint8Array(roomBytes);
      this.#used = 0;
    }
    const copy = this.#room.subarray(this.#used, this.#used + length);
    copy.set(batch);
    this.#used += length;
    return copy;
  }
}
