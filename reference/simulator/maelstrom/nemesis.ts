/**
 * The nemesis: cuts the network, kills and pauses nodes, in turns with peace. Its partitions are those of Maelstrom.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { usPerMs } from "../scheduler.ts";
import type { MaelstromWorld } from "./world.ts";

export const nemesisKinds = ["partition", "kill", "pause", "clock"] as const;
export type NemesisKind = (typeof nemesisKinds)[number];

/** Between one strike and the next, and between a strike and its end, this long on average. */
export const nemesisIntervalMsDefault = 10_000;

/** Begins; returns what ends it and makes everything whole. */
export function startNemesis(
  world: MaelstromWorld,
  kinds: readonly NemesisKind[],
  intervalMs: number,
): () => void {
  const random = world.simulation.fork("nemesis");
  const { scheduler } = world.simulation;
  const undo: (() => void)[] = [];
  let isOver = false;
  const peace = (): void => {
    for (const run of undo.splice(0)) run();
  };
  const alternate = (isStriking: boolean): void => {
    scheduler.after(random.nextFloat() * 2 * intervalMs * usPerMs, () => {
      if (isOver) return;
      if (isStriking) undo.push(strike(world, random.pick(kinds), random));
      else peace();
      alternate(!isStriking);
    });
  };
  if (kinds.length > 0) alternate(true);
  return () => {
    isOver = true;
    peace();
  };
}

function strike(world: MaelstromWorld, kind: NemesisKind, random: SeededRandom): () => void {
  const note = (isOn: boolean, detail: readonly string[]): void => {
    world.simulation.trace?.record({ kind: "fault", at: world.nowUs, fault: kind, isOn, detail });
  };
  switch (kind) {
    case "partition": {
      const heal = partition(world, random, (detail) => note(true, detail));
      return () => {
        heal();
        note(false, []);
      };
    }
    case "kill": {
      const victims = someOf(world.nodeIds, random);
      note(true, victims);
      for (const id of victims) world.killNode(id);
      return () => {
        for (const id of victims) world.restartNode(id);
        note(false, victims);
      };
    }
    case "pause": {
      const victims = someOf(world.nodeIds, random);
      note(true, victims);
      for (const id of victims) world.pauseNode(id);
      return () => {
        for (const id of victims) world.resumeNode(id);
        note(false, victims);
      };
    }
    case "clock": {
      const victim = random.pick(world.nodeIds);
      // Small steps are the dangerous ones: they lead back to where the node has just been.
      const mostMs = random.pick([500, 5000, 60_000]);
      const byMs = random.nextBetween(-mostMs, mostMs);
      note(true, [victim, String(byMs)]);
      world.process(victim).clock.stepWallTime(byMs);
      return () => note(false, [victim]);
    }
  }
}

/** Fewer than half, and at least one: what a cluster of majorities must survive. */
function someOf(nodeIds: readonly string[], random: SeededRandom): readonly string[] {
  const most = Math.max(1, Math.ceil(nodeIds.length / 2) - 1);
  return shuffled(nodeIds, random).slice(0, random.nextBetween(1, most));
}

/** One node alone, less than a third, halves, or a ring in which each node sees a majority, and each another one. */
function partition(
  world: MaelstromWorld,
  random: SeededRandom,
  onStart: (detail: readonly string[]) => void,
): () => void {
  const order = shuffled(world.nodeIds, random);
  const { network } = world.simulation;
  const count = order.length;
  const split = (size: number): (() => void) => {
    onStart(order.slice(0, size));
    return network.partition(order.slice(0, size), order.slice(size));
  };
  const thirdMax = Math.max(1, Math.ceil(count / 3) - 1);
  switch (random.pick(["one", "minority-third", "majority", "majorities-ring"] as const)) {
    case "one":
      return split(1);
    case "minority-third":
      return split(random.nextBetween(1, thirdMax));
    case "majority":
      return split(Math.floor(count / 2));
    case "majorities-ring": {
      const reach = Math.floor(count / 4) + (count % 4 === 0 ? 0 : 1);
      const isNear = (one: number, other: number): boolean => {
        const distance = Math.abs(one - other);
        return Math.min(distance, count - distance) <= reach;
      };
      const heals = order.map((id, at) => {
        const far = order.filter((_, other) => other > at && !isNear(at, other));
        return network.partition([id], far);
      });
      onStart(["ring", ...order]);
      return () => {
        for (const heal of heals) heal();
      };
    }
  }
}

function shuffled<Item>(items: readonly Item[], random: SeededRandom): readonly Item[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = random.nextBetween(0, last);
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}
