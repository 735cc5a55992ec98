/**
 * A cluster without replication: several brokers over one store, and a test that says which of them leads what.
 *
 * For whoever talks to a cluster, all that counts is which node answers which request, and how that changes under way.
 * So the nodes share their topics, as if every record were everywhere at once, and leadership moves at a word.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Broker } from "../broker/broker.ts";
import type { PartitionLeader, Replication } from "../broker/cluster/replication.ts";
import { LocalGroups } from "../broker/consumer-groups.ts";
import type { ErrorOutcome } from "../broker/outcome.ts";
import { refuse } from "../broker/outcome.ts";
import type { Partition } from "../broker/partition.ts";
import { loadProducers } from "../broker/producer-loading.ts";
import { produce } from "../broker/produce.ts";
import type { BrokerConnection } from "../broker/connection.ts";
import type { Connection, Listener, Network } from "../ports.ts";
import type { Acks } from "../protocol/acks.ts";
import { answeredBy } from "../protocol/answered-by.ts";
import { encodeRequest } from "../protocol/frame.ts";
import { encodeRequestPayload } from "../protocol/messages-codec.ts";
import type { MessageName, ReplyOf } from "../protocol/messages.ts";
import { messageNameOf, messages } from "../protocol/messages.ts";
import { TestBroker, textsIn } from "./test-broker.ts";

/** Who leads: undefined where nobody does. */
interface Leadership {
  meta: string | undefined;
  /** By `topic/partition`; the others are led by who leads `meta`. */
  readonly partitions: Map<string, string | undefined>;
}

/** One node and what the test sees of it. */
interface LedNode {
  readonly name: string;
  readonly server: TestBroker;
  readonly connections: Set<Connection>;
  listener: Listener | undefined;
  /** What it says when it is asked who leads, where that is not the truth. */
  belief: Leadership | undefined;
  /** Takes the next batch, and dies before it answers. */
  diesAtProduce: boolean;
  /** Takes connections and requests, and answers none: a machine that hangs. */
  isHung: boolean;
}

/** Some nodes that can be reached by name. */
export class LedCluster {
  readonly network: Network;
  readonly nodes = new Map<string, LedNode>();
  /** Every request so far, as `n1 Fetch`, those at connecting aside. */
  readonly requests: string[] = [];
  /** What batches asked for, in their order. */
  readonly acks: Acks[] = [];
  readonly #truth: Leadership = { meta: "n1", partitions: new Map() };

  /** Starts the nodes, which listen at their names. */
  static async open(network: Network, names: readonly string[]): Promise<LedCluster> {
    const cluster = new LedCluster(network);
    let first: Broker | undefined;
    const groups = new LocalGroups((topic) => first?.topics.get(topic)?.partitions.length ?? 0);
    for (const name of names) {
      const server = await TestBroker.open();
      first ??= server.broker;
      Object.assign(server.broker, { topics: first.topics });
      server.broker.takePart(cluster.#replication(name, names, first, groups));
      cluster.#watch(name, server.broker);
      const connections = new Set<Connection>();
      const node = {
        name,
        server,
        connections,
        listener: undefined,
        belief: undefined,
        diesAtProduce: false,
        isHung: false,
      };
      cluster.nodes.set(name, node);
      await cluster.start(name);
    }
    return cluster;
  }

  private constructor(network: Network) {
    this.network = network;
  }

  node(name: string): LedNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Gives a partition another leader, or none. Whoever waits for its records is woken, as a node would do. */
  lead(topic: string, partition: number, name: string | undefined): void {
    this.#truth.partitions.set(`${topic}/${partition}`, name);
    const { topics } = this.#anyBroker();
    topics.get(topic)?.partitions[partition]?.notify();
  }

  /** Gives topics and groups another leader, or none. */
  leadMeta(name: string | undefined): void {
    this.#truth.meta = name;
    for (const { server } of this.nodes.values()) server.broker.groups.forgetAll();
  }

  /** From now on a node says what is true now, whatever happens, or the truth again. */
  freezeBelief(name: string, isFrozen: boolean): void {
    const { meta, partitions } = this.#truth;
    this.node(name).belief = isFrozen ? { meta, partitions: new Map(partitions) } : undefined;
  }

  async start(name: string): Promise<void> {
    const node = this.node(name);
    node.listener = await this.network.listen(name, (connection) => {
      node.connections.add(connection);
      node.server.hub.accept(connection);
    });
  }

  /** Ends a node at once: its connections are reset, and nobody listens at its address. */
  async stop(name: string): Promise<void> {
    const node = this.node(name);
    await node.listener?.close();
    this.drop(name);
  }

  /** Resets all connections to a node. */
  drop(name: string): void {
    const { connections } = this.node(name);
    for (const connection of connections) connection.destroy();
    connections.clear();
  }

  /** The node that leads a partition. */
  leaderOf(topic: string, partition: number, { meta, partitions } = this.#truth): string | undefined {
    const key = `${topic}/${partition}`;
    return partitions.has(key) ? partitions.get(key) : meta;
  }

  /** The requests of some kinds since the last call. */
  take(...names: MessageName[]): string[] {
    const taken = this.requests.splice(0);
    return taken.filter(
      (request) => names.length === 0 || names.some((name) => request.endsWith(` ${name}`)),
    );
  }

  /** What a partition holds, batch by batch read as text. */
  async stored(topic: string, partition: number): Promise<string[]> {
    const log = this.#anyBroker().topics.get(topic)?.partitions[partition]?.log;
    const read = await log?.read(0, 2 ** 20);
    return read?.kind === "records" ? textsIn(read.bytes, 0) : [];
  }

  /** What went wrong in a broker; a test expects nothing here. */
  get bugs(): unknown[] {
    return [...this.nodes.values()].flatMap(({ server }) => server.bugs);
  }

  #anyBroker(): Broker {
    return this.node("n1").server.broker;
  }

