/**
 * What a journal does with its file, without the disk: which bytes go where, and when a sync is needed.
 *
 * It says one step at a time, and goes on when the step is done; a step that fails ends it. So one and the same code
 * runs on real disks (journal.ts) and in the simulator of Raft (reference/simulator/raft/disk.ts), where the power goes
 * between any two steps and tears what was not synced.
 */
import type { Checksum } from "../../ports.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { JournalRecord } from "./journal-codec.ts";
import { fileHeaderBytes, putFileHeader, putRecords, readRecords } from "./journal-format.ts";
import { JournalState } from "./journal-state.ts";

/** One thing that the disk is asked for. The bytes are good until the next step is asked for. */
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
  | {
      readonly kind: "open";
      readonly file: JournalFile;
      /** How much stood behind the last whole record. */
      readonly tornBytes: number;
    }
  /** One clause for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

/** A file that records can be added to. */
export class JournalFile {
  /** What the file says, with the records that are being written. */
  readonly state: JournalState;
  readonly #options: JournalFileOptions;
  readonly #room = new FrameWriter();
  /** How many files have had this one's name. */
  #generation: number;
  #endPosition = 0;
  /** The file begins anew when it is longer than this. */
  #rewriteAtBytes = 0;

  private constructor(options: JournalFileOptions, state: JournalState, generation: number) {
    this.#options = options;
    this.state = state;
    this.#generation = generation;
  }

  /** `bytes` is what a start finds; undefined when there is no file yet. */
  static *open(bytes: Uint8Array | undefined, options: JournalFileOptions): JournalSteps<OpenedFile> {
    const nothing = { state: new JournalState(), generation: 0, endPosition: 0 };
    const read = bytes === undefined ? nothing : readRecords(bytes, options.checksum);
    if (typeof read === "string") return { kind: "damaged", problem: read };
    const file = new JournalFile(options, read.state, read.generation);
    // What was found may be in memory only, if the machine did not stop, and after a sync that failed the next one does
    // not write it either: it is written anew before it is relied on.
    yield* file.#beginAnew();
    return { kind: "open", file, tornBytes: (bytes?.length ?? 0) - read.endPosition };
  }

  /** Adds records. When the steps are done, they and all before them are durable. */
  *store(records: readonly JournalRecord[]): JournalSteps<void> {
    for (const record of records) this.state.apply(record);
    const room = this.#room;
    room.clear();
    const at = this.#endPosition;
    const place = { generation: this.#generation, at, durableEnd: at };
    putRecords(room, records, place, this.#options.checksum);
    if (this.#endPosition + room.length > this.#rewriteAtBytes) return yield* this.#beginAnew();
    yield { kind: "write", bytes: room.written(), position: this.#endPosition };
    this.#endPosition += room.length;
    yield { kind: "sync" };
  }

  /** What was overtaken is not needed any more: one record for each group says it all. */
  *#beginAnew(): JournalSteps<void> {
    const room = this.#room;
    room.clear();
    const { checksum } = this.#options;
    const generation = this.#generation + 1;
    putFileHeader(room, generation, checksum);
    putRecords(room, this.state.records(), { generation, at: fileHeaderBytes, durableEnd: 0 }, checksum);
    yield { kind: "replace", bytes: room.written() };
    this.#generation = generation;
    this.#endPosition = room.length;
    this.#rewriteAtBytes = Math.max(this.#options.rewriteBytesMin, 2 * room.length);
  }
}
