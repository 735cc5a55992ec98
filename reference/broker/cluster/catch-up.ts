/**
 * How a node that is far behind gets the records that are in no log of Raft any more: from another node's segments.
 *
 * What another node holds of a partition is committed, and what this node holds is the beginning of the same. So it
 * asks for what comes behind its own end, batch by batch, as they are stored. Retention may have removed what it would
 * need first: then its own records are older than anything that is kept, and the partition begins anew where the other
 * one begins.
 */
import { assert } from "#reference/base/assert.ts";
import type { Checksum, Disk } from "../../ports.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { getUint32, getUint53 } from "../../storage/integers.ts";
import { emptyState, saveState } from "../../storage/log-state.ts";
import { baseOffsetAt, batchBytesAt, batchLayout, nextOffsetAt } from "../../storage/record-batch.ts";
import type { Partition } from "../partition.ts";
import type { Topic, TopicRegistry } from "../registry.ts";

type PeerTopic = ReplyOf<"PeerState">["topics"][number];

/** The node that has the records. Both reject when it cannot be reached or refuses. */
export interface CatchUpSource {
  state(): Promise<ReplyOf<"PeerState">>;
  fetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch">>;
}

const fetchBytes = 1024 * 1024;

/** Brings every partition as far as `source` has it, durably. Rejects when that fails; it can be begun again. */
export async function catchUp(
  registry: TopicRegistry,
  source: CatchUpSource,
  disk: Disk,
  checksum: Checksum,
): Promise<void> {
  const { topics } = await source.state();
  const wanted = new Map(topics.map((topic) => [topic.topic, topic]));
  for (const { name, config } of registry.list()) {
    if (wanted.get(name)?.incarnation !== config.incarnation) await registry.delete(name);
  }
  for (const topic of topics) {
    const starts = await startsOf(registry.get(topic.topic), topic, source);
    if (starts !== undefined) await registry.delete(topic.topic);
    const stored = registry.get(topic.topic) ?? (await make(registry, topic, starts ?? [], disk, checksum));
    for (const [number, { startOffset, endOffset }] of topic.partitions.entries()) {
      const partition = stored.partitions[number];
      assert(partition !== undefined, () => `${topic.topic} has no partition ${number}`);
      await fill(partition, topic.incarnation, endOffset, source);
      if (startOffset > partition.log.startOffset) await partition.log.trim(startOffset);
      const synced = await partition.log.sync();
      if (synced.kind === "failed") throw synced.error;
    }
  }
}

/** Where each partition must begin anew; undefined when the topic can go on with what it has. */
async function startsOf(
  stored: Topic | undefined,
  topic: PeerTopic,
  source: CatchUpSource,
): Promise<readonly number[] | undefined> {
  const isBehind = topic.partitions.some(({ startOffset }, number) => {
    return (stored?.partitions[number]?.log.endOffset ?? 0) < startOffset;
  });
  if (!isBehind) return undefined;
  const starts: number[] = [];
  for (const [partition, { startOffset, endOffset }] of topic.partitions.entries()) {
    // A trim may leave the start in the middle of a batch, and batches come whole.
    const request = { ...nameOf(topic), partition, offset: startOffset, bytesMax: 1 };
    const { batches } =
      startOffset < endOffset ? await source.fetch(request) : { batches: new Uint8Array(0) };
    starts.push(batches.length === 0 ? startOffset : baseOffsetAt(batches, 0));
  }
  return starts;
}

async function make(
  registry: TopicRegistry,
  topic: PeerTopic,
  starts: readonly number[],
  disk: Disk,
  checksum: Checksum,
): Promise<Topic> {
  const { incarnation, retentionMs, retentionBytes, partitions } = topic;
  const config = {
    partitions: partitions.length,
    retentionMs,
    retentionBytes,
    isCompacted: false,
    incarnation,
  };
  const made = await registry.create(topic.topic, config, async (directory, number) => {
    const startOffset = starts[number] ?? 0;
    if (startOffset === 0) return;
    await saveState(disk, directory, { ...emptyState, startOffset, recoveryOffset: startOffset }, checksum);
  });
  if ("kind" in made) throw new Error(made.message);
  return made;
}

async function fill(
  { log, topic, number: partition }: Partition,
  incarnation: number,
  endOffset: number,
  source: CatchUpSource,
): Promise<void> {
  while (log.endOffset < endOffset) {
    const request = { topic, incarnation, partition, offset: log.endOffset, bytesMax: fetchBytes };
    const { batches } = await source.fetch(request);
    if (batches.length === 0) throw new Error(`${topic}/${partition} has nothing at ${log.endOffset}`);
    for (let at = 0; at < batches.length;) {
      const end = at + batchBytesAt(batches, at);
      // Commands that were applied meanwhile may have brought it.
      if (nextOffsetAt(batches, at) > log.endOffset) {
        const baseOffset = baseOffsetAt(batches, at);
        if (baseOffset !== log.endOffset) throw new Error(`offset ${baseOffset} after ${log.endOffset}`);
        const milliseconds = getUint53(batches, at + batchLayout.idMilliseconds);
        const sequence = getUint32(batches, at + batchLayout.idSequence);
        const result = log.append(batches, at, end, { milliseconds, sequence });
        if (result.kind === "refused" && result.reason !== "overloaded") throw new Error(result.detail);
        if (result.kind === "refused") {
          const committed = await log.committed();
          if (committed.kind === "failed") throw committed.error;
          continue;
        }
      }
      at = end;
    }
    const committed = await log.committed();
    if (committed.kind === "failed") throw committed.error;
  }
}

function nameOf({ topic, incarnation }: PeerTopic): { readonly topic: string; readonly incarnation: number } {
  return { topic, incarnation };
}
