/**
 * Shrinking: from a night of bad weather to the two faults that matter.
 *
 * A failing seed comes with dozens of faults, most of them innocent. fast-check walks through smaller
 * schedules, always going on from one that still fails, until none of the next smaller ones does. What is
 * left is a *cut*: which faults of the seed's schedule to keep, and which features to switch off. A cut is short enough to stand in one command, and together with the seed it says
 * everything.
 */
import { Arbitrary, asyncProperty, check, Stream, Value } from "fast-check";
import type { Cut } from "./cut.ts";

/** What shrinking found. */
export interface Shrunk {
  readonly cut: Cut;
  /** How many scenarios were run. */
  readonly runs: number;
}

/** What is to be shrunk. */
export interface ShrinkTask {
  /** How many faults the failing schedule has. */
  readonly faultCount: number;
  /** Features that can be switched off one by one. */
  readonly features: readonly string[];
  /** Runs the scenario under a cut; true when it still breaks the same rule. */
  readonly fails: (cut: Cut) => boolean | Promise<boolean>;
  /** Ends the search after so many runs, with the smallest so far. */
  readonly runsMax?: number;
}

/** Finds a cut that fails and of which no smaller one tried does. */
export async function shrink({ faultCount, features, fails, runsMax = 400 }: ShrinkTask): Promise<Shrunk> {
  const whole: Cut = { keep: Array.from({ length: faultCount }, (_, index) => index), without: [] };
  let runs = 0;
  let smallest = whole;
  const property = asyncProperty(new CutArbitrary(whole, features), async (cut) => {
    // After the limit everything passes, which ends the search.
    if (runs++ >= runsMax) return true;
    if (!(await fails(cut))) return true;
    smallest = cut;
    return false;
  });
  await check(property, { examples: [[whole]], numRuns: 1, seed: 0 });
  return { cut: smallest, runs };
}

/** All cuts, as far as shrinking needs to know them. */
class CutArbitrary extends Arbitrary<Cut> {
  readonly #whole: Cut;
  readonly #features: readonly string[];

  constructor(whole: Cut, features: readonly string[]) {
    super();
    this.#whole = whole;
    this.#features = features;
  }

  override generate(): Value<Cut> {
    return new Value(this.#whole, undefined);
  }

  override canShrinkWithoutContext(value: unknown): value is Cut {
    return typeof value === "object" && value !== null && "keep" in value;
  }

  /** First large pieces away, then smaller ones, then features of the network. */
  override shrink(value: Cut): Stream<Value<Cut>> {
    return new Stream(smallerCuts(value, this.#features)).map((cut) => new Value(cut, undefined));
  }
}

function* smallerCuts({ keep = [], without }: Cut, features: readonly string[]): IterableIterator<Cut> {
  for (let size = keep.length; size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < keep.length; start += size) {
      yield { keep: [...keep.slice(0, start), ...keep.slice(start + size)], without };
    }
  }
  for (const feature of features) {
    if (!without.includes(feature)) yield { keep, without: [...without, feature] };
  }
}
