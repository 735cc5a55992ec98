/**
 * A node's journal in virtual time: a record is durable a moment after it was handed over, and what is not yet
 * durable when the node is killed is lost, or not, as chance has it. A real disk gives no better promise.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { Journal } from "#reference/maelstrom/node.ts";
import { usPerMs, type ScheduledEvent, type Scheduler } from "../scheduler.ts";
import type { SimulatedProcess } from "../process.ts";

/** How long a write takes: what a sync of a good disk takes. */
export const journalWriteMs = 1;

interface PendingRecord {
  readonly record: Json;
  readonly replaceAll: boolean;
  readonly event: ScheduledEvent;
}

/** The journal of one node. It outlives the node's processes. */
export class SimulatedJournal implements Journal {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  #process: SimulatedProcess | undefined;
  #records: Json[] = [];
  #pending: PendingRecord[] = [];
  #lastDoneUs = 0;

  constructor(scheduler: Scheduler, random: SeededRandom) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** A process of the node begins to use it. */
  open(process: SimulatedProcess): void {
    this.#process = process;
  }

  load(): readonly Json[] {
    return [...this.#records];
  }

  append(record: Json, onDurable: () => void, replaceAll = false): void {
    const process = this.#process!;
    const { incarnation } = process;
    this.#lastDoneUs = Math.max(this.#lastDoneUs, this.#scheduler.nowUs) + journalWriteMs * usPerMs;
    const event = this.#scheduler.at(this.#lastDoneUs, () => {
      const done = this.#pending.shift()!;
      this.#store(done);
      // A process that stands still hears of it later; one that is gone, never.
      process.receive(() => {
        if (process.incarnation === incarnation) onDurable();
      });
    });
    this.#pending.push({ record, replaceAll, event });
  }

  /** The node was killed: of what was on its way, the first part may have reached the disk. */
  crash(): void {
    const kept = this.#pending.length === 0 ? 0 : this.#random.nextBetween(0, this.#pending.length);
    for (const [index, pending] of this.#pending.entries()) {
      this.#scheduler.cancel(pending.event);
      if (index < kept) this.#store(pending);
    }
    this.#pending = [];
    this.#lastDoneUs = 0;
  }

  #store({ record, replaceAll }: PendingRecord): void {
    if (replaceAll) this.#records = [record];
    else this.#records.push(record);
  }
}
