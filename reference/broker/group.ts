/**
 * Consumer groups: members that share the partitions of some topics, each partition with one member at a time.
 *
 * There is no leader among the members and no barrier at which all must meet. Each member says again and again what
 * it wants and what it reads (JoinGroup, which is also its heartbeat), and is told what it may read. A partition that
 * is to move is first taken from its owner; the new one gets it only when the old one has said that it let go, or is
 * gone. So two members never read one partition, and members that keep theirs are not disturbed. Kafka's newest group
 * protocol (KIP-848) works like this; its classic one stops all members for each change.
 *
 * Every change of the members is a new *generation*. A commit under an older one counts as long as the partition has
 * stayed where it was; once it has moved on, the commit is fenced.
 *
 * A group knows no time and no chance: the same calls in the same order come to the same result on every node of a
 * cluster. Who is still alive is for others to judge (group-coordinator.ts).
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
}

/** A group as a snapshot keeps it. Partitions are keys, `topic/number`. */
export interface SavedGroup {
  readonly generation: number;
  /** What was shared out last. */
  readonly sharedKeys: string;
  readonly members: readonly {
    readonly id: string;
    readonly topics: readonly string[];
    readonly owned: readonly string[];
    readonly target: readonly string[];
  }[];
}

/** What a member is told. */
export interface Membership {
  readonly generation: number;
  readonly assigned: readonly PartitionName[];
}

/** The number of partitions of a topic; 0 when there is no such topic. */
export type CountPartitions = (topic: string) => number;

/** One consumer group. */
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

  /**
   * What the member says of itself: takes it in when it is new, and says what it may read now. `owned` counts as far
   * as it was given to this member.
   */
  join(memberId: string, topics: readonly string[], owned: readonly PartitionName[]): Membership {
    assert(memberId !== "", "a member needs an id");
    const known = this.#members.get(memberId);
    const member: Member = known ?? { id: memberId, topics, owned: new Set(), target: new Set() };
    member.owned = new Set(this.claims(memberId, owned).map(keyOf));
    this.#members.set(memberId, member);
    // 1. A new member, other wishes or other partitions: share out anew.
    const wishesChanged = known === undefined || !sameTexts(known.topics, topics);
    member.topics = topics;
    if (wishesChanged || this.#partitionsChanged()) this.#shareOut();
    // 2. It may read what it is meant to have, as far as nobody else still reads it.
    const assigned = this.#assignedTo(member);
    // From here on it may read these, whether or not it says so before it is gone.
    member.owned = new Set([...member.owned, ...assigned]);
    return { generation: this.generation, assigned: assigned.map(nameOfKey) };
  }

  /** Of what this member says that it reads, what was given to it: nothing else may get into a log. */
  claims(memberId: string, owned: readonly PartitionName[]): PartitionName[] {
    const member = this.#members.get(memberId);
    return owned.filter((name) => member?.owned.has(keyOf(name)) === true);
  }

  /** What `join` would answer, when it would change nothing: most heartbeats are so. Undefined when it would. */
  unchanged(
    memberId: string,
    topics: readonly string[],
    owned: readonly PartitionName[],
  ): Membership | undefined {
    const member = this.#members.get(memberId);
    if (member === undefined || !sameTexts(member.topics, topics) || this.#partitionsChanged())
      return undefined;
    if (new Set(this.claims(memberId, owned).map(keyOf)).size !== member.owned.size) return undefined;
    const assigned = this.#assignedTo(member);
    if (!assigned.every((key) => member.owned.has(key))) return undefined;
    return { generation: this.generation, assigned: assigned.map(nameOfKey) };
  }

  /** A member left, or its connection is gone. */
  leave(memberId: string): boolean {
    if (!this.#members.delete(memberId)) return false;
    this.#shareOut();
    return true;
  }

  /** Whether this member may commit for the partition: it is in the group, and the partition is its own. */
  mayCommit(memberId: string, generation: number, name: PartitionName): boolean {
    const member = this.#members.get(memberId);
    if (member === undefined || generation > this.generation) return false;
    // An older generation is no reason to refuse as long as the partition has stayed where it was.
    return member.owned.has(keyOf(name));
  }

  /** All that there is to know of the group; `restore` brings it back. */
  save(): SavedGroup {
    const members = [...this.#members.values()].map(({ id, topics, owned, target }) => {
      return { id, topics, owned: [...owned], target: [...target] };
    });
    return { generation: this.generation, sharedKeys: this.#sharedKeys, members };
  }

  static restore(countPartitions: CountPartitions, saved: SavedGroup): ConsumerGroup {
    const group = new ConsumerGroup(countPartitions);
    group.generation = saved.generation;
    group.#sharedKeys = saved.sharedKeys;
    for (const { id, topics, owned, target } of saved.members) {
      group.#members.set(id, { id, topics, owned: new Set(owned), target: new Set(target) });
    }
    return group;
  }

  #assignedTo(member: Member): string[] {
    return [...member.target].filter((key) => member.owned.has(key) || !this.#isOwnedByOther(key, member));
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
