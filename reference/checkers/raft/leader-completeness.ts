/**
 * "Leader Completeness: if a log entry is committed in a given term, then that entry will be present in the
 * logs of the leaders for all higher-numbered terms" (Figure 3).
 *
 * Looked at from both sides: when somebody becomes leader, it must have all that was committed in earlier
 * terms; and when a leader of an older term, who does not know better yet, commits something, every newer
 * leader must have that already.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type ClusterView, type RaftChecker, type ServerView } from "./checker.ts";

interface Committed {
  /** The entry's own term. */
  readonly term: number;
  /** The term in which it was first committed. */
  readonly inTerm: number;
}

export class LeaderCompleteness implements RaftChecker {
  readonly rule = "leader-completeness";
  readonly #cluster: ClusterView;
  /** By index; commits have no gaps. */
  readonly #committed: Committed[] = [];
  /** The term in which a server was last seen to lead, to look at each leader once. */
  readonly #seen = new Map<NodeId, number>();

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
  }

  onStep(server: ServerView): void {
    const { name, state } = server;
    if (state?.role !== "leader") return;
    if (this.#seen.get(name) !== state.term) {
      this.#seen.set(name, state.term);
      this.#checkLeader(server, 1);
    }
    const first = this.#committed.length + 1;
    for (let index = first; index <= state.commitIndex; index++) {
      this.#committed.push({ term: state.log.termAt(index) ?? -1, inTerm: state.term });
    }
    if (first > state.commitIndex) return;
    for (const other of this.#cluster.servers.values()) {
      if (other.state?.role === "leader" && other.state.term > state.term) this.#checkLeader(other, first);
    }
  }

  #checkLeader({ name, state }: ServerView, from: number): void {
    if (state === undefined) return;
    for (let index = Math.max(from, state.log.snapshotIndex + 1); index <= this.#committed.length; index++) {
      const { term, inTerm } = this.#committed[index - 1]!;
      if (term < 0 || inTerm >= state.term) continue;
      const has = state.log.termAt(index);
      if (has !== term) {
        const found = has === undefined ? "nothing" : `one of term ${has}`;
        broken(
          this.rule,
          `${name} leads term ${state.term} and has ${found} at ${index}, where term ${term} was committed in ${inTerm}`,
        );
      }
    }
  }
}
