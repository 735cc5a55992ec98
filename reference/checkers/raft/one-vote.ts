/**
 * "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis" (§5.2).
 *
 * Two votes do harm only when both are counted in the same election and the rest of the votes is split as it takes. So
 * the harm is rare and the sentence itself is held, over all that a server ever sends: also what it promised before its
 * last crash.
 */
import type { Message } from "#reference/raft/messages.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class OneVote implements RaftChecker {
  readonly rule = "one-vote";
  /** By server: the candidate of each term. */
  readonly #votes = new Map<NodeId, Map<number, NodeId>>();

  onSend({ name }: ServerView, message: Message): void {
    const isOwn = message.kind === "vote-request";
    if (!isOwn && !(message.kind === "vote-reply" && message.isGranted)) return;
    const candidate = isOwn ? name : message.to;
    let own = this.#votes.get(name);
    if (own === undefined) this.#votes.set(name, (own = new Map()));
    const before = own.get(message.term) ?? candidate;
    own.set(message.term, before);
    if (before !== candidate) {
      broken(
        this.rule,
        `${name} votes for ${candidate} in term ${message.term}, and has voted for ${before}`,
      );
    }
  }
}
