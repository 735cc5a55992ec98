/**
 * Demand that starves a pool: why no policy of a buffer pool keeps a broker alive.
 *
 * A workload is a list of steps made from a seed: records of two sizes come in, and now and then the oldest is trimmed.
 * It runs against a pool of four blocks with each of the policies. The pool is alive when, in the end, every record
 * of the workload has been taken in. For some seeds, one policy is dead and another is not; the question of the
 * exercise is whether there is a seed for which none of them lives, and so whether tuning can ever be the answer.
 */
import { SeededRandom } from "../base/prng.ts";
import { BufferPool, PooledStreams, type ExhaustionPolicy } from "./buffer-pool.ts";

/** One step of a workload: a record of so many bytes comes in, or the oldest record kept may go. */
export type DemandStep = { readonly kind: "append"; readonly bytes: number } | { readonly kind: "trim" };

/** The policies of buffer-pool.ts, each with a generous limit. */
export const policies: readonly ExhaustionPolicy[] = [
  { kind: "refuse" },
  { kind: "wait", waitersMax: 1000 },
  { kind: "grow", blockCountMax: 8 },
];

/** The pool that all of them start with. */
export const starvationPool = { blockCount: 4, blockBytes: 1024, partsPerBlock: 8 };

/** The most that one stream keeps: more than the pool can hold when records are large, less when they are small. */
const recordsKeptMax = 10;

/** The workload of a seed: how many records are kept and how many of them are large both come out of it. */
export function demandOf(seed: number): DemandStep[] {
  const random = new SeededRandom(seed).fork();
  const keptMax = random.nextBetween(1, recordsKeptMax);
  const largeChance = random.nextFloat();
  const steps: DemandStep[] = [];
  for (let kept = 0; steps.length < 40;) {
    if (kept === keptMax) {
      steps.push({ kind: "trim" });
      kept--;
    } else {
      steps.push({ kind: "append", bytes: random.nextChance(largeChance) ? 1024 : 128 });
      kept++;
    }
  }
  return steps;
}

/** How many records of the workload a pool with this policy refused, or still leaves waiting at the end. */
export function starvedBy(policy: ExhaustionPolicy, steps: readonly DemandStep[]): number {
  const pool = new BufferPool({ ...starvationPool, policy });
  const streams = new PooledStreams(pool);
  let refusedCount = 0;
  for (const step of steps) {
    if (step.kind === "trim") streams.trim("records", Math.max(0, streams.records("records").length - 1));
    else if (streams.append("records", new Uint8Array(step.bytes)) === "refused") refusedCount++;
  }
  return refusedCount + pool.waitingCount;
}

// #region starving-seed
/**
 * A seed whose workload starves the pool under every policy; undefined when there is none among the first
 * `seedsMax`.
 */
export function starvingSeed(seedsMax = 1000): number | undefined {
  // 1. Try one seed after the other.
  for (let seed = 0; seed < seedsMax; seed++) {
    const steps = demandOf(seed);
    // 2. Every policy must have starved at least one record: a seed that one of them survives proves nothing.
    if (policies.every((policy) => starvedBy(policy, steps) > 0)) return seed;
  }
  return undefined;
}
// #endregion starving-seed
