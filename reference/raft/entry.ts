/**
 * What a log holds, and who has a say about it: entries, configurations, snapshots.
 *
 * None of these is ever changed after it was made. So the log, a message and a write to disk can share them,
 * and nobody has to wonder who else is looking.
 */

/** The name of a server, the same in every configuration and on every machine. */
export type NodeId = string;

/** One entry of the replicated log. Index and term together name it: no other entry ever has both. */
export type Entry =
  /** What a client wants done. Raft does not look inside. */
  | { readonly kind: "command"; readonly index: number; readonly term: number; readonly data: Uint8Array }
  /** What a new leader appends, to find out what is committed (§8). */
  | { readonly kind: "no-op"; readonly index: number; readonly term: number }
  /** Who the members are, from this entry on (§6). */
  | {
      readonly kind: "configuration";
      readonly index: number;
      readonly term: number;
      readonly configuration: Configuration;
    };

/** Who is in the cluster. */
export interface Configuration {
  /** Those whose majority decides. */
  readonly voters: readonly NodeId[];
  /**
   * The voters before the change, while it is under way (joint consensus): then a majority of these is needed
   * as well. Empty otherwise.
   */
  readonly oldVoters: readonly NodeId[];
  /** Those who receive the log and have no say: how a server catches up before it becomes a voter. */
  readonly learners: readonly NodeId[];
}

/** The configuration of a server that has not joined a cluster: it waits to be told. */
export const noConfiguration: Configuration = { voters: [], oldVoters: [], learners: [] };

/** The state machine after all entries up to `index`, in place of those entries (§7). */
export interface Snapshot {
  /** The last entry that it covers. */
  readonly index: number;
  readonly term: number;
  /** The configuration in force at `index`: the entry that said so may be gone. */
  readonly configuration: Configuration;
  /** The state machine's own, sessions of clients included. */
  readonly data: Uint8Array;
}

/** What an entry costs in a message or a file, roughly: limits are about memory, not about the last byte. */
export function entryBytes(entry: Entry): number {
  return 24 + (entry.kind === "command" ? entry.data.length : 0);
}
