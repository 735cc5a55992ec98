/**
 * The broker's metrics: every name, help and label in one place, because dashboards and alerts are written
 * against them.
 *
 * What is counted on the busy path has its handles resolved here, once, so that counting a request is three additions.
 * What somebody else knows already (memory, logs, lag) is not counted: a collector asks the owner at each scrape.
 *
 * Labels are closed sets (request type, outcome) or things that an operator made (topic, group). Nothing that a client
 * can make up at will (its name, an offset, an address) is a label: that is what wide events are for.
 */
import type { DiskErrorCode } from "../ports.ts";
import { durationBounds, type Histogram } from "./histogram.ts";
import type { Counter, Family, Gauge, MetricsRegistry } from "./metrics.ts";

/** The handles for one type of request. */
export interface RequestMetrics {
  readonly succeeded: Counter;
  readonly failed: Counter;
  /** Seconds from the arrival of the request to its reply. */
  readonly duration: Histogram;
}

/** The handles for one topic. */
export interface TopicMetrics {
  readonly producedRecords: Counter;
  readonly producedBytes: Counter;
  readonly fetchedBytes: Counter;
}

/** A series of a partition, as its owner reports it. */
export interface PartitionReport {
  readonly topic: string;
  readonly partition: number | typeof allPartitions;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly sizeBytes: number;
}

/** How far a group has come in one partition. */
export interface LagReport {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** Records that it has not read yet. */
  readonly records: number;
}

/**
 * A topic of more partitions has one series for all of them together, and not one for each: what a scrape brings must
 * not grow with a number that whoever makes a topic can choose.
 */
export const partitionSeriesMax = 100;
/** The label of partitions that are reported together. */
export const allPartitions = "all";

/** What the memory's owner reports; all of it is cheap to ask for. */
export interface MemoryReport {
  readonly budgetBytes: number;
  /** Reserved bytes by account. */
  readonly accounts: Readonly<Record<string, number>>;
  readonly reclaimableBytes: number;
  readonly isPaused: boolean;
  readonly pauseCount: number;
  readonly waitingCount: number;
  readonly hitCount: number;
  readonly missCount: number;
  readonly offloadedChunkCount: number;
}

/** Disk errors that an operator must hear of. */
const alarmingDiskErrors: readonly DiskErrorCode[] = [
  "no-space",
  "input-output",
  "read-only",
  "permission-denied",
  "too-many-open-files",
];

/** What becomes of wide events. */
const eventResults = ["kept", "sampled_out", "dropped", "failed"] as const;

/** All metrics of a broker, ready to be counted with. */
export class BrokerMetrics {
  readonly requestsInFlight: Gauge;
  readonly connections: Gauge;
  readonly connectionsOpened: Counter;
  readonly syncDuration: Histogram;
  readonly #pauses: Counter;
  readonly #rejections: Family<Counter>;
  readonly #connectionsClosed: Family<Counter>;
  readonly #diskErrors: Family<Counter>;
  readonly #events: Family<Counter>;
  readonly #spans: Family<Counter>;
  readonly #requests: Family<Counter>;
  readonly #durations: Family<Histogram>;
  readonly #producedRecords: Family<Counter>;
  readonly #producedBytes: Family<Counter>;
  readonly #fetchedBytes: Family<Counter>;
  readonly #logStart: Family<Gauge>;
  readonly #logEnd: Family<Gauge>;
  readonly #logSize: Family<Gauge>;
  readonly #lag: Family<Gauge>;
  readonly #budget: Gauge;
  readonly #reserved: Family<Gauge>;
  readonly #reclaimable: Gauge;
  readonly #paused: Gauge;
  readonly #waiting: Gauge;
  readonly #reads: Family<Counter>;
  readonly #offloaded: Counter;

