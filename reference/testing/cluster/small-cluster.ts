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
import type { Identity } from "../../broker/cluster/identity.ts";
import { RaftJournal } from "../../broker/cluster/journal.ts";
import { introduce, noteAnswer } from "../../broker/cluster/meeting.ts";
import { nameOf } from "../../broker/cluster/member-id.ts";
import type { ConnectionState } from "../../broker/connection-state.ts";
import { newConnectionState } from "../../broker/connection-state.ts";
import type { ErrorOutcome } from "../../broker/outcome.ts";
import { ConnectionHub } from "../../protocol/connection.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
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
  /** All folders of a node have the same id. */
  readonly forgetsFolders?: boolean;
}

/** One node. */
export interface SmallNode {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly broker: Broker;
  readonly cluster: Cluster;
  readonly identity: Identity;
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
/** What its nodes take. */
export const frameSizeMax: number = 2 ** 21;

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
  readonly #identities = new Map<string, Identity>();
  /** Who has introduced itself to whom. */
  readonly #met = new Set<string>();
  #lost = 0;
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

  /** A node ends, loses its disk, and starts again with an empty one. */
  async loseFolder(name: string): Promise<void> {
    this.#lost++;
    await this.#startAgain(name, undefined);
  }

  /** A node ends as if it were killed, and starts again. */
  async restart(name: string): Promise<void> {
    await this.#startAgain(name, this.node(name).disk);
  }

  async #startAgain(name: string, disk: SimulatedDisk | undefined): Promise<void> {
    this.nodes.delete(name);
    this.#links.delete(name);
    for (const pair of this.#met)
      if (pair.split(">").some((end) => nameOf(end) === name)) this.#met.delete(pair);
    await this.#start(name, disk);
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

  async #start(name: string, kept?: SimulatedDisk): Promise<void> {
    const { clock, bugs } = this;
    const { entryBytes, partitionsMax, proposedBytesMax, segmentBytesMax = 2 ** 20 } = this.#options;
    const random = new SeededRandom(name.length + (name.codePointAt(name.length - 1) ?? 0));
    const gate = (call: DiskCall): Promise<void> | undefined => this.nodes.get(name)?.onDisk(call);
    const disk = kept?.restart({ kind: "everything" }, { gate }) ?? new SimulatedDisk({ gate });
    const members = this.#membersFor(name);
    const identity = await this.#identify(name, members, disk, random);
    const journal = await RaftJournal.open(disk, `${clusterDirectory}/journal`, crc32);
    if (journal.kind === "damaged") throw new Error(journal.problem);
    const broker = await Broker.open({
      disk,
      clock,
      random,
      openLog: (directory) => Log.open({ disk, directory, clock, fsync: "always", segmentBytesMax }),
      limits: { frameSizeMax, recordSizeMax: 2 ** 20, inFlightMax: 100, idleTimeoutMs: 10 ** 9 },
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
        send: (to, frame) => {
          // What is left of a node that lost its folder says nothing any more.
          if (this.#identities.get(name) === identity) this.#send(name, to, frame.slice());
        },
        update: (addresses) => void this.#links.set(name, new Set(addresses.keys())),
        source: (to) => this.#source(name, to),
        identify: (to) => this.#introduce(name, to),
      },
      checksum: crc32,
      clock,
      random,
      ...(entryBytes !== undefined && { entryBytes }),
      ...(partitionsMax !== undefined && { partitionsMax }),
      ...(proposedBytesMax !== undefined && { proposedBytesMax }),
      schedule: (run) => void clock.after(0, run),
      onHalt: (error) => {
        if (this.#identities.get(name) === identity) this.node(name).halted = error ?? "halted";
      },
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
    this.nodes.set(name, {
      name,
      disk,
      broker,
      cluster,
      identity,
      hub,
      onDisk: nothing,
      halted: undefined,
      heard: [],
    });
    const problem = await cluster.start();
    if (problem !== undefined) throw new Error(problem);
    broker.takePart(cluster);
  }

  #isJoining(name: string): boolean {
    return this.#options.joining?.includes(name) === true;
  }

  /** What a node's command line says. */
  #membersFor(name: string): ReadonlyMap<string, string> {
    const known = this.#isJoining(name) ? [...this.#names, name] : this.#names;
    return new Map(known.map((member) => [member, member]));
  }

  async #identify(
    name: string,
    members: ReadonlyMap<string, string>,
    disk: SimulatedDisk,
    random: SeededRandom,
  ): Promise<Identity> {
    const isJoining = this.#isJoining(name);
    if (this.#options.forgetsFolders !== true) random = new SeededRandom(random.nextUint32() + this.#lost);
    const opened = await openIdentity(disk, { node: name, members, isJoining, checksum: crc32, random });
    if (opened.kind === "refused") throw new Error(opened.problem);
    await opened.identity.store();
    this.#identities.set(name, opened.identity);
    return opened.identity;
  }

  #send(from: string, to: string, frame: Uint8Array): void {
    const deliver = (): void => {
      const node = this.#reach(from, to);
      if (node === undefined) return;
      if (node.heard.push({ from, frame }) > heardMax) node.heard.shift();
      node.cluster.receive(this.#identity(from).member, frame);
    };
    this.clock.after(linkMs, () => {
      if (this.#met.has(`${from}>${to}`)) deliver();
      else void this.#meet(from, to).then(deliver, () => {});
    });
  }

  #source(from: string, to: string): PeerSource {
    const reach = async (): Promise<SmallNode> => {
      await this.#meet(from, to);
      const node = this.#reach(from, to);
      if (node === undefined) throw new Error(`${to} cannot be reached`);
      return node;
    };
    const answered = <Reply extends object>(reply: Reply | ErrorOutcome): Reply => {
      if ("kind" in reply && reply.kind === "error") throw new Error(reply.message);
      return reply as Reply;
    };
    return {
      state: async () => (await reach()).cluster.peerState(),
      members: async () => (await reach()).cluster.state(true).members,
      fetch: async (request) => answered(await (await reach()).cluster.peerFetch(request)),
      transfer: async (target) => {
        const request = { action: "transfer", node: target, address: "" };
        const connection = { state: { peer: from } } as Parameters<Cluster["change"]>[1];
        return (await reach()).cluster.change(request, connection);
      },
    };
  }

  #identity(name: string): Identity {
    const identity = this.#identities.get(name);
    if (identity === undefined) throw new Error(`no node ${name}`);
    return identity;
  }

