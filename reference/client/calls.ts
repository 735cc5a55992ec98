/**
 * Calls by name: a message's fields in, its reply's fields out. Everything but the busiest two requests goes this way.
 */
import { messages } from "../protocol/messages.ts";
import type { MessageName, ReplyOf, RequestOf } from "../protocol/messages.ts";
import { decodeReplyPayload } from "../protocol/messages-codec.ts";
import type { Kind } from "../protocol/messages-layout.ts";
import { ByteWriter } from "../protocol/primitives.ts";
import { parseTraceparent, tracedFlag, tracedPayload } from "../protocol/trace-context.ts";
import { protocolError } from "./protocol-error.ts";
import type { ReadReply, RequestOptions } from "./request.ts";
import type { Session } from "./session.ts";

/** Sends the request `name` and resolves to its reply. Byte strings in the reply are copies. */
export async function call<Name extends MessageName>(
  session: Session,
  name: Name,
  request: RequestOf<Name>,
  options: RequestOptions = {},
): Promise<ReplyOf<Name>> {
  const payload = payloadOf(name, request);
  const traced = withTrace(options.traceparent, payload, options);
  return session.request(messages[name].type, traced.payload, replyReader(name), traced.options);
}

/** The payload and options of a request with its trace; unchanged without one, or when the text is no `traceparent`. */
export function withTrace(
  traceparent: string | undefined,
  payload: Uint8Array,
  options: RequestOptions,
): { readonly payload: Uint8Array; readonly options: RequestOptions } {
  const trace = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  if (trace === undefined) return { payload, options };
  const flags = (options.flags ?? 0) | tracedFlag;
  return { payload: tracedPayload(trace, payload), options: { ...options, flags } };
}

/** A request's payload; a value that its field cannot hold is the caller's mistake and says so. */
export function payloadOf<Name extends MessageName>(name: Name, request: RequestOf<Name>): Uint8Array {
  const writer = new ByteWriter();
  const described: Kind<unknown> = messages[name].request;
  described.write(writer, request);
  const { failure } = writer;
  if (failure === undefined) return writer.finish();
  const reason = failure.kind === "too-large" ? `more than ${failure.limitBytes} bytes` : failure.reason;
  throw protocolError("invalid-request", `${name}: ${reason}`);
}

/** Reads the reply of one kind of message. What is read is a copy, so that the value may be kept. */
export function replyReader<Name extends MessageName>(name: Name): ReadReply<ReplyOf<Name>> {
  return (bytes, _view, start, end) => {
    const decoded = decodeReplyPayload(name, bytes.subarray(start, end));
    return decoded.kind === "value" ? decoded.value : undefined;
  };
}
