import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LogHistogram } from "./log-histogram.ts";

function recorded(values: readonly number[], precisionBits = 7): LogHistogram {
  const histogram = new LogHistogram({ precisionBits });
  for (const value of values) histogram.record(value);
  return histogram;
}

test("a quantile is never too low, and too high by at most one part in 2^precisionBits", () => {
  const value = fc.oneof(
    fc.nat(300),
    fc.nat(2 ** 31 - 1),
    fc.maxSafeNat().map((large) => large % 2 ** 42),
  );
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, q) => {
        const exact = values.toSorted((left, right) => left - right)[
          Math.max(1, Math.ceil(q * values.length)) - 1
        ]!;
        for (const bits of [1, 3, 7, 10]) {
          const found = recorded(values, bits).quantile(q);
          expect(found).toBeGreaterThanOrEqual(exact);
          expect(found).toBeLessThanOrEqual(exact + exact / 2 ** bits);
        }
      },
    ),
  );
});

test("count, minimum, maximum and mean are exact", () => {
  const histogram = recorded([1000, 2000, 3_000_000]);
  expect([histogram.count, histogram.min, histogram.max, histogram.mean]).toEqual([
    3, 1000, 3_000_000, 1_001_000,
  ]);
  expect([new LogHistogram().min, new LogHistogram().max, new LogHistogram().quantile(0.5)]).toEqual([
    0, 0, 0,
  ]);
});

test("merging, and a way through JSON, are the same as recording everything in one", () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.array(fc.nat()), (left, right) => {
      const whole = recorded([...left, ...right]);
      const merged = LogHistogram.fromJSON(structuredClone(recorded(left).toJSON()));
      merged.merge(recorded(right));
      expect(merged.toJSON()).toEqual(whole.toJSON());
    }),
  );
});

test("one stall of a second, at one request every millisecond, is a thousand slow requests and not one", () => {
  const naive = new LogHistogram();
  const corrected = new LogHistogram();
  for (const value of [...Array.from({ length: 1000 }, () => 1), 1000]) {
    naive.record(value);
    corrected.recordCorrected(value, 1);
  }
  expect(naive.quantile(0.99)).toBe(1);
  expect(corrected.quantile(0.99)).toBeGreaterThan(900);
});

test("a value beyond the largest counts as that one", () => {
  const histogram = new LogHistogram({ valueMax: 1000 });
  histogram.record(5000);
  expect([histogram.max, histogram.quantile(1)]).toEqual([1000, 1000]);
});

test("buckets add up to the count", () => {
  const buckets = [...recorded([1, 1, 500, 70_000]).buckets()];
  expect(buckets.map(({ count }) => count)).toEqual([2, 1, 1]);
});
