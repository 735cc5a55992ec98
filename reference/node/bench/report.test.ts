import { expect, test } from "vitest";
import type { BenchOptions } from "./bench.ts";
import type { Round } from "./report.ts";
import { formatReport, median, summarize } from "./report.ts";

const options: BenchOptions = {
  work: "produce",
  server: undefined,
  recordBytes: 100,
  batch: 100,
  connections: 1,
  outstanding: 16,
  seconds: 5,
  rounds: 3,
  rate: undefined,
  acks: "quorum",
  partitions: 1,
  fsync: "everysec",
  preEncoded: false,
  growing: false,
  against: "redis",
  cluster: undefined,
  tls: false,
};

function round(ours: number, peer: number): Round {
  const latencyUs = { p50: ours, p99: 2 * ours, p999: 3 * ours };
  return {
    recordsPerSecond: ours,
    requestsPerSecond: ours / 100,
    bytesPerSecond: ours * 100,
    latencyUs,
    peers: { redis: peer },
  };
}

test("the median is the middle, or the mean of the two in the middle", () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("a ratio is the median of the rounds' ratios, not the ratio of the medians", () => {
  const { median: middle, peers } = summarize(options, [round(100, 100), round(400, 50), round(300, 200)]);
  expect(middle.recordsPerSecond).toBe(300);
  expect(middle.latencyUs).toEqual({ p50: 300, p99: 600, p999: 900 });
  expect(peers).toEqual([{ name: "redis", recordsPerSecond: 100, ratio: 1.5 }]);
});

test("one request at a time is compared by requests", () => {
  const { peers } = summarize({ ...options, work: "rtt" }, [round(1000, 5)]);
  expect(peers[0]?.ratio).toBe(2);
});

test("the report says what was measured", () => {
  expect(formatReport(summarize(options, [round(1_234_567, 100_000)]))).toEqual([
    "produce: median of 1 rounds of 5 s, fsync everysec",
    "  100-byte records, 100 a request, 1 × 16 under way",
    "  1,234,567 records/s, 123.5 MB/s",
    "  latency p50 1234567 µs, p99 2469134 µs, p99.9 3703701 µs",
    "  redis: 100,000 records/s, ratio 12.35",
  ]);
});

test("the report of a cluster says how its nodes speak", () => {
  const first = (more: Partial<BenchOptions>) =>
    formatReport(summarize({ ...options, cluster: 3, ...more }, [round(1, 1)]))[0];
  expect(first({})).toBe("produce: median of 1 rounds of 5 s, cluster of 3, fsync always");
  expect(first({ tls: true })).toBe(
    "produce: median of 1 rounds of 5 s, cluster of 3 with TLS, fsync always",
  );
});

test("idle connections are reported by what each of them holds", () => {
  const held = { ...round(1, 1), residentBytesPerConnection: 4000, heapBytesPerConnection: 1200, peers: {} };
  const again = { ...held, residentBytesPerConnection: 2 };
  const rounds = [held, again, again];
  const [, line] = formatReport(summarize({ ...options, work: "connections", connections: 10_000 }, rounds));
  expect(line).toBe("  10000 connections, each 4000 bytes resident, 1200 of them JavaScript heap");
});
