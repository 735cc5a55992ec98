/**
 * What the broker needs of a cluster: who may answer a request, and how a change becomes everybody's.
 *
 * A broker without one decides by itself. With one, every change of its state goes through the replicated log, and only
 * the node that leads answers clients. The broker's handlers know no more of it than this.
 */
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import type { BrokerConnection } from "../connection.ts";
import type { ErrorOutcome } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import type { TopicConfig } from "../topic.ts";

/** A member's part in a cluster, as its broker sees it. */
export interface Replication {
  /** Other nodes' addresses, for clients: they go on there when this node is gone. */
  readonly addresses: readonly string[];
  /** Why this node may not answer a request of this type now; undefined when it may. */
  refusal(type: number, connection: BrokerConnection): ErrorOutcome | undefined;
  /** Resolves when what this node holds is current as of the call, or to why it cannot know. */
  current(): Promise<ErrorOutcome | undefined>;
  /** Replicates a batch, which stays the caller's, and answers the request. */
  produce(
    connection: BrokerConnection,
    idHigh: number,
    idLow: number,
    partition: Partition,
    batch: Uint8Array,
  ): void;
  createTopic(name: string, config: TopicConfig): Promise<ErrorOutcome | undefined>;
  deleteTopic(name: string): Promise<ErrorOutcome | undefined>;
  trim(partition: Partition, beforeOffset: number): Promise<ErrorOutcome | undefined>;
  state(): ReplyOf<"ClusterState">;
  change(request: RequestOf<"ChangeCluster">): Promise<ErrorOutcome | undefined>;
  /** Another node introduces itself; undefined when it belongs here. */
  welcome(connection: BrokerConnection, request: RequestOf<"PeerHello">): Promise<ErrorOutcome | undefined>;
  /** One message of a node that has introduced itself. It is decoded before this returns. */
  receive(from: string, message: Uint8Array): void;
  peerState(): ReplyOf<"PeerState">;
  peerFetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch"> | ErrorOutcome>;
  /** What keeps the node from taking writes; undefined when nothing does. */
  problem(): string | undefined;
}
