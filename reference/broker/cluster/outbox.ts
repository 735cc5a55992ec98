/** What waits to be sent to the other nodes: gathered for the length of a turn, so that one frame holds it. */
import type { Message } from "../../raft/messages.ts";
import type { GroupMessage } from "./frame-codec.ts";
import { encodeGroupFrame, messageOverheadBytes } from "./frame-codec.ts";
import type { GroupId } from "./group-id.ts";
import { encodeMessage } from "./raft-codec.ts";

/** A frame is sent when it has so much; one message may be larger. */
const frameBytesMax = 1024 * 1024;

/** Messages by node. */
export class Outbox {
  readonly #send: (node: string, frame: Uint8Array) => void;
  readonly #waiting = new Map<string, GroupMessage[]>();
  #isPlanned = false;

  constructor(send: (node: string, frame: Uint8Array) => void) {
    this.#send = send;
  }

  put(group: GroupId, message: Message): void {
    const list = this.#waiting.get(message.to);
    const bytes = encodeMessage(message);
    if (list === undefined) this.#waiting.set(message.to, [{ group, bytes }]);
    else list.push({ group, bytes });
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    void Promise.resolve().then(() => this.flush());
  }

  /** Sends what waits. */
  flush(): void {
    this.#isPlanned = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [node, messages] of waiting) {
      let frame: GroupMessage[] = [];
      let size = 0;
      for (const message of messages) {
        const bytes = message.bytes.length + messageOverheadBytes;
        if (frame.length > 0 && size + bytes > frameBytesMax) {
          this.#send(node, encodeGroupFrame(frame));
          frame = [];
          size = 0;
        }
        frame.push(message);
        size += bytes;
      }
      this.#send(node, encodeGroupFrame(frame));
    }
  }
}
