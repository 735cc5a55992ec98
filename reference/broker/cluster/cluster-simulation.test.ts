import { expect, test } from "vitest";
import { simulateCluster } from "../../testing/cluster/simulation.ts";

// A few seeds of each kind; scripts/cluster-seeds.ts runs as many as there is time for.
test.for([
  [3, 1],
  [3, 9],
  [3, 47],
  [3, 66],
  [5, 5],
  [5, 21],
] as const)(
  "%i nodes in bad weather, seed %i: nothing that was acknowledged is lost",
  async ([nodes, seed]) => {
    const { violations, acknowledged } = await simulateCluster({ seed, nodes, faultsMs: 8000 });
    expect(violations).toEqual([]);
    expect(acknowledged).toBeGreaterThan(20);
  },
);

test.for([3, 17] as const)("a node joins and another one leaves in bad weather, seed %i", async (seed) => {
  const { violations, acknowledged } = await simulateCluster({
    seed,
    nodes: 3,
    faultsMs: 5000,
    changesMembers: true,
  });
  expect(violations).toEqual([]);
  expect(acknowledged).toBeGreaterThan(5);
});

test.for([
  [1, false],
  [16, false],
  [6, true],
] as const)(
  "a compacted topic in bad weather keeps the newest of each key, and brings none back, seed %i",
  async ([seed, changesMembers]) => {
    const scenario = { seed, nodes: 3, faultsMs: 8000, compacts: true, changesMembers };
    const { violations, compacted } = await simulateCluster(scenario);
    expect(violations).toEqual([]);
    expect(compacted).toBeGreaterThan(0);
  },
);

test.for([
  [1, {}],
  [4, { changesMembers: true, compacts: true }],
  [12, { changesMembers: true }],
] as const)(
  "a node loses its folder in bad weather and is added again under its name: nothing is lost, seed %i",
  async ([seed, more]) => {
    const scenario = { seed, nodes: 3, faultsMs: 8000, losesFolder: true, ...more };
    expect((await simulateCluster(scenario)).violations).toEqual([]);
  },
);

test("without ids of folders, one that was lost goes unnoticed: the simulation finds what comes of it", async () => {
  const found: string[] = [];
  for (let seed = 1; seed <= 12 && found.length === 0; seed++) {
    const scenario = { seed, nodes: 3, faultsMs: 8000, losesFolder: true, forgetsFolders: true };
    found.push(...(await simulateCluster(scenario)).violations);
  }
  expect(found).not.toEqual([]);
});

test("a node whose disk fails while it catches up stops, and catches up when it is back", async () => {
  const { violations } = await simulateCluster({ seed: 30035, nodes: 3, faultsMs: 10_000 });
  expect(violations).toEqual([]);
});

// Longer than a member may be silent. Seed 109 finds a leader that goes on speaking for members it has lost.
test.for([100, 109])("a group's partitions have one reader each, seed %i", async (seed) => {
  const { violations, commits } = await simulateCluster({ seed, nodes: 3, faultsMs: 40_000 });
  expect(violations).toEqual([]);
  expect(commits).toBeGreaterThan(20);
});

test("the same seed is the same history", async () => {
  const scenario = { seed: 12, nodes: 3, faultsMs: 3000 };
  expect(await simulateCluster(scenario)).toEqual(await simulateCluster(scenario));
});
