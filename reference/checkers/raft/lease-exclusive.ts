/**
 * "Leases … a leader that holds one knows that no other can be elected meanwhile" (thesis 6.4.1, in our words): while a
 * server may answer reads by itself, nobody leads a later term.
 *
 * That is more than `reads-current` sees: there need not be a read at the wrong moment. And a leader that has told
 * another server to begin an election has no lease any more in its term, whatever comes of that election.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import type { Message } from "#reference/raft/messages.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class LeaseExclusive implements RaftChecker {
  readonly rule = "lease-exclusive";
  /** The highest term that anybody ever led. */
  #term = 0;
  /** By server: the last term in which it has handed over. */
  readonly #handedOver = new Map<NodeId, number>();

  onSend({ name }: ServerView, { kind, term }: Message): void {
    if (kind === "timeout-now") this.#handedOver.set(name, term);
  }

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader") return;
    const { term, options } = state;
    const hasHandedOver = this.#handedOver.get(name) === term;
    if (term >= this.#term) this.#term = term;
    if (!options.hasLeaseReads || (term === this.#term && !hasHandedOver)) return;
    if (state.rules.clients.holdsLease(state)) {
      const why = hasHandedOver ? "it has handed over" : `term ${this.#term} has a leader`;
      broken(this.rule, `${name} holds a lease in term ${term}, and ${why}`);
    }
  }
}
