/**
 * The disk of one simulated Raft server: whole records, one after the other, each durable some time after it
 * was written.
 *
 * The bytes are left out. That a record is atomic is the business of the record format, which has tests of
 * its own with torn sectors; here it is a premise, and what is tried is everything between two records. A
 * crash leaves the records that were done and, by chance, some that were on their way: a disk may have
 * written them and not have had the time to say so.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { assert } from "#reference/base/assert.ts";
import type { DurableView } from "#reference/checkers/raft/checker.ts";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry, NodeId, Snapshot } from "#reference/raft/entry.ts";
import type { DurableState } from "#reference/raft/persistence.ts";
import type { FaultyDisk } from "../faults.ts";
import { drawLatencyMs, type Latency } from "../latency.ts";
import { usPerMs, type ScheduledEvent, type Scheduler } from "../scheduler.ts";

interface Begun {
  readonly write: Write;
  readonly listener: DiskListener;
}

interface Pending extends Begun {
  event: ScheduledEvent;
}

/** What a disk tells its server. */
export interface DiskListener {
  onDurable(number: number): void;
  onError(): void;
}

/** One server's disk. */
export class RaftDisk implements DurableView, FaultyDisk {
  isFailing = false;
  term = 0;
  votedFor: NodeId | undefined = undefined;
  /** Records that became durable. */
  writeCount = 0;
  #snapshot: Snapshot | undefined = undefined;
  #entries: Entry[] = [];
  #pending: Pending[] = [];
  #lastDoneUs = 0;
  #slowness = 1;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #latency: Latency;

  constructor(scheduler: Scheduler, random: SeededRandom, latency: Latency) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#latency = latency;
  }

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

  /** What a server that starts now finds. */
  load(): DurableState {
    const { term, votedFor } = this;
    return { term, votedFor, snapshot: this.#snapshot, entries: [...this.#entries] };
  }

  get slowness(): number {
    return this.#slowness;
  }

  /** A disk that recovers does not let what was begun before wait as if it had not. */
  set slowness(slowness: number) {
    const hasRecovered = slowness < this.#slowness;
    this.#slowness = slowness;
    if (!hasRecovered) return;
    this.#lastDoneUs = 0;
    for (const pending of this.#pending) {
      this.#scheduler.cancel(pending.event);
      pending.event = this.#schedule(pending);
    }
  }

  /** Begins to write one record. */
  write(write: Write, listener: DiskListener): void {
    const begun: Begun = { write, listener };
    this.#pending.push({ ...begun, event: this.#schedule(begun) });
  }

  /**
   * The server is gone. What was on its way is there or not, but never the later without the earlier. Returns
   * how many were lost.
   */
  crash(): number {
    const survivors = this.#random.nextBetween(0, this.#pending.length);
    for (const [place, { write, event }] of this.#pending.entries()) {
      this.#scheduler.cancel(event);
      if (place < survivors) this.#apply(write);
    }
    const lost = this.#pending.length - survivors;
    this.#pending = [];
    this.#lastDoneUs = 0;
    return lost;
  }

  #schedule({ write, listener }: Begun): ScheduledEvent {
    const delayUs = Math.round(drawLatencyMs(this.#latency, this.#random) * usPerMs * this.#slowness);
    this.#lastDoneUs = Math.max(this.#lastDoneUs + 1, this.#scheduler.nowUs + delayUs);
    return this.#scheduler.at(this.#lastDoneUs, () => {
      assert(this.#pending[0]?.write === write, "records become durable in the order of writing");
      if (this.isFailing) return this.#fail(listener);
      this.#pending.shift();
      this.#apply(write);
      listener.onDurable(write.number);
    });
  }

  /** The write is lost, and all behind it. */
  #fail(listener: DiskListener): void {
    this.isFailing = false;
    for (const { event } of this.#pending) this.#scheduler.cancel(event);
    this.#pending = [];
    listener.onError();
  }

  /** As `applyWrite` in reference/raft/persistence.ts, in place. */
  #apply(write: Write): void {
    this.writeCount++;
    this.term = write.term;
    this.votedFor = write.votedFor;
    const { snapshot, replaceFrom } = write;
    if (snapshot !== undefined) {
      this.#entries.splice(0, snapshot.index - this.snapshotIndex);
      this.#snapshot = snapshot;
    }
    if (replaceFrom === undefined) return;
    const place = replaceFrom - this.snapshotIndex - 1;
    assert(place >= 0 && place <= this.#entries.length, () => `a record from ${replaceFrom} leaves a hole`);
    this.#entries.length = place;
    for (const entry of write.entries) this.#entries.push(entry);
  }
}
