/**
 * The metadata's group on one node: all of its log lies in the journal, and whoever proposes a command hears what
 * it came to.
 */
import { assert } from "#reference/base/assert.ts";
import type { Entry } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import type { GroupKeeper } from "../consumer-groups.ts";
import type { GroupOffsets } from "../offset-store.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { ClusterCommand } from "./commands.ts";
import { decodeClusterCommand, encodeClusterCommand } from "./commands.ts";
import type { GroupOptions } from "./group.ts";
import { Group, notLeader, unknownOutcome } from "./group.ts";
import type { GroupStorage } from "./group-storage.ts";
import { metadataGroup } from "./group-id.ts";
import type { RaftJournal } from "./journal.ts";
import { isMetadataMessage } from "./message-check.ts";
import type { Applied, Metadata } from "./metadata.ts";
import type { Led } from "./transfer.ts";

interface Waiting {
  readonly term: number;
  readonly settle: (applied: Applied) => void;
}

interface Proposal {
  readonly command: Uint8Array;
  readonly settle: (applied: Applied) => void;
}

const retryAfterMs = 100;
/** The most bytes of one change: it has to reach the other nodes in one frame. */
export const commandBytesMax: number = 3 * 2 ** 20;

/** Keeps all of a group in the journal. */
export function journalStorage(journal: RaftJournal): GroupStorage {
  return {
    persist: ({ term, votedFor, snapshot, replaceFrom, entries }, onDurable) => {
      const write = { term, votedFor, snapshot, replaceFrom, entries, catchUpFrom: undefined };
      journal.append({ kind: "write", group: metadataGroup, ...write }, onDurable);
    },
  };
}

/** What the group is made of. */
export interface MetadataGroupOptions extends Omit<GroupOptions, "machine"> {
  readonly machine: Metadata;
  /** When to propose what came in this turn. */
  readonly schedule: (run: () => void) => void;
}

/** The group. */
export class MetadataGroup implements Led {
  readonly group: Group;
  readonly machine: Metadata;
  readonly #schedule: (run: () => void) => void;
  #proposals: Proposal[] = [];
  readonly #waiting = new Map<number, Waiting>();

  constructor({ machine, schedule, ...options }: MetadataGroupOptions) {
    this.machine = machine;
    this.#schedule = schedule;
    this.group = new Group({ ...options, machine });
    machine.onApplied = (entry, applied) => this.#answer(entry, applied);
    machine.onAbandoned = (indexes) => {
      for (const index of indexes) {
        this.#waiting.get(index)?.settle(unknownOutcome());
        this.#waiting.delete(index);
      }
    };
  }

  /**
   * The folder of a first member, as far as the log says it. As with configurations, that counts as soon as it stands
   * there: after a start a node does not know yet what of its log is agreed on, and may be asked for its vote.
   */
  folderOf(name: string): string | undefined {
    const { folders } = this.machine;
    if (folders.size > 0) return folders.get(name);
    const { log } = this.group.state;
    for (let index = this.group.appliedIndex + 1; index <= log.lastIndex; index++) {
      const entry = log.entryAt(index);
      const command = entry?.kind === "command" ? decodeClusterCommand(entry.data) : undefined;
      if (command?.kind === "folders") return new Map(command.folders).get(name);
    }
    return undefined;
  }

  /** A message of another node. */
  receive(message: Message): void {
    if (isMetadataMessage(message, this.group.state)) this.group.receive(message);
  }

  /** Where consumer groups' positions are kept. */
  get offsets(): GroupOffsets {
    const { machine } = this;
    return {
      commit: async (group, positions, by) => {
        const applied = await this.ask({ kind: "commit-offsets", group, positions, by });
        if (applied.kind === "error") return applied;
        const fenced = applied.kind === "committed" ? applied.fenced : [];
        return positions.filter((_, place) => fenced.includes(place));
      },
      fetch: (group, topic, partition) => machine.position(group, topic, partition),
      list: (group) => machine.positionsOf(group),
      listAll: () => machine.allPositions(),
      topicDeleted: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  /** Consumer groups with their members, which all nodes know. */
  get memberships(): GroupKeeper {
    const { machine } = this;
    return {
      groups: machine.groups,
      current: () => this.group.read(),
      join: async (change) => {
        const applied = await this.ask({ kind: "join-group", ...change });
        if (applied.kind === "error") return applied;
        assert(applied.kind === "joined", `a join came to ${applied.kind}`);
        return applied.membership;
      },
      leave: async (change) => {
        const applied = await this.ask({ kind: "leave-group", ...change });
        return applied.kind === "error" ? applied : applied.kind === "left" && applied.wasMember;
      },
    };
  }

  /** Commands are few, and whoever proposed one that is under way is told that its outcome is unknown. */
  drain(): Promise<void> {
    return Promise.resolve();
  }

  release(): void {}

  /** Ends all activity. Whoever waits is told that the outcome is unknown. */
  stop(): void {
    this.group.stop();
    for (const { settle } of this.#waiting.values()) settle(unknownOutcome());
    this.#waiting.clear();
  }

  /** Resolves to why a command came to nothing, when that is known, or to nothing when it is carried out here. */
  async propose(command: ClusterCommand): Promise<ErrorOutcome | undefined> {
    const applied = await this.ask(command);
    return applied.kind === "error" ? applied : undefined;
  }

  /** Resolves to what a command came to here, or to why that is not known. */
  ask(change: ClusterCommand): Promise<Applied> {
    const command = encodeClusterCommand(change);
    if (command.length > commandBytesMax) {
      const message = `a change of ${command.length} bytes exceeds ${commandBytesMax}`;
      return Promise.resolve(refuse("record-too-large", message));
    }
    return new Promise((settle) => {
      this.#proposals.push({ command, settle });
      if (this.#proposals.length === 1) this.#schedule(() => this.#proposeAll());
    });
  }

  #proposeAll(): void {
    const proposals = this.#proposals;
    this.#proposals = [];
    const { leader, id } = this.group.state;
    const isReady = this.group.isReady;
    if (!isReady || !this.group.mayPropose(proposals.length)) {
      const problem =
        isReady && this.group.state.transfer === undefined
          ? refuse("overloaded", "too many requests wait", retryAfterMs)
          : notLeader(leader === id ? undefined : leader);
      for (const { settle } of proposals) settle(problem);
      return;
    }
    const firstIndex = this.group.state.log.lastIndex + 1;
    const { term } = this.group.state;
    for (const [place, { settle }] of proposals.entries())
      this.#waiting.set(firstIndex + place, { term, settle });
    this.group.propose(proposals.map(({ command }) => command));
  }

  #answer({ index, term }: Entry, applied: Applied): void {
    const waiting = this.#waiting.get(index);
    if (waiting === undefined) return;
    this.#waiting.delete(index);
    // Another leader's entry may stand at this index: then ours is nowhere, and may be sent again.
    waiting.settle(waiting.term === term ? applied : notLeader(this.group.state.leader));
  }
}
