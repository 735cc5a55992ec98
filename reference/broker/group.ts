/**
 * Consumer groups: members that share the partitions of some topics, each partition with one member at a time.
 *
 * There is no leader among the members and no barrier at which all must meet. Each member says again and again what
 * it wants and what it reads (JoinGroup, which is also its heartbeat), and is told what it may read. A partition that
 * is to move is first taken from its owner; the new one gets it only when the old one has said that it let go, or is
 * gone. So two members never read one partition, and members that keep theirs are not disturbed. Kafka's newest group
 * protocol (KIP-848) works like this; its classic one stops all members for each change.
 *
 * A member lives as long as its connection and its heartbeats. Every change of the members is a new *generation*. A
 * commit under an older one counts as long as the partition has stayed where it was; once it has moved on, the commit
 * is fenced.
 */
import { assert } from "#reference/base/assert.ts";

/** A partition by name. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** A member of a group. */
interface Member {
  readonly id: string;
  topics: readonly string[];
  /** What it says that it reads, as keys. */
  owned: ReadonlySet<string>;
  /** What it is meant to have, as keys. */
  target: ReadonlySet<string>;
  lastHeardMs: number;
}

/** What a member is told. */
export interface Membership {
  readonly generation: number;
  readonly assigned: readonly PartitionName[];
}

/** The number of partitions of a topic; 0 when there is no such topic. */
export type CountPartitions = (topic: string) => number;

/** One consumer group. Time comes in with each call. */
export class ConsumerGroup {
  /** Grows with each change of members or of what they want. */
  generation = 0;
  readonly #members = new Map<string, Member>();
  readonly #countPartitions: CountPartitions;

  constructor(countPartitions: CountPartitions) {
    this.#countPartitions = countPartitions;
  }

  get memberIds(): string[] {
    return [...this.#members.keys()];
  }

  has(memberId: string): boolean {
    return this.#members.has(memberId);
  }

  /** A heartbeat: takes the member in when it is new, and says what it may read now. */
  join(
    memberId: string,
    topics: readonly string[],
    owned: readonly PartitionName[],
    nowMs: number,
  ): Membership {
    assert(memberId !== "", "a member needs an id");
    const known = this.#members.get(memberId);
    // 1. What it claims to read counts only if it was given to it.
    const claimed = owned
      .map(keyOf)
      .filter((key) => known?.owned.has(key) === true || known?.target.has(key) === true);
    const member: Member = known ?? {
      id: memberId,
      topics,
      owned: new Set(),
      target: new Set(),
      lastHeardMs: nowMs,
    };
    member.lastHeardMs = nowMs;
    member.owned = new Set(claimed);
    this.#members.set(memberId, member);
    // 2. A new member, other wishes or other partitions: share out anew.
    const wishesChanged = known === undefined || !sameTexts(known.topics, topics);
    member.topics = topics;
    if (wishesChanged || this.#partitionsChanged()) this.#shareOut();
    // 3. It may read what it is meant to have, as far as nobody else still reads it.
    const assigned = [...member.target].filter(
      (key) => member.owned.has(key) || !this.#isOwnedByOther(key, member),
    );
    // From here on it may read these, whether or not it says so before it is gone.
    member.owned = new Set([...member.owned, ...assigned]);
    return { generation: this.generation, assigned: assigned.map(nameOfKey) };
  }

  /** A member left, or its connection is gone. */
  leave(memberId: string): boolean {
    if (!this.#members.delete(memberId)) return false;
    this.#shareOut();
    return true;
  }

  /** Drops members that have been silent for `timeoutMs`; returns their ids. */
  expire(nowMs: number, timeoutMs: number): string[] {
    const silent = [...this.#members.values()].filter(({ lastHeardMs }) => nowMs - lastHeardMs >= timeoutMs);
    for (const { id } of silent) this.#members.delete(id);
    if (silent.length > 0) this.#shareOut();
    return silent.map(({ id }) => id);
  }

  /** Whether this member may commit for the partition: it is in the group, and the partition is its own. */
  mayCommit(memberId: string, generation: number, name: PartitionName): boolean {
    const member = this.#members.get(memberId);
    if (member === undefined || generation > this.generation) return false;
    // An older generation is no reason to refuse as long as the partition has stayed where it was.
    return member.owned.has(keyOf(name));
  }

  #isOwnedByOther(key: string, member: Member): boolean {
    for (const other of this.#members.values()) if (other !== member && other.owned.has(key)) return true;
    return false;
  }

  /** What was shared out last: to notice a topic that was made or deleted since. */
  #sharedKeys = "";

  #partitionsChanged(): boolean {
    return this.#wantedKeys().join() !== this.#sharedKeys;
  }

  /** All partitions that somebody wants, in order. */
  #wantedKeys(): string[] {
    const topics = new Set([...this.#members.values()].flatMap((member) => member.topics));
    return [...topics].sort().flatMap((topic) => {
      return Array.from({ length: this.#countPartitions(topic) }, (_, partition) =>
        keyOf({ topic, partition }),
      );
    });
  }

  /**
   * Gives every partition to one of those who want it, evenly, and leaves as many as possible where they are: a
   * partition that moves costs a pause and perhaps records that are read twice.
   */
  #shareOut(): void {
    this.generation++;
    const wanted = this.#wantedKeys();
    this.#sharedKeys = wanted.join();
    const members = [...this.#members.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
    const targets = new Map(members.map((member) => [member, new Set<string>()]));
    const load = (member: Member): number => targets.get(member)?.size ?? 0;
    const interested = (key: string): Member[] =>
      members.filter(({ topics }) => topics.includes(topicOfKey(key)));
    // 1. Where it is, as long as its owner has no more than its fair share.
    const homeless: string[] = [];
    for (const key of wanted) {
      const candidates = interested(key);
      const owner = candidates.find((member) => member.target.has(key));
      const fair = Math.ceil(wanted.length / Math.max(1, candidates.length));
      if (owner !== undefined && load(owner) < fair) targets.get(owner)?.add(key);
      else homeless.push(key);
    }
    // 2. The rest to whoever has least.
    for (const key of homeless) {
      const [least] = interested(key).sort((left, right) => load(left) - load(right));
      if (least !== undefined) targets.get(least)?.add(key);
    }
    // 3. Even out: a newcomer takes from whoever has most.
    this.#evenOut(members, targets);
    for (const member of members) member.target = targets.get(member) ?? new Set();
  }

  #evenOut(members: readonly Member[], targets: ReadonlyMap<Member, Set<string>>): void {
    const setOf = (member: Member): Set<string> => targets.get(member) ?? new Set();
    for (;;) {
      let moved = false;
      for (const poor of members) {
        for (const rich of members) {
          if (setOf(rich).size < setOf(poor).size + 2) continue;
          const key = [...setOf(rich)].find((candidate) => poor.topics.includes(topicOfKey(candidate)));
          if (key === undefined) continue;
          setOf(rich).delete(key);
          setOf(poor).add(key);
          moved = true;
        }
      }
      if (!moved) return;
    }
  }
}

function keyOf({ topic, partition }: PartitionName): string {
  return `${topic}/${partition}`;
}

function nameOfKey(key: string): PartitionName {
  const at = key.lastIndexOf("/");
  return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)) };
}

function topicOfKey(key: string): string {
  return key.slice(0, key.lastIndexOf("/"));
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}
