/**
 * The Disk port in memory: for a broker that lives as long as its page.
 *
 * It never fails and never loses anything but everything: `sync` has nothing to do. The disk on which storage is tested
 * is the simulator's, which does lose what was not synced.
 */
import type { Disk, DiskFile, OpenMode } from "../ports.ts";
import { DiskError } from "../ports.ts";

/** The bytes of one file; its room doubles as it grows. */
interface FileBytes {
  bytes: Uint8Array;
  length: number;
}

const roomMin = 4096;

/** A tree of files that nobody else sees. */
export class MemoryDisk implements Disk {
  readonly #files = new Map<string, FileBytes>();
  readonly #directories = new Set<string>([""]);

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    this.#checkPath(path, "open");
    if (this.#directories.has(path)) throw new DiskError("is-directory", "open", path);
    const known = this.#files.get(path);
    if (known !== undefined) {
      if (mode === "create-new") throw new DiskError("already-exists", "open", path);
      return new MemoryFile(path, known, mode === "read");
    }
    const mayCreate = mode === "create" || mode === "create-new";
    if (!mayCreate || !this.#directories.has(parentOf(path))) throw new DiskError("not-found", "open", path);
    const made = { bytes: new Uint8Array(0), length: 0 };
    this.#files.set(path, made);
    return new MemoryFile(path, made, false);
  }

  async list(path: string): Promise<string[]> {
    this.#checkPath(path, "list");
    if (this.#files.has(path)) throw new DiskError("not-directory", "list", path);
    if (!this.#directories.has(path)) throw new DiskError("not-found", "list", path);
    const prefix = path === "" ? "" : `${path}/`;
    return [...this.#files.keys(), ...this.#directories]
      .filter((other) => other !== "" && other.startsWith(prefix) && parentOf(other) === path)
      .map((other) => other.slice(prefix.length))
      .sort();
  }

  async makeDirectory(path: string): Promise<void> {
    this.#checkPath(path, "makeDirectory");
    for (let at = path; at !== ""; at = parentOf(at)) {
      if (this.#files.has(at)) throw new DiskError("not-directory", "makeDirectory", at);
      this.#directories.add(at);
    }
  }

  async rename(source: string, target: string): Promise<void> {
    this.#checkPath(source, "rename");
    this.#checkPath(target, "rename");
    if (!this.#directories.has(parentOf(target))) throw new DiskError("not-found", "rename", target);
    const file = this.#files.get(source);
    if (file !== undefined) {
      if (this.#directories.has(target)) throw new DiskError("is-directory", "rename", target);
      this.#files.delete(source);
      this.#files.set(target, file);
      return;
    }
    if (!this.#directories.has(source)) throw new DiskError("not-found", "rename", source);
    const moved = (path: string): string => target + path.slice(source.length);
    const isBelow = (path: string): boolean => path === source || path.startsWith(`${source}/`);
    for (const [path, bytes] of Array.from(this.#files)) {
      if (isBelow(path) && this.#files.delete(path)) this.#files.set(moved(path), bytes);
    }
    for (const path of Array.from(this.#directories)) {
      if (isBelow(path) && this.#directories.delete(path)) this.#directories.add(moved(path));
    }
  }

  async remove(path: string): Promise<void> {
    this.#checkPath(path, "remove");
    if (this.#files.delete(path)) return;
    if (!this.#directories.has(path)) throw new DiskError("not-found", "remove", path);
    if ((await this.list(path)).length > 0) throw new DiskError("not-empty", "remove", path);
    this.#directories.delete(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#checkPath(path, "syncDirectory");
    if (!this.#directories.has(path)) throw new DiskError("not-found", "syncDirectory", path);
  }

  /** A path stays within the disk, and what stands above its last name is no file: as on the other disks. */
  #checkPath(path: string, operation: string): void {
    if (path === "") return;
    const isName = (name: string): boolean =>
      name !== "" && name !== "." && name !== ".." && !/[\\\0]/.test(name);
    if (!path.split("/").every(isName)) throw new DiskError("permission-denied", operation, path);
    for (let above = parentOf(path); above !== ""; above = parentOf(above)) {
      if (this.#files.has(above)) throw new DiskError("not-directory", operation, path);
    }
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #file: FileBytes;
  readonly #isReadOnly: boolean;
  #isClosed = false;

  constructor(path: string, file: FileBytes, isReadOnly: boolean) {
    this.path = path;
    this.#file = file;
    this.#isReadOnly = isReadOnly;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#check("read");
    const { bytes, length } = this.#file;
    const source = bytes.subarray(Math.min(position, length), Math.min(position + target.length, length));
    target.set(source);
    return source.length;
  }

  async write(source: Uint8Array, position: number): Promise<number> {
    this.#check("write");
    this.#checkWritable("write");
    const end = position + source.length;
    this.#reserve(end);
    this.#file.bytes.set(source, position);
    this.#file.length = Math.max(this.#file.length, end);
    return source.length;
  }

  async sync(): Promise<void> {
    this.#check("sync");
  }

  async truncate(length: number): Promise<void> {
    this.#check("truncate");
    this.#checkWritable("truncate");
    this.#reserve(length);
    this.#file.bytes.fill(0, length);
    this.#file.length = length;
  }

  async length(): Promise<number> {
    this.#check("length");
    return this.#file.length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #reserve(end: number): void {
    const file = this.#file;
    if (end <= file.bytes.length) return;
    const grown = new Uint8Array(Math.max(end, file.bytes.length * 2, roomMin));
    grown.set(file.bytes.subarray(0, file.length));
    file.bytes = grown;
  }

  #checkWritable(operation: string): void {
    if (this.#isReadOnly) throw new DiskError("permission-denied", operation, this.path);
  }

  #check(operation: string): void {
    if (this.#isClosed) throw new DiskError("closed", operation, this.path);
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
