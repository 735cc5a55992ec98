/**
 * One node of a simulated cluster: the real broker and the real `Cluster` on a simulated disk and network. A crash
 * takes everything but the disk, and of that what was not synced.
 */
import { crc32 } from "#reference/base/crc32.ts";
import type { SeededRandom } from "#reference/base/prng.ts";
import { Broker } from "../../broker/broker.ts";
import { Cluster } from "../../broker/cluster/cluster.ts";
import type { Identity } from "../../broker/cluster/identity.ts";
import { clusterDirectory, openIdentity } from "../../broker/cluster/identity.ts";
import { RaftJournal } from "../../broker/cluster/journal.ts";
import { OtherFolderError } from "../../broker/cluster/meeting.ts";
import { newConnectionState } from "../../broker/connection-state.ts";
import type { ConnectionState } from "../../broker/connection-state.ts";
import { retentionOf } from "../../broker/housekeeping.ts";
import type { TopicConfig } from "../../broker/topic.ts";
import type { Clock, Random } from "../../ports.ts";
import { DiskError } from "../../ports.ts";
import { ConnectionHub } from "../../protocol/connection.ts";
import { SimulatedDisk, type DiskCall, type DiskPlan } from "../../simulator/disk.ts";
import type { FaultyDisk } from "../../simulator/faults.ts";
import type { Latency } from "../../simulator/latency.ts";
import { drawLatencyMs } from "../../simulator/latency.ts";
import type { SimulatedProcess } from "../../simulator/process.ts";
import { usPerMs } from "../../simulator/scheduler.ts";
import type { Simulation } from "../../simulator/simulation.ts";
import { Log } from "../../storage/log.ts";
import { ScriptedConnection } from "../scripted-connection.ts";
import { NodeTalk } from "./node-talk.ts";
import type { ClusterPayload } from "./payload.ts";

/** What a node is made of. */
export interface SimulatedNodeOptions {
  readonly simulation: Simulation<ClusterPayload>;
  readonly name: string;
  /** The first members. */
  readonly names: readonly string[];
  /** The node joins a cluster that is there. */
  readonly isJoining?: boolean;
  readonly diskLatency: Latency;
  readonly clockRate: number;
  /** Whether compacted topics are compacted, as often as there is anything to do. */
  readonly compacts?: boolean;
  /** All its folders have the same id: what the cluster would be without them. */
  readonly forgetsFolders?: boolean;
  /** Told of what only a bug explains. */
  readonly onBug: (what: string) => void;
}

const frameSizeMax = 2 ** 20;
/** Few keys at once, so that a log takes several rounds. */
const hastyCompaction = { intervalMs: 150, growthPercent: 0, tombstoneKeepMs: 300, keysMax: 12 };

/** A connection whose other end is a client somewhere on the network. */
class ClientConnection extends ScriptedConnection {
  readonly #send: (bytes: Uint8Array) => void;

  constructor(send: (bytes: Uint8Array) => void) {
    super();
    this.#send = send;
  }

  override write(bytes: Uint8Array): boolean {
    if (this.state === "open") this.#send(bytes.slice());
    return true;
  }
}

