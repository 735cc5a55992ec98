/** The wall clock, looked at once for a few appends: at a million appends a second, each look would show. */
import type { Clock } from "../ports.ts";

/** Readings that share one look at the clock, at most. */
const readingsPerLook = 32;

/** A clock for work that comes in rounds. Its time is at most one round old, and one look in 32 readings. */
export class RoundClock {
  readonly #clock: Clock;
  #nowMs = 0;
  #readings = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes the next reading look: for whenever time may have passed. */
  beginRound(): void {
    this.#readings = 0;
  }

  wallTimeMs(): number {
    if (this.#readings++ % readingsPerLook === 0) this.#nowMs = this.#clock.wallTimeMs();
    return this.#nowMs;
  }
}
