/**
 * Says when a cluster has had nobody to lead it for long, and when it has again.
 *
 * A node that cannot reach the others goes on trying, and would be silent about it: most often an address is mistyped,
 * a firewall is in the way, or the other nodes have not been started. A few seconds without a leader are nothing to
 * tell: each death of a node brings some.
 */

/** What there is to tell is looked at so often. */
export const lookMs = 1000;
const patienceMs = 10_000;

/** Remembers since when something has been wrong. */
export class LeaderWatch {
  #sinceMs: number | undefined;
  #told: string | undefined;

  /** A line to tell, if there is one: `problem` is what is wrong now, undefined when nothing is. */
  look(nowMs: number, problem: string | undefined): string | undefined {
    if (problem === undefined) {
      const line = this.#told === undefined ? undefined : "everything has a leader again";
      this.#sinceMs = this.#told = undefined;
      return line;
    }
    this.#sinceMs ??= nowMs;
    if (this.#told === problem || nowMs - this.#sinceMs < patienceMs) return undefined;
    // Which partition comes first may change all the time; that there is something to look at does not.
    if (
      this.#told !== undefined &&
      this.#told.startsWith(partitionWords) &&
      problem.startsWith(partitionWords)
    )
      return undefined;
    this.#told = problem;
    return `${problem} (for ${Math.round((nowMs - this.#sinceMs) / 1000)} s)`;
  }
}

/** How the line about a partition begins (`missingLeader` in broker/cluster/cluster-state.ts). */
const partitionWords = "no leader is known for ";
