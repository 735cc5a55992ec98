// Generated from reference/storage/consumer-offsets.ts (stub 38ef4229).
// Write your solution here; `npx oz reset 02-storage/06-consumer-offsets` starts again.
/**
 * Consumer offsets: how far each group has read each partition, kept over restarts.
 *
 * A stored offset is that of the *next* record to read, not of the last one that was read. Three things can change it:
 *
 * - `commit`, by the consumer that owns the partition, while it owns it. It only moves forward: a commit that was
 *   overtaken by a later one must not take the group back;
 * - `set`, by hand, to any offset, also backwards and to 0. It fences the owner, whose next commit would undo it;
 * - `remove`, when the group or the topic goes.
 *
 * An owner is known by its *fence*, a number that grows with each new owner. A consumer whose connection is gone may
 * have a commit on its way; it carries the old fence and is refused.
 *
 * Changes are appended to a file, many with one write and one sync (group-commit.ts), and the last entry of a key
 * counts. When most of the file is out of date it is replaced, as a whole, by one with the newest entries only.
 */
import { todo } from "#exercises/lib/todo.ts";
import { DiskError, type Checksum, type Clock, type Disk, type DiskFile } from "#reference/ports.ts";
import { concatBytes } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import {
  directoryOf,
  ignoreDiskError,
  makeDirectoryDurably,
  putInPlace,
  readWhole,
  removeIfThere,
  temporarySuffix,
  writeFully,
  writeTemporary,
} from "#reference/storage/file-io.ts";
import { GroupCommit, type CommitResult, type FsyncPolicy, type WriteRound } from "#reference/storage/group-commit.ts";
import { uint32Max } from "#reference/storage/integers.ts";
import {
  decodeOffsetEntry,
  encodeOffsetEntry,
  keyText,
  type OffsetEntry,
  type OffsetKey,
} from "#reference/storage/offset-entry.ts";
import { setLengthAgain } from "#reference/storage/write-again.ts";

export type { OffsetEntry, OffsetKey } from "#reference/storage/offset-entry.ts";

/** Where the offsets are kept and how. */
export interface ConsumerOffsetsOptions {
  readonly disk: Disk;
  /** The file. */
  readonly path: string;
  readonly clock: Clock;
  readonly checksum?: Checksum;
  /** The default is `always`: commits come in groups, and a lost one means records that are processed again. */
  readonly fsync?: FsyncPolicy;
  /** The file is replaced when it is larger than this and mostly out of date. */
  readonly compactBytesMin?: number;
}

/** How a commit ended. */
export type OffsetCommit =
  | { readonly kind: "committed"; readonly offset: number }
  /** A later offset is committed already; nothing was changed. */
  | { readonly kind: "overtaken"; readonly offset: number }
  /** The committer no longer owns this position; `fence` is its successor's. */
  | { readonly kind: "fenced"; readonly fence: number }
  | { readonly kind: "failed"; readonly error: DiskError };

/** What to do when a group has no offset, or one that the log does not have any more. */
export type ResetPolicy = "earliest" | "latest" | "fail";

/** Where a consumer begins. */
export type StartPosition =
  | { readonly kind: "resume"; readonly offset: number }
  /** The stored offset could not be used; the policy gave this one. */
  | {
      readonly kind: "reset";
      readonly offset: number;
      readonly because: "no-offset" | "below-start" | "above-end";
    }
  | { readonly kind: "out-of-range"; readonly because: "no-offset" | "below-start" | "above-end" };

/** The default size from which the file is worth replacing. */
export const compactBytesMinDefault = 256 * 1024;
/** It is replaced when it is this many times larger than its newest entries. */
const compactFactor = 4;

// #region resolve
/** Where a consumer begins, given what is stored and what the log has. An offset at the end is fine: nothing is new. */
export function resolveStart(
  stored: number | undefined,
  startOffset: number,
  endOffset: number,
  policy: ResetPolicy,
): StartPosition {
  todo("resolve");
}
// #endregion resolve

/** The stored offsets of all groups. */
export class ConsumerOffsets {
  /**
   * Bytes between entries that were no entry when the file was opened: a write that a crash left in part, or damage.
   * The offsets that stood there have gone back to what they were before.
   */
  readonly skippedBytes: number;

  readonly #options: ConsumerOffsetsOptions;
  readonly #checksum: Checksum;
  readonly #commit: GroupCommit;
  #file: DiskFile;
  /** The file, whichever it is by now, for the sync. */
  readonly #syncable = { sync: () => this.#file.sync() };
  /** What is written. */
  #stored: Map<string, OffsetEntry>;
  /** What is on its way: the newest entry of each key. Later changes are held against it. */
  #pending = new Map<string, OffsetEntry>();
  #gathered: OffsetEntry[] = [];
  /** Entries written since the file was opened. */
  #writtenCount = 0;
  #fileBytes: number;
  #liveBytes: number;

  // #region open
  /** Reads the file, which is made when it is missing, and cuts off what a crash left half written. */
  static async open(options: ConsumerOffsetsOptions): Promise<ConsumerOffsets> {
    todo("open");
  }
  // #endregion open

