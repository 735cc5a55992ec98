/**
 * The invariants of Raft, one a file, together.
 */
import { BudgetKept } from "./budget-kept.ts";
import { CommitCurrentTerm } from "./commit-current-term.ts";
import { CommitMonotone } from "./commit-monotone.ts";
import type { ClusterView, RaftChecker, ServerView } from "./checker.ts";
import { ConfigurationInForce } from "./configuration-in-force.ts";
import { ConfigurationSteps } from "./configuration-steps.ts";
import { DurableIndex } from "./durable-index.ts";
import { ElectedByMajority } from "./elected-by-majority.ts";
import { ElectionSafety } from "./election-safety.ts";
import { LeaderAppendOnly } from "./leader-append-only.ts";
import { LeaderCompleteness } from "./leader-completeness.ts";
import { LeaseExclusive } from "./lease-exclusive.ts";
import { LogMatching } from "./log-matching.ts";
import { OneVote } from "./one-vote.ts";
import { PersistBeforeSend } from "./persist-before-send.ts";
import { QuorumDurability } from "./quorum-durability.ts";
import { ReadsCurrent } from "./reads-current.ts";
import { SnapshotMatching } from "./snapshot-matching.ts";
import { StateMachineSafety } from "./state-machine-safety.ts";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry } from "#reference/raft/entry.ts";
import type { Message } from "#reference/raft/messages.ts";

/** All invariants as one checker. */
export class RaftInvariants implements Required<RaftChecker> {
  readonly rule = "raft";
  readonly #onStart: RaftChecker[];
  readonly #onStep: RaftChecker[];
  readonly #onWrite: RaftChecker[];
  readonly #onSend: RaftChecker[];
  readonly #onApply: RaftChecker[];
  readonly #onReadAsked: RaftChecker[];
  readonly #onReadAnswered: RaftChecker[];

  constructor(cluster: ClusterView) {
    const all: readonly RaftChecker[] = [
      new OneVote(),
      new ElectedByMajority(),
      new ElectionSafety(),
      new LeaderAppendOnly(),
      new LogMatching(),
      new LeaderCompleteness(cluster),
      new StateMachineSafety(),
      new CommitMonotone(),
      new CommitCurrentTerm(),
      new PersistBeforeSend(cluster),
      new DurableIndex(),
      new QuorumDurability(cluster),
      new SnapshotMatching(),
      new ConfigurationInForce(),
      new ConfigurationSteps(),
      new LeaseExclusive(),
      new ReadsCurrent(),
      new BudgetKept(),
    ];
    // Sorted out once: this is called after every event.
    this.#onStart = all.filter((checker) => "onStart" in checker);
    this.#onStep = all.filter((checker) => "onStep" in checker);
    this.#onWrite = all.filter((checker) => "onWrite" in checker);
    this.#onSend = all.filter((checker) => "onSend" in checker);
    this.#onApply = all.filter((checker) => "onApply" in checker);
    this.#onReadAsked = all.filter((checker) => "onReadAsked" in checker);
    this.#onReadAnswered = all.filter((checker) => "onReadAnswered" in checker);
  }

  onStart(server: ServerView): void {
    for (const checker of this.#onStart) checker.onStart!(server);
  }

  onStep(server: ServerView): void {
    for (const checker of this.#onStep) checker.onStep!(server);
  }

  onWrite(server: ServerView, write: Write): void {
    for (const checker of this.#onWrite) checker.onWrite!(server, write);
  }

  onSend(server: ServerView, message: Message): void {
    for (const checker of this.#onSend) checker.onSend!(server, message);
  }

  onApply(server: ServerView, entries: readonly Entry[]): void {
    for (const checker of this.#onApply) checker.onApply!(server, entries);
  }

  onReadAsked(server: ServerView, id: number): void {
    for (const checker of this.#onReadAsked) checker.onReadAsked!(server, id);
  }

  onReadAnswered(server: ServerView, id: number, index: number, appliedIndex: number): void {
    for (const checker of this.#onReadAnswered) checker.onReadAnswered!(server, id, index, appliedIndex);
  }
}
