/**
 * What is worth a line in a debug log: the design notes' list (state transitions, log operations,
 * configuration changes; the contents of RPCs are in the messages themselves), and the raw material of the
 * metrics.
 */
import type { Configuration, Entry, NodeId, Snapshot } from "./entry.ts";
import type { Role } from "./state.ts";

export type RaftEvent =
  /** A state transition, or a change of term or leader. */
  | {
      readonly kind: "role";
      readonly role: Role;
      readonly term: number;
      readonly leader: NodeId | undefined;
      readonly reason: string;
    }
  | { readonly kind: "vote"; readonly term: number; readonly candidate: NodeId; readonly isGranted: boolean }
  | { readonly kind: "append"; readonly from: number; readonly entries: readonly Entry[] }
  /** Entries that conflicted with the leader's were taken back. */
  | { readonly kind: "truncate"; readonly from: number; readonly count: number }
  | { readonly kind: "commit"; readonly index: number }
  /** An entry of this leader's own is committed, so long after it was proposed. */
  | { readonly kind: "commit-latency"; readonly index: number; readonly latencyMs: number }
  /** A message went to a follower and its answer came back. */
  | { readonly kind: "round-trip"; readonly peer: NodeId; readonly durationMs: number }
  /** A follower's log did not match: the leader goes back to this entry. */
  | { readonly kind: "back-off"; readonly peer: NodeId; readonly nextIndex: number }
  | { readonly kind: "configuration"; readonly index: number; readonly configuration: Configuration }
  | {
      readonly kind: "snapshot";
      readonly step: "taken" | "sending" | "installed";
      readonly snapshot: Snapshot;
    }
  | {
      readonly kind: "transfer";
      readonly target: NodeId;
      readonly step: "begun" | "handed-over" | "given-up";
    };
