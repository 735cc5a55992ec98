/**
 * A registry that looks like that of a busy broker in a cluster: for what reads metrics (the dashboard page, the
 * Grafana dashboards, the alert rules) and must find every series there is. Each `advance` is one second of a day in
 * which memory gets tight.
 */
import { SeededRandom } from "../base/prng.ts";
import { ClusterMetrics } from "../broker/cluster/cluster-metrics.ts";
import { BrokerMetrics } from "../observability/broker-metrics.ts";
import { MetricsRegistry } from "../observability/metrics.ts";

const mebibyte = 2 ** 20;
const types = ["Produce", "Fetch", "Ping", "CommitOffset"];
const topics = ["orders", "payments", "clicks"];

/** Metrics of a broker that is not there. */
export class MetricsLoad {
  readonly registry = new MetricsRegistry();
  readonly metrics = new BrokerMetrics(this.registry, "0.1.0");
  readonly #cluster = new ClusterMetrics(this.registry);
  readonly #observe = this.#cluster.follow();
  readonly #random: SeededRandom;
  readonly #requests = types.map((type) => this.metrics.request(type));
  readonly #ends = new Map(topics.map((topic) => [topic, 0]));
  #second = 0;
  #lag = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.metrics.connections.set(24);
    this.metrics.connectionsOpened.add(24);
    this.advance();
  }

  /** One more second of load. */
  advance(): void {
    this.#second++;
    const pressure = 0.5 + 0.5 * Math.sin(this.#second / 20);
    for (const { succeeded, failed, duration } of this.#requests) {
      const count = this.#random.nextBetween(200, 400);
      succeeded.add(count);
      failed.add(count > 390 ? 3 : 0);
      for (let request = 0; request < count; request++) duration.observe(this.#duration(pressure));
    }
    for (const topic of topics) this.#fill(topic);
    this.#lag = Math.max(0, this.#lag + this.#random.nextBetween(-800, 1000));
    this.metrics.reportLag({ group: "billing", topic: "orders", partition: 0, records: this.#lag });
    this.metrics.reportLag({ group: "search", topic: "clicks", partition: 0, records: 12 });
    this.metrics.requestsInFlight.set(this.#random.nextBetween(0, 60));
    this.metrics.syncDuration.observe(0.0004 + this.#random.nextFloat() / 500);
    this.metrics.rejected("overloaded").add(pressure > 0.95 ? 40 : 0);
    if (this.#second === 1) {
      this.metrics.connectionClosed("idle");
      this.metrics.diskFailed("no-space");
    }
    this.metrics.reportEvents({
      kept: this.#second * 20,
      sampled_out: this.#second * 980,
      dropped: 0,
      failed: 0,
    });
    this.#reportMemory(pressure);
    this.#replicate(pressure);
  }

  /** Leads one of three copies of everything. */
  #replicate(pressure: number): void {
    const term = 1 + Math.floor(this.#second / 60);
    this.#observe({ kind: "role", role: "leader", term, leader: "n1", reason: "" });
    const latencyMs = 1000 * this.#duration(pressure);
    this.#observe({ kind: "commit-latency", index: this.#second, latencyMs });
    for (const peer of ["n2", "n3"]) this.#observe({ kind: "round-trip", peer, durationMs: latencyMs / 2 });
    this.#cluster.sent(this.#random.nextBetween(1000, 100_000));
    this.#cluster.report({
      metadataTerm: term,
      partitions: 2 * topics.length,
      led: 2,
      leaderless: 0,
      underReplicated: pressure > 0.95 ? 1 : 0,
      entryBytes: this.#random.nextBetween(0, mebibyte),
    });
  }

  #duration(pressure: number): number {
    const scale = 0.0003 * (1 + 6 * pressure ** 4);
    return scale * (0.3 - Math.log(1 - this.#random.nextFloat()));
  }

  #fill(topic: string): void {
    const records = this.#random.nextBetween(3000, 9000);
    const counters = this.metrics.topic(topic);
    counters.producedRecords.add(records);
    counters.producedBytes.add(records * 220);
    counters.fetchedBytes.add(records * 180);
    const endOffset = (this.#ends.get(topic) ?? 0) + records;
    this.#ends.set(topic, endOffset);
    for (const partition of [0, 1]) {
      this.metrics.reportPartition({
        topic,
        partition,
        startOffset: 0,
        endOffset,
        sizeBytes: endOffset * 220,
      });
    }
  }

  #reportMemory(pressure: number): void {
    this.metrics.reportMemory({
      budgetBytes: 256 * mebibyte,
      accounts: {
        produce: pressure * 24 * mebibyte,
        append: (4 + 60 * pressure) * mebibyte,
        tails: (36 + 90 * pressure) * mebibyte,
        fetch: 12 * mebibyte,
        replication: mebibyte,
        control: 0.1 * mebibyte,
      },
      reclaimableBytes: (30 + 60 * pressure) * mebibyte,
      isPaused: pressure > 0.95,
      pauseCount: Math.floor(this.#second / 60),
      waitingCount: pressure > 0.9 ? 12 : 0,
      hitCount: this.#second * 900,
      missCount: this.#second * 30,
      offloadedChunkCount: this.#second * 7,
    });
  }
}
