/** One benchmark: its servers, its rounds, and what they add up to. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProtocolError } from "../../client/protocol-error.ts";
import type { Acks } from "../../protocol/acks.ts";
import { Client } from "../client.ts";
import { consumeLoad, holdConnections } from "./consume-load.ts";
import type { Peer, PeerServer } from "./peer.ts";
import { openLoad } from "./open-load.ts";
import { produceLoad } from "./produce-load.ts";
import type { ProduceLoad } from "./produce-load.ts";
import type { BenchReport, Round } from "./report.ts";
import { formatReport, summarize } from "./report.ts";
import { spawnCluster } from "./cluster-process.ts";
import type { ServerProcesses } from "./cluster-process.ts";
import type { ServerProcess } from "./server-process.ts";
import { spawnServer } from "./server-process.ts";
import { tlsFlags, writeThrowawayCertificates } from "../throwaway-certificates.ts";

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
  readonly acks: Acks;
  readonly partitions: number;
  readonly fsync: "always" | "everysec" | "never";
  readonly preEncoded: boolean;
  /** Write into a topic that keeps everything, whose files grow. */
  readonly growing: boolean;
  readonly against: string | undefined;
  /** The nodes of the cluster speak TLS, to each other and to the load. */
  readonly tls: boolean;
  /** Start so many nodes in place of one server; peers keep as many copies. */
  readonly cluster: number | undefined;
}

