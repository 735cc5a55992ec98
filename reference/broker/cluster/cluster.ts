/**
 * A node's membership in a cluster: what its broker may answer, what it has to ask the others, and who the others are.
 *
 * All of the broker's state is one replicated state machine under one log of Raft. The node that leads answers clients;
 * the others carry out what is committed and send clients on. That is simpler than a log for each partition, as Kafka
 * has (there every node leads some partitions, and one of them keeps the metadata), and costs what it sounds like: one
 * node's processor and disk for all writes. What it gives: topics, records, groups' positions and producers' numbers are
 * one history, so nothing has to be kept in step with anything else.
 */
import type { Checksum, Clock, Disk, Random } from "../../ports.ts";
import type { Configuration } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import type { RaftOptions } from "../../raft/options.ts";
import type { DurableState } from "../../raft/persistence.ts";
import { configurationOf } from "../../raft/state.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { answeredBy } from "../../protocol/answered-by.ts";
import { messageNameOf } from "../../protocol/messages.ts";
import { checkRecordBatch, recordCountAt } from "../../storage/record-batch.ts";
import type { Broker } from "../broker.ts";
import type { BrokerConnection } from "../connection.ts";
import { refusalOfAppend } from "../disk-refusal.ts";
import { readLog } from "../fetch.ts";
import type { GroupOffsets, StoredOffset } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import { judgeTopic } from "../registry.ts";
import type { TopicConfig } from "../topic.ts";
import type { CatchUpSource } from "./catch-up.ts";
import { catchUp } from "./catch-up.ts";
import type { ClusterCommand } from "./commands.ts";
import { encodeClusterCommand } from "./commands.ts";
import type { Identity } from "./identity.ts";
import type { RaftJournal } from "./journal.ts";
import type { Applied, ClusterMachine } from "./machine.ts";
import { addNode, removeNode, transferTo } from "./membership-change.ts";
import { decodeMessage, encodeMessage } from "./raft-codec.ts";
import { notLeader, Replica } from "./replica.ts";
import type { PartitionLeader, Replication } from "./replication.ts";

/** How a node reaches the others. */
export interface Peers {
  /** Sends a message if the node can be reached now; Raft does without it otherwise. */
  send(node: string, message: Uint8Array): void;
  /** The whole membership: connections to nodes that are not in it end. */
  update(addresses: ReadonlyMap<string, string>): void;
  source(node: string): CatchUpSource;
}

/** What a node is made of. */
export interface ClusterOptions {
  readonly broker: Broker;
  readonly machine: ClusterMachine;
  readonly identity: Identity;
  /** Addresses from the command line; those in the log win. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly journal: RaftJournal;
  readonly durable: DurableState;
  /** The first members; undefined for a node that joins a cluster that is there already. */
  readonly bootstrap: Configuration | undefined;
  readonly peers: Peers;
  readonly disk: Disk;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly random: Random;
  readonly raft?: Partial<RaftOptions>;
  readonly schedule: (run: () => void) => void;
  /** Ends the connections of clients: this node leads no more. */
  readonly dropClients: () => void;
  readonly onHalt: (error: unknown) => void;
}

/** Patient enough for a machine that is busy with other things, and quick enough that clients hardly notice. */
const raftOptions: Partial<RaftOptions> = {
  electionTimeoutMinMs: 500,
  electionTimeoutMaxMs: 1000,
  heartbeatMs: 100,
  batchBytesMax: 1024 * 1024,
};

