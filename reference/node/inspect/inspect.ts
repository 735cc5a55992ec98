/** Frames and batches as trees of fields. */
import { viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { frameFaultOf, frameIncomplete, inspectFrame } from "../../protocol/frame.ts";
import type { FrameKind } from "../../protocol/frame.ts";
import { frameSizeMaxCeiling } from "../../protocol/limits.ts";
import { annotate, describeRequestFrame, describeResponseFrame } from "../../protocol/messages-hex.ts";
import type { FieldSpan, Kind } from "../../protocol/messages-layout.ts";
import { errorReply, messageNameOf, messages } from "../../protocol/messages.ts";
import type { MessageName } from "../../protocol/messages.ts";
import { RecordCursor } from "../../storage/record-cursor.ts";
import { batchHeaderBytes, batchLayout, inspectBatch } from "../../storage/record-batch.ts";

/** What to look for. */
export interface InspectOptions {
  readonly count: number;
  readonly response: boolean;
  readonly to: string | undefined;
}

/** One frame or batch. */
export interface InspectedItem {
  readonly tree: { readonly kind: string; readonly fields: readonly FieldSpan[] };
  readonly lines: readonly string[];
}

/** What was found, up to the first damage. */
export type InspectOutcome =
  | { readonly kind: "items"; readonly items: readonly InspectedItem[]; readonly problem: string | undefined }
  | { readonly kind: "misused"; readonly message: string };

/** Records of a batch that are shown; the rest are counted. */
const recordsShown = 20;

/** Looks at frames or at batches, whichever the bytes are. */
export function inspectBytes(bytes: Uint8Array, options: InspectOptions): InspectOutcome {
  if (bytes.length === 0) return { kind: "misused", message: "there are no bytes to look at" };
  const isBatch = !options.response && looksLikeBatch(bytes);
  return isBatch ? inspectSegment(bytes, options.count) : inspectFrames(bytes, options);
}

/** A batch's header has a checksum of its own, so this is no guess. */
function looksLikeBatch(bytes: Uint8Array): boolean {
  return bytes.length >= batchHeaderBytes && inspectBatch(bytes, 0, bytes.length, crc32).kind !== "no-batch";
}

function inspectFrames(bytes: Uint8Array, { count, response, to }: InspectOptions): InspectOutcome {
  const answered = (Object.keys(messages) as MessageName[]).find((name) => name === to);
  if (response && answered === undefined) {
    return { kind: "misused", message: `--to must be one of ${Object.keys(messages).join(", ")}` };
  }
  const view = viewOf(bytes);
  const kind: FrameKind = response ? "response" : "request";
  const options = { frameSizeMax: frameSizeMaxCeiling, checksum: crc32 };
  const items: InspectedItem[] = [];
  let at = 0;
  while (at < bytes.length && items.length < count) {
    const size = inspectFrame(bytes, view, at, bytes.length, kind, options);
    if (size <= 0) {
      const message =
        size === frameIncomplete ? "ends in the middle of a frame" : faultAt(view, at, -size, kind);
      return { kind: "items", items, problem: `byte ${at}: ${message}` };
    }
    items.push(frameItem(bytes.subarray(at, at + size), answered));
    at += size;
  }
  return { kind: "items", items, problem: undefined };
}

function faultAt(view: DataView, at: number, code: number, kind: FrameKind): string {
  return frameFaultOf(code, view.getUint32(at), kind, { frameSizeMax: frameSizeMaxCeiling }).message;
}

function frameItem(frame: Uint8Array, answered: MessageName | undefined): InspectedItem {
  const name = answered ?? messageNameOf(frame[12] ?? 0);
  const title = answered === undefined ? `request ${name ?? "of an unknown type"}` : `reply to ${answered}`;
  let fields: FieldSpan[];
  if (answered === undefined) {
    fields = describeRequestFrame(frame, name === undefined ? nothing : messages[name].request);
  } else {
    const layout: Kind<unknown> = frame[12] === 1 ? errorReply : messages[answered].reply;
    fields = describeResponseFrame(frame, layout);
  }
  return { tree: { kind: title, fields }, lines: [title, ...annotate(frame, fields), ""] };
}

const nothing: Kind<unknown> = {
  name: "unknown",
  bytesMin: 0,
  read: () => undefined,
  write: () => {},
  fields: {},
};

function inspectSegment(bytes: Uint8Array, count: number): InspectOutcome {
  const items: InspectedItem[] = [];
  let at = 0;
  while (at < bytes.length && items.length < count) {
    const found = inspectBatch(bytes, at, bytes.length, crc32);
    if (found.kind === "no-batch") {
      // A segment is made larger than its records and filled with zeros: that is its end, not damage.
      if (bytes.subarray(at).every((byte) => byte === 0)) break;
      return { kind: "items", items, problem: `byte ${at}: no batch begins here` };
    }
    if (found.kind === "incomplete")
      return { kind: "items", items, problem: `byte ${at}: ends in the middle of a batch` };
    const { baseOffset, nextOffset, endPosition } = found.header;
    if (found.kind === "damaged-body") {
      const message = `offsets ${baseOffset} to ${nextOffset - 1} do not match their checksum`;
      return { kind: "items", items, problem: `byte ${at}: ${message}` };
    }
    items.push(batchItem(bytes.subarray(at, endPosition)));
    at = endPosition;
  }
  return { kind: "items", items, problem: undefined };
}

function batchItem(batch: Uint8Array): InspectedItem {
  const names = Object.entries(batchLayout).filter(([name]) => name !== "records");
  const fields: FieldSpan[] = names.map(([name, start], index) => {
    const end = names[index + 1]?.[1] ?? batchHeaderBytes;
    let value = 0n;
    for (const byte of batch.subarray(start, end)) value = value * 256n + BigInt(byte);
    return { name, kind: `uint${(end - start) * 8}`, start, end, text: String(value) };
  });
  const cursor = new RecordCursor(batch);
  const records: FieldSpan[] = [];
  let more = 0;
  while (cursor.next()) {
    if (records.length === recordsShown) {
      more++;
      continue;
    }
    const { offset, valueStart, valueEnd } = cursor;
    const text = JSON.stringify(
      Buffer.from(batch.subarray(valueStart, valueEnd)).toString("utf8").slice(0, 60),
    );
    records.push({ name: `offset ${offset}`, kind: "value", start: valueStart, end: valueEnd, text });
  }
  if (more > 0)
    records.push({
      name: "…",
      kind: "records",
      start: batch.length,
      end: batch.length,
      text: `${more} more`,
    });
  const all = [
    ...fields,
    { name: "records", kind: "array of record", start: batchHeaderBytes, end: batch.length, parts: records },
  ];
  return {
    tree: { kind: "record batch", fields: all },
    lines: ["record batch", ...annotate(batch, all), ""],
  };
}
