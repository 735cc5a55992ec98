/**
 * A partition as the broker sees it: a log, the produce requests that wait for it to commit, and the readers that wait
 * for something to read.
 *
 * The log commits in groups: one write and one sync for everything that arrived meanwhile. So the waiting requests are
 * kept in groups too, one for each commit that is under way, and a whole group is answered at once. A promise for each
 * request would cost more than the request.
 */
import { assert } from "#reference/base/assert.ts";
import type { CommitResult, Log } from "../storage/log.ts";
import type { BrokerConnection } from "./connection.ts";
import { replyError, replyProduced } from "./connection.ts";
import { refusalOfDisk } from "./disk-refusal.ts";
import type { HotTail, HotTails } from "./hot-tails.ts";
import type { BrokerObserver } from "./observer.ts";
import { ProducerTable } from "./producer-table.ts";
import type { TopicConfig } from "./topic.ts";

/** Called when records were committed, or the partition ends or moves; returns whether it wants to be called again. */
export type CommitListener = (partition: Partition) => boolean;

/** Numbers that one waiting request takes in a group. */
const fieldsPerRequest = 5;

/** The produce requests that the same commit answers, as flat arrays: they live for a moment and there are many. */
class CommitGroup {
  /** When its first request came. */
  readonly openedAtMs: number;
  readonly connections: BrokerConnection[] = [];
  /** For each request: id high, id low, base offset, id milliseconds, id sequence. */
  readonly fields: number[] = [];

  constructor(openedAtMs: number) {
    this.openedAtMs = openedAtMs;
  }
}

/** One partition of one topic. */
export class Partition {
  readonly topic: string;
  readonly number: number;
  readonly config: TopicConfig;
  readonly log: Log;
  /** What each idempotent producer has sent, so that a repeated request is answered and not appended again. */
  readonly producers = new ProducerTable();
  /** Where others have copies: before which offset tombstones are missed by nobody. */
  tombstonesBefore: (() => Promise<number>) | undefined = undefined;
  /** Set when the topic is deleted: whoever still holds the partition must let go. */
  isDeleted = false;
  /** The newest records in memory; undefined where every read goes to the log, as in a page. */
  readonly tail: HotTail | undefined;
  readonly #observer: BrokerObserver | undefined;
  #group: CommitGroup | undefined;
  #groupCommit: Promise<CommitResult> | undefined;
  readonly #listeners = new Set<CommitListener>();

  constructor(
    topic: string,
    number: number,
    config: TopicConfig,
    log: Log,
    { observer, tails }: { readonly observer?: BrokerObserver; readonly tails?: HotTails } = {},
  ) {
    this.#observer = observer;
    this.topic = topic;
    this.number = number;
    this.config = config;
    this.log = log;
    this.tail = tails?.tailOf(`${topic}/${number}`, log);
    log.onCommitted = (committedEnd) => {
      this.tail?.committed(committedEnd);
      this.notify();
    };
  }

  /** Answers a produce request as soon as everything appended so far is committed. */
  answerWhenCommitted(
    connection: BrokerConnection,
    requestIdHigh: number,
    requestIdLow: number,
    baseOffset: number,
    idMilliseconds: number,
    idSequence: number,
  ): void {
    // 1. The log hands out the same promise to all that one commit serves: a new promise is a new group.
    const commit = this.log.committed();
    let group = this.#group;
    if (group === undefined || commit !== this.#groupCommit) {
      const opened = new CommitGroup(this.#observer?.now() ?? 0);
      group = opened;
      this.#group = opened;
      this.#groupCommit = commit;
      void commit.then((result) => this.#settle(opened, result));
    }
    // 2. Note down who waits, and for what.
    group.connections.push(connection);
    group.fields.push(requestIdHigh, requestIdLow, baseOffset, idMilliseconds, idSequence);
  }

  /** Calls `listener` at every commit until it says no more. */
  listen(listener: CommitListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: CommitListener): void {
    this.#listeners.delete(listener);
  }

  /** The topic was deleted: readers that wait are told, once. */
  markDeleted(): void {
    this.isDeleted = true;
    this.tail?.end();
    this.notify();
    this.#listeners.clear();
  }

  #settle(group: CommitGroup, result: CommitResult): void {
    if (this.#group === group) this.#group = undefined;
    const { connections, fields } = group;
    assert(fields.length === connections.length * fieldsPerRequest, "a commit group lost a request");
    if (result.kind === "failed") this.producers.forget();
    const refusal = result.kind === "failed" ? refusalOfDisk(result.error) : undefined;
    const observer = this.#observer;
    const durationMs = observer === undefined ? 0 : observer.now() - group.openedAtMs;
    for (let index = 0; index < connections.length; index++) {
      const connection = connections[index];
      if (connection === undefined) continue;
      const at = index * fieldsPerRequest;
      const high = fields[at] ?? 0;
      const low = fields[at + 1] ?? 0;
      const offset = fields[at + 2] ?? 0;
      if (connection.isOpen) {
        if (refusal !== undefined) replyError(connection, high, low, refusal);
        else replyProduced(connection, high, low, offset, fields[at + 3] ?? 0, fields[at + 4] ?? 0);
      }
      observer?.produced(this, connection, low, offset, durationMs, refusal?.name);
    }
  }

  /** Wakes everyone who waits for something of this partition. */
  notify(): void {
    for (const listener of this.#listeners) {
      if (!listener(this)) this.#listeners.delete(listener);
    }
  }
}