  #watch(name: string, broker: Broker): void {
    const request = broker.request.bind(broker);
    broker.request = (connection, bytes, view, start, end) => {
      const type = messageNameOf(bytes[start + 12] ?? 0);
      if (type !== "Hello" && type !== "Ping") this.requests.push(`${name} ${type}`);
      if (!this.node(name).isHung) request(connection, bytes, view, start, end);
    };
  }

  #replication(name: string, names: readonly string[], broker: Broker, groups: LocalGroups): Replication {
    const elsewhere = (leader: string | undefined): ErrorOutcome | undefined =>
      leader === name ? undefined : refuse("not-leader", `${leader ?? "nobody"} leads, not ${name}`);
    const belief = (): Leadership => this.node(name).belief ?? this.#truth;
    const never = (): never => {
      throw new Error("not part of this cluster");
    };
    const { offsets } = broker;
    if (offsets === undefined) throw new Error("a test broker keeps offsets");
    // A node that does not lead can change nothing.
    const changed = <Value>(change: () => Promise<Value>): Promise<Value | ErrorOutcome> => {
      const refused = elsewhere(this.#truth.meta);
      return refused === undefined ? change() : Promise.resolve(refused);
    };
    return {
      offsets,
      memberships: {
        groups: groups.groups,
        current: async () => elsewhere(this.#truth.meta),
        join: (change) => changed(() => groups.join(change)),
        leave: (change) => changed(() => groups.leave(change)),
      },
      addresses: names,
      refusal: (type) => {
        const request = messageNameOf(type);
        return request !== undefined && answeredBy[request] === "leader"
          ? elsewhere(this.#truth.meta)
          : undefined;
      },
      refusalOf: ({ topic, number }) => elsewhere(this.leaderOf(topic, number)),
      leadersOf: (topic, partitions) =>
        Array.from({ length: partitions }, (_, number): PartitionLeader => {
          const leader = this.leaderOf(topic, number, belief()) ?? "";
          return { node: leader, address: leader };
        }),
      current: async () => undefined,
      produce: (connection, idHigh, idLow, partition, batch, acks) => {
        this.acks.push(acks);
        this.#produce(name, connection, (BigInt(idHigh) << 32n) | BigInt(idLow), partition, batch);
      },
      createTopic: async (topic, config) => {
        const made = await broker.topics.create(topic, config);
        return "kind" in made ? made : undefined;
      },
      deleteTopic: (topic) => broker.topics.delete(topic),
      sizesOf: async () => new Map(),
      trim: async (partition, beforeOffset) => void (await partition.log.trim(beforeOffset)),
      state: () => this.#state(name, names, belief()),
      change: never,
      welcome: never,
      receive: never,
      peerState: never,
      peerFetch: never,
      problem: () => undefined,
    };
  }

  /** What ClusterState says. */
  #state(node: string, names: readonly string[], { meta }: Leadership): ReplyOf<"ClusterState"> {
    const unasked = { role: "voter", matchIndex: 1, partitionsLed: 0 };
    const members = names.map((name) => ({ node: name, address: name, ...unasked }));
    return {
      clusterId: "led",
      node,
      term: 1,
      leader: meta ?? "",
      commitIndex: 1,
      appliedIndex: 1,
      members,
      partitions: [],
    };
  }

  /** Stores a batch as a server that is alone would, sequence numbers included. */
  #produce(
    name: string,
    connection: BrokerConnection,
    requestId: bigint,
    { topic, number }: Partition,
    batch: Uint8Array,
  ): void {
    const node = this.node(name);
    const { broker } = node.server;
    const payload = encodeRequestPayload("Produce", { topic, partition: number, batch });
    const frame = encodeRequest({ requestId, type: messages.Produce.type, version: 1, flags: 0, payload });
    if (!(frame instanceof Uint8Array)) throw new Error(frame.message);
    const alone = {
      topics: broker.topics,
      replication: undefined,
      defer: (...[, deferred, , partition]: Parameters<Broker["defer"]>): void => {
        if (partition === undefined) throw new Error(`no partition ${topic}/${number}`);
        const again = (): void => produce(alone, connection, deferred, viewOf(deferred), 0, deferred.length);
        void loadProducers(partition).then(again);
      },
      refuse: broker.refuse.bind(broker),
      appended: broker.appended.bind(broker),
    };
    produce(alone, connection, frame, viewOf(frame), 0, frame.length);
    if (!node.diesAtProduce) return;
    node.diesAtProduce = false;
    void this.stop(name);
  }
}