/** How it went. */
export type BenchOutcome =
  | { readonly kind: "done"; readonly report: BenchReport; readonly lines: readonly string[] }
  | { readonly kind: "misused"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

const warmUpSeconds = 1;
const fetchBytes = 256 * 1024;
/** Written before a consume benchmark: more than any cache of the processor, little enough to write quickly. */
const consumeBytes = 256 * 1024 * 1024;
/** What a topic keeps that is written to. */
const keptBytes = 256 * 1024 * 1024;

/** Runs a benchmark; everything that it starts is stopped when it resolves. */
export async function runBench(options: BenchOptions, say: (message: string) => void): Promise<BenchOutcome> {
  const misuse = judgeCluster(options);
  if (misuse !== undefined) return { kind: "misused", message: misuse };
  const peers = await loadPeers(options.against);
  if (typeof peers === "string") return { kind: "misused", message: peers };
  const servers: PeerServer[] = [];
  let ours: BenchServers | undefined;
  let measured: ServerProcess | undefined;
  try {
    if (options.work === "connections" && options.server === undefined) {
      measured = await spawnServer(serveFlags(options), { isMeasured: true });
      ours = { ...measured, tls: undefined };
    } else {
      ours = await startServers(options);
    }
    const copies = options.cluster ?? 1;
    for (const peer of peers) servers.push(await peer.start({ fsync: options.fsync, copies }));
    const address = options.server ?? ours?.address ?? "";
    const tls = ours?.tls;
    say("making a topic");
    const topic = options.work === "connections" ? "" : await makeTopic(options, address, tls);
    const rounds: Round[] = [];
    for (let number = 1; number <= options.rounds; number++) {
      say(`round ${number} of ${options.rounds}: offset-zero`);
      const round =
        options.work === "connections"
          ? await connectionsRound(options, address, measured)
          : await runRound(options, address, topic, tls);
      for (const [index, peer] of peers.entries()) {
        say(`round ${number} of ${options.rounds}: ${peer.name}`);
        const { work: kind, recordBytes, seconds, batch, connections, outstanding } = options;
        if (kind === "connections") continue;
        const work = { kind, recordBytes, seconds, batch, connections, outstanding };
        Object.assign(round.peers, await servers[index]?.measure(work));
      }
      rounds.push(round);
    }
    const report = summarize(options, rounds);
    return { kind: "done", report, lines: formatReport(report) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof ProtocolError ? `${error.message} (${error.name})` : error.message;
    const lastWords = (await ours?.lastWords()) ?? "";
    return { kind: "failed", message: `benchmark stopped: ${reason}${lastWords && `; ${lastWords}`}` };
  } finally {
    await ours?.stop();
    for (const server of servers) await server.stop();
  }
}

/** Peers that keep copies, or show what copies cost. */
const clusterPeers: ReadonlySet<string> = new Set(["alone", "plain", "nats"]);

/** Why a cluster cannot be measured in this way. */
function judgeCluster(options: BenchOptions): string | undefined {
  const { cluster, server, work, preEncoded, against, tls } = options;
  const wantsPlain = against?.split(",").includes("plain") === true;
  if (cluster === undefined && wantsPlain) return "--against plain is for --cluster N --tls: what TLS costs";
  if (cluster === undefined) return tls ? "--tls is for a cluster: say --cluster N" : undefined;
  if (wantsPlain && !tls) return "--against plain compares with --tls: say that, too";
  if (tls && work === "consume") return "--tls is for produce and rtt";
  if (server !== undefined) return "--cluster starts nodes of its own: leave --server out";
  if (work === "connections") return "--cluster is for produce, consume and rtt";
  if (preEncoded) return "--pre-encoded goes to one server and does not follow a cluster's leaders";
  const other = against?.split(",").find((name) => !clusterPeers.has(name));
  if (other === undefined) return undefined;
  return `--against ${other} keeps no copies: with --cluster, ${[...clusterPeers].join(" and ")} do`;
}

/** Our servers, and how to speak to them. */
type BenchServers = ServerProcesses & { readonly tls: ProduceLoad["tls"] };

async function startServers(options: BenchOptions): Promise<BenchServers | undefined> {
  const { cluster, server } = options;
  if (server !== undefined) return undefined;
  if (cluster === undefined) return { ...(await spawnServer(serveFlags(options))), tls: undefined };
  // A node syncs what it promises, whatever is asked for.
  const flags = serveFlags({ ...options, fsync: "always" });
  if (!options.tls) return { ...(await spawnCluster(cluster, flags)), tls: undefined };
  const folder = await mkdtemp(join(tmpdir(), "oz-bench-tls-"));
  const files = await writeThrowawayCertificates(folder, Date.now());
  const tls = { ca: await readFile(files.authority) };
  const started = await spawnCluster(cluster, [...flags, ...tlsFlags(files)], { tls });
  const stop = async (): Promise<void> => {
    await started.stop();
    await rm(folder, { recursive: true });
  };
  return { ...started, tls, stop };
}

function serveFlags({ fsync, connections, outstanding }: BenchOptions): string[] {
  const flags = ["--fsync", fsync, "--in-flight-max", String(Math.max(65_536, outstanding))];
  return [...flags, "--connections-max", String(Math.max(10_000, connections + 10))];
}

/** Peers by name. Each is loaded when it is asked for: what it needs may not be there. */
const knownPeers: Readonly<Record<string, () => Promise<Peer>>> = {
  alone: async () => (await import("./alone-peer.ts")).alonePeer,
  plain: async () => (await import("./plain-peer.ts")).plainPeer,
  redis: async () => (await import("./redis-peer.ts")).redisPeer,
  ioredis: async () => (await import("./redis-clients.ts")).ioredisPeer,
  "node-redis": async () => (await import("./redis-clients.ts")).nodeRedisPeer,
  nats: async () => (await import("./nats-peer.ts")).natsPeer,
  "nats-client": async () => (await import("./nats-client.ts")).natsClientPeer,
  iperf3: async () => (await import("./iperf-peer.ts")).iperfPeer,
};

async function loadPeers(against: string | undefined): Promise<Peer[] | string> {
  const peers: Peer[] = [];
  for (const name of against?.split(",") ?? []) {
    const load = Object.hasOwn(knownPeers, name) ? knownPeers[name] : undefined;
    if (load === undefined) return `--against ${name} is not one of ${Object.keys(knownPeers).join(", ")}`;
    peers.push(await load());
  }
  return peers;
}

async function runRound(
  options: BenchOptions,
  address: string,
  topic: string,
  tls: ProduceLoad["tls"],
): Promise<Round> {
  if (options.work === "consume") return consumeRound(options, address, topic);
  const load = { ...loadOf(options, address, topic), ...(tls !== undefined && { tls }) };
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
}

/**
 * Makes the topic that all rounds use. What is read is written first. What is written to has been full for a while: a
 * log that keeps a limited size writes over its own old files, and that is what it does for nearly all of its life.
 */
async function makeTopic(options: BenchOptions, address: string, tls?: ProduceLoad["tls"]): Promise<string> {
  const topic = `bench-${process.pid}`;
  const client = await Client.connect(address, { tls: tls ?? false });
  try {
    if (options.work === "consume") {
      await client.createTopic(topic);
      await fill(client, topic, options, consumeBytes);
    } else if (options.growing || options.cluster !== undefined) {
      await client.createTopic(topic, { partitions: options.partitions });
    } else {
      const { partitions } = options;
      const retentionBytes = Math.ceil(keptBytes / partitions);
      await client.createTopic(topic, { partitions, retentionBytes });
      await fill(client, topic, { recordBytes: 1024, batch: 100 }, 2 * keptBytes, partitions);
    }
    return topic;
  } finally {
    client.destroy();
  }
}

function loadOf(options: BenchOptions, address: string, topic: string): ProduceLoad {
  const one = options.work === "rtt" ? { batch: 1, connections: 1, outstanding: 1 } : {};
  const { recordBytes, batch, connections, outstanding, seconds, preEncoded: isPreEncoded } = options;
  const { acks, partitions } = options;
  const load = { address, topic, recordBytes, batch, connections, outstanding, seconds, isPreEncoded, acks };
  return { ...load, ...one, partitions, warmUpSeconds };
}

async function consumeRound(options: BenchOptions, address: string, topic: string): Promise<Round> {
  const { seconds } = options;
  const read = await consumeLoad({ address, topic, seconds, warmUpSeconds, fetchBytes });
  return {
    recordsPerSecond: read.records / read.seconds,
    requestsPerSecond: 0,
    bytesPerSecond: read.bytes / read.seconds,
    peers: {},
  };
}

/** Writes so many bytes of records. */
async function fill(
  client: Client,
  topic: string,
  { recordBytes, batch }: { readonly recordBytes: number; readonly batch: number },
  bytes: number,
  partitions = 1,
): Promise<void> {
  const value = new Uint8Array(recordBytes).fill(0x61);
  const records = Array.from({ length: batch }, () => value);
  let left = Math.ceil(bytes / (recordBytes * batch));
  const write = async (): Promise<void> => {
    while (left-- > 0) await client.produce(topic, records, { partition: left % partitions });
  };
  await Promise.all(Array.from({ length: 16 }, write));
}

/** What idle connections cost, and whether all of them are answered in time while another one produces. */
async function connectionsRound(
  options: BenchOptions,
  address: string,
  server: ServerProcess | undefined,
): Promise<Round> {
  const topic = `bench-${process.pid}`;
  const client = await Client.connect(address);
  try {
    await client.createTopic(topic, { retentionBytes: keptBytes });
    const before = await memoryOf(server);
    const held = await holdConnections(address, options.connections);
    const after = await memoryOf(server);
    const each = (bytes: number): number => Math.round(bytes / options.connections);
    const load = { ...loadOf(options, address, topic), partitions: 1, connections: 1, warmUpSeconds: 0 };
    const produced = produceLoad(load);
    const latencyUs = await held.pingAll();
    const { records, requests, seconds } = await produced;
    held.release();
    return {
      recordsPerSecond: records / seconds,
      requestsPerSecond: requests / seconds,
      bytesPerSecond: (records * options.recordBytes) / seconds,
      latencyUs: {
        p50: latencyUs.quantile(0.5),
        p99: latencyUs.quantile(0.99),
        p999: latencyUs.quantile(0.999),
      },
      residentBytesPerConnection: each(after.resident - before.resident),
      heapBytesPerConnection: each(after.heap - before.heap),
      peers: {},
    };
  } finally {
    await client.deleteTopic(topic).catch(() => undefined);
    client.destroy();
  }
}

/** Resident memory first: the collection before the heap is read must not flatter it. */
async function memoryOf(server: ServerProcess | undefined): Promise<{ resident: number; heap: number }> {
  return { resident: (await server?.residentBytes()) ?? 0, heap: (await server?.heapBytes()) ?? 0 };
}
