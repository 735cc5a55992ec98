/**
 * The messages of those who read together or are sent to: consumer groups, their offsets, subscriptions. Part of
 * messages.ts, which says what holds for all of them.
 */
import {
  arrayOf,
  bytesWindow,
  flag,
  layout,
  text,
  uint16,
  uint32,
  uint53,
  uint64,
  uint8,
} from "./messages-layout.ts";

const partitionName = { topic: text, partition: uint32 } as const;

export const commitOffsetRequest = layout("CommitOffset", {
  group: text,
  /** The member that commits, from JoinGroup; empty for a commit by hand, which may set any offset. */
  memberId: text,
  /** The member's generation. An older one will do for what has stayed with the member since. 0 by hand. */
  generation: uint32,
  /** Offsets of the next record to read, not of the last one read. */
  offsets: arrayOf(layout("offset", { ...partitionName, offset: uint53 })),
});

export const commitOffsetReply = layout("CommitOffsetReply", {
  /** One code for each offset of the request, in its order; 0 is done. Status 2 says that some are not 0. */
  errorCodes: arrayOf(uint16),
});

export const fetchOffsetRequest = layout("FetchOffset", {
  group: text,
  /** An empty list asks for all that the group has committed. */
  partitions: arrayOf(layout("partition", partitionName)),
});

export const fetchOffsetReply = layout("FetchOffsetReply", {
  offsets: arrayOf(
    layout("offset", {
      ...partitionName,
      /** Whether the group has committed here; if not, `offset` is where the partition starts. */
      isCommitted: flag,
      offset: uint53,
    }),
  ),
});

export const subscribeRequest = layout("Subscribe", {
  ...partitionName,
  offset: uint53,
  /** Bytes of batches that the server may send before it needs more credit. */
  creditBytes: uint32,
});

/** `subscribed` and `ended` carry no batches. A subscription's replies all bear the id of its Subscribe request. */
export const subscribeReply = layout("SubscribeReply", {
  /** 0 = subscribed, 1 = delivery, 2 = ended: the last reply, after Unsubscribe. */
  kind: uint8,
  startOffset: uint53,
  endOffset: uint53,
  batches: bytesWindow,
});

export const unsubscribeRequest = layout("Unsubscribe", {
  /** The id of the Subscribe request. */
  subscriptionId: uint64,
});

export const creditRequest = layout("Credit", {
  subscriptionId: uint64,
  /** Added to what is left. */
  creditBytes: uint32,
});

export const joinGroupRequest = layout("JoinGroup", {
  group: text,
  /** Empty at first; afterwards what the reply said. Sent again and again, it is the member's heartbeat. */
  memberId: text,
  topics: arrayOf(text),
  /** What the member reads at the moment; it keeps nothing that the last reply did not name. */
  owned: arrayOf(layout("partition", partitionName)),
});

export const joinGroupReply = layout("JoinGroupReply", {
  memberId: text,
  /** Grows with every change of the group; goes into CommitOffset. */
  generation: uint32,
  /** Join again each time so much has passed; a member that misses this three times is taken for dead. */
  heartbeatMs: uint32,
  assigned: arrayOf(layout("partition", partitionName)),
});

export const leaveGroupRequest = layout("LeaveGroup", { group: text, memberId: text });

export const listGroupsReply = layout("ListGroupsReply", {
  groups: arrayOf(layout("group", { group: text, generation: uint32, members: arrayOf(text) })),
});
