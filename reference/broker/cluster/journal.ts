/**
 * What a node has promised, on disk: the terms, votes, snapshots and entries of all its groups, as one file of
 * checksummed records.
 *
 * Each record is one atomic write of one group: a crash leaves it whole or leaves a stump of it at the end of the
 * file. Records that come while the disk is busy go out together, with one sync for all groups.
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
 *
 * When most of the file has been overtaken by later records, it begins anew under another name, which then replaces
 * the old one.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Checksum, Disk, DiskFile } from "../../ports.ts";
import { readWhole, writeAtomically, writeFully } from "../../storage/file-io.ts";
import { getUint53, setUint53 } from "../../storage/integers.ts";
import type { JournalRecord } from "./journal-codec.ts";
import { decodeJournalRecord, encodeJournalRecord } from "./journal-codec.ts";
import { JournalState } from "./journal-state.ts";

const magic = 0x4f5a524a; // "OZRJ"
const version = 2;
const fileHeaderBytes = 8;
const recordHeaderBytes = 8;
const durableBytes = 8;
/** A file smaller than this is not worth beginning anew; a larger one is, when it has doubled. */
const rewriteBytesMinDefault = 1024 * 1024;

/** What opening came to. */
export type OpenedJournal =
  | { readonly kind: "open"; readonly journal: RaftJournal }
  /** One line for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

interface JournalOptions {
  readonly disk: Disk;
  readonly path: string;
  readonly checksum: Checksum;
  readonly rewriteBytesMin: number;
}

/** Told when a write is durable; or that it never will be, and then nothing may be sent any more. */
interface Waiting {
  readonly record: JournalRecord;
  readonly onDurable: () => void;
  readonly onFailed?: (error: unknown) => void;
}

/** The file, open. */
export class RaftJournal {
  /** The disk failed: the server must stop. Nothing is called afterwards. */
  onFailed: (error: unknown) => void = () => {};
  readonly #disk: Disk;
  readonly #path: string;
  readonly #checksum: Checksum;
  #file: DiskFile;
  #endPosition: number;
  /** What the file says. */
  readonly state: JournalState;
  readonly #rewriteBytesMin: number;
  /** The file begins anew when it is longer than this. */
  #rewriteAtBytes: number;
  #waiting: Waiting[] = [];
  #isWriting = false;
  #isStopped = false;
  #idle: Promise<void> = Promise.resolve();

  /** Opens the journal, or makes it. Rejects with what the disk says. */
  static async open(
    disk: Disk,
    path: string,
    checksum: Checksum,
    rewriteBytesMin = rewriteBytesMinDefault,
  ): Promise<OpenedJournal> {
    const bytes = await readWhole(disk, path);
    if (bytes === undefined) {
      await writeAtomically(disk, path, fileHeader());
      const file = await disk.open(path, "read-write");
      const journal = new RaftJournal(
        { disk, path, checksum, rewriteBytesMin },
        file,
        fileHeaderBytes,
        new JournalState(),
      );
      return { kind: "open", journal };
    }
    const read = readRecords(bytes, checksum);
    if (typeof read === "string") return { kind: "damaged", problem: `${path}: ${read}` };
    // What was found may be in memory only, if the machine did not stop, and after a sync that failed the next one does
    // not write it either: it is written anew before it is relied on.
    await writeAtomically(disk, path, bytes.subarray(0, read.endPosition));
    const file = await disk.open(path, "read-write");
    const journal = new RaftJournal(
      { disk, path, checksum, rewriteBytesMin },
      file,
      read.endPosition,
      read.state,
    );
    return { kind: "open", journal };
  }

  private constructor(options: JournalOptions, file: DiskFile, endPosition: number, state: JournalState) {
    this.#disk = options.disk;
    this.#path = options.path;
    this.#checksum = options.checksum;
    this.#rewriteBytesMin = options.rewriteBytesMin;
    this.#file = file;
    this.#endPosition = endPosition;
    this.state = state;
    this.#rewriteAtBytes = Math.max(this.#rewriteBytesMin, 2 * endPosition);
  }

  /** Writes a record behind the others. `onDurable` is called when it and all before it are safe. */
  append(record: JournalRecord, onDurable: () => void, onFailed?: (error: unknown) => void): void {
    if (this.#isStopped) return;
    this.#waiting.push({ record, onDurable, ...(onFailed !== undefined && { onFailed }) });
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#idle = Promise.resolve().then(() => this.#run());
  }

  /** As `append`; resolves when the record is safe, and rejects when it never will be. */
  store(record: JournalRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) reject(new Error("the journal is closed"));
      else this.append(record, resolve, reject);
    });
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    while (this.#isWriting) await this.#idle;
    this.#isStopped = true;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    let round: Waiting[] = [];
    try {
      while (this.#waiting.length > 0) {
        round = this.#waiting;
        this.#waiting = [];
        await this.#writeRound(round);
        for (const { onDurable } of round) onDurable();
      }
      this.#isWriting = false;
    } catch (error) {
      this.#isStopped = true;
      this.#isWriting = false;
      const lost = [...round, ...this.#waiting.splice(0)];
      this.onFailed(error);
      for (const { onFailed } of lost) onFailed?.(error);
    }
  }

  async #writeRound(round: readonly Waiting[]): Promise<void> {
    for (const { record } of round) this.state.apply(record);
    const payloads = round.map(({ record }) => encodeJournalRecord(record));
    const bytes = joinRecords(payloads, this.#endPosition, this.#checksum);
    if (this.#endPosition + bytes.length > this.#rewriteAtBytes) return this.#beginAnew();
    await writeFully(this.#file, bytes, this.#endPosition);
    this.#endPosition += bytes.length;
    await this.#file.sync();
  }

  /** What was overtaken is not needed any more: one record for each group says it all. */
  async #beginAnew(): Promise<void> {
    const records = joinRecords(this.state.records().map(encodeJournalRecord), 0, this.#checksum);
    const bytes = new Uint8Array(fileHeaderBytes + records.length);
    bytes.set(fileHeader());
    bytes.set(records, fileHeaderBytes);
    await writeAtomically(this.#disk, this.#path, bytes);
    await this.#file.close();
    this.#file = await this.#disk.open(this.#path, "read-write");
    this.#endPosition = bytes.length;
    this.#rewriteAtBytes = Math.max(this.#rewriteBytesMin, 2 * bytes.length);
  }
}

function readRecords(
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

function joinRecords(payloads: readonly Uint8Array[], durableEnd: number, checksum: Checksum): Uint8Array {
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

function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(fileHeaderBytes);
  viewOf(bytes).setUint32(0, magic);
  viewOf(bytes).setUint32(4, version);
  return bytes;
}
