/** Time for pictures: it stands, or moves when it is told to. Nothing in a picture waits for a real second. */
import type { Clock } from "#reference/ports.ts";

/** A clock that always shows the same time; timers never fire. */
export const stillClock: Clock = {
  wallTimeMs: () => 0,
  monotonicTimeMs: () => 0,
  after: () => () => undefined,
};

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** Turns of the microtask queue after each event: more than any chain of awaits in the log has. */
const turnsPerEvent = 60;

/** A clock whose time jumps from timer to timer. */
export class VirtualClock implements Clock {
  nowMs = 0;
  readonly #timers = new Set<Timer>();

  wallTimeMs(): number {
    return this.nowMs;
  }

  monotonicTimeMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: Timer = { atMs: this.nowMs + delayMs, run: callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Resolves after so many virtual milliseconds. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Lets everything happen until `untilMs`; `afterEvent` is called with time standing still. */
  async run(untilMs: number, afterEvent: () => void): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < turnsPerEvent; turn++) await Promise.resolve();
      afterEvent();
      const next = [...this.#timers].toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#timers.delete(next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }
}
