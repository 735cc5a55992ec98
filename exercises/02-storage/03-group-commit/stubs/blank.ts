// Generated from reference/storage/group-commit.ts (stub 0bd1d7da).
// Write your solution here; `npx oz reset 02-storage/03-group-commit` starts again.
/**
 * Group commit: when what was appended counts as stored.
 *
 * Four steps lie between a record and its safety, and each promises something else:
 *
 * | step             | survives                              | done by                      |
 * |------------------|---------------------------------------|------------------------------|
 * | append           | nothing                               | a copy in memory             |
 * | write            | the end of this process               | the kernel's page cache      |
 * | sync             | power loss, for the bytes of one file | `fdatasync`                  |
 * | sync a directory | power loss, for a file's *name*       | once, when a file is created |
 *
 * A sync takes as long for a thousand records as for one. So records are committed in groups: while one group is
 * being written and synced, everything that arrives gathers into the next. One round is in flight at a time; under
 * load the groups grow by themselves, and nobody waits for a timer.
 *
 * The policy decides what an acknowledgement means: with `always` the record is on disk; with `everysec` it is in the
 * page cache and reaches the disk within a second; with `never` the operating system decides when.
 *
 * A failed sync is final. After it the kernel may have dropped the pages that it could not write and marked them
 * clean, so that the next sync succeeds without them ("fsyncgate", PostgreSQL 2018). Nothing can be trusted until the
 * files have been read again, so the log stops here and recovery decides.
 */
import { todo } from "#exercises/lib/todo.ts";
import { DiskError, type Clock } from "#reference/ports.ts";
import { assert } from "#reference/base/assert.ts";

/** When a record counts as committed: see above. */
export type FsyncPolicy = "always" | "everysec" | "never";

/** How a group ended. Everybody who waited for it gets the same object. */
export type CommitResult =
  /** All records before `endOffset` are committed. */
  | { readonly kind: "committed"; readonly endOffset: number }
  /** None of the group's records is committed. The code says whether it is worth trying again: `no-space`. */
  | { readonly kind: "failed"; readonly error: DiskError };

/** A file that can be synced: a `DiskFile`. */
export interface SyncableFile {
  sync(): Promise<void>;
}

/** What a write round did. */
export interface WriteRound {
  /** All records before this offset are in the file system's hands. */
  readonly endOffset: number;
  /** The files that were written to, oldest first. Each of them needs its own sync. */
  readonly files: readonly SyncableFile[];
}

/** The log, as far as committing it goes. */
export interface CommitTarget {
  /** Hands over everything appended so far; rejects with a `DiskError`. */
  write(): Promise<WriteRound>;
  /**
   * Takes back everything that is not written, at once; resolves when no crash can bring any of it back. Called after
   * a `write` that failed because the disk is full.
   */
  discard(): Promise<void>;
}

/** How to commit. */
export interface GroupCommitOptions {
  readonly policy: FsyncPolicy;
  readonly clock: Clock;
  /** All records before this offset are on disk already. */
  readonly durableEnd: number;
  /** Time between two syncs with `everysec`. */
  readonly syncIntervalMs?: number | undefined;
  /** When to start a round after the first append; the default is right after the current task. */
  readonly schedule?: ((run: () => void) => void) | undefined;
  readonly onCommitted?: (endOffset: number) => void;
}

/** Those who wait for the same round. */
interface Group {
  readonly promise: Promise<CommitResult>;
  readonly settle: (result: CommitResult) => void;
}

/** The default time between two syncs with `everysec`. */
export const syncIntervalMsDefault = 1000;

/** Commits what is appended to one log. */
export class GroupCommit {
  /** All records before this offset are in the file system's hands. */
  writtenEnd: number;
  /** All records before this offset have been synced. Never moves over a failed write or sync. */
  durableEnd: number;
  /** All records before this offset are acknowledged by the policy, and may be read. */
  committedEnd: number;
  /** Set by the first error that is final. From then on nothing is written, synced or acknowledged. */
  failure: DiskError | undefined = undefined;

