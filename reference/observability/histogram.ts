/**
 * Histograms: how long requests took, in a form that can be added up.
 *
 * An average hides the slow requests, and a list of all durations has no bound. A histogram counts how many values fell
 * into each of a few fixed buckets. Its counts are *cumulative*, as Prometheus wants them: each bucket holds everything
 * up to its bound, `le`, less or equal, and the last one, +Inf, holds everything.
 *
 *     le      0.001   0.01   0.1   +Inf
 *     count      70     95    99    100      so 95 % took at most 10 ms, and one took longer than 100 ms
 *
 * Counts of two nodes can be added; quantiles cannot. The average of two p99s is the p99 of nothing: the node with one
 * request would weigh as much as the node with a million. So merge first, and take the quantile of the sum.
 *
 * The other trap is *what* is timed. A duration that starts when the handler starts leaves out the wait in the queue,
 * exactly when there is one ("coordinated omission"). So the time runs from arrival, failures count like successes, and
 * it is the monotonic clock that measures: the wall clock may step back and give a negative duration.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../ports.ts";

/** Bounds for request durations in seconds, from 100 µs to 10 s, each about 2.5 times the one before. */
export const durationBounds: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** The state of a histogram at one moment. */
export interface HistogramSnapshot {
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: readonly number[];
  /** For each bound, and at last for +Inf, how many values were less or equal. */
  readonly cumulativeCounts: readonly number[];
  readonly count: number;
  /** Σ of all values, in the unit of the values. */
  readonly sum: number;
}

/** Counts values in fixed buckets. Observing allocates nothing. */
export class Histogram {
  readonly bounds: readonly number[];
  /** For each bucket, and at last for +Inf, the values that fell between the bound below and its own. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    const isAscending = bounds.every((bound, index) => index === 0 || bound > bounds[index - 1]!);
    assert(
      isAscending && bounds.every(Number.isFinite),
      `bounds must ascend and be finite: ${bounds.join(", ")}`,
    );
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  // #region observe
  /** Counts one value: seconds for durations, bytes for sizes. */
  observe(value: number): void {
    assert(!Number.isNaN(value), "a histogram cannot count NaN");
    // 1. Find the first bound that the value does not exceed: a value equal to a bound belongs to it.
    let low = 0;
    let high = this.bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= this.bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    // 2. Count it once here; adding up is for the snapshot, which is rare. Keep fractions in the sum.
    this.#counts[low]!++;
    this.#sum += value;
  }

