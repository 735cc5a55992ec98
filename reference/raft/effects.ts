/**
 * What the core wants done. It touches no disk, no socket and no clock; each call returns a list of these.
 *
 * The shell carries them out under three rules, on which safety rests:
 *
 * 1. *Writes in order.* Each `persist` is made durable as a whole or not at all, after the one before it.
 *    When it is durable, the shell calls `persisted(number)`. When it cannot be, the shell stops the server:
 *    it must not go on.
 * 2. *Persist before send.* A `send` leaves only when the write with number `afterWrite` is durable. A
 *    promise to a peer (a vote, an acknowledgement) that a power loss can take back is how committed entries
 *    are lost.
 * 3. *The rest in order.* `restore`, `apply` and `read` reach the state machine in the order in which they
 *    come. They may lag behind; nothing waits for them.
 */
import type { Entry, NodeId, Snapshot } from "./entry.ts";
import type { Message } from "./messages.ts";

/**
 * One atomic record: the persistent state of Figure 2, or what has changed in it. Term and vote are in every
 * one, because in two records a crash between them could leave a new term with an old vote.
 */
export interface Write {
  /** 1, 2, 3, … */
  readonly number: number;
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  /** Takes the place of the snapshot and of all entries that it covers. */
  readonly snapshot: Snapshot | undefined;
  /** Entries from this index on are replaced by `entries`; undefined leaves the log as it is. */
  readonly replaceFrom: number | undefined;
  readonly entries: readonly Entry[];
}

/** Why a request to the core came to nothing. */
export type Refusal =
  | "not-leader"
  /** The leader is handing over. */
  | "transferring"
  /** The leader's waiting proposals have reached their limit. */
  | "too-many-proposals";

export type Effect =
  | { readonly kind: "persist"; readonly write: Write }
  | { readonly kind: "send"; readonly message: Message; readonly afterWrite: number }
  /** Committed: hand to the state machine, in this order, each once. */
  | { readonly kind: "apply"; readonly entries: readonly Entry[] }
  /** Replace the state machine's state. */
  | { readonly kind: "restore"; readonly snapshot: Snapshot }
  /** Answer this read from the state machine, once everything up to `index` is applied. */
  | { readonly kind: "read"; readonly id: number; readonly index: number }
  /** These reads get no answer here: ask `leader`. */
  | { readonly kind: "refuse-reads"; readonly ids: readonly number[]; readonly leader: NodeId | undefined }
  /**
   * Nobody here will say what becomes of these proposals. They may yet be committed: the outcome is
   * *unknown*.
   */
  | { readonly kind: "abandon"; readonly indexes: readonly number[] };
