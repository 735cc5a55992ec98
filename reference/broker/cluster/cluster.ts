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
import { checkRecordBatch } from "../../storage/record-batch.ts";
import type { BrokerConnection } from "../connection.ts";
import { refusalOfAppend } from "../disk-refusal.ts";
import type { GroupKeeper } from "../consumer-groups.ts";
import type { GroupOffsets } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import { judgeTopic } from "../registry.ts";
import type { TopicConfig } from "../topic.ts";
import { Balance } from "./balance.ts";
import type { GroupsReport } from "./cluster-metrics.ts";
import type { ClusterOptions } from "./cluster-options.ts";
import { clusterStateOf, groupsReportOf, ledPartitions, missingLeader } from "./cluster-state.ts";
import { decodeGroupFrame } from "./frame-codec.ts";
import { notLeader } from "./group.ts";
import { groupKey, metadataGroup } from "./group-id.ts";
import { Groups } from "./groups.ts";
import { holdsHeartbeats } from "./heartbeat-codec.ts";
import type { Hearing } from "./heartbeats.ts";
import { hearHeartbeats } from "./heartbeats.ts";
import { NodeTopics } from "./local-topics.ts";
import { addNode, finishLeaving, judgeAddress, reachNode } from "./membership.ts";
import { reconcile, removeNode, wishedVoters } from "./membership.ts";
import { Metadata } from "./metadata.ts";
import { journalStorage, MetadataGroup } from "./metadata-group.ts";
import { NodeAddresses } from "./node-addresses.ts";
import type { NodeContext } from "./node-context.ts";
import { Outbox } from "./outbox.ts";
import { recordsForPeer, sizesElsewhere, welcomePeer } from "./peer-requests.ts";
import { proposedBytesMax } from "./produce-queue.ts";
import { decodeMessage } from "./raft-codec.ts";
import type { PartitionLeader, PartitionSize, Replication } from "./replication.ts";
import type { Led } from "./transfer.ts";
import { pause, transferAll } from "./transfer.ts";

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
  readonly #hearing: Hearing;
  readonly #beatMs: number;
  #upkeepAtMs = 0;
  #wasLeader = false;
  #knownAddresses = "";
  #isHalted = false;

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
      node: identity.node,
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
      node: identity.node,
      groupOf: (id) => (id.incarnation === 0 ? this.#metadata.group : this.#groups.get(id)),
      answer: (node, heartbeat) => outbox.answer(node, heartbeat),
    };
    this.#topics = new NodeTopics(this.#context, this.#groups);
    const stored = journal.state.groups.get(groupKey(metadataGroup));
    const { term = 0, votedFor, snapshot, entries = [] } = stored ?? {};
    this.#metadata = new MetadataGroup({
      raft: {
        id: identity.node,
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
    this.#nodes = new NodeAddresses(options.addresses, this.#metadata.machine);
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
    this.#groups.start(this.#context, this.#metadata.group, this.#beatMs);
    this.#changed();
    return undefined;
  }

  /** Hands over what is led here, so that nobody has to wait for a time-out; then stops. */
  async stop(): Promise<void> {
    // Who has halted has no part in the groups any more, and nobody would take over from it.
    if (!this.#isHalted) await transferAll(this.#allGroups(), this.#options.clock, undefined);
    this.#metadata.stop();
    await this.#groups.stop();
    await this.#options.journal.close();
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
    const { members } = this;
    const found = this.#options.broker.topics.get(topic)?.partitions ?? [];
    return Array.from({ length: partitions }, (_, number) => {
      const partition = found[number];
      const replica = partition === undefined ? undefined : this.#groups.of(partition);
      const leader = replica?.leader ?? "";
      const isKnown = leader !== this.#context.node || replica?.group.isReady === true;
      return isKnown ? { node: leader, address: members.get(leader) ?? "" } : { node: "", address: "" };
    });
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
    const refusing = (problem: ErrorOutcome): void => broker.refuse(connection, idHigh, idLow, problem);
    // What a node would refuse must never get into the log: the others would have to refuse it too.
    const fault = checkRecordBatch(bytes, 0, bytes.length, checksum);
    if (fault !== undefined) {
      const refused = { kind: "refused", reason: `${fault.kind}-batch`, detail: fault.reason } as const;
      return refusing(refusalOfAppend(refused));
    }
    if (bytes.length > broker.limits.recordSizeMax) {
      const message = `batch of ${bytes.length} bytes exceeds ${broker.limits.recordSizeMax}`;
      return refusing(refuse("record-too-large", message));
    }
    const replica = this.#groups.of(partition);
    if (replica === undefined) return refusing(notLeader(undefined));
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
    await this.#untilLed(name);
    return undefined;
  }

  deleteTopic(name: string): Promise<ErrorOutcome | undefined> {
    return this.#metadata.propose({ kind: "delete-topic", topic: name });
  }

  async trim(partition: Partition, beforeOffset: number): Promise<ErrorOutcome | undefined> {
    return this.#groups.of(partition)?.trim(beforeOffset) ?? notLeader(undefined);
  }

  state(): ReplyOf<"ClusterState"> {
    const { clusterId } = this.#options.identity;
    return clusterStateOf(this.#metadata.group, this.#groups, clusterId, this.members);
  }

  /** For a collector: what this node's groups are now. */
  report(): GroupsReport {
    return groupsReportOf(this.#metadata.group, this.#groups);
  }

  async change(
    { action, node, address }: RequestOf<"ChangeCluster">,
    connection: BrokerConnection,
  ): Promise<ErrorOutcome | undefined> {
    const { clock } = this.#options;
    if (action === "transfer") return this.#transfer(node, connection.state.peer === undefined);
    const misplaced = this.#misplaced();
    if (misplaced !== undefined) return misplaced;
    if (action === "remove") return removeNode(this.#metadata, this.#groups, clock, node);
    if (action !== "add") return refuse("invalid-request", `${action} is not add, remove or transfer`);
    const wrong = judgeAddress(this.#metadata, this.members, node, address);
    if (wrong !== undefined) return wrong;
    const problem = await this.#metadata.propose({ kind: "address", node, address });
    this.#changed();
    const unreached = problem ?? (await reachNode(this.#options.peers.source(node), clock, node, address));
    return unreached ?? addNode(this.#metadata, this.#groups, clock, node);
  }

  welcome(connection: BrokerConnection, request: RequestOf<"PeerHello">): Promise<ErrorOutcome | undefined> {
    return welcomePeer(this.#options.identity, this.#nodes, connection, request);
  }

  receive(from: string, frame: Uint8Array): void {
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
    return missingLeader(this.#metadata.group, this.#groups);
  }

  *#allGroups(): Generator<Led> {
    yield this.#metadata;
    yield* this.#groups.all;
  }

  /** Hands all that this node leads to another one; `asksOthers` has the others do so too. */
  async #transfer(target: string, asksOthers: boolean): Promise<ErrorOutcome | undefined> {
    const { group } = this.#metadata;
    if (!configurationOf(group.state).voters.includes(target)) {
      return refuse("invalid-request", `the cluster has no node ${target} that could lead`);
    }
    const { peers, clock } = this.#options;
    const leaders = new Set([group.state.leader, ...[...this.#groups.all].map(({ leader }) => leader)]);
    const others = [...leaders].filter(
      (node) => node !== undefined && node !== target && node !== group.state.id,
    );
    const asked = asksOthers ? others.map((node) => peers.source(node ?? "").transfer(target)) : [];
    const results = await Promise.all([
      transferAll(this.#allGroups(), clock, target),
      ...asked.map((asking) => asking.catch((error: unknown) => refuse("request-timeout", String(error)))),
    ]);
    return results.find((result) => result !== undefined);
  }

  /** Resolves when each partition of a new topic is led by somebody, or when that takes too long. */
  async #untilLed(name: string): Promise<void> {
    const { broker, clock } = this.#options;
    const deadlineMs = clock.monotonicTimeMs() + leadersTimeoutMs;
    while (clock.monotonicTimeMs() < deadlineMs) {
      const count = broker.topics.get(name)?.partitions.length ?? 0;
      if (this.leadersOf(name, count).every(({ node }) => node !== "")) return;
      await pause(clock, leadersLookMs);
    }
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
