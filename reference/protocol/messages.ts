/**
 * The messages: every request type and its reply, field by field.
 *
 * This file is the definition. SPEC.md shows the same layouts with annotated bytes, and a test renders it from here.
 *
 * Rules that hold for all of them:
 * - a reply with status 1 carries `errorReply` in place of its own layout;
 * - a payload with bytes left over is refused, in both directions;
 * - offsets, times and sizes are 64 bits on the wire and at most 2^53 - 1;
 * - record batches lie on the wire as they lie in the log (storage/record-batch.ts), so the broker never repacks them.
 */
import type { Layout, LayoutValue } from "./messages-layout.ts";
import * as groups from "./messages-groups.ts";
import * as cluster from "./messages-cluster.ts";
import {
  arrayOf,
  bytes,
  bytesWindow,
  flag,
  layout,
  taggedFields,
  text,
  uint32,
  uint53,
  uint64,
  uint8,
} from "./messages-layout.ts";

/** What a reply with status 1 carries: the code stands in the frame's header, the rest here. */
export const errorReply = layout("error", {
  /** One line for people: the thing, the value and the limit. */
  message: text,
  /** How long a client should wait before it tries again; 0 leaves that to the client. */
  retryAfterMs: uint32,
});

const empty = layout("empty", {});

const partitionName = { topic: text, partition: uint32 } as const;

export const produceRequest = layout("Produce", {
  ...partitionName,
  /** One record batch; the server stamps its offset and ids. Producer id and sequence stand in the batch itself. */
  batch: bytesWindow,
});

export const produceReply = layout("ProduceReply", {
  /** The offset of the first record; the others follow without gaps. */
  baseOffset: uint53,
  /** The id of the first record, `<ms>-<seq>`. */
  idMs: uint53,
  idSequence: uint32,
});

export const fetchRequest = layout("Fetch", {
  ...partitionName,
  /** The first offset wanted. The first batch of the reply may start below it. */
  offset: uint53,
  /** Stop after about this much; one batch comes whole even when it is larger. */
  bytesMax: uint32,
  /** At the end of the log, wait this long for a record to come; 0 answers at once. */
  waitMs: uint32,
});

export const fetchReply = layout("FetchReply", {
  /** The oldest offset that is kept. */
  startOffset: uint53,
  /** The offset after the last record that may be read. */
  endOffset: uint53,
  /** Whole record batches. */
  batches: bytesWindow,
});

export const getOffsetRequest = layout("GetOffset", {
  ...partitionName,
  /** The first record at or after this time; 0 asks for none. */
  timeMs: uint53,
});

export const getOffsetReply = layout("GetOffsetReply", {
  startOffset: uint53,
  endOffset: uint53,
  /** The first offset at or after the time asked for; `endOffset` when there is none or none was asked for. */
  timeOffset: uint53,
});

export const createTopicRequest = layout("CreateTopic", {
  topic: text,
  partitions: uint32,
  /** 0 keeps records for ever. */
  retentionMs: uint53,
  /** The most bytes that each partition keeps; 0 is no limit. */
  retentionBytes: uint53,
  /** Keep only the last record of each key. */
  isCompacted: flag,
});

export const topicRequest = layout("DeleteTopic", { topic: text });

export const listTopicsRequest = layout("ListTopics", {
  /** Names to describe; an empty list means all. */
  topics: arrayOf(text),
});

const partitionState = layout("partition", {
  startOffset: uint53,
  endOffset: uint53,
  /** Bytes on disk. */
  sizeBytes: uint53,
});

export const topicState = layout("topic", {
  topic: text,
  retentionMs: uint53,
  retentionBytes: uint53,
  isCompacted: flag,
  /** In the order of their numbers, from 0. */
  partitions: arrayOf(partitionState),
});

export const listTopicsReply = layout("ListTopicsReply", { topics: arrayOf(topicState) });

export const healthCheckReply = layout("HealthCheckReply", {
  /** 1 accepts writes, 0 does not; `detail` says why. */
  isReady: flag,
  uptimeMs: uint53,
  detail: text,
});

export const helloRequest = layout("Hello", {
  /** The oldest and the newest protocol version that the client speaks. */
  versionMin: uint8,
  versionMax: uint8,
  /** For logs, and the start of the ids of its group members; not trusted. */
  clientName: text,
  tagged: taggedFields,
});

export const helloReply = layout("HelloReply", {
  /** The newest version that both sides speak. */
  version: uint8,
  serverName: text,
  frameSizeMax: uint32,
  recordSizeMax: uint32,
  /** Requests that one connection may have open at once. */
  inFlightMax: uint32,
  /** The server cuts a connection from which no whole frame came for this long; 0 never. Ping in time. */
  idleTimeoutMs: uint32,
  /** Ways to authenticate, of which one must be used first; empty when none is needed. */
  authentication: arrayOf(text),
  /** Random bytes of this connection, for the HMAC. */
  nonce: bytes,
  tagged: taggedFields,
});

export const authenticateRequest = layout("Authenticate", {
  /** `token`: proof is the token. `hmac-sha256`: proof is HMAC(secret, nonce). */
  method: text,
  /** Whose token or secret it is. */
  name: text,
  proof: bytes,
});

export const pingRequest = layout("Ping", {
  /** Comes back as it went. */
  token: uint64,
});

export const trimRequest = layout("Trim", {
  ...partitionName,
  /** Everything below may go. */
  beforeOffset: uint53,
});

export const trimReply = layout("TrimReply", { startOffset: uint53 });

export const readRangeRequest = layout("ReadRange", {
  ...partitionName,
  startMs: uint53,
  startSequence: uint32,
  endMs: uint53,
  endSequence: uint32,
  bytesMax: uint32,
});