  private constructor(options: ConsumerOffsetsOptions, file: DiskFile, loaded: LoadedEntries) {
    this.#options = options;
    this.#checksum = options.checksum ?? crc32;
    this.#file = file;
    this.#stored = loaded.entries;
    this.#fileBytes = loaded.endPosition;
    this.#liveBytes = [...loaded.entries.values()].reduce(
      (sum, entry) => sum + this.#encode(entry).length,
      0,
    );
    this.skippedBytes = loaded.skippedBytes;
    const target = { write: () => this.#write(), discard: () => this.#discard() };
    const { fsync: policy = "always", clock } = options;
    this.#commit = new GroupCommit(target, { policy, clock, durableEnd: 0 });
  }

  /** The offset to go on from; undefined when the group has none. */
  fetch(key: OffsetKey): number | undefined {
    return this.#stored.get(keyText(key))?.offset;
  }

  /** The fence of the newest owner; 0 when there was none. */
  fenceOf(key: OffsetKey): number {
    return this.#newest(key)?.fence ?? 0;
  }

  /** All stored offsets, of one group or of all. */
  list(group?: string): OffsetEntry[] {
    const entries = [...this.#stored.values()];
    return entries.filter(
      (entry) => entry.offset !== undefined && (group === undefined || entry.group === group),
    );
  }

  // #region commit
  /**
   * Stores `offset`, the next one to read. `fence` is the committer's; without one, nobody is fenced. Resolves when it
   * is stored as the fsync policy means it.
   */
  async commit(key: OffsetKey, offset: number, fence?: number): Promise<OffsetCommit> {
    todo("commit");
  }
  // #endregion commit

  // #region set
  /** Stores any offset, forwards or backwards, also 0, and fences the owner. */
  set(key: OffsetKey, offset: number): Promise<OffsetCommit> {
    todo("set");
  }

  /** Makes a new owner: resolves to its fence, once every older one is refused for good. */
  async acquire(
    key: OffsetKey,
  ): Promise<{ readonly kind: "acquired"; readonly fence: number } | OffsetCommit> {
    todo("set");
  }
  // #endregion set

  /** Removes every offset that `matches`: of a group, or of a topic, that is gone. */
  async remove(matches: (key: OffsetKey) => boolean): Promise<OffsetCommit> {
    for (const entry of new Map([...this.#stored, ...this.#pending]).values()) {
      if (entry.offset !== undefined && matches(entry)) this.#append({ ...entry, offset: undefined });
    }
    return this.#whenStored(0);
  }

  /** Stores what is on its way and closes the file. */
  async close(): Promise<CommitResult> {
    const result = await this.#commit.close();
    await this.#file.close();
    return result;
  }

  #newest(key: OffsetKey): OffsetEntry | undefined {
    const text = keyText(key);
    return this.#pending.get(text) ?? this.#stored.get(text);
  }

  #nextFence(key: OffsetKey): number {
    return Math.min(this.fenceOf(key) + 1, uint32Max);
  }

  #append(entry: OffsetEntry): void {
    this.#pending.set(keyText(entry), entry);
    this.#gathered.push(entry);
    this.#commit.appended();
  }

  async #whenStored(offset: number): Promise<OffsetCommit> {
    const result = await this.#commit.committed();
    return result.kind === "failed" ? result : { kind: "committed", offset };
  }

  async #write(): Promise<WriteRound> {
    const entries = this.#gathered;
    this.#gathered = [];
    const bytes = concatBytes(entries.map((entry) => this.#encode(entry)));
    await writeFully(this.#file, bytes, this.#fileBytes);
    this.#fileBytes += bytes.length;
    this.#writtenCount += entries.length;
    // With `always` these can be fetched a sync too early. Nobody is told before, and a reader who sees an offset that
    // a crash then takes back begins earlier, where it began before.
    this.#adopt(entries);
    const { compactBytesMin = compactBytesMinDefault } = this.#options;
    if (this.#fileBytes > compactBytesMin && this.#fileBytes > compactFactor * this.#liveBytes)
      await this.#compact();
    return { endOffset: this.#writtenCount, files: [this.#syncable] };
  }

  #adopt(entries: readonly OffsetEntry[]): void {
    for (const entry of entries) {
      const text = keyText(entry);
      const before = this.#stored.get(text);
      this.#liveBytes +=
        this.#encode(entry).length - (before === undefined ? 0 : this.#encode(before).length);
      this.#stored.set(text, entry);
      if (this.#pending.get(text) === entry) this.#pending.delete(text);
    }
  }

  // #region compact
  /** Replaces the file by one with the newest entry of each key. */
  async #compact(): Promise<void> {
    todo("compact");
  }
  // #endregion compact

  #discard(): Promise<void> {
    this.#gathered = [];
    this.#pending.clear();
    return this.#file.truncate(this.#fileBytes).then(() => this.#file.sync());
  }

  #encode(entry: OffsetEntry): Uint8Array {
    return encodeOffsetEntry(entry, this.#checksum);
  }
}

/** What a file held. */
interface LoadedEntries {
  readonly entries: Map<string, OffsetEntry>;
  /** Where the next entry goes. */
  readonly endPosition: number;
  readonly skippedBytes: number;
}

// #region load
/** Reads entries to the end of the last good one. Never throws, whatever the bytes are. */
function loadEntries(bytes: Uint8Array, checksum: Checksum): LoadedEntries {
  todo("load");
}
// #endregion load

function nameOf({ group, topic, partition }: OffsetKey): OffsetKey {
  return { group, topic, partition };
}
