/**
 * Raft's state on disk: term, vote, snapshot and log, as one file of checksummed records.
 *
 * Each record is one atomic write of raft/effects.ts: a crash leaves it whole or leaves a stump of it at the end of the
 * file. Records that come while the disk is busy go out together, with one sync.
 *
 * ```
 * 0       4         8
 * | magic | version | record | record | …           record: | length | crc32 | payload |
 * ```
 *
 * A stump is the last write, which was never acknowledged: it is cut off. Anything else that does not fit its checksum
 * is a promise to other nodes that has been lost, and a server that forgets a promise can vote twice or take back an
 * acknowledged record. So such a file is not repaired: the node refuses to start.
 *
 * With a snapshot the file begins anew under another name, which then replaces the old one.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Write } from "../../raft/effects.ts";
import { applyWrite, emptyState } from "../../raft/persistence.ts";
import type { DurableState } from "../../raft/persistence.ts";
import type { Checksum, Disk, DiskFile } from "../../ports.ts";
import { directoryOf, readWhole, writeAtomically, writeFully } from "../../storage/file-io.ts";
import { decodeWrite, encodeWrite } from "./raft-codec.ts";

const magic = 0x4f5a524a; // "OZRJ"
const version = 1;
const fileHeaderBytes = 8;
const recordHeaderBytes = 8;

/** What opening came to. */
export type OpenedJournal =
  | { readonly kind: "open"; readonly journal: RaftJournal; readonly state: DurableState }
  /** One line for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

/** Told when a write is durable; or that it never will be, and then nothing may be sent any more. */
interface Waiting {
  readonly write: Write;
  readonly onDurable: () => void;
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
  /** What the file says, for the next time that it begins anew. */
  #state: DurableState;
  #waiting: Waiting[] = [];
  #isWriting = false;
  #isStopped = false;
  #idle: Promise<void> = Promise.resolve();

  /** Opens the journal, or makes it. `isNew` says that there must be none yet. Rejects with what the disk says. */
  static async open(disk: Disk, path: string, checksum: Checksum): Promise<OpenedJournal> {
    const bytes = await readWhole(disk, path);
    if (bytes === undefined) {
      await writeAtomically(disk, path, fileHeader());
      const file = await disk.open(path, "read-write");
      const journal = new RaftJournal(disk, path, checksum, file, fileHeaderBytes, emptyState);
      return { kind: "open", journal, state: emptyState };
    }
    const read = readRecords(bytes, checksum);
    if (typeof read === "string") return { kind: "damaged", problem: `${path}: ${read}` };
    const file = await disk.open(path, "read-write");
    if (read.endPosition < bytes.length) {
      await file.truncate(read.endPosition);
      await file.sync();
    }
    const journal = new RaftJournal(disk, path, checksum, file, read.endPosition, read.state);
    return { kind: "open", journal, state: read.state };
  }

  private constructor(
    disk: Disk,
    path: string,
    checksum: Checksum,
    file: DiskFile,
    endPosition: number,
    state: DurableState,
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#checksum = checksum;
    this.#file = file;
    this.#endPosition = endPosition;
    this.#state = state;
  }

  /** Writes a record behind the others. `onDurable` is called when it and all before it are safe. */
  append(write: Write, onDurable: () => void): void {
    if (this.#isStopped) return;
    this.#waiting.push({ write, onDurable });
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#idle = Promise.resolve().then(() => this.#run());
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    while (this.#isWriting) await this.#idle;
    this.#isStopped = true;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const round = this.#waiting;
        this.#waiting = [];
        await this.#writeRound(round);
        for (const { onDurable } of round) onDurable();
      }
      this.#isWriting = false;
    } catch (error) {
      this.#isStopped = true;
      this.#isWriting = false;
      this.#waiting = [];
      this.onFailed(error);
    }
  }

