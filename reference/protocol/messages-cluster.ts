/**
 * The messages of a cluster: what clients ask about it, and what its nodes say to each other.
 *
 * Nodes talk over the same port and the same frames as clients do. So a version that does not fit, a frame that is
 * damaged or a peer that is silent is dealt with in one place; and a stranger who sends what only nodes may send is
 * refused like any other request.
 */
import { arrayOf, bytes, bytesWindow, layout, text, uint32, uint53 } from "./messages-layout.ts";

const member = layout("member", {
  node: text,
  /** Where clients and nodes reach it, `host:port`. */
  address: text,
  /** `voter`, `learner` (receives everything and has no say), or `leaving`. */
  role: text,
  /** How far its log is known to be the leader's; 0 where the one who answers does not lead. */
  matchIndex: uint53,
  /** Partitions that it leads, as far as the one who answers knows. */
  partitionsLed: uint32,
});

export const clusterStateReply = layout("ClusterStateReply", {
  clusterId: text,
  /** The node that answers. */
  node: text,
  /** The election that it knows of. */
  term: uint53,
  /** The node that leads in this term; empty while none is known. */
  leader: text,
  /** How far the replicated log is committed, and carried out by the node that answers. */
  commitIndex: uint53,
  appliedIndex: uint53,
  members: arrayOf(member),
  partitions: arrayOf(
    layout("partition state", {
      topic: text,
      partition: uint32,
      /** The node that leads the partition; empty while none is known. */
      leader: text,
      term: uint53,
      /** How far the node that answers lets readers go, or would. */
      endOffset: uint53,
      /** Members of the partition's group that lack what is committed; only its leader knows, others say 0. */
      behind: uint32,
    }),
  ),
});

export const changeClusterRequest = layout("ChangeCluster", {
  /** `add`, `remove` or `transfer`. */
  action: text,
  node: text,
  /** For `add`: where the node listens. Empty otherwise. */
  address: text,
});

export const leadersRequest = layout("Leaders", { topic: text });

export const leadersReply = layout("LeadersReply", {
  /** One for each partition of the topic, in the order of their numbers. */
  leaders: arrayOf(
    layout("partition leader", {
      partition: uint32,
      /** The node that answers requests for this partition; empty while none is known. */
      node: text,
      /** Where that node is reached; empty like its name. */
      address: text,
    }),
  ),
});

export const peerHelloRequest = layout("PeerHello", {
  clusterId: text,
  /** The node that connects, as the others know it: its name, and `#` and its folder's id if it was added later. */
  node: text,
  /** The id of its data folder: the promises of a node lie there and nowhere else. */
  folder: text,
  /** The name of the node that it means to reach. */
  target: text,
  /** The largest frame that it takes, and so the largest that it may be sent. */
  frameSizeMax: uint32,
});

export const peerHelloReply = layout("PeerHelloReply", {
  /** The same of the node that was reached. */
  node: text,
  folder: text,
  frameSizeMax: uint32,
});

export const raftRequest = layout("Raft", {
  /** Messages of several groups, in the layout of broker/cluster/frame-codec.ts. */
  message: bytesWindow,
});

export const peerStateReply = layout("PeerStateReply", {
  /** The partitions that the node leads. */
  partitions: arrayOf(
    layout("led partition", {
      /** The entry of the replicated log that made the topic. */
      incarnation: uint53,
      partition: uint32,
      startOffset: uint53,
      endOffset: uint53,
      sizeBytes: uint53,
    }),
  ),
});

export const peerFetchRequest = layout("PeerFetch", {
  topic: text,
  incarnation: uint53,
  partition: uint32,
  offset: uint53,
  bytesMax: uint32,
});

export const peerFetchReply = layout("PeerFetchReply", {
  /** Where the batches begin that the node has: what was asked for may be gone. */
  startOffset: uint53,
  /** Records before this offset are never lost here: a snapshot of the group says that they are there. */
  safeEnd: uint53,
  /** Of a compacted topic: tombstones before this offset may be missing here. */
  tombstonesGoneTo: uint53,
  /** How often tombstones were taken out here: answers with the same number fit together. */
  tombstoneRounds: uint53,
  /** Whole record batches. */
  batches: bytes,
});

/** The tagged field of HelloReply that holds the addresses of all nodes: a client that loses one goes to another. */
const clusterTag = 1;

/** The nodes' addresses as a tagged field. */
export function clusterField(addresses: readonly string[]): {
  readonly tag: number;
  readonly value: Uint8Array;
} {
  return { tag: clusterTag, value: new TextEncoder().encode(addresses.join(",")) };
}

/** The nodes' addresses in a HelloReply; undefined when the server is not part of a cluster. */
export function clusterAddresses(
  tagged: readonly { readonly tag: number; readonly value: Uint8Array }[],
): readonly string[] | undefined {
  const field = tagged.find(({ tag }) => tag === clusterTag);
  if (field === undefined) return undefined;
  return new TextDecoder()
    .decode(field.value)
    .split(",")
    .filter((address) => address !== "");
}
