/**
 * The log of one server in memory: the entries behind the last snapshot, by index.
 *
 * The first entry ever has index 1. What a snapshot covers is gone, so an entry's place in the array is not
 * its index: all of that arithmetic is in this file and nowhere else.
 *
 * ```
 *     snapshotIndex = 4                        lastIndex = 7
 *            │   index   5       6       7        │
 *   ─────────┤         ┌───────┬───────┬───────┐  │
 *   snapshot │ entries │ [0]   │ [1]   │ [2]   │
 *   ─────────┤         └───────┴───────┴───────┘
 * ```
 */
import { assert } from "../base/assert.ts";
import { entryBytes, type Entry } from "./entry.ts";

/** The entries behind a snapshot. */
export class RaftLog {
  #snapshotIndex: number;
  #snapshotTerm: number;
  #entries: Entry[];
  /** Memory in use, by `entryBytes`: what a shell looks at to decide when to compact. */
  #bytes = 0;

  constructor(snapshotIndex = 0, snapshotTerm = 0, entries: readonly Entry[] = []) {
    this.#snapshotIndex = snapshotIndex;
    this.#snapshotTerm = snapshotTerm;
    this.#entries = [];
    this.append(entries);
  }

  /** The last index that the snapshot covers; 0 when there is none. */
  get snapshotIndex(): number {
    return this.#snapshotIndex;
  }

  get snapshotTerm(): number {
    return this.#snapshotTerm;
  }

  get bytes(): number {
    return this.#bytes;
  }

  // #region log-index
  /** The index of the last entry, which may be one that the snapshot covers. */
  get lastIndex(): number {
    return this.#snapshotIndex + this.#entries.length;
  }

  /** The term of the last entry. */
  get lastTerm(): number {
    // 1. With no entry behind it, the snapshot's last entry is the last one.
    return this.#entries.length === 0 ? this.#snapshotTerm : this.#entries[this.#entries.length - 1]!.term;
  }

  /**
   * The term of an entry; undefined where the log does not reach and for what is gone. The snapshot's last is
   * known.
   */
  termAt(index: number): number | undefined {
    // 1. The snapshot remembers the term of its last entry, because the next AppendEntries asks for it.
    if (index === this.#snapshotIndex) return this.#snapshotTerm;
    // 2. An entry's place in the array counts from the snapshot.
    return index < this.#snapshotIndex ? undefined : this.#entries[index - this.#snapshotIndex - 1]?.term;
  }

  /** An entry; undefined where the log does not reach and for what the snapshot covers. */
  entryAt(index: number): Entry | undefined {
    return index <= this.#snapshotIndex ? undefined : this.#entries[index - this.#snapshotIndex - 1];
  }
  // #endregion log-index

  /**
   * Entries from one index to another, both included: a copy, within limits, but at least one if there is
   * one.
   */
  slice(from: number, to = this.lastIndex, countMax = Infinity, bytesMax = Infinity): Entry[] {
    assert(from > this.#snapshotIndex, () => `entry ${from} is in the snapshot up to ${this.#snapshotIndex}`);
    const start = from - this.#snapshotIndex - 1;
    const end = Math.max(start, Math.min(to - this.#snapshotIndex, this.#entries.length, start + countMax));
    if (bytesMax === Infinity) return this.#entries.slice(start, end);
    const taken: Entry[] = [];
    let bytes = 0;
    for (let place = start; place < end; place++) {
      const entry = this.#entries[place]!;
      bytes += entryBytes(entry);
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(entry);
    }
    return taken;
  }

  /** Adds entries at the end; their indexes must go on where the log ends. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, () => `entry ${entry.index} after ${this.lastIndex}`);
      assert(entry.term >= this.lastTerm, () => `term ${entry.term} after term ${this.lastTerm}`);
      this.#entries.push(entry);
      this.#bytes += entryBytes(entry);
    }
  }

  /** Forgets the entry at `index` and all behind it. */
  truncateFrom(index: number): void {
    assert(index > this.#snapshotIndex, () => `cannot take back entry ${index} of the snapshot`);
    for (const entry of this.#entries.splice(index - this.#snapshotIndex - 1)) {
      this.#bytes -= entryBytes(entry);
    }
  }

  /** Lets a snapshot take the place of all entries up to `index`; those behind it stay. */
  compactTo(index: number, term: number): void {
    assert(index >= this.#snapshotIndex, () => `snapshot ${index} before ${this.#snapshotIndex}`);
    for (const entry of this.#entries.splice(0, index - this.#snapshotIndex)) {
      this.#bytes -= entryBytes(entry);
    }
    this.#snapshotIndex = index;
    this.#snapshotTerm = term;
  }

  /** The first index of the run of entries that have the same term as the one at `index`. */
  firstIndexOfTermAt(index: number): number {
    const term = this.termAt(index);
    let first = index;
    while (first - 1 > this.#snapshotIndex && this.termAt(first - 1) === term) first--;
    return first;
  }

  /** The last index below `limit` whose term is at most `term`; the snapshot's index when there is none. */
  lastIndexWithTermAtMost(term: number, limit: number): number {
    let index = Math.min(limit - 1, this.lastIndex);
    while (index > this.#snapshotIndex && this.termAt(index)! > term) index--;
    return index;
  }
}
