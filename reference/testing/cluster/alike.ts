/** Whether the nodes of a cluster have come to agree on everything that there is to agree on. */
import type { ReplyOf } from "../../protocol/messages.ts";

type State = ReplyOf<"ClusterState">;

/** Whether all nodes know the same leaders and have applied the same; nodes list partitions in orders of their own. */
export function areAlike(states: readonly State[]): boolean {
  const [first] = states;
  if (first === undefined) return false;
  return states.every((state) => {
    const isEven = state.appliedIndex === first.appliedIndex && state.leader === first.leader;
    return isEven && state.leader !== "" && partitionsOf(state) === partitionsOf(first);
  });
}

/** All partitions of a node in one text, which no other node has while one of them has no leader. */
function partitionsOf({ node, partitions }: State): string {
  const lines = partitions.map(({ topic, partition, leader, endOffset }) => {
    return `${topic}/${partition} to ${endOffset}, led by ${leader === "" ? `nobody that ${node} knows` : leader}`;
  });
  return lines.toSorted().join("\n");
}
