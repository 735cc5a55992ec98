/**
 * A node's membership in a cluster: what its broker may answer, what it has to ask the others, and who the others
 * are.
 *
 * Each partition is a group of Raft of its own, and one more keeps what all nodes know: topics, positions,
 * addresses. So every node leads some partitions and follows in others, and the work of leading is shared. A
 * request for a partition is answered by the node that leads it; everything else by the node that leads the
 * metadata.
 */
import { answeredBy } from "../../protocol/answered-by.ts";
import type { Acks } from "../../protocol/acks.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { messageNameOf } from "../../protocol/messages.ts";
import type { RaftOptions } from "../../raft/options.ts";
import { configurationOf } from "../../raft/state.ts";
import { ignoreDiskError } from "../../storage/file-io.ts";
import type { BrokerConnection } from "../connection.ts";
import { judgeBatch } from "../disk-refusal.ts";
import type { GroupKeeper } from "../consumer-groups.ts";
import type { GroupOffsets } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import { judgeTopic } from "../registry.ts";
import type { TopicConfig } from "../topic.ts";
import { Balance } from "./balance.ts";
import type { ChangeOptions } from "./change-cluster.ts";
import { agreeOnFolders, changeMembership, transferEverything } from "./change-cluster.ts";
import type { GroupsReport } from "./cluster-metrics.ts";
import type { ClusterOptions } from "./cluster-options.ts";
import { clusterStateOf, groupsReportOf, leaderOf, ledPartitions } from "./cluster-state.ts";
import { missingLeader, withNames } from "./cluster-state.ts";
import { decodeGroupFrame } from "./frame-codec.ts";
import { notLeader } from "./group.ts";
import { groupKey, metadataGroup } from "./group-id.ts";
import { Groups } from "./groups.ts";
import { holdsHeartbeats } from "./heartbeat-codec.ts";
import type { Hearing } from "./heartbeats.ts";
import { hearHeartbeats } from "./heartbeats.ts";
import { NodeTopics } from "./local-topics.ts";
import { gather, Reception, waitingLine } from "./meeting.ts";
import { finishLeaving, reconcile, wishedVoters } from "./membership.ts";
import { Metadata } from "./metadata.ts";
import { journalStorage, MetadataGroup } from "./metadata-group.ts";
import { NodeAddresses } from "./node-addresses.ts";
import type { NodeContext } from "./node-context.ts";
import { Outbox } from "./outbox.ts";
import { recordsForPeer, sizesElsewhere } from "./peer-requests.ts";
import { proposedBytesMax } from "./produce-queue.ts";
import { decodeMessage } from "./raft-codec.ts";
import type { PartitionLeader, PartitionSize, Replication } from "./replication.ts";
import { transferAll, untilSo } from "./transfer.ts";

/** Patient enough for a machine that is busy with other things, and quick enough that clients hardly notice. */
const raftOptions = {
  electionTimeoutMinMs: 500,
  electionTimeoutMaxMs: 1000,
  heartbeatMs: 100,
  batchBytesMax: 1024 * 1024,
} satisfies Partial<RaftOptions>;

/** How often members and leaders are looked after. */
const upkeepMs = 200;
/** How long the maker of a topic waits for its partitions to be led. */
const leadersTimeoutMs = 3000;
const leadersLookMs = 10;

