/**
 * Messages as annotated bytes: one line for each field, its bytes in hex, then its name and value behind a `#`.
 *
 * Bytes alone teach little and prose alone leaves doubts; side by side they settle both. `fromHex` of
 * base/bytes.ts reads the text back, so what SPEC.md shows is also what tests send.
 */
import { assert } from "#reference/base/assert.ts";
import { toHex } from "#reference/base/bytes.ts";
import { leaderAcksFlag } from "./acks.ts";
import { protocolErrors } from "./errors.ts";
import { checksumBytes, encodeRequest, encodeResponse, responseHeaderBytes } from "./frame.ts";
import type { FrameFault, RequestFrame, ResponseFrame } from "./frame.ts";
import type { FieldSpan, Kind } from "./messages-layout.ts";
import { describeLayout } from "./messages-layout.ts";
import { encodeReplyPayload, encodeRequestPayload } from "./messages-codec.ts";
import { messages } from "./messages.ts";
import type { MessageName } from "./messages.ts";
import { messageSamples } from "./messages-samples.ts";
import { ByteReader } from "./primitives.ts";
import { isTraced, parseTraceparent, traceContextBytes, tracedFlag, tracedPayload } from "./trace-context.ts";

/** Bytes on one line: more would push the names out of sight. */
const bytesPerLine = 8;

/** The request id in all examples. */
export const sampleRequestId = 42n;

/** The field tree of a request frame, header and checksum included. The frame must be intact. */
export function describeRequestFrame(frame: Uint8Array, payload: Kind<unknown>): FieldSpan[] {
  const header = ["length", "requestId", "type", "version", "flags"];
  return describeFrame(frame, header, [4, 8, 1, 1, 2], payload, isTraced(frame, 0));
}

/** The field tree of a response frame. With a status other than 0 an error code stands before the payload. */
export function describeResponseFrame(frame: Uint8Array, payload: Kind<unknown>): FieldSpan[] {
  if (frame[responseHeaderBytes - 1] === 0) {
    return describeFrame(frame, ["length", "requestId", "status"], [4, 8, 1], payload);
  }
  return describeFrame(frame, ["length", "requestId", "status", "errorCode"], [4, 8, 1, 2], payload);
}

function describeFrame(
  frame: Uint8Array,
  names: readonly string[],
  sizes: readonly number[],
  payload: Kind<unknown>,
  hasTrace = false,
): FieldSpan[] {
  const spans: FieldSpan[] = [];
  let at = 0;
  for (const [index, name] of names.entries()) {
    const end = at + (sizes[index] ?? 0);
    const note = name === "flags" ? flagNames(frame[end - 1] ?? 0) : "";
    const text = unsigned(frame, at, end) + note;
    spans.push({ name, kind: `uint${(end - at) * 8}`, start: at, end, text });
    at = end;
  }
  const payloadEnd = frame.length - checksumBytes;
  if (hasTrace && payloadEnd - at >= traceContextBytes) {
    spans.push(...describeTrace(frame, at));
    at += traceContextBytes;
  }
  spans.push(...describeLayout(payload, new ByteReader(frame, at, payloadEnd)));
  spans.push({
    name: "crc32",
    kind: "uint32",
    start: payloadEnd,
    end: frame.length,
    text: `0x${toHex(frame.subarray(payloadEnd))}`,
  });
  return spans;
}

