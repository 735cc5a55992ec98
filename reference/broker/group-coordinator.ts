/**
 * Who in the consumer groups is alive, as the server sees it that answers for them.
 *
 * A member is bound to the connection from which it last joined. When that connection ends, the member is gone at once,
 * so a consumer that crashed does not hold its partitions until a time-out; and what it still had under way can commit
 * nothing any more, because a commit asks for membership first.
 *
 * The groups themselves are kept elsewhere (consumer-groups.ts). In a cluster another node may take over: it knows the
 * members, and nothing of their connections or when they were last heard. So everybody's time begins anew there, and
 * a member is bound again when it says its next word. Kafka's coordinators hand over in the same way.
 */
import type { Clock, Random } from "../ports.ts";
import type { RequestOf } from "../protocol/messages.ts";
import type { Handler } from "./call.ts";
import type { BrokerConnection } from "./connection.ts";
import { onConnectionEnding } from "./connection-state.ts";
import type { GroupKeeper } from "./consumer-groups.ts";
import type { Membership, PartitionName } from "./group.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse, reply } from "./outcome.ts";
import { isTopicName } from "./topic.ts";

/** A member that says nothing for so long is taken for dead. */
export const memberTimeoutMs = 10_000;

/** How often members are asked to join again: three tries within the time-out. */
export const memberHeartbeatMs = 3000;

/** How often a node of a cluster looks for members that have fallen silent. */
const silenceLookMs = 1000;

/** The most characters of a group's name, and of a member's id. */
export const groupNameLengthMax = 249;

/** The most topics that one member may want. */
const memberTopicsMax = 1000;

/** What this server knows of a member. */
interface Sign {
  heardAtMs: number;
  /** The connection that it joined from last; undefined when it joined elsewhere. */
  connection: BrokerConnection | undefined;
  /** The end of that connection is no longer the member's. */
  cut: () => void;
}

/** The signs of life of all members. */
export class GroupCoordinator {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #keeper: GroupKeeper;
  /** By group and member. */
  readonly #signs = new Map<string, Sign>();
  #lookAtMs = 0;

  constructor(clock: Clock, random: Random, keeper: GroupKeeper) {
    this.#clock = clock;
    this.#random = random;
    this.#keeper = keeper;
  }

