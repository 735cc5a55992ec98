/**
 * The state that a partition's group agrees on, and how an entry changes it.
 *
 * The records themselves are in the log as soon as this node has the entry. What an agreement changes is how far
 * readers may go, which producer's batches count, and which id was given out last. All of it follows from the
 * entries alone, so it is the same on every node.
 */
import type { Entry, Snapshot } from "../../raft/entry.ts";
import { ignoreDiskError } from "../../storage/file-io.ts";
import { getUint32, getUint53 } from "../../storage/integers.ts";
import type { Log } from "../../storage/log.ts";
import { batchLayout, nextOffsetAt, recordCountAt } from "../../storage/record-batch.ts";
import type { RecordId } from "../../storage/record-id.ts";
import type { GroupMachine } from "./group.ts";
import { isBatch, trimOffset } from "./partition-entry.ts";
import { decodePartitionSnapshot, emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";
import { PendingProducers } from "./pending-producers.ts";

/** One node's copy of a partition's state. */
export class PartitionMachine implements GroupMachine {
  readonly producers = new PendingProducers();
  /** The offset behind the last record that was agreed on. */
  endOffset = 0;
  lastId: RecordId = emptyPartition.lastId;
  readonly #log: Log;
  #trimmedTo = 0;
  /** What lies before it is in a snapshot that is safe, and not needed for entries any more. */
  keptFrom = 0;
  /** Those who wait until this node has stored what was agreed on. */
  readonly #settling: { readonly endOffset: number; readonly resolve: () => void }[] = [];
  /** Those who wait until a snapshot lets records go. */
  readonly #trimming: (() => void)[] = [];
  #isStopped = false;
  /** Whom to tell that this node lost the leadership with proposals of its own. */
  readonly #onAbandoned: () => void;

  constructor(log: Log, onAbandoned: () => void) {
    this.#log = log;
    this.#onAbandoned = onAbandoned;
    log.highWatermark = 0;
    log.keptFrom = 0;
  }

  /** A snapshot makes the log free to let go of what a trim asked for. */
  get wantsSnapshot(): boolean {
    return this.#trimmedTo > this.#log.startOffset && this.keptFrom < this.#trimmedTo;
  }

  restore({ data }: Snapshot): void {
    const saved = decodePartitionSnapshot(data);
    if (saved === undefined) throw new Error("a snapshot of a partition cannot be read");
    this.endOffset = saved.endOffset;
    this.lastId = saved.lastId;
    this.#trimmedTo = saved.trimmedTo;
    this.producers.clear();
    this.producers.agreed.load(saved.producers);
    this.applied();
  }

  apply(entry: Entry): void {
    if (entry.kind !== "command") return;
    const { data } = entry;
    if (!isBatch(data)) {
      this.#trimmedTo = Math.max(this.#trimmedTo, Math.min(trimOffset(data), this.endOffset));
      return;
    }
    this.endOffset = nextOffsetAt(data, 0);
    const sequence = getUint32(data, batchLayout.idSequence) + recordCountAt(data, 0) - 1;
    this.lastId = { milliseconds: getUint53(data, batchLayout.idMilliseconds), sequence };
    this.producers.committed(data);
  }

  applied(): void {
    this.#log.highWatermark = this.endOffset;
  }

  settled(): Promise<void> {
    const { endOffset } = this;
    if (this.#log.storedEnd >= endOffset) return Promise.resolve();
    return new Promise((resolve) => void this.#settling.push({ endOffset, resolve }));
  }

  /** The log has stored more. */
  stored(storedEnd: number): void {
    while ((this.#settling[0]?.endOffset ?? Infinity) <= storedEnd) this.#settling.shift()?.resolve();
  }

  save(): Uint8Array {
    const { endOffset, lastId } = this;
    const producers = this.producers.agreed.save();
    return encodePartitionSnapshot({ endOffset, trimmedTo: this.#trimmedTo, lastId, producers });
  }

  /** A snapshot to this offset is safe: what lies before it is not needed for entries any more. */
  snapshotTaken(endOffset: number): void {
    this.keptFrom = endOffset;
    this.#log.keptFrom = endOffset;
    if (this.#trimmedTo > this.#log.startOffset) void this.#log.trim(this.#trimmedTo).catch(ignoreDiskError);
    for (const resolve of this.#trimming.splice(0)) resolve();
  }

  /** Resolves when what was given up is gone here, as far as whole segments of it may go. */
  async trimmed(): Promise<void> {
    const wanted = this.#trimmedTo;
    while (this.keptFrom < wanted && !this.#isStopped) {
      await new Promise<void>((resolve) => void this.#trimming.push(resolve));
    }
    if (!this.#isStopped) await this.#log.trim(wanted);
  }

  /** Nobody has to wait any more. */
  stop(): void {
    this.#isStopped = true;
    for (const resolve of this.#trimming.splice(0)) resolve();
    for (const { resolve } of this.#settling.splice(0)) resolve();
  }

  abandon(): void {
    this.#onAbandoned();
  }
}
