/**
 * How a node that is far behind gets the records that are in no log of Raft any more: from the leader's segments.
 *
 * A snapshot of a partition says where its log ends, and holds no records. So before it is installed the log is
 * brought there: what this node had agreed on stays, everything behind it goes, and the rest is fetched batch by
 * batch as it is stored at the leader. Retention may have removed what would come next: then all of this node's
 * records are older than anything that is kept, and the log begins anew where the leader's begins.
 *
 * Until the records are here, the last piece of the snapshot is held back. In its place Raft gets an empty one, so
 * that the leader hears that this node is alive and has got no further. What goes in the meantime is missed by
 * nobody: the snapshot's last entry was agreed on by a majority without this node, and all of these have what came
 * before it.
 *
 * When another leader turns up, which may have the entries after all, the group's own entries are put back first.
 *
 * The log of a compacted topic lacks records, and stand-ins hold their offsets: of one that reaches over both ends of
 * what is missing here, the part in between is taken. What it lacks is told by what follows, except where a tombstone
 * is gone too: then who copies must have nothing from before the tombstone went. So records that follow on each other
 * are taken from logs that lack no tombstone behind this node's own records, or else all of them from one log, as it
 * is at one time. Tombstones stay while a member may need them (partition-replica.ts), so that this is rare.
 */
import type { Checksum, Clock } from "../../ports.ts";
import { DiskError } from "../../ports.ts";
import type { SnapshotRequest } from "../../raft/messages.ts";
import type { Raft } from "../../raft/state.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import type { Log } from "../../storage/log.ts";
import {
  baseOffsetAt,
  batchBytesAt,
  inspectBatch,
  nextOffsetAt,
  recordCountAt,
} from "../../storage/record-batch.ts";
import { cutStandIn } from "../../storage/stand-in.ts";
import type { PartitionStorage } from "./group-storage.ts";
import { untilRoom } from "./log-room.ts";
import { wholeSnapshot } from "./message-check.ts";
import { decodePartitionSnapshot } from "./partition-snapshot.ts";

/** A node that has the records. Rejects when it cannot be reached or refuses. */
export interface CatchUpSource {
  fetch(request: RequestOf<"PeerFetch">): Promise<ReplyOf<"PeerFetch">>;
}

/** What catching up works on. */
export interface CatchUpOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly checksum: Checksum;
  readonly storage: PartitionStorage;
  readonly state: () => Readonly<Raft>;
  readonly offsetBehind: (index: number) => number;
  readonly source: (node: string) => CatchUpSource;
  /** Which records to ask for. */
  readonly name: { readonly topic: string; readonly incarnation: number; readonly partition: number };
  /** This node's own disk failed, or its records are no good: nobody else can help with that. */
  readonly onFailed: (error: DiskError | StaleRecordsError) => void;
}

/** A node was no member for so long that nobody can tell any more which of its records were removed meanwhile. */
export class StaleRecordsError extends Error {
  override readonly name = "StaleRecordsError";
}

const fetchBytes = 1024 * 1024;

