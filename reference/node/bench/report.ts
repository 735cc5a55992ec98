/** From rounds to a report: medians, ratios, and a table. */
import type { BenchOptions } from "./bench.ts";

/** Percentiles of the time from a request to its answer, in microseconds. */
export interface LatencyUs {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** One measurement of ours, and of each peer right after it. */
export interface Round {
  readonly recordsPerSecond: number;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly latencyUs?: LatencyUs;
  readonly residentBytesPerConnection?: number;
  readonly heapBytesPerConnection?: number;
  /** Records a second of each peer and way of driving it. */
  readonly peers: Record<string, number>;
}

/** How a peer compares. */
export interface PeerSummary {
  readonly name: string;
  readonly recordsPerSecond: number;
  /** The median of the rounds' ratios, ours to the peer's. */
  readonly ratio: number;
}

/** A whole benchmark. */
export interface BenchReport {
  readonly work: BenchOptions["work"];
  readonly options: Omit<BenchOptions, "work">;
  readonly rounds: readonly Round[];
  readonly median: Omit<Round, "peers">;
  readonly peers: readonly PeerSummary[];
}

/** The middle value; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Adds the rounds up. */
export function summarize({ work, ...options }: BenchOptions, rounds: readonly Round[]): BenchReport {
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const hasLatency = rounds.every((round) => round.latencyUs !== undefined);
  const hasMemory = rounds.every((round) => round.residentBytesPerConnection !== undefined);
  const names = Object.keys(rounds[0]?.peers ?? {});
  const peers = names.map((name) => ({
    name,
    recordsPerSecond: of((round) => round.peers[name] ?? Number.NaN),
    ratio: of((round) => valueOf(work, round) / (round.peers[name] ?? Number.NaN)),
  }));
  return {
    work,
    options,
    rounds,
    median: {
      recordsPerSecond: of((round) => round.recordsPerSecond),
      requestsPerSecond: of((round) => round.requestsPerSecond),
      bytesPerSecond: of((round) => round.bytesPerSecond),
      ...(hasLatency && {
        latencyUs: {
          p50: of((round) => round.latencyUs?.p50 ?? 0),
          p99: of((round) => round.latencyUs?.p99 ?? 0),
          p999: of((round) => round.latencyUs?.p999 ?? 0),
        },
      }),
      ...(hasMemory && {
        // A server that has held as many before has the memory already: only the first round is of a fresh one.
        residentBytesPerConnection: rounds[0]?.residentBytesPerConnection ?? 0,
        heapBytesPerConnection: of((round) => round.heapBytesPerConnection ?? 0),
      }),
    },
    peers,
  };
}

/** What is compared with a peer. */
function valueOf(work: BenchOptions["work"], round: Round): number {
  return work === "rtt" ? round.requestsPerSecond : round.recordsPerSecond;
}

/** The report as lines for people. */
export function formatReport({ work, options, median: middle, peers, rounds }: BenchReport): string[] {
  const { recordBytes, batch, connections, outstanding, fsync, acks, partitions } = options;
  const { cluster, tls } = options;
  const nodes = `cluster of ${String(cluster)}${tls ? " with TLS" : ""}, fsync always`;
  const synced = cluster === undefined ? `fsync ${fsync}` : nodes;
  const safety = acks === "leader" ? `${synced}, acks leader` : synced;
  const lines = [`${work}: median of ${rounds.length} rounds of ${options.seconds} s, ${safety}`];
  if (work === "connections") {
    const { residentBytesPerConnection: resident = 0, heapBytesPerConnection: heap = 0 } = middle;
    lines.push(
      `  ${connections} connections, each ${resident} bytes resident, ${heap} of them JavaScript heap`,
    );
    const { p50, p99, p999 } = middle.latencyUs ?? { p50: 0, p99: 0, p999: 0 };
    lines.push(
      `  a ping on all at once while one more produced: p50 ${p50} µs, p99 ${p99} µs, p99.9 ${p999} µs`,
    );
    return lines;
  }
  if (work !== "rtt")
    lines.push(
      `  ${recordBytes}-byte records, ${batch} a request, ${connections} × ${outstanding} under way` +
        (partitions === 1 ? "" : `, ${partitions} partitions`),
    );
  lines.push(
    `  ${thousands(middle.recordsPerSecond)} records/s, ${(middle.bytesPerSecond / 1e6).toFixed(1)} MB/s`,
  );
  if (middle.latencyUs !== undefined) {
    const { p50, p99, p999 } = middle.latencyUs;
    lines.push(`  latency p50 ${p50} µs, p99 ${p99} µs, p99.9 ${p999} µs`);
  }
  for (const { name, recordsPerSecond, ratio } of peers) {
    lines.push(`  ${name}: ${thousands(recordsPerSecond)} records/s, ratio ${ratio.toFixed(2)}`);
  }
  return lines;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en");
}
