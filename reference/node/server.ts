/**
 * A running server: the broker, wired to a folder, a port and a clock.
 *
 * Start-up goes from what can fail cheaply to what costs: the folder, its lock, the logs, and the port last, so that a
 * client that can connect finds a broker that answers. Shutdown is the same way back.
 */
import { createHmac } from "node:crypto";
import type { Checksum, Disk, Listener } from "../ports.ts";
import { DiskError } from "../ports.ts";
import { Broker, frameBytesAroundBatch } from "../broker/broker.ts";
import { OtherFolderError } from "../broker/cluster/meeting.ts";
import { retentionOf } from "../broker/housekeeping.ts";
import type { CompactionLimits } from "../broker/housekeeping.ts";
import { OffsetStore } from "../broker/offset-store.ts";
import type { ConnectionState } from "../broker/connection-state.ts";
import { newConnectionState } from "../broker/connection-state.ts";
import type { BrokerMetrics } from "../observability/broker-metrics.ts";
import type { TopicConfig } from "../broker/topic.ts";
import { ConnectionHub } from "../protocol/connection.ts";
import type { ConnectionHandler } from "../protocol/connection-types.ts";
import { ConsumerOffsets } from "../storage/consumer-offsets.ts";
import { FilePool } from "../storage/file-pool.ts";
import { describeFinding } from "../storage/findings.ts";
import type { LogOptions } from "../storage/log.ts";
import { Log } from "../storage/log.ts";
import { fastChecksum } from "./checksum/fast-crc32.ts";
import { nodeClock, nodeRandom, turnClock } from "./clock.ts";
import type { ClusterNode } from "./cluster.ts";
import { judgeClusterSettings, openCluster, refuseClusterData } from "./cluster.ts";
import { lockDataFolder } from "./data-lock.ts";
import { describeListenError, listenProblem } from "./listen-error.ts";
import { NodeDisk } from "./disk.ts";
import { meteredDisk } from "./metered-disk.ts";
import { onePassChecksum } from "./one-pass-checksum.ts";
import { NodeNetwork, formatAddress, parseAddress } from "./network.ts";
import type { SocketConnection } from "./network.ts";
import { RefusedNodes } from "./refused-nodes.ts";
import { Scavenger, limitYoungGeneration } from "./scavenger.ts";
import type { ServerMemory } from "./server-memory.ts";
import { openMemory } from "./server-memory.ts";
import type { Settings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";
import { startTelemetry } from "./telemetry.ts";
import type { LoadedTls, TlsMaterial } from "./tls.ts";
import { loadTls } from "./tls.ts";

/** A server that accepts connections. */
export interface RunningServer {
  readonly kind: "running";
  /** `host:port`, with the port that was chosen when 0 was asked for. */
  readonly address: string;
  readonly adminPort: number;
  readonly broker: Broker;
  /** Lines about what recovery found, for the operator; usually none. */
  readonly recovered: readonly string[];
  /** Stops accepting, answers what was accepted, flushes and closes. False when something could not be made durable. */
  stop(): Promise<boolean>;
}

/** Why the server did not start, in one line. */
export interface StartProblem {
  readonly kind: "problem";
  readonly message: string;
}

/** What the server tells whoever runs it. */
export interface ServerEvents {
  /** A handler or a connection failed in a way that only a bug explains. */
  readonly onBug: (error: unknown) => void;
  /** Something that an operator should know, in one line. */
  readonly onNotice?: (line: string) => void;
  /**
   * A node of a cluster can do no more and must be stopped: its disk failed, or it has met a bug; or, `isRefused`, the
   * other nodes know it with another data folder.
   */
  readonly onHalt?: (line: string, isRefused: boolean) => void;
}

/** Starts a server. Everything that the environment can do wrong comes back as a problem. */
export async function startServer(
  settings: Settings,
  events: ServerEvents,
): Promise<RunningServer | StartProblem> {
  const part = judgeClusterSettings(settings);
  if (typeof part !== "string") return part;
  const tls = loadTls(settings, nodeClock.wallTimeMs());
  if (tls.kind === "problem") return tls;
  let release = (): void => {};
  try {
    const disk = await NodeDisk.prepare(settings.data);
    const lock = await lockDataFolder(disk.root);
    if (lock.kind === "refused") return { kind: "problem", message: lock.message };
    release = () => lock.release();
    process.once("exit", release);
    const refusal = await refusalToBegin(settings, disk, part);
    if (refusal !== undefined) {
      release();
      return refusal;
    }
    const recovered: string[] = [];
    limitYoungGeneration(settings.memory);
    const telemetry = startTelemetry(settings, events);
    const memory = openMemory(settings);
    const checksums = onePassChecksum(fastChecksum);
    const metered = meteredDisk(disk, telemetry.metrics, () => nodeClock.monotonicTimeMs());
    const broker = await openBroker(settings, metered, events, recovered, telemetry, memory, checksums.batch);
    const node =
      part === "alone"
        ? undefined
        : await openNode(settings, metered, broker, telemetry, tls.material, events);
    if (node?.kind === "problem") {
      await broker.close();
      await telemetry.close();
      release();
      return { kind: "problem", message: `data folder ${settings.data}: ${node.message}` };
    }
    telemetry.watch(broker, memory);
    broker.startHousekeeping();
    const handler = handlerOf(broker, events, telemetry.metrics);
    const hub = makeHub(settings, memory, handler, checksums.frame);
    const listener = await listen(settings, tls, hub, part, events);
    const admin = "address" in listener ? await telemetry.listen(settings, node?.view) : listener;
    if (!("address" in listener) || !("port" in admin)) {
      if ("address" in listener) await listener.close();
      await node?.stop();
      await broker.close();
      await telemetry.close();
      release();
      return "port" in admin ? { kind: "problem", message: "not listening" } : admin;
    }
    const stop = async (): Promise<boolean> => {
      await node?.stop();
      const closed = listener.close();
      broker.beginDrain();
      await hub.drain();
      await closed;
      const isDurable = await broker.close();
      await telemetry.close();
      release();
      return isDurable;
    };
    return { kind: "running", address: listener.address, adminPort: admin.port, broker, recovered, stop };
  } catch (error) {
    release();
    if (error instanceof DiskError)
      return { kind: "problem", message: describeDiskError(error, settings.data) };
    throw error;
  }
}

/** What cannot begin leaves no trace: a folder remembers the addresses with which it was begun. */
async function refusalToBegin(
  settings: Settings,
  disk: Disk,
  part: "alone" | "cluster",
): Promise<StartProblem | undefined> {
  const unheard = await listenProblem(settings);
  if (unheard !== undefined) return { kind: "problem", message: unheard };
  const foreign = part === "alone" ? await refuseClusterData(disk) : undefined;
  if (foreign === undefined) return undefined;
  return { kind: "problem", message: `data folder ${settings.data}: ${foreign.message}` };
}

/** Makes the broker a node of its cluster. */
function openNode(
  settings: Settings,
  disk: Disk,
  broker: Broker,
  { registry }: Telemetry,
  tls: TlsMaterial | undefined,
  { onNotice, onHalt }: ServerEvents,
): Promise<ClusterNode | StartProblem> {
  return openCluster(settings, disk, broker, registry, tls, {
    onNotice: (line) => onNotice?.(line),
    onHalt: (error) => {
      const isRefused = error instanceof OtherFolderError;
      const isDisk = error instanceof DiskError;
      const line = isDisk ? describeDiskError(error, settings.data) : textOf(error);
      onHalt?.(isRefused ? `data folder ${settings.data}: ${error.message}` : line, isRefused);
    },
  });
}

/** Files of removed segments that each log keeps to write over. */
const recycledSegmentsMax = 2;

async function openBroker(
  settings: Settings,
  disk: Disk,
  { onBug }: ServerEvents,
  recovered: string[],
  { observer }: Telemetry,
  memory: ServerMemory,
  batchChecksum: Checksum,
): Promise<Broker> {
  const batchBytesMax = memory.frameSizeMax - frameBytesAroundBatch;
  const retention = { retentionMs: settings.retentionTime, retentionBytes: settings.retentionSize };
  // Shared by all logs: the bounds on open files and on bytes that wait to be written are the process's.
  const files = new FilePool(disk);
  const { buffers, tails, backPressure } = memory;
  const openLog = async (directory: string, config?: TopicConfig): Promise<Log> => {
    const options: LogOptions = {
      disk,
      directory,
      clock: turnClock,
      checksum: batchChecksum,
      fsync: settings.fsync,
      segmentBytesMax: settings.segmentSize,
      recycledMax: recycledSegmentsMax,
      ...(config !== undefined && { retention: retentionOf(config, retention) }),
      batchBytesMax,
      files,
      buffers,
      schedule: (run) => void setImmediate(run),
    };
    const log = await Log.open(options);
    for (const finding of log.findings) recovered.push(describeFinding(finding));
    return log;
  };
  const offsets = settings.node === "" ? await openOffsets(settings, disk, recovered) : undefined;
  return Broker.open({
    disk,
    ...(offsets !== undefined && { offsets }),
    clock: nodeClock,
    random: nodeRandom,
    openLog,
    limits: {
      frameSizeMax: memory.frameSizeMax,
      recordSizeMax: batchBytesMax,
      inFlightMax: settings.inFlightMax,
      idleTimeoutMs: settings.idleTimeout,
    },
    authentication: {
      tokens: settings.tokens,
      hmacSecrets: settings.hmacSecrets,
      hmac: (secret, message) => createHmac("sha256", secret).update(message).digest(),
    },
    observer,
    fetchAccount: memory.accounts.fetch,
    tails,
    backPressure,
    retention,
    compaction: compactionOf(settings),
    ...(settings.requestRate + settings.byteRate > 0 && {
      rates: { requestsPerSecond: settings.requestRate, bytesPerSecond: settings.byteRate },
    }),
    autoCreatePartitions: settings.autoCreateTopics ? settings.partitions : 0,
    onBug,
  });
}

async function openOffsets(settings: Settings, disk: Disk, recovered: string[]): Promise<OffsetStore> {
  const stored = await ConsumerOffsets.open({
    disk,
    path: "offsets/positions",
    clock: nodeClock,
    checksum: fastChecksum,
    fsync: settings.fsync,
  });
  if (stored.skippedBytes > 0)
    recovered.push(`offsets/positions: ${stored.skippedBytes} bytes are no positions and were skipped`);
  return new OffsetStore(stored);
}

/** The memory budget allows one key for so many bytes: with keys of usual length, a tenth of it at most. */
const compactionKeyBytes = 2048;

function compactionOf(settings: Settings): CompactionLimits {
  return {
    intervalMs: settings.compactionInterval,
    growthPercent: settings.compactionGrowth,
    tombstoneKeepMs: settings.tombstoneTime,
    keysMax: Math.floor(settings.memory / compactionKeyBytes),
  };
}

function makeHub(
  settings: Settings,
  memory: ServerMemory,
  handler: ConnectionHandler<ConnectionState>,
  checksum: Checksum,
): ConnectionHub<ConnectionState> {
  return new ConnectionHub<ConnectionState>({
    clock: nodeClock,
    checksum,
    handler,
    limits: {
      connectionsMax: settings.connectionsMax,
      inFlightMax: settings.inFlightMax,
      frameSizeMax: memory.frameSizeMax,
      inputBytesMax: memory.inputBytes,
      outputBytesMax: Math.max(settings.outputSizeMax, 2 * memory.frameSizeMax),
      idleTimeoutMs: settings.idleTimeout,
      drainTimeoutMs: settings.drainTimeout,
    },
  });
}

function handlerOf(
  broker: Broker,
  { onBug }: ServerEvents,
  metrics: BrokerMetrics,
): ConnectionHandler<ConnectionState> {
  return {
    opened: () => {
      metrics.connections.add(1);
      metrics.connectionsOpened.add();
      return newConnectionState();
    },
    request: (connection, bytes, view, start, end) => broker.request(connection, bytes, view, start, end),
    crashed: (_connection, error) => onBug(error),
    closed: (connection, reason) => {
      metrics.connectionClosed(reason);
      broker.closed(connection);
    },
  };
}

/** Asks whoever says that it is a node for the certificate of that node. */
function judgeOfNodes({ onNotice }: ServerEvents) {
  const refused = new RefusedNodes(nodeClock, (line) => onNotice?.(line));
  return (connection: SocketConnection) =>
    (node: string, address: string): string | undefined => {
      const problem = connection.unprovedIdentity(parseAddress(address)?.host ?? address);
      if (problem !== undefined) refused.note(node, connection.remoteAddress, problem);
      return problem;
    };
}

/** Dead socket buffers are freed each time that so many bytes went through; a sixteenth of the budget, if more. */
const scavengeBytesMin = 4 * 2 ** 20;

async function listen(
  settings: Settings,
  { material, notices }: LoadedTls & { readonly kind: "tls" },
  hub: ConnectionHub<ConnectionState>,
  part: "alone" | "cluster",
  events: ServerEvents,
): Promise<Listener | StartProblem> {
  const scavenger = new Scavenger(Math.max(scavengeBytesMin, settings.memory / 16));
  const onBytes = (count: number): void => scavenger.note(count);
  for (const notice of notices) events.onNotice?.(notice);
  const hasJudge = part === "cluster" && material !== undefined;
  // Nodes show a certificate, and most clients have none to show.
  const tls = hasJudge ? { ...material, requestCert: true, rejectUnauthorized: false } : material;
  const network = new NodeNetwork({ onBytes, ...(tls !== undefined && { tls }) });
  const judgeNode = hasJudge ? judgeOfNodes(events) : undefined;
  const address = formatAddress(settings.host, settings.port);
  try {
    return await network.listen(address, (connection) => {
      const accepted = hub.accept(connection);
      if (accepted !== undefined) accepted.state.judgeNode = judgeNode?.(connection);
    });
  } catch (error) {
    return { kind: "problem", message: describeListenError(error, address, "--port") };
  }
}

/** A failed start-up of the storage, as one line that says what to do. */
function describeDiskError(error: DiskError, folder: string): string {
  const file = error.path === folder || error.path === "" ? "" : ` (${error.operation} ${error.path})`;
  switch (error.code) {
    case "permission-denied":
      return `data folder ${folder}: no permission to read and write there${file}`;
    case "no-space":
      return `data folder ${folder}: the disk is full${file}`;
    case "read-only":
      return `data folder ${folder}: the file system is read-only${file}`;
    case "not-directory":
    case "already-exists":
      return `data folder ${folder}: is not a folder${file}`;
    case "not-found":
      return `data folder ${folder}: no folder can be made there${file}`;
    case "too-many-open-files":
      return `data folder ${folder}: too many open files; raise the limit (ulimit -n)${file}`;
    default:
      return `data folder ${folder}: ${error.message}`;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
