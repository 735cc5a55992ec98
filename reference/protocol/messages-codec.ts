/**
 * Messages to bytes and back, by name: the layer that clients, tools and the broker's less busy requests use.
 */
import { assert } from "#reference/base/assert.ts";
import type { FrameFault, ResponseFrame } from "./frame.ts";
import { decodePayload } from "./frame.ts";
import { errorReply, messages } from "./messages.ts";
import type { MessageName, ReplyOf, RequestOf } from "./messages.ts";
import type { Kind } from "./messages-layout.ts";
import { ByteWriter } from "./primitives.ts";

/** The outcome of decoding a payload: left-over bytes and missing ones are faults alike. */
export type DecodedPayload<Value> =
  { readonly kind: "value"; readonly value: Value } | { readonly kind: "fault"; readonly fault: FrameFault };

/** What an error reply says. */
export interface ErrorReply {
  readonly code: number;
  readonly message: string;
  readonly retryAfterMs: number;
}

/** A request's payload. What its fields cannot hold (a negative offset) is a bug of the caller. */
export function encodeRequestPayload<Name extends MessageName>(
  name: Name,
  value: RequestOf<Name>,
): Uint8Array<ArrayBuffer> {
  return encodePayload(messages[name].request, value);
}

export function decodeRequestPayload<Name extends MessageName>(
  name: Name,
  payload: Uint8Array,
): DecodedPayload<RequestOf<Name>> {
  const { request } = messages[name];
  return decodePayload(payload, (reader) => request.read(reader) as unknown as RequestOf<Name>);
}

export function encodeReplyPayload<Name extends MessageName>(
  name: Name,
  value: ReplyOf<Name>,
): Uint8Array<ArrayBuffer> {
  return encodePayload(messages[name].reply, value);
}

export function decodeReplyPayload<Name extends MessageName>(
  name: Name,
  payload: Uint8Array,
): DecodedPayload<ReplyOf<Name>> {
  const { reply } = messages[name];
  return decodePayload(payload, (reader) => reply.read(reader) as unknown as ReplyOf<Name>);
}

export function encodeErrorReply(message: string, retryAfterMs = 0): Uint8Array<ArrayBuffer> {
  return encodePayload(errorReply, { message, retryAfterMs });
}

/** What a response with status 1 says. A payload that cannot be read does not hide the code. */
export function decodeErrorReply(frame: ResponseFrame): ErrorReply {
  const decoded = decodePayload(frame.payload, (reader) => errorReply.read(reader));
  if (decoded.kind === "value") return { code: frame.errorCode, ...decoded.value };
  return { code: frame.errorCode, message: "", retryAfterMs: 0 };
}

function encodePayload(described: Kind<unknown>, value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  described.write(writer, value);
  const failure = writer.failure;
  assert(failure === undefined, () => `${described.name}: ${JSON.stringify(failure)}`);
  return writer.finish();
}
