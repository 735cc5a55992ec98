/**
 * What all nodes know: the topics, the consumer groups with their members and positions, and each other. And how a
 * committed command changes it.
 *
 * Every node applies the same commands in the same order, so what is kept here depends on nothing but the state and
 * the command. Making a topic takes this node's disk as well, and after a restart commands are applied again: what
 * is there from before is left alone.
 */
import type { Entry, Snapshot } from "../../raft/entry.ts";
import type { SavedGroups } from "../consumer-groups.ts";
import { ConsumerGroups } from "../consumer-groups.ts";
import type { Membership } from "../group.ts";
import type { Committer, StoredOffset } from "../offset-store.ts";
import { positionsMax, tooManyPositions } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { TopicConfig } from "../topic.ts";
import type { ClusterCommand } from "./commands.ts";
import { decodeClusterCommand } from "./commands.ts";
import type { GroupMachine } from "./group.ts";

/** What a command came to, the same on every node. */
export type Applied =
  | { readonly kind: "done" }
  | { readonly kind: "joined"; readonly membership: Membership }
  | { readonly kind: "left"; readonly wasMember: boolean }
  /** `fenced` are the positions that are not stored, because they are the member's no more. */
  | { readonly kind: "committed"; readonly fenced: readonly number[] }
  | ErrorOutcome;

/** The topics as this node has them on disk. */
export interface LocalTopics {
  /** Makes a topic with its groups; nothing happens when it is there, or when it is known to have been deleted. */
  create(name: string, config: TopicConfig): Promise<void>;
  /** Ends a topic and its groups. `index` is the entry that says so. */
  delete(name: string, incarnation: number, index: number): Promise<void>;
  /** The topics on disk, by name, with their incarnations. */
  list(): ReadonlyMap<string, number>;
}

/** The form in which a snapshot keeps it all. */
interface SavedState {
  readonly topics: readonly (readonly [name: string, config: TopicConfig])[];
  readonly positions: readonly (readonly [group: string, positions: readonly StoredOffset[]])[];
  readonly groups: SavedGroups;
  readonly folders: readonly (readonly [node: string, folder: string])[];
  readonly addresses: readonly (readonly [node: string, address: string])[];
  readonly leaving: readonly string[];
  readonly gone: readonly string[];
}

const done: Applied = { kind: "done" };
/**
 * The most nodes that have left and are remembered. One that left before them is a stranger when it comes back, and is
 * refused as such.
 */
export const goneNodesMax = 1000;

