/**
 * Layouts: a payload described once, as data, and read, written and explained from that description.
 *
 * A hand-written reader and a hand-written writer for the same message drift apart, one field at a time. Here a message
 * is a list of named fields, and everything else follows from it: the TypeScript type, both directions of the codec,
 * the field tree of `oz inspect` and the tables of SPEC.md. The two busiest requests have a faster reader as well
 * (messages-inplace.ts), which a test holds against this one.
 */
import type { ByteReader, ByteWriter } from "./primitives.ts";

/** How one kind of value looks on the wire. */
export interface Kind<Value> {
  /** Its name in documents: `uint32`, `text`, `array of …`. */
  readonly name: string;
  /** The fewest bytes that a value takes, so that an impossible array count is refused before it costs anything. */
  readonly bytesMin: number;
  read(reader: ByteReader): Value;
  write(writer: ByteWriter, value: Value): void;
  /** The fields of a nested layout, for field trees. */
  readonly fields?: Readonly<Record<string, Kind<unknown>>>;
  /** The kind of the items of an array, for field trees. */
  readonly item?: Kind<unknown>;
}

/** The value of a kind. */
export type ValueOf<Described> = Described extends Kind<infer Value> ? Value : never;

/** The fields of a layout, in the order of the wire. */
export type Fields = Readonly<Record<string, Kind<unknown>>>;

/** The object that a layout reads and writes. */
export type LayoutValue<Named extends Fields> = { readonly [Name in keyof Named]: ValueOf<Named[Name]> };

/** A whole payload: fields one after the other, nothing between them. */
export interface Layout<Named extends Fields> extends Kind<LayoutValue<Named>> {
  readonly fields: Named;
}

function kind<Value>(
  name: string,
  bytesMin: number,
  read: (reader: ByteReader) => Value,
  write: (writer: ByteWriter, value: Value) => void,
): Kind<Value> {
  return { name, bytesMin, read, write };
}

export const uint8 = kind<number>(
  "uint8",
  1,
  (reader) => reader.uint8(),
  (writer, value) => writer.uint8(value),
);
export const uint16 = kind<number>(
  "uint16",
  2,
  (reader) => reader.uint16(),
  (writer, value) => writer.uint16(value),
);
export const uint32 = kind<number>(
  "uint32",
  4,
  (reader) => reader.uint32(),
  (writer, value) => writer.uint32(value),
);

/**
 * An offset, a time or a size: 64 bits on the wire, a JavaScript number in code. What a number cannot hold exactly is
 * refused when it is read, so no arithmetic on offsets ever rounds. 2^53 records a second apart last 285 million years.
 */
export const uint53 = kind<number>(
  "uint64",
  8,
  (reader) => {
    const at = reader.position;
    const value = reader.uint64();
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    reader.reject(at, `${value} exceeds ${Number.MAX_SAFE_INTEGER}`);
    return 0;
  },
  (writer, value) => writer.uint64(BigInt(value)),
);

/** 64 bits that are only compared, never counted with: identifiers and random numbers. */
export const uint64 = kind<bigint>(
  "uint64",
  8,
  (reader) => reader.uint64(),
  (writer, value) => writer.uint64(value),
);

export const uvarint = kind<number>(
  "uvarint",
  1,
  (reader) => reader.uvarint(),
  (writer, value) => writer.uvarint(value),
);

/** Text that is always there; a null is malformed. */
export const text = kind<string>(
  "text",
  4,
  (reader) => {
    const at = reader.position;
    const value = reader.text();
    if (value === null) reader.reject(at, "text must not be null");
    return value ?? "";
  },
  (writer, value) => writer.text(value),
);

/** Bytes as a copy, which the reader may keep. A null is malformed. */
export const bytes = kind<Uint8Array>(
  "bytes",
  4,
  (reader) => {
    const at = reader.position;
    const value = reader.bytes();
    if (value === null) reader.reject(at, "bytes must not be null");
    return value ?? new Uint8Array(0);
  },
  (writer, value) => writer.bytes(value),
);