  /** Declares all metrics. `version` is the broker's. */
  constructor(registry: MetricsRegistry, version: string) {
    const counter = (name: string, help: string, ...labels: string[]): Family<Counter> =>
      registry.counter({ name, help, labels });
    const gauge = (name: string, help: string, ...labels: string[]): Family<Gauge> =>
      registry.gauge({ name, help, labels });
    const duration = (name: string, help: string, ...labels: string[]): Family<Histogram> =>
      registry.histogram({ name, help, labels, bounds: durationBounds });
    gauge("oz_build_info", "Always 1; the version is the label.", "version").with({ version }).set(1);
    this.#requests = counter(
      "oz_requests_total",
      "Requests answered, by type and outcome.",
      "type",
      "outcome",
    );
    this.#durations = duration(
      "oz_request_duration_seconds",
      "Time from the arrival of a request to its reply.",
      "type",
    );
    this.requestsInFlight = gauge("oz_requests_in_flight", "Requests that are not answered yet.").with();
    this.#rejections = counter("oz_rejections_total", "Requests refused on purpose, by error code.", "code");
    this.connections = gauge("oz_connections", "Connections that are open.").with();
    this.connectionsOpened = counter("oz_connections_opened_total", "Connections accepted.").with();
    this.#connectionsClosed = counter(
      "oz_connections_closed_total",
      "Connections ended, by reason.",
      "reason",
    );
    this.#producedRecords = counter("oz_produced_records_total", "Records appended.", "topic");
    this.#producedBytes = counter("oz_produced_bytes_total", "Bytes of record batches appended.", "topic");
    this.#fetchedBytes = counter(
      "oz_fetched_bytes_total",
      "Bytes of record batches sent to readers.",
      "topic",
    );
    this.#logStart = gauge("oz_log_start_offset", "First offset that still exists.", "topic", "partition");
    this.#logEnd = gauge("oz_log_end_offset", "Offset of the next record.", "topic", "partition");
    this.#logSize = gauge("oz_log_size_bytes", "Bytes of the log on disk.", "topic", "partition");
    this.#lag = gauge("oz_group_lag_records", "Records not read yet.", "group", "topic", "partition");
    this.#budget = gauge("oz_memory_budget_bytes", "The memory budget.").with();
    this.#reserved = gauge("oz_memory_reserved_bytes", "Bytes of live leases, by account.", "account");
    this.#reclaimable = gauge("oz_memory_reclaimable_bytes", "Bytes that could be dropped at once.").with();
    this.#paused = gauge("oz_memory_paused", "1 while producers are held back.").with();
    this.#pauses = counter("oz_memory_pauses_total", "Times that producers were held back.").with();
    this.#waiting = gauge("oz_memory_waiting_requests", "Requests that wait for memory.").with();
    this.#reads = counter("oz_store_reads_total", "Reads of records by where they were found.", "source");
    this.#offloaded = counter("oz_store_offloaded_chunks_total", "Chunks dropped to make room.").with();
    this.syncDuration = duration("oz_disk_sync_duration_seconds", "Time of one group commit's sync.").with();
    this.#diskErrors = counter("oz_disk_errors_total", "Disk operations that failed, by error.", "code");
    this.#events = counter("oz_wide_events_total", "Wide events, by what became of them.", "result");
    this.#spans = counter("oz_spans_total", "Spans of traced requests, by what became of them.", "result");
    // A series that is born with its first error shows no increase, and its alert stays silent: begin at 0.
    for (const code of alarmingDiskErrors) this.#diskErrors.with({ code });
    for (const result of eventResults) this.#events.with({ result });
    this.rejected("overloaded");
  }

  /** The handles for a request type. Ask once for each type, not for each request. */
  request(type: string): RequestMetrics {
    return {
      succeeded: this.#requests.with({ type, outcome: "success" }),
      failed: this.#requests.with({ type, outcome: "error" }),
      duration: this.#durations.with({ type }),
    };
  }

  /** The handles for a topic. Ask once, when the topic is opened. */
  topic(topic: string): TopicMetrics {
    return {
      producedRecords: this.#producedRecords.with({ topic }),
      producedBytes: this.#producedBytes.with({ topic }),
      fetchedBytes: this.#fetchedBytes.with({ topic }),
    };
  }

  /** The counter for a reason to refuse; keep it. */
  rejected(code: string): Counter {
    return this.#rejections.with({ code });
  }

  /** A connection ended. `reason` is one of a closed set: never an error's message. */
  connectionClosed(reason: string): void {
    this.connections.add(-1);
    this.#connectionsClosed.with({ reason }).add();
  }

  diskFailed(code: DiskErrorCode): void {
    this.#diskErrors.with({ code }).add();
  }

  /** A topic is deleted: its series go, so that its name does not live on in every scrape. */
  topicDeleted(topic: string, partitionCount: number): void {
    for (const family of [this.#producedRecords, this.#producedBytes, this.#fetchedBytes])
      family.remove({ topic });
    const isTogether = partitionCount > partitionSeriesMax;
    const numbers = isTogether ? [allPartitions] : Array.from({ length: partitionCount }, (_, at) => at);
    for (const partition of numbers) {
      const labels = { topic, partition: String(partition) };
      for (const family of [this.#logStart, this.#logEnd, this.#logSize]) family.remove(labels);
    }
  }

  /** A group is gone, or has no more to do with a partition. */
  lagEnded(group: string, topic: string, partition: number): void {
    this.#lag.remove({ group, topic, partition: String(partition) });
  }

  /** For a collector: what the logs of a topic are at this moment. */
  reportTopic(topic: string, partitions: readonly PartitionReport[]): void {
    if (partitions.length <= partitionSeriesMax) {
      for (const report of partitions) this.reportPartition(report);
      return;
    }
    const sum = (of: "startOffset" | "endOffset" | "sizeBytes"): number =>
      partitions.reduce((total, report) => total + report[of], 0);
    const sums = {
      startOffset: sum("startOffset"),
      endOffset: sum("endOffset"),
      sizeBytes: sum("sizeBytes"),
    };
    this.reportPartition({ topic, partition: allPartitions, ...sums });
  }

  /** For a collector: what a log is at this moment. */
  reportPartition(report: PartitionReport): void {
    const labels = { topic: report.topic, partition: String(report.partition) };
    this.#logStart.with(labels).set(report.startOffset);
    this.#logEnd.with(labels).set(report.endOffset);
    this.#logSize.with(labels).set(report.sizeBytes);
  }

  /** For a collector: how far behind a group is. */
  reportLag({ group, topic, partition, records }: LagReport): void {
    this.#lag.with({ group, topic, partition: String(partition) }).set(records);
  }

  /** For a collector: what memory is used for. Totals of others are caught up with, never set back. */
  reportMemory(report: MemoryReport): void {
    this.#budget.set(report.budgetBytes);
    for (const [account, bytes] of Object.entries(report.accounts))
      this.#reserved.with({ account }).set(bytes);
    this.#reclaimable.set(report.reclaimableBytes);
    this.#paused.set(report.isPaused ? 1 : 0);
    catchUp(this.#pauses, report.pauseCount);
    this.#waiting.set(report.waitingCount);
    catchUp(this.#reads.with({ source: "memory" }), report.hitCount);
    catchUp(this.#reads.with({ source: "disk" }), report.missCount);
    catchUp(this.#offloaded, report.offloadedChunkCount);
  }

  /** For a collector: what became of the wide events, by result. */
  reportEvents(totals: Readonly<Record<(typeof eventResults)[number], number>>): void {
    for (const [result, total] of Object.entries(totals)) catchUp(this.#events.with({ result }), total);
  }

  /** For a collector: what became of the spans, by result. */
  reportSpans(totals: Readonly<Record<string, number>>): void {
    for (const [result, total] of Object.entries(totals)) catchUp(this.#spans.with({ result }), total);
  }
}

/** Brings a counter to a total that somebody else keeps. */
function catchUp(counter: Counter, total: number): void {
  if (total > counter.value) counter.add(total - counter.value);
}
