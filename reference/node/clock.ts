/** The Clock and Random ports of a real machine. */
import { webcrypto } from "node:crypto";
import type { Clock, Random } from "../ports.ts";

export const nodeClock: Clock = {
  wallTimeMs: () => Date.now(),
  monotonicTimeMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
};

/**
 * The same, but asks the system for the wall time once in a turn of the event loop. For the log, which wants the time
 * for each of a thousand batches that came in one turn, and needs no more than a millisecond of it.
 */
export const turnClock: Clock = {
  ...nodeClock,
  wallTimeMs() {
    if (turnTimeMs === 0) {
      turnTimeMs = Date.now();
      setImmediate(forgetTurnTime);
    }
    return turnTimeMs;
  },
};
let turnTimeMs = 0;
const forgetTurnTime = (): void => void (turnTimeMs = 0);

/** Drawn a kilobyte at a time: a call into the system for each number would cost a hundred times more. */
export const nodeRandom: Random = {
  nextUint32() {
    if (poolAt === pool.length) {
      webcrypto.getRandomValues(pool);
      poolAt = 0;
    }
    return pool[poolAt++] ?? 0;
  },
};
const pool = new Uint32Array(256);
let poolAt = pool.length;
