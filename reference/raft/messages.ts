/**
 * What servers say to each other. Figures 2 and 13 of the Raft paper, and what its longer version (the
 * thesis) adds.
 *
 * Every message carries its sender's term, and that is looked at before anything else (`admit` in
 * election.ts). A reply repeats what it answers, so that a leader does not have to remember what it sent:
 * replies may be late, doubled, or in another order.
 */
import type { Configuration, Entry, NodeId } from "./entry.ts";

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's current term. In a pre-vote request: the term that it would begin. */
  readonly term: number;
}

/**
 * "Would you vote for me?" Asked before a term is begun, so that whoever cannot win disturbs nobody (thesis
 * 9.6).
 */
export interface PreVoteRequest extends Envelope {
  readonly kind: "pre-vote-request";
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface PreVoteReply extends Envelope {
  readonly kind: "pre-vote-reply";
  readonly isGranted: boolean;
}

export interface VoteRequest extends Envelope {
  readonly kind: "vote-request";
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The leader itself asked for this election: no reason to protect it. */
  readonly isTransfer: boolean;
}

export interface VoteReply extends Envelope {
  readonly kind: "vote-reply";
  readonly isGranted: boolean;
}

/** What a follower repeats, so that the leader knows which of its messages has been heard. */
export interface Heard {
  /** The round of reads that this message confirms; see clients.ts. */
  readonly round: number;
  /** The leader's monotonic clock when it sent the message. Nobody else may compare it with a clock. */
  readonly sentAtMs: number;
}

/** New entries, or none: then it is a heartbeat, and is checked all the same. */
export interface AppendRequest extends Envelope, Heard {
  readonly kind: "append-request";
  /** The entry just before `entries`. */
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  /** How far the leader has committed. */
  readonly commitIndex: number;
}

export interface AppendReply extends Envelope, Heard {
  readonly kind: "append-reply";
  readonly outcome:
    /** The follower's log is the leader's up to here. */
    | { readonly kind: "matched"; readonly matchIndex: number }
    /** The follower has another entry, or none, at `previousIndex`. */
    | {
        readonly kind: "conflict";
        readonly previousIndex: number;
        /** The term of the follower's entry there; undefined when its log is shorter. */
        readonly conflictTerm: number | undefined;
        /** The first index that it holds of that term, or the end of its log. */
        readonly conflictIndex: number;
      }
    /** The request was of an older term. */
    | { readonly kind: "stale" };
}

/** One piece of a snapshot. */
export interface SnapshotRequest extends Envelope, Heard {
  readonly kind: "snapshot-request";
  readonly index: number;
  readonly lastTerm: number;
  readonly configuration: Configuration;
  /** Where `data` belongs. */
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isLast: boolean;
}

export interface SnapshotReply extends Envelope, Heard {
  readonly kind: "snapshot-reply";
  readonly index: number;
  /** How many bytes the follower has, from the start, without a hole. */
  readonly offset: number;
  /** The follower's state is at least as new as the snapshot. */
  readonly isInstalled: boolean;
}

/** The leader hands over: "begin an election now" (thesis 3.10). */
export interface TimeoutNow extends Envelope {
  readonly kind: "timeout-now";
}

export type Message =
  | PreVoteRequest
  | PreVoteReply
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | SnapshotRequest
  | SnapshotReply
  | TimeoutNow;
