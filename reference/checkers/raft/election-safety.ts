/**
 * "Election Safety: at most one leader can be elected in a given term" (Figure 3).
 */
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

/** One leader a term, for ever: also one that is long gone counts. */
export class ElectionSafety implements RaftChecker {
  readonly rule = "election-safety";
  readonly #leaders = new Map<number, NodeId>();

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader") return;
    const known = this.#leaders.get(state.term);
    if (known === undefined) this.#leaders.set(state.term, name);
    else if (known !== name) broken(this.rule, `${known} and ${name} both lead in term ${state.term}`);
  }
}
