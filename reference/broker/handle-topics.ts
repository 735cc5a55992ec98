/** Requests about topics and partitions: making, deleting, describing, looking up offsets, giving up old records. */
import type { ReplyOf } from "../protocol/messages.ts";
import type { Broker } from "./broker.ts";
import type { Handler } from "./call.ts";
import { fetch, readPartition } from "./fetch.ts";
import { ledPartition } from "./led-partition.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse, reply, silent } from "./outcome.ts";
import type { PartitionSize } from "./cluster/replication.ts";
import type { Partition } from "./partition.ts";
import type { Topic } from "./registry.ts";
import type { TopicConfig } from "./topic.ts";
import { replyFetched } from "./connection.ts";

export const createTopic: Handler<"CreateTopic"> = async (broker, request) => {
  const { topic, partitions, retentionMs, retentionBytes, isCompacted } = request;
  const config = { partitions, retentionMs, retentionBytes, isCompacted };
  return (await makeTopic(broker, topic, config)) ?? reply({});
};

/** Makes a topic, on this server or on all of its cluster; resolves to why not. */
export async function makeTopic(
  broker: Broker,
  name: string,
  config: TopicConfig,
): Promise<ErrorOutcome | undefined> {
  if (broker.replication !== undefined) return broker.replication.createTopic(name, config);
  const made = await broker.topics.create(name, config);
  return "kind" in made ? made : undefined;
}

export const deleteTopic: Handler<"DeleteTopic"> = async (broker, { topic }) => {
  const partitionCount = broker.topics.get(topic)?.partitions.length ?? 0;
  const { replication } = broker;
  const problem = await (replication?.deleteTopic(topic) ?? broker.topics.delete(topic));
  if (problem !== undefined) return problem;
  broker.observer?.topicDeleted(topic, partitionCount);
  await broker.offsets?.topicDeleted(topic);
  return reply({});
};

export const listTopics: Handler<"ListTopics"> = (broker, { topics: names }) => {
  const { replication } = broker;
  const wanted: Topic[] = names.length === 0 ? broker.topics.list() : [];
  for (const name of names) {
    const topic = broker.topics.get(name);
    if (topic === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    wanted.push(topic);
  }
  if (replication === undefined) return reply({ topics: wanted.map((topic) => describeTopic(topic)) });
  return replication
    .sizesOf(wanted.flatMap(({ partitions }) => partitions))
    .then((sizes) => reply({ topics: wanted.map((topic) => describeTopic(topic, sizes)) }));
};

/** `sizes` are those of partitions that other nodes know better. */
function describeTopic(
  { name, config, partitions }: Topic,
  sizes?: ReadonlyMap<Partition, PartitionSize>,
): ReplyOf<"ListTopics">["topics"][number] {
  return {
    topic: name,
    retentionMs: config.retentionMs,
    retentionBytes: config.retentionBytes,
    isCompacted: config.isCompacted,
    partitions: partitions.map((partition) => {
      const { startOffset, committedEnd: endOffset, sizeBytes } = partition.log;
      return sizes?.get(partition) ?? { startOffset, endOffset, sizeBytes };
    }),
  };
}

export const getOffset: Handler<"GetOffset"> = async (broker, { topic, partition: number, timeMs }, call) => {
  const partition = ledPartition(broker, topic, number, call.connection);
  if ("kind" in partition) return partition;
  const problem = await broker.replication?.current(partition);
  if (problem !== undefined) return problem;
  const { log } = partition;
  const timeOffset = timeMs === 0 ? log.committedEnd : await log.offsetForTimestamp(timeMs);
  const endOffset = log.committedEnd;
  return reply({ startOffset: log.startOffset, endOffset, timeOffset: Math.min(timeOffset, endOffset) });
};

export const fetchRecords: Handler<"Fetch"> = async (broker, request, call) => {
  const partition = ledPartition(broker, request.topic, request.partition, call.connection);
  if ("kind" in partition) return partition;
  const bytesMax = Math.min(request.bytesMax, broker.fetchBytesMax);
  return fetch(call.connection, call.requestIdHigh, call.requestIdLow, partition, request, bytesMax, broker);
};

export const readRange: Handler<"ReadRange"> = async (broker, request, call) => {
  const partition = ledPartition(broker, request.topic, request.partition, call.connection);
  if ("kind" in partition) return partition;
  const { log } = partition;
  const from = await log.offsetForId({ milliseconds: request.startMs, sequence: request.startSequence });
  const last = { milliseconds: request.endMs, sequence: request.endSequence };
  // The batches come whole, so the last may reach beyond the range: the client leaves out what it did not ask for.
  const to = Math.min((await log.offsetForId(last)) + 1, log.committedEnd);
  if (from >= to) {
    replyFetched(call.connection, call.requestIdHigh, call.requestIdLow, from, to, new Uint8Array(0));
    return silent;
  }
  const lease = broker.readMemory.reserve(Math.min(request.bytesMax, broker.fetchBytesMax));
  if (lease.kind === "error") return lease;
  const read = await readPartition(partition, from, lease);
  if (read.kind === "error" || !call.connection.isOpen) {
    lease.cancel();
    if (read.kind === "error") return read;
    read.release();
    return silent;
  }
  const bytesOut = read.bytes.length;
  replyFetched(call.connection, call.requestIdHigh, call.requestIdLow, from, to, read.bytes);
  read.release();
  lease.sent(call.connection, bytesOut);
  return { kind: "silent", bytesOut, source: read.source };
};

export const trim: Handler<"Trim"> = async (broker, request, call) => {
  const { topic, partition: number, beforeOffset } = request;
  const partition = ledPartition(broker, topic, number, call.connection);
  if ("kind" in partition) return partition;
  const { log } = partition;
  if (beforeOffset > log.committedEnd) {
    const message = `offset ${beforeOffset} lies after the end ${log.committedEnd} of ${topic}/${number}`;
    return refuse("offset-out-of-range", message);
  }
  const problem =
    broker.replication === undefined
      ? void (await log.trim(beforeOffset))
      : await broker.replication.trim(partition, beforeOffset);
  if (problem !== undefined) return problem;
  return reply({ startOffset: log.startOffset });
};
