/**
 * Where a partition's group keeps what it must not forget: batches in the partition's log, once, and all else in
 * the node's journal.
 *
 * A write of raft/effects.ts that only adds batches goes straight to the log: one copy, one sync. The others take
 * steps, in an order on which group-recovery.ts stands:
 *
 * 1. what the write replaces is cut off the log;
 * 2. its record is in the journal: term, vote, snapshot, entries that are no batches;
 * 3. its batches follow in the log;
 * 4. when the log has them on disk, the write is reported, each after the one before it.
 *
 * While the log is being filled from another node (catch-up.ts), the journal says from where on its records are no
 * entries yet: from 0 on, when the log begins anew.
 */
import { assert } from "#reference/base/assert.ts";
import type { Write } from "../../raft/effects.ts";
import type { Entry, NodeId } from "../../raft/entry.ts";
import type { Clock } from "../../ports.ts";
import type { CommitResult, Log } from "../../storage/log.ts";
import { baseOffsetAt } from "../../storage/record-batch.ts";
import type { GroupId } from "./group-id.ts";
import { cutLog } from "./group-recovery.ts";
import type { RaftJournal } from "./journal.ts";
import { untilRoom } from "./log-room.ts";
import { batchesIn, othersIn } from "./partition-entry.ts";

/** What a group's shell writes to. */
export interface GroupStorage {
  /** Calls back when the write and all before it are durable. When it cannot be, the node stops instead. */
  persist(write: Write, onDurable: () => void): void;
}

/** What a partition's storage is made of. */
export interface PartitionStorageOptions {
  readonly group: GroupId;
  readonly log: Log;
  readonly journal: RaftJournal;
  readonly clock: Clock;
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly lastIndex: number;
  /** The offset behind an entry of the group as it is now. */
  readonly offsetBehind: (index: number) => number;
  /** How far the group is agreed on, as an offset: nothing before it is ever cut. */
  readonly agreedEnd: () => number;
  /** A snapshot to this offset is safe. */
  readonly onSnapshot: (endOffset: number) => void;
  readonly onFailed: (error: unknown) => void;
}

/** One step of the queue. */
type Job = () => Promise<void>;

/** Writes of one partition's group. */
export class PartitionStorage implements GroupStorage {
  readonly #options: PartitionStorageOptions;
  #term: number;
  #votedFor: NodeId | undefined;
  /** The last entry that was handed in. */
  #lastIndex: number;
  #catchUpFrom: number | undefined;
  readonly #jobs: Job[] = [];
  #isRunning = false;
  #running: Promise<void> = Promise.resolve();
  /** Writes that are under way, oldest first, each with where the log ends behind it. */
  readonly #reports: { readonly endOffset: number; readonly onDurable: () => void }[] = [];
  #watched: Promise<CommitResult> | undefined;
  #isStopped = false;

  constructor(options: PartitionStorageOptions) {
    this.#options = options;
    this.#term = options.term;
    this.#votedFor = options.votedFor;
    this.#lastIndex = options.lastIndex;
  }

  persist(write: Write, onDurable: () => void): void {
    const { replaceFrom, entries, snapshot, term, votedFor } = write;
    const isCut = replaceFrom !== undefined && (snapshot !== undefined || replaceFrom <= this.#lastIndex);
    const cutAt = isCut ? this.#options.offsetBehind(replaceFrom - 1) : undefined;
    if (replaceFrom !== undefined) this.#lastIndex = replaceFrom - 1 + entries.length;
    const snapshotEnd = snapshot === undefined ? 0 : this.#options.offsetBehind(snapshot.index);
    const batches = batchesIn(entries);
    const others = batches.length === entries.length ? [] : othersIn(entries);
    const hasVote = term !== this.#term || votedFor !== this.#votedFor;
    this.#term = term;
    this.#votedFor = votedFor;
    const needsRecord = isCut || hasVote || snapshot !== undefined || others.length > 0;
    if (!needsRecord && !this.#isRunning && !this.#hasTakenBack(batches)) {
      const left = this.#append(batches, 0);
      if (left === batches.length) return this.#report(onDurable);
      return this.#queue(() => this.#appendRest(batches, left, onDurable));
    }
    this.#queue(async () => {
      if (cutAt !== undefined)
        await cutLog(this.#options.log, cutAt, Math.min(cutAt, this.#options.agreedEnd()));
      if (snapshot !== undefined) await this.#holds(snapshotEnd);
      if (needsRecord) {
        if (snapshot !== undefined) this.#catchUpFrom = undefined;
        await this.#record({ term, votedFor, snapshot, replaceFrom, entries: others });
        if (snapshot !== undefined && !this.#isStopped) this.#options.onSnapshot(snapshotEnd);
      }
      await this.#appendRest(batches, 0, onDurable);
    });
  }

  /** Writes down that records from `offset` on are no entries, and takes those that are there out. */
  beginCatchUp(offset: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#catchUpFrom !== undefined) return;
      this.#catchUpFrom = offset;
      await this.#record(this.#nothingNew());
      await cutLog(this.#options.log, offset, Math.min(offset, this.#options.agreedEnd()));
    });
  }

