/**
 * The partition that a request names, if this server answers for it.
 *
 * A server that is alone answers for all of its partitions. In a cluster each partition has a node that leads it, and
 * only that one may answer: what the others hold may be old, and what they took would be lost.
 */
import { messages } from "../protocol/messages.ts";
import type { Replication } from "./cluster/replication.ts";
import type { BrokerConnection } from "./connection.ts";
import type { ErrorOutcome } from "./outcome.ts";
import type { Partition } from "./partition.ts";
import type { TopicRegistry } from "./registry.ts";

/** A partition that this server may answer for, or why it may not. */
export function ledPartition(
  { topics, replication }: { readonly topics: TopicRegistry; readonly replication: Replication | undefined },
  topic: string,
  number: number,
  connection: BrokerConnection,
): Partition | ErrorOutcome {
  const found = topics.partition(topic, number);
  if (replication === undefined) return found;
  // A node may only not have heard of the topic yet: the one that knows all topics may say that there is none.
  if ("kind" in found) return replication.refusal(messages.ListTopics.type, connection) ?? found;
  return replication.refusalOf(found, connection) ?? found;
}
