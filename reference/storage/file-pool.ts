/**
 * A bounded set of open files.
 *
 * A log of a terabyte has thousands of segments and a process may open only so many files. Segments therefore hold a
 * `PooledFile`, which opens its file when it is first used and may be closed again while nobody uses it: the one that
 * was used longest ago goes first. A file with writes that are not synced stays open: a descriptor that is opened after
 * a failed write-back need not be told of it.
 */
import { DiskError, type Disk, type DiskFile, type OpenMode } from "../ports.ts";
import { assert } from "../base/assert.ts";

/** The default bound on open files, over all logs that share a pool; those with unsynced writes may go beyond it. */
export const openFilesMaxDefault = 256;

/** Opens, shares and closes files. */
export class FilePool {
  readonly #disk: Disk;
  readonly #openFilesMax: number;
  /** Open files, the one used longest ago first. */
  readonly #open = new Set<PooledFile>();

  constructor(disk: Disk, openFilesMax = openFilesMaxDefault) {
    this.#disk = disk;
    this.#openFilesMax = openFilesMax;
  }

  /** Files that are open now. */
  get openCount(): number {
    return this.#open.size;
  }

  /** A file that is opened, with `mode`, when it is first used. */
  file(path: string, mode: OpenMode): PooledFile {
    return new PooledFile(this, path, mode);
  }

  /** For `PooledFile`: opens the file and makes room for it. */
  async open(file: PooledFile, mode: OpenMode): Promise<DiskFile> {
    const opened = await this.#disk.open(file.path, mode);
    this.#open.add(file);
    this.closeSurplus();
    return opened;
  }

  /** For `PooledFile`: marks it as the one used last. */
  touch(file: PooledFile): void {
    if (this.#open.delete(file)) this.#open.add(file);
  }

  /** For `PooledFile`: it is closed. */
  closed(file: PooledFile): void {
    this.#open.delete(file);
  }

  /** For `PooledFile`: closes what is open beyond the bound and not in use. */
  closeSurplus(): void {
    let surplus = this.#open.size - this.#openFilesMax;
    for (const file of this.#open) {
      if (surplus <= 0) return;
      // A failed close of a file without unsynced writes loses nothing.
      if (file.maybeCloseIdle()) surplus--;
    }
  }
}

/** A file that is open only while that is useful. */
export class PooledFile implements DiskFile {
  readonly path: string;
  readonly #pool: FilePool;
  #mode: OpenMode;
  #opening: Promise<DiskFile> | undefined;
  #file: DiskFile | undefined;
  #users = 0;
  /** Writes and truncations so far, and how many of them a sync has covered. */
  #changes = 0;
  #syncedChanges = 0;
  #isClosed = false;
  #whenUnused: (() => void) | undefined;

  constructor(pool: FilePool, path: string, mode: OpenMode) {
    this.#pool = pool;
    this.path = path;
    this.#mode = mode;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#use((file) => file.read(target, position));
  }

  write(source: Uint8Array, position: number): Promise<number> {
    this.#changes++;
    return this.#use((file) => file.write(source, position));
  }

  async sync(): Promise<void> {
    // What is written while the sync runs is not covered by it.
    const covered = this.#changes;
    await this.#use((file) => file.sync());
    this.#syncedChanges = covered;
    this.#pool.closeSurplus();
  }

  truncate(length: number): Promise<void> {
    this.#changes++;
    return this.#use((file) => file.truncate(length));
  }

  length(): Promise<number> {
    return this.#use((file) => file.length());
  }

  /** Opens the file now, so that an error of opening comes here. */
  prepare(): Promise<void> {
    return this.#use(() => Promise.resolve());
  }

  /** Closes the file so that the next use opens whatever has its name then. Nobody may be using it. */
  async reopen(): Promise<void> {
    assert(this.#users === 0, "a file in use cannot be opened again");
    const file = this.#file;
    this.#file = undefined;
    this.#pool.closed(this);
    await file?.close();
  }

  /** The file is there for good: when it is opened again and is missing, that is an error and no reason to make it. */
  markMade(): void {
    this.#mode = "read-write";
  }

  /** Closes for good, once the calls in flight are done: a reader of a removed segment finishes its read. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#users > 0) await new Promise<void>((resolve) => (this.#whenUnused = resolve));
    const file = this.#file;
    this.#file = undefined;
    this.#pool.closed(this);
    await file?.close();
  }

  /** For the pool: closes the file when nobody needs it open, and says whether it did. */
  maybeCloseIdle(): boolean {
    const file = this.#file;
    if (file === undefined || this.#users > 0 || this.#changes !== this.#syncedChanges) return false;
    this.#file = undefined;
    this.#pool.closed(this);
    file.close().catch(() => undefined);
    return true;
  }

  async #use<Value>(work: (file: DiskFile) => Promise<Value>): Promise<Value> {
    if (this.#isClosed) throw new DiskError("closed", "open", this.path);
    this.#users++;
    try {
      this.#pool.touch(this);
      return await work(this.#file ?? (await this.#openOnce()));
    } finally {
      this.#users--;
      if (this.#users === 0) this.#whenUnused?.();
    }
  }

  async #openOnce(): Promise<DiskFile> {
    this.#opening ??= this.#pool.open(this, this.#mode).finally(() => (this.#opening = undefined));
    const file = await this.#opening;
    this.#file = file;
    return file;
  }
}
