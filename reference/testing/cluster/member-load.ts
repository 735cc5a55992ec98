/**
 * Members of a consumer group in a simulated cluster: each reads what it is told to read and commits how far it got;
 * some fall silent for a while, some leave and come back.
 *
 * Two things must hold whatever nodes die meanwhile. No partition has two readers at once, as long as each stops when
 * nobody has heard it for nine seconds. And a commit that was acknowledged is never undone by a member whose time
 * is over.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import type { SimulatedClient } from "./client.ts";
import type { LoadWorld } from "./load.ts";
import type { SimulatedNode } from "./node.ts";

/** What the members of a group share, to be judged by. */
export interface GroupWorld {
  readonly world: LoadWorld;
  readonly group: string;
  /** Who reads each partition, and until when it may without being heard. */
  readonly readers: Map<number, { readonly memberId: string; readonly untilMs: number }>;
  /** The furthest commit of each partition that was acknowledged. */
  readonly committed: Map<number, number>;
  readonly nowMs: () => number;
  commits: number;
}

/** A group before anybody has joined it. */
export function newGroupWorld(world: LoadWorld, nowMs: () => number): GroupWorld {
  return { world, group: "workers", readers: new Map(), committed: new Map(), nowMs, commits: 0 };
}

/** Consumer groups with their members and positions as nodes know them: what is not the same, one line each. */
export function judgeGroups(nodes: readonly Pick<SimulatedNode, "name" | "cluster">[]): string[] {
  const [first, ...others] = nodes.map(({ name, cluster }) => {
    const positions = cluster?.offsets.listAll().map((position) => JSON.stringify(position));
    return { name, groups: JSON.stringify([cluster?.memberships.groups.save(), positions?.toSorted()]) };
  });
  return others
    .filter(({ groups }) => groups !== first?.groups)
    .map(({ name, groups }) => `groups on ${first?.name}: ${first?.groups}, on ${name}: ${groups}`);
}

/** A server waits for ten seconds; a member whose clock goes a little slower has to stop earlier. */
const leaseMs = 9000;
const retryMs = 60;

/** One member, until the end. */
export async function memberLoad(
  groupWorld: GroupWorld,
  client: SimulatedClient,
  random: SeededRandom,
): Promise<void> {
  const { world } = groupWorld;
  const member = new Member(groupWorld, client, random);
  while (!world.isEnding) {
    await member.round();
    if (random.nextChance(0.02)) await client.sleep(random.nextBetween(5000, 15_000));
    if (random.nextChance(0.05)) await member.leave();
    await client.sleep(random.nextBetween(20, 400));
  }
  await member.leave();
}

class Member {
  readonly #shared: GroupWorld;
  readonly #client: SimulatedClient;
  readonly #random: SeededRandom;
  readonly #memberId: string;
  #target: string;
  #generation = 0;
  /** The next offset to read, by partition: what this member reads. */
  #positions = new Map<number, number>();
  #untilMs = 0;

  constructor(shared: GroupWorld, client: SimulatedClient, random: SeededRandom) {
    this.#shared = shared;
    this.#client = client;
    this.#random = random;
    this.#memberId = `member ${client.name}`;
    this.#target = random.pick(shared.world.nodes);
  }

