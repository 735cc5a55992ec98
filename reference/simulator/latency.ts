/**
 * How long a message takes: a distribution, and a draw from it that is the same on every platform.
 *
 * Logarithms may differ in their last bit from one JavaScript engine to the next, and one bit is another
 * history. So nothing here calls `Math.log`: the exponential distribution is drawn by comparing uniform
 * numbers, the method of von Neumann (1951), and the heavy tail needs only a square root, which IEEE 754
 * defines to the last bit.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { unreachable } from "#reference/base/assert.ts";

/** How long messages take on a link, in milliseconds. */
export type Latency =
  | { readonly kind: "constant"; readonly ms: number }
  /** Every value between the two is equally likely. */
  | { readonly kind: "uniform"; readonly minMs: number; readonly maxMs: number }
  /** Many short ones, few long ones: what queues produce. */
  | { readonly kind: "exponential"; readonly meanMs: number; readonly minMs?: number }
  /**
   * Most are near `minMs`, one in ten thousand takes a hundred times as long: what real networks do on bad
   * days.
   */
  | { readonly kind: "long-tail"; readonly minMs: number; readonly maxMs: number };

/** One latency, in milliseconds. */
export function drawLatencyMs(latency: Latency, random: SeededRandom): number {
  switch (latency.kind) {
    case "constant":
      return latency.ms;
    case "uniform":
      return latency.minMs + (latency.maxMs - latency.minMs) * random.nextFloat();
    case "exponential":
      return (latency.minMs ?? 0) + (latency.meanMs - (latency.minMs ?? 0)) * drawExponential(random);
    case "long-tail":
      return Math.min(latency.maxMs, latency.minMs / Math.sqrt(1 - random.nextFloat()));
    default:
      return unreachable(latency, "latency");
  }
}

/** The mean of a distribution, for the texts of a report. */
export function meanLatencyMs(latency: Latency): number {
  switch (latency.kind) {
    case "constant":
      return latency.ms;
    case "uniform":
      return (latency.minMs + latency.maxMs) / 2;
    case "exponential":
      return latency.meanMs;
    case "long-tail":
      return 2 * latency.minMs - (latency.minMs * latency.minMs) / latency.maxMs;
    default:
      return unreachable(latency, "latency");
  }
}

/**
 * An exponential variate of mean 1. A run of uniform numbers that keeps falling has an odd length with
 * probability `exp(-first)`: then the first is the fraction. Otherwise the whole part grows by one and a new
 * run begins.
 */
export function drawExponential(random: SeededRandom): number {
  for (let whole = 0; ; whole++) {
    const first = random.nextFloat();
    let last = first;
    let length = 1;
    for (let next = random.nextFloat(); next < last; next = random.nextFloat()) {
      last = next;
      length++;
    }
    if (length % 2 === 1) return whole + first;
  }
}