/** Fills one partition's log, now and then. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Whether the log holds, or is about to hold, records that are no entries. */
  isActive = false;
  /** The filling that is under way; it never rejects. */
  #running: Promise<void> | undefined;
  #isGivingUp = false;
  /** The snapshot that the log has been filled for. */
  #readyFor: number | undefined;
  /** Where all records of the log are from, and as of when, if that is one place. */
  #copied: { readonly from: string; readonly rounds: number } | undefined;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** What Raft may have of a piece of a snapshot now; undefined for nothing. */
  admit(message: SnapshotRequest): SnapshotRequest | undefined {
    const { log, term, commitIndex } = this.#options.state();
    if (message.term < term || message.index <= commitIndex || !message.isLast) return message;
    if (log.termAt(message.index) === message.lastTerm) {
      // The entries are here: only the snapshot is news.
      if (!this.isActive) return message;
      this.giveUp();
      return undefined;
    }
    const data = wholeSnapshot(message, this.#options.state());
    const endOffset = data === undefined ? undefined : decodePartitionSnapshot(data)?.endOffset;
    if (endOffset === undefined) return message;
    if (this.#readyFor === message.index && !this.#isGivingUp) {
      this.isActive = false;
      this.#readyFor = undefined;
      this.#copied = undefined;
      return message;
    }
    if (this.#running === undefined && !this.#isGivingUp) {
      this.isActive = true;
      this.#running = this.#fill(message.from, endOffset)
        .then(() => void (this.#readyFor = message.index))
        .catch((error: unknown) => {
          const isOwn = error instanceof DiskError || error instanceof StaleRecordsError;
          const failure = this.#options.log.failure ?? (isOwn ? error : undefined);
          if (failure !== undefined) this.#options.onFailed(failure);
          // Else the leader cannot be reached, or is none any more: the next piece of a snapshot begins again.
        })
        .finally(() => (this.#running = undefined));
    }
    return { ...message, data: message.data.subarray(0, 0), isLast: false };
  }

  /** Another leader has entries for this node: what was fetched makes place for the group's own again. */
  giveUp(): void {
    if (!this.isActive || this.#isGivingUp) return;
    this.#isGivingUp = true;
    this.#readyFor = undefined;
    void this.#putBack();
  }

  async #putBack(): Promise<void> {
    await this.#running;
    this.#readyFor = undefined;
    this.#copied = undefined;
    const { log } = this.#options.state();
    const { storage, offsetBehind } = this.#options;
    await storage.endCatchUp(log.slice(log.snapshotIndex + 1), offsetBehind(log.snapshotIndex));
    this.#isGivingUp = false;
    this.isActive = false;
  }

  async #fill(from: string, endOffset: number): Promise<void> {
    const { log, storage, name, offsetBehind, state } = this.#options;
    const source = this.#options.source(from);
    const ownEnd = offsetBehind(state().commitIndex);
    await storage.beginCatchUp(ownEnd);
    while (log.endOffset < endOffset && !this.#isGivingUp) {
      const request = { ...name, offset: log.endOffset, bytesMax: fetchBytes };
      const fetched = await source.fetch(request);
      if (this.#isGivingUp) break;
      if (!(await this.#fits(from, ownEnd, fetched))) continue;
      const { startOffset, batches } = fetched;
      if (startOffset > log.endOffset) await this.#beginAt(Math.min(startOffset, endOffset));
      else if (batches.length === 0) throw new Error(`nothing at offset ${log.endOffset}`);
      else await this.#append(batches, endOffset);
    }
    const committed = await log.committed();
    if (committed.kind === "failed") throw committed.error;
    if (this.#isGivingUp) throw new Error("given up");
  }

  /** Empties the log. What a crash leaves of that is nothing that counts, and no damage. */
  async #beginAt(offset: number): Promise<void> {
    const { log, storage } = this.#options;
    await storage.abandonLog();
    await log.restart(offset);
  }

  /** Whether records can follow on what is here. Where they cannot, the log is emptied: ask again. */
  async #fits(from: string, ownEnd: number, fetched: ReplyOf<"PeerFetch">): Promise<boolean> {
    const { log, name } = this.#options;
    const { tombstonesGoneTo, tombstoneRounds: rounds } = fetched;
    const isSame = this.#copied?.from === from && this.#copied.rounds === rounds;
    if (isSame) return true;
    this.#copied = undefined;
    if (tombstonesGoneTo <= Math.max(ownEnd, log.startOffset)) return true;
    if (log.startOffset < ownEnd) {
      const what = `${name.topic}/${name.partition} may hold keys that were removed while this node was no member`;
      const cure =
        "oz cluster remove takes the node out; empty its folder, start it again with --join true, and add it";
      throw new StaleRecordsError(`${what}: ${cure}`);
    }
    await log.tombstones.adopt(tombstonesGoneTo);
    const isEmpty = log.endOffset === log.startOffset;
    if (!isEmpty) await this.#beginAt(log.startOffset);
    this.#copied = { from, rounds };
    return isEmpty;
  }

  async #append(batches: Uint8Array, endOffset: number): Promise<void> {
    const { log, clock, checksum, name } = this.#options;
    for (let at = 0; at < batches.length && log.endOffset < endOffset;) {
      // A disk elsewhere may have forgotten something. What is taken is this node's to hand on.
      const found = inspectBatch(batches, at, batches.length, checksum);
      if (found.kind !== "intact")
        throw new Error(`${name.topic}/${name.partition} is damaged where it is fetched from`);
      const end = at + batchBytesAt(batches, at);
      if (nextOffsetAt(batches, at) > log.endOffset) {
        const result = log.replicate(partOf(batches.subarray(at, end), log.endOffset, endOffset));
        if (result.kind === "refused") {
          if (result.reason !== "overloaded") throw new Error(result.detail);
          await untilRoom(log, clock);
          continue;
        }
      }
      at = end;
    }
  }
}

/** What of a batch is missing in a log that ends at `from` and shall end at `to`. */
function partOf(batch: Uint8Array, from: number, to: number): Uint8Array {
  const baseOffset = baseOffsetAt(batch, 0);
  if (baseOffset <= from && recordCountAt(batch, 0) === 0) return cutStandIn(batch, from, to);
  if (baseOffset !== from) throw new Error(`offset ${baseOffset} after ${from}`);
  return batch;
}
