/**
 * The groups of Raft that a node takes part in: one for what describes the cluster, and one for each partition.
 *
 * A partition's group belongs to one life of its topic: a topic that is deleted and made again under the same name
 * has other groups, and no message of the old ones can reach them.
 */

/** Names a group on every node of a cluster. */
export interface GroupId {
  /** The entry of the metadata's log that made the topic; 0 for the metadata itself. */
  readonly incarnation: number;
  readonly partition: number;
}

/** The group that keeps topics, groups' positions and nodes' addresses. */
export const metadataGroup: GroupId = { incarnation: 0, partition: 0 };

const metadataKey = "0/0";

/** A group as a key of maps. */
export function groupKey({ incarnation, partition }: GroupId): string {
  // In the simulation of Raft there is no other, and a new text for each of its writes is one too many.
  return incarnation === 0 && partition === 0 ? metadataKey : `${incarnation}/${partition}`;
}
