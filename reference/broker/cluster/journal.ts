/**
 * What a node has promised, on disk: the terms, votes, snapshots and entries of all its groups, as one file of
 * checksummed records (journal-format.ts).
 *
 * Each record is one atomic write of one group: a crash leaves it whole or leaves a stump of it at the end of the
 * file. Records that come while the disk is busy go out together, with one sync for all groups.
 *
 * When most of the file has been overtaken by later records, it begins anew under another name, which then replaces
 * the old one. What is written when, journal-file.ts decides; here it is carried out.
 */
import type { Checksum, Disk, DiskFile } from "../../ports.ts";
import { readWhole, writeAtomically, writeFully } from "../../storage/file-io.ts";
import type { JournalRecord } from "./journal-codec.ts";
import { JournalFile, rewriteBytesMinDefault, type JournalStep, type JournalSteps } from "./journal-file.ts";
import type { JournalState } from "./journal-state.ts";

/** What opening came to. */
export type OpenedJournal =
  | { readonly kind: "open"; readonly journal: RaftJournal }
  /** One line for the operator. */
  | { readonly kind: "damaged"; readonly problem: string };

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
  readonly #handle: FileHandle;
  readonly #file: JournalFile;
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
    const handle = new FileHandle(disk, path);
    const opened = await handle.carryOut(JournalFile.open(bytes, { checksum, rewriteBytesMin }));
    if (opened.kind === "damaged") return { kind: "damaged", problem: `${path}: ${opened.problem}` };
    return { kind: "open", journal: new RaftJournal(handle, opened.file) };
  }

  private constructor(handle: FileHandle, file: JournalFile) {
    this.#handle = handle;
    this.#file = file;
  }

  /** What the file says. */
  get state(): JournalState {
    return this.#file.state;
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
    await this.#handle.close();
  }

  async #run(): Promise<void> {
    let round: Waiting[] = [];
    try {
      while (this.#waiting.length > 0) {
        round = this.#waiting;
        this.#waiting = [];
        await this.#handle.carryOut(this.#file.store(round.map(({ record }) => record)));
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
}

/** The file on a disk, which one step may exchange for another. */
class FileHandle {
  readonly #disk: Disk;
  readonly #path: string;
  #file: DiskFile | undefined;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /** Step after step. Rejects with what the disk says; then the rest is not done. */
  async carryOut<Result>(steps: JournalSteps<Result>): Promise<Result> {
    for (;;) {
      const next = steps.next();
      if (next.done === true) return next.value;
      await this.#do(next.value);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #do(step: JournalStep): Promise<void> {
    if (step.kind === "replace") {
      await writeAtomically(this.#disk, this.#path, step.bytes);
      await this.#file?.close();
      this.#file = await this.#disk.open(this.#path, "read-write");
      return;
    }
    // Opening a journal begins with a replacement: from there on there is a file.
    const file = this.#file!;
    if (step.kind === "write") await writeFully(file, step.bytes, step.position);
    else await file.sync();
  }
}
