/**
 * Produce: the request that all the speed depends on.
 *
 * It is read where it lies in the received chunk. Nothing is allocated and nothing is awaited for it: the log copies
 * the batch once, and the reply goes out with all others of the same commit.
 *
 * ```
 * 16            20         20+T        24+T              28+T
 * | topicLength | topic T  | partition | batchLength     | batch … | crc32 |
 * ```
 */
import { unreachable } from "#reference/base/assert.ts";
import { acksOf } from "../protocol/acks.ts";
import { checksumBytes, requestHeaderBytes } from "../protocol/frame.ts";
import { messages } from "../protocol/messages.ts";
import { batchHeaderBytes, batchLayout } from "../storage/record-batch.ts";
import type { Replication } from "./cluster/replication.ts";
import type { BrokerConnection } from "./connection.ts";
import { getUint53 } from "./connection.ts";
import { refusalOfAppend } from "./disk-refusal.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";
import type { Partition } from "./partition.ts";
import type { TopicRegistry } from "./registry.ts";
import { topicNameLengthMax } from "./topic.ts";

/** What produce needs of the broker. */
export interface ProduceContext {
  readonly topics: TopicRegistry;
  /** Where batches go in a cluster; undefined where the broker stores them by itself. */
  readonly replication: Replication | undefined;
  /** The partition cannot take the batch yet (no such topic, a table to load): try again later, in order. */
  defer(
    connection: BrokerConnection,
    frame: Uint8Array,
    topic: string,
    partition: Partition | undefined,
  ): void;
  /** Answers with an error. */
  refuse(
    connection: BrokerConnection,
    requestIdHigh: number,
    requestIdLow: number,
    error: ErrorOutcome,
  ): void;
  /** A batch was appended. */
  appended(partition: Partition, bytes: number, records: number): void;
}

const textDecoder = new TextDecoder("utf-8", { fatal: true });

/** Handles the frame at `bytes[start..end)`. Everything it needs from there is read before it returns. */
export function produce(
  context: ProduceContext,
  connection: BrokerConnection,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): void {
  const high = view.getUint32(start + 4);
  const low = view.getUint32(start + 8);
  const stop = end - checksumBytes;
  // 1. Find the fields, and that they fill the payload exactly.
  const topicAt = start + requestHeaderBytes + 4;
  if (stop - topicAt < 8) return context.refuse(connection, high, low, badPayload("ends too early"));
  const topicLength = view.getUint32(topicAt - 4);
  if (topicLength > topicNameLengthMax || topicLength > stop - topicAt - 8) {
    return context.refuse(connection, high, low, badPayload(`topic of ${topicLength} bytes does not fit`));
  }
  const batchAt = topicAt + topicLength + 8;
  const batchLength = view.getUint32(batchAt - 4);
  if (batchLength !== stop - batchAt) {
    const problem = badPayload(`batch of ${batchLength} bytes does not fill the payload`);
    return context.refuse(connection, high, low, problem);
  }
  // 2. Find the partition: nearly always that of the request before.
  const number = view.getUint32(batchAt - 8);
  const partition = findPartition(context, connection, bytes, topicAt, topicLength, number);
  if (partition === undefined) {
    const topic = topicText(bytes, topicAt, topicLength);
    if (topic === undefined) return context.refuse(connection, high, low, badPayload("topic is not UTF-8"));
    const problem = context.replication?.refusal(messages.CreateTopic.type, connection);
    if (problem !== undefined) return context.refuse(connection, high, low, problem);
    return context.defer(connection, bytes.slice(start, end), topic, undefined);
  }
  if ("kind" in partition) return context.refuse(connection, high, low, partition);
  // 3. A producer with an id sends each batch at most once.
  if (batchLength < batchHeaderBytes)
    return context.refuse(connection, high, low, badPayload("batch has no header"));
  const { replication } = context;
  if (replication !== undefined) {
    const misplaced = replication.refusalOf(partition, connection);
    if (misplaced !== undefined) return context.refuse(connection, high, low, misplaced);
    const batch = bytes.subarray(batchAt, stop);
    return replication.produce(connection, high, low, partition, batch, acksOf(bytes, start));
  }
  const producerId = getUint53(view, batchAt + batchLayout.producerId);
  if (producerId !== 0) {
    if (!partition.producers.isLoaded) {
      return context.defer(connection, bytes.slice(start, end), partition.topic, partition);
    }
    if (!passesSequence(context, partition, connection, view, batchAt, high, low, producerId)) return;
  }
  // 4. Append, and answer when it is committed.
  const result = partition.log.append(bytes, batchAt, stop);
  if (result.kind === "refused") return context.refuse(connection, high, low, refusalOfAppend(result));
  const { baseOffset, nextOffset, idMilliseconds, idSequence } = result;
  if (producerId > 0) {
    partition.producers.remember(producerId, view.getUint16(batchAt + batchLayout.producerEpoch), {
      sequence: view.getUint32(batchAt + batchLayout.baseSequence),
      count: nextOffset - baseOffset,
      baseOffset,
      idMilliseconds,
      idSequence,
    });
  }
  context.appended(partition, batchLength, nextOffset - baseOffset);
  partition.answerWhenCommitted(connection, high, low, baseOffset, idMilliseconds, idSequence);
}

