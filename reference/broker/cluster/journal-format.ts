/**
 * A journal's file as bytes: records one after the other, each whole by its checksum.
 *
 * ```
 * 0       4         8
 * | magic | version | record | record | …           record: | length | crc32 | durable | payload |
 * ```
 *
 * `length` and the checksum cover what follows the checksum. `durable` says how long the file was known to be safe
 * when the record was written. That is how a start tells two things apart that look the same, a record that is not
 * whole:
 *
 * - *torn*: the power went while it was being written. Nobody was promised anything: it is cut off, with all behind
 *   it;
 * - *damaged*: it was safe once, and a later record says so. A server that forgets a promise can vote twice or take
 *   back an acknowledged record. So such a file is not repaired: the node refuses to start.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Checksum } from "../../ports.ts";
import { getUint53, setUint53 } from "../../storage/integers.ts";
import { decodeJournalRecord } from "./journal-codec.ts";
import { JournalState } from "./journal-state.ts";

const magic = 0x4f5a524a; // "OZRJ"
const version = 2;
/** Where the first record begins. */
export const fileHeaderBytes = 8;
const recordHeaderBytes = 8;
const durableBytes = 8;

/** What the bytes say: the state, and where the last whole record ends; or one clause for the operator. */
export function readRecords(
  bytes: Uint8Array,
  checksum: Checksum,
): { readonly state: JournalState; readonly endPosition: number } | string {
  const view = viewOf(bytes);
  if (bytes.length < fileHeaderBytes || view.getUint32(0) !== magic) return "is no journal of Raft";
  if (view.getUint32(4) !== version) return `has version ${view.getUint32(4)}, this program reads ${version}`;
  const state = new JournalState();
  let at = fileHeaderBytes;
  for (;;) {
    const payload = payloadAt(bytes, view, at, checksum);
    const record = payload && decodeJournalRecord(payload);
    if (record === undefined) break;
    state.apply(record);
    at += recordHeaderBytes + view.getUint32(at);
  }
  // Behind a record that is not whole, one that is may know that the first was safe.
  return isKnownSafe(bytes, view, at, checksum) ? damaged(at) : { state, endPosition: at };
}

/** What the record at `at` says; undefined when no whole one stands there. */
function payloadAt(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  checksum: Checksum,
): Uint8Array | undefined {
  if (at + recordHeaderBytes + durableBytes > bytes.length) return undefined;
  const end = at + recordHeaderBytes + view.getUint32(at);
  if (end > bytes.length || end < at + recordHeaderBytes + durableBytes) return undefined;
  if (checksum(bytes, at + recordHeaderBytes, end) !== view.getUint32(at + 4)) return undefined;
  return bytes.subarray(at + recordHeaderBytes + durableBytes, end);
}

/**
 * Whether a whole record behind `position` says that the file was safe beyond it. Only a damaged file costs this.
 */
function isKnownSafe(bytes: Uint8Array, view: DataView, position: number, checksum: Checksum): boolean {
  for (let at = position; at + recordHeaderBytes + durableBytes < bytes.length; at++) {
    // Cheap first: a checksum for each byte of the file would take long.
    if (getUint53(bytes, at + recordHeaderBytes) <= position) continue;
    if (payloadAt(bytes, view, at, checksum) !== undefined) return true;
  }
  return false;
}

function damaged(at: number): string {
  return `the record at byte ${at} is damaged, and with it a promise to other nodes; this node cannot go on with it`;
}

/** Records that stand one after the other, written when the file was known to be safe up to `durableEnd`. */
export function joinRecords(
  payloads: readonly Uint8Array[],
  durableEnd: number,
  checksum: Checksum,
): Uint8Array {
  const around = recordHeaderBytes + durableBytes;
  const bytes = new Uint8Array(payloads.reduce((sum, { length }) => sum + around + length, 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const payload of payloads) {
    const end = at + around + payload.length;
    view.setUint32(at, durableBytes + payload.length);
    setUint53(bytes, at + recordHeaderBytes, durableEnd);
    bytes.set(payload, at + around);
    view.setUint32(at + 4, checksum(bytes, at + recordHeaderBytes, end));
    at = end;
  }
  return bytes;
}

/** What a file begins with. */
export function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(fileHeaderBytes);
  viewOf(bytes).setUint32(0, magic);
  viewOf(bytes).setUint32(4, version);
  return bytes;
}
