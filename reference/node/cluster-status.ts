/** What `oz cluster status` says of the partitions: with a thousand of them, still something to read. */
import type { ReplyOf } from "../protocol/messages.ts";

/** Partitions that are named one by one, unless all are asked for. */
export const partitionLinesMax = 10;

/** What is missing of which partition, and when that is too long, a last line that counts. */
export function partitionLines(partitions: ReplyOf<"ClusterState">["partitions"], isAll: boolean): string[] {
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
