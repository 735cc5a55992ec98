/**
 * Ports: the four things that the core cannot do by itself. A shell (Node, browser, simulator) hands them in.
 *
 * The core prefers to take bytes in and hand effects out. It takes a port only where it must wait for an answer: for
 * the disk, for time to pass, for a peer. Each port has one conformance suite in `reference/testing`, and every
 * implementation of it passes that suite.
 */

/** Time. Two clocks, because they answer different questions and fail in different ways. */
export interface Clock {
  /** Milliseconds since the Unix epoch, for people and for record ids. It may step, forwards and backwards. */
  wallTimeMs(): number;
  /** Milliseconds from an arbitrary start, for durations and deadlines. It never goes back. */
  monotonicTimeMs(): number;
  /** Calls `callback` once after `delayMs`; the function that it returns cancels the call, and may be called twice. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Randomness: a seeded generator in the simulator and in tests, the platform's generator elsewhere. */
export interface Random {
  /** A whole number from 0 to 2^32 - 1, uniformly. */
  nextUint32(): number;
}

/**
 * A 32-bit checksum over `bytes[start..end)`, as an unsigned number. The core has its own (base/crc32.ts); a shell may
 * hand in a faster one that gives the same numbers.
 */
export type Checksum = (bytes: Uint8Array, start?: number, end?: number) => number;

/** Why a disk operation failed: what the operating system said, in words that are the same on every platform. */
export type DiskErrorCode =
  | "not-found"
  | "already-exists"
  | "permission-denied"
  | "no-space"
  | "read-only"
  | "too-many-open-files"
  | "is-directory"
  | "not-directory"
  | "not-empty"
  | "input-output"
  | "closed";

/** A failed disk operation. `path` is the file concerned, `operation` the port's method name. */
export class DiskError extends Error {
  readonly code: DiskErrorCode;
  readonly path: string;
  readonly operation: string;

  constructor(code: DiskErrorCode, operation: string, path: string, cause?: unknown) {
    super(`${operation} ${path}: ${code}`, cause === undefined ? undefined : { cause });
    this.name = "DiskError";
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}

/** How a file is opened. `create` makes it when it is missing; `create-new` fails when it is there. */
export type OpenMode = "read" | "read-write" | "create" | "create-new";

/**
 * A disk: a tree of directories and files under one root. Paths are relative, with `/` between names.
 *
 * The contract is the weak one of real systems, not the one that we would like:
 * - `write` puts bytes where later reads see them, and promises nothing about a crash;
 * - `sync` makes a file's bytes and length survive a crash, and a failed `sync` says nothing about which bytes did;
 * - a new, renamed or removed *name* survives a crash only after `syncDirectory` of its directory.
 *
 * Operations reject with `DiskError`.
 */
export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Names in a directory, sorted; rejects with `not-found` when it is missing. */
  list(path: string): Promise<string[]>;
  /** Makes a directory and those above it; no error when it is there already. */
  makeDirectory(path: string): Promise<void>;
  /** Replaces `target` when it is there. Atomic: a reader sees the old or the new file. */
  rename(source: string, target: string): Promise<void>;
  /** Removes one file, or one empty directory. */
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}

/** An open file. Every position and length is in bytes. */
export interface DiskFile {
  readonly path: string;
  /** Reads up to `target.length` bytes from `position`; resolves to the count read, 0 at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes up to `source.length` bytes at `position`; resolves to the count written, which may be smaller. */
  write(source: Uint8Array, position: number): Promise<number>;
  /** Makes what was written survive a crash. After a rejection the caller must not trust a later success. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  length(): Promise<number>;
  close(): Promise<void>;
}

/** A two-way stream of bytes to one peer. The shell calls `receive`, `drained` and `closed` on the core's behalf. */
export interface Connection {
  /** Hands bytes over for good; false means that the peer reads too slowly: stop until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /**
   * Whether nothing of what was written is used any more, so that the writer may use its memory again. Absent where
   * that cannot be known: then it never may.
   */
  readonly hasSent?: boolean;
  /** Stops reading, so that the peer's writes come to a halt as well; `onData` may still bring what was on its way. */
  pause(): void;
  /** Reads again. Both may be called twice. */
  resume(): void;
  /** Ends the stream after what was written; the peer sees an orderly end. */
  end(): void;
  /** Drops the connection at once. */
  destroy(): void;
  /** Bytes from the peer. The chunk is good during the call only: its memory may hold the next one afterwards. */
  onData: (chunk: Uint8Array) => void;
  onDrain: () => void;
  /** Called once; `reason` is absent when the peer ended the stream in order. */
  onClose: (reason?: Error) => void;
}

/** A network of named addresses (`host:port` for TCP, any text in the simulator and in the page). */
export interface Network {
  connect(address: string): Promise<Connection>;
  listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener>;
}

/** A bound address. */
export interface Listener {
  /** The address that peers can connect to, with the port that was chosen when 0 was asked for. */
  readonly address: string;
  close(): Promise<void>;
}
