// Generated from reference/storage/consumer-offsets.ts (stub ae748365).
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
  // 1. A stored offset that the log has is used. 0 is an offset like any other.
  if (stored !== undefined && stored >= todo("which offsets can be used as they are?"))
    return { kind: "resume", offset: stored };
  // 2. Retention may have overtaken the group, or the log may have lost its end: the policy decides, never a crash.
  const because = stored === undefined ? "no-offset" : todo("too old, or ahead?");
  if (policy === "fail") return { kind: "out-of-range", because };
  return { kind: "reset", offset: todo("where does the policy send it?"), because };
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
    const { disk, path, checksum = crc32 } = options;
    // 1. All that is there. A missing file is one without entries.
    const bytes = (await readWhole(disk, path)) ?? new Uint8Array(0);
    const loaded = loadEntries(bytes, checksum);
    // 2. The file, in a directory whose own name is durable.
    await makeDirectoryDurably(disk, directoryOf(path));
    const file = await disk.open(path, "create");
    // 3. Cut what lies behind the last entry: the next one must land right behind it.
    if (todo("when is there something to cut?")) await file.truncate(loaded.endPosition);
    // 4. What was just read may be in memory only, and its name too: a process that ended here may not have come to
    //    its syncs, or one of them failed, and then the next one does not write it either. Nothing may be relied on
    //    before it was written again and is on disk.
    await writeFully(file, bytes.subarray(0, loaded.endPosition), 0);
    await setLengthAgain(file);
    await file.sync();
    await todo("and the file's name?");
    return new ConsumerOffsets(options, file, loaded);
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
    const newest = this.#newest(key);
    const newestFence = newest?.fence ?? 0;
    // 1. An owner that has been replaced changes nothing, however late its commit comes.
    if (todo("who does not own it any more?")) return { kind: "fenced", fence: newestFence };
    // 2. A commit never goes back. It may repeat the offset: that is not an error, and nothing to store.
    const committed = newest?.offset;
    if (committed !== undefined && offset < todo("which commit was overtaken?")) return { kind: "overtaken", offset: committed };
    // 3. Stored means stored: the answer waits for the disk, also when the same commit is on its way already.
    if (offset !== committed || (fence ?? 0) > newestFence) {
      this.#append({ ...nameOf(key), offset, fence: Math.max(fence ?? 0, newestFence) });
    }
    return todo("when may it be answered?");
  }
  // #endregion commit

  // #region set
  /** Stores any offset, forwards or backwards, also 0, and fences the owner. */
  set(key: OffsetKey, offset: number): Promise<OffsetCommit> {
    // 1. Whatever the offset was, and whoever owns it: a new fence, so that the owner cannot undo it.
    this.#append({ ...nameOf(key), offset, fence: todo("what stops the owner from undoing it?") });
    // 2. Stored means stored.
    return this.#whenStored(offset);
  }

  /** Makes a new owner: resolves to its fence, once every older one is refused for good. */
  async acquire(
    key: OffsetKey,
  ): Promise<{ readonly kind: "acquired"; readonly fence: number } | OffsetCommit> {
    // 1. A fence larger than every one before it, and the offset as it is.
    const fence = this.#nextFence(key);
    this.#append({ ...nameOf(key), offset: todo("where does the new owner go on?"), fence });
    // 2. On disk before anybody owns it: after a restart it must not be given out again.
    const result = await this.#whenStored(0);
    return result.kind === "failed" ? result : { kind: "acquired", fence };
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
    const { disk, path } = this.#options;
    // 1. Everything that is stored, with the entries of this round. A removal is kept while it fences somebody.
    const kept = [...this.#stored.values()].filter(({ offset, fence }) => todo("which entries are still worth something?"));
    const bytes = concatBytes(kept.map((entry) => this.#encode(entry)));
    // 2. Beside the old file first. When there is no room for that, the old file goes on growing for a while.
    try {
      await todo("the new contents, beside the old ones");
    } catch (error) {
      ignoreDiskError(error);
      // What was written of it takes room that the next entries may need.
      return removeIfThere(disk, path + temporarySuffix).catch(ignoreDiskError);
    }
    // 3. Then in its place, and from now on entries go behind the new one's. An error in between is final: nobody
    //    could say which of the two files has the name.
    try {
      await todo("and then in their place");
      const old = this.#file;
      this.#file = await disk.open(path, "read-write");
      this.#stored = new Map(kept.map((entry) => [keyText(entry), entry]));
      this.#fileBytes = this.#liveBytes = bytes.length;
      await old.close();
    } catch (error) {
      throw new DiskError("input-output", "rename", path, error);
    }
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
  const entries = new Map<string, OffsetEntry>();
  let endPosition = 0;
  let skippedBytes = 0;
  for (let at = 0; at < bytes.length;) {
    const found = decodeOffsetEntry(bytes, at, checksum);
    // 1. No entry here: look further on. If none follows, this was a write that a crash interrupted.
    if (found === undefined) {
      at++;
      continue;
    }
    // 2. One follows: what lies between is lost, and said to be.
    skippedBytes += todo("how much was lost before this entry?");
    // 3. The last entry of a key counts.
    entries.set(keyText(found.entry), found.entry);
    at = endPosition = todo("where may the next entry begin?");
  }
  return { entries, endPosition, skippedBytes };
}
// #endregion load

function nameOf({ group, topic, partition }: OffsetKey): OffsetKey {
  return { group, topic, partition };
}
