/**
 * A case of conformance: one sentence about Raft, and a server on the bench that has to keep it.
 */
import type { RaftRules } from "#reference/raft/state.ts";

/** One case. It throws when the rules do not keep the sentence. */
export interface RaftCase {
  /** A sentence about behaviour. */
  readonly name: string;
  /**
   * The words of the paper ("In Search of an Understandable Consensus Algorithm") or of the thesis, where
   * there are any.
   */
  readonly quote: string;
  readonly section: string;
  readonly run: (rules: RaftRules) => void;
}
