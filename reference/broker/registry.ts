/**
 * The registry: the topics that exist now, with their open logs.
 *
 * Looking a topic up is a map access. Making and deleting one waits for the disk, and two of these at once on the same
 * name would race, so changes of the registry run one after the other.
 */
import { sideBySide } from "#reference/base/side-by-side.ts";
import type { Disk } from "../ports.ts";
import { DiskError } from "../ports.ts";
import type { Log } from "../storage/log.ts";
import { refusalOfDisk } from "./disk-refusal.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";
import { Partition } from "./partition.ts";
import type { HotTails } from "./hot-tails.ts";
import type { BrokerObserver } from "./observer.ts";
import type { TopicConfig } from "./topic.ts";
import {
  isTopicName,
  loadTopics,
  partitionDirectory,
  removeTopic,
  storeTopic,
  topicNameLengthMax,
  topicPartitionsMax,
} from "./topic.ts";

/** A topic with its partitions, by number. */
export interface Topic {
  readonly name: string;
  readonly config: TopicConfig;
  readonly partitions: readonly Partition[];
}

/** Opens the log of a partition; the shell decides with what options. */
export type OpenLog = (directory: string, config: TopicConfig) => Promise<Log>;

/** Logs opened at once: enough to keep a disk busy, few enough not to run out of open files. */
const opensAtOnce = 16;
/** Topics opened at once at start-up, each with so many logs. */
const topicsAtOnce = 4;

/** The most topics of one server. */
export const topicsMaxDefault = 100_000;

/** What is around the topics of a server. */
interface Surroundings {
  /** Partitions tell it what happens. */
  readonly observer?: BrokerObserver;
  /** Partitions keep their newest records in it. */
  readonly tails?: HotTails;
  readonly topicsMax?: number;
}

/** All topics of one server. */
export class TopicRegistry {
  readonly #disk: Disk;
  readonly #openLog: OpenLog;
  readonly #around: Surroundings;
  readonly #topicsMax: number;
  readonly #topics = new Map<string, Topic>();
  /** The end of the queue of changes. */
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor(disk: Disk, openLog: OpenLog, around: Surroundings = {}) {
    this.#around = around;
    this.#topicsMax = around.topicsMax ?? topicsMaxDefault;
    this.#disk = disk;
    this.#openLog = openLog;
  }

  /** Opens everything that is on disk. Rejects with a DiskError that names the file. */
  async load(): Promise<void> {
    const found = [...(await loadTopics(this.#disk))];
    await sideBySide(found, topicsAtOnce, async ([name, config]) => {
      this.#topics.set(name, await this.#openTopic(name, config));
    });
  }

  get count(): number {
    return this.#topics.size;
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  /** All topics by name. */
  list(): Topic[] {
    return [...this.#topics.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** A partition, or why there is none. */
  partition(topicName: string, number: number): Partition | ErrorOutcome {
    const topic = this.#topics.get(topicName);
    if (topic === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(topicName)}`);
    const found = topic.partitions[number];
    if (found !== undefined) return found;
    const last = topic.partitions.length - 1;
    return refuse("partition-not-found", `topic ${topicName} has partitions 0 to ${last}, not ${number}`);
  }

  /**
   * Makes a topic; resolves to it, or to why not. `prepare` may put something into each partition's folder before its
   * log is opened.
   */
  create(
    name: string,
    config: TopicConfig,
    prepare?: (directory: string, partition: number) => Promise<void>,
  ): Promise<Topic | ErrorOutcome> {
    return this.#change(async () => {
      const problem = judgeTopic(name, config);
      if (problem !== undefined) return problem;
      if (this.#topics.has(name)) return refuse("topic-already-exists", `topic ${name} exists already`);
      if (this.#topics.size >= this.#topicsMax) {
        return refuse("invalid-request", `the server has ${this.#topicsMax} topics, as many as it takes`);
      }
      if (!(await storeTopic(this.#disk, name, config))) {
        return refuse(
          "topic-already-exists",
          `a topic that differs from ${name} only in case exists already`,
        );
      }
      if (prepare !== undefined) {
        for (let number = 0; number < config.partitions; number++) {
          await prepare(partitionDirectory(name, number), number);
        }
      }
      const topic = await this.#openTopic(name, config);
      this.#topics.set(name, topic);
      return topic;
    });
  }

  /** Deletes a topic with all that it holds; resolves to why not, or to nothing. */
  delete(name: string): Promise<ErrorOutcome | undefined> {
    return this.#change(async () => {
      const topic = this.#topics.get(name);
      if (topic === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
      this.#topics.delete(name);
      for (const partition of topic.partitions) partition.markDeleted();
      for (const partition of topic.partitions) await partition.log.close();
      await removeTopic(this.#disk, name);
      return undefined;
    });
  }

  /** Flushes and closes every log. Resolves to the errors of those that could not be made durable. */
  async close(): Promise<DiskError[]> {
    await this.#lastChange;
    const partitions = this.list().flatMap((topic) => topic.partitions);
    const results = await Promise.all(partitions.map((partition) => partition.log.close()));
    return results.flatMap((result) => (result.kind === "failed" ? [result.error] : []));
  }

  async #openTopic(name: string, config: TopicConfig): Promise<Topic> {
    const numbers = Array.from({ length: config.partitions }, (_, number) => number);
    const partitions = await sideBySide(numbers, opensAtOnce, async (number) => {
      const log = await this.#openLog(partitionDirectory(name, number), config);
      return new Partition(name, number, config, log, this.#around);
    });
    return { name, config, partitions };
  }

  /** Runs `work` after all changes before it. A failing disk becomes a refusal. */
  #change<Value>(work: () => Promise<Value | ErrorOutcome>): Promise<Value | ErrorOutcome> {
    const result = this.#lastChange.then(work).catch((error: unknown) => {
      if (error instanceof DiskError) return refusalOfDisk(error);
      throw error;
    });
    // A bug in one change must not stop the next; its own caller still sees it.
    this.#lastChange = result.catch(() => undefined);
    return result;
  }
}

/** Why there can be no such topic; undefined when there can. */
export function judgeTopic(name: string, config: TopicConfig): ErrorOutcome | undefined {
  if (!isTopicName(name)) {
    const shown = JSON.stringify(name.slice(0, topicNameLengthMax + 1));
    return refuse("invalid-topic-name", `${shown} is not a topic name`);
  }
  if (config.partitions < 1 || config.partitions > topicPartitionsMax) {
    return refuse(
      "invalid-request",
      `${config.partitions} partitions are not from 1 to ${topicPartitionsMax}`,
    );
  }
  return undefined;
}
