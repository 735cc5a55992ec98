/**
 * What stands in the metadata's log: the changes of what all nodes know, as commands. They are rare, and travel as
 * JSON.
 *
 * A command says what is to be done and never how it turned out: every node carries it out for itself and must come
 * to the same result. So whatever could differ between nodes is decided by the leader and stands in the command:
 * for a new topic, which nodes its partitions begin with.
 */
import type { JoinChange, LeaveChange } from "../consumer-groups.ts";
import type { Committer, StoredOffset } from "../offset-store.ts";
import type { TopicConfig } from "../topic.ts";

/** One change of the state that all nodes share. */
export type ClusterCommand =
  | { readonly kind: "create-topic"; readonly topic: string; readonly config: TopicConfig }
  | { readonly kind: "delete-topic"; readonly topic: string }
  /** `by` is judged when the command is carried out: a member that is gone by then commits nothing. */
  | {
      readonly kind: "commit-offsets";
      readonly group: string;
      readonly positions: readonly StoredOffset[];
      readonly by?: Committer | undefined;
    }
  | ({ readonly kind: "join-group" } & JoinChange)
  | ({ readonly kind: "leave-group" } & LeaveChange)
  /** The folders of the first members, by name: those had met before the cluster began, and tell those to come. */
  | { readonly kind: "folders"; readonly folders: readonly (readonly [node: string, folder: string])[] }
  /** Where a node is reached; said before it becomes a member. */
  | { readonly kind: "address"; readonly node: string; readonly address: string }
  /** A node is to leave: the partitions' groups do without it first. */
  | { readonly kind: "leave"; readonly node: string }
  /** It has left, and is no member of anything any more. */
  | { readonly kind: "left"; readonly node: string };

const kinds: ReadonlySet<string> = new Set(
  Object.keys({
    "create-topic": 0,
    "delete-topic": 0,
    "commit-offsets": 0,
    "join-group": 0,
    "leave-group": 0,
    folders: 0,
    address: 0,
    leave: 0,
    left: 0,
  } satisfies Record<ClusterCommand["kind"], 0>),
);

export function encodeClusterCommand(command: ClusterCommand): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(command));
}

/** The command in an entry; undefined when it is none, or one of a newer program. */
export function decodeClusterCommand(bytes: Uint8Array): ClusterCommand | undefined {
  try {
    const command = JSON.parse(new TextDecoder().decode(bytes)) as ClusterCommand | null;
    return command !== null && kinds.has(command.kind) ? command : undefined;
  } catch {
    return undefined;
  }
}