/** What a request's flags say, behind their number; empty when none is set that has a name. */
function flagNames(flags: number): string {
  const names = [
    ...((flags & tracedFlag) === 0 ? [] : ["traced"]),
    ...((flags & leaderAcksFlag) === 0 ? [] : ["acks=leader"]),
  ];
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function describeTrace(frame: Uint8Array, start: number): FieldSpan[] {
  const span = (name: string, kind: string, from: number, to: number): FieldSpan => {
    const bytes = frame.subarray(start + from, start + to);
    return { name, kind, start: start + from, end: start + to, text: toHex(bytes) };
  };
  return [
    span("traceId", "16 bytes", 0, 16),
    span("spanId", "8 bytes", 16, 24),
    span("traceFlags", "uint8", 24, traceContextBytes),
  ];
}

function unsigned(bytes: Uint8Array, start: number, end: number): string {
  let value = 0n;
  for (let at = start; at < end; at++) value = value * 256n + BigInt(bytes[at] ?? 0);
  return String(value);
}

/** The lines for some fields, nested ones indented behind the `#`. */
export function annotate(bytes: Uint8Array, spans: readonly FieldSpan[], depth = 0): string[] {
  const lines: string[] = [];
  for (const span of spans) {
    const indent = "  ".repeat(depth);
    if (span.parts !== undefined) {
      lines.push(`${" ".repeat(bytesPerLine * 3)}# ${indent}${span.name}: ${span.kind}`);
      lines.push(...annotate(bytes, span.parts, depth + 1));
      continue;
    }
    const note = `# ${indent}${span.name}: ${span.kind} = ${span.text ?? ""}`;
    for (let at = span.start; at < span.end || at === span.start; at += bytesPerLine) {
      const part = bytes.subarray(at, Math.min(at + bytesPerLine, span.end));
      const hex = [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
      lines.push(`${hex.padEnd(bytesPerLine * 3)}${at === span.start ? note : "#"}`);
    }
  }
  return lines.map((line) => line.trimEnd());
}

/** The sample request of a type, as a frame. */
export function sampleRequestFrame(name: MessageName): Uint8Array {
  const { request } = messageSamples[name];
  const payload = encodeRequestPayload(name, request);
  return bytesOf(
    encodeRequest({
      requestId: sampleRequestId,
      type: messages[name].type,
      version: 1,
      flags: 0,
      payload,
    } satisfies RequestFrame),
  );
}

/** The trace in the example: the one of the W3C recommendation. */
export const sampleTraceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** A traced request: Ping, with the trace context in front of its payload. */
export function sampleTracedFrame(): Uint8Array {
  const trace = parseTraceparent(sampleTraceparent);
  assert(trace !== undefined, "the sample is a traceparent");
  const payload = tracedPayload(trace, encodeRequestPayload("Ping", messageSamples.Ping.request));
  const { type } = messages.Ping;
  return bytesOf(encodeRequest({ requestId: sampleRequestId, type, version: 1, flags: tracedFlag, payload }));
}

/** The traced request of SPEC.md. */
export function renderTraced(): string {
  return renderRequest("Ping", sampleTracedFrame());
}

/** A Produce request that is answered by the leader alone. */
export function sampleAcksFrame(): Uint8Array {
  const payload = encodeRequestPayload("Produce", messageSamples.Produce.request);
  const { type } = messages.Produce;
  const frame = { requestId: sampleRequestId, type, version: 1, flags: leaderAcksFlag, payload };
  return bytesOf(encodeRequest(frame));
}

/** The same for SPEC.md. */
export function renderAcks(): string {
  return renderRequest("Produce", sampleAcksFrame());
}

function renderRequest(name: MessageName, frame: Uint8Array): string {
  return ["```", ...annotate(frame, describeRequestFrame(frame, messages[name].request)), "```", ""].join(
    "\n",
  );
}

/** The sample reply of a type, as a frame. CommitOffset's is the example of a partial success. */
export function sampleReplyFrame(name: MessageName): Uint8Array {
  const payload = encodeReplyPayload(name, messageSamples[name].reply);
  const isPartial = name === "CommitOffset";
  const errorCode = isPartial ? protocolErrors["partition-not-found"].code : 0;
  const frame: ResponseFrame = { requestId: sampleRequestId, status: isPartial ? 2 : 0, errorCode, payload };
  return bytesOf(encodeResponse(frame));
}

function bytesOf(encoded: Uint8Array | FrameFault): Uint8Array {
  return encoded instanceof Uint8Array ? encoded : new Uint8Array(0);
}

/** The chapter of SPEC.md on one request type. */
export function renderMessage(name: MessageName): string {
  const { type, help, request, reply } = messages[name];
  const requestFrame = sampleRequestFrame(name);
  const replyFrame = sampleReplyFrame(name);
  const lines = [`### ${name} (type ${type})`, "", help, ""];
  lines.push(
    "Request:",
    "",
    "```",
    ...annotate(requestFrame, describeRequestFrame(requestFrame, request)),
    "```",
    "",
  );
  if (name === "Credit") return lines.join("\n");
  lines.push(
    "Reply:",
    "",
    "```",
    ...annotate(replyFrame, describeResponseFrame(replyFrame, reply)),
    "```",
    "",
  );
  return lines.join("\n");
}

/** From this code on, an error happened on the client's side and never travels. */
const localCodes = 1000;

/** The error table of SPEC.md. */
export function renderErrors(): string {
  const travelling = Object.entries(protocolErrors).filter(([, { code }]) => code < localCodes);
  const rows = travelling.map(
    ([name, { code, isRetriable, help }]) =>
      `| ${code} | ${name} | ${isRetriable ? "yes" : "no"} | ${help} |`,
  );
  return ["| code | name | retriable | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}

/** The golden file: every sample frame, for clients in other languages. */
export function renderGolden(): string {
  const names = Object.keys(messages) as MessageName[];
  const parts = names.flatMap((name) => {
    const requestFrame = sampleRequestFrame(name);
    const replyFrame = sampleReplyFrame(name);
    return [
      `# ${name} request`,
      ...annotate(requestFrame, describeRequestFrame(requestFrame, messages[name].request)),
      `# ${name} reply`,
      ...annotate(replyFrame, describeResponseFrame(replyFrame, messages[name].reply)),
      "",
    ];
  });
  const traced = sampleTracedFrame();
  parts.push(
    "# Ping request with a trace context",
    ...annotate(traced, describeRequestFrame(traced, messages.Ping.request)),
    "",
  );
  const byLeader = sampleAcksFrame();
  parts.push(
    "# Produce request with acks=leader",
    ...annotate(byLeader, describeRequestFrame(byLeader, messages.Produce.request)),
    "",
  );
  return parts.join("\n");
}
