/**
 * Swarm testing: each seed is another kind of bad weather.
 *
 * A simulation in which everything goes wrong all the time finds less than many in which a few things go
 * wrong each: under constant partitions no log grows long enough for a snapshot, and with constant crashes
 * nobody leads long enough to be deposed. So a seed first draws which features are on at all and how strong
 * they are (Groce and others, "Swarm Testing", 2012), and then a schedule of faults from those.
 */
import { unreachable } from "#reference/base/assert.ts";
import type { SeededRandom } from "#reference/base/prng.ts";
import { leaderTarget, type ClientSide, type Fault, type FaultKind, type ScheduledFault } from "./faults.ts";
import type { Latency } from "./latency.ts";
import type { NetworkOptions } from "./network.ts";

/** The weather of one seed. */
export interface Swarm {
  readonly network: NetworkOptions;
  /** Faults that may happen in this run. */
  readonly faults: readonly FaultKind[];
  /** Mean time between two faults. */
  readonly faultIntervalMs: number;
  /** How long a disk takes to make a write durable. */
  readonly diskLatency: Latency;
  /** Each node's clock rate lies within this distance of 1. */
  readonly clockDriftMax: number;
}

/** No faults at all: messages take a millisecond, disks too. */
export const calm: Swarm = {
  network: { latency: { kind: "uniform", minMs: 0.5, maxMs: 1.5 } },
  faults: [],
  faultIntervalMs: 0,
  diskLatency: { kind: "uniform", minMs: 0.2, maxMs: 1 },
  clockDriftMax: 0,
};

const latencies: readonly Latency[] = [
  { kind: "uniform", minMs: 0.5, maxMs: 2 },
  { kind: "uniform", minMs: 1, maxMs: 25 },
  { kind: "exponential", meanMs: 5, minMs: 0.5 },
  { kind: "exponential", meanMs: 25, minMs: 1 },
  { kind: "long-tail", minMs: 1, maxMs: 500 },
];

const diskLatencies: readonly Latency[] = [
  { kind: "constant", ms: 0.1 },
  { kind: "uniform", minMs: 0.1, maxMs: 4 },
  { kind: "exponential", meanMs: 8, minMs: 0.5 },
];

const clientSides: readonly ClientSide[] = ["with-right", "with-both", "with-left"];

/** Draws a weather. `allowed` are the kinds of faults that may be in it. */
export function drawSwarm(random: SeededRandom, allowed: readonly FaultKind[]): Swarm {
  if (allowed.length === 0) return calm;
  const isLossy = random.nextChance(0.5);
  const isDoubling = random.nextChance(0.3);
  const reorderChance = random.pick([0, 0, 0.1, 1]);
  const network: NetworkOptions = {
    latency: random.pick(latencies),
    lossChance: isLossy ? random.pick([0.01, 0.05, 0.2]) : 0,
    duplicateChance: isDoubling ? random.pick([0.01, 0.1]) : 0,
    reorderChance,
  };
  const share = random.pick([0.3, 0.5, 0.8]);
  const drawn = allowed.filter(() => random.nextChance(share));
  const faults = drawn.length > 0 ? drawn : [random.pick(allowed)];
  return {
    network,
    faults,
    faultIntervalMs: random.pick([150, 400, 1000, 2500]),
    diskLatency: random.pick(diskLatencies),
    clockDriftMax: faults.includes("clock-rate") ? random.pick([0.001, 0.02, 0.05]) : 0,
  };
}

/** Draws a schedule: exponential gaps would be natural, even ones shrink as well and need no logarithm. */
export function drawFaults(
  random: SeededRandom,
  swarm: Swarm,
  nodes: readonly string[],
  durationMs: number,
): ScheduledFault[] {
  const schedule: ScheduledFault[] = [];
  if (swarm.faults.length === 0) return schedule;
  for (let atMs = 0; ;) {
    atMs += random.nextBetween(1, 2 * swarm.faultIntervalMs);
    if (atMs >= durationMs) return schedule;
    schedule.push({ atMs, fault: drawFault(random, random.pick(swarm.faults), nodes, swarm) });
  }
}

function drawFault(random: SeededRandom, kind: FaultKind, nodes: readonly string[], swarm: Swarm): Fault {
  const target = random.nextChance(0.4) ? leaderTarget : random.pick(nodes);
  const forMs = random.nextChance(0.3) ? random.nextBetween(1, 100) : random.nextBetween(100, 2500);
  switch (kind) {
    case "crash":
    case "pause":
    case "disk-error":
    case "full-disk":
      return { kind, target, forMs };
    case "power-loss":
      return { kind, forMs: Math.min(forMs, 500) };
    case "partition": {
      const left = nodes.filter(() => random.nextChance(0.5));
      const way = random.nextChance(0.3) ? "one-way" : "both-ways";
      return {
        kind,
        left: left.length > 0 ? left : [random.pick(nodes)],
        way,
        clients: random.pick(clientSides),
        forMs,
      };
    }
    case "isolate":
      return {
        kind,
        target,
        way: random.pick(["in", "out", "both"] as const),
        clients: random.pick(clientSides),
        forMs,
      };
    case "slow-link": {
      const [from, to] = [random.pick(nodes), random.pick(nodes)];
      return { kind, from, to, factor: random.pick([5, 20, 100]), forMs };
    }
    case "clock-step":
      return { kind, target, byMs: random.pick([-3_600_000, -1000, 50, 1000, 3_600_000]) };
    case "clock-rate":
      return { kind, target, rate: 1 + swarm.clockDriftMax * (2 * random.nextFloat() - 1), forMs };
    case "slow-disk":
      return { kind, target, factor: random.pick([5, 50, 200]), forMs };
    default:
      return unreachable(kind, "kind of fault");
  }
}