  /** Takes a member in, or hears its heartbeat; or says why not. */
  async join(
    connection: BrokerConnection,
    request: RequestOf<"JoinGroup">,
  ): Promise<(Membership & { readonly memberId: string }) | ErrorOutcome> {
    const { group, memberId, topics, owned } = request;
    const { groups } = this.#keeper;
    const problem = (await this.#keeper.current()) ?? (await this.#dropSilent(group));
    if (problem !== undefined) return problem;
    const id = memberId === "" ? this.#newMemberId(connection) : memberId;
    // Bound first: should the connection end now, the member leaves after it has joined, and not before.
    this.#hear(group, id, connection);
    const membership = groups.get(group)?.unchanged(id, topics, owned) ?? (await this.#change(id, request));
    if ("generation" in membership) return { memberId: id, ...membership };
    if (groups.get(group)?.has(id) !== true) this.#forget(group, id);
    return membership;
  }

  async #change(
    memberId: string,
    { group, topics, owned }: RequestOf<"JoinGroup">,
  ): Promise<Membership | ErrorOutcome> {
    const { groups } = this.#keeper;
    const refused = groups.judge({ group, memberId, topics, owned });
    if (refused !== undefined) return refused;
    const claims = groups.get(group)?.claims(memberId, owned) ?? [];
    return this.#keeper.join({ group, memberId, topics, owned: claims });
  }

  /** Resolves to whether there was such a member. */
  leave(group: string, memberId: string): Promise<boolean | ErrorOutcome> {
    this.#forget(group, memberId);
    return this.#keeper.leave({ group, memberIds: [memberId] });
  }

  /** Whether a commit on this connection may be the member's. In a cluster its entry in the log is judged again. */
  mayCommit(
    connection: BrokerConnection,
    group: string,
    memberId: string,
    generation: number,
    name: PartitionName,
  ): boolean {
    const sign = this.#signs.get(keyOf(group, memberId));
    const isElsewhere = sign?.connection !== undefined && sign.connection !== connection;
    if (isElsewhere || (sign !== undefined && this.#isSilent(sign))) return false;
    return this.#keeper.groups.mayCommit(group, memberId, generation, name);
  }

  /** All groups with their living members. */
  async list(): Promise<{ group: string; generation: number; members: string[] }[] | ErrorOutcome> {
    const problem = (await this.#keeper.current()) ?? (await this.#dropAllSilent());
    if (problem !== undefined) return problem;
    const { groups } = this.#keeper;
    return groups.names.flatMap((group) => {
      const found = groups.get(group);
      return found === undefined ? [] : [{ group, generation: found.generation, members: found.memberIds }];
    });
  }

  /** Looks for members that have fallen silent, now and then; for a node that answers for the groups. */
  lookAfter(): void {
    const nowMs = this.#clock.monotonicTimeMs();
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + silenceLookMs;
    void this.#dropAllSilent();
  }

  /** Another server answers for the groups from now on: what is known here of their members is worth nothing. */
  forgetAll(): void {
    for (const { cut } of this.#signs.values()) cut();
    this.#signs.clear();
  }

  /** From here on the member goes when this connection ends, and not when an earlier one does. */
  #hear(group: string, memberId: string, connection: BrokerConnection): void {
    const sign = this.#signOf(group, memberId);
    sign.heardAtMs = this.#clock.monotonicTimeMs();
    if (sign.connection === connection) return;
    sign.cut();
    sign.connection = connection;
    sign.cut = onConnectionEnding(connection, () => void this.leave(group, memberId));
  }

  #forget(group: string, memberId: string): void {
    const key = keyOf(group, memberId);
    this.#signs.get(key)?.cut();
    this.#signs.delete(key);
  }

  /** A member that has not been heard here is given its whole time. */
  #signOf(group: string, memberId: string): Sign {
    const key = keyOf(group, memberId);
    const known = this.#signs.get(key);
    if (known !== undefined) return known;
    const sign = { heardAtMs: this.#clock.monotonicTimeMs(), connection: undefined, cut: () => {} };
    this.#signs.set(key, sign);
    return sign;
  }

  #isSilent({ heardAtMs }: Sign): boolean {
    return this.#clock.monotonicTimeMs() - heardAtMs >= memberTimeoutMs;
  }

  async #dropAllSilent(): Promise<ErrorOutcome | undefined> {
    for (const group of this.#keeper.groups.names) {
      const problem = await this.#dropSilent(group);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  async #dropSilent(group: string): Promise<ErrorOutcome | undefined> {
    const memberIds = this.#keeper.groups.get(group)?.memberIds ?? [];
    const silent = memberIds.filter((id) => this.#isSilent(this.#signOf(group, id)));
    if (silent.length === 0) return undefined;
    const left = await this.#keeper.leave({ group, memberIds: silent });
    if (typeof left !== "boolean") return left;
    for (const id of silent) this.#forget(group, id);
    return undefined;
  }

  #newMemberId(connection: BrokerConnection): string {
    const name = connection.state.clientName === "" ? "member" : connection.state.clientName;
    return `${name}-${this.#random.nextUint32().toString(16).padStart(8, "0")}`;
  }
}

function keyOf(groupName: string, memberId: string): string {
  return `${groupName}\n${memberId}`;
}

export const joinGroup: Handler<"JoinGroup"> = async (broker, request, { connection }) => {
  const { group, memberId, topics } = request;
  if (group === "" || group.length > groupNameLengthMax) {
    return refuse("invalid-request", `a group name has 1 to ${groupNameLengthMax} characters`);
  }
  if (memberId.length > groupNameLengthMax) {
    return refuse("invalid-request", `a member id has at most ${groupNameLengthMax} characters`);
  }
  if (topics.length > memberTopicsMax) {
    return refuse(
      "invalid-request",
      `${topics.length} topics are more than the ${memberTopicsMax} of a member`,
    );
  }
  const odd = topics.find((topic) => !isTopicName(topic));
  if (odd !== undefined) return refuse("invalid-topic-name", `${JSON.stringify(odd)} is not a topic name`);
  const joined = await broker.groups.join(connection, request);
  return "kind" in joined ? joined : reply({ ...joined, heartbeatMs: memberHeartbeatMs });
};

export const leaveGroup: Handler<"LeaveGroup"> = async (broker, { group, memberId }) => {
  const left = await broker.groups.leave(group, memberId);
  if (typeof left !== "boolean") return left;
  return left ? reply({}) : refuse("fenced-member", `group ${group} has no member ${memberId}`);
};

export const listGroups: Handler<"ListGroups"> = async (broker) => {
  const groups = await broker.groups.list();
  return "kind" in groups ? groups : reply({ groups });
};
