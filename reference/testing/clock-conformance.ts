/**
 * What every Clock must do, as tests: call it in a `*.test.ts` with a way to make one and to let its time pass.
 */
import { expect, test } from "vitest";
import type { Clock } from "../ports.ts";

/** A clock to test. */
export interface ClockUnderTest {
  readonly clock: Clock;
  /** Lets at least this much of the clock's time pass; resolves when the timers that were due have fired. */
  readonly pass: (durationMs: number) => Promise<void>;
}

/** Registers the tests. */
export function testClock(make: () => ClockUnderTest): void {
  test("durations never run backwards and grow while time passes", async () => {
    const { clock, pass } = make();
    const before = clock.monotonicTimeMs();
    await pass(5);
    expect(clock.monotonicTimeMs()).toBeGreaterThanOrEqual(before + 4);
  });

  test("the wall clock shows milliseconds since 1970", () => {
    const { clock } = make();
    expect(clock.wallTimeMs()).toBeGreaterThan(Date.UTC(2020, 0, 1));
    expect(clock.wallTimeMs()).toBeLessThan(Date.UTC(2100, 0, 1));
  });

  test("a timer fires once, later and never during the call", async () => {
    const { clock, pass } = make();
    let fired = 0;
    clock.after(0, () => fired++);
    expect(fired).toBe(0);
    await pass(20);
    expect(fired).toBe(1);
  });

  test("timers fire in the order of their times", async () => {
    const { clock, pass } = make();
    const fired: string[] = [];
    clock.after(30, () => fired.push("late"));
    clock.after(1, () => fired.push("early"));
    await pass(60);
    expect(fired).toEqual(["early", "late"]);
  });

  test("a cancelled timer does not fire; to cancel twice, or after it fired, does nothing", async () => {
    const { clock, pass } = make();
    let fired = 0;
    const cancel = clock.after(1, () => fired++);
    cancel();
    cancel();
    const cancelLate = clock.after(1, () => fired++);
    await pass(20);
    cancelLate();
    expect(fired).toBe(1);
  });

  test("a timer may start another one", async () => {
    const { clock, pass } = make();
    let fired = 0;
    clock.after(1, () => clock.after(1, () => fired++));
    await pass(30);
    expect(fired).toBe(1);
  });
}
