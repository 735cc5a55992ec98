/**
 * The Disk port over `node:fs`: one folder of the real file system.
 *
 * Every call goes to libuv's thread pool, so that a slow disk never stops the event loop, with one exception. A small
 * write ends in the page cache after a few microseconds, and so does a read of what was written lately; the way to the
 * pool and back costs about fifty. So both are made in place, as long as they are as fast as that. One that was not
 * (the kernel slows writers down when too much is dirty, or the bytes are not in the cache) sends those that follow for
 * a while to the pool.
 *
 * Files are plain descriptors: a `FileHandle` adds a promise and an object to every call.
 */
import fs from "node:fs";
import path from "node:path";
import { makeDirectory } from "./make-directory.ts";
import { SyncPlace } from "./sync-place.ts";
import { DiskError, type Disk, type DiskErrorCode, type DiskFile, type OpenMode } from "../ports.ts";

/** Writes and reads up to this size are made in place. */
export const inlineWriteBytesMax = 1024 * 1024;
const inlineReadBytesMax = 256 * 1024;
/** A write in place that took longer than this was no mere copy into the page cache; nor was such a read out of it. */
const inlineWriteMsMax = 2;
const inlineReadMsMax = 0.5;
/** After such a call all go to the thread pool for so many times as long: the loop loses a twentieth at most. */
const inlinePauseFactor = 20;

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
const openFlags: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  "read-write": O_RDWR,
  create: O_RDWR | O_CREAT,
  "create-new": O_RDWR | O_CREAT | O_EXCL,
};

const codes: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: "not-found",
  EEXIST: "already-exists",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
  ENOSPC: "no-space",
  EDQUOT: "no-space",
  EROFS: "read-only",
  EMFILE: "too-many-open-files",
  ENFILE: "too-many-open-files",
  EISDIR: "is-directory",
  ENOTDIR: "not-directory",
  ENOTEMPTY: "not-empty",
  EBADF: "closed",
};

/** What `node:fs` threw, in the port's words; what has no word of its own is an input-output error. */
function diskError(cause: unknown, operation: string, name: string): DiskError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return new DiskError(codes[code] ?? "input-output", operation, name, cause);
}

/** Turns one call with a Node callback into a promise that rejects with a `DiskError`. */
function call<Value>(
  operation: string,
  name: string,
  start: (done: (error: NodeJS.ErrnoException | null, value?: Value) => void) => void,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null) resolve(value as Value);
      else reject(diskError(error, operation, name));
    });
  });
}

/** A folder as a disk. */
export class NodeDisk implements Disk {
  /** The folder's absolute path. */
  readonly root: string;

  /** The folder must be there; `NodeDisk.prepare` makes it. */
  constructor(root: string) {
    this.root = path.resolve(root);
  }

  /** Makes the folder when it is missing and proves that files can be made in it; rejects with `DiskError`. */
  static async prepare(root: string): Promise<NodeDisk> {
    const disk = new NodeDisk(root);
    await disk.#makeDirectory(root, disk.root);
    const probe = `.probe-${process.pid}`;
    const file = await disk.open(probe, "create");
    try {
      await file.write(new Uint8Array(1), 0);
    } finally {
      await file.close();
      await disk.remove(probe);
    }
    return disk;
  }

  async open(name: string, mode: OpenMode): Promise<DiskFile> {
    const full = this.#resolve("open", name);
    const descriptor = await call<number>("open", name, (done) => fs.open(full, openFlags[mode], done));
    if (mode === "read") {
      // Linux opens a directory for reading and fails only at the first read: too late for a clear error.
      const stats = await call<fs.Stats>("open", name, (done) => fs.fstat(descriptor, done));
      if (stats.isDirectory()) {
        await call("close", name, (done) => fs.close(descriptor, done));
        throw new DiskError("is-directory", "open", name);
      }
    }
    return new NodeDiskFile(name, descriptor);
  }

  async list(name: string): Promise<string[]> {
    const full = this.#resolve("list", name);
    const names = await call<string[]>("list", name, (done) => fs.readdir(full, done));
    return names.sort();
  }

  async makeDirectory(name: string): Promise<void> {
    await this.#makeDirectory(name, this.#resolve("makeDirectory", name));
  }

