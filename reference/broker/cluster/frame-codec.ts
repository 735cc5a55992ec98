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
import type { Message } from "../../raft/messages.ts";
import { ByteReader, ByteWriter } from "../../protocol/primitives.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";
import type { ByteSink } from "./raft-codec.ts";
import { finish, putMessage, putNumber, readNumber } from "./raft-codec.ts";

/** A message of a group, as bytes. */
export interface GroupMessage {
  readonly group: GroupId;
  readonly bytes: Uint8Array;
}

/** Writes one more message into a frame. */
export function putGroupMessage(to: FrameWriter, group: GroupId, message: Message): void {
  putGroup(to, group);
  to.measured(() => putMessage(to, message));
}

/** Messages that are bytes already as a frame of its own. */
export function encodeGroupFrame(messages: readonly GroupMessage[]): Uint8Array {
  const to = new ByteWriter();
  for (const { group, bytes } of messages) {
    putGroup(to, group);
    to.bytes(bytes);
  }
  return finish(to);
}

/** The messages again, as windows of the bytes; undefined when these are no such frame. */
export function decodeGroupFrame(bytes: Uint8Array): readonly GroupMessage[] | undefined {
  const input = new ByteReader(bytes);
  const messages: GroupMessage[] = [];
  while (input.remaining > 0 && input.failure === undefined) {
    const group = { incarnation: readNumber(input), partition: input.uint32() };
    const message = input.bytesView();
    if (message === null) return undefined;
    messages.push({ group, bytes: message });
  }
  return input.failure === undefined ? messages : undefined;
}

function putGroup(to: ByteSink, group: GroupId): void {
  putNumber(to, group.incarnation);
  to.uint32(group.partition);
}
