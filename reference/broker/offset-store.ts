/** Consumer offsets as the broker's handlers use them, over storage/consumer-offsets.ts. */
import type { ConsumerOffsets, OffsetCommit } from "../storage/consumer-offsets.ts";
import { refusalOfDisk } from "./disk-refusal.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/**
 * The most positions of all groups together. They are in memory, in a cluster on every node, and nothing but the end of
 * their topic takes them away.
 */
export const positionsMax = 100_000;

/** A stored position: the offset of the next record to read. */
export interface StoredOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Who commits. */
export interface Committer {
  readonly memberId: string;
  readonly generation: number;
}

/** Where groups' positions are kept: on this server's disk, or in all members of a cluster. */
export interface GroupOffsets {
  /**
   * Resolves when they are durable, to those that were left alone because they are this member's no more; or to why
   * none is stored. Without a member all are stored.
   */
  commit(
    group: string,
    positions: readonly StoredOffset[],
    by?: Committer,
  ): Promise<readonly StoredOffset[] | ErrorOutcome>;
  fetch(group: string, topic: string, partition: number): number | undefined;
  /** All positions of a group. */
  list(group: string): readonly StoredOffset[];
  /** All groups' positions, for metrics. */
  listAll(): readonly (StoredOffset & { readonly group: string })[];
  /** The positions go with the topic. */
  topicDeleted(topic: string): Promise<void>;
  close(): Promise<void>;
}

/** The positions of all groups. */
export class OffsetStore implements GroupOffsets {
  readonly #offsets: ConsumerOffsets;
  readonly #positionsMax: number;
  /** How many positions there are at most: what is committed twice before it is stored counts twice. */
  #countMax: number;

  constructor(offsets: ConsumerOffsets, most = positionsMax) {
    this.#offsets = offsets;
    this.#positionsMax = most;
    this.#countMax = offsets.list().length;
  }

  /** They share one sync. Whether a member may commit has been judged, and nothing has come in between. */
  async commit(
    group: string,
    positions: readonly StoredOffset[],
  ): Promise<readonly StoredOffset[] | ErrorOutcome> {
    const isNew = ({ topic, partition }: StoredOffset): boolean =>
      this.fetch(group, topic, partition) === undefined;
    const added = positions.filter(isNew).length;
    if (this.#countMax + added > this.#positionsMax) this.#countMax = this.#offsets.list().length;
    if (added > 0 && this.#countMax + added > this.#positionsMax) return tooManyPositions(this.#positionsMax);
    this.#countMax += added;
    const results = await Promise.all(
      positions.map(({ topic, partition, offset }) => this.#offsets.set({ group, topic, partition }, offset)),
    );
    const failed = results.find(isFailed);
    return failed === undefined ? [] : refusalOfDisk(failed.error);
  }

  fetch(group: string, topic: string, partition: number): number | undefined {
    return this.#offsets.fetch({ group, topic, partition });
  }

  /** All positions of a group. */
  list(group: string): readonly StoredOffset[] {
    return this.#offsets.list(group).flatMap(({ topic, partition, offset }) => {
      return offset === undefined ? [] : [{ topic, partition, offset }];
    });
  }

  /** All groups' positions, for metrics. */
  listAll(): readonly (StoredOffset & { readonly group: string })[] {
    return this.#offsets.list().flatMap(({ group, topic, partition, offset }) => {
      return offset === undefined ? [] : [{ group, topic, partition, offset }];
    });
  }

  /** The positions go with the topic; should a topic of that name be made again, nobody has read it. */
  async topicDeleted(topic: string): Promise<void> {
    await this.#offsets.remove((key) => key.topic === topic);
    this.#countMax = this.#offsets.list().length;
  }

  async close(): Promise<void> {
    await this.#offsets.close();
  }
}

/** Why a commit of positions that are new is refused when there are as many as can be. */
export function tooManyPositions(most: number): ErrorOutcome {
  return refuse("invalid-request", `there are ${most} positions of groups, as many as can be`);
}

function isFailed(result: OffsetCommit): result is Extract<OffsetCommit, { readonly kind: "failed" }> {
  return result.kind === "failed";
}