  async #writeRound(round: readonly Waiting[]): Promise<void> {
    const hasSnapshot = round.some(({ write }) => write.snapshot !== undefined);
    this.#state = applyWrites(
      this.#state,
      round.map(({ write }) => write),
    );
    if (hasSnapshot) return this.#beginAnew();
    const bytes = joinRecords(
      round.map(({ write }) => encodeWrite(write)),
      this.#checksum,
    );
    await writeFully(this.#file, bytes, this.#endPosition);
    this.#endPosition += bytes.length;
    await this.#file.sync();
  }

  /** What came before a snapshot is not needed any more: one record says it all. */
  async #beginAnew(): Promise<void> {
    const { term, votedFor, snapshot, entries } = this.#state;
    const replaceFrom = (snapshot?.index ?? 0) + 1;
    const record = joinRecords(
      [encodeWrite({ term, votedFor, snapshot, replaceFrom, entries })],
      this.#checksum,
    );
    const bytes = new Uint8Array(fileHeaderBytes + record.length);
    bytes.set(fileHeader());
    bytes.set(record, fileHeaderBytes);
    await writeAtomically(this.#disk, this.#path, bytes);
    await this.#file.close();
    this.#file = await this.#disk.open(this.#path, "read-write");
    this.#endPosition = bytes.length;
    await this.#disk.syncDirectory(directoryOf(this.#path));
  }
}

/** Many records at once: one pass over the entries, where one by one would copy the log each time. */
function applyWrites(state: DurableState, writes: readonly Write[]): DurableState {
  const entries = [...state.entries];
  let { term, votedFor, snapshot } = state;
  for (const write of writes) {
    ({ term, votedFor } = write);
    if (write.snapshot !== undefined) {
      const rest = applyWrite({ term, votedFor, snapshot, entries: entries.splice(0) }, write);
      snapshot = rest.snapshot;
      for (const entry of rest.entries) entries.push(entry);
    } else if (write.replaceFrom !== undefined) {
      // Entries lie in order without gaps: the place of the first to go follows from its index.
      const first = entries[0]?.index ?? write.replaceFrom;
      entries.length = Math.max(0, Math.min(entries.length, write.replaceFrom - first));
      for (const entry of write.entries) entries.push(entry);
    }
  }
  return { term, votedFor, snapshot, entries };
}

function readRecords(
  bytes: Uint8Array,
  checksum: Checksum,
): { readonly state: DurableState; readonly endPosition: number } | string {
  const view = viewOf(bytes);
  if (bytes.length < fileHeaderBytes || view.getUint32(0) !== magic) return "is no journal of Raft";
  if (view.getUint32(4) !== version) return `has version ${view.getUint32(4)}, this program reads ${version}`;
  const writes: Write[] = [];
  let at = fileHeaderBytes;
  while (at + recordHeaderBytes <= bytes.length) {
    const start = at + recordHeaderBytes;
    const end = start + view.getUint32(at);
    if (end > bytes.length) {
      // The last record is a stump, unless it is whole or others begin inside of it: then its length is wrong.
      const isWhole = checksum(bytes, start, bytes.length) === view.getUint32(at + 4);
      if (isWhole || hasRecordAfter(bytes, view, start, checksum)) return damaged(at);
      break;
    }
    const isWhole = checksum(bytes, start, end) === view.getUint32(at + 4);
    const write = isWhole ? decodeWrite(bytes.subarray(start, end)) : undefined;
    if (write === undefined) return damaged(at);
    writes.push(write);
    at = end;
  }
  return { state: applyWrites(emptyState, writes), endPosition: at };
}

/** Whether an intact record begins anywhere behind `from`. Only a damaged file costs this. */
function hasRecordAfter(bytes: Uint8Array, view: DataView, from: number, checksum: Checksum): boolean {
  for (let at = from; at + recordHeaderBytes < bytes.length; at++) {
    const end = at + recordHeaderBytes + view.getUint32(at);
    if (end > bytes.length || end <= at + recordHeaderBytes) continue;
    if (checksum(bytes, at + recordHeaderBytes, end) === view.getUint32(at + 4)) return true;
  }
  return false;
}

function damaged(at: number): string {
  return `the record at byte ${at} is damaged, and with it a promise to other nodes; this node cannot go on with it`;
}

function joinRecords(payloads: readonly Uint8Array[], checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(payloads.reduce((sum, { length }) => sum + recordHeaderBytes + length, 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const payload of payloads) {
    view.setUint32(at, payload.length);
    view.setUint32(at + 4, checksum(payload));
    bytes.set(payload, at + recordHeaderBytes);
    at += recordHeaderBytes + payload.length;
  }
  return bytes;
}

function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(fileHeaderBytes);
  viewOf(bytes).setUint32(0, magic);
  viewOf(bytes).setUint32(4, version);
  return bytes;
}
