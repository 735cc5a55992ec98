import { expect, test } from "vitest";
import { BrokerMetrics, partitionSeriesMax } from "./broker-metrics.ts";
import { parseExposition } from "./exposition-parser.ts";
import { MetricsRegistry } from "./metrics.ts";

function metricsOf(): [BrokerMetrics, MetricsRegistry] {
  const registry = new MetricsRegistry();
  return [new BrokerMetrics(registry, "1.2.3"), registry];
}

const memory = {
  budgetBytes: 100,
  accounts: {
    produce: 10,
    records: 50,
  },
  reclaimableBytes: 40,
  isPaused: true,
  pauseCount: 1,
  waitingCount: 2,
  hitCount: 7,
  missCount: 1,
  offloadedChunkCount: 3,
};

test("every metric has a help text and a name of the broker's own", () => {
  const [, registry] = metricsOf();
  for (const { name, help } of registry.families()) {
    expect(name).toMatch(/^oz_/);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
  }
});

test("what is reported twice is there once, and totals never go back", () => {
  const [metrics, registry] = metricsOf();
  metrics.reportMemory(memory);
  metrics.reportMemory({ ...memory, isPaused: false, hitCount: 5 });
  const text = registry.expose();
  expect(parseExposition(text).kind).toBe("parsed");
  expect(text).toContain('oz_memory_reserved_bytes{account="records"} 50\n');
  expect(text).toContain("oz_memory_paused 0\n");
  expect(text).toContain('oz_store_reads_total{source="memory"} 7\n');
});

test("a deleted topic is in no scrape any more", () => {
  const [metrics, registry] = metricsOf();
  metrics.topic("orders").producedRecords.add(5);
  metrics.reportPartition({ topic: "orders", partition: 1, startOffset: 0, endOffset: 5, sizeBytes: 100 });
  metrics.reportLag({ group: "g", topic: "orders", partition: 1, records: 2 });
  expect(registry.expose()).toContain('topic="orders"');
  metrics.topicDeleted("orders", 2);
  metrics.lagEnded("g", "orders", 1);
  expect(registry.expose()).not.toContain("orders");
});

test("a topic of many partitions has one series of each kind, and none when it is deleted", () => {
  const [metrics, registry] = metricsOf();
  const reports = (count: number) =>
    Array.from({ length: count }, (_, partition) => {
      return { topic: `t${count}`, partition, startOffset: 1, endOffset: 5, sizeBytes: 100 };
    });
  const lines = (): string[] =>
    registry
      .expose()
      .split("\n")
      .filter((line) => line.startsWith("oz_log_"));
  metrics.reportTopic(`t${partitionSeriesMax}`, reports(partitionSeriesMax));
  expect(lines()).toHaveLength(3 * partitionSeriesMax);
  metrics.topicDeleted(`t${partitionSeriesMax}`, partitionSeriesMax);
  const count = partitionSeriesMax + 1;
  metrics.reportTopic(`t${count}`, reports(count));
  expect(lines().toSorted()).toEqual([
    `oz_log_end_offset{topic="t${count}",partition="all"} ${5 * count}`,
    `oz_log_size_bytes{topic="t${count}",partition="all"} ${100 * count}`,
    `oz_log_start_offset{topic="t${count}",partition="all"} ${count}`,
  ]);
  metrics.topicDeleted(`t${count}`, count);
  expect(lines()).toEqual([]);
});

test("a closed connection is no longer open, and its reason is counted", () => {
  const [metrics, registry] = metricsOf();
  metrics.connections.add(1);
  metrics.connectionClosed("idle");
  expect(registry.expose()).toMatch(
    /oz_connections 0\n[\s\S]*oz_connections_closed_total\{reason="idle"\} 1\n/,
  );
});

test("what alerts watch is there from the start, at zero: a counter that is born at one shows no increase", () => {
  const [, registry] = metricsOf();
  const text = registry.expose();
  expect(text).toContain('oz_disk_errors_total{code="input-output"} 0\n');
  expect(text).toContain('oz_wide_events_total{result="dropped"} 0\n');
  expect(text).toContain('oz_rejections_total{code="overloaded"} 0\n');
});
