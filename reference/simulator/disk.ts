/**
 * A disk in memory that fails the way disks do, on purpose and reproducibly.
 *
 * It keeps the promises of the Disk port and not one more: what was not synced may be lost in parts, a name needs its
 * directory synced, a write may be short, a failed sync loses data for good. Which call fails, and how, stands in a
 * *plan*: plain data, so that a property test can shrink it and a failing run can be replayed.
 *
 * Every operation is a *call* with a number. A plan can crash the machine before or after any call; the caller then
 * never hears from the disk again, as a process that has ended would not. `restart` gives the disk that the next
 * process finds.
 */
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError, type Disk, type DiskErrorCode, type DiskFile, type OpenMode } from "../ports.ts";
import { DirectoryImage, FileImage, type Survival } from "./disk-image.ts";

export { sectorBytes, type Survival } from "./disk-image.ts";

/** One thing that goes wrong, at the call with this number; the first call is number 0. */
export type DiskFault =
  /** The machine stops; the call has or has not happened, and nobody is told. */
  | { readonly call: number; readonly kind: "crash"; readonly when: "before" | "after" }
  /** The machine stops in the middle of a write: only its first bytes reach the page cache. */
  | { readonly call: number; readonly kind: "torn-write"; readonly bytes: number }
  /** The call fails. A `sync` that fails drops what was dirty: no later sync writes it. */
  | { readonly call: number; readonly kind: "fail"; readonly code: DiskErrorCode }
  /** A read or write handles at most so many bytes, and says so. */
  | { readonly call: number; readonly kind: "short"; readonly bytes: number };

/** What goes wrong with a disk. */
export interface DiskPlan {
  readonly faults?: readonly DiskFault[];
  /** Bytes that all files together can have; writes beyond it fail with `no-space`. */
  readonly capacityBytes?: number;
  /** Decides in how many steps a call completes, and so how calls overlap. Without it, each takes one. */
  readonly timingSeed?: number;
  /** Holds a call until the promise resolves: for tests that decide themselves what overlaps what. */
  readonly gate?: (call: DiskCall) => Promise<void> | undefined;
}

/** One call, for gates and traces. */
export interface DiskCall {
  readonly number: number;
  readonly operation: string;
  readonly path: string;
  /** Position and count of bytes, where the operation has them. */
  readonly detail: string;
}

const nothingGoesWrong: DiskPlan = {};
/** How many calls a trace keeps. */
const traceMax = 1000;

/** The simulated disk. */
export class SimulatedDisk implements Disk {
  /** Calls so far. */
  calls = 0;
  /** Calls so far by operation: `sync`, `write`, … */
  readonly counts: Record<string, number> = {};
  /** Files that are open: a test expects none to be left. */
  openFiles = 0;
  isCrashed = false;
  /** Resolves when the plan has stopped the machine. */
  readonly crashed: Promise<void>;
  /** The last calls, one line each, for the message of a failing test. */
  readonly trace: string[] = [];

  #plan: DiskPlan;
  #root: DirectoryImage;
  #timing: SeededRandom | undefined;
  #announceCrash: () => void = () => undefined;