export const initProducerReply = layout("InitProducerReply", { producerId: uint64 });

/** Request name to its row, in the order of the type numbers. */
export const messages = {
  Produce: {
    type: 1,
    request: produceRequest,
    reply: produceReply,
    help: "Appends one batch to a partition. Answered when the batch is as durable as the server's policy says.",
  },
  Fetch: {
    type: 2,
    request: fetchRequest,
    reply: fetchReply,
    help: "Reads whole batches from an offset on.",
  },
  GetOffset: {
    type: 3,
    request: getOffsetRequest,
    reply: getOffsetReply,
    help: "Where a partition starts and ends, and which offset a time stands for.",
  },
  CreateTopic: {
    type: 4,
    request: createTopicRequest,
    reply: empty,
    help: "Makes a topic with a fixed number of partitions.",
  },
  DeleteTopic: {
    type: 5,
    request: topicRequest,
    reply: empty,
    help: "Removes a topic, its records and its committed offsets.",
  },
  ListTopics: {
    type: 6,
    request: listTopicsRequest,
    reply: listTopicsReply,
    help: "Describes topics and their partitions.",
  },
  HealthCheck: {
    type: 7,
    request: empty,
    reply: healthCheckReply,
    help: "Whether the server accepts writes.",
  },
  Hello: {
    type: 8,
    request: helloRequest,
    reply: helloReply,
    help: "Agrees on a version and announces the server's limits. First on a connection.",
  },
  Authenticate: {
    type: 9,
    request: authenticateRequest,
    reply: empty,
    help: "Proves who the client is, where the server asks for it.",
  },
  CommitOffset: {
    type: 10,
    request: groups.commitOffsetRequest,
    reply: groups.commitOffsetReply,
    help: "Stores a group's positions, forwards or backwards.",
  },
  FetchOffset: {
    type: 11,
    request: groups.fetchOffsetRequest,
    reply: groups.fetchOffsetReply,
    help: "A group's stored positions.",
  },
  Subscribe: {
    type: 12,
    request: groups.subscribeRequest,
    reply: groups.subscribeReply,
    help: "Sends batches as they come, within the credit given. One request, many replies.",
  },
  Unsubscribe: {
    type: 13,
    request: groups.unsubscribeRequest,
    reply: empty,
    help: "Ends a subscription of this connection.",
  },
  Credit: {
    type: 14,
    request: groups.creditRequest,
    reply: empty,
    help: "Allows a subscription more bytes. Never answered, also not with an error.",
  },
  Ping: {
    type: 15,
    request: pingRequest,
    reply: pingRequest,
    help: "A sign of life. The reply is the pong.",
  },
  Trim: {
    type: 16,
    request: trimRequest,
    reply: trimReply,
    help: "Gives up the oldest records of a partition.",
  },
  ReadRange: {
    type: 17,
    request: readRangeRequest,
    reply: fetchReply,
    help: "Reads by record id, both ends included.",
  },
  InitProducer: {
    type: 18,
    request: empty,
    reply: initProducerReply,
    help: "A producer id for idempotent Produce requests.",
  },
  JoinGroup: {
    type: 19,
    request: groups.joinGroupRequest,
    reply: groups.joinGroupReply,
    help: "Joins a consumer group, or stays in it, and says what to read.",
  },
  LeaveGroup: {
    type: 20,
    request: groups.leaveGroupRequest,
    reply: empty,
    help: "Leaves a consumer group at once.",
  },
  ListGroups: {
    type: 21,
    request: empty,
    reply: groups.listGroupsReply,
    help: "The consumer groups and their members.",
  },
  ClusterState: {
    type: 22,
    request: empty,
    reply: cluster.clusterStateReply,
    help: "The nodes of the cluster, and which one leads. Any node answers.",
  },
  ChangeCluster: {
    type: 23,
    request: cluster.changeClusterRequest,
    reply: empty,
    help: "Adds or removes a node, or hands leadership over. Answered when it is done.",
  },
  PeerHello: {
    type: 24,
    request: cluster.peerHelloRequest,
    reply: cluster.peerHelloReply,
    help: "Between nodes: says who connects. First on a connection between nodes, after Hello.",
  },
  Raft: {
    type: 25,
    request: cluster.raftRequest,
    reply: empty,
    help: "Between nodes: one message of the consensus. Never answered.",
  },
  PeerState: {
    type: 26,
    request: empty,
    reply: cluster.peerStateReply,
    help: "Between nodes: the partitions that a node holds, for one that is far behind.",
  },
  PeerFetch: {
    type: 27,
    request: cluster.peerFetchRequest,
    reply: cluster.peerFetchReply,
    help: "Between nodes: whole batches as they are stored, for one that is far behind.",
  },
  Leaders: {
    type: 28,
    request: cluster.leadersRequest,
    reply: cluster.leadersReply,
    help: "Which node of the cluster leads each partition of a topic. Any node answers, from what it knows.",
  },
} as const;

/** The name of a request type. */
export type MessageName = keyof typeof messages;

/** What a request of this name carries. */
export type RequestOf<Name extends MessageName> =
  (typeof messages)[Name]["request"] extends Layout<infer Named> ? LayoutValue<Named> : never;

/** What the reply to a request of this name carries. */
export type ReplyOf<Name extends MessageName> =
  (typeof messages)[Name]["reply"] extends Layout<infer Named> ? LayoutValue<Named> : never;

const namesByType = new Map<number, MessageName>(
  (Object.keys(messages) as MessageName[]).map((name) => [messages[name].type, name]),
);

/** The name for a type field; undefined for a type that this version does not know. */
export function messageNameOf(type: number): MessageName | undefined {
  return namesByType.get(type);
}
