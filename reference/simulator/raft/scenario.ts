/**
 * A scenario: everything that determines one run of a simulated Raft cluster, as plain data drawn from a
 * seed.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import type { RaftOptions } from "#reference/raft/options.ts";
import { faultKinds, type FaultKind, type ScheduledFault } from "../faults.ts";
import { wholeScenario, type Cut } from "../cut.ts";
import { SeededRandom as Random } from "#reference/base/prng.ts";
import { drawFaults, drawSwarm, type Swarm } from "../swarm.ts";
import type { RaftDiskOptions } from "./disk.ts";

/** What an operator does, beside the faults. */
export type Operation =
  /** Hand leadership to this server. */
  | { readonly kind: "transfer"; readonly target: NodeId }
  /** Let exactly these be the voters. */
  | { readonly kind: "change-members"; readonly voters: readonly NodeId[] };

export interface ScheduledOperation {
  readonly atMs: number;
  readonly operation: Operation;
}

/** More entries than any run has. A scenario is JSON in a trace's header, and JSON has no infinity. */
const neverCompacts = 2 ** 40;
/** A longer file than any run makes. */
const neverRewrites = 2 ** 40;

/** One run. */
export interface RaftScenario {
  readonly seed: number;
  readonly nodes: readonly NodeId[];
  /** Who is a member at the beginning. */
  readonly voters: readonly NodeId[];
  readonly swarm: Swarm;
  readonly faults: readonly ScheduledFault[];
  readonly operations: readonly ScheduledOperation[];
  readonly clients: number;
  /** A client waits up to so long between two requests. */
  readonly thinkMaxMs: number;
  readonly compactEntries: number;
  readonly options: Partial<RaftOptions>;
  /** How disks treat what was not synced, and when a journal begins anew. */
  readonly disk: Pick<RaftDiskOptions, "unsynced" | "rewriteBytesMin">;
  /** The bad weather lasts so long; then all is healed. */
  readonly durationMs: number;
}

/** What a scenario is drawn from: what stands on the command line. */
export interface ScenarioChoice {
  readonly seed: number;
  readonly nodeCount: number;
  readonly seconds: number;
  /** Kinds of faults that may happen; all when left out. */
  readonly faults?: readonly FaultKind[];
  /** Whether the operator changes members and hands leadership over; true when left out. */
  readonly hasOperator?: boolean;
  readonly cut?: Cut;
}

/** Features of a scenario that shrinking tries to do without. */
export const scenarioFeatures = [
  "loss",
  "duplication",
  "reordering",
  "operator",
  "snapshots",
  "tearing",
] as const;

/** Draws the scenario of a seed, and leaves out what the cut says. */
export function drawScenario(choice: ScenarioChoice): RaftScenario {
  const { seed, nodeCount, seconds, faults: allowed = faultKinds, cut = wholeScenario } = choice;
  const random = new Random(seed);
  const nodes = Array.from({ length: nodeCount }, (_, index) => `n${index + 1}`);
  const durationMs = seconds * 1000;
  const swarm = drawSwarm(random.fork(), allowed);
  const faults = drawFaults(random.fork(), swarm, nodes, durationMs);
  const [operations, shape] = [random.fork(), random.fork()];
  const isCalm = allowed.length === 0;
  const hasChanges = choice.hasOperator !== false && !isCalm && operations.nextChance(0.4);
  const voterCount = hasChanges ? operations.nextBetween(1, nodeCount) : nodeCount;
  const scenario: RaftScenario = {
    seed,
    nodes,
    voters: nodes.slice(0, voterCount),
    swarm,
    faults,
    operations:
      choice.hasOperator === false || isCalm ? [] : drawOperations(operations, nodes, durationMs, hasChanges),
    clients: shape.nextBetween(1, 4),
    thinkMaxMs: shape.pick([20, 100, 400]),
    compactEntries: shape.pick([neverCompacts, 5, 15, 60]),
    options: drawOptions(shape, swarm, hasChanges),
    disk: {
      unsynced: shape.pick(["kept", "lost", "torn", "mixed", "mixed", "mixed"]),
      rewriteBytesMin: shape.pick([2000, 20_000, neverRewrites]),
    },
    durationMs,
  };
  return cutScenario(scenario, cut);
}