  /** Writes down that no record of the log counts: it is about to begin anew, behind all that this node has. */
  abandonLog(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#catchUpFrom === 0) return;
      this.#catchUpFrom = 0;
      await this.#record(this.#nothingNew());
    });
  }

  /** Puts the group's own entries back in the place of what was fetched. `entries` are all behind its snapshot. */
  endCatchUp(entries: readonly Entry[], snapshotEnd: number): Promise<void> {
    return this.#inTurn(async () => {
      const { log } = this.#options;
      const from = this.#catchUpFrom;
      if (from === undefined) return;
      if (log.startOffset > from) await log.restart(snapshotEnd);
      else await cutLog(log, from, Math.min(from, this.#options.agreedEnd()));
      const lost = batchesIn(entries).filter((batch) => baseOffsetAt(batch, 0) >= log.endOffset);
      for (let at = this.#append(lost, 0); at < lost.length; at = this.#append(lost, at))
        await untilRoom(log, this.#options.clock);
      await this.#flushed();
      this.#catchUpFrom = undefined;
      await this.#record(this.#nothingNew());
    });
  }

  /** Tells the storage that the log has stored more. */
  stored(storedEnd: number): void {
    while (!this.#isStopped && (this.#reports[0]?.endOffset ?? Infinity) <= storedEnd) {
      this.#reports.shift()?.onDurable();
    }
  }

  /** Resolves when nothing is under way any more. Nothing is reported afterwards. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  #nothingNew(): Pick<Write, "term" | "votedFor" | "snapshot" | "replaceFrom" | "entries"> {
    const nothing = { snapshot: undefined, replaceFrom: undefined, entries: [] };
    return { term: this.#term, votedFor: this.#votedFor, ...nothing };
  }

  #record(write: Pick<Write, "term" | "votedFor" | "snapshot" | "replaceFrom" | "entries">): Promise<void> {
    const { group, journal } = this.#options;
    const { term, votedFor, snapshot, replaceFrom, entries } = write;
    const record = { term, votedFor, snapshot, replaceFrom, entries, catchUpFrom: this.#catchUpFrom };
    return journal.store({ kind: "write", group, ...record });
  }

  /** A snapshot stands for records: they must be safe before it is. */
  async #holds(endOffset: number): Promise<void> {
    await this.#flushed();
    const { storedEnd } = this.#options.log;
    assert(storedEnd >= endOffset, () => `a snapshot to ${endOffset}, and the log ends at ${storedEnd}`);
  }

  async #flushed(): Promise<void> {
    const result = await this.#options.log.committed();
    if (result.kind === "failed") throw result.error;
  }

  /** Appends what the log takes; returns how many are in it now. */
  #append(batches: readonly Uint8Array[], from: number): number {
    const { log } = this.#options;
    for (let at = from; at < batches.length; at++) {
      const data = batches[at]!;
      assert(
        baseOffsetAt(data, 0) === log.endOffset,
        () => `a batch for ${baseOffsetAt(data, 0)} meets a log that ends at ${log.endOffset}`,
      );
      const result = log.replicate(data);
      if (result.kind === "appended") continue;
      if (result.reason !== "overloaded")
        throw log.failure ?? new Error(`an entry is refused: ${result.detail}`);
      this.#watch();
      return at;
    }
    if (from < batches.length) this.#watch();
    return batches.length;
  }

  /** Whether the log has taken back what it could not write, of which the node is about to hear. */
  #hasTakenBack([first]: readonly Uint8Array[]): boolean {
    const { log } = this.#options;
    return log.failure !== undefined || (first !== undefined && baseOffsetAt(first, 0) > log.endOffset);
  }

  async #appendRest(batches: readonly Uint8Array[], from: number, onDurable: () => void): Promise<void> {
    if (this.#hasTakenBack(batches.slice(from))) {
      const result = await this.#watched;
      if (result?.kind === "failed") throw result.error;
    }
    const { log, clock } = this.#options;
    for (let at = this.#append(batches, from); at < batches.length; at = this.#append(batches, at)) {
      await untilRoom(log, clock);
    }
    this.#report(onDurable);
  }

  #report(onDurable: () => void): void {
    const { log } = this.#options;
    const isStored = log.storedEnd >= log.endOffset;
    this.#reports.push({ endOffset: isStored ? 0 : log.endOffset, onDurable });
    // Never at once: the shell is still carrying out what led to this write.
    if (isStored) void Promise.resolve().then(() => this.stored(log.storedEnd));
  }

  /** A log that cannot write takes back what was appended: then this node must stop. */
  #watch(): void {
    const commit = this.#options.log.committed();
    if (commit === this.#watched) return;
    this.#watched = commit;
    void commit.then((result) => {
      if (result.kind === "failed" && !this.#isStopped) this.#options.onFailed(result.error);
    });
  }

  #inTurn(work: Job): Promise<void> {
    return new Promise((resolve) => {
      this.#queue(async () => {
        await work();
        resolve();
      });
    });
  }

  #queue(job: Job): void {
    this.#jobs.push(job);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    try {
      for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) await job();
    } catch (error) {
      if (!this.#isStopped) this.#options.onFailed(error);
    }
    this.#isRunning = false;
  }
}
