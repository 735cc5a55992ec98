/**
 * What the broker needs of a cluster: who may answer a request, and how a change becomes everybody's.
 *
 * A broker without one decides by itself. With one, every change of its state goes through a replicated log, and
 * only the node that leads there answers clients: for each partition the node that leads the partition, for all
 * else the one that `ClusterState` names. The broker's handlers know no more of it than this.
 */
import type { Acks } from "../../protocol/acks.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import type { BrokerConnection } from "../connection.ts";
import type { GroupKeeper } from "../consumer-groups.ts";
import type { GroupOffsets } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import type { TopicConfig } from "../topic.ts";

/** Who answers requests for a partition; both empty while nobody does, as far as is known. */
export type PartitionLeader = Omit<ReplyOf<"Leaders">["leaders"][number], "partition">;

/** Where a partition begins and ends, and what it takes. */
export type PartitionSize = Pick<
  ReplyOf<"PeerState">["partitions"][number],
  "startOffset" | "endOffset" | "sizeBytes"
>;

/** A member's part in a cluster, as its broker sees it. */
export interface Replication {
  /** Where consumer groups' positions are kept, and the groups with their members. */
  readonly offsets: GroupOffsets;
  readonly memberships: GroupKeeper;
  /** Other nodes' addresses, for clients: they go on there when this node is gone. */
  readonly addresses: readonly string[];
  /**
   * Why this node may not answer a request of this type now (see protocol/answered-by.ts); undefined when it may.
   * Requests for a partition pass: `refusalOf` judges them.
   */
  refusal(type: number, connection: BrokerConnection): ErrorOutcome | undefined;
  /**
   * Why this node may not answer a request for this partition now. When the answer changes, the partition's
   * `notify` wakes those who wait for its records, so that they hear of it.
   */
  refusalOf(partition: Partition, connection: BrokerConnection): ErrorOutcome | undefined;
  /** Who leads the partitions of a topic, by number, as far as this node knows. */
  leadersOf(topic: string, partitions: number): readonly PartitionLeader[];
  /**
   * Resolves when what this node holds is current as of the call, or to why it cannot know: what it holds of a
   * partition, or of topics and groups where none is named.
   */
  current(partition?: Partition): Promise<ErrorOutcome | undefined>;
  /** What their leaders say of those of these partitions that other nodes lead, as far as they can be asked. */
  sizesOf(partitions: readonly Partition[]): Promise<ReadonlyMap<Partition, PartitionSize>>;
  /** Replicates a batch, which stays the caller's, and answers the request when those have it that `acks` names. */
  produce(
    connection: BrokerConnection,
    idHigh: number,
    idLow: number,
    partition: Partition,
    batch: Uint8Array,
    acks: Acks,
  ): void;
  createTopic(name: string, config: TopicConfig): Promise<ErrorOutcome | undefined>;
  deleteTopic(name: string): Promise<ErrorOutcome | undefined>;
  trim(partition: Partition, beforeOffset: number): Promise<ErrorOutcome | undefined>;
  /** The cluster as this node sees it; nodes call each other as Raft does, and clients go by names. */
  state(isForNode?: boolean): ReplyOf<"ClusterState">;
  change(
    request: RequestOf<"ChangeCluster">,
    connection: BrokerConnection,
  ): Promise<ErrorOutcome | undefined>;
  /** Another node introduces itself, and belongs here or not. */
  welcome(
    connection: BrokerConnection,
    request: RequestOf<"PeerHello">,
  ): Promise<ReplyOf<"PeerHello"> | ErrorOutcome>;
  /** One message of a node that has introduced itself. It is decoded before this returns. */
  receive(from: string, message: Uint8Array): void;
  peerState(): ReplyOf<"PeerState">;
  peerFetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch"> | ErrorOutcome>;
  /** What keeps the node from taking writes; undefined when nothing does. */
  problem(): string | undefined;
}
