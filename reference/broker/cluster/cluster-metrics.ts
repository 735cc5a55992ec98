/**
 * The design notes' monitoring list (term changes, leader changes, log growth, commit latency, network delay) for a
 * node of a cluster, as metrics.
 *
 * A node takes part in a group for each partition. They are counted together: a series for each would be thousands, and
 * what an operator asks is whether the node is well. Which partition is not, `oz cluster status` says.
 */
import { durationBounds, type Histogram } from "../../observability/histogram.ts";
import type { Counter, Family, Gauge, MetricsRegistry } from "../../observability/metrics.ts";
import type { NodeId } from "../../raft/entry.ts";
import type { RaftEvent } from "../../raft/events.ts";

/** What a node's groups are at this moment. */
export interface GroupsReport {
  /** The term of the metadata's group. */
  readonly metadataTerm: number;
  readonly partitions: number;
  readonly led: number;
  readonly leaderless: number;
  /** Partitions that this node leads and of which a member lacks what is committed. */
  readonly underReplicated: number;
  /** Memory that entries take which no snapshot has replaced. */
  readonly entryBytes: number;
}

/** The metrics of one node. */
export class ClusterMetrics {
  readonly #termChanges: Counter;
  readonly #leaderChanges: Counter;
  readonly #elections: Counter;
  readonly #electionsWon: Counter;
  readonly #entries: Counter;
  readonly #entryBytes: Counter;
  readonly #truncated: Counter;
  readonly #snapshots: Family<Counter>;
  readonly #sentFrames: Counter;
  readonly #sentBytes: Counter;
  readonly #commitLatency: Histogram;
  readonly #roundTrip: Family<Histogram>;
  readonly #gauges: Readonly<Record<keyof GroupsReport, Gauge>>;

  constructor(registry: MetricsRegistry) {
    const counter = (name: string, help: string): Counter => registry.counter({ name, help }).with();
    const gauge = (name: string, help: string): Gauge => registry.gauge({ name, help }).with();
    this.#termChanges = counter("oz_raft_term_changes_total", "Terms that began, in all groups.");
    this.#leaderChanges = counter("oz_raft_leader_changes_total", "Leaders that were new, in all groups.");
    this.#elections = counter("oz_raft_elections_total", "Elections that this node began.");
    this.#electionsWon = counter("oz_raft_elections_won_total", "Elections that this node won.");
    this.#entries = counter("oz_raft_appended_entries_total", "Entries that entered this node's logs.");
    this.#entryBytes = counter("oz_raft_appended_bytes_total", "Bytes of entries that entered the logs.");
    this.#truncated = counter(
      "oz_raft_truncated_entries_total",
      "Entries taken back: a new leader had others.",
    );
    this.#sentFrames = counter("oz_cluster_sent_frames_total", "Frames of messages to other nodes.");
    this.#sentBytes = counter("oz_cluster_sent_bytes_total", "Bytes of messages to other nodes.");
    this.#snapshots = registry.counter({
      name: "oz_raft_snapshots_total",
      help: "Snapshots, by what was done with them.",
      labels: ["step"],
    });
    this.#commitLatency = registry
      .histogram({
        name: "oz_raft_commit_duration_seconds",
        help: "From a proposal until it is agreed on, at the leader.",
        bounds: durationBounds,
      })
      .with();
    this.#roundTrip = registry.histogram({
      name: "oz_raft_round_trip_seconds",
      help: "From a message to its answer, by node.",
      labels: ["peer"],
      bounds: durationBounds,
    });
    this.#gauges = {
      metadataTerm: gauge("oz_raft_metadata_term", "The term of the metadata's group."),
      partitions: gauge("oz_cluster_partitions", "Partitions that this node has a copy of."),
      led: gauge("oz_cluster_partitions_led", "Partitions that this node leads."),
      leaderless: gauge("oz_cluster_partitions_leaderless", "Partitions of which no leader is known here."),
      underReplicated: gauge(
        "oz_cluster_partitions_under_replicated",
        "Partitions led here of which a member lacks what is committed.",
      ),
      entryBytes: gauge("oz_raft_entry_memory_bytes", "Memory of entries that no snapshot has replaced yet."),
    };
    for (const step of ["taken", "sending", "installed"]) this.#snapshots.with({ step });
  }

  /** This node had something to say to another one. */
  sent(frameBytes: number): void {
    this.#sentFrames.add();
    this.#sentBytes.add(frameBytes);
  }

  /** Follows one group: what it returns is the `observe` of that group's `RaftNode`. */
  follow(): (event: RaftEvent) => void {
    let term = 0;
    let leader: NodeId | undefined;
    return (event) => {
      switch (event.kind) {
        case "role":
          if (event.term !== term) this.#termChanges.add();
          term = event.term;
          if (event.leader !== undefined && event.leader !== leader) this.#leaderChanges.add();
          leader = event.leader ?? leader;
          if (event.role === "candidate") this.#elections.add();
          if (event.role === "leader") this.#electionsWon.add();
          return;
        case "append":
          this.#entries.add(event.entries.length);
          for (const entry of event.entries)
            if (entry.kind === "command") this.#entryBytes.add(entry.data.length);
          return;
        case "truncate":
          return this.#truncated.add(event.count);
        case "commit-latency":
          return this.#commitLatency.observe(event.latencyMs / 1000);
        case "round-trip":
          return this.#roundTrip.with({ peer: event.peer }).observe(event.durationMs / 1000);
        case "snapshot":
          return this.#snapshots.with({ step: event.step }).add();
        case "vote":
        case "commit":
        case "back-off":
        case "configuration":
        case "transfer":
          return;
      }
    };
  }

  /** For a collector: what the groups are now. */
  report(groups: GroupsReport): void {
    for (const [name, value] of Object.entries(groups)) this.#gauges[name as keyof GroupsReport].set(value);
  }
}