/**
 * Timeouts fit the weather, as an operator would choose them; windows and batches are small, so that their
 * limits are met.
 */
function drawOptions(
  random: SeededRandom,
  { network, clockDriftMax }: Swarm,
  hasChanges: boolean,
): Partial<RaftOptions> {
  // As in the paper itself. Members that are removed may then disturb for ever, so not while members change.
  const isPlain = !hasChanges && random.nextChance(0.3);
  const { latency } = network;
  const isSlow = (latency.kind === "exponential" && latency.meanMs > 10) || latency.kind === "long-tail";
  return {
    ...(isSlow ? { electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600, heartbeatMs: 80 } : {}),
    hasPreVote: !isPlain || random.nextChance(0.3),
    hasCheckQuorum: !isPlain,
    hasLeaseReads: !isPlain && random.nextChance(0.4),
    // Exactly what the clocks do, or more than that: at the bound leases must still hold.
    clockDriftMax: Math.max(0.001, random.pick([1, 2.5]) * clockDriftMax),
    // One entry at a time only with a wide window: else a follower on a slow disk never catches up.
    ...random.pick([
      { batchEntriesMax: 1, inFlightMax: 16 },
      { batchEntriesMax: 4, inFlightMax: 1 },
      { batchEntriesMax: 64, inFlightMax: 2, batchBytesMax: 256 },
    ]),
    snapshotChunkBytesMax: random.pick([16, 64, 4096]),
    catchUpEntriesMax: random.pick([5, 20]),
  };
}

function drawOperations(
  random: SeededRandom,
  nodes: readonly NodeId[],
  durationMs: number,
  hasChanges: boolean,
): ScheduledOperation[] {
  const schedule: ScheduledOperation[] = [];
  const hasTransfers = random.nextChance(0.3);
  if (!hasChanges && !hasTransfers) return schedule;
  for (let atMs = random.nextBetween(300, 2000); atMs < durationMs; atMs += random.nextBetween(200, 4000)) {
    if (hasChanges && (!hasTransfers || random.nextChance(0.7))) {
      const size = random.nextBetween(1, nodes.length);
      const voters = shuffle(random, nodes).slice(0, size);
      schedule.push({ atMs, operation: { kind: "change-members", voters: voters.sort() } });
    } else {
      schedule.push({ atMs, operation: { kind: "transfer", target: random.pick(nodes) } });
    }
  }
  return schedule;
}

function shuffle<Item>(random: SeededRandom, items: readonly Item[]): Item[] {
  const shuffled = [...items];
  for (let place = shuffled.length - 1; place > 0; place--) {
    const other = random.nextBetween(0, place);
    [shuffled[place], shuffled[other]] = [shuffled[other]!, shuffled[place]!];
  }
  return shuffled;
}

function cutScenario(scenario: RaftScenario, { keep, without }: Cut): RaftScenario {
  const { swarm } = scenario;
  const network = {
    ...swarm.network,
    ...(without.includes("loss") ? { lossChance: 0 } : {}),
    ...(without.includes("duplication") ? { duplicateChance: 0 } : {}),
    ...(without.includes("reordering") ? { reorderChance: 0 } : {}),
  };
  return {
    ...scenario,
    swarm: { ...swarm, network },
    faults: keep === undefined ? scenario.faults : scenario.faults.filter((_, index) => keep.includes(index)),
    ...(without.includes("operator") ? { operations: [] } : {}),
    ...(without.includes("tearing") ? { disk: { ...scenario.disk, unsynced: "lost" } } : {}),
    ...(without.includes("snapshots") ? { compactEntries: neverCompacts } : {}),
  };
}
