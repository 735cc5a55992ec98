/**
 * What a journal does with its file, without the disk: which bytes go where, and when a sync is needed.
 *
 * It says one step at a time, and goes on when the step is done; a step that fails ends it. So one and the same code
 * runs on real disks (journal.ts) and in the simulator of Raft (reference/simulator/raft/disk.ts), where the power goes
 * between any two steps and tears what was not synced.
 */
import type { Checksum } from "../../ports.ts";
import { encodeJournalRecord, type JournalRecord } from "./journal-codec.ts";
import { fileHeader, fileHeaderBytes, joinRecords, readRecords } from "./journal-format.ts";
import { JournalState } from "./journal-state.ts";

/** One thing that the disk is asked for. */
export type JournalStep =
  /** These bytes, at this place, as far as a crash will have it. */
  | { readonly kind: "write"; readonly bytes: Uint8Array; readonly position: number }
  /** What was written becomes durable. */
  | { readonly kind: "sync" }
  /** The file has these bytes instead, durably: a crash leaves all the old ones or all the new ones. */
  | { readonly kind: "replace"; readonly bytes: Uint8Array };

/** Steps to carry out one after the other, and what they come to. */
export type JournalSteps<Result> = Generator<JournalStep, Result, void>;

/** A file smaller than this is not worth beginning anew; a larger one is, when it has doubled. */
export const rewriteBytesMinDefault: number = 1024 * 1024;

export interface JournalFileOptions {
  readonly checksum: Checksum;
  readonly rewriteBytesMin: number;
}

/** What opening came to. */
export type OpenedFile =
  | { readonly kind: "open"; readonly file: JournalFile }
  /** One clause for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

/** A file that records can be added to. */
export class JournalFile {
  /** What the file says, with the records that are being written. */
  readonly state: JournalState;
  readonly #options: JournalFileOptions;
  #endPosition: number;
  /** The file begins anew when it is longer than this. */
  #rewriteAtBytes: number;

  private constructor(options: JournalFileOptions, endPosition: number, state: JournalState) {
    this.#options = options;
    this.#endPosition = endPosition;
    this.state = state;
    this.#rewriteAtBytes = Math.max(options.rewriteBytesMin, 2 * endPosition);
  }

  /** `bytes` is what a start finds; undefined when there is no file yet. */
  static *open(bytes: Uint8Array | undefined, options: JournalFileOptions): JournalSteps<OpenedFile> {
    if (bytes === undefined) {
      yield { kind: "replace", bytes: fileHeader() };
      return { kind: "open", file: new JournalFile(options, fileHeaderBytes, new JournalState()) };
    }
    const read = readRecords(bytes, options.checksum);
    if (typeof read === "string") return { kind: "damaged", problem: read };
    // What was found may be in memory only, if the machine did not stop, and after a sync that failed the next one does
    // not write it either: it is written anew before it is relied on.
    yield { kind: "replace", bytes: bytes.subarray(0, read.endPosition) };
    return { kind: "open", file: new JournalFile(options, read.endPosition, read.state) };
  }

  /** Adds records. When the steps are done, they and all before them are durable. */
  *store(records: readonly JournalRecord[]): JournalSteps<void> {
    for (const record of records) this.state.apply(record);
    const { checksum } = this.#options;
    const bytes = joinRecords(records.map(encodeJournalRecord), this.#endPosition, checksum);
    if (this.#endPosition + bytes.length > this.#rewriteAtBytes) return yield* this.#beginAnew();
    yield { kind: "write", bytes, position: this.#endPosition };
    this.#endPosition += bytes.length;
    yield { kind: "sync" };
  }

  /** What was overtaken is not needed any more: one record for each group says it all. */
  *#beginAnew(): JournalSteps<void> {
    const records = joinRecords(this.state.records().map(encodeJournalRecord), 0, this.#options.checksum);
    const bytes = new Uint8Array(fileHeaderBytes + records.length);
    bytes.set(fileHeader());
    bytes.set(records, fileHeaderBytes);
    yield { kind: "replace", bytes };
    this.#endPosition = bytes.length;
    this.#rewriteAtBytes = Math.max(this.#options.rewriteBytesMin, 2 * bytes.length);
  }
}