/** One node's part in the cluster. */
export class Cluster implements Replication {
  readonly offsets: GroupOffsets;
  readonly memberships: GroupKeeper;
  readonly #options: ClusterOptions;
  readonly #context: NodeContext;
  readonly #groups: Groups;
  readonly #topics: NodeTopics;
  readonly #metadata: MetadataGroup;
  readonly #balance: Balance;
  readonly #nodes: NodeAddresses;
  readonly #parts: Omit<ChangeOptions, "onChange">;
  readonly #reception: Reception;
  readonly #hearing: Hearing;
  readonly #beatMs: number;
  #upkeepAtMs = 0;
  #wasLeader = false;
  #knownAddresses = "";
  #isHalted = false;
  #isAgreeing = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#groups = new Groups(options.entryBytes, options.partitionsMax);
    this.#balance = new Balance(options.clock);
    const { identity, random, bootstrap, clock, journal, peers, broker, checksum, schedule } = options;
    const outbox = new Outbox((node, frame) => {
      options.metrics?.sent(frame.length);
      peers.send(node, frame);
    });
    const wanted = { ...raftOptions, ...options.raft };
    this.#beatMs = wanted.heartbeatMs;
    // All groups speak together, each `beatMs`: then each must be due.
    const raft = { ...wanted, heartbeatMs: this.#beatMs / 2 };
    const nowMs = (): number => Math.floor(clock.monotonicTimeMs());
    this.#context = {
      node: identity.member,
      broker,
      journal,
      checksum,
      clock,
      random,
      raft,
      metrics: options.metrics,
      schedule,
      nowMs,
      proposed: { bytes: 0, bytesMax: options.proposedBytesMax ?? proposedBytesMax },
      send: (group, message) => outbox.put(group, message),
      source: (node) => peers.source(node),
      logBytesMax: () => this.#groups.logBytesMax,
      onHalt: (error) => this.#halt(error),
    };
    this.#hearing = {
      node: identity.member,
      groupOf: (id) => (id.incarnation === 0 ? this.#metadata.group : this.#groups.get(id)),
      answer: (node, heartbeat) => outbox.answer(node, heartbeat),
    };
    this.#topics = new NodeTopics(this.#context, this.#groups);
    const stored = journal.state.groups.get(groupKey(metadataGroup));
    const { term = 0, votedFor, snapshot, entries = [] } = stored ?? {};
    this.#metadata = new MetadataGroup({
      raft: {
        id: identity.member,
        random,
        durable: { term, votedFor, snapshot, entries: [...entries] },
        options: raft,
        ...(bootstrap !== undefined && { bootstrap }),
        ...(options.metrics !== undefined && { observe: options.metrics.follow() }),
      },
      storage: journalStorage(journal),
      machine: new Metadata(this.#topics),
      nowMs,
      schedule,
      send: (message) => outbox.put(metadataGroup, message),
      logBytesMax: () => this.#groups.metadataBytesMax,
      mayCompact: () => true,
      onHalt: (error) => this.#halt(error),
      onChange: () => this.#changed(),
    });
    this.#nodes = new NodeAddresses(options.addresses, identity.member, this.#metadata.machine);
    this.#parts = { ...options, groups: this.#groups, metadata: this.#metadata, nodes: this.#nodes };
    this.#reception = new Reception({ ...this.#parts, frameSizeMax: broker.limits.frameSizeMax });
    identity.agreedFolder = (name) => this.#metadata.folderOf(name);
    journal.onFailed = (error) => this.#halt(error);
    this.offsets = this.#metadata.offsets;
    this.memberships = this.#metadata.memberships;
  }

  /** Begins to take part; what is wrong with the node's data comes back as a line. */
  async start(): Promise<string | undefined> {
    const problem = await this.#topics.open();
    if (problem !== undefined) return problem;
    await this.#metadata.group.start();
    this.#groups.onTick = (nowMs) => this.#lookAfter(nowMs);
    this.#changed();
    if (this.#options.identity.hasBegun) this.#begin();
    else void this.#gather();
    return undefined;
  }

  /** Hands over what is led here, so that nobody has to wait for a time-out; then stops. */
  async stop(): Promise<void> {
    // Who has halted has no part in the groups any more, and nobody would take over from it.
    if (!this.#isHalted)
      await transferAll([this.#metadata, ...this.#groups.all], this.#options.clock, undefined);
    this.#isHalted = true;
    this.#metadata.stop();
    await this.#groups.stop();
    await this.#options.journal.close();
  }

  #begin(): void {
    this.#groups.start(this.#context, this.#metadata.group, this.#beatMs);
  }

  /** An empty folder of a first member takes part in nothing before the other ones have met it. */
  async #gather(): Promise<void> {
    const { identity, peers, clock, onNotice = () => {} } = this.#options;
    try {
      await gather(identity, peers, clock, () => this.#isHalted, onNotice);
      if (!this.#isHalted) this.#begin();
    } catch (error) {
      this.#halt(error);
    }
  }

  /** Where every node is reached. */
  get members(): ReadonlyMap<string, string> {
    return this.#nodes.all;
  }

  get addresses(): readonly string[] {
    const { voters } = configurationOf(this.#metadata.group.state);
    return voters.flatMap((node) => this.members.get(node) ?? []);
  }

  refusal(type: number, connection: BrokerConnection): ErrorOutcome | undefined {
    const name = messageNameOf(type);
    const by = name === undefined ? "any" : answeredBy[name];
    // A node that leads partitions hands them over whether it leads the metadata or not.
    if (by === "leader" && name !== "ChangeCluster") return this.#misplaced();
    if (by !== "node" || connection.state.peer !== undefined) return undefined;
    return refuse("not-a-member", "only nodes of this cluster may ask this, after PeerHello");
  }

  refusalOf(partition: Partition): ErrorOutcome | undefined {
    const replica = this.#groups.of(partition);
    return replica === undefined ? notLeader(undefined) : replica.refusal();
  }

  leadersOf(topic: string, partitions: number): readonly PartitionLeader[] {
    const found = this.#options.broker.topics.get(topic)?.partitions ?? [];
    const replicas = found.map((partition) => this.#groups.of(partition));
    return Array.from({ length: partitions }, (_, number) =>
      leaderOf(replicas[number], this.#context.node, this.members),
    );
  }

  async current(partition?: Partition): Promise<ErrorOutcome | undefined> {
    if (partition === undefined) return this.#metadata.group.read();
    return this.#groups.of(partition)?.group.read() ?? notLeader(undefined);
  }

  sizesOf(partitions: readonly Partition[]): Promise<ReadonlyMap<Partition, PartitionSize>> {
    return sizesElsewhere(this.#groups, this.#context.node, this.#options.peers, partitions);
  }

  produce(
    connection: BrokerConnection,
    idHigh: number,
    idLow: number,
    partition: Partition,
    bytes: Uint8Array,
    acks: Acks,
  ): void {
    const { broker, checksum } = this.#options;
    const problem = judgeBatch(bytes, checksum, broker.limits.recordSizeMax);
    const replica = this.#groups.of(partition);
    if (problem !== undefined || replica === undefined)
      return broker.refuse(connection, idHigh, idLow, problem ?? notLeader(undefined));
    replica.produce(connection, idHigh, idLow, bytes, acks);
  }

  async createTopic(name: string, given: TopicConfig): Promise<ErrorOutcome | undefined> {
    const problem = judgeTopic(name, given);
    if (problem !== undefined) return problem;
    const { group } = this.#metadata;
    const replicas = wishedVoters(this.#metadata) ?? configurationOf(group.state).voters;
    const config = { ...given, replicas };
    const refused = await this.#groups.make(given.partitions, () =>
      this.#metadata.propose({ kind: "create-topic", topic: name, config }),
    );
    if (refused !== undefined) return refused;
    // The others hear that it is agreed on with the next message: now, and not with the next heartbeat.
    void group.read();
    const isLed = (): boolean => {
      const count = this.#options.broker.topics.get(name)?.partitions.length ?? 0;
      return this.leadersOf(name, count).every(({ node }) => node !== "");
    };
    await untilSo(isLed, this.#options.clock, leadersTimeoutMs, leadersLookMs);
    return undefined;
  }

  deleteTopic(name: string): Promise<ErrorOutcome | undefined> {
    return this.#metadata.propose({ kind: "delete-topic", topic: name });
  }

  async trim(partition: Partition, beforeOffset: number): Promise<ErrorOutcome | undefined> {
    return this.#groups.of(partition)?.trim(beforeOffset) ?? notLeader(undefined);
  }

  state(isForNode = false): ReplyOf<"ClusterState"> {
    const { clusterId } = this.#options.identity;
    const state = clusterStateOf(this.#metadata.group, this.#groups, clusterId, this.members);
    return isForNode ? state : withNames(state);
  }

  /** For a collector: what this node's groups are now. */
  report(): GroupsReport {
    return groupsReportOf(this.#metadata.group, this.#groups);
  }

  async change(
    request: RequestOf<"ChangeCluster">,
    connection: BrokerConnection,
  ): Promise<ErrorOutcome | undefined> {
    const parts = { ...this.#parts, onChange: () => this.#changed() };
    const { action, node } = request;
    if (action === "transfer") return transferEverything(parts, node, connection.state.peer === undefined);
    return this.#misplaced() ?? changeMembership(parts, request);
  }

  async welcome(
    connection: BrokerConnection,
    request: RequestOf<"PeerHello">,
  ): Promise<ReplyOf<"PeerHello"> | ErrorOutcome> {
    const welcomed = await this.#reception.welcome(connection, request);
    // Somebody new may have to be reached.
    this.#changed();
    return welcomed;
  }

  receive(from: string, frame: Uint8Array): void {
    if (!this.#options.identity.hasBegun) return;
    if (holdsHeartbeats(frame)) return hearHeartbeats(frame, from, this.#hearing);
    for (const { group, bytes } of decodeGroupFrame(frame) ?? []) {
      const message = decodeMessage(bytes, from, this.#context.node);
      if (message === undefined) return;
      if (group.incarnation === 0) this.#metadata.receive(message);
      else this.#groups.receive(group, message);
    }
  }

  peerState(): ReplyOf<"PeerState"> {
    return { partitions: ledPartitions(this.#groups) };
  }

  peerFetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch"> | ErrorOutcome> {
    return recordsForPeer(this.#groups, this.#options.broker.fetchBytesMax, request);
  }

  problem(): string | undefined {
    if (this.#isHalted) return "the node has stopped taking part";
    if (!this.#options.identity.hasBegun) return waitingLine(this.#options.identity);
    return missingLeader(this.#metadata.group, this.#groups);
  }

  /** Why this node may not answer for the metadata; undefined when it may. */
  #misplaced(): ErrorOutcome | undefined {
    const { group } = this.#metadata;
    if (group.isReady) return undefined;
    const { leader } = group.state;
    return notLeader(leader === this.#context.node ? undefined : leader);
  }

  #lookAfter(nowMs: number): void {
    if (nowMs < this.#upkeepAtMs) return;
    this.#upkeepAtMs = nowMs + upkeepMs;
    const wish = wishedVoters(this.#metadata);
    for (const replica of this.#groups.all) {
      if (wish !== undefined) reconcile(replica.group, wish);
      this.#balance.look(replica, nowMs);
    }
    finishLeaving(this.#metadata, this.#groups);
    if (this.#metadata.group.isReady && !this.#isAgreeing) {
      this.#isAgreeing = true;
      void agreeOnFolders(this.#parts).finally(() => (this.#isAgreeing = false));
    }
    const { leader, id } = this.#metadata.group.state;
    this.#nodes.lookAfter(leader, id, this.#options.peers, nowMs);
    this.#changed();
    if (this.#metadata.group.isReady) this.#options.broker.groups.lookAfter();
  }

  #halt(error: unknown): void {
    if (this.#isHalted) return;
    this.#isHalted = true;
    this.#metadata.stop();
    void this.#groups.stop();
    this.#options.onHalt(error);
  }

  /** After each step: whoever leads next looks after the consumer groups, and new nodes have to be reached. */
  #changed(): void {
    const isLeader = this.#metadata.group.state.role === "leader";
    // What was heard of members in an earlier term of one's own is old, too.
    if (this.#wasLeader !== isLeader) this.#options.broker.groups.forgetAll();
    this.#wasLeader = isLeader;
    const { members } = this;
    const addresses = [...members].join(";");
    if (addresses === this.#knownAddresses) return;
    this.#knownAddresses = addresses;
    this.#options.peers.update(members);
    // A disk that fails is found out about by what the node has promised.
    void this.#options.identity.remember(members).catch(ignoreDiskError);
  }
}
