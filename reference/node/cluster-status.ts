/** What `oz cluster status` says of nodes and partitions: with a thousand of them, still something to read. */
import type { ClusterView } from "./cluster-view.ts";

/** Partitions that are named one by one, unless all are asked for. */
export const partitionLinesMax = 10;

/** A line for each node. */
export function memberLines({ members, leader }: ClusterView): string[] {
  const width = Math.max(...members.map(({ node }) => node.length));
  const addressWidth = Math.max(...members.map(({ address }) => address.length));
  return members.map(({ node, address, role, isReached, behind, partitionsLed }) => {
    const what = (node === leader ? "leader" : role).padEnd(7);
    const leads = `leads ${partitionsLed === 1 ? "1 partition" : `${partitionsLed} partitions`}`;
    const entries = behind === 1 ? "1 entry behind" : `${behind} entries behind`;
    const lag = behind === 0 ? "up to date" : behind === null ? "" : entries;
    const state = [isReached ? "" : "away", lag].filter((text) => text !== "").join(", ");
    return `${node.padEnd(width)}  ${address.padEnd(addressWidth)}  ${what}  ${leads.padEnd(19)}  ${state}`.trimEnd();
  });
}

/** What is missing of which partition, and when that is too long, a last line that counts. */
export function partitionLines(partitions: ClusterView["partitions"], isAll: boolean): string[] {
  const leaderless = partitions.filter(({ leader }) => leader === "");
  const short = partitions.filter(({ behind }) => behind > 0);
  const lines = [
    ...leaderless.map(({ topic, partition }) => `${topic}/${partition}  has no leader`),
    ...short.map(({ topic, partition, behind }) => {
      return `${topic}/${partition}  ${behind === 1 ? "1 node lacks" : `${behind} nodes lack`} records`;
    }),
  ];
  if (isAll || lines.length <= partitionLinesMax) return lines;
  const counts = `${leaderless.length} without a leader, ${short.length} of which a node lacks records`;
  const rest = `of ${partitions.length} partitions: ${counts} (--all lists them)`;
  return [...lines.slice(0, partitionLinesMax), rest];
}
