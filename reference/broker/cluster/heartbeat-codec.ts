/**
 * Heartbeats of many groups in one frame, in few bytes.
 *
 * A node with a thousand partitions says "I am here" for hundreds of them at the same moment, and hears as many
 * answers. Each stays what it is, an empty AppendEntries of one group or the answer to one, and is judged by that
 * group's rules; so nothing of what Raft promises depends on who shares a frame. Only the bytes are gathered: numbers
 * one after the other, of as many bytes as each needs, without a length and without a buffer or an object for each.
 *
 * ```
 * | 255 | record | record | …
 * heartbeat  | 0 | group 2 | term | round | sentAtMs | previousIndex | previousTerm | commitIndex |
 * answer     | 1 | group 2 | term | round | sentAtMs | matchIndex |
 * ```
 *
 * A group is incarnation and partition; all numbers are uvarints. A frame of other messages (frame-codec.ts) begins
 * with a number below 2^54 in eight bytes, so never with 255.
 */
import { assert } from "#reference/base/assert.ts";
import { ByteReader, ByteWriter, uvarintBytesMax } from "../../protocol/primitives.ts";
import type { Heartbeat, HeartbeatAnswer } from "../../raft/heartbeat.ts";
import type { Message } from "../../raft/messages.ts";
import type { GroupId } from "./group-id.ts";
import { placeMax } from "./raft-codec.ts";

const mark = 255;
const request = 0;
const answer = 1;
/** The most that one record takes. */
export const heartbeatBytesMax = 1 + 8 * uvarintBytesMax;

/** Gathers heartbeats for one node. */
export class HeartbeatFrame {
  #to = begun();

  get length(): number {
    return this.#to.length;
  }

  get isEmpty(): boolean {
    return this.#to.length === 1;
  }

  /** Adds a message if it is a heartbeat or the answer to one; returns whether it did. */
  maybePut(group: GroupId, message: Message): boolean {
    if (message.kind === "append-request" && message.entries.length === 0) {
      this.#putHead(request, group, message);
      this.#to.uvarint(message.previousIndex);
      this.#to.uvarint(message.previousTerm);
      this.#to.uvarint(message.commitIndex);
      return true;
    }
    if (message.kind === "append-reply" && message.outcome.kind === "matched") {
      this.#putHead(answer, group, message);
      this.#to.uvarint(message.outcome.matchIndex);
      return true;
    }
    return false;
  }

  /** Adds the answer to a heartbeat whose group's log is the leader's up to where that begins. */
  putAnswer(heartbeat: HeartbeatReader): void {
    this.#putHead(answer, heartbeat, heartbeat);
    this.#to.uvarint(heartbeat.previousIndex);
  }

  /** The frame; the next one begins. */
  take(): Uint8Array {
    assert(this.#to.failure === undefined, () => `a heartbeat: ${JSON.stringify(this.#to.failure)}`);
    const bytes = this.#to.finish();
    this.#to = begun();
    return bytes;
  }

  #putHead(
    kind: number,
    { incarnation, partition }: GroupId,
    { term, round, sentAtMs }: { readonly term: number; readonly round: number; readonly sentAtMs: number },
  ): void {
    this.#to.uint8(kind);
    this.#to.uvarint(incarnation);
    this.#to.uvarint(partition);
    this.#to.uvarint(term);
    this.#to.uvarint(round);
    this.#to.uvarint(sentAtMs);
  }
}

/** Whether a frame holds heartbeats, if it is sound. */
export function holdsHeartbeats(frame: Uint8Array): boolean {
  return frame[0] === mark;
}

/** Steps through the heartbeats of a frame. Its fields are those of the record that it stands at. */
export class HeartbeatReader implements GroupId, Heartbeat, HeartbeatAnswer {
  isAnswer = false;
  incarnation = 0;
  partition = 0;
  term = 0;
  round = 0;
  sentAtMs = 0;
  /** Of a heartbeat. */
  previousIndex = 0;
  previousTerm = 0;
  commitIndex = 0;
  /** Of an answer. */
  matchIndex = 0;
  readonly #input: ByteReader;

  constructor(frame: Uint8Array) {
    this.#input = new ByteReader(frame, 1);
  }

  /** Goes to the next record; false behind the last, and at the first that cannot be one. */
  next(): boolean {
    const input = this.#input;
    if (input.remaining === 0) return false;
    const kind = input.uint8();
    this.isAnswer = kind === answer;
    this.incarnation = input.uvarint();
    this.partition = input.uvarint();
    this.term = input.uvarint();
    this.round = input.uvarint();
    this.sentAtMs = input.uvarint();
    if (kind === answer) {
      this.matchIndex = input.uvarint();
      return input.failure === undefined && this.#isBelievable(this.matchIndex);
    }
    this.previousIndex = input.uvarint();
    this.previousTerm = input.uvarint();
    this.commitIndex = input.uvarint();
    const isPlace =
      (this.previousIndex === 0) === (this.previousTerm === 0) && this.previousTerm <= this.term;
    const isSound = isPlace && this.#isBelievable(this.previousIndex);
    return kind === request && input.failure === undefined && isSound;
  }

  /** Whether what is said in answer, one higher at most, can be written down. */
  #isBelievable(index: number): boolean {
    return Math.max(this.term, index, this.round, this.sentAtMs) <= placeMax;
  }

  /** The record as the message that it is. */
  message(from: string, to: string): Message {
    const { term, round, sentAtMs, matchIndex, previousIndex, previousTerm, commitIndex } = this;
    const head = { from, to, term, round, sentAtMs };
    if (this.isAnswer) return { kind: "append-reply", ...head, outcome: { kind: "matched", matchIndex } };
    return { kind: "append-request", ...head, previousIndex, previousTerm, commitIndex, entries: [] };
  }
}

function begun(): ByteWriter {
  const to = new ByteWriter(undefined, 1024);
  to.uint8(mark);
  return to;
}
