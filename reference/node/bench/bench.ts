/** One benchmark: its servers, its rounds, and what they add up to. */
import { ProtocolError } from "../../client/protocol-error.ts";
import { Client } from "../client.ts";
import { consumeLoad, holdConnections } from "./consume-load.ts";
import type { Peer, PeerServer } from "./peer.ts";
import { openLoad } from "./open-load.ts";
import { produceLoad } from "./produce-load.ts";
import type { ProduceLoad } from "./produce-load.ts";
import type { BenchReport, Round } from "./report.ts";
import { formatReport, summarize } from "./report.ts";
import type { ServerProcess } from "./server-process.ts";
import { spawnServer } from "./server-process.ts";

/** What `oz bench` was asked for. */
export interface BenchOptions {
  readonly work: "produce" | "consume" | "rtt" | "connections";
  readonly server: string | undefined;
  readonly recordBytes: number;
  readonly batch: number;
  readonly connections: number;
  readonly outstanding: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly rate: number | undefined;
  readonly fsync: "always" | "everysec" | "never";
  readonly preEncoded: boolean;
  readonly against: string | undefined;
}

/** How it went. */
export type BenchOutcome =
  | { readonly kind: "done"; readonly report: BenchReport; readonly lines: readonly string[] }
  | { readonly kind: "misused"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

const warmUpSeconds = 1;
const fetchBytes = 1024 * 1024;
/** Written before a consume benchmark: more than any cache of the processor, little enough to write quickly. */
const consumeBytes = 256 * 1024 * 1024;

/** Runs a benchmark; everything that it starts is stopped when it resolves. */
export async function runBench(options: BenchOptions, say: (message: string) => void): Promise<BenchOutcome> {
  const peers = await loadPeers(options.against);
  if (typeof peers === "string") return { kind: "misused", message: peers };
  const servers: PeerServer[] = [];
  let ours: ServerProcess | undefined;
  try {
    if (options.server === undefined) ours = await spawnServer(serveFlags(options));
    for (const peer of peers) servers.push(await peer.start({ fsync: options.fsync }));
    const address = options.server ?? ours?.address ?? "";
    const rounds: Round[] = [];
    for (let number = 1; number <= options.rounds; number++) {
      say(`round ${number} of ${options.rounds}: offset-zero`);
      const round = await runRound(options, address, number, ours);
      for (const [index, peer] of peers.entries()) {
        say(`round ${number} of ${options.rounds}: ${peer.name}`);
        const { recordBytes, seconds, work } = options;
        if (work === "connections") continue;
        Object.assign(round.peers, await servers[index]?.measure({ kind: work, recordBytes, seconds }));
      }
      rounds.push(round);
    }
    const report = summarize(options, rounds);
    return { kind: "done", report, lines: formatReport(report) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof ProtocolError ? `${error.message} (${error.name})` : error.message;
    return { kind: "failed", message: `benchmark stopped: ${reason}` };
  } finally {
    await ours?.stop();
    for (const server of servers) await server.stop();
  }
}

function serveFlags({ fsync, connections, outstanding }: BenchOptions): string[] {
  const flags = [
    "--fsync",
    fsync,
    "--admin-port",
    "0",
    "--in-flight-max",
    String(Math.max(65_536, outstanding)),
  ];
  return [...flags, "--connections-max", String(Math.max(10_000, connections + 10))];
}

async function loadPeers(against: string | undefined): Promise<Peer[] | string> {
  const peers: Peer[] = [];
  for (const name of against?.split(",") ?? []) {
    if (name === "redis") peers.push((await import("./redis-peer.ts")).redisPeer);
    else if (name === "nats") peers.push((await import("./nats-peer.ts")).natsPeer);
    else return `--against ${name} is not redis or nats`;
  }
  return peers;
}

async function runRound(
  options: BenchOptions,
  address: string,
  number: number,
  server: ServerProcess | undefined,
): Promise<Round> {
  const topic = `bench-${process.pid}-${number}`;
  if (options.work === "connections") return connectionsRound(options, address, server);
  const client = await Client.connect(address);
  try {
    await client.createTopic(topic);
    if (options.work === "consume") return await consumeRound(options, address, topic);
    const load = loadOf(options, address, topic);
    const result = options.rate === undefined ? await produceLoad(load) : await openLoad(load, options.rate);
    const { records, requests, seconds, latencyUs } = result;
    return {
      recordsPerSecond: records / seconds,
      requestsPerSecond: requests / seconds,
      bytesPerSecond: (records * options.recordBytes) / seconds,
      latencyUs: {
        p50: latencyUs.quantile(0.5),
        p99: latencyUs.quantile(0.99),
        p999: latencyUs.quantile(0.999),
      },
      peers: {},
    };
  } finally {
    await client.deleteTopic(topic).catch(() => undefined);
    client.destroy();
  }
}

function loadOf(options: BenchOptions, address: string, topic: string): ProduceLoad {
  const one = options.work === "rtt" ? { batch: 1, connections: 1, outstanding: 1 } : {};
  const { recordBytes, batch, connections, outstanding, seconds, preEncoded: isPreEncoded } = options;
  const load = { address, topic, recordBytes, batch, connections, outstanding, seconds, isPreEncoded };
  return { ...load, ...one, warmUpSeconds };
}

async function consumeRound(options: BenchOptions, address: string, topic: string): Promise<Round> {
  await fill(options, address, topic);
  const { seconds } = options;
  const read = await consumeLoad({ address, topic, seconds, warmUpSeconds, fetchBytes });
  return {
    recordsPerSecond: read.records / read.seconds,
    requestsPerSecond: 0,
    bytesPerSecond: read.bytes / read.seconds,
    peers: {},
  };
}

/** Writes until there is enough to read. */
async function fill(options: BenchOptions, address: string, topic: string): Promise<void> {
  const client = await Client.connect(address);
  const value = new Uint8Array(options.recordBytes).fill(0x61);
  const records = Array.from({ length: options.batch }, () => value);
  let left = Math.ceil(consumeBytes / (options.recordBytes * options.batch));
  const write = async (): Promise<void> => {
    while (left-- > 0) await client.produce(topic, records);
  };
  try {
    await Promise.all(Array.from({ length: 16 }, write));
  } finally {
    client.destroy();
  }
}

async function connectionsRound(
  options: BenchOptions,
  address: string,
  server: ServerProcess | undefined,
): Promise<Round> {
  const client = await Client.connect(address);
  try {
    const before = (await server?.residentBytes()) ?? 0;
    const release = await holdConnections(address, options.connections);
    const pingStartMs = performance.now();
    await client.healthCheck();
    const pingUs = Math.round((performance.now() - pingStartMs) * 1000);
    const after = (await server?.residentBytes()) ?? 0;
    release();
    return {
      recordsPerSecond: 0,
      requestsPerSecond: 0,
      bytesPerSecond: 0,
      latencyUs: { p50: pingUs, p99: pingUs, p999: pingUs },
      residentBytesPerConnection: Math.round((after - before) / options.connections),
      peers: {},
    };
  } finally {
    client.destroy();
  }
}
