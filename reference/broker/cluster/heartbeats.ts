/**
 * A frame of heartbeats, at the node that gets it: each goes to its group, most without becoming a message.
 *
 * Only what is no news to its group is dealt with here; whatever is, or might be, takes the way of all messages.
 */
import type { NodeId } from "../../raft/entry.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../raft/heartbeat.ts";
import type { Message } from "../../raft/messages.ts";
import type { GroupId } from "./group-id.ts";
import { HeartbeatReader } from "./heartbeat-codec.ts";

/** A group, as far as heartbeats go. */
interface Listener {
  maybeFollow(from: NodeId, heartbeat: Heartbeat): boolean;
  maybeNoteHeard(from: NodeId, answer: HeartbeatAnswer): boolean;
  receive(message: Message): void;
}

/** The node that the frame has come to. */
export interface Hearing {
  readonly node: NodeId;
  readonly groupOf: (id: GroupId) => Listener | undefined;
  readonly answer: (to: NodeId, heartbeat: HeartbeatReader) => void;
}

/** Takes a frame of heartbeats in. A group that is not here hears nothing; Raft says again what matters. */
export function hearHeartbeats(frame: Uint8Array, from: NodeId, { node, groupOf, answer }: Hearing): void {
  const record = new HeartbeatReader(frame);
  // One answer of each frame takes the long way, on which it is measured how long it took.
  let isMeasured = false;
  while (record.next()) {
    const group = groupOf(record);
    if (group === undefined) continue;
    if (record.isAnswer) {
      if (isMeasured && group.maybeNoteHeard(from, record)) continue;
      isMeasured = true;
    } else if (group.maybeFollow(from, record)) {
      answer(from, record);
      continue;
    }
    group.receive(record.message(from, node));
  }
}