  async #makeDirectory(name: string, full: string): Promise<void> {
    try {
      await makeDirectory(full);
    } catch (error) {
      throw diskError(error, "makeDirectory", name);
    }
  }

  async rename(source: string, target: string): Promise<void> {
    const from = this.#resolve("rename", source);
    const to = this.#resolve("rename", target);
    await call("rename", source, (done) => fs.rename(from, to, done));
  }

  async remove(name: string): Promise<void> {
    const full = this.#resolve("remove", name);
    const stats = await call<fs.Stats>("remove", name, (done) => fs.lstat(full, done));
    if (stats.isDirectory()) await call("remove", name, (done) => fs.rmdir(full, done));
    else await call("remove", name, (done) => fs.unlink(full, done));
  }

  async syncDirectory(name: string): Promise<void> {
    const full = this.#resolve("syncDirectory", name);
    // Windows has no handle of a directory that could be synced; NTFS journals names by itself.
    if (process.platform === "win32") return;
    const descriptor = await call<number>("syncDirectory", name, (done) => fs.open(full, O_RDONLY, done));
    try {
      await call("syncDirectory", name, (done) => fs.fsync(descriptor, done));
    } finally {
      await call("syncDirectory", name, (done) => fs.close(descriptor, done));
    }
  }

  /** The absolute path; refuses what would leave the folder. `""` is the folder itself. */
  #resolve(operation: string, name: string): string {
    const parts = name === "" ? [] : name.split("/");
    const isInside = parts.every(
      (part) => part !== "" && part !== "." && part !== ".." && !/[\\\0]/.test(part),
    );
    if (!isInside) throw new DiskError("permission-denied", operation, name);
    return path.join(this.root, ...parts);
  }
}

/** Until when writes or reads of all files go to the thread pool: they share the disk that was slow. */
let inlinePausedUntilMs = 0;
let inlineReadsPausedUntilMs = 0;
const syncPlace = new SyncPlace();

/**
 * An open descriptor. `close` waits for the calls in flight: the kernel hands a closed number to the next
 * open file.
 */
class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  #isClosed = false;
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;

  constructor(name: string, descriptor: number) {
    this.path = name;
    this.#descriptor = descriptor;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    if (target.length <= inlineReadBytesMax && !this.#isClosed) {
      const startMs = performance.now();
      if (startMs >= inlineReadsPausedUntilMs) return this.#readInline(target, position, startMs);
    }
    return this.#run("read", (done) => fs.read(this.#descriptor, target, 0, target.length, position, done));
  }

  write(source: Uint8Array, position: number): Promise<number> {
    if (source.length <= inlineWriteBytesMax && !this.#isClosed) {
      const startMs = performance.now();
      if (startMs >= inlinePausedUntilMs) return this.#writeInline(source, position, startMs);
    }
    return this.#run("write", (done) => fs.write(this.#descriptor, source, 0, source.length, position, done));
  }

  /** Bytes and length, but not the time of the last change, which nobody here reads: `fdatasync`. */
  sync(): Promise<void> {
    if (syncPlace.isInPlace && !this.#isClosed) return this.#syncInline();
    const startMs = performance.now();
    return this.#run("sync", (done) => {
      fs.fdatasync(this.#descriptor, (error) => {
        if (error === null) syncPlace.notePool(startMs, performance.now());
        done(error);
      });
    });
  }

  truncate(length: number): Promise<void> {
    return this.#run("truncate", (done) => fs.ftruncate(this.#descriptor, length, done));
  }

  async length(): Promise<number> {
    const stats = await this.#run<fs.Stats>("length", (done) => fs.fstat(this.#descriptor, done));
    return stats.size;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await call("close", this.path, (done) => fs.close(this.#descriptor, done));
  }

  #writeInline(source: Uint8Array, position: number, startMs: number): Promise<number> {
    try {
      const count = fs.writeSync(this.#descriptor, source, 0, source.length, position);
      const endMs = performance.now();
      const tookMs = endMs - startMs;
      if (tookMs > inlineWriteMsMax) inlinePausedUntilMs = endMs + tookMs * inlinePauseFactor;
      return Promise.resolve(count);
    } catch (error) {
      return Promise.reject(diskError(error, "write", this.path));
    }
  }

  #syncInline(): Promise<void> {
    try {
      const startMs = performance.now();
      fs.fdatasyncSync(this.#descriptor);
      syncPlace.noteInPlace(startMs, performance.now());
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(diskError(error, "sync", this.path));
    }
  }

  #readInline(target: Uint8Array, position: number, startMs: number): Promise<number> {
    try {
      const count = fs.readSync(this.#descriptor, target, 0, target.length, position);
      const endMs = performance.now();
      const tookMs = endMs - startMs;
      if (tookMs > inlineReadMsMax) inlineReadsPausedUntilMs = endMs + tookMs * inlinePauseFactor;
      return Promise.resolve(count);
    } catch (error) {
      return Promise.reject(diskError(error, "read", this.path));
    }
  }

  #run<Value>(
    operation: string,
    start: (done: (error: NodeJS.ErrnoException | null, value?: Value) => void) => void,
  ): Promise<Value> {
    if (this.#isClosed) return Promise.reject(new DiskError("closed", operation, this.path));
    this.#inFlight++;
    return new Promise((resolve, reject) => {
      start((error, value) => {
        this.#inFlight--;
        if (this.#inFlight === 0) this.#whenIdle?.();
        if (error === null) resolve(value as Value);
        else reject(diskError(error, operation, this.path));
      });
    });
  }
}