/** The partition, a refusal, or undefined when there is no such topic. */
function findPartition(
  context: ProduceContext,
  connection: BrokerConnection,
  bytes: Uint8Array,
  topicAt: number,
  topicLength: number,
  number: number,
): Partition | ErrorOutcome | undefined {
  const { state } = connection;
  const last = state.lastPartition;
  if (
    last !== undefined &&
    last.number === number &&
    !last.isDeleted &&
    isLastTopic(state.lastTopic, bytes, topicAt, topicLength)
  ) {
    return last;
  }
  const topic = topicText(bytes, topicAt, topicLength);
  if (topic === undefined || context.topics.get(topic) === undefined) return undefined;
  const found = context.topics.partition(topic, number);
  if ("kind" in found) return found;
  state.lastTopic = bytes.slice(topicAt, topicAt + topicLength);
  state.lastPartition = found;
  return found;
}

function isLastTopic(last: Uint8Array | undefined, bytes: Uint8Array, at: number, length: number): boolean {
  if (last === undefined || last.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (last[index] !== bytes[at + index]) return false;
  }
  return true;
}

function topicText(bytes: Uint8Array, at: number, length: number): string | undefined {
  try {
    return textDecoder.decode(bytes.subarray(at, at + length));
  } catch {
    return undefined;
  }
}

/** Whether the batch may be appended; if not, it has been answered. */
function passesSequence(
  context: ProduceContext,
  partition: Partition,
  connection: BrokerConnection,
  view: DataView,
  batchAt: number,
  high: number,
  low: number,
  producerId: number,
): boolean {
  if (producerId < 0) {
    context.refuse(connection, high, low, badPayload("producer id exceeds 2^53 - 1"));
    return false;
  }
  const epoch = view.getUint16(batchAt + batchLayout.producerEpoch);
  const sequence = view.getUint32(batchAt + batchLayout.baseSequence);
  const count = view.getUint32(batchAt + batchLayout.recordCount);
  const verdict = partition.producers.judge(producerId, epoch, sequence, count);
  switch (verdict.kind) {
    case "new":
      return true;
    case "repeated": {
      // The first copy may still wait for its commit; this one must not be answered before it.
      const { baseOffset, idMilliseconds, idSequence } = verdict.batch;
      partition.answerWhenCommitted(connection, high, low, baseOffset, idMilliseconds, idSequence);
      return false;
    }
    case "gap": {
      const message = `producer ${producerId} sent sequence ${sequence}, expected ${verdict.expected}`;
      context.refuse(connection, high, low, refuse("sequence-gap", message));
      return false;
    }
    case "fenced": {
      const message = `producer ${producerId} has epoch ${verdict.epoch}, this batch says ${epoch}`;
      context.refuse(connection, high, low, refuse("producer-fenced", message));
      return false;
    }
  }
  return unreachable(verdict, "verdict");
}

function badPayload(what: string): ErrorOutcome {
  return refuse("invalid-request", `Produce payload: ${what}`);
}
