/**
 * The frame inspector without its face: bytes in, a verdict and a field tree out, and back from fields to bytes.
 *
 * Everything is said by the modules that the broker itself uses; this file only asks them.
 */
import { fromHex } from "#reference/base/bytes.ts";
import { errorNameOf } from "#reference/protocol/errors.ts";
import {
  checksumBytes,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  requestHeaderBytes,
  type FrameKind,
} from "#reference/protocol/frame.ts";
import {
  describeRequestFrame,
  sampleReplyFrame,
  sampleRequestFrame,
} from "#reference/protocol/messages-hex.ts";
import type { FieldSpan } from "#reference/protocol/messages-layout.ts";
import { messageNameOf, messages, type MessageName } from "#reference/protocol/messages.ts";
import { formatFields, frameLayout, readFields, type Field } from "#exercises/lib/field-tree.ts";
import { hexDump } from "#exercises/lib/hex-dump.ts";

/** The most bytes that the picture takes: more would not be looked at one by one. */
export const pictureBytesMax = 512;

/** What the bytes turned out to be. */
export interface FrameReading {
  readonly kind: FrameKind;
  readonly bytes: Uint8Array;
  readonly state: "intact" | "incomplete" | "refused";
  /** One sentence, with the name of the error where there is one. */
  readonly verdict: string;
  /** Every field of the frame that is there, whole or not. */
  readonly fields: readonly Field[];
  /** What the payload holds, when the frame is intact and its type is known. */
  readonly payload: readonly FieldSpan[];
}

