/**
 * A histogram with a stated relative error, for benchmarks: percentiles from nanoseconds to hours in a few kilobytes.
 *
 * Fixed buckets answer only questions that somebody had in mind when choosing them. Here the buckets are as narrow as
 * the value is small, the idea of HdrHistogram (Gil Tene): values below 2^precisionBits have a bucket each, and above,
 * each power of two is divided into as many equal buckets. So a reported value is too high by at most one part in
 * 2^precisionBits (0.8 % for 7 bits), whatever its size.
 *
 *     value (precisionBits = 3)    0 1 2 3 4 5 6 7   8 9 … 15    16 18 20 … 30    32 36 40 … 60    64 …
 *     width of a bucket                   1               1             2               4            8
 */
import { assert } from "../base/assert.ts";

/** Options; all values are whole numbers of one unit, such as nanoseconds. */
export interface LogHistogramOptions {
  /** Relative error at most 1 / 2^precisionBits. Default 7. */
  readonly precisionBits?: number;
  /** Larger values count as this one. Default 2^42, more than an hour of nanoseconds. */
  readonly valueMax?: number;
}

/** The state as plain data, for a file or another process: counts by bucket, without the empty ones. */
export interface LogHistogramData {
  readonly precisionBits: number;
  readonly valueMax: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly counts: readonly (readonly [bucket: number, count: number])[];
}

/** Counts values with a relative error; recording allocates nothing. */
export class LogHistogram {
  readonly precisionBits: number;
  readonly valueMax: number;
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor({ precisionBits = 7, valueMax = 2 ** 42 }: LogHistogramOptions = {}) {
    assert(precisionBits >= 1 && precisionBits <= 14, `precision of ${precisionBits} bits`);
    assert(Number.isSafeInteger(valueMax) && valueMax > 0, `largest value ${valueMax}`);
    this.precisionBits = precisionBits;
    this.valueMax = valueMax;
    this.#counts = new Float64Array(this.#bucketOf(valueMax) + 1);
  }

  get count(): number {
    return this.#count;
  }

  /** The largest value, exactly; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  /** The smallest value, exactly; 0 when there is none. */
  get min(): number {
    return this.#count === 0 ? 0 : this.#min;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** Counts one value, or `count` equal ones. Fractions are cut off. */
  record(value: number, count = 1): void {
    assert(value >= 0, () => `negative value ${value}`);
    const whole = Math.min(Math.floor(value), this.valueMax);
    this.#counts[this.#bucketOf(whole)]! += count;
    this.#count += count;
    this.#sum += whole * count;
    if (whole < this.#min) this.#min = whole;
    if (whole > this.#max) this.#max = whole;
  }

  /**
   * Counts a value measured by a load generator that waits for each answer before it asks again. While it waited, it
   * would have sent a request every `intervalExpected`; those never measured ones count too, each a bit shorter.
   */
  recordCorrected(value: number, intervalExpected: number): void {
    this.record(value);
    if (intervalExpected <= 0) return;
    for (let missed = value - intervalExpected; missed >= intervalExpected; missed -= intervalExpected) {
      this.record(missed);
    }
  }

  /** The value that a share `q` of all values does not exceed; at most 1 / 2^precisionBits too high, never too low. */
  quantile(q: number): number {
    assert(q >= 0 && q <= 1, `quantile ${q} is not between 0 and 1`);
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(this.#upperOf(bucket), this.#max);
    }
    return 0;
  }

  /** Adds what another one has counted; both must have the same shape. */
  merge(other: LogHistogram): void {
    assert(other.precisionBits === this.precisionBits && other.valueMax === this.valueMax, "shapes differ");
    for (let bucket = 0; bucket < this.#counts.length; bucket++)
      this.#counts[bucket]! += other.#counts[bucket]!;
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The values by bucket, ascending: for drawing. */
  *buckets(): Generator<{ readonly upper: number; readonly count: number }> {
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      const count = this.#counts[bucket]!;
      if (count > 0) yield { upper: this.#upperOf(bucket), count };
    }
  }

  toJSON(): LogHistogramData {
    const counts: [number, number][] = [];
    this.#counts.forEach((count, bucket) => {
      if (count > 0) counts.push([bucket, count]);
    });
    const { precisionBits, valueMax, min, max } = this;
    return { precisionBits, valueMax, min, max, sum: this.#sum, counts };
  }

  static fromJSON(data: LogHistogramData): LogHistogram {
    const histogram = new LogHistogram(data);
    for (const [bucket, count] of data.counts) {
      assert(bucket < histogram.#counts.length, `bucket ${bucket} is beyond ${histogram.#counts.length}`);
      histogram.#counts[bucket] = count;
      histogram.#count += count;
    }
    histogram.#sum = data.sum;
    histogram.#max = data.max;
    if (histogram.#count > 0) histogram.#min = data.min;
    return histogram;
  }

  /** Doublings beyond the exact range, then the position within that power of two. */
  #bucketOf(value: number): number {
    const perPower = 1 << this.precisionBits;
    if (value < perPower) return value;
    const doublings = bitLength(value) - 1 - this.precisionBits;
    // A power of two as a number is a call; nearly all values can be shifted instead.
    const position = value < 2 ** 32 ? value >>> doublings : Math.floor(value / 2 ** doublings);
    return doublings * perPower + position;
  }

  /** The largest value of a bucket. */
  #upperOf(bucket: number): number {
    const perPower = 2 ** this.precisionBits;
    const doublings = Math.max(0, Math.floor(bucket / perPower) - 1);
    const position = bucket - doublings * perPower;
    return (position + 1) * 2 ** doublings - 1;
  }
}

/** How many binary digits a whole number has; exact up to 2^53, which a logarithm is not. */
function bitLength(value: number): number {
  return value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / 2 ** 32));
}
