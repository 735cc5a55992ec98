/**
 * Some nodes of a cluster in virtual time, in good weather: real brokers and real Raft, on disks that never lose
 * anything and links that deliver at once. For tests that make one thing happen and look at what comes of it; the bad
 * weather is in simulation.ts.
 */
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { Broker } from "../../broker/broker.ts";
import type { PeerSource } from "../../broker/cluster/cluster-options.ts";
import { Cluster } from "../../broker/cluster/cluster.ts";
import type { EntryBytes } from "../../broker/cluster/groups.ts";
import { clusterDirectory, openIdentity } from "../../broker/cluster/identity.ts";
import { RaftJournal } from "../../broker/cluster/journal.ts";
import type { ConnectionState } from "../../broker/connection-state.ts";
import { newConnectionState } from "../../broker/connection-state.ts";
import type { ErrorOutcome } from "../../broker/outcome.ts";
import { ConnectionHub } from "../../protocol/connection.ts";
import type { DiskCall } from "../../simulator/disk.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { Log } from "../../storage/log.ts";
import { VirtualClock } from "../clock.ts";
import { TestClient } from "../test-broker.ts";

/** How the nodes are made. */
export interface SmallClusterOptions {
  /** Nodes that wait to be added. */
  readonly joining?: readonly string[];
  readonly entryBytes?: EntryBytes;
  readonly partitionsMax?: number;
  readonly proposedBytesMax?: number;
  readonly segmentBytesMax?: number;
}

/** One node. */
export interface SmallNode {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly broker: Broker;
  readonly cluster: Cluster;
  readonly hub: ConnectionHub<ConnectionState>;
  /** What a call of the disk comes to before it is carried out. */
  onDisk: (call: DiskCall) => Promise<void> | undefined;
  /** Why the node gave up; undefined while it has not. */
  halted: unknown;
  /** Frames that the others sent it, the last ones of them. */
  readonly heard: { readonly from: string; readonly frame: Uint8Array }[];
}

const linkMs = 1;
const stepMs = 5;
const untilMs = 30_000;
const heardMax = 1000;

/** The nodes, and the time. */
export class SmallCluster {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<string, SmallNode>();
  /** Links that are cut, as `n1>n2`. */
  readonly cut = new Set<string>();
  /** What only a bug explains. */
  readonly bugs: unknown[] = [];
  /** By node: those that it has a link to. */
  readonly #links = new Map<string, ReadonlySet<string>>();
  readonly #names: readonly string[];
  readonly #options: SmallClusterOptions;

  /** Starts the nodes; resolves when one of them leads. */
  static async open(names: readonly string[], options: SmallClusterOptions = {}): Promise<SmallCluster> {
    const cluster = new SmallCluster(names, options);
    for (const name of [...names, ...(options.joining ?? [])]) await cluster.#start(name);
    await cluster.until(() => cluster.leader !== undefined);
    return cluster;
  }

  private constructor(names: readonly string[], options: SmallClusterOptions) {
    this.#names = names;
    this.#options = options;
  }

  node(name: string): SmallNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** The node that leads the metadata and may answer. */
  get leader(): SmallNode | undefined {
    return [...this.nodes.values()].find(({ cluster, name }) => cluster.state().leader === name);
  }

  /** A client of one node. */
  connect(name: string): TestClient {
    return new TestClient(this.node(name).hub);
  }

  /** Lets time pass until something is so. */
  async until(isSo: () => boolean, withinMs = untilMs): Promise<void> {
    const endMs = this.clock.monotonicTimeMs() + withinMs;
    while (!isSo()) {
      if (this.clock.monotonicTimeMs() >= endMs)
        throw new Error(`not within ${withinMs} ms: ${String(isSo)}`);
      await this.clock.advanceAsync(stepMs);
    }
  }

