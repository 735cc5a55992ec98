/** How a log is made, what it takes and gives, and the defaults of its limits. */
import type { Checksum, Clock, Disk, DiskError } from "../ports.ts";
import type { AppendBuffers } from "./append-buffers.ts";
import type { FilePool } from "./file-pool.ts";
import type { FsyncPolicy } from "./group-commit.ts";
import type { RetentionLimits } from "./retention.ts";

/** Where a log is and how it behaves. */
export interface LogOptions {
  readonly disk: Disk;
  /** Its directory, made when it is missing. No other log may use it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly checksum?: Checksum;
  readonly fsync?: FsyncPolicy;
  readonly syncIntervalMs?: number;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMsMax?: number;
  readonly indexIntervalBytes?: number;
  readonly batchBytesMax?: number;
  /** How many files of removed segments are kept to be written over, which is faster than making new ones. */
  readonly recycledMax?: number;
  /** What to keep, applied each time that a segment is full; a busy log then writes over its own old files. */
  readonly retention?: RetentionLimits;
  /** When to start writing what was appended; the default is right after the current task. */
  readonly schedule?: (run: () => void) => void;
  /** Shared between the logs of a process: the bound on bytes that wait to be written. */
  readonly buffers?: AppendBuffers;
  /** Shared between the logs of a process: the bound on open files. */
  readonly files?: FilePool;
  /** `all` reads and checks every batch when the log is opened. */
  readonly scan?: "unsynced" | "all";
}

/** What became of a batch that was handed in. */
export type AppendResult =
  | {
      readonly kind: "appended";
      readonly baseOffset: number;
      readonly nextOffset: number;
      /** The id of the first record; the others follow in sequence. */
      readonly idMilliseconds: number;
      readonly idSequence: number;
    }
  | {
      readonly kind: "refused";
      readonly reason: RefusalReason;
      readonly detail: string;
      /** Where it is known: when there may be room again. */
      readonly retryAfterMs?: number;
    };

/** A batch that was not taken. */
export type AppendRefusal = Extract<AppendResult, { kind: "refused" }>;

/** Why a batch was refused. `overloaded` is worth trying again. */
export type RefusalReason =
  "invalid-batch" | "corrupt-batch" | "too-large" | "overloaded" | "offset-limit" | "failed" | "closed";

/** What a compaction minds. */
export interface CompactOptions {
  /** How long a tombstone stays, so that readers learn of the removal. */
  readonly tombstoneKeepMs?: number;
  /** Tombstones from this offset on stay, however old: other replicas may need them. */
  readonly tombstonesBefore?: number;
  /** Keys that it may hold in memory. */
  readonly keysMax?: number;
}

/** What a read brings. */
export type ReadResult =
  /** Whole batches; the first holds the wanted offset, and may begin before it. Empty at the end. */
  | { readonly kind: "records"; readonly bytes: Uint8Array; readonly nextOffset: number }
  | { readonly kind: "out-of-range"; readonly startOffset: number; readonly endOffset: number }
  /** These offsets were stored and cannot be read any more; a consumer that accepts the loss goes on at `to`. */
  | { readonly kind: "damaged"; readonly from: number; readonly to: number }
  | { readonly kind: "failed"; readonly error: DiskError };

/** The default size at which a segment is closed and the next one begun. */
export const segmentBytesMaxDefault = 128 * 1024 * 1024;
/** The default age at which this happens. */
export const segmentAgeMsMaxDefault = 7 * 24 * 3600 * 1000;
/** How long a tombstone stays, by default, so that readers learn of the removal. */
export const tombstoneKeepMsDefault = 24 * 3600 * 1000;
/** Keys that one compaction holds in memory, by default. */
export const compactionKeysMaxDefault = 500_000;