/** One node's copy. */
export class Metadata implements GroupMachine {
  readonly wantsSnapshot = false;
  /** The folders of the first members, by name, also of those that have left. Empty until the log says them. */
  folders = new Map<string, string>();
  /** Where each node is reached, as far as the log says. */
  addresses = new Map<string, string>();
  /** Nodes that the partitions' groups shall do without. */
  leaving = new Set<string>();
  /** Nodes that have left: they are no strangers, and are told so when they come back. */
  gone = new Set<string>();
  /** Told what each command came to. */
  onApplied: (entry: Entry, applied: Applied) => void = () => {};
  onAbandoned: (indexes: readonly number[]) => void = () => {};
  readonly #local: LocalTopics;
  #topics = new Map<string, TopicConfig>();
  readonly groups = new ConsumerGroups((topic) => this.#topics.get(topic)?.partitions ?? 0);
  /** By group, then by partition. */
  #positions = new Map<string, Map<string, StoredOffset>>();
  /** How many these may be, and are, of all groups together. */
  readonly #positionsMax: number;
  #positionCount = 0;

  constructor(local: LocalTopics, most = positionsMax) {
    this.#local = local;
    this.#positionsMax = most;
  }

  apply(entry: Entry): void | Promise<void> {
    if (entry.kind !== "command") return this.onApplied(entry, done);
    const command = decodeClusterCommand(entry.data);
    if (command === undefined) {
      throw new Error(`entry ${entry.index} of the cluster's log is no command that this program knows`);
    }
    const applied = this.#carryOut(entry.index, command);
    if (!(applied instanceof Promise)) return this.onApplied(entry, applied);
    return applied.then((result) => this.onApplied(entry, result));
  }

  applied(): void {}

  settled(): Promise<void> {
    return Promise.resolve();
  }

  abandon(indexes: readonly number[]): void {
    this.onAbandoned(indexes);
  }

  position(group: string, topic: string, partition: number): number | undefined {
    return this.#positions.get(group)?.get(`${topic}/${partition}`)?.offset;
  }

  positionsOf(group: string): readonly StoredOffset[] {
    return [...(this.#positions.get(group)?.values() ?? [])];
  }

  allPositions(): readonly (StoredOffset & { readonly group: string })[] {
    return [...this.#positions].flatMap(([group, of]) => [...of.values()].map((at) => ({ group, ...at })));
  }

  /** All of the shared state. */
  save(): Uint8Array {
    const state: SavedState = {
      topics: [...this.#topics],
      positions: [...this.#positions].map(([group, of]) => [group, [...of.values()]]),
      groups: this.groups.save(),
      folders: [...this.folders],
      addresses: [...this.addresses],
      leaving: [...this.leaving],
      gone: [...this.gone],
    };
    return new TextEncoder().encode(JSON.stringify(state));
  }

  /** Takes a saved state over, and brings the topics on disk in step with it. */
  async restore({ index, data }: Snapshot): Promise<void> {
    this.#take(data);
    for (const [name, incarnation] of this.#local.list()) {
      // A topic that is newer than the snapshot was made by an entry behind it.
      const isGone = this.#topics.get(name)?.incarnation !== incarnation && incarnation <= index;
      if (isGone) await this.#local.delete(name, incarnation, index);
    }
    for (const [name, config] of this.#topics) await this.#local.create(name, config);
  }

  /** Takes over what a saved state says. Throws where it cannot be read. */
  #take(data: Uint8Array): void {
    const state = JSON.parse(new TextDecoder().decode(data)) as SavedState;
    // Without them, a folder that was lost could pass for any.
    if (!Array.isArray(state.folders)) throw new TypeError("no folders");
    this.folders = new Map(state.folders);
    this.addresses = new Map(state.addresses);
    this.leaving = new Set(state.leaving);
    this.gone = new Set(state.gone);
    this.#positions = new Map(
      state.positions.map(([group, of]) => [
        group,
        new Map(of.map((at) => [`${at.topic}/${at.partition}`, at])),
      ]),
    );
    this.#countPositions();
    this.#topics = new Map(state.topics);
    this.groups.restore(state.groups);
  }

  /** Whether the bytes are a saved state. */
  static canRestore(data: Uint8Array): boolean {
    const nowhere = { create: async () => {}, delete: async () => {}, list: () => new Map<string, number>() };
    try {
      new Metadata(nowhere).#take(data);
      return true;
    } catch {
      return false;
    }
  }

  #carryOut(index: number, command: ClusterCommand): Applied | Promise<Applied> {
    switch (command.kind) {
      case "create-topic":
        return this.#create(index, command.topic, command.config);
      case "delete-topic":
        return this.#delete(index, command.topic);
      case "commit-offsets":
        return this.#commit(command.group, command.positions, command.by);
      case "join-group": {
        const joined = this.groups.join(command);
        return "generation" in joined ? { kind: "joined", membership: joined } : joined;
      }
      case "leave-group":
        return { kind: "left", wasMember: this.groups.leave(command) };
      case "folders":
        if (this.folders.size === 0) this.folders = new Map(command.folders);
        return done;
      case "address":
        this.addresses.set(command.node, command.address);
        this.gone.delete(command.node);
        return done;
      case "leave":
        this.leaving.add(command.node);
        return done;
      case "left":
        this.leaving.delete(command.node);
        this.addresses.delete(command.node);
        this.gone.add(command.node);
        for (const node of this.gone) if (this.gone.size > goneNodesMax) this.gone.delete(node);
        return done;
    }
  }

  async #create(index: number, name: string, given: TopicConfig): Promise<Applied> {
    if (this.#topics.has(name)) return refuse("topic-already-exists", `topic ${name} exists already`);
    const config = { ...given, incarnation: index };
    this.#topics.set(name, config);
    await this.#local.create(name, config);
    return done;
  }

  async #delete(index: number, name: string): Promise<Applied> {
    const incarnation = this.#topics.get(name)?.incarnation;
    if (incarnation === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    this.#topics.delete(name);
    for (const [group, positions] of this.#positions) {
      for (const [key, { topic }] of positions) if (topic === name) positions.delete(key);
      if (positions.size === 0) this.#positions.delete(group);
    }
    this.#countPositions();
    await this.#local.delete(name, incarnation, index);
    return done;
  }

  #commit(group: string, positions: readonly StoredOffset[], by: Committer | undefined): Applied {
    const known = this.#positions.get(group) ?? new Map<string, StoredOffset>();
    const changed = new Map<string, StoredOffset>();
    const fenced: number[] = [];
    for (const [place, at] of positions.entries()) {
      if (by !== undefined && !this.groups.mayCommit(group, by.memberId, by.generation, at))
        fenced.push(place);
      else changed.set(`${at.topic}/${at.partition}`, at);
    }
    let added = 0;
    for (const key of changed.keys()) if (!known.has(key)) added++;
    if (added > 0 && this.#positionCount + added > this.#positionsMax)
      return tooManyPositions(this.#positionsMax);
    for (const [key, at] of changed) known.set(key, at);
    if (known.size > 0) this.#positions.set(group, known);
    this.#positionCount += added;
    return { kind: "committed", fenced };
  }

  #countPositions(): void {
    this.#positionCount = 0;
    for (const of of this.#positions.values()) this.#positionCount += of.size;
  }
}