/** One node's part in the cluster. */
export class Cluster implements Replication {
  readonly offsets: GroupOffsets;
  readonly #options: ClusterOptions;
  readonly #replica: Replica;
  #wasLeader = false;
  #knownAddresses = "";

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { identity, machine, random, durable, bootstrap, clock, journal, peers } = options;
    const { broker, disk, checksum } = options;
    this.#replica = new Replica({
      raft: {
        id: identity.node,
        random,
        durable,
        options: { ...raftOptions, ...options.raft },
        ...(bootstrap !== undefined && { bootstrap }),
      },
      journal,
      machine,
      clock,
      schedule: options.schedule,
      send: (message: Message) => peers.send(message.to, encodeMessage(message)),
      catchUp: (from) => catchUp(broker.topics, peers.source(from), disk, checksum),
      onHalt: options.onHalt,
      onChange: () => this.#changed(),
    });
    this.offsets = {
      commit: (group, positions) => this.#commitOffsets(group, positions),
      fetch: (group, topic, partition) => machine.position(group, topic, partition),
      list: (group) => machine.positionsOf(group),
      listAll: () => machine.allPositions(),
      topicDeleted: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  /** Begins to take part; what is wrong with the node's data comes back as a line. */
  start(): string | undefined {
    const problem = this.#replica.start();
    if (problem === undefined) this.#changed();
    return problem;
  }

  /** Hands leadership over, if it is here, so that nobody has to wait for a time-out; then stops. */
  async stop(): Promise<void> {
    await transferTo(this.#replica, this.#options.clock, undefined);
    this.#replica.stop();
    await this.#options.journal.close();
  }

  /** Where every node is reached. */
  get members(): ReadonlyMap<string, string> {
    return new Map([...this.#options.addresses, ...this.#options.machine.addresses]);
  }

  get addresses(): readonly string[] {
    const { voters } = configurationOf(this.#replica.state);
    return voters.flatMap((node) => this.members.get(node) ?? []);
  }

  refusal(type: number, connection: BrokerConnection): ErrorOutcome | undefined {
    const name = messageNameOf(type);
    const by = name === undefined ? "any" : answeredBy[name];
    if (by === "leader") return this.#misplaced();
    if (by !== "node" || connection.state.peer !== undefined) return undefined;
    return refuse("not-a-member", "only nodes of this cluster may ask this, after PeerHello");
  }

  refusalOf(): ErrorOutcome | undefined {
    return this.#misplaced();
  }

  leadersOf(_topic: string, partitions: number): readonly PartitionLeader[] {
    const { leader } = this.state();
    const known = { node: leader, address: this.members.get(leader) ?? "" };
    return Array.from({ length: partitions }, () => known);
  }

  async current(): Promise<ErrorOutcome | undefined> {
    return this.#replica.read();
  }

  produce(
    connection: BrokerConnection,
    idHigh: number,
    idLow: number,
    partition: Partition,
    batch: Uint8Array,
  ): void {
    const { broker, checksum, clock } = this.#options;
    // What a node would refuse must never get into the log: the others would have to refuse it too.
    const fault = checkRecordBatch(batch, 0, batch.length, checksum);
    if (fault !== undefined) {
      const refused = { kind: "refused", reason: `${fault.kind}-batch`, detail: fault.reason } as const;
      return broker.refuse(connection, idHigh, idLow, refusalOfAppend(refused));
    }
    if (batch.length > broker.limits.recordSizeMax) {
      const message = `batch of ${batch.length} bytes exceeds ${broker.limits.recordSizeMax}`;
      return broker.refuse(connection, idHigh, idLow, refuse("record-too-large", message));
    }
    const { topic, number, config } = partition;
    const timeMs = Math.floor(clock.wallTimeMs());
    const incarnation = config.incarnation ?? 0;
    const bytes = batch.length;
    const count = recordCountAt(batch, 0);
    const command = { kind: "append", topic, incarnation, partition: number, timeMs, batch } as const;
    this.#replica.proposeWith(encodeClusterCommand(command), (applied) => {
      if (applied.kind === "appended") {
        const { baseOffset, idMilliseconds, idSequence } = applied;
        broker.appended(partition, bytes, count);
        partition.answerWhenCommitted(connection, idHigh, idLow, baseOffset, idMilliseconds, idSequence);
      } else if (applied.kind === "error" && connection.isOpen) {
        broker.refuse(connection, idHigh, idLow, applied);
      }
    });
  }

  async createTopic(name: string, config: TopicConfig): Promise<ErrorOutcome | undefined> {
    const problem = judgeTopic(name, config);
    if (problem !== undefined) return problem;
    if (config.isCompacted) return refuse("invalid-request", "a cluster has no compacted topics");
    return this.#propose({ kind: "create-topic", topic: name, config });
  }

  deleteTopic(name: string): Promise<ErrorOutcome | undefined> {
    return this.#propose({ kind: "delete-topic", topic: name });
  }

  trim(partition: Partition, beforeOffset: number): Promise<ErrorOutcome | undefined> {
    const { topic, number, config } = partition;
    const incarnation = config.incarnation ?? 0;
    return this.#propose({ kind: "trim", topic, incarnation, partition: number, beforeOffset });
  }

  state(): ReplyOf<"ClusterState"> {
    const { term, leader, commitIndex, progress, log } = this.#replica.state;
    const { voters, oldVoters, learners } = configurationOf(this.#replica.state);
    const { clusterId, node } = this.#options.identity;
    const roleOf = (name: string): string => {
      if (voters.includes(name)) return "voter";
      return learners.includes(name) ? "learner" : "leaving";
    };
    const names = [...new Set([...voters, ...oldVoters, ...learners])].sort();
    const topics = this.#options.broker.topics.list();
    const partitionCount = topics.reduce((count, { partitions }) => count + partitions.length, 0);
    const members = names.map((name) => ({
      node: name,
      address: this.members.get(name) ?? "",
      role: roleOf(name),
      partitionsLed: name === leader ? partitionCount : 0,
      matchIndex: name === leader && name === node ? log.lastIndex : (progress.get(name)?.matchIndex ?? 0),
    }));
    const isLeading = leader === node && !this.#replica.isReady;
    const { appliedIndex } = this.#replica;
    return {
      clusterId,
      node,
      term,
      leader: isLeading ? "" : (leader ?? ""),
      commitIndex,
      appliedIndex,
      members,
    };
  }

  async change({ action, node, address }: RequestOf<"ChangeCluster">): Promise<ErrorOutcome | undefined> {
    const { clock } = this.#options;
    if (action === "transfer") return transferTo(this.#replica, clock, node);
    if (action === "remove") return removeNode(this.#replica, clock, node);
    if (action !== "add") return refuse("invalid-request", `${action} is not add, remove or transfer`);
    const problem = await this.#propose({ kind: "address", node, address });
    this.#changed();
    return problem ?? addNode(this.#replica, clock, node);
  }

  async welcome(
    connection: BrokerConnection,
    { clusterId, node, target }: RequestOf<"PeerHello">,
  ): Promise<ErrorOutcome | undefined> {
    const { identity } = this.#options;
    if (target !== identity.node) {
      return refuse("not-a-member", `this is node ${identity.node}, not ${target}: an address is wrong`);
    }
    const isOurs = await identity.admits(clusterId);
    if (!isOurs) {
      const message = `this node belongs to cluster ${identity.clusterId}, ${node} to ${clusterId}`;
      return refuse("not-a-member", message);
    }
    if (!this.members.has(node)) {
      return refuse("not-a-member", `${node} is not among the nodes that ${identity.node} knows`);
    }
    connection.state.peer = node;
    return undefined;
  }

  receive(from: string, bytes: Uint8Array): void {
    const message = decodeMessage(bytes, from, this.#options.identity.node);
    if (message !== undefined) this.#replica.receive(message);
  }

  peerState(): ReplyOf<"PeerState"> {
    const topics = this.#options.broker.topics.list().map(({ name, config, partitions }) => ({
      topic: name,
      incarnation: config.incarnation ?? 0,
      retentionMs: config.retentionMs,
      retentionBytes: config.retentionBytes,
      partitions: partitions.map(({ log }) => ({
        startOffset: log.startOffset,
        endOffset: log.committedEnd,
      })),
    }));
    return { topics };
  }

  async peerFetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch"> | ErrorOutcome> {
    const { broker } = this.#options;
    const partition = broker.topics.partition(request.topic, request.partition);
    if ("kind" in partition) return partition;
    if (partition.config.incarnation !== request.incarnation) {
      return refuse("topic-not-found", `${request.topic} was made anew meanwhile`);
    }
    const read = await readLog(partition, request.offset, Math.min(request.bytesMax, broker.fetchBytesMax));
    return read.kind === "error" ? read : { batches: read.bytes };
  }

  problem(): string | undefined {
    const { leader } = this.#replica.state;
    return leader === undefined
      ? "no leader is known: too few nodes of the cluster can be reached"
      : undefined;
  }

  async #commitOffsets(group: string, positions: readonly StoredOffset[]): Promise<ErrorOutcome | undefined> {
    return this.#propose({ kind: "commit-offsets", group, positions });
  }

  async #propose(command: ClusterCommand): Promise<ErrorOutcome | undefined> {
    const applied: Applied = await this.#replica.propose(encodeClusterCommand(command));
    if (applied.kind === "error") return applied;
    await this.#options.machine.settled();
    return undefined;
  }

  /** Why this node may not answer; undefined when it may. */
  #misplaced(): ErrorOutcome | undefined {
    if (this.#replica.isReady) return undefined;
    const { leader } = this.#replica.state;
    return notLeader(leader === this.#options.identity.node ? undefined : leader);
  }

  /** After each step: clients of a leader that leads no more have to go elsewhere, and new nodes to be reached. */
  #changed(): void {
    const isLeader = this.#replica.state.role === "leader";
    if (this.#wasLeader && !isLeader) this.#options.dropClients();
    this.#wasLeader = isLeader;
    const { members } = this;
    const addresses = [...members].join(";");
    if (addresses === this.#knownAddresses) return;
    this.#knownAddresses = addresses;
    this.#options.peers.update(members);
  }
}
