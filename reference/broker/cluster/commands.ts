/**
 * What stands in the replicated log: the changes of a broker's state, as commands.
 *
 * A command says what is to be done and never how it turned out: every node carries it out for itself and must come to
 * the same result. So whatever could differ between nodes is decided by the leader and stands in the command: the time
 * that record ids are made of, and which topic of that name is meant.
 *
 * A batch, which nearly all entries are, has a layout of its own; the others are rare and travel as JSON.
 *
 * ```
 * 0      1        9             17          21            23        23+T
 * | 0    | timeMs | incarnation | partition | topicLength | topic T | record batch … |
 * | 1    | JSON …                                                                    |
 * ```
 */
import { viewOf } from "#reference/base/bytes.ts";
import { getUint53, putUint53 } from "../connection.ts";
import type { StoredOffset } from "../offset-store.ts";
import type { TopicConfig } from "../topic.ts";

/** Appends a record batch to a partition. */
export interface AppendCommand {
  readonly kind: "append";
  readonly topic: string;
  /** Which topic of that name: another one may have been made since. */
  readonly incarnation: number;
  readonly partition: number;
  /** The leader's clock, for the records' ids. */
  readonly timeMs: number;
  readonly batch: Uint8Array;
}

/** One change of the state that all nodes share. */
export type ClusterCommand =
  | AppendCommand
  | { readonly kind: "create-topic"; readonly topic: string; readonly config: TopicConfig }
  | { readonly kind: "delete-topic"; readonly topic: string }
  | {
      readonly kind: "trim";
      readonly topic: string;
      readonly incarnation: number;
      readonly partition: number;
      readonly beforeOffset: number;
    }
  | { readonly kind: "commit-offsets"; readonly group: string; readonly positions: readonly StoredOffset[] }
  /** Where a node is reached; said before it becomes a member. */
  | { readonly kind: "address"; readonly node: string; readonly address: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const fixedBytes = 23;

export function encodeClusterCommand(command: ClusterCommand): Uint8Array {
  if (command.kind !== "append") {
    const json = encoder.encode(JSON.stringify(command));
    const bytes = new Uint8Array(1 + json.length);
    bytes[0] = 1;
    bytes.set(json, 1);
    return bytes;
  }
  const topic = encoder.encode(command.topic);
  const bytes = new Uint8Array(fixedBytes + topic.length + command.batch.length);
  const view = viewOf(bytes);
  putUint53(view, 1, command.timeMs);
  putUint53(view, 9, command.incarnation);
  view.setUint32(17, command.partition);
  view.setUint16(21, topic.length);
  bytes.set(topic, fixedBytes);
  bytes.set(command.batch, fixedBytes + topic.length);
  return bytes;
}

/** The command in an entry. The batch is a view of the entry's bytes. */
export function decodeClusterCommand(bytes: Uint8Array): ClusterCommand {
  if (bytes[0] === 1) return JSON.parse(decoder.decode(bytes.subarray(1))) as ClusterCommand;
  const view = viewOf(bytes);
  const batchAt = fixedBytes + view.getUint16(21);
  return {
    kind: "append",
    timeMs: getUint53(view, 1),
    incarnation: getUint53(view, 9),
    partition: view.getUint32(17),
    topic: decoder.decode(bytes.subarray(fixedBytes, batchAt)),
    batch: bytes.subarray(batchAt),
  };
}
