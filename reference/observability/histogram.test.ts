import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../testing/clock.ts";
import { formatNumber, Histogram, HistogramSet, measure, mergeHistograms, quantile } from "./histogram.ts";
import { Gauge } from "./metrics.ts";

function histogramOf(values: readonly number[], bounds: readonly number[] = [1, 2, 5]): Histogram {
  const histogram = new Histogram(bounds);
  for (const value of values) histogram.observe(value);
  return histogram;
}

describe("buckets", () => {
  test("are cumulative, and the last one is the count", () => {
    expect(histogramOf([0.5, 1.5, 9]).snapshot()).toEqual({
      bounds: [1, 2, 5],
      cumulativeCounts: [1, 2, 2, 3],
      count: 3,
      sum: 11,
    });
  });

  test("a value equal to a bound belongs to it", () => {
    expect(histogramOf([1, 2, 5]).snapshot().cumulativeCounts).toEqual([1, 2, 3, 3]);
  });

  test("the sum keeps fractions", () => {
    expect(histogramOf([0.0005, 0.0005]).snapshot().sum).toBeCloseTo(0.001, 12);
  });

  test("NaN is a bug of the caller", () => {
    expect(() => histogramOf([Number.NaN])).toThrow(/NaN/);
  });

  test("laws: non-decreasing, +Inf is the count, each bucket counts what is at most its bound", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 15 })), (values) => {
        const { bounds, cumulativeCounts, count, sum } = histogramOf(values, [0, 1, 2, 5, 10]).snapshot();
        expect([...bounds, Infinity].map((le) => values.filter((value) => value <= le).length)).toEqual(
          cumulativeCounts,
        );
        expect([count, sum]).toEqual([values.length, values.reduce((total, value) => total + value, 0)]);
      }),
    );
  });
});

describe("merge and quantile", () => {
  test("merging is counting everything in one", () => {
    const [left, right] = [
      [1, 2, 3],
      [0.5, 7],
    ] as const;
    expect(mergeHistograms([histogramOf(left).snapshot(), histogramOf(right).snapshot()])).toEqual(
      histogramOf([...left, ...right]).snapshot(),
    );
    expect(() => mergeHistograms([new Histogram([1]).snapshot(), new Histogram([2]).snapshot()])).toThrow(
      /bounds/,
    );
  });

  test("the p99 of two nodes is that of their sum, not the average of their p99s", () => {
    const busy = histogramOf(Array.from({ length: 999 }, () => 0.5)).snapshot();
    const quiet = histogramOf([4]).snapshot();
    expect(quantile([busy, quiet], 0.99)).toBeLessThanOrEqual(1);
  });

  test("is right within the width of the bucket that it falls into", () => {
    const bounds = [1, 2, 5, 10, 20, 50, 100];
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, q) => {
          const exact = values.toSorted((left, right) => left - right)[Math.ceil(q * values.length) - 1]!;
          const found = quantile([histogramOf(values, bounds).snapshot()], q);
          const index = bounds.findIndex((bound) => exact <= bound);
          expect(found).toBeGreaterThanOrEqual(bounds[index - 1] ?? 0);
          expect(found).toBeLessThanOrEqual(bounds[index]!);
        },
      ),
    );
  });

  test("nothing counted: NaN; beyond the last bound: that bound", () => {
    expect(quantile([new Histogram([1]).snapshot()], 0.5)).toBeNaN();
    expect(quantile([histogramOf([99]).snapshot()], 0.5)).toBe(5);
  });
});

test("numbers have one form, without exponent", () => {
  const cases: [number, string][] = [
    [0.001, "0.001"],
    [1e-7, "0.0000001"],
    [1.25e-9, "0.00000000125"],
    [-2.5e-8, "-0.000000025"],
    [1e21, "1000000000000000000000"],
    [1.5e22, "15000000000000000000000"],
    [2, "2"],
    [Number.NaN, "NaN"],
    [Infinity, "+Inf"],
    [-Infinity, "-Inf"],
  ];
  for (const [value, text] of cases) expect(formatNumber(value)).toBe(text);
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(formatNumber(value)).toMatch(/^-?\d+(\.\d+)?$/);
      expect(Number(formatNumber(value)) + 0).toBe(value + 0);
    }),
  );
});

describe("measure", () => {
  function instruments() {
    const clock = new VirtualClock();
    return { clock, duration: new Histogram([0.5, 1, 2]), inFlight: new Gauge() };
  }

  test("times from the arrival, so that the wait in the queue counts", async () => {
    const on = instruments();
    const arrivedAtMs = on.clock.monotonicTimeMs();
    on.clock.advance(1000);
    await measure(on, arrivedAtMs, async () => on.clock.advance(500));
    expect(on.duration.snapshot()).toMatchObject({ sum: 1.5, cumulativeCounts: [0, 0, 1, 1] });
  });

  test("failures are timed, and in flight goes back", async () => {
    const on = instruments();
    const failing = measure(on, 0, async () => {
      expect(on.inFlight.value).toBe(1);
      on.clock.advance(700);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect([on.duration.snapshot().count, on.inFlight.value]).toEqual([1, 0]);
  });

  test("a wall clock that steps back does not make time negative", async () => {
    const on = instruments();
    await measure(on, on.clock.monotonicTimeMs(), async () => on.clock.stepWallTime(-60_000));
    expect(on.duration.snapshot().sum).toBe(0);
  });
});

test("a set of histograms does not grow with the names that clients make up", () => {
  const set = new HistogramSet([1], ["Produce", "Fetch"]);
  for (let count = 0; count < 1000; count++) set.of(`message-${count}`).observe(1);
  set.of("Produce").observe(1);
  expect([...set.entries()].map(([name, each]) => [name, each.snapshot().count])).toEqual([
    ["Produce", 1],
    ["Fetch", 0],
    ["other", 1000],
  ]);
});