  /** The state now, as cumulative counts. */
  snapshot(): HistogramSnapshot {
    // 1. Each bucket holds everything below its bound, so the last one, +Inf, is the count.
    const cumulativeCounts: number[] = [];
    let count = 0;
    for (const inBucket of this.#counts) {
      count += inBucket;
      cumulativeCounts.push(count);
    }
    return { bounds: this.bounds, cumulativeCounts, count, sum: this.#sum };
  }
  // #endregion observe
}

// #region merge
/** One histogram out of those of several nodes or labels. They must have the same bounds. */
export function mergeHistograms(snapshots: readonly HistogramSnapshot[]): HistogramSnapshot {
  const first = snapshots[0];
  assert(first !== undefined, "nothing to merge");
  // 1. Counts of different buckets do not add up: refuse other bounds.
  for (const { bounds } of snapshots) {
    assert(bounds.join() === first.bounds.join(), `bounds ${bounds.join()} are not ${first.bounds.join()}`);
  }
  // 2. Add bucket by bucket. Cumulative counts add up to cumulative counts.
  const total = (of: (snapshot: HistogramSnapshot) => number): number =>
    snapshots.reduce((sum, snapshot) => sum + of(snapshot), 0);
  return {
    bounds: first.bounds,
    cumulativeCounts: first.cumulativeCounts.map((_, index) =>
      total((each) => each.cumulativeCounts[index]!),
    ),
    count: total(({ count }) => count),
    sum: total(({ sum }) => sum),
  };
}

/**
 * The value that a share `q` of all values does not exceed, as well as the buckets can tell: off by at most the
 * width of the bucket that it falls into. NaN when there are no values; the last bound when it lies beyond it.
 */
export function quantile(snapshots: readonly HistogramSnapshot[], q: number): number {
  assert(q >= 0 && q <= 1, `quantile ${q} is not between 0 and 1`);
  // 1. Merge first. Quantiles of parts cannot be put together to that of the whole.
  const { bounds, cumulativeCounts, count } = mergeHistograms(snapshots);
  if (count === 0) return Number.NaN;
  // 2. The bucket is the first whose cumulative count reaches the rank.
  const rank = q * count;
  const index = cumulativeCounts.findIndex((cumulative) => cumulative >= rank && cumulative > 0);
  if (index >= bounds.length) return bounds.at(-1) ?? Number.NaN;
  // 3. Within the bucket assume that values lie evenly; the first bucket begins at 0, if it has positive values.
  const upper = bounds[index]!;
  const lower = index === 0 ? Math.min(0, upper) : bounds[index - 1]!;
  const below = index === 0 ? 0 : cumulativeCounts[index - 1]!;
  return lower + (upper - lower) * ((rank - below) / (cumulativeCounts[index]! - below));
}
// #endregion merge

// #region format
/** A number as the exposition format wants it: plain decimals, and its own words for what is no finite number. */
export function formatNumber(value: number): string {
  // 1. The format has its own spelling, which is not JavaScript's.
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  // 2. One form for each number, without exponent: a bound is a label, and two spellings would be two series.
  const [digits, exponent] = String(value).split("e") as [string, string?];
  if (exponent === undefined) return digits;
  const [whole, fraction = ""] = digits.replace("-", "").split(".") as [string, string?];
  const point = whole.length + Number(exponent);
  const all = whole + fraction;
  const sign = value < 0 ? "-" : "";
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${all}`;
  return sign + all.padEnd(point, "0");
}
// #endregion format

/** What `measure` writes to. A `Gauge` and a `Histogram` of the registry fit. */
export interface Instruments {
  readonly clock: Clock;
  readonly duration: { observe(seconds: number): void };
  readonly inFlight: { add(amount: number): void };
}

// #region measure
/**
 * Runs one request and measures it: from `arrivedAtMs` on the monotonic clock, when its last byte came in, until it is
 * answered or has failed.
 */
export async function measure<Value>(
  instruments: Instruments,
  arrivedAtMs: number,
  body: () => Promise<Value>,
): Promise<Value> {
  // 1. It is in flight from now until it ends in whatever way.
  instruments.inFlight.add(1);
  try {
    return await body();
  } finally {
    // 2. `finally`: errors, time-outs and aborts are requests too, and often the slow ones.
    instruments.inFlight.add(-1);
    // 3. Seconds since the arrival, so that the wait in the queue is part of it.
    instruments.duration.observe((instruments.clock.monotonicTimeMs() - arrivedAtMs) / 1000);
  }
}
// #endregion measure

/** Histograms for a closed set of names: what a client makes up does not make a new series. */
export class HistogramSet {
  readonly #histograms = new Map<string, Histogram>();
  readonly #other: Histogram;

  constructor(bounds: readonly number[], names: readonly string[]) {
    for (const name of [...names, "other"]) this.#histograms.set(name, new Histogram(bounds));
    this.#other = this.#histograms.get("other")!;
  }

  // #region histogram-of
  /** The histogram for a name of the set; all other names share one. */
  of(name: string): Histogram {
    // 1. Look up, never make: a name from the wire is not a reason to grow.
    return this.#histograms.get(name) ?? this.#other;
  }
  // #endregion histogram-of

  /** Name and histogram of each, always the same ones. */
  entries(): Iterable<[string, Histogram]> {
    return this.#histograms.entries();
  }
}
