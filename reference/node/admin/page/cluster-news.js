// @ts-check
/** What a view of a cluster says in words: how it is, and what has happened since the one before. Pure. */

/**
 * @typedef {{ node: string, address: string, role: string, isReached: boolean, behind: number | null,
 *   partitionsLed: number }} Member
 * @typedef {{ topic: string, partition: number, leader: string, term: number, behind: number }} Partition
 * @typedef {{ clusterId: string, node: string, term: number, leader: string, members: Member[],
 *   partitions: Partition[] }} ClusterView
 */

/** Partitions of which a change is told one by one. */
const toldMax = 4;

/** @param {number} count @param {string} one */
export const counted = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

/** @param {Partition} partition */
const nameOf = ({ topic, partition }) => `${topic}/${partition}`;

/**
 * What the difference between two views means, as sentences.
 * @param {ClusterView} before
 * @param {ClusterView} now
 * @returns {{ text: string, isBad: boolean }[]}
 */
export function happened(before, now) {
  /** @type {{ text: string, isBad: boolean }[]} */
  const told = [];
  const earlier = new Map(before.members.map((member) => [member.node, member]));
  for (const { node, isReached, behind, role } of now.members) {
    const was = earlier.get(node);
    earlier.delete(node);
    if (was === undefined) told.push({ text: `${node} joins as ${role}`, isBad: false });
    else if (was.isReached && !isReached) told.push({ text: `${node} is away`, isBad: true });
    else if (!was.isReached && isReached) told.push({ text: `${node} is back`, isBad: false });
    if (was !== undefined && was.role !== role)
      told.push({ text: `${node}: ${was.role}, now ${role}`, isBad: false });
    if (was !== undefined && isReached && (was.behind ?? 0) > 0 && behind === 0)
      told.push({ text: `${node} has all of the cluster's own log again`, isBad: false });
  }
  for (const node of earlier.keys()) told.push({ text: `${node} has left the cluster`, isBad: false });
  if (now.leader === "" && before.leader !== "") told.push({ text: "nobody leads the cluster", isBad: true });
  else if (now.leader !== before.leader || now.term !== before.term)
    if (now.leader !== "")
      told.push({ text: `${now.leader} leads the cluster, term ${now.term}`, isBad: false });
  return [...told, ...partitionsMoved(before, now), ...copiesMissing(before, now)];
}

/**
 * @param {ClusterView} before
 * @param {ClusterView} now
 */
function partitionsMoved(before, now) {
  const leaders = new Map(before.partitions.map((partition) => [nameOf(partition), partition.leader]));
  /** @type {Map<string, string[]>} */
  const moves = new Map();
  for (const partition of now.partitions) {
    const was = leaders.get(nameOf(partition));
    if (was === undefined || was === partition.leader) continue;
    const moved = moves.get(partition.leader) ?? [];
    moved.push(nameOf(partition));
    moves.set(partition.leader, moved);
  }
  return [...moves].map(([leader, names]) => {
    const shown = names.length > toldMax ? counted(names.length, "partition") : names.join(", ");
    const verb = names.length > 1 ? "have" : "has";
    const text = leader === "" ? `${shown} ${verb} no leader` : `${leader} leads ${shown}`;
    return { text, isBad: leader === "" };
  });
}

/**
 * @param {ClusterView} before
 * @param {ClusterView} now
 */
function copiesMissing(before, now) {
  const [was, is] = [before, now].map(
    ({ partitions }) => partitions.filter(({ behind }) => behind > 0).length,
  );
  if (was === 0 && is) return [{ text: `a node lacks records of ${counted(is, "partition")}`, isBad: true }];
  return was && is === 0 ? [{ text: "all nodes have all records", isBad: false }] : [];
}

/**
 * One line for the whole.
 * @param {ClusterView} view
 * @returns {{ text: string, state: "good" | "warn" | "bad" }}
 */
export function verdictOf({ leader, term, members, partitions }) {
  if (leader === "") return { text: "nobody leads: too few nodes can reach each other", state: "bad" };
  const leaderless = partitions.filter((partition) => partition.leader === "").length;
  if (leaderless > 0) return { text: `${counted(leaderless, "partition")} without a leader`, state: "bad" };
  const away = members.filter(({ isReached }) => !isReached).map(({ node }) => node);
  const lacking = partitions.filter(({ behind }) => behind > 0).length;
  const led = `${leader} leads, term ${term}`;
  if (away.length > 0) {
    const missing = lacking === 0 ? "" : `; a node lacks records of ${counted(lacking, "partition")}`;
    return {
      text: `${led}; ${away.join(", ")} ${away.length === 1 ? "is" : "are"} away${missing}`,
      state: "warn",
    };
  }
  if (lacking > 0)
    return { text: `${led}; a node lacks records of ${counted(lacking, "partition")}`, state: "warn" };
  return { text: `${led}; every node is here and has all records`, state: "good" };
}
