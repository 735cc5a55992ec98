/**
 * All consumer groups of a server: who is in which, and for how long.
 *
 * A member is bound to the connection from which it last joined. When that connection ends, the member is gone at once,
 * so a consumer that crashed does not hold its partitions until a time-out; and what it still had under way can commit
 * nothing any more, because a commit asks for membership first.
 */
import type { Clock, Random } from "../ports.ts";
import type { Handler } from "./call.ts";
import type { BrokerConnection } from "./connection.ts";
import { onConnectionEnding } from "./connection-state.ts";
import type { CountPartitions, Membership, PartitionName } from "./group.ts";
import { ConsumerGroup } from "./group.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse, reply } from "./outcome.ts";

/** A member that says nothing for so long is taken for dead. */
export const memberTimeoutMs = 10_000;

/** How often members are asked to join again: three tries within the time-out. */
export const memberHeartbeatMs = 3000;

/** The most groups of one server. */
const groupsMax = 10_000;

/** The most members of one group: each that comes or goes has all partitions shared out anew among all of them. */
const groupMembersMax = 250;

/** The most characters of a group's name. */
const groupNameLengthMax = 249;

/** What binds a member to the connection that it joined from last. */
interface Tie {
  readonly connection: BrokerConnection;
  /** The end of that connection is no longer the member's. */
  readonly cut: () => void;
}

/** The groups. */
export class GroupCoordinator {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #countPartitions: CountPartitions;
  readonly #groups = new Map<string, ConsumerGroup>();
  /** By group and member. */
  readonly #ties = new Map<string, Tie>();

  constructor(clock: Clock, random: Random, countPartitions: CountPartitions) {
    this.#clock = clock;
    this.#random = random;
    this.#countPartitions = countPartitions;
  }

  /** Takes a member in, or hears its heartbeat; or says of what there are too many. */
  join(
    connection: BrokerConnection,
    groupName: string,
    memberId: string,
    topics: readonly string[],
    owned: readonly PartitionName[],
  ): (Membership & { readonly memberId: string }) | ErrorOutcome {
    this.#expire(groupName);
    let group = this.#groups.get(groupName);
    if (group === undefined) {
      if (this.#groups.size >= groupsMax) {
        return refuse("invalid-request", `the server has ${groupsMax} groups, as many as it takes`);
      }
      group = new ConsumerGroup(this.#countPartitions);
      this.#groups.set(groupName, group);
    }
    const id = memberId === "" ? this.#newMemberId(connection) : memberId;
    if (!group.has(id) && group.memberIds.length >= groupMembersMax) {
      return refuse(
        "invalid-request",
        `group ${groupName} has ${groupMembersMax} members, as many as it takes`,
      );
    }
    this.#tie(groupName, id, connection);
    return { memberId: id, ...group.join(id, topics, owned, this.#clock.monotonicTimeMs()) };
  }

  /** Whether there was such a member. */
  leave(groupName: string, memberId: string): boolean {
    this.#untie(groupName, memberId);
    const group = this.#groups.get(groupName);
    const wasMember = group?.leave(memberId) === true;
    if (group?.memberIds.length === 0) this.#groups.delete(groupName);
    return wasMember;
  }

  mayCommit(
    connection: BrokerConnection,
    groupName: string,
    memberId: string,
    generation: number,
    name: PartitionName,
  ): boolean {
    this.#expire(groupName);
    if (this.#ties.get(keyOf(groupName, memberId))?.connection !== connection) return false;
    return this.#groups.get(groupName)?.mayCommit(memberId, generation, name) === true;
  }

  list(): { group: string; generation: number; members: string[] }[] {
    const names = [...this.#groups.keys()];
    for (const groupName of names) this.#expire(groupName);
    return [...this.#groups].map(([group, { generation, memberIds }]) => ({
      group,
      generation,
      members: memberIds,
    }));
  }

  /** From here on the member goes when this connection ends, and not when an earlier one does. */
  #tie(groupName: string, memberId: string, connection: BrokerConnection): void {
    const key = keyOf(groupName, memberId);
    if (this.#ties.get(key)?.connection === connection) return;
    this.#untie(groupName, memberId);
    const cut = onConnectionEnding(connection, () => void this.leave(groupName, memberId));
    this.#ties.set(key, { connection, cut });
  }

  #untie(groupName: string, memberId: string): void {
    const key = keyOf(groupName, memberId);
    this.#ties.get(key)?.cut();
    this.#ties.delete(key);
  }

  #expire(groupName: string): void {
    const group = this.#groups.get(groupName);
    for (const id of group?.expire(this.#clock.monotonicTimeMs(), memberTimeoutMs) ?? []) {
      this.#untie(groupName, id);
    }
    if (group?.memberIds.length === 0) this.#groups.delete(groupName);
  }

  #newMemberId(connection: BrokerConnection): string {
    const name = connection.state.clientName === "" ? "member" : connection.state.clientName;
    return `${name}-${this.#random.nextUint32().toString(16).padStart(8, "0")}`;
  }
}

function keyOf(groupName: string, memberId: string): string {
  return `${groupName}\n${memberId}`;
}

export const joinGroup: Handler<"JoinGroup"> = (
  broker,
  { group, memberId, topics, owned },
  { connection },
) => {
  if (group === "" || group.length > groupNameLengthMax) {
    return refuse("invalid-request", `a group name has 1 to ${groupNameLengthMax} characters`);
  }
  const joined = broker.groups.join(connection, group, memberId, topics, owned);
  return "kind" in joined ? joined : reply({ ...joined, heartbeatMs: memberHeartbeatMs });
};

export const leaveGroup: Handler<"LeaveGroup"> = (broker, { group, memberId }) => {
  return broker.groups.leave(group, memberId)
    ? reply({})
    : refuse("fenced-member", `group ${group} has no member ${memberId}`);
};

export const listGroups: Handler<"ListGroups"> = (broker) => reply({ groups: broker.groups.list() });