/** Bytes as a window on the payload: for record batches, which are large and dealt with at once. */
export const bytesWindow = kind<Uint8Array>(
  "bytes",
  4,
  (reader) => {
    const at = reader.position;
    const value = reader.bytesView();
    if (value === null) reader.reject(at, "bytes must not be null");
    return value ?? new Uint8Array(0);
  },
  (writer, value) => writer.bytes(value),
);

/** One byte that is 0 or 1. */
export const flag = kind<boolean>(
  "uint8, 0 or 1",
  1,
  (reader) => {
    const at = reader.position;
    const value = reader.uint8();
    if (value > 1) reader.reject(at, `flag ${value} is not 0 or 1`);
    return value === 1;
  },
  (writer, value) => writer.uint8(value ? 1 : 0),
);

/** Any number of items of one kind. A null is malformed: an empty array says the same. */
export function arrayOf<Value>(item: Kind<Value>): Kind<readonly Value[]> {
  return {
    name: `array of ${item.name}`,
    bytesMin: 4,
    item: item,
    read(reader) {
      const at = reader.position;
      const items = reader.array((from) => item.read(from), item.bytesMin);
      if (items === null) reader.reject(at, "array must not be null");
      return items ?? [];
    },
    write(writer, values) {
      writer.array(values, (to, value) => item.write(to, value));
    },
  };
}

/** A field of a later version, skipped by whoever does not know its tag. */
export interface TaggedField {
  readonly tag: number;
  readonly value: Uint8Array;
}

/** Tagged fields close the messages of the handshake, the one place that must be readable across all versions. */
export const taggedFields: Kind<readonly TaggedField[]> = arrayOf(
  layout("tagged field", { tag: uvarint, value: bytes }),
);

/** Named fields, read and written in the order in which they stand here. */
export function layout<Named extends Fields>(name: string, fields: Named): Layout<Named> {
  const entries = Object.entries(fields);
  let bytesMin = 0;
  for (const [, field] of entries) bytesMin += field.bytesMin;
  return {
    name,
    bytesMin,
    fields,
    read(reader) {
      const value: Record<string, unknown> = {};
      for (const [fieldName, field] of entries) value[fieldName] = field.read(reader);
      return value as LayoutValue<Named>;
    },
    write(writer, value) {
      for (const [fieldName, field] of entries) field.write(writer, value[fieldName]);
    },
  };
}

/** One field as it lies in a payload: what `oz inspect` prints and SPEC.md annotates. */
export interface FieldSpan {
  readonly name: string;
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  /** The value as text; absent when the field has parts of its own. */
  readonly text?: string;
  readonly parts?: readonly FieldSpan[];
}

/** The fields that `reader` meets, each with its place; stops at the first that cannot be read. */
export function describeLayout(described: Kind<unknown>, reader: ByteReader): FieldSpan[] {
  const spans: FieldSpan[] = [];
  for (const [name, field] of Object.entries(described.fields ?? {})) {
    if (reader.failure !== undefined) break;
    spans.push(describeField(name, field, reader));
  }
  return spans;
}

function describeField(name: string, field: Kind<unknown>, reader: ByteReader): FieldSpan {
  const start = reader.position;
  if (field.fields !== undefined) {
    const parts = describeLayout(field, reader);
    return { name, kind: field.name, start, end: reader.position, parts };
  }
  const item = field.item;
  if (item !== undefined) {
    const parts: FieldSpan[] = [];
    const count = reader.int32();
    parts.push({ name: "count", kind: "int32", start, end: reader.position, text: String(count) });
    for (let index = 0; index < count && reader.failure === undefined; index++) {
      parts.push(describeField(`[${index}]`, item, reader));
    }
    return { name, kind: field.name, start, end: reader.position, parts };
  }
  const value: unknown = field.read(reader);
  return { name, kind: field.name, start, end: reader.position, text: valueText(value) };
}

function valueText(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
