/**
 * The bytes of a server's persistent state: a file of records, each one `Write`, each atomic by its checksum.
 *
 * ```
 * 0         4          8        12         16                20
 * | "RAFT"  | length   | ordinal | durable | payload, length | crc32 over all before it |
 * ```
 *
 * All integers are big-endian. `ordinal` numbers the records of the file from 0. `durable` says how many
 * records were known to be durable when this one was written. That is how a restart tells two things apart
 * that look the same, a record that is not what was written:
 *
 * - *torn*: the power went while it was being written. Nobody was promised anything: it goes, and all behind
 *   it.
 * - *corrupt*: it was durable once, and a later record says so. Votes and acknowledged entries may be gone; a
 *   server that went on from what is left could vote twice or help to lose an entry. It must not start.
 *
 * The newest record has no witness yet: damage to it alone looks like a torn one. A shell that cannot live
 * with that writes another record before it answers anybody.
 */
import { assert } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import { crc32 } from "../base/crc32.ts";
import type { Write } from "./effects.ts";
import type { Configuration, Entry, Snapshot } from "./entry.ts";
import { applyWrite, emptyState, type DurableState } from "./persistence.ts";

const magic = 0x52414654;
/** Bytes in front of the payload, and the checksum behind it. */
const headerBytes = 16;
const checksumBytes = 4;
/** The largest payload: a snapshot and the entries behind it. A length above it is damage. */
export const recordPayloadMax: number = 2 ** 30;

/** Makes the records of one file, in order. */
export class RecordEncoder {
  #ordinal: number;
  #durable: number;

  /** `count` is how many records the file has, all of them durable. */
  constructor(count = 0) {
    this.#ordinal = count;
    this.#durable = count;
  }

