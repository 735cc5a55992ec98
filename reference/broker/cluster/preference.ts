/**
 * Which node shall lead a partition: so that the nodes share the work, without anybody having to hand it out.
 *
 * Every node comes to the same answer from the topic's name and the group's members. It is a preference and no
 * more: any voter may lead.
 */
import type { Random } from "../../ports.ts";

/** The node that leads the partition when all are well; undefined when nobody votes. */
export function preferredLeader(
  topic: string,
  partition: number,
  voters: readonly string[],
): string | undefined {
  // FNV-1a: partitions of one topic go around, and topics begin at different nodes.
  let hash = 0x811c9dc5;
  for (let at = 0; at < topic.length; at++) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
  return voters.toSorted()[((hash >>> 0) + partition) % voters.length];
}

/**
 * Random numbers of which the first is in the lower or in the upper half: the first time-out of a group is drawn
 * so.
 */
export function biased(random: Random, isFirst: boolean): Random {
  let hasDrawn = false;
  return {
    nextUint32: () => {
      const drawn = random.nextUint32();
      if (hasDrawn) return drawn;
      hasDrawn = true;
      return isFirst ? 0 : 2 ** 31 + (drawn >>> 1);
    },
  };
}
