/**
 * Field trees: bytes with the names of the fields that they should be, however broken they are.
 *
 * A decoder that has found an error is of no use for explaining it. This reader never fails: it takes what the layout
 * says, clips what is not there, and says so.
 */
import { viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";

/** One field of a layout. */
export interface FieldLayout {
  readonly name: string;
  /** Bytes of the field; what came before may decide. */
  readonly size: number | ((bytes: Uint8Array, start: number) => number);
  /** The value as text, from exactly the field's bytes; `whole` and `start` are for fields that depend on others. */
  readonly show: (field: Uint8Array, whole: Uint8Array, start: number) => string;
}

/** A field as it was found. */
export interface Field {
  readonly name: string;
  readonly start: number;
  /** Where the bytes that are there end; below `start + size` when some are missing. */
  readonly end: number;
  readonly size: number;
  readonly value: string;
}

/** Reads `bytes` by `layout`, and lists what is left over as a field of its own. */
export function readFields(bytes: Uint8Array, layout: readonly FieldLayout[]): Field[] {
  const fields: Field[] = [];
  let start = 0;
  for (const { name, size, show } of layout) {
    const wanted = Math.max(0, typeof size === "number" ? size : size(bytes, start));
    const end = Math.min(start + wanted, bytes.length);
    const missing = wanted - (end - start);
    const value =
      missing > 0 ? `${end - start} of ${wanted} bytes` : show(bytes.subarray(start, end), bytes, start);
    fields.push({ name, start, end, size: wanted, value });
    start = end;
  }
  if (start < bytes.length) {
    const rest = bytes.subarray(start);
    fields.push({ name: "left over", start, end: bytes.length, size: rest.length, value: showBytes(rest) });
  }
  return fields;
}

/** The tree as lines: position, name, value; the field that covers byte `markedAt` gets an arrow. */
export function formatFields(fields: readonly Field[], markedAt?: number): string {
  const nameWidth = Math.max(0, ...fields.map(({ name }) => name.length));
  const marked = markedAt === undefined ? undefined : fieldAt(fields, markedAt);
  const last = fields.at(-1);
  const numberWidth = String(last?.end ?? 0).length;
  return fields
    .map((field) => {
      const range = `${String(field.start).padStart(numberWidth)}..${String(field.end).padEnd(numberWidth)}`;
      return `${field === marked ? ">" : " "} ${range}  ${field.name.padEnd(nameWidth)}  ${field.value}`;
    })
    .join("\n");
}

/** The field that covers a byte, or the one that should have: the first whose promised bytes reach that far. */
export function fieldAt(fields: readonly Field[], at: number): Field | undefined {
  return (
    fields.find(({ start, size }) => at >= start && at < start + size) ??
    (fields.length > 0 && at >= (fields.at(-1)?.end ?? 0) ? fields.at(-1) : undefined)
  );
}

/** A field of an unsigned integer of 1, 2, 4 or 8 bytes. */
export function uintField(name: string, size: 1 | 2 | 4 | 8): FieldLayout {
  return { name, size, show: (field) => showUint(field) };
}

/** A text or byte string field: its length, then that many bytes. */
export function lengthPrefixedField(name: string): FieldLayout {
  return {
    name,
    size: (bytes, start) => 4 + Math.max(0, bytes.length - start < 4 ? 0 : viewOf(bytes).getInt32(start)),
    show: (field) => {
      const length = viewOf(field).getInt32(0);
      return length === -1 ? "length -1: null" : `length ${length}: ${showBytes(field.subarray(4))}`;
    },
  };
}

/** The layout of a request or a response frame; a response's error code is there when its status is not 0. */
export function frameLayout(kind: "request" | "response"): readonly FieldLayout[] {
  const head: FieldLayout[] = [uintField("length", 4), uintField("requestId", 8)];
  const middle: FieldLayout[] =
    kind === "request"
      ? [uintField("type", 1), uintField("version", 1), uintField("flags", 2)]
      : [
          uintField("status", 1),
          {
            name: "errorCode",
            size: (bytes, start) => (bytes[start - 1] === 0 || start > bytes.length - 1 ? 0 : 2),
            show: (field) => (field.length === 0 ? "absent: status 0" : showUint(field)),
          },
        ];
  return [
    ...head,
    ...middle,
    {
      name: "payload",
      size: (bytes, start) => (bytes.length < 4 ? 0 : 4 + viewOf(bytes).getUint32(0) - 4 - start),
      show: showBytes,
    },
    { name: "crc32", size: 4, show: showChecksum },
  ];
}

function showChecksum(field: Uint8Array, whole: Uint8Array, start: number): string {
  const stored = viewOf(field).getUint32(0);
  const computed = crc32(whole, 0, start);
  return stored === computed
    ? `${showUint(field)} (matches)`
    : `${showUint(field)} (bytes before it give ${hex32(computed)})`;
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function showUint(field: Uint8Array): string {
  let value = 0n;
  for (const byte of field) value = (value << 8n) | BigInt(byte);
  return `0x${value.toString(16).padStart(field.length * 2, "0")} = ${value}`;
}

/** Bytes in short: how many, the first few as hexadecimal, and as text when they are. */
export function showBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return "0 bytes";
  const shown = bytes.subarray(0, 12);
  const digits = Array.from(shown, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const isText = shown.every((byte) => byte >= 0x20 && byte < 0x7f);
  const text = isText ? ` ${JSON.stringify(String.fromCharCode(...shown))}` : "";
  const rest = bytes.length > shown.length ? " …" : "";
  return `${bytes.length} byte${bytes.length === 1 ? "" : "s"}: ${digits}${rest}${text}`;
}
