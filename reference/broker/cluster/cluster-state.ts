/** What a node says about its cluster when it is asked. */
import type { ReplyOf } from "../../protocol/messages.ts";
import { configurationOf } from "../../raft/state.ts";
import type { GroupsReport } from "./cluster-metrics.ts";
import type { Group } from "./group.ts";
import type { Groups } from "./groups.ts";
import { nameOf } from "./member-id.ts";
import type { PartitionReplica } from "./partition-replica.ts";
import type { PartitionLeader } from "./replication.ts";

/** The members, who leads what, and how far everybody is. */
export function clusterStateOf(
  metadata: Group,
  groups: Groups,
  clusterId: string,
  addresses: ReadonlyMap<string, string>,
): ReplyOf<"ClusterState"> {
  const { id: node, term, leader, commitIndex, progress, log } = metadata.state;
  const { voters, oldVoters, learners } = configurationOf(metadata.state);
  const roleOf = (name: string): string => {
    if (voters.includes(name)) return "voter";
    return learners.includes(name) ? "learner" : "leaving";
  };
  const names = [...new Set([...voters, ...oldVoters, ...learners])].sort();
  const partitions = [...groups.all].map((replica) => partitionStateOf(replica, node));
  const members = names.map((name) => ({
    node: name,
    address: addresses.get(name) ?? "",
    role: roleOf(name),
    partitionsLed: partitions.filter((of) => of.leader === name).length,
    matchIndex: name === leader && name === node ? log.lastIndex : (progress.get(name)?.matchIndex ?? 0),
  }));
  const isNotReady = leader === node && !metadata.isReady;
  return {
    clusterId,
    node,
    term,
    leader: isNotReady ? "" : (leader ?? ""),
    commitIndex,
    appliedIndex: metadata.appliedIndex,
    members,
    partitions,
  };
}

/** The same with names, for people and clients; nodes call each other as Raft does. */
export function withNames(state: ReplyOf<"ClusterState">): ReplyOf<"ClusterState"> {
  return {
    ...state,
    node: nameOf(state.node),
    leader: nameOf(state.leader),
    members: state.members.map((member) => ({ ...member, node: nameOf(member.node) })),
    partitions: state.partitions.map((partition) => ({ ...partition, leader: nameOf(partition.leader) })),
  };
}

/** Who leads a partition, for clients: a leader that may not answer yet is none. */
export function leaderOf(
  replica: PartitionReplica | undefined,
  own: string,
  addresses: ReadonlyMap<string, string>,
): PartitionLeader {
  const leader = replica?.leader ?? "";
  const isKnown = leader !== own || replica?.group.isReady === true;
  return isKnown ? { node: nameOf(leader), address: addresses.get(leader) ?? "" } : { node: "", address: "" };
}

/** The partitions that this node leads. */
export function ledPartitions(groups: Groups): ReplyOf<"PeerState">["partitions"] {
  return [...groups.all]
    .filter(({ group }) => group.isReady)
    .map(({ id, partition: { log } }) => ({
      ...id,
      startOffset: log.startOffset,
      endOffset: log.committedEnd,
      sizeBytes: log.sizeBytes,
    }));
}

/** How many members of a partition's group lack what is committed; 0 where this node does not lead it. */
export function membersBehind({ group }: PartitionReplica): number {
  const { role, progress, commitIndex } = group.state;
  if (role !== "leader") return 0;
  return [...progress.values()].filter(({ matchIndex }) => matchIndex < commitIndex).length;
}

/** What a node's groups are now, as numbers. */
export function groupsReportOf(metadata: Group, groups: Groups): GroupsReport {
  const all = [...groups.all];
  return {
    metadataTerm: metadata.state.term,
    partitions: all.length,
    led: all.filter(({ group }) => group.isReady).length,
    leaderless: all.filter(({ leader }) => leader === undefined).length,
    underReplicated: all.filter((replica) => membersBehind(replica) > 0).length,
    entryBytes: all.reduce((sum, { group }) => sum + group.state.log.bytes, metadata.state.log.bytes),
  };
}

function partitionStateOf(
  replica: PartitionReplica,
  node: string,
): ReplyOf<"ClusterState">["partitions"][number] {
  const { partition, group, leader } = replica;
  const isNotReady = leader === node && !group.isReady;
  return {
    topic: partition.topic,
    partition: partition.number,
    leader: isNotReady ? "" : (leader ?? ""),
    term: group.state.term,
    endOffset: partition.log.committedEnd,
    behind: membersBehind(replica),
  };
}

/** What nobody leads, as far as this node knows, as one line. */
export function missingLeader(metadata: Group, groups: Groups): string | undefined {
  if (metadata.state.leader === undefined) {
    return "no leader is known: too few nodes of the cluster can be reached";
  }
  for (const { partition, leader } of groups.all) {
    if (leader === undefined) return `no leader is known for ${partition.topic}/${partition.number}`;
  }
  return undefined;
}