/** One node. */
export class SimulatedNode implements FaultyDisk {
  readonly name: string;
  readonly process: SimulatedProcess;
  slowness = 1;
  isFailing = false;
  cluster: Cluster | undefined;
  broker: Broker | undefined;
  readonly #options: SimulatedNodeOptions;
  readonly #random: SeededRandom;
  disk: SimulatedDisk;
  #connections = new Map<string, ClientConnection>();
  #hub: ConnectionHub<ConnectionState> | undefined;
  /** Whether the disk failed since the last start: then the node may stop. */
  #hasFailed = false;
  #talk: NodeTalk | undefined;
  /** Everything at once is lost with the power, and not only the process. */
  losesPower = false;

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    const { simulation, name, clockRate } = options;
    this.name = name;
    this.#random = simulation.fork(`node ${name}`);
    this.process = simulation.addProcess(name, () => this.#boot(), { rate: clockRate });
    this.process.onCrash = () => this.#crashed();
    this.disk = new SimulatedDisk(this.#plan());
    simulation.network.attach(name, (payload, from) => this.#receive(payload, from), this.process);
  }

  /** Whether the node has begun to take part. */
  get isServing(): boolean {
    return this.process.isUp && this.cluster !== undefined;
  }

  /** Whether the node may take part: all first ones have met. */
  get hasBegun(): boolean {
    return this.#talk?.identity.hasBegun === true;
  }

  /** The disk breaks, and the node starts again with an empty one. */
  loseFolder(): void {
    if (!this.process.isDown) this.process.crash();
    this.disk = new SimulatedDisk(this.#plan());
    this.process.start();
  }

  #plan(): DiskPlan {
    return { gate: (call) => this.#gate(call) };
  }

  /** Only a sync takes time, and only then can it fail: all else is the page cache's. */
  #gate({ operation, path }: DiskCall): Promise<void> | undefined {
    if (operation !== "sync" && operation !== "syncDirectory") return undefined;
    const { simulation, diskLatency } = this.#options;
    const delayMs = drawLatencyMs(diskLatency, this.#random) * this.slowness;
    const { incarnation } = this.process;
    return new Promise((resolve, reject) => {
      simulation.scheduler.after(delayMs * usPerMs, () => {
        if (this.process.incarnation !== incarnation) return;
        this.process.receive(() => {
          if (!this.isFailing) return resolve();
          this.isFailing = false;
          this.#hasFailed = true;
          reject(new DiskError("input-output", operation, path));
        });
      });
    });
  }

  #crashed(): void {
    this.cluster = undefined;
    this.broker = undefined;
    this.#hub = undefined;
    this.#talk = undefined;
    this.#connections.clear();
    const isPower = this.losesPower || this.#random.nextChance(0.5);
    const survival = isPower
      ? ({ kind: "random", seed: this.#random.nextUint32() } as const)
      : ({ kind: "everything" } as const);
    this.disk = this.disk.restart(survival, this.#plan());
  }

  #boot(): void {
    const { incarnation } = this.process;
    this.#hasFailed = false;
    this.#start(incarnation).catch((error: unknown) => {
      if (this.process.incarnation !== incarnation || this.process.isDown) return;
      if (!this.#hasFailed)
        this.#options.onBug(`${this.name} does not start: ${String((error as Error).stack)}`);
      this.process.crash("halt");
      this.#options.simulation.scheduler.after(500 * usPerMs, () => {
        if (this.process.isDown) this.process.start();
      });
    });
  }

  async #start(incarnation: number): Promise<void> {
    const { disk } = this;
    const { simulation, names, name, onBug } = this.#options;
    const { clock } = this.process;
    const isAlive = (): boolean => this.process.incarnation === incarnation && !this.process.isDown;
    const members = new Map(names.map((member) => [member, member]));
    const random = simulation.fork(`${name} ${incarnation}`);
    const identity = await this.#identify(members, disk, random);
    if (identity === undefined) return;
    const send = (to: string, payload: ClusterPayload): void => {
      if (isAlive()) simulation.network.send(name, to, payload);
    };
    const talk = new NodeTalk({ identity, clock, frameSizeMax, send });
    this.#talk = talk;
    const limits = { frameSizeMax, recordSizeMax: 2 ** 19, inFlightMax: 100, idleTimeoutMs: 10 ** 9 };
    const report = (error: unknown): void => onBug(`${name}: ${String((error as Error).stack)}`);
    const broker = await Broker.open({
      disk,
      clock,
      random,
      openLog: logsOn(disk, clock),
      limits,
      ...(this.#options.compacts === true && { compaction: hastyCompaction }),
      onBug: report,
    });
    const journal = await RaftJournal.open(disk, `${clusterDirectory}/journal`, crc32, 16 * 1024);
    if (journal.kind === "damaged") return onBug(`${name}: ${journal.problem}`);
    const { first } = identity;
    const cluster = new Cluster({
      broker,
      identity,
      addresses: members,
      journal: journal.journal,
      bootstrap: first.length === 0 ? undefined : { voters: first, oldVoters: [], learners: [] },
      peers: {
        send: (to, frame) => {
          if (isAlive()) talk.send(to, frame);
        },
        update: () => {},
        source: (to) => talk.source(to),
        identify: (to) => talk.introduce(to),
      },
      checksum: crc32,
      clock,
      random,
      // Twice as hasty as in earnest: more happens in the same time.
      raft: { electionTimeoutMinMs: 250, electionTimeoutMaxMs: 500, heartbeatMs: 50 },
      entryBytes: { all: 4096, max: 4096, min: 1024, metadata: 4096 },
      schedule: (run) => void clock.after(0, run),
      onHalt: (error) => {
        if (!isAlive()) return;
        if (!this.#hasFailed && !(error instanceof OtherFolderError)) report(error);
        this.process.crash("halt");
        simulation.scheduler.after(500 * usPerMs, () => {
          if (this.process.isDown) this.process.start();
        });
      },
    });
    const problem = await cluster.start();
    if (!isAlive()) return;
    if (problem !== undefined) return onBug(`${name}: ${problem}`);
    this.#serve(broker, cluster, report);
  }

  async #identify(
    members: ReadonlyMap<string, string>,
    disk: SimulatedDisk,
    random: Random,
  ): Promise<Identity | undefined> {
    const { name: node, isJoining = false, forgetsFolders, onBug } = this.#options;
    // With the same number each time, a folder that was lost cannot be told from the one that takes its place.
    const drawn = forgetsFolders === true ? { nextUint32: () => 1 } : random;
    const opened = await openIdentity(disk, { node, members, isJoining, checksum: crc32, random: drawn });
    if (opened.kind === "refused") {
      onBug(opened.problem);
      return undefined;
    }
    await opened.identity.store();
    return opened.identity;
  }

  #serve(broker: Broker, cluster: Cluster, report: (error: unknown) => void): void {
    broker.takePart(cluster);
    if (this.#options.compacts === true) broker.startHousekeeping();
    this.cluster = cluster;
    this.broker = broker;
    this.#hub = new ConnectionHub<ConnectionState>({
      clock: this.process.clock,
      handler: {
        opened: newConnectionState,
        request: (connection, bytes, view, start, end) => broker.request(connection, bytes, view, start, end),
        crashed: (_connection, error) => report(error),
        closed: (connection) => broker.closed(connection),
      },
    });
  }

  #receive(payload: ClusterPayload, from: string): void {
    const { cluster } = this;
    if (cluster === undefined) return;
    if (payload.kind === "request") return this.#connectionOf(from)?.deliver(payload.bytes);
    if (payload.kind !== "response") this.#talk?.hear(cluster, payload, from);
  }

  #connectionOf(client: string): ClientConnection | undefined {
    const known = this.#connections.get(client);
    if (known?.state === "open") return known;
    const { incarnation } = this.process;
    const { network } = this.#options.simulation;
    const connection = new ClientConnection((bytes) => {
      if (this.process.incarnation !== incarnation || this.process.isDown) return;
      network.send(this.name, client, { kind: "response", bytes });
    });
    this.#connections.set(client, connection);
    this.#hub?.accept(connection);
    return connection;
  }
}

/** Small segments, so that they come and go. */
function logsOn(disk: SimulatedDisk, clock: Clock) {
  return (directory: string, config?: TopicConfig): Promise<Log> =>
    Log.open({
      disk,
      directory,
      clock,
      fsync: "always",
      segmentBytesMax: 2048,
      recycledMax: 2,
      ...(config !== undefined && { retention: retentionOf(config, { retentionMs: 0, retentionBytes: 0 }) }),
    });
}
