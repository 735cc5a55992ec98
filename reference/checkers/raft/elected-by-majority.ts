/**
 * "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the same
 * term" (§5.2), and of both majorities while members change (§6).
 *
 * Counted here by what was sent, not by what the candidate believes: a vote of another term, a refusal, a yes to a
 * pre-vote and a learner's kindness are no votes. Its own vote counts when it is on its disk.
 */
import type { Message } from "#reference/raft/messages.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import type { Raft } from "#reference/raft/state.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class ElectedByMajority implements RaftChecker {
  readonly rule = "elected-by-majority";
  /** By candidate: the newest term for which it got votes, and from whom. */
  readonly #votes = new Map<NodeId, { readonly term: number; readonly voters: Set<NodeId> }>();
  /** The term in which a server was last seen to lead, to look at each election once. */
  readonly #seen = new Map<NodeId, number>();

  onSend({ name }: ServerView, message: Message): void {
    if (message.kind !== "vote-reply" || !message.isGranted) return;
    const { to, term } = message;
    let votes = this.#votes.get(to);
    if (votes === undefined || votes.term < term) {
      this.#votes.set(to, (votes = { term, voters: new Set() }));
    }
    if (votes.term === term) votes.voters.add(name);
  }

  onStep(server: ServerView): void {
    const { name, state } = server;
    if (state?.role !== "leader" || this.#seen.get(name) === state.term) return;
    this.#seen.set(name, state.term);
    this.#judge(server, state);
  }

  /** Once in a leader's term: with functions that `onStep` need not make each time. */
  #judge({ name, durable }: ServerView, { term, configurations }: Readonly<Raft>): void {
    const votes = this.#votes.get(name);
    const hasOwn = durable.term > term || (durable.term === term && durable.votedFor === name);
    const hasVote = (voter: NodeId): boolean => {
      return voter === name ? hasOwn : votes?.term === term && votes.voters.has(voter);
    };
    const { voters, oldVoters } = configurations.at(-1)!.configuration;
    for (const part of [voters, oldVoters]) {
      const yes = part.filter(hasVote);
      if (part.length !== 0 && yes.length <= part.length / 2) {
        broken(
          this.rule,
          `${name} leads term ${term} with the votes of ${yes.join(", ") || "nobody"} of ${part.join(", ")}`,
        );
      }
    }
  }
}
