/**
 * The numbers by which a cluster is judged from outside: the design notes' list of metrics (term changes,
 * leader changes, log growth, commit latency, network delay), folded from what a server tells about itself.
 *
 * Plain numbers, so that the core needs no metrics library; a shell copies them into its own.
 */
import type { NodeId } from "./entry.ts";
import type { RaftEvent } from "./events.ts";

/**
 * A distribution in powers of two: `buckets[n]` counts values below `2^n`, and not below the power before.
 */
export class Durations {
  count = 0;
  sumMs = 0;
  maxMs = 0;
  readonly buckets: number[] = [];

  add(valueMs: number): void {
    this.count++;
    this.sumMs += valueMs;
    this.maxMs = Math.max(this.maxMs, valueMs);
    let bucket = 0;
    while (2 ** bucket <= valueMs) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
  }

  /** An upper bound of the value below which this share of all lies. */
  quantileMs(share: number): number {
    let left = Math.ceil(share * this.count);
    for (const [bucket, count = 0] of this.buckets.entries()) {
      left -= count;
      if (left <= 0) return Math.min(2 ** bucket, this.maxMs);
    }
    return this.maxMs;
  }
}

/** One server's numbers since it started. */
export class RaftMetrics {
  term = 0;
  termChanges = 0;
  /** How often this server began to follow or to be another leader. */
  leaderChanges = 0;
  elections = 0;
  electionsWon = 0;
  /** Entries that entered the log and left it again: growth, and conflicts. */
  entriesAppended = 0;
  bytesAppended = 0;
  entriesTruncated = 0;
  commitIndex = 0;
  snapshotsTaken = 0;
  snapshotsInstalled = 0;
  /** From a client's command until it was committed, at the leader. */
  readonly commitLatency = new Durations();
  /** From a message until its answer, by follower, at the leader. */
  readonly networkDelay = new Map<NodeId, Durations>();
  #leader: NodeId | undefined;

  /** Takes an event in: hand it to `RaftNode` as `observe`. */
  observe(event: RaftEvent): void {
    switch (event.kind) {
      case "role":
        if (event.term !== this.term) this.termChanges++;
        this.term = event.term;
        if (event.leader !== undefined && event.leader !== this.#leader) {
          this.leaderChanges++;
          this.#leader = event.leader;
        }
        if (event.role === "candidate") this.elections++;
        if (event.role === "leader") this.electionsWon++;
        return;
      case "append":
        this.entriesAppended += event.entries.length;
        for (const entry of event.entries)
          this.bytesAppended += entry.kind === "command" ? entry.data.length : 0;
        return;
      case "truncate":
        this.entriesTruncated += event.count;
        return;
      case "commit":
        this.commitIndex = event.index;
        return;
      case "commit-latency":
        this.commitLatency.add(event.latencyMs);
        return;
      case "round-trip": {
        let delay = this.networkDelay.get(event.peer);
        if (delay === undefined) this.networkDelay.set(event.peer, (delay = new Durations()));
        delay.add(event.durationMs);
        return;
      }
      case "snapshot":
        if (event.step === "taken") this.snapshotsTaken++;
        if (event.step === "installed") this.snapshotsInstalled++;
        return;
      case "vote":
      case "back-off":
      case "configuration":
      case "transfer":
        return;
    }
  }
}
