/**
 * "Leases … a leader that holds one knows that no other can be elected meanwhile" (thesis 6.4.1, in our words): while a
 * server may answer reads by itself, nobody leads a later term.
 *
 * That is more than `reads-current` sees: there need not be a read at the wrong moment.
 */
import { hold, type RaftChecker, type ServerView } from "./checker.ts";

export class LeaseExclusive implements RaftChecker {
  readonly rule = "lease-exclusive";
  /** The highest term that anybody ever led. */
  #term = 0;

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader") return;
    const { term, options } = state;
    if (term >= this.#term) {
      this.#term = term;
      return;
    }
    if (!options.hasLeaseReads) return;
    hold(this.rule, !state.rules.clients.holdsLease(state), () => {
      return `${name} holds a lease in term ${term}, and term ${this.#term} has a leader`;
    });
  }
}