  /** The next record. */
  encode(write: Write): Uint8Array {
    const payload = encodeWrite(write);
    assert(
      payload.length <= recordPayloadMax,
      `a record of ${payload.length} bytes exceeds ${recordPayloadMax}`,
    );
    const bytes = new Uint8Array(headerBytes + payload.length + checksumBytes);
    const view = viewOf(bytes);
    view.setUint32(0, magic);
    view.setUint32(4, payload.length);
    view.setUint32(8, this.#ordinal++);
    view.setUint32(12, this.#durable);
    bytes.set(payload, headerBytes);
    view.setUint32(bytes.length - checksumBytes, crc32(bytes, 0, bytes.length - checksumBytes));
    return bytes;
  }

  /** Everything that was encoded so far is durable now. */
  markDurable(): void {
    this.#durable = this.#ordinal;
  }
}

/** What a file holds. */
export type Recovered =
  | {
      readonly kind: "recovered";
      readonly state: DurableState;
      readonly records: number;
      /**
       * Bytes of whole records; what is behind them was torn, and is to be cut off before anything is
       * appended.
       */
      readonly bytes: number;
    }
  /** One line, for whoever has to decide what to do. */
  | { readonly kind: "corrupt"; readonly problem: string };

// #region recover-records
/** Reads a file back. */
export function recoverRecords(bytes: Uint8Array): Recovered {
  let state = emptyState;
  let position = 0;
  let records = 0;
  while (position < bytes.length) {
    // 1. A record counts when all of it is there, unchanged, and it is the next one.
    const record = readRecord(bytes, position);
    if (record === undefined || record.ordinal !== records) break;
    state = applyWrite(state, decodeWrite(record.payload));
    position += headerBytes + record.payload.length + checksumBytes;
    records++;
  }
  // 2. Behind a record that does not count, one that does may know that the first was durable.
  const witness = findWitness(bytes, position, records);
  if (witness === undefined) return { kind: "recovered", state, records, bytes: position };
  const problem = `record ${records} at byte ${position} was durable and is damaged (record ${witness} says so)`;
  return { kind: "corrupt", problem };
}
// #endregion recover-records

interface RawRecord {
  readonly ordinal: number;
  readonly durable: number;
  readonly payload: Uint8Array;
}

function readRecord(bytes: Uint8Array, position: number): RawRecord | undefined {
  if (position + headerBytes + checksumBytes > bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(position) !== magic) return undefined;
  const length = view.getUint32(position + 4);
  const end = position + headerBytes + length;
  if (length > recordPayloadMax || end + checksumBytes > bytes.length) return undefined;
  if (view.getUint32(end) !== crc32(bytes, position, end)) return undefined;
  const payload = bytes.subarray(position + headerBytes, end);
  return { ordinal: view.getUint32(position + 8), durable: view.getUint32(position + 12), payload };
}

/** The ordinal of a good record behind `position` that was written when record `ordinal` was durable. */
function findWitness(bytes: Uint8Array, position: number, ordinal: number): number | undefined {
  for (let at = position; at + headerBytes + checksumBytes <= bytes.length; at++) {
    if (bytes[at] !== magic >>> 24) continue;
    const record = readRecord(bytes, at);
    if (record !== undefined && record.durable > ordinal) return record.ordinal;
  }
  return undefined;
}

/** A whole state as one write: for a new file that takes the place of a long one. */
export function writeOf({ term, votedFor, snapshot, entries }: DurableState): Write {
  return { number: 1, term, votedFor, snapshot, replaceFrom: entries[0]?.index, entries };
}

const flags = { vote: 1, snapshot: 2, entries: 4 } as const;
const entryKinds = ["command", "no-op", "configuration"] as const;

function encodeWrite({ number, term, votedFor, snapshot, replaceFrom, entries }: Write): Uint8Array {
  const out = new ByteSink();
  out.number(number);
  out.number(term);
  out.byte(
    (votedFor === undefined ? 0 : flags.vote) |
      (snapshot === undefined ? 0 : flags.snapshot) |
      (replaceFrom === undefined ? 0 : flags.entries),
  );
  if (votedFor !== undefined) out.text(votedFor);
  if (snapshot !== undefined) {
    out.number(snapshot.index);
    out.number(snapshot.term);
    out.text(JSON.stringify(snapshot.configuration));
    out.bytes(snapshot.data);
  }
  if (replaceFrom !== undefined) {
    out.number(replaceFrom);
    out.number(entries.length);
    for (const entry of entries) {
      out.number(entry.term);
      out.byte(entryKinds.indexOf(entry.kind));
      if (entry.kind === "command") out.bytes(entry.data);
      if (entry.kind === "configuration") out.text(JSON.stringify(entry.configuration));
    }
  }
  return out.take();
}

/** The checksum has vouched for the bytes, so what is wrong with them here is a bug. */
function decodeWrite(payload: Uint8Array): Write {
  const source = new ByteSource(payload);
  const number = source.number();
  const term = source.number();
  const flag = source.byte();
  const votedFor = (flag & flags.vote) === 0 ? undefined : source.text();
  const snapshot = (flag & flags.snapshot) === 0 ? undefined : decodeSnapshot(source);
  if ((flag & flags.entries) === 0)
    return { number, term, votedFor, snapshot, replaceFrom: undefined, entries: [] };
  const replaceFrom = source.number();
  const entries: Entry[] = [];
  for (let count = source.number(), index = replaceFrom; count > 0; count--, index++) {
    entries.push(decodeEntry(source, index));
  }
  return { number, term, votedFor, snapshot, replaceFrom, entries };
}

function decodeSnapshot(source: ByteSource): Snapshot {
  const index = source.number();
  const term = source.number();
  const configuration = JSON.parse(source.text()) as Configuration;
  return { index, term, configuration, data: source.bytes() };
}

function decodeEntry(source: ByteSource, index: number): Entry {
  const term = source.number();
  const kind = entryKinds[source.byte()];
  if (kind === "command") return { kind, index, term, data: source.bytes() };
  if (kind === "no-op") return { kind, index, term };
  assert(kind === "configuration", "an entry of an unknown kind");
  return { kind, index, term, configuration: JSON.parse(source.text()) as Configuration };
}

/** Numbers (8 bytes, exact up to 2^53), bytes, and byte strings and texts with their length in front. */
class ByteSink {
  #buffer = new Uint8Array(256);
  #length = 0;

  number(value: number): void {
    viewOf(this.#reserve(8)).setFloat64(this.#length - 8, value);
  }

  byte(value: number): void {
    this.#reserve(1)[this.#length - 1] = value;
  }

  bytes(value: Uint8Array): void {
    viewOf(this.#reserve(4)).setUint32(this.#length - 4, value.length);
    this.#reserve(value.length).set(value, this.#length - value.length);
  }

  text(value: string): void {
    this.bytes(new TextEncoder().encode(value));
  }

  take(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(bytes: number): Uint8Array {
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    return this.#buffer;
  }
}

class ByteSource {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  number(): number {
    this.#position += 8;
    return viewOf(this.#bytes).getFloat64(this.#position - 8);
  }

  byte(): number {
    return this.#bytes[this.#position++]!;
  }

  bytes(): Uint8Array {
    const length = viewOf(this.#bytes).getUint32(this.#position);
    this.#position += 4 + length;
    return this.#bytes.slice(this.#position - length, this.#position);
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }
}
