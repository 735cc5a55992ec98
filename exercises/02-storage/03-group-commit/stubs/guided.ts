// Generated from reference/storage/group-commit.ts (stub fe52db69).
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
    this.#hasAppended = true;
    // 1. When rounds are under way they look again; otherwise one is scheduled, once.
    if (todo("will somebody look anyway?")) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#startRounds();
    });
  }

  #startRounds(): void {
    // 2. One run of rounds at a time, and none after a failure.
    if (this.#rounds !== undefined || this.failure !== undefined) return;
    this.#rounds = this.#runRounds().finally(() => {
      this.#rounds = undefined;
      // 3. Appended between the last look and here: nobody else would wake us up.
      todo("look once more");
    });
  }
  // #endregion wake

  // #region committed
  /** Resolves when everything appended so far is committed, or has failed. Never rejects. */
  committed(): Promise<CommitResult> {
    if (this.failure !== undefined) return Promise.resolve({ kind: "failed", error: this.failure });
    // 1. What is appended and not yet taken by a round belongs to the group that gathers now.
    if (this.#hasAppended) return (this.#group ??= todo("the group that gathers now")).promise;
    // 2. Otherwise a round in flight may hold it: its group was made when the round began.
    if (this.#inFlight !== undefined) return this.#inFlight.promise;
    return Promise.resolve({ kind: "committed", endOffset: todo("up to where?") });
  }
  // #endregion committed

  // #region round
  async #runRounds(): Promise<void> {
    while (this.#hasAppended && this.failure === undefined) {
      // 1. Close the group before its bytes are taken: who comes later waits for the next round.
      const group = this.#group ?? makeGroup();
      todo("close the group");
      this.#inFlight = group;
      this.#hasAppended = false;
      // 2. Write, and with `always` sync, before anybody is told.
      const error = await this.#commitRound();
      // 3. Tell everybody in the group, before the next round begins. A failure has told them already.
      this.#inFlight = undefined;
      if (error === undefined) group.settle({ kind: "committed", endOffset: this.committedEnd });
    }
  }

  /** Writes and syncs one group; the error that it ended with, if any. */
  async #commitRound(): Promise<DiskError | undefined> {
    let round: WriteRound;
    try {
      round = await this.#target.write();
    } catch (error) {
      return this.#failWrite(toDiskError(error));
    }
    todo("remember what has to be synced");
    this.writtenEnd = round.endOffset;
    if (this.#options.policy === "always") {
      const error = await this.sync();
      if (error !== undefined) return error;
    } else {
      await this.#startTimer();
      if (this.failure !== undefined) return this.failure;
    }
    this.committedEnd = todo("what may readers see now?");
    this.#options.onCommitted?.(round.endOffset);
    return undefined;
  }
  // #endregion round

  // #region sync
  /**
   * Syncs every file that was written to. Resolves to the error, if any, after which nothing will be synced again. At
   * most one sync is in flight: a caller that comes during one gets the next, for its records may have come too late.
   */
  async sync(): Promise<DiskError | undefined> {
    while (this.#sync !== undefined) await this.#sync;
    if (this.failure !== undefined) return this.failure;
    if (this.#dirty.size === 0) return undefined;
    this.#sync = this.#syncDirty().finally(() => (this.#sync = undefined));
    await this.#sync;
    return this.failure;
  }

  async #syncDirty(): Promise<void> {
    // 1. What this sync will cover is what was written before it began, and nothing that is written meanwhile.
    const files = [...this.#dirty];
    const coveredEnd: number = todo("what will this sync cover?");
    this.#dirty.clear();
    this.#syncStartMs = this.#options.clock.monotonicTimeMs();
    try {
      // 2. Every file that was written to, the oldest first.
      todo("every file, and each one waited for");
      // 3. Only when all of them are safe does the durable end move, and it never moves back.
      this.durableEnd = Math.max(this.durableEnd, coveredEnd);
    } catch (error) {
      // 4. Never try again: the pages may be gone, and a second sync would succeed without them.
      todo("this is the end");
    }
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
    if (this.#options.policy !== "everysec" || this.failure !== undefined) return;
    // 1. One timer at a time. It is gone when it fires, so that a write during its sync starts the next.
    const intervalMs = this.#options.syncIntervalMs ?? syncIntervalMsDefault;
    this.#cancelTimer ??= this.#options.clock.after(intervalMs, () => {
      todo("the timer has fired");
      void this.sync();
    });
    // 2. A disk that is slower than the producers would let them run ahead without end, and "a second" would be a lie.
    if (this.#sync !== undefined && todo("is the sync under way too late?")) {
      await this.#sync;
    }
  }
  // #endregion timer

  // #region fail
  /** A write failed. A full disk is an answer to these records; anything else is the end of this log's life. */
  async #failWrite(error: DiskError): Promise<DiskError> {
    // 1. A full disk can be emptied. After any other error nobody knows what is in the file.
    if (todo("is it more than a full disk?")) return this.#fail(error);
    // 2. Their offsets lie after those that failed, so what has gathered meanwhile is taken back with them.
    const gathered = this.#group;
    this.#group = undefined;
    this.#hasAppended = false;
    // 3. Nobody is told, and nothing is written, before no crash can bring the failed records back.
    try {
      await this.#target.discard();
    } catch (discardError) {
      this.#fail(toDiskError(discardError));
    }
    this.#inFlight?.settle({ kind: "failed", error });
    todo("those who gathered meanwhile");
    return error;
  }

  /** The end: the group in flight fails, and after it the one that has gathered. */
  #fail(error: DiskError): DiskError {
    // 1. The first error stays; no timer will sync again.
    this.failure ??= error;
    this.#cancelTimer?.();
    // 2. Everybody who waits is told, those in flight first.
    const result: CommitResult = { kind: "failed", error: this.failure };
    this.#inFlight?.settle(todo("what are they told?"));
    this.#group?.settle(todo("and those behind them?"));
    this.#group = undefined;
    return this.failure;
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
