/**
 * What one node sends another in one frame: messages of many groups of Raft.
 *
 * Each group has its own heartbeats. A frame for each would cost more than the rest of the work, so all messages
 * that a node has for another one at the same moment share a frame, each behind the name of its group.
 *
 * ```
 * | incarnation 8 | partition 4 | length | message | incarnation | …
 * ```
 */
import { ByteReader, ByteWriter } from "../../protocol/primitives.ts";
import type { GroupId } from "./group-id.ts";
import { finish, putNumber, readNumber } from "./raft-codec.ts";

/** A message of a group, as bytes. */
export interface GroupMessage {
  readonly group: GroupId;
  readonly bytes: Uint8Array;
}

/** Bytes of a message in a frame beside its own. */
export const messageOverheadBytes = 20;

/** Messages as one frame. */
export function encodeGroupFrame(messages: readonly GroupMessage[]): Uint8Array {
  const to = new ByteWriter();
  for (const { group, bytes } of messages) {
    putNumber(to, group.incarnation);
    to.uint32(group.partition);
    to.bytes(bytes);
  }
  return finish(to);
}

/** The messages again; undefined when the bytes are no such frame. They are copies. */
export function decodeGroupFrame(bytes: Uint8Array): readonly GroupMessage[] | undefined {
  const input = new ByteReader(bytes);
  const messages: GroupMessage[] = [];
  while (input.remaining > 0 && input.failure === undefined) {
    const group = { incarnation: readNumber(input), partition: input.uint32() };
    messages.push({ group, bytes: input.bytes() ?? new Uint8Array(0) });
  }
  return input.failure === undefined ? messages : undefined;
}
