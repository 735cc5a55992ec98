/**
 * Who answers which request in a cluster: what a client goes by when it chooses a node, and a node when it refuses.
 */
import type { MessageName } from "./messages.ts";

/**
 * - `any`: every node, from what it knows.
 * - `leader`: the node that leads the cluster's own log (topics, groups, producer ids); ClusterState names it.
 * - `partition`: the node that leads the partition that the request names; Leaders names it.
 * - `connection`: the node at the other end, for the request belongs to the connection.
 * - `node`: every node, but only when it is a node that asks.
 */
export type AnsweredBy = "any" | "leader" | "partition" | "connection" | "node";

/** Request name to who answers it. */
export const answeredBy: { readonly [Name in MessageName]: AnsweredBy } = {
  Produce: "partition",
  Fetch: "partition",
  GetOffset: "partition",
  CreateTopic: "leader",
  DeleteTopic: "leader",
  ListTopics: "leader",
  HealthCheck: "any",
  Hello: "any",
  Authenticate: "any",
  CommitOffset: "leader",
  FetchOffset: "leader",
  Subscribe: "partition",
  Unsubscribe: "connection",
  Credit: "connection",
  Ping: "any",
  Trim: "partition",
  ReadRange: "partition",
  InitProducer: "leader",
  JoinGroup: "leader",
  LeaveGroup: "leader",
  ListGroups: "leader",
  ClusterState: "any",
  ChangeCluster: "leader",
  PeerHello: "any",
  Raft: "node",
  PeerState: "node",
  PeerFetch: "node",
  Leaders: "any",
};
