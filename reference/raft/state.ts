/**
 * All that one server knows, and the seven sets of rules that work on it.
 *
 * The rules are plain functions over this state, one module for each lesson. They call each other through
 * `raft.rules` and never directly, so any one of them can be exchanged: by a learner's solution, or by a
 * wrong one that a test must find. The paper's Figure 2 names most of the fields.
 */
import type { Random } from "../ports.ts";
import type * as clients from "./clients.ts";
import type * as commit from "./commit.ts";
import type * as election from "./election.ts";
import type * as membership from "./membership.ts";
import type * as persistence from "./persistence.ts";
import type * as replication from "./replication.ts";
import type * as snapshot from "./snapshot.ts";
import type { Effect } from "./effects.ts";
import type { Configuration, Entry, NodeId, Snapshot } from "./entry.ts";
import type { RaftEvent } from "./events.ts";
import type { RaftLog } from "./log.ts";
import type { Message } from "./messages.ts";
import type { RaftOptions } from "./options.ts";

/** The rules, by lesson. */
export interface RaftRules {
  readonly election: typeof election;
  readonly replication: typeof replication;
  readonly commit: typeof commit;
  readonly persistence: typeof persistence;
  readonly snapshot: typeof snapshot;
  readonly clients: typeof clients;
  readonly membership: typeof membership;
}

/** What a server is at the moment. A `pre-candidate` asks whether it could win, in its old term. */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What a leader knows about one other server. */
export interface Progress {
  /** The server's log is known to be the leader's up to here. It never goes back. */
  matchIndex: number;
  /** The next entry to send. A guess, corrected by conflicts; always above `matchIndex`. */
  nextIndex: number;
  /**
   * `probe`: one message at a time, until one matches. `replicate`: as many as the window allows, without
   * waiting. `snapshot`: what it needs is gone, so it gets the snapshot first.
   */
  mode: "probe" | "replicate" | "snapshot";
  /** In `probe`: a message with entries is out, and until it is answered only empty ones follow. */
  isWaiting: boolean;
  /** In `replicate`: the last index of each message with entries that has not been answered. */
  inFlight: number[];
  /** In `snapshot`: what is being sent, and how much of it has arrived. */
  snapshot: Snapshot | undefined;
  snapshotOffset: number;
  /** When it last answered in this term, by the leader's clock. */
  heardAtMs: number;
  /** The newest round of reads that it has answered. */
  heardRound: number;
  /** When the newest message that it has answered was *sent*: what a lease counts from. */
  heardSentAtMs: number;
}

/** A configuration and the entry from which on it is in force. */
export interface ConfigurationAt {
  readonly index: number;
  readonly configuration: Configuration;
}

/** A read that waits for the leader to be sure that it still leads. */
export interface PendingRead {
  readonly id: number;
  /** How far the state machine must be; undefined until the leader has committed in its term. */
  index: number | undefined;
  /** The round that must be heard by a quorum. */
  round: number;
}

/** A write that is on its way to the disk. */
export interface PendingWrite {
  readonly number: number;
  /** The end of the log, as far as it will be durable with this write; a later truncation lowers it. */
  lastIndex: number;
}

/** The state of one server. */
export interface Raft {
  readonly id: NodeId;
  readonly options: RaftOptions;
  readonly random: Random;
  readonly rules: RaftRules;
  /** Told of everything worth a line in a debug log. */
  readonly observe: ((event: RaftEvent) => void) | undefined;

  /** This server's monotonic clock, as of the current call. */
  nowMs: number;

  // Persistent (Figure 2): what must survive a crash.

  /** The latest term that this server has seen. */
  term: number;
  /** Who got this server's vote in `term`. */
  votedFor: NodeId | undefined;
  /** Replaced as a whole when a snapshot does not fit to it. */
  log: RaftLog;
  snapshot: Snapshot | undefined;

  // Volatile: what a crash may take.

  role: Role;
  /** Who leads in `term`, as far as known. */
  leader: NodeId | undefined;
  /** The highest entry known to be committed. It never goes back while the server runs. */
  commitIndex: number;
  /** The highest entry that was handed out to be applied. */
  appliedIndex: number;
  /** The configurations in the log and the one before it; the last one is in force, committed or not. */
  configurations: ConfigurationAt[];
  /** When this server loses patience. */
  electionDueMs: number;
  /**
   * When a leader was last heard, or the server started: until a minimal timeout later it elects nobody else.
   */
  leaderHeardAtMs: number;
  /** The answers to this candidacy. */
  votes: Map<NodeId, boolean>;

  // Of a leader only; emptied when it ends.

  heartbeatDueMs: number;
  progress: Map<NodeId, Progress>;
  /** Entries that this leader appended for clients and has not committed, with the time at which it did. */
  proposals: Map<number, number>;
  /** The round of reads that every message carries now. */
  round: number;
  reads: PendingRead[];
  /** The voter that shall lead next, and how long this leader waits for it. */
  transfer: { readonly target: NodeId; readonly dueMs: number } | undefined;
  /** Somebody was told to begin an election in spite of this leader: its lease means nothing any more. */
  hasHandedOver: boolean;

  // A snapshot that is coming in, piece by piece.

  incoming: { readonly key: string; readonly parts: Uint8Array[]; bytes: number } | undefined;

  // What is durable, and what will be.

  /** The last write that was handed out, and the last one that changed term or vote. */
  writeNumber: number;
  termWriteNumber: number;
  /** Writes up to this one are durable. */
  durableWriteNumber: number;
  /** This server's log is durable up to here: as far as it may count itself. */
  durableIndex: number;
  pendingWrites: PendingWrite[];
  /** What the next write has to hold. */
  dirty: { hasTerm: boolean; replaceFrom: number | undefined; hasSnapshot: boolean };

  // What this call leads to.

  outbox: Message[];
  effects: Effect[];
}

/** The configuration in force: the latest in the log, committed or not (§6). */
export function configurationOf(raft: Raft): Configuration {
  return raft.configurations[raft.configurations.length - 1]!.configuration;
}

/** Notes that the log has changed from this index on, for the next write. */
export function markLogFrom(raft: Raft, index: number): void {
  const { dirty } = raft;
  dirty.replaceFrom = dirty.replaceFrom === undefined ? index : Math.min(dirty.replaceFrom, index);
}

/** Appends to the log, and keeps the configurations and the next write in step. */
export function appendEntries(raft: Raft, entries: readonly Entry[]): void {
  const first = entries[0];
  if (first === undefined) return;
  raft.log.append(entries);
  markLogFrom(raft, first.index);
  for (const entry of entries) {
    if (entry.kind !== "configuration") continue;
    raft.configurations.push({ index: entry.index, configuration: entry.configuration });
    raft.observe?.({ kind: "configuration", index: entry.index, configuration: entry.configuration });
  }
  raft.observe?.({ kind: "append", from: first.index, entries });
}
