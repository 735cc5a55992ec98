/** What waits to be sent to the other nodes: gathered for the length of a turn, so that one frame holds it. */
import type { Message } from "../../raft/messages.ts";
import { putGroupMessage } from "./frame-codec.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";
import type { HeartbeatReader } from "./heartbeat-codec.ts";
import { HeartbeatFrame, heartbeatBytesMax } from "./heartbeat-codec.ts";

/** A frame is sent when it has so much; one message may be larger. */
const frameBytesMax = 1024 * 1024;

/**
 * The most nodes for whose heartbeats room is kept while there is nothing to say to them: more than a cluster has, so
 * that those go that have left.
 */
const roomsMax = 64;

interface Waiting {
  readonly group: GroupId;
  readonly message: Message;
}

/** Messages by node. */
export class Outbox {
  readonly #send: (node: string, frame: Uint8Array) => void;
  #waiting = new Map<string, Waiting[]>();
  readonly #heartbeats = new Map<string, HeartbeatFrame>();
  readonly #frame = new FrameWriter();
  #isPlanned = false;

  /** The bytes that `send` gets are good until it returns. */
  constructor(send: (node: string, frame: Uint8Array) => void) {
    this.#send = send;
  }

  put(group: GroupId, message: Message): void {
    this.#plan();
    if (this.#heartbeatsTo(message.to).maybePut(group, message)) return;
    const list = this.#waiting.get(message.to);
    if (list === undefined) this.#waiting.set(message.to, [{ group, message }]);
    else list.push({ group, message });
  }

  /** Answers a heartbeat whose group has nothing to add. */
  answer(node: string, heartbeat: HeartbeatReader): void {
    this.#plan();
    this.#heartbeatsTo(node).putAnswer(heartbeat);
  }

  /** Sends what waits. */
  flush(): void {
    this.#isPlanned = false;
    for (const [node, heartbeats] of this.#heartbeats) {
      if (!heartbeats.isEmpty) this.#send(node, heartbeats.take());
      else if (this.#heartbeats.size > roomsMax) this.#heartbeats.delete(node);
    }
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const [node, messages] of waiting) this.#sendTo(node, messages);
  }

  #sendTo(node: string, messages: readonly Waiting[]): void {
    const frame = this.#frame;
    frame.clear();
    for (const { group, message } of messages) {
      const start = frame.length;
      putGroupMessage(frame, group, message);
      if (start === 0 || frame.length <= frameBytesMax) continue;
      this.#send(node, frame.written(start));
      frame.dropUntil(start);
    }
    this.#send(node, frame.written());
  }

  /** The frame of heartbeats that a node gets next, with room for one more. */
  #heartbeatsTo(node: string): HeartbeatFrame {
    let heartbeats = this.#heartbeats.get(node);
    if (heartbeats === undefined) this.#heartbeats.set(node, (heartbeats = new HeartbeatFrame()));
    if (heartbeats.length > frameBytesMax - heartbeatBytesMax) this.#send(node, heartbeats.take());
    return heartbeats;
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    void Promise.resolve().then(() => this.flush());
  }
}
