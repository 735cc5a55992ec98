/**
 * Topics: named sets of partitions, and where they lie on disk.
 *
 * ```
 * topics/<name>/topic.json      what the topic was made with; written last, so a topic without it was never finished
 * topics/<name>/<n>/            the log of partition n
 * ```
 *
 * A topic comes into being when its `topic.json` is durable, and ends when that file is gone. Both are one step of the
 * disk, so a crash in the middle leaves a folder without the file, which the next start clears away.
 */
import { assert } from "#reference/base/assert.ts";
import type { Disk } from "../ports.ts";
import { DiskError } from "../ports.ts";
import { readSmallFile, removeTree, writeSmallFile } from "./small-file.ts";

/** The longest topic name: with room for a partition number, still a file name everywhere. */
export const topicNameLengthMax = 249;

/** The most partitions of one topic: each costs an open file and some memory. */
export const topicPartitionsMax = 10_000;

/** What a topic was made with. Zeros mean "no limit". */
export interface TopicConfig {
  readonly partitions: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly isCompacted: boolean;
  /** In a cluster: the entry of the replicated log that made the topic, to tell it from others of its name. */
  readonly incarnation?: number;
  /** In a cluster: the nodes that the groups of its partitions began with. */
  readonly replicas?: readonly string[];
}

const topicsDirectory = "topics";
const configFile = "topic.json";
const configBytesMax = 64 * 1024;

/** Whether a name may be a topic's: it is a file name on every system and needs no escaping anywhere. */
export function isTopicName(name: string): boolean {
  return name.length <= topicNameLengthMax && /^[a-zA-Z0-9._-]+$/.test(name) && name !== "." && name !== "..";
}

/** The folder of one partition's log. */
export function partitionDirectory(topic: string, partition: number): string {
  return `${topicDirectory(topic)}/${partition}`;
}

function topicDirectory(topic: string): string {
  assert(isTopicName(topic), () => `${JSON.stringify(topic)} is not a topic name`);
  return `${topicsDirectory}/${topic}`;
}

/** The topics on disk. What is left of unfinished creations and deletions is removed on the way. */
export async function loadTopics(disk: Disk): Promise<Map<string, TopicConfig>> {
  await disk.makeDirectory(topicsDirectory);
  const topics = new Map<string, TopicConfig>();
  for (const name of await disk.list(topicsDirectory)) {
    if (!isTopicName(name)) continue;
    const path = `${topicDirectory(name)}/${configFile}`;
    const bytes = await readSmallFile(disk, path, configBytesMax);
    if (bytes === undefined) await removeTree(disk, topicDirectory(name));
    else topics.set(name, parseConfig(bytes, path));
  }
  return topics;
}

/** Makes the folders of a topic, then the file that makes them a topic. False when there is one already. */
export async function storeTopic(disk: Disk, name: string, config: TopicConfig): Promise<boolean> {
  const directory = topicDirectory(name);
  // On a disk that ignores case, "Orders" and "orders" are one folder; the file tells.
  if ((await readSmallFile(disk, `${directory}/${configFile}`, configBytesMax)) !== undefined) return false;
  await disk.makeDirectory(directory);
  for (let partition = 0; partition < config.partitions; partition++) {
    await disk.makeDirectory(partitionDirectory(name, partition));
  }
  await disk.syncDirectory(directory);
  await disk.syncDirectory(topicsDirectory);
  await writeSmallFile(disk, directory, configFile, new TextEncoder().encode(`${JSON.stringify(config)}\n`));
  return true;
}

/** Ends a topic: first the file, durably, then the rest. Its logs must be closed. */
export async function removeTopic(disk: Disk, name: string): Promise<void> {
  const directory = topicDirectory(name);
  await disk.remove(`${directory}/${configFile}`);
  await disk.syncDirectory(directory);
  await removeTree(disk, directory);
  await disk.syncDirectory(topicsDirectory);
}

/** Reads the file back, and believes none of it: a person may have edited it. */
function parseConfig(bytes: Uint8Array, path: string): TopicConfig {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new DiskError("input-output", "read", `${path} (not JSON)`, cause);
  }
  const count = (key: keyof TopicConfig, low: number, high: number): number => {
    const found = (value as Partial<Record<string, unknown>> | null)?.[key];
    if (typeof found === "number" && Number.isInteger(found) && found >= low && found <= high) return found;
    throw new DiskError(
      "input-output",
      "read",
      `${path} (${key} must be a whole number from ${low} to ${high})`,
    );
  };
  const names = (): readonly string[] => {
    const found: unknown = (value as Partial<Record<string, unknown>> | null)?.["replicas"];
    if (Array.isArray(found) && found.every((name) => typeof name === "string")) return found;
    throw new DiskError("input-output", "read", `${path} (replicas must be names of nodes)`);
  };
  const isReplicated = (value as Partial<TopicConfig> | null)?.incarnation !== undefined;
  return {
    ...(isReplicated && { incarnation: count("incarnation", 1, Number.MAX_SAFE_INTEGER), replicas: names() }),
    partitions: count("partitions", 1, topicPartitionsMax),
    retentionMs: count("retentionMs", 0, Number.MAX_SAFE_INTEGER),
    retentionBytes: count("retentionBytes", 0, Number.MAX_SAFE_INTEGER),
    isCompacted: (value as Partial<TopicConfig>).isCompacted === true,
  };
}