  /** A heartbeat, and what follows from it. */
  async round(): Promise<void> {
    const { group, world, nowMs } = this.#shared;
    const { topic } = world;
    if (nowMs() >= this.#untilMs) this.#release([...this.#positions.keys()]);
    const sentAtMs = nowMs();
    const owned = [...this.#positions.keys()].map((partition) => ({ topic, partition }));
    const request = { group, memberId: this.#memberId, topics: [topic], owned };
    const reply = await this.#client.ask(this.#target, "JoinGroup", request);
    if (reply?.kind !== "reply") {
      if (reply?.name === "fenced-member") this.#release([...this.#positions.keys()]);
      return this.#elsewhere();
    }
    this.#generation = reply.value.generation;
    this.#untilMs = sentAtMs + leaseMs;
    await this.#follow(reply.value);
  }

  /** Commits and leaves; or only leaves its partitions alone, if nobody hears it. */
  async leave(): Promise<void> {
    await this.#commit();
    this.#release([...this.#positions.keys()]);
    const { group } = this.#shared;
    const reply = await this.#client.ask(this.#target, "LeaveGroup", { group, memberId: this.#memberId });
    if (reply === undefined) await this.#elsewhere();
  }

  async #follow({ assigned }: ReplyOf<"JoinGroup">): Promise<void> {
    const { group, world, readers, committed, nowMs } = this.#shared;
    const { topic } = world;
    const named = assigned.map(({ partition }) => partition);
    // 1. What is ours no more is committed, and let go.
    const lost = [...this.#positions.keys()].filter((partition) => !named.includes(partition));
    if (lost.length > 0) await this.#commit();
    this.#release(lost);
    // 2. What is ours now has no other reader, and begins where the last one stopped.
    for (const partition of named) {
      const reader = readers.get(partition);
      if (reader !== undefined && reader.memberId !== this.#memberId && reader.untilMs > nowMs()) {
        world.onViolation(`partition ${partition} has two readers: ${reader.memberId} and ${this.#memberId}`);
      }
      readers.set(partition, { memberId: this.#memberId, untilMs: this.#untilMs });
    }
    const added = named.filter((partition) => !this.#positions.has(partition));
    if (added.length > 0) {
      const before = new Map(committed);
      const partitions = added.map((partition) => ({ topic, partition }));
      const fetched = await this.#client.ask(this.#target, "FetchOffset", { group, partitions });
      if (fetched?.kind !== "reply") return this.#elsewhere();
      for (const { partition, offset } of fetched.value.offsets) {
        if (offset < (before.get(partition) ?? 0)) {
          world.onViolation(`partition ${partition} is at ${offset}, and was at ${before.get(partition)}`);
        }
        this.#positions.set(partition, offset);
      }
    }
    // 3. Reads on, and says how far it got.
    for (const [partition, offset] of this.#positions) {
      const end = world.acknowledged.get(partition) ?? 0;
      if (end > offset) this.#positions.set(partition, this.#random.nextBetween(offset, end));
    }
    if (this.#random.nextChance(0.5)) await this.#commit();
  }

  async #commit(): Promise<void> {
    const { group, world, committed } = this.#shared;
    const { topic } = world;
    const offsets = [...this.#positions].map(([partition, offset]) => ({ topic, partition, offset }));
    if (offsets.length === 0) return;
    const before = new Map(committed);
    const request = { group, memberId: this.#memberId, generation: this.#generation, offsets };
    const reply = await this.#client.ask(this.#target, "CommitOffset", request);
    if (reply?.kind !== "reply") return this.#elsewhere();
    for (const [place, code] of reply.value.errorCodes.entries()) {
      const at = offsets[place];
      if (at === undefined || code !== 0) continue;
      const known = before.get(at.partition) ?? 0;
      if (at.offset < known) {
        world.onViolation(
          `${this.#memberId} set partition ${at.partition} back from ${known} to ${at.offset}`,
        );
      }
      committed.set(at.partition, Math.max(committed.get(at.partition) ?? 0, at.offset));
      this.#shared.commits++;
    }
  }

  #release(partitions: readonly number[]): void {
    const { readers } = this.#shared;
    for (const partition of partitions) this.#positions.delete(partition);
    for (const [partition, { memberId }] of readers) {
      if (memberId === this.#memberId && !this.#positions.has(partition)) readers.delete(partition);
    }
  }

  /** Another node may answer. */
  async #elsewhere(): Promise<void> {
    this.#target = this.#random.pick(this.#shared.world.nodes);
    await this.#client.sleep(retryMs);
  }
}
