/**
 * All consumer groups, as a state and two changes of it. In a cluster this is part of what the nodes agree on: every
 * node carries out the same changes in the same order, so groups outlive the node that answered for them.
 */
import type { CountPartitions, Membership, PartitionName, SavedGroup } from "./group.ts";
import { ConsumerGroup } from "./group.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/** The most groups of one server, or of one cluster. */
export const groupsMax = 10_000;

/** The most members of one group: each that comes or goes has all partitions shared out anew among all of them. */
export const groupMembersMax = 250;

/** A member comes, wants something else, or has let go of something. */
export interface JoinChange {
  readonly group: string;
  readonly memberId: string;
  readonly topics: readonly string[];
  /** What the member reads at the moment. */
  readonly owned: readonly PartitionName[];
}

/** Members go. */
export interface LeaveChange {
  readonly group: string;
  readonly memberIds: readonly string[];
}

/** Everything that `restore` needs, as JSON can carry it. */
export type SavedGroups = readonly (readonly [group: string, saved: SavedGroup])[];

/** Where groups are kept, and how they change: in this server's memory, or in all nodes of a cluster. */
export interface GroupKeeper {
  /** To look at, and for nothing else. */
  readonly groups: ConsumerGroups;
  /** Resolves when `groups` holds every change that was answered before the call, or to why nobody can know. */
  current(): Promise<ErrorOutcome | undefined>;
  join(change: JoinChange): Promise<Membership | ErrorOutcome>;
  /** Resolves to whether there was such a member. */
  leave(change: LeaveChange): Promise<boolean | ErrorOutcome>;
}

/** The groups. */
export class ConsumerGroups {
  readonly #countPartitions: CountPartitions;
  readonly #groups = new Map<string, ConsumerGroup>();

  constructor(countPartitions: CountPartitions) {
    this.#countPartitions = countPartitions;
  }

  get names(): string[] {
    return [...this.#groups.keys()];
  }

  get(name: string): ConsumerGroup | undefined {
    return this.#groups.get(name);
  }

  /**
   * Why this cannot be: one member or group too many (`invalid-request`), or a member that is not known here and says
   * that it reads something (`fenced-member`), for others may have read on from there since.
   */
  judge({ group: name, memberId, owned }: JoinChange): ErrorOutcome | undefined {
    const group = this.#groups.get(name);
    if (group?.has(memberId) === true) return undefined;
    if (owned.length > 0) return refuse("fenced-member", `group ${name} has no member ${memberId}`);
    if (group === undefined && this.#groups.size >= groupsMax) {
      return refuse("invalid-request", `there are ${groupsMax} groups, as many as can be`);
    }
    if (group !== undefined && group.memberIds.length >= groupMembersMax) {
      return refuse("invalid-request", `group ${name} has ${groupMembersMax} members, as many as it takes`);
    }
    return undefined;
  }

  /** Takes a member in, or hears what it wants now. */
  join(change: JoinChange): Membership | ErrorOutcome {
    const refused = this.judge(change);
    if (refused !== undefined) return refused;
    const { group: name, memberId, topics, owned } = change;
    const group = this.#groups.get(name) ?? new ConsumerGroup(this.#countPartitions);
    this.#groups.set(name, group);
    return group.join(memberId, topics, owned);
  }

  /** Whether one of them was a member. A group without members is none. */
  leave({ group: name, memberIds }: LeaveChange): boolean {
    const group = this.#groups.get(name);
    const left = memberIds.filter((id) => group?.leave(id) === true);
    if (group?.memberIds.length === 0) this.#groups.delete(name);
    return left.length > 0;
  }

  mayCommit(group: string, memberId: string, generation: number, name: PartitionName): boolean {
    return this.#groups.get(group)?.mayCommit(memberId, generation, name) === true;
  }

  save(): SavedGroups {
    return [...this.#groups].map(([name, group]) => [name, group.save()]);
  }

  /** Takes a saved state over, in place of its own. */
  restore(saved: SavedGroups): void {
    this.#groups.clear();
    for (const [name, group] of saved) {
      this.#groups.set(name, ConsumerGroup.restore(this.#countPartitions, group));
    }
  }
}

/** Groups of a server that is alone: they are gone with it, and their members join again. */
export class LocalGroups implements GroupKeeper {
  readonly groups: ConsumerGroups;

  constructor(countPartitions: CountPartitions) {
    this.groups = new ConsumerGroups(countPartitions);
  }

  async current(): Promise<undefined> {}

  join(change: JoinChange): Promise<Membership | ErrorOutcome> {
    return Promise.resolve(this.groups.join(change));
  }

  leave(change: LeaveChange): Promise<boolean> {
    return Promise.resolve(this.groups.leave(change));
  }
}
