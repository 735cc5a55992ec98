/**
 * Consumer offsets: how far each group has come.
 *
 * What is stored is the offset of the *next* record to read, so that a group begins where it left off without counting.
 * A member commits only for what is its own; a person may set any offset, in any direction.
 */
import type { ErrorName } from "../protocol/errors.ts";
import { errorCodeOf } from "../protocol/errors.ts";
import type { Broker } from "./broker.ts";
import type { Call, Handler } from "./call.ts";
import type { PartitionSize } from "./cluster/replication.ts";
import { groupNameLengthMax } from "./group-coordinator.ts";
import type { StoredOffset } from "./offset-store.ts";
import type { Partition } from "./partition.ts";
import { refuse, reply } from "./outcome.ts";
import type { RequestOf } from "../protocol/messages.ts";

/** The most positions of one request. */
const offsetsMax = 10_000;

export const commitOffset: Handler<"CommitOffset"> = async (broker, request, call) => {
  const { group, offsets, memberId, generation } = request;
  if (broker.offsets === undefined) return refuse("unknown-request", "this server keeps no offsets");
  if (group === "" || group.length > groupNameLengthMax) {
    return refuse("invalid-request", `a group name has 1 to ${groupNameLengthMax} characters`);
  }
  if (offsets.length > offsetsMax) {
    return refuse(
      "invalid-request",
      `${offsets.length} positions are more than the ${offsetsMax} of a request`,
    );
  }
  const ends = await endsElsewhere(broker, offsets);
  const errors = offsets.map((position) => judgeCommit(broker, request, position, call, ends));
  const accepted = offsets.filter((_, index) => errors[index] === "none");
  const by = memberId === "" ? undefined : { memberId, generation };
  const left = accepted.length > 0 ? await broker.offsets.commit(group, accepted, by) : [];
  if ("kind" in left) return left;
  for (const position of left) errors[offsets.indexOf(position)] = "fenced-member";
  const value = { errorCodes: errors.map(errorCodeOf) };
  const first = errors.find((name) => name !== "none");
  return first === undefined ? reply(value) : { kind: "partial", name: first, value };
};

function judgeCommit(
  broker: Broker,
  { group, memberId, generation }: RequestOf<"CommitOffset">,
  position: StoredOffset,
  { connection }: Call,
  ends: ReadonlyMap<Partition, PartitionSize> | undefined,
): ErrorName {
  const partition = broker.topics.partition(position.topic, position.partition);
  if ("kind" in partition) return partition.name;
  const endOffset = Math.max(partition.log.committedEnd, ends?.get(partition)?.endOffset ?? 0);
  if (position.offset > endOffset) {
    // A leader that cannot be asked may know of more: that passes, and an offset that is out of range does not.
    const isKnown = ends?.has(partition) ?? true;
    const isLed = broker.replication?.refusalOf(partition, connection) === undefined;
    return isKnown || isLed ? "offset-out-of-range" : "not-leader";
  }
  if (memberId === "") return "none";
  return broker.groups.mayCommit(connection, group, memberId, generation, position)
    ? "none"
    : "fenced-member";
}

/** In a cluster: what the leaders say of partitions of which this node has not heard everything yet. */
async function endsElsewhere(
  { replication, topics }: Broker,
  offsets: readonly StoredOffset[],
): Promise<ReadonlyMap<Partition, PartitionSize> | undefined> {
  if (replication === undefined) return undefined;
  const ahead = offsets.flatMap(({ topic, partition: number, offset }) => {
    const partition = topics.partition(topic, number);
    return "kind" in partition || offset <= partition.log.committedEnd ? [] : [partition];
  });
  return ahead.length === 0 ? undefined : replication.sizesOf(ahead);
}

export const fetchOffset: Handler<"FetchOffset"> = (broker, { group, partitions }, { connection }) => {
  const store = broker.offsets;
  if (store === undefined) return refuse("unknown-request", "this server keeps no offsets");
  const wanted = partitions.length === 0 ? store.list(group) : partitions;
  const offsets = [];
  for (const { topic, partition } of wanted) {
    const found = broker.topics.partition(topic, partition);
    if ("kind" in found) {
      if (partitions.length === 0) continue;
      return found;
    }
    // Records may have gone since, or been lost in a crash: what is answered can always be fetched.
    const { startOffset, committedEnd } = found.log;
    const stored = store.fetch(group, topic, partition);
    // What another node leads may be further there than it is known to be here.
    const isLed = broker.replication?.refusalOf(found, connection) === undefined;
    const offset = Math.min(Math.max(stored ?? startOffset, startOffset), isLed ? committedEnd : Infinity);
    offsets.push({ topic, partition, isCommitted: stored !== undefined, offset });
  }
  return reply({ offsets });
};
