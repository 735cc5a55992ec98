import { expect, test } from "vitest";
import { runScenario } from "#reference/simulator/raft/cluster.ts";
import { drawScenario } from "#reference/simulator/raft/scenario.ts";
import { Durations, RaftMetrics } from "./metrics.ts";

/** Runs a cluster and returns each server's numbers, over all its starts. */
function metricsOf(faults: "none" | "all", seed: number): Map<string, RaftMetrics> {
  const metrics = new Map<string, RaftMetrics>();
  const choice = { seed, nodeCount: 3, seconds: 8, ...(faults === "none" ? { faults: [] } : {}) };
  const { violation } = runScenario(drawScenario(choice), {
    observe: (server, event) => {
      let own = metrics.get(server);
      if (own === undefined) metrics.set(server, (own = new RaftMetrics()));
      own.observe(event);
    },
  });
  expect(violation).toBeUndefined();
  return metrics;
}

test("in calm weather there is one leader, latencies of a few milliseconds, and nothing is taken back", () => {
  const all = [...metricsOf("none", 5).values()];
  expect(all.map(({ leaderChanges }) => leaderChanges)).toEqual([1, 1, 1]);
  expect(all.reduce((sum, { electionsWon }) => sum + electionsWon, 0)).toBe(1);
  expect(all.every(({ entriesTruncated }) => entriesTruncated === 0)).toBe(true);
  const leader = all.find(({ electionsWon }) => electionsWon === 1)!;
  expect(leader.commitLatency.count).toBeGreaterThan(20);
  expect(leader.commitLatency.quantileMs(0.5)).toBeLessThanOrEqual(8);
  expect(leader.networkDelay.size).toBe(2);
  for (const delay of leader.networkDelay.values()) expect(delay.sumMs / delay.count).toBeLessThan(6);
  const commits = new Set(all.map(({ commitIndex }) => commitIndex));
  expect(commits.size).toBe(1);
  expect(leader.entriesAppended).toBe(leader.commitIndex);
  expect(leader.bytesAppended).toBeGreaterThan(leader.commitLatency.count);
});

test("under faults terms and leaders change", () => {
  const all = [...metricsOf("all", 9).values()];
  expect(Math.max(...all.map(({ termChanges }) => termChanges))).toBeGreaterThan(2);
  expect(Math.max(...all.map(({ leaderChanges }) => leaderChanges))).toBeGreaterThan(1);
});

test("a quantile is bounded by its bucket and by the largest value", () => {
  const durations = new Durations();
  for (const value of [0.5, 1, 3, 3, 100]) durations.add(value);
  expect([durations.quantileMs(0.2), durations.quantileMs(0.5), durations.quantileMs(1)]).toEqual([
    1, 4, 100,
  ]);
  expect([durations.count, durations.sumMs, durations.maxMs]).toEqual([5, 107.5, 100]);
});
