/** What a broker is made of, and the limits that it announces. */
import type { Account } from "../memory/budget.ts";
import type { Clock, Disk, Random } from "../ports.ts";
import type { AuthenticationOptions } from "./authentication.ts";
import type { BackPressure } from "./back-pressure.ts";
import type { HotTails } from "./hot-tails.ts";
import type { CompactionLimits, RetentionDefaults } from "./housekeeping.ts";
import type { BrokerObserver } from "./observer.ts";
import type { GroupOffsets } from "./offset-store.ts";
import type { RateLimits } from "./rate-limit.ts";
import type { OpenLog } from "./registry.ts";

/** The limits that Hello announces. */
export interface BrokerLimits {
  readonly frameSizeMax: number;
  readonly recordSizeMax: number;
  readonly inFlightMax: number;
  readonly idleTimeoutMs: number;
}

/** What a broker is made of. */
export interface BrokerOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly openLog: OpenLog;
  readonly limits: BrokerLimits;
  readonly serverName?: string;
  /** Counts and logs requests. */
  readonly observer?: BrokerObserver;
  readonly authentication?: AuthenticationOptions;
  readonly offsets?: GroupOffsets;
  /** The part of the memory budget that answers on their way out may use. */
  readonly fetchAccount?: Account;
  /** Keeps the newest records of followed partitions in memory. */
  readonly tails?: HotTails;
  /** Holds producers back while memory is short. */
  readonly backPressure?: BackPressure;
  /** For topics that do not say themselves; zeros keep everything. */
  readonly retention?: RetentionDefaults;
  /** When topics with `isCompacted` are compacted. */
  readonly compaction?: CompactionLimits;
  /** What one client may send; no limit when absent. */
  readonly rates?: RateLimits;
  /** Partitions of a topic that Produce makes; 0 refuses to make one. */
  readonly autoCreatePartitions?: number;
  /** Told of a handler that threw: a bug of ours, which costs one request and nothing more. */
  readonly onBug?: (error: unknown) => void;
}
