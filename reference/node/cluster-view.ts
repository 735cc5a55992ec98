/**
 * A cluster as all of its nodes together see it.
 *
 * No single node knows everything: how far the copies of a partition are is known to the node that leads that
 * partition, how far the nodes are in the cluster's own log to the one that leads the metadata. So whoever wants to
 * see the whole asks every node, and each thing is taken from the node that knows it. A node that does not answer is
 * what an operator wants to read first.
 */
import type { ReplyOf } from "../protocol/messages.ts";

/** What one node says. */
export type ClusterState = ReplyOf<"ClusterState">;

/** One node, as the others see it. */
export type MemberView = Omit<ClusterState["members"][number], "matchIndex"> & {
  /** Whether it answered whoever asked. */
  readonly isReached: boolean;
  /** Entries of the cluster's own log that it lacks; only the leader knows. */
  readonly behind: number | null;
};

/** The whole cluster. */
export interface ClusterView {
  readonly clusterId: string;
  /** The node that was asked first. */
  readonly node: string;
  readonly term: number;
  /** The node that leads the metadata; empty while none is known. */
  readonly leader: string;
  readonly commitIndex: number;
  readonly members: readonly MemberView[];
  readonly partitions: ClusterState["partitions"];
}

/** A node that has not answered by then counts as away. */
const answerTimeoutMs = 1000;

/**
 * Asks all members that `asked` names, itself left out.
 * @param ask asks one node, which may fail or never answer
 * @param wait resolves after so many milliseconds
 */
export async function viewCluster(
  asked: ClusterState,
  ask: (node: string, address: string) => Promise<ClusterState>,
  wait: (durationMs: number) => Promise<unknown>,
): Promise<ClusterView> {
  const late = wait(answerTimeoutMs).then(() => undefined);
  const others = asked.members.filter(({ node }) => node !== asked.node);
  const answers = others.map(({ node, address }) =>
    Promise.race([ask(node, address).catch(() => undefined), late]),
  );
  return mergeStates(asked, await Promise.all(answers));
}

/** Puts together what nodes have said; of one that did not answer, nothing. */
export function mergeStates(
  asked: ClusterState,
  answers: readonly (ClusterState | undefined)[],
): ClusterView {
  // Another cluster at a member's old address has nothing to say about this one.
  const own = answers.filter((answer) => answer !== undefined && answer.clusterId === asked.clusterId);
  const states = [asked, ...own].filter((state) => state !== undefined);
  const reached = new Set(states.map(({ node }) => node));
  const base = states.reduce(knowsMore);
  const partitions = mergePartitions(base, states, reached);
  // A node that answers and does not say so itself has not begun to lead, or has ceased to.
  const leader = base.leader !== base.node && reached.has(base.leader) ? "" : base.leader;
  const members = base.members.map(({ node, address, role, matchIndex }) => ({
    node,
    address,
    role,
    isReached: reached.has(node),
    behind: leader === base.node ? Math.max(0, base.commitIndex - matchIndex) : null,
    partitionsLed: partitions.filter((of) => of.leader === node).length,
  }));
  const { clusterId, term, commitIndex } = base;
  return { clusterId, node: asked.node, term, leader, commitIndex, members, partitions };
}

/** Who leads knows more than who follows, and of two leaders the one of the later term. */
function knowsMore(one: ClusterState, other: ClusterState): ClusterState {
  const [isOne, isOther] = [one, other].map(({ leader, node }) => leader === node);
  if (isOne !== isOther) return isOther ? other : one;
  return other.term > one.term ? other : one;
}

/** Each partition from the node that says it leads it, else what most recently was heard of it. */
function mergePartitions(
  base: ClusterState,
  states: readonly ClusterState[],
  reached: ReadonlySet<string>,
): ClusterState["partitions"] {
  type Known = ClusterState["partitions"][number] & { readonly isLed: boolean };
  const known = new Map<string, Known>();
  for (const { node, partitions } of states) {
    for (const partition of partitions) {
      const key = `${partition.topic}/${partition.partition}`;
      const isLed = partition.leader === node;
      const before = known.get(key);
      const isNews =
        before === undefined ||
        (isLed && !before.isLed) ||
        (isLed === before.isLed && partition.term > before.term);
      if (isNews) known.set(key, { ...partition, isLed });
    }
  }
  return base.partitions.map(({ topic, partition: number }) => {
    const { isLed, ...partition } = known.get(`${topic}/${number}`)!;
    return isLed || !reached.has(partition.leader) ? partition : { ...partition, leader: "" };
  });
}