  /** Lets time pass until a promise settles; tells how long that took as well. */
  async wait<Value>(
    promise: Promise<Value>,
    withinMs = untilMs,
  ): Promise<{ readonly value: Value; readonly tookMs: number }> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    promise.then(settle, settle);
    const startMs = this.clock.monotonicTimeMs();
    await this.until(() => isSettled, withinMs);
    return { value: await promise, tookMs: this.clock.monotonicTimeMs() - startMs };
  }

  /** Makes a topic, and waits until every node has it. */
  async createTopic(topic: string, partitions = 1): Promise<void> {
    const config = { partitions, retentionMs: 0, retentionBytes: 0, isCompacted: false };
    const made = this.leader?.cluster.createTopic(topic, config);
    const problem = made === undefined ? undefined : (await this.wait(made)).value;
    if (problem !== undefined) throw new Error(problem.message);
    const members = [...this.nodes.values()].filter(({ name }) => this.#names.includes(name));
    await this.until(() => members.every(({ broker }) => broker.topics.get(topic) !== undefined));
  }

  async #start(name: string): Promise<void> {
    const { clock, bugs } = this;
    const {
      joining = [],
      entryBytes,
      partitionsMax,
      proposedBytesMax,
      segmentBytesMax = 2 ** 20,
    } = this.#options;
    const random = new SeededRandom(name.length + (name.codePointAt(name.length - 1) ?? 0));
    const disk: SimulatedDisk = new SimulatedDisk({ gate: (call) => this.nodes.get(name)?.onDisk(call) });
    const isJoining = joining.includes(name);
    const known = isJoining ? [...this.#names, name] : this.#names;
    const members = new Map(known.map((member) => [member, member]));
    const opened = await openIdentity(disk, crc32, name, members, isJoining);
    if (opened.kind === "refused") throw new Error(opened.problem);
    const { identity } = opened;
    await identity.store();
    const journal = await RaftJournal.open(disk, `${clusterDirectory}/journal`, crc32);
    if (journal.kind === "damaged") throw new Error(journal.problem);
    const broker = await Broker.open({
      disk,
      clock,
      random,
      openLog: (directory) => Log.open({ disk, directory, clock, fsync: "always", segmentBytesMax }),
      limits: { frameSizeMax: 2 ** 21, recordSizeMax: 2 ** 20, inFlightMax: 100, idleTimeoutMs: 10 ** 9 },
      onBug: (error) => void bugs.push(error),
    });
    const { first } = identity;
    const cluster = new Cluster({
      broker,
      identity,
      addresses: members,
      journal: journal.journal,
      bootstrap: first.length === 0 ? undefined : { voters: first, oldVoters: [], learners: [] },
      peers: {
        send: (to, frame) => this.#send(name, to, frame.slice()),
        update: (addresses) => void this.#links.set(name, new Set(addresses.keys())),
        source: (to) => this.#source(name, to),
      },
      checksum: crc32,
      clock,
      random,
      ...(entryBytes !== undefined && { entryBytes }),
      ...(partitionsMax !== undefined && { partitionsMax }),
      ...(proposedBytesMax !== undefined && { proposedBytesMax }),
      schedule: (run) => void clock.after(0, run),
      onHalt: (error) => (this.node(name).halted = error ?? "halted"),
    });
    const hub = new ConnectionHub<ConnectionState>({
      clock,
      handler: {
        opened: newConnectionState,
        request: (connection, bytes, view, start, end) => broker.request(connection, bytes, view, start, end),
        crashed: (_connection, error) => void bugs.push(error),
        closed: (connection) => broker.closed(connection),
      },
    });
    const nothing = (): undefined => undefined;
    this.nodes.set(name, { name, disk, broker, cluster, hub, onDisk: nothing, halted: undefined, heard: [] });
    const problem = await cluster.start();
    if (problem !== undefined) throw new Error(problem);
    broker.takePart(cluster);
  }

  #send(from: string, to: string, frame: Uint8Array): void {
    this.clock.after(linkMs, () => {
      const node = this.#reach(from, to);
      if (node === undefined) return;
      if (node.heard.push({ from, frame }) > heardMax) node.heard.shift();
      node.cluster.receive(from, frame);
    });
  }

  #source(from: string, to: string): PeerSource {
    const reach = (): SmallNode => {
      const node = this.#reach(from, to);
      if (node === undefined) throw new Error(`${to} cannot be reached`);
      return node;
    };
    const answered = <Reply extends object>(reply: Reply | ErrorOutcome): Reply => {
      if ("kind" in reply && reply.kind === "error") throw new Error(reply.message);
      return reply as Reply;
    };
    return {
      state: async () => reach().cluster.peerState(),
      members: async () => reach().cluster.state().members,
      fetch: async (request) => answered(await reach().cluster.peerFetch(request)),
      transfer: async (target) => {
        const request = { action: "transfer", node: target, address: "" };
        const connection = { state: { peer: from } } as Parameters<Cluster["change"]>[1];
        return reach().cluster.change(request, connection);
      },
    };
  }

  /** A node, when the one that asks has a link to it and is known there. */
  #reach(from: string, to: string): SmallNode | undefined {
    const node = this.nodes.get(to);
    const isKnown = this.#links.get(from)?.has(to) === true && node?.cluster.members.has(from) === true;
    if (!isKnown || node.halted !== undefined || this.cut.has(`${from}>${to}`)) return undefined;
    return node;
  }
}
