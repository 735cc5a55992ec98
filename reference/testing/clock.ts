/**
 * Virtual time: a clock that stands still until a test moves it.
 *
 * A test that waits for real time is slow and fails on a busy machine. Here a minute passes at once, timers fire in the
 * order of their times, and a test can ask how many timers are still running, which is how leaks of timers are found.
 */
import type { Clock } from "../ports.ts";

interface Timer {
  readonly id: number;
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock under a test's control. */
export class VirtualClock implements Clock {
  #monotonicMs = 0;
  #wallOffsetMs: number;
  #timers: Timer[] = [];
  #nextId = 1;

  /** `wallTimeMs` is what the wall clock shows at the start. */
  constructor(wallTimeMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallTimeMs;
  }

  /** Timers that were started and have neither fired nor been cancelled. */
  get activeTimers(): number {
    return this.#timers.length;
  }

  /** When the next timer fires, on the monotonic clock; undefined when none runs. */
  get nextTimerAtMs(): number | undefined {
    return this.#next()?.atMs;
  }

  wallTimeMs(): number {
    return this.#monotonicMs + this.#wallOffsetMs;
  }

  monotonicTimeMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { id: this.#nextId++, atMs: this.#monotonicMs + Math.max(0, delayMs), callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Steps the wall clock, as an administrator or a time server would; durations do not notice. */
  stepWallTime(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Lets `durationMs` pass: fires what is due, in order, including timers that those start on the way. */
  advance(durationMs: number): void {
    const untilMs = this.#monotonicMs + durationMs;
    for (let timer = this.#next(); timer !== undefined && timer.atMs <= untilMs; timer = this.#next()) {
      this.#fire(timer);
    }
    this.#monotonicMs = untilMs;
  }

  /** As `advance`, and lets promises settle after each timer: for code that awaits between timers. */
  async advanceAsync(durationMs: number): Promise<void> {
    const untilMs = this.#monotonicMs + durationMs;
    await settled();
    for (let timer = this.#next(); timer !== undefined && timer.atMs <= untilMs; timer = this.#next()) {
      this.#fire(timer);
      await settled();
    }
    this.#monotonicMs = untilMs;
    await settled();
  }

  #next(): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (earliest === undefined || timer.atMs < earliest.atMs) earliest = timer;
    }
    return earliest;
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
    this.#monotonicMs = timer.atMs;
    timer.callback();
  }
}

/** Lets time pass in small steps until the promise settles, for a minute at most. */
export async function passUntil<Value>(clock: VirtualClock, promise: Promise<Value>): Promise<Value> {
  const state = { isSettled: false };
  const settle = (): void => void (state.isSettled = true);
  promise.then(settle, settle);
  for (let step = 0; step < passStepsMax && !state.isSettled; step++) await clock.advanceAsync(passStepMs);
  if (!state.isSettled) throw new Error("a minute has passed, and the promise is still open");
  return promise;
}

const passStepMs = 20;
const passStepsMax = 3000;

/** How many turns of the microtask queue count as quiet: longer than any chain of awaits under test. */
const quietTurns = 50;

/** Resolves when promises that were ready to settle have settled, without a timer or any other help from outside. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < quietTurns; turn++) await Promise.resolve();
}
