import { describe, expect, test } from "vitest";
import { nodeClock } from "../node/clock.ts";
import { testClock } from "./clock-conformance.ts";
import { VirtualClock } from "./clock.ts";

describe("virtual clock", () => {
  testClock(() => {
    const clock = new VirtualClock();
    return { clock, pass: (durationMs) => clock.advanceAsync(durationMs) };
  });

  test("a step of the wall clock moves no timer and no duration", () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    clock.after(10, () => fired.push(clock.monotonicTimeMs()));
    clock.stepWallTime(-10_000);
    clock.advance(9);
    expect(fired).toEqual([]);
    clock.advance(1);
    expect(fired).toEqual([10]);
    expect(clock.activeTimers).toBe(0);
  });

  test("time passes in one step, whatever the distance", () => {
    const clock = new VirtualClock();
    clock.after(1e12, () => {});
    expect(clock.nextTimerAtMs).toBe(1e12);
    clock.advance(1e12);
    expect(clock.monotonicTimeMs()).toBe(1e12);
  });
});

describe("the clock of Node", () => {
  const wait = (durationMs: number): Promise<void> =>
    new Promise((resolve) => void nodeClock.after(durationMs, resolve));
  testClock(() => ({
    clock: nodeClock,
    async pass(durationMs) {
      await wait(durationMs);
      // On a busy machine all of it may pass in one turn: what a timer of that turn starts comes in the next one.
      await wait(2);
    },
  }));
});
