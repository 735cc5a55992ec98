/**
 * A journal's file as bytes: records one after the other, each whole by its checksum.
 *
 * ```
 * 0       4         8            16      20
 * | magic | version | generation | crc32 | record | record | …      record: | length | crc32 | durable | payload |
 * ```
 *
 * `length` counts what follows a record's checksum. The checksum covers it, and the place: a disk may show what its
 * sectors held before, and whole records of the same file at another place, or of a file that had its name before, are
 * not records here. So each file that takes another's place has the next `generation`.
 *
 * `durable` says how long the file was known to be safe when the record was written. That is how a start tells two
 * things apart that look the same, a record that is not whole:
 *
 * - *torn*: the power went while it was being written. Nobody was promised anything: it is cut off, with all behind
 *   it;
 * - *damaged*: it was safe once, and a later record says so. A server that forgets a promise can vote twice or take
 *   back an acknowledged record. So such a file is not repaired: the node refuses to start.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Checksum } from "../../ports.ts";
import { getUint53, setUint32, setUint53 } from "../../storage/integers.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { decodeJournalRecord, putJournalRecord, type JournalRecord } from "./journal-codec.ts";
import { JournalState } from "./journal-state.ts";

const magic = 0x4f5a524a; // "OZRJ"
const version = 3;
/** Where the first record begins. */
export const fileHeaderBytes = 20;
const recordHeaderBytes = 8;
const durableBytes = 8;

/** What a file says. */
export interface ReadJournal {
  readonly state: JournalState;
  readonly generation: number;
  /** Where the last whole record ends. */
  readonly endPosition: number;
}

/** What the bytes say; or one clause for the operator. */
export function readRecords(bytes: Uint8Array, checksum: Checksum): ReadJournal | string {
  const file = new JournalBytes(bytes, checksum);
  const problem = file.headerProblem();
  if (problem !== undefined) return problem;
  const state = new JournalState();
  let at = fileHeaderBytes;
  for (;;) {
    const payload = file.payloadAt(at);
    const record = payload && decodeJournalRecord(payload);
    if (record === undefined) break;
    state.apply(record);
    at = file.endOf(at);
  }
  // Behind a record that is not whole, one that is may know that the first was safe.
  return file.isKnownSafe(at) ? damaged(at) : { state, generation: file.generation, endPosition: at };
}

/** A file as it was found. */
class JournalBytes {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #checksum: Checksum;

  constructor(bytes: Uint8Array, checksum: Checksum) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#checksum = checksum;
  }

  get generation(): number {
    return getUint53(this.#bytes, 8);
  }

  headerProblem(): string | undefined {
    const view = this.#view;
    if (view.byteLength < 8 || view.getUint32(0) !== magic) return "is no journal of Raft";
    if (view.getUint32(4) !== version)
      return `has version ${view.getUint32(4)}, this program reads ${version}`;
    // Without its generation no record could be told from an old one.
    const crcAt = fileHeaderBytes - 4;
    const isWhole =
      view.byteLength >= fileHeaderBytes && view.getUint32(crcAt) === this.#checksum(this.#bytes, 0, crcAt);
    return isWhole ? undefined : damaged(0);
  }

  /** Where the record at `at` ends, as it says. */
  endOf(at: number): number {
    return at + recordHeaderBytes + this.#view.getUint32(at);
  }

  /** What the record at `at` says; undefined when no whole one stands there. */
  payloadAt(at: number): Uint8Array | undefined {
    const bytes = this.#bytes;
    const start = at + recordHeaderBytes;
    if (start + durableBytes > bytes.length) return undefined;
    const end = this.endOf(at);
    if (end > bytes.length || end < start + durableBytes) return undefined;
    const expected = recordChecksum(bytes, start, end, { generation: this.generation, at }, this.#checksum);
    return this.#view.getUint32(at + 4) === expected ? bytes.subarray(start + durableBytes, end) : undefined;
  }

  /**
   * Whether a whole record behind `position` says that the file was safe beyond it. Only a damaged file costs this.
   */
  isKnownSafe(position: number): boolean {
    const bytes = this.#bytes;
    for (let at = position; at + recordHeaderBytes + durableBytes < bytes.length; at++) {
      // Cheap first: a checksum for each byte of the file would take long.
      if (getUint53(bytes, at + recordHeaderBytes) <= position) continue;
      if (this.payloadAt(at) !== undefined) return true;
    }
    return false;
  }
}

/** Where a record stands: in which file, and at which byte. */
interface Place {
  readonly generation: number;
  readonly at: number;
}

const placeBytes = new Uint8Array(16);

/** Of a record's bytes, and of its place: the same record elsewhere has another one. */
function recordChecksum(
  bytes: Uint8Array,
  start: number,
  end: number,
  { generation, at }: Place,
  checksum: Checksum,
): number {
  setUint53(placeBytes, 0, generation);
  setUint53(placeBytes, 8, at);
  return (checksum(bytes, start, end) ^ checksum(placeBytes, 0, placeBytes.length)) >>> 0;
}

function damaged(at: number): string {
  return `the record at byte ${at} is damaged, and with it a promise to other nodes; this node cannot go on with it`;
}

/** Writes records one after the other, for a place in a file that is known to be safe up to `durableEnd`. */
export function putRecords(
  to: FrameWriter,
  records: Iterable<JournalRecord>,
  place: Place & { readonly durableEnd: number },
  checksum: Checksum,
): void {
  const { generation, durableEnd } = place;
  const begin = to.length;
  for (const record of records) {
    const at = to.length;
    // Length and checksum are not known before all the rest is there.
    to.uint32(0);
    to.uint32(0);
    putUint53(to, durableEnd);
    putJournalRecord(to, record);
    const bytes = to.room;
    const start = at + recordHeaderBytes;
    setUint32(bytes, at, to.length - start);
    const own = { generation, at: place.at + at - begin };
    setUint32(bytes, at + 4, recordChecksum(bytes, start, to.length, own, checksum));
  }
}

/** Writes what a file begins with. */
export function putFileHeader(to: FrameWriter, generation: number, checksum: Checksum): void {
  to.uint32(magic);
  to.uint32(version);
  putUint53(to, generation);
  to.uint32(checksum(to.room, 0, to.length));
}

function putUint53(to: FrameWriter, value: number): void {
  to.uint32(Math.floor(value / 2 ** 32));
  to.uint32(value % 2 ** 32);
}
