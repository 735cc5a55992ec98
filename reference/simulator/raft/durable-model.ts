/**
 * What of one server is durable, as a model in memory: what its disk has reported. Checkers look at it after every
 * event; that the bytes say the same is held against it at every start (checkers/raft/nothing-forgotten.ts).
 */
import { assert } from "#reference/base/assert.ts";
import type { DurableView } from "#reference/checkers/raft/checker.ts";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry, NodeId, Snapshot } from "#reference/raft/entry.ts";
import type { DurableState } from "#reference/raft/persistence.ts";

/** The state after the writes that were reported. */
export class DurableModel implements DurableView {
  term = 0;
  votedFor: NodeId | undefined = undefined;
  #snapshot: Snapshot | undefined = undefined;
  #entries: Entry[] = [];

  get snapshotIndex(): number {
    return this.#snapshot?.index ?? 0;
  }

  get lastIndex(): number {
    return this.snapshotIndex + this.#entries.length;
  }

  termAt(index: number): number | undefined {
    if (index === this.snapshotIndex) return this.#snapshot?.term ?? 0;
    return index < this.snapshotIndex ? undefined : this.#entries[index - this.snapshotIndex - 1]?.term;
  }

  /** Everything at once. */
  get state(): DurableState {
    const { term, votedFor } = this;
    return { term, votedFor, snapshot: this.#snapshot, entries: [...this.#entries] };
  }

  /** A start has found this, and has made it durable. */
  adopt({ term, votedFor, snapshot, entries }: DurableState): void {
    this.term = term;
    this.votedFor = votedFor;
    this.#snapshot = snapshot;
    this.#entries = [...entries];
  }

  /** One more write is durable. As `applyWrite` in reference/raft/persistence.ts, in place. */
  apply({ term, votedFor, snapshot, replaceFrom, entries }: Write): void {
    this.term = term;
    this.votedFor = votedFor;
    if (snapshot !== undefined) {
      this.#entries.splice(0, snapshot.index - this.snapshotIndex);
      this.#snapshot = snapshot;
    }
    if (replaceFrom === undefined) return;
    const place = replaceFrom - this.snapshotIndex - 1;
    assert(place >= 0 && place <= this.#entries.length, () => `a record from ${replaceFrom} leaves a hole`);
    this.#entries.length = place;
    for (const entry of entries) this.#entries.push(entry);
  }
}
