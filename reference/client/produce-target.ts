/**
 * The busy way of a Produce request: its bytes are laid out once for each partition and only patched afterwards.
 *
 * A broker is judged by this path, so it builds no object for the message, makes no bigint, and reads the reply where
 * it lies. A test holds its bytes against the layout in protocol/messages.ts.
 */
import { viewOf } from "#reference/base/bytes.ts";
import { messages } from "../protocol/messages.ts";
import { payloadOf, withTrace } from "./calls.ts";
import type { ReadReply, RequestOptions } from "./request.ts";
import type { Session } from "./session.ts";

/** Where the records of a request went. */
export interface ProducedBatch {
  /** The offset of the first record; the others follow without gaps. */
  readonly baseOffset: number;
  /** The two halves of the first record's id. */
  readonly idMs: number;
  readonly idSequence: number;
}

/** The last field before the batch: its length. */
const batchLengthBytes = 4;
const replyBytes = 8 + 8 + 4;
const noBatch = new Uint8Array(0);
/** What a caller says that says nothing: the same object each time, so that it is known again. */
export const noOptions: RequestOptions = {};

/** One partition, as the goal of Produce requests. */
export class ProduceTarget {
  readonly topic: string;
  readonly partition: number;
  /** The payload up to the batch. Only its end changes: the length of the batch. */
  readonly #head: Uint8Array;
  readonly #view: DataView;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
    this.#head = payloadOf("Produce", { topic, partition, batch: noBatch });
    this.#view = viewOf(this.#head);
  }

  /** Sends one record batch, whose CRC-32 may be known. `batch` is copied before this returns. */
  send(
    session: Session,
    batch: Uint8Array,
    options: RequestOptions,
    batchCrc?: number,
  ): Promise<ProducedBatch> {
    this.#view.setUint32(this.#head.length - batchLengthBytes, batch.length);
    const whole =
      options === noOptions ? { tail: batch, tailCrc: batchCrc } : withTail(options, batch, batchCrc);
    if (options.traceparent !== undefined) {
      const traced = withTrace(options.traceparent, this.#head, whole);
      return session.request(messages.Produce.type, traced.payload, readProduced, traced.options);
    }
    return session.request(messages.Produce.type, this.#head, readProduced, whole);
  }
}

/** Copying what a caller said costs as much as a checksum, and nearly always nothing was said. */
function withTail(options: RequestOptions, tail: Uint8Array, tailCrc: number | undefined): RequestOptions {
  return { ...options, tail, tailCrc };
}

const readProduced: ReadReply<ProducedBatch> = (_bytes, view, start, end) => {
  if (end - start !== replyBytes) return undefined;
  return {
    baseOffset: view.getUint32(start) * 2 ** 32 + view.getUint32(start + 4),
    idMs: view.getUint32(start + 8) * 2 ** 32 + view.getUint32(start + 12),
    idSequence: view.getUint32(start + 16),
  };
};
