/** What an operator sees of a node's groups. */
import { expect, test } from "vitest";
import { MetricsRegistry } from "../../observability/metrics.ts";
import { RaftNode } from "../../raft/node.ts";
import { SeededRandom } from "../../base/prng.ts";
import { ClusterMetrics } from "./cluster-metrics.ts";

/** The value of a series in what a scrape gets. */
function valueOf(registry: MetricsRegistry, series: string): number | undefined {
  const line = registry
    .expose()
    .split("\n")
    .find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test("groups are counted together: terms, elections, leaders, growth and commit latency", () => {
  const registry = new MetricsRegistry();
  const metrics = new ClusterMetrics(registry);
  for (const seed of [1, 2]) {
    const node = new RaftNode({
      id: "n1",
      nowMs: 0,
      random: new SeededRandom(seed),
      bootstrap: { voters: ["n1"], oldVoters: [], learners: [] },
      observe: metrics.follow(),
    });
    node.tick(10_000);
    // Its vote for itself, then the no-op of its term.
    node.persisted(1, 10_000);
    node.persisted(2, 10_000);
    node.propose([new Uint8Array(7), new Uint8Array(3)], 10_000);
    node.persisted(3, 10_020);
    expect(node.state.commitIndex).toBe(3);
  }
  expect(valueOf(registry, "oz_raft_term_changes_total")).toBe(2);
  expect(valueOf(registry, "oz_raft_elections_total")).toBe(2);
  expect(valueOf(registry, "oz_raft_elections_won_total")).toBe(2);
  expect(valueOf(registry, "oz_raft_leader_changes_total")).toBe(2);
  expect(valueOf(registry, "oz_raft_appended_entries_total")).toBe(6);
  expect(valueOf(registry, "oz_raft_appended_bytes_total")).toBe(20);
  expect(valueOf(registry, "oz_raft_commit_duration_seconds_count")).toBe(4);
  expect(valueOf(registry, 'oz_raft_commit_duration_seconds_bucket{le="0.01"}')).toBe(0);
  expect(valueOf(registry, 'oz_raft_commit_duration_seconds_bucket{le="0.025"}')).toBe(4);
});

test("a leader that stays is one change, and one that comes back is another", () => {
  const registry = new MetricsRegistry();
  const observe = new ClusterMetrics(registry).follow();
  const role = (term: number, leader: string | undefined): void =>
    observe({ kind: "role", role: "follower", term, leader, reason: "" });
  role(1, "n2");
  role(1, undefined);
  role(2, "n2");
  expect(valueOf(registry, "oz_raft_leader_changes_total")).toBe(1);
  role(3, "n3");
  role(4, "n2");
  expect(valueOf(registry, "oz_raft_leader_changes_total")).toBe(3);
  expect(valueOf(registry, "oz_raft_term_changes_total")).toBe(4);
});

test("what was taken back, snapshots and the way to each node have series of their own", () => {
  const registry = new MetricsRegistry();
  const observe = new ClusterMetrics(registry).follow();
  expect(valueOf(registry, 'oz_raft_snapshots_total{step="installed"}')).toBe(0);
  const snapshot = {
    index: 1,
    term: 1,
    configuration: { voters: [], oldVoters: [], learners: [] },
    data: new Uint8Array(0),
  };
  observe({ kind: "snapshot", step: "installed", snapshot });
  observe({ kind: "truncate", from: 5, count: 3 });
  observe({ kind: "round-trip", peer: "n2", durationMs: 4 });
  observe({ kind: "round-trip", peer: "n3", durationMs: 40 });
  expect(valueOf(registry, 'oz_raft_snapshots_total{step="installed"}')).toBe(1);
  expect(valueOf(registry, "oz_raft_truncated_entries_total")).toBe(3);
  expect(valueOf(registry, 'oz_raft_round_trip_seconds_sum{peer="n2"}')).toBe(0.004);
  expect(valueOf(registry, 'oz_raft_round_trip_seconds_sum{peer="n3"}')).toBe(0.04);
});

test("a scrape says what the groups are now", () => {
  const registry = new MetricsRegistry();
  const metrics = new ClusterMetrics(registry);
  const groups = {
    metadataTerm: 4,
    partitions: 9,
    led: 3,
    leaderless: 1,
    underReplicated: 2,
    entryBytes: 77,
  };
  registry.collect(() => metrics.report(groups));
  expect(valueOf(registry, "oz_raft_metadata_term")).toBe(4);
  expect(valueOf(registry, "oz_cluster_partitions")).toBe(9);
  expect(valueOf(registry, "oz_cluster_partitions_led")).toBe(3);
  expect(valueOf(registry, "oz_cluster_partitions_leaderless")).toBe(1);
  expect(valueOf(registry, "oz_cluster_partitions_under_replicated")).toBe(2);
  expect(valueOf(registry, "oz_raft_entry_memory_bytes")).toBe(77);
});

test("what a node says to the others is counted in frames and bytes", () => {
  const registry = new MetricsRegistry();
  const metrics = new ClusterMetrics(registry);
  expect(valueOf(registry, "oz_cluster_sent_frames_total")).toBe(0);
  for (const frameBytes of [100, 20]) metrics.sent(frameBytes);
  expect(valueOf(registry, "oz_cluster_sent_frames_total")).toBe(2);
  expect(valueOf(registry, "oz_cluster_sent_bytes_total")).toBe(120);
});