/** Reads what was pasted: hexadecimal digits, with or without spaces, `#` before comments. */
export function parseHex(text: string): Uint8Array | { readonly problem: string } {
  const digits = text.replaceAll(/#.*$/gm, "").replaceAll(/\s+/g, "");
  const stranger = /[^0-9a-fA-F]/.exec(digits)?.[0];
  if (stranger !== undefined) return { problem: `"${stranger}" is no hexadecimal digit.` };
  const bytes = fromHex(text);
  if (bytes === undefined) return { problem: "The last byte has only one digit." };
  if (bytes.length > pictureBytesMax) {
    return { problem: `${bytes.length} bytes are more than the ${pictureBytesMax} that fit here.` };
  }
  return bytes;
}

/** Asks the decoder for its verdict, and lists the fields whatever it is. */
export function readFrame(bytes: Uint8Array, kind: FrameKind): FrameReading {
  const fields = readFields(bytes, frameLayout(kind));
  const decoded = kind === "request" ? decodeRequest(bytes) : decodeResponse(bytes);
  const base = { kind, bytes, fields, payload: [] };
  switch (decoded.kind) {
    case "incomplete":
      return {
        ...base,
        state: "incomplete",
        verdict: `Incomplete: ${count(decoded.neededBytes, "more byte")} needed. Nothing is wrong so far.`,
      };
    case "fault": {
      const name = errorNameOf(decoded.fault.code) ?? "unknown";
      return { ...base, state: "refused", verdict: `Refused as ${name}: ${decoded.fault.message}.` };
    }
    case "frame": {
      const rest = bytes.length - decoded.size;
      const behind = rest === 0 ? "" : ` ${count(rest, "byte")} behind it belong to the next frame.`;
      const payload = kind === "request" ? payloadOf(bytes.subarray(0, decoded.size)) : [];
      return { ...base, payload, state: "intact", verdict: `An intact ${kind}.${behind}` };
    }
  }
}

/** The payload's own fields, for the request types of the protocol. */
function payloadOf(frame: Uint8Array): FieldSpan[] {
  const name = messageNameOf(frame[12] ?? 0);
  if (name === undefined) return [];
  const spans = describeRequestFrame(frame, messages[name].request);
  return spans.filter(({ start, end }) => start >= requestHeaderBytes && end <= frame.length - checksumBytes);
}

/** The fields of a frame as a form holds them: all of them text. */
export type FrameForm = Readonly<Record<string, string>>;

/** The form for a reading; what the bytes do not have is left as it was. */
export function formOf({ kind, bytes, fields }: FrameReading, before: FrameForm = {}): FrameForm {
  const form: Record<string, string> = { ...before };
  for (const { name, start, end, size } of fields) {
    const isWhole = end - start === size && size > 0;
    if (name === "payload") form[name] = spacedHex(bytes.subarray(start, end));
    else if (isWhole && formFields(kind).includes(name))
      form[name] = String(uint(bytes.subarray(start, end)));
  }
  if (kind === "response" && form["status"] === "0") form["errorCode"] = "0";
  return form;
}

/** The fields that a reader may choose; length and checksum follow from them. */
export function formFields(kind: FrameKind): readonly string[] {
  return kind === "request"
    ? ["requestId", "type", "version", "flags", "payload"]
    : ["requestId", "status", "errorCode", "payload"];
}

const fieldBits: Readonly<Record<string, bigint>> = {
  requestId: 64n,
  type: 8n,
  version: 8n,
  flags: 16n,
  status: 8n,
  errorCode: 16n,
};

/** The bytes for a form, or the first field that does not fit. */
export function encodeForm(
  kind: FrameKind,
  form: FrameForm,
): Uint8Array | { readonly field: string; readonly problem: string } {
  const values: Record<string, bigint> = {};
  for (const field of formFields(kind).filter((name) => name !== "payload")) {
    const text = (form[field] ?? "").trim();
    const max = 2n ** fieldBits[field]! - 1n;
    if (!/^\d+$/.test(text)) return { field, problem: "A whole number, please." };
    values[field] = BigInt(text);
    if (values[field] > max) return { field, problem: `${text} is above ${max}, the most that fits.` };
  }
  const payload = parseHex(form["payload"] ?? "");
  if ("problem" in payload) return { field: "payload", problem: payload.problem };
  const number = (field: string): number => Number(values[field]);
  const requestId = values["requestId"]!;
  if (kind === "request") {
    const frame = {
      requestId,
      type: number("type"),
      version: number("version"),
      flags: number("flags"),
      payload,
    };
    return encoded(encodeRequest(frame));
  }
  const status = number("status");
  if (status !== 0 && status !== 1 && status !== 2) return { field: "status", problem: "0, 1 or 2." };
  if (status !== 0 && number("errorCode") === 0) {
    return { field: "errorCode", problem: "With a status that is not 0 there is an error code." };
  }
  return encoded(
    encodeResponse({ requestId, status, errorCode: status === 0 ? 0 : number("errorCode"), payload }),
  );
}

function encoded(result: ReturnType<typeof encodeRequest>): Uint8Array | { field: string; problem: string } {
  return result instanceof Uint8Array ? result : { field: "payload", problem: result.message };
}

/** Examples to start from: one frame of each request type, or of each reply. */
export function exampleFrame(kind: FrameKind, name: MessageName): Uint8Array {
  return kind === "request" ? sampleRequestFrame(name) : sampleReplyFrame(name);
}

export const exampleNames = Object.keys(messages) as MessageName[];

/** The frame that the picture starts with. */
export function firstFrame(): Uint8Array {
  return sampleRequestFrame("Fetch");
}

/** A copy with one bit the other way round. */
export function flipBit(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
}

/** All that the picture shows, as text. */
export function describeFrame(reading: FrameReading): string {
  const payload = reading.payload.map(
    ({ name, kind, start, end, text }) =>
      `    ${start}..${end}  ${name}: ${kind}${text === undefined ? "" : ` = ${text}`}`,
  );
  const inside = payload.length === 0 ? [] : ["", "In the payload:", ...payload];
  return [reading.verdict, "", formatFields(reading.fields), ...inside, "", hexDump(reading.bytes)].join(
    "\n",
  );
}

/** Which field each byte belongs to, for colours; -1 for none. */
export function fieldNumbers({ bytes, fields }: FrameReading): number[] {
  return Array.from(bytes, (_, at) => fields.findIndex(({ start, end }) => at >= start && at < end));
}

export function spacedHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function uint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