  constructor(plan: DiskPlan = nothingGoesWrong, root: DirectoryImage = new DirectoryImage()) {
    this.#plan = plan;
    this.#root = root;
    this.#timing = plan.timingSeed === undefined ? undefined : new SeededRandom(plan.timingSeed);
    this.crashed = new Promise((resolve) => (this.#announceCrash = resolve));
  }

  /** A copy with all its unsynced state, under another plan: to continue one history in many ways. */
  clone(plan: DiskPlan = nothingGoesWrong): SimulatedDisk {
    return new SimulatedDisk(plan, this.#root.clone());
  }

  /** The disk that the next process finds. This one stops answering. */
  restart(survival: Survival, plan: DiskPlan = nothingGoesWrong): SimulatedDisk {
    void this.#crash();
    if (survival.kind === "everything") return new SimulatedDisk(plan, this.#root);
    const random = new SeededRandom(survival.kind === "random" ? survival.seed : 0);
    return new SimulatedDisk(plan, this.#root.afterPowerLoss(survival, random));
  }

  /** Puts another plan in force; its call numbers count from now on. */
  replan(plan: DiskPlan): void {
    this.#plan = plan;
    this.#timing = plan.timingSeed === undefined ? undefined : new SeededRandom(plan.timingSeed);
    this.calls = 0;
  }

  /** Puts a line of the test's own into the trace: who was told what, between which calls. Not a call. */
  note(line: string): void {
    if (this.trace.length === traceMax) this.trace.shift();
    this.trace.push(line);
  }

  /** The bytes of a file as a process would read them; undefined when there is none. Not a call. */
  peek(path: string): Uint8Array | undefined {
    const node = this.#find(path);
    return node?.kind === "file" ? node.bytes.slice(0, node.length) : undefined;
  }

  /** Puts a file there, durably. Not a call. */
  poke(path: string, bytes: Uint8Array): void {
    const { directory, name } = this.#split("open", path);
    directory.add(name, new FileImage(bytes.slice()));
    directory.sync();
  }

  /** Damages one bit, on the platters too. Not a call. */
  flipBit(path: string, position: number, bit = 0): void {
    const node = this.#find(path);
    if (node?.kind === "file") node.flipBit(position, bit);
  }

  /** The paths of all files, sorted. Not a call. */
  paths(): string[] {
    const found: string[] = [];
    const walk = (directory: DirectoryImage, prefix: string): void => {
      for (const [name, node] of directory.names) {
        if (node.kind === "file") found.push(prefix + name);
        else walk(node, `${prefix}${name}/`);
      }
    };
    walk(this.#root, "");
    return found.sort();
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.#call("open", path, mode, () => {
      const { directory, name } = this.#split("open", path);
      const node = directory.names.get(name);
      if (node?.kind === "directory") throw new DiskError("is-directory", "open", path);
      if (node !== undefined && mode === "create-new") throw new DiskError("already-exists", "open", path);
      if (node === undefined && mode !== "create" && mode !== "create-new") {
        throw new DiskError("not-found", "open", path);
      }
      const file = node ?? new FileImage();
      if (node === undefined) directory.add(name, file);
      this.openFiles++;
      return new SimulatedFile(this, path, file, mode === "read");
    });
  }

  list(path: string): Promise<string[]> {
    return this.#call("list", path, "", () => [...this.#directory("list", path).names.keys()].sort());
  }

  makeDirectory(path: string): Promise<void> {
    return this.#call("makeDirectory", path, "", () => {
      let directory = this.#root;
      for (const name of partsOf("makeDirectory", path)) {
        let node = directory.names.get(name);
        if (node?.kind === "file") throw new DiskError("already-exists", "makeDirectory", path);
        if (node === undefined) directory.add(name, (node = new DirectoryImage()));
        directory = node;
      }
    });
  }

  rename(source: string, target: string): Promise<void> {
    return this.#call("rename", source, target, () => {
      const from = this.#split("rename", source);
      const to = this.#split("rename", target);
      const node = from.directory.names.get(from.name);
      if (node === undefined) throw new DiskError("not-found", "rename", source);
      if (to.directory.names.get(to.name)?.kind === "directory")
        throw new DiskError("is-directory", "rename", source);
      if (from.directory === to.directory) {
        from.directory.rename(from.name, to.name);
      } else {
        to.directory.add(to.name, node);
        from.directory.remove(from.name);
      }
    });
  }

  remove(path: string): Promise<void> {
    return this.#call("remove", path, "", () => {
      const { directory, name } = this.#split("remove", path);
      const node = directory.names.get(name);
      if (node === undefined) throw new DiskError("not-found", "remove", path);
      if (node.kind === "directory" && node.names.size > 0) throw new DiskError("not-empty", "remove", path);
      directory.remove(name);
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#call("syncDirectory", path, "", () => this.#directory("syncDirectory", path).sync());
  }

  /** For `SimulatedFile`: one numbered call on an open file. */
  fileCall<Value>(
    operation: string,
    path: string,
    detail: string,
    file: FileImage,
    apply: (bytesMax: number) => Value,
  ): Promise<Value> {
    return this.#call(operation, path, detail, apply, file);
  }

