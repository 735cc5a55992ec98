/**
 * The invariants of Raft, one a file, together.
 */
import { AllWritten } from "./all-written.ts";
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
import { LeaderProtected } from "./leader-protected.ts";
import { LeaseExclusive } from "./lease-exclusive.ts";
import { LogMatching } from "./log-matching.ts";
import { NothingForgotten } from "./nothing-forgotten.ts";
import { OneVote } from "./one-vote.ts";
import { Patience } from "./patience.ts";
import { PersistBeforeSend } from "./persist-before-send.ts";
import { ProgressSound } from "./progress-sound.ts";
import { ProposalsTold } from "./proposals-told.ts";
import { QuorumDurability } from "./quorum-durability.ts";
import { ReadsCurrent } from "./reads-current.ts";
import { SnapshotMatching } from "./snapshot-matching.ts";
import { StateMachineSafety } from "./state-machine-safety.ts";
import { TermFirst } from "./term-first.ts";
import type { Effect, Write } from "#reference/raft/effects.ts";
import type { Entry } from "#reference/raft/entry.ts";
import type { Message } from "#reference/raft/messages.ts";

/** All invariants as one checker. */
export class RaftInvariants implements Required<RaftChecker> {
  readonly rule = "raft";
  // Called by name: that is done after every event, and a call through a list of many kinds costs several times more.
  readonly #nothingForgotten = new NothingForgotten();
  readonly #oneVote = new OneVote();
  readonly #electedByMajority = new ElectedByMajority();
  readonly #electionSafety = new ElectionSafety();
  readonly #leaderAppendOnly = new LeaderAppendOnly();
  readonly #logMatching = new LogMatching();
  readonly #leaderCompleteness: LeaderCompleteness;
  readonly #stateMachineSafety = new StateMachineSafety();
  readonly #commitMonotone = new CommitMonotone();
  readonly #commitCurrentTerm = new CommitCurrentTerm();
  readonly #persistBeforeSend: PersistBeforeSend;
  readonly #durableIndex = new DurableIndex();
  readonly #quorumDurability: QuorumDurability;
  readonly #snapshotMatching = new SnapshotMatching();
  readonly #configurationInForce = new ConfigurationInForce();
  readonly #configurationSteps = new ConfigurationSteps();
  readonly #leaseExclusive = new LeaseExclusive();
  readonly #readsCurrent = new ReadsCurrent();
  readonly #budgetKept = new BudgetKept();
  readonly #allWritten = new AllWritten();
  readonly #termFirst = new TermFirst();
  readonly #patience = new Patience();
  readonly #leaderProtected = new LeaderProtected();
  readonly #progressSound = new ProgressSound();
  readonly #proposalsTold = new ProposalsTold();

  constructor(cluster: ClusterView) {
    this.#leaderCompleteness = new LeaderCompleteness(cluster);
    this.#persistBeforeSend = new PersistBeforeSend(cluster);
    this.#quorumDurability = new QuorumDurability(cluster);
  }

  onStart(server: ServerView): void {
    this.#nothingForgotten.onStart(server);
    this.#leaderAppendOnly.onStart(server);
    this.#stateMachineSafety.onStart(server);
    this.#commitMonotone.onStart(server);
    this.#commitCurrentTerm.onStart(server);
    this.#configurationInForce.onStart(server);
    this.#readsCurrent.onStart(server);
    this.#allWritten.onStart(server);
    this.#patience.onStart(server);
  }

  onReceive(server: ServerView, message: Message): void {
    this.#termFirst.onReceive(server, message);
    this.#patience.onReceive(server);
  }

  onHandled(server: ServerView, message: Message, effects: readonly Effect[]): void {
    this.#termFirst.onHandled(server, message, effects);
    this.#patience.onHandled(server, message, effects);
    this.#leaderProtected.onHandled(server, message, effects);
    this.#progressSound.onHandled(server, message);
  }

  onStep(server: ServerView): void {
    this.#electedByMajority.onStep(server);
    this.#electionSafety.onStep(server);
    this.#leaderAppendOnly.onStep(server);
    this.#leaderCompleteness.onStep(server);
    this.#stateMachineSafety.onStep(server);
    this.#commitMonotone.onStep(server);
    this.#commitCurrentTerm.onStep(server);
    this.#durableIndex.onStep(server);
    this.#quorumDurability.onStep(server);
    this.#leaseExclusive.onStep(server);
    this.#readsCurrent.onStep(server);
    this.#budgetKept.onStep(server);
    this.#allWritten.onStep(server);
    this.#proposalsTold.onStep(server);
  }

  onWrite(server: ServerView, write: Write): void {
    this.#nothingForgotten.onWrite(server, write);
    this.#leaderAppendOnly.onWrite(server, write);
    this.#logMatching.onWrite(server, write);
    this.#snapshotMatching.onWrite(server, write);
    this.#configurationInForce.onWrite(server, write);
    this.#configurationSteps.onWrite(server, write);
    this.#allWritten.onWrite(server, write);
    this.#progressSound.onWrite(server, write);
  }

  onDurable(server: ServerView, number: number): void {
    this.#nothingForgotten.onDurable(server, number);
  }

  onSend(server: ServerView, message: Message): void {
    this.#oneVote.onSend(server, message);
    this.#electedByMajority.onSend(server, message);
    this.#persistBeforeSend.onSend(server, message);
    this.#budgetKept.onSend(server, message);
    this.#leaseExclusive.onSend(server, message);
  }

  onApply(server: ServerView, entries: readonly Entry[]): void {
    this.#stateMachineSafety.onApply(server, entries);
    this.#snapshotMatching.onApply(server, entries);
  }

  onReadAsked(server: ServerView, id: number): void {
    this.#readsCurrent.onReadAsked(server, id);
  }

  onReadAnswered(server: ServerView, id: number, index: number, appliedIndex: number): void {
    this.#readsCurrent.onReadAnswered(server, id, index, appliedIndex);
  }
}