  /** The first words of one node to another, once. */
  async #meet(from: string, to: string): Promise<void> {
    if (this.#met.has(`${from}>${to}`)) return;
    await noteAnswer(this.#identity(from), to, await this.#introduce(from, to));
    this.#met.add(`${from}>${to}`);
  }

  async #introduce(from: string, to: string): Promise<ReplyOf<"PeerHello">> {
    const node = this.nodes.get(nameOf(to));
    const identity = this.#identity(from);
    if (node === undefined || node.halted !== undefined || this.cut.has(`${from}>${node.name}`))
      throw new Error(`${to} cannot be reached`);
    if (identity.clusterId === "") throw new Error("no cluster yet");
    const connection = { state: newConnectionState() } as Parameters<Cluster["welcome"]>[0];
    const welcomed = await node.cluster.welcome(connection, introduce(identity, to, frameSizeMax));
    if ("kind" in welcomed) throw Object.assign(new Error(welcomed.message), { name: welcomed.name });
    return welcomed;
  }

  /** A node, when the one that asks has a link to it and is known there. */
  #reach(from: string, to: string): SmallNode | undefined {
    const node = this.nodes.get(nameOf(to));
    const { member } = this.#identity(from);
    const isKnown = this.#links.get(from)?.has(to) === true && node?.cluster.members.has(member) === true;
    if (!isKnown || node.halted !== undefined || this.cut.has(`${from}>${node.name}`)) return undefined;
    return node;
  }
}
