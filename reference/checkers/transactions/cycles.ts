/**
 * Names the cycles in a graph of transactions: from the one that every isolation level forbids to the one that only
 * serializability does.
 */
import { examplesMax } from "../verdict.ts";
import type { CycleRule, Edge, EdgeKind, TransactionGraph } from "./graph.ts";

/**
 * `G0`: writes overtook each other. `G1c`: transactions read from each other in a circle. `G-single`: one of the edges,
 * and only one, is a read of what was overwritten (as in a lost update). `G-nonadjacent`: two or more are, never one
 * after the other. `G2-item`: two in a row are (write skew).
 */
export type PlainCycle = "G0" | "G1c" | "G-single" | "G-nonadjacent" | "G2-item";

/** With `-process` or `-realtime` the cycle needs the order of one client's own transactions, or that of the clock. */
export type CycleKind = PlainCycle | `${PlainCycle}-process` | `${PlainCycle}-realtime`;

export interface Cycle {
  readonly kind: CycleKind;
  readonly edges: readonly Edge[];
}

const orders = [
  { suffix: "", extra: undefined },
  { suffix: "-process", extra: "process" },
  { suffix: "-realtime", extra: "realtime" },
] as const;

/** From the strongest offence to the weakest: a cycle that is a G0 is not told of again as a G1c. */
const plainKinds: readonly { readonly kind: PlainCycle; readonly dependencies: readonly EdgeKind[] }[] = [
  { kind: "G0", dependencies: ["ww"] },
  { kind: "G1c", dependencies: ["ww", "wr"] },
  { kind: "G-single", dependencies: ["ww", "wr", "rw"] },
  { kind: "G-nonadjacent", dependencies: ["ww", "wr", "rw"] },
  { kind: "G2-item", dependencies: ["ww", "wr", "rw"] },
];

/** What a search for cycles found. */
export interface FoundCycles {
  readonly cycles: readonly Cycle[];
  /** Forbidden kinds whose search was given up: whether there is such a cycle is not known. */
  readonly undecided: readonly CycleKind[];
}

/** How many edges may be looked at for each kind that is forbidden, and for each that is only of interest. */
export const searchStepsMax = 20_000_000;
const sideStepsMax = 100_000;

/** Out of one tangle a cycle this short is good enough; as many first edges are tried for a shorter one. */
const shortLength = 3;
const shorterTriesMax = 32;

/** The cycles of a graph: for each kind at most one out of each tangle of transactions. */
export function findCycles(
  graph: TransactionGraph,
  forbidden: ReadonlySet<string>,
  stepsMax = searchStepsMax,
): FoundCycles {
  const cycles: Cycle[] = [];
  const undecided: CycleKind[] = [];
  for (const { suffix, extra } of orders) {
    for (const { kind: plain, dependencies } of plainKinds) {
      const kind: CycleKind = `${plain}${suffix}`;
      const kinds = new Set<EdgeKind>(extra === undefined ? dependencies : [...dependencies, extra]);
      const rule = ruleOf(plain, kinds, extra);
      const budget = { steps: forbidden.has(kind) ? stepsMax : Math.min(stepsMax, sideStepsMax) };
      const found = graph
        .components(kinds)
        .slice(0, examplesMax)
        .flatMap((members) => shortIn(graph, members, plain, rule, extra, budget) ?? []);
      cycles.push(...found.map((edges): Cycle => ({ kind, edges })));
      if (found.length === 0 && budget.steps < 0 && forbidden.has(kind)) undecided.push(kind);
    }
  }
  return { cycles, undecided };
}

/** A short cycle of one kind inside a component. Each begins with the edge that is characteristic of the kind. */
function shortIn(
  graph: TransactionGraph,
  members: readonly number[],
  kind: PlainCycle,
  rule: CycleRule,
  extra: EdgeKind | undefined,
  budget: { steps: number },
): readonly [readonly Edge[]] | undefined {
  const inside = new Set(members);
  const firstKind: EdgeKind = extra ?? (kind === "G0" ? "ww" : kind === "G1c" ? "wr" : "rw");
  let shortest: readonly Edge[] | undefined;
  let triesLeft = Infinity;
  for (const from of members) {
    for (const edge of graph.edgesFrom(from)) {
      if (edge.kind !== firstKind || !inside.has(edge.to)) continue;
      if (budget.steps < 0 || triesLeft-- <= 0) return shortest === undefined ? undefined : [shortest];
      const cycle = graph.shortestCycle(edge, inside, rule, budget);
      if (cycle === undefined || (shortest !== undefined && cycle.length >= shortest.length)) continue;
      // Twice around a smaller cycle, or around two that touch, is nothing new.
      if (new Set(cycle.map((step) => step.from)).size < cycle.length) continue;
      shortest = cycle;
      if (cycle.length <= shortLength) return [cycle];
      triesLeft = shorterTriesMax;
    }
  }
  return shortest === undefined ? undefined : [shortest];
}

/**
 * What the walk must remember. Bit 0: the last edge was an `rw`. Bits 1 and 2: how many there were, up to two. Bit 3:
 * two of them were adjacent. Bit 4: there was a `wr`. Bit 5: there was an edge of the extra order.
 */
function ruleOf(kind: PlainCycle, kinds: ReadonlySet<EdgeKind>, extra: EdgeKind | undefined): CycleRule {
  const countOf = (state: number): number => (state >> 1) & 3;
  return {
    start: 0,
    next(state, edge) {
      if (!kinds.has(edge.kind)) return undefined;
      const isRw = edge.kind === "rw";
      const count = Math.min(2, countOf(state) + (isRw ? 1 : 0));
      const isAdjacent = (state & 8) !== 0 || (isRw && (state & 1) !== 0);
      if (kind === "G-single" && isRw && countOf(state) >= 1) return undefined;
      if (kind === "G-nonadjacent" && isAdjacent) return undefined;
      const hasWr = (state & 16) !== 0 || edge.kind === "wr";
      const hasExtra = (state & 32) !== 0 || edge.kind === extra;
      return (isRw ? 1 : 0) | (count << 1) | (isAdjacent ? 8 : 0) | (hasWr ? 16 : 0) | (hasExtra ? 32 : 0);
    },
    isDone(state, first) {
      const closesAdjacent = (state & 8) !== 0 || ((state & 1) !== 0 && first.kind === "rw");
      if (extra !== undefined && (state & 32) === 0) return false;
      switch (kind) {
        case "G0":
          return true;
        case "G1c":
          return (state & 16) !== 0;
        case "G-single":
          return countOf(state) === 1;
        case "G-nonadjacent":
          return countOf(state) === 2 && !closesAdjacent;
        case "G2-item":
          return countOf(state) === 2 && closesAdjacent;
      }
    },
  };
}