  /** For `SimulatedFile`: how much of a write still fits. */
  roomFor(file: FileImage, position: number, bytes: number): number {
    const { capacityBytes } = this.#plan;
    if (capacityBytes === undefined) return bytes;
    const growth = Math.max(0, position + bytes - file.length);
    const room = Math.max(0, capacityBytes - usedBytes(this.#root));
    return growth <= room ? bytes : Math.max(0, bytes - (growth - room));
  }

  async #call<Value>(
    operation: string,
    path: string,
    detail: string,
    apply: (bytesMax: number) => Value,
    file?: FileImage,
  ): Promise<Value> {
    if (this.isCrashed) return never<Value>();
    const call: DiskCall = { number: this.calls++, operation, path, detail };
    this.counts[operation] = (this.counts[operation] ?? 0) + 1;
    this.note(`${call.number} ${operation} ${path} ${detail}`.trimEnd());
    const fault = this.#plan.faults?.find((candidate) => candidate.call === call.number);
    // A call takes effect some steps after it was made: others may come in between.
    for (let steps = this.#timing?.nextBetween(1, 6) ?? 1; steps > 0; steps--) await Promise.resolve();
    await this.#plan.gate?.(call);
    if (this.isCrashed) return never<Value>();
    if (fault?.kind === "crash" && fault.when === "before") return this.#crash();
    if (fault?.kind === "fail") {
      if (operation === "sync") file?.forgetDirty();
      throw new DiskError(fault.code, operation, path);
    }
    const isPartial = fault?.kind === "short" || fault?.kind === "torn-write";
    try {
      const value = apply(isPartial ? fault.bytes : Infinity);
      await Promise.resolve();
      // The machine may have stopped in between, by another call.
      return this.isCrashed ? never<Value>() : value;
    } finally {
      // An error is not heard either.
      if (fault?.kind === "crash" || fault?.kind === "torn-write") await this.#crash();
    }
  }

  #crash<Value>(): Promise<Value> {
    this.isCrashed = true;
    this.#announceCrash();
    return never<Value>();
  }

  #find(path: string): FileImage | DirectoryImage | undefined {
    let node: FileImage | DirectoryImage | undefined = this.#root;
    for (const name of partsOf("open", path)) {
      if (node?.kind !== "directory") return undefined;
      node = node.names.get(name);
    }
    return node;
  }

  #directory(operation: string, path: string): DirectoryImage {
    const node = this.#find(path);
    if (node === undefined) throw new DiskError("not-found", operation, path);
    if (node.kind !== "directory") throw new DiskError("not-directory", operation, path);
    return node;
  }

  #split(operation: string, path: string): { directory: DirectoryImage; name: string } {
    const parts = partsOf(operation, path);
    const name = parts.pop();
    if (name === undefined) throw new DiskError("is-directory", operation, path);
    return { directory: this.#directory(operation, parts.join("/")), name };
  }
}

/** An open file of a simulated disk. */
class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly #disk: SimulatedDisk;
  readonly #file: FileImage;
  readonly #isReadOnly: boolean;
  #isClosed = false;

  constructor(disk: SimulatedDisk, path: string, file: FileImage, isReadOnly: boolean) {
    this.#disk = disk;
    this.path = path;
    this.#file = file;
    this.#isReadOnly = isReadOnly;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    const detail = `${target.length} bytes at ${position}`;
    return this.#call("read", detail, (bytesMax) => {
      return this.#file.read(target.subarray(0, Math.min(target.length, bytesMax)), position);
    });
  }

  write(source: Uint8Array, position: number): Promise<number> {
    return this.#call("write", `${source.length} bytes at ${position}`, (bytesMax) => {
      this.#mustBeWritable("write");
      const room = this.#disk.roomFor(this.#file, position, source.length);
      const count = Math.min(source.length, bytesMax, room);
      if (count === 0 && source.length > 0) throw new DiskError("no-space", "write", this.path);
      this.#file.write(source.subarray(0, count), position);
      return count;
    });
  }

  sync(): Promise<void> {
    return this.#call("sync", "", () => this.#file.sync());
  }

  truncate(length: number): Promise<void> {
    return this.#call("truncate", `to ${length}`, () => {
      this.#mustBeWritable("truncate");
      this.#file.truncate(length);
    });
  }

  length(): Promise<number> {
    return this.#call("length", "", () => this.#file.length);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disk.openFiles--;
    await this.#disk.fileCall("close", this.path, "", this.#file, () => undefined);
  }

  #mustBeWritable(operation: string): void {
    if (this.#isReadOnly) throw new DiskError("permission-denied", operation, this.path);
  }

  #call<Value>(operation: string, detail: string, apply: (bytesMax: number) => Value): Promise<Value> {
    if (this.#isClosed) return Promise.reject(new DiskError("closed", operation, this.path));
    return this.#disk.fileCall(operation, this.path, detail, this.#file, apply);
  }
}

/** The names in a path; refuses what would leave the root. `""` is the root itself. */
function partsOf(operation: string, path: string): string[] {
  const parts = path === "" ? [] : path.split("/");
  const isInside = parts.every(
    (part) => part !== "" && part !== "." && part !== ".." && !/[\\\0]/.test(part),
  );
  if (!isInside) throw new DiskError("permission-denied", operation, path);
  return parts;
}

function usedBytes(directory: DirectoryImage): number {
  let bytes = 0;
  for (const node of directory.names.values()) bytes += node.kind === "file" ? node.length : usedBytes(node);
  return bytes;
}

/** What a process that has ended hears. */
function never<Value>(): Promise<Value> {
  return new Promise(() => undefined);
}
