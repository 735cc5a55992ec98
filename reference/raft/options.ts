/**
 * The knobs of a server, with the values of the design notes and of the paper where they name one.
 */
import { assert } from "../base/assert.ts";

/** How one server behaves. All servers of a cluster should have the same; leases *need* the same timeouts. */
export interface RaftOptions {
  /**
   * A follower that hears nothing begins an election after a random time between these two. The paper:
   * "broadcastTime ≪ electionTimeout ≪ MTBF" (§5.6).
   */
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  /** How often a leader says that it is there. */
  readonly heartbeatMs: number;
  /** Ask whether an election could be won before beginning one. */
  readonly hasPreVote: boolean;
  /** A leader that hears no quorum for an election timeout steps down. */
  readonly hasCheckQuorum: boolean;
  /** Answer reads without asking around while the lease lasts. Safe only as long as `clockDriftMax` holds. */
  readonly hasLeaseReads: boolean;
  /**
   * How far the rate of a server's monotonic clock may be from true time: 0.01 is a hundredth. If any clock
   * drifts more, lease reads can return old values; everything else stays safe.
   */
  readonly clockDriftMax: number;
  /** The most that one message carries. */
  readonly batchEntriesMax: number;
  readonly batchBytesMax: number;
  /** How many messages with entries a leader sends to one follower without an answer. */
  readonly inFlightMax: number;
  /** One piece of a snapshot. */
  readonly snapshotChunkBytesMax: number;
  /** A learner may become a voter when it is behind by no more than this. */
  readonly catchUpEntriesMax: number;
  /** How many entries for clients a leader holds uncommitted, before it refuses more. */
  readonly proposalsMax: number;
}

export const raftOptionsDefault: RaftOptions = {
  electionTimeoutMinMs: 150,
  electionTimeoutMaxMs: 300,
  heartbeatMs: 50,
  hasPreVote: true,
  hasCheckQuorum: true,
  hasLeaseReads: false,
  clockDriftMax: 0.01,
  batchEntriesMax: 64,
  batchBytesMax: 256 * 1024,
  inFlightMax: 16,
  snapshotChunkBytesMax: 64 * 1024,
  catchUpEntriesMax: 100,
  proposalsMax: 10_000,
};

/** Fills in defaults, and refuses what cannot work. */
export function makeRaftOptions(options: Partial<RaftOptions> = {}): RaftOptions {
  const made = { ...raftOptionsDefault, ...options };
  const { electionTimeoutMinMs, electionTimeoutMaxMs, heartbeatMs, clockDriftMax } = made;
  assert(heartbeatMs > 0, `heartbeats every ${heartbeatMs} ms`);
  assert(heartbeatMs < electionTimeoutMinMs, "heartbeats must be more frequent than elections");
  assert(electionTimeoutMinMs < electionTimeoutMaxMs, "without a range of timeouts, votes split for ever");
  assert(clockDriftMax >= 0 && clockDriftMax < 1, `a clock drift of ${clockDriftMax}`);
  const limits = [
    "batchEntriesMax",
    "batchBytesMax",
    "inFlightMax",
    "snapshotChunkBytesMax",
    "proposalsMax",
  ] as const;
  for (const limit of limits)
    assert(made[limit] >= 1, `${limit} of ${made[limit]}: nothing could ever be sent`);
  // A lease stands on two promises: nobody begins an election early, and nobody votes for one.
  assert(
    !made.hasLeaseReads || (made.hasPreVote && made.hasCheckQuorum),
    "leases need pre-votes and check-quorum",
  );
  return made;
}
