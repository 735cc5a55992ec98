/**
 * Virtual time: a queue of events, and a clock that jumps from one to the next.
 *
 * Nothing in a simulation waits. A minute of a quiet cluster costs a few thousand function calls, so a night
 * of simulation sees more crashes than a data centre in a century. And because this queue alone decides what
 * happens next, the same events are scheduled in the same order each time: one seed, one history.
 *
 * Time is a whole number of microseconds. Whole numbers add up the same way everywhere; fractions of
 * milliseconds do not, and one rounding error would be another history.
 */
import { assert } from "#reference/base/assert.ts";

/** Microseconds in one millisecond, the unit of everything outside the simulator. */
export const usPerMs = 1000;

/** An event that waits for its time. Hold on to it only to cancel it. */
export interface ScheduledEvent {
  readonly atUs: number;
  /** Breaks ties: what was scheduled first happens first. */
  readonly order: number;
  /** Undefined once it has run or was cancelled. */
  run: (() => void) | undefined;
}

/** How many turns of the microtask queue each event gets in `runUntilAsync`, unless told otherwise. */
export const turnsPerEventDefault = 40;

/** The event queue and the clock of one simulation. */
export class Scheduler {
  /** The time, from 0. */
  nowUs = 0;
  /** Events that have run. */
  eventCount = 0;
  /** Called after every event, with time still standing: where invariants are checked. */
  afterEvent: (() => void) | undefined;

  readonly #heap: ScheduledEvent[] = [];
  #nextOrder = 0;
  #isStopped = false;

  /** Milliseconds, for people. */
  get nowMs(): number {
    return this.nowUs / usPerMs;
  }

  /** Whether `stop` was called. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Runs `run` at a time that has not passed. */
  at(atUs: number, run: () => void): ScheduledEvent {
    assert(
      Number.isSafeInteger(atUs) && atUs >= this.nowUs,
      () => `an event at ${atUs} µs, and it is ${this.nowUs}`,
    );
    const event: ScheduledEvent = { atUs, order: this.#nextOrder++, run };
    this.#push(event);
    return event;
  }

  /** Runs `run` after a while, which is rounded to whole microseconds. */
  after(delayUs: number, run: () => void): ScheduledEvent {
    return this.at(this.nowUs + Math.max(0, Math.round(delayUs)), run);
  }

  /** Takes an event back. It may have run already: then nothing happens. */
  cancel(event: ScheduledEvent): void {
    // It stays in the queue, empty, until its time comes: taking it out would cost more.
    event.run = undefined;
  }

  /** When the next event happens; undefined when none is left. */
  get nextAtUs(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.#pop();
    return this.#heap[0]?.atUs;
  }

  /** Lets one event happen. False when none is left, or the simulation was stopped. */
  step(): boolean {
    while (!this.#isStopped && this.#heap.length > 0) {
      const event = this.#pop();
      const { run } = event;
      if (run === undefined) continue;
      this.nowUs = event.atUs;
      event.run = undefined;
      this.eventCount++;
      run();
      this.afterEvent?.();
      return true;
    }
    return false;
  }

  /**
   * Lets everything happen up to and at a time, and moves the clock there unless the simulation was stopped.
   */
  runUntil(untilUs: number): void {
    for (let at = this.nextAtUs; at !== undefined && at <= untilUs; at = this.nextAtUs) {
      if (!this.step()) return;
    }
    if (!this.#isStopped) this.nowUs = Math.max(this.nowUs, untilUs);
  }

  /**
   * As `runUntil`, for code that awaits: after each event, promises get a fixed number of turns before time
   * moves on. A longer chain of awaits goes on during later events; the order of promises is fixed, so that
   * is reproducible too.
   */
  async runUntilAsync(untilUs: number, turnsPerEvent = turnsPerEventDefault): Promise<void> {
    await turns(turnsPerEvent);
    for (let at = this.nextAtUs; at !== undefined && at <= untilUs; at = this.nextAtUs) {
      if (!this.step()) return;
      await turns(turnsPerEvent);
    }
    if (!this.#isStopped) this.nowUs = Math.max(this.nowUs, untilUs);
  }

  /** Ends the simulation after the event that is running. What is queued never happens. */
  stop(): void {
    this.#isStopped = true;
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above]!;
      if (isBefore(parent, event)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  #pop(): ScheduledEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const count = heap.length;
    if (count === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= count) break;
      if (below + 1 < count && isBefore(heap[below + 1]!, heap[below]!)) below++;
      const child = heap[below]!;
      if (isBefore(last, child)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.atUs < other.atUs || (one.atUs === other.atUs && one.order < other.order);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}