  readonly #target: CommitTarget;
  readonly #options: GroupCommitOptions;
  readonly #schedule: (run: () => void) => void;
  /** The group that gathers now; made by the first who asks for it. */
  #group: Group | undefined;
  /** The group of the round in flight. */
  #inFlight: Group | undefined;
  #hasAppended = false;
  #isScheduled = false;
  /** The rounds in flight: resolves when nothing is left to do. */
  #rounds: Promise<void> | undefined;
  /** Files with writes that no sync has covered, oldest first. */
  #dirty = new Set<SyncableFile>();
  #sync: Promise<void> | undefined;
  #syncStartMs = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(target: CommitTarget, options: GroupCommitOptions) {
    this.#target = target;
    this.#options = options;
    this.#schedule = options.schedule ?? ((run) => void Promise.resolve().then(run));
    this.writtenEnd = this.durableEnd = this.committedEnd = options.durableEnd;
  }

  // #region wake
  /** Says that something was appended; a round will come for it. */
  appended(): void {
    todo("wake");
  }

  #startRounds(): void {
    todo("wake");
  }
  // #endregion wake

  // #region committed
  /** Resolves when everything appended so far is committed, or has failed. Never rejects. */
  committed(): Promise<CommitResult> {
    todo("committed");
  }
  // #endregion committed

  // #region round
  async #runRounds(): Promise<void> {
    todo("round");
  }

  /** Writes and syncs one group; the error that it ended with, if any. */
  async #commitRound(): Promise<DiskError | undefined> {
    todo("round");
  }
  // #endregion round

  // #region sync
  /**
   * Syncs every file that was written to. Resolves to the error, if any, after which nothing will be synced again. At
   * most one sync is in flight: a caller that comes during one gets the next, for its records may have come too late.
   */
  async sync(): Promise<DiskError | undefined> {
    todo("sync");
  }

  async #syncDirty(): Promise<void> {
    todo("sync");
  }
  // #endregion sync

  /** The log was cut at `endOffset` while nothing was in flight; the cut itself is synced already. */
  truncated(endOffset: number): void {
    assert(this.#rounds === undefined && this.#sync === undefined, "truncated while a round is in flight");
    this.writtenEnd = Math.min(this.writtenEnd, endOffset);
    this.durableEnd = Math.min(this.durableEnd, endOffset);
    this.committedEnd = Math.min(this.committedEnd, endOffset);
  }

  /** Resolves when no round and no sync is in flight and nothing waits. */
  async idle(): Promise<void> {
    while (this.failure === undefined && (this.#hasAppended || this.#rounds !== undefined)) {
      this.#startRounds();
      await this.#rounds;
    }
    while (this.#sync !== undefined) await this.#sync;
  }

  /** Writes and syncs all that is left, whatever the policy, and stops the timer. */
  async close(): Promise<CommitResult> {
    await this.idle();
    this.#cancelTimer?.();
    const error = await this.sync();
    if (error !== undefined) return { kind: "failed", error };
    return { kind: "committed", endOffset: this.committedEnd };
  }

  // #region timer
  /** With `everysec`: makes sure that a sync comes, and waits for one that is more than an interval late. */
  async #startTimer(): Promise<void> {
    todo("timer");
  }
  // #endregion timer

  // #region fail
  /** A write failed. A full disk is an answer to these records; anything else is the end of this log's life. */
  async #failWrite(error: DiskError): Promise<DiskError> {
    todo("fail");
  }

  /** The end: the group in flight fails, and after it the one that has gathered. */
  #fail(error: DiskError): DiskError {
    todo("fail");
  }
  // #endregion fail
}

function makeGroup(): Group {
  const { promise, resolve } = Promise.withResolvers<CommitResult>();
  return { promise, settle: resolve };
}

function toDiskError(error: unknown): DiskError {
  // Anything else is a bug, and no promise to a client may hide it.
  if (error instanceof DiskError) return error;
  throw error;
}
