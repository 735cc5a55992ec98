/**
 * No acknowledged loss, the first half: what a leader commits is on the disks of a quorum at that moment.
 * Then no crash of all servers at once can take it back.
 */
import { broken, type ClusterView, type RaftChecker, type ServerView } from "./checker.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import type { Raft } from "#reference/raft/state.ts";

export class QuorumDurability implements RaftChecker {
  readonly rule = "quorum-durability";
  readonly #cluster: ClusterView;
  /** The highest entry looked at. */
  #checked = 0;

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
  }

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader" || state.commitIndex <= this.#checked) return;
    this.#checked = state.commitIndex;
    this.#judge(name, state);
  }

  #judge(name: NodeId, state: Readonly<Raft>): void {
    const index = state.commitIndex;
    const term = state.log.termAt(index);
    // A configuration decides from its own entry on, also about entries before it: the latest one may have
    // decided, or one that was replaced in this very step.
    const at = Math.max(
      0,
      state.configurations.findLastIndex((candidate) => candidate.index <= index),
    );
    const isHeld = state.configurations.slice(at).some(({ configuration: { voters, oldVoters } }) => {
      return this.#isOnMajority(voters, index, term) && this.#isOnMajority(oldVoters, index, term);
    });
    if (!isHeld) {
      const holders = [...this.#cluster.servers.keys()].filter((voter) => this.#has(voter, index, term));
      broken(
        this.rule,
        `${name} commits ${index} in term ${state.term}, and only ${holders.join(", ") || "nobody"} has it on disk`,
      );
    }
  }

  #isOnMajority(voters: readonly NodeId[], index: number, term: number | undefined): boolean {
    return (
      voters.length === 0 ||
      voters.filter((voter) => this.#has(voter, index, term)).length > voters.length / 2
    );
  }

  #has(voter: NodeId, index: number, term: number | undefined): boolean {
    const durable = this.#cluster.servers.get(voter)?.durable;
    if (durable === undefined) return false;
    return durable.snapshotIndex >= index || durable.termAt(index) === term;
  }
}
