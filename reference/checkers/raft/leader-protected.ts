/**
 * Nobody helps to replace a leader that it hears: a pre-vote is refused "within the minimum election timeout of hearing
 * from a current leader" (§6, thesis 9.6). It costs a cluster its leader, never an entry, so safety does not notice.
 */
import type { Effect } from "#reference/raft/effects.ts";
import type { Message } from "#reference/raft/messages.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class LeaderProtected implements RaftChecker {
  readonly rule = "leader-protected";

  onHandled({ name, state }: ServerView, message: Message, effects: readonly Effect[]): void {
    if (state === undefined || message.kind !== "pre-vote-request") return;
    const { role, leader, nowMs, leaderHeardAtMs, options } = state;
    // Without check-quorum a leader that nobody can reach would be protected for ever, so nobody is.
    if (!options.hasCheckQuorum) return;
    const isHeard = role === "leader" || nowMs - leaderHeardAtMs < options.electionTimeoutMinMs;
    if (!isHeard) return;
    const isGranted = effects.some((effect) => {
      return effect.kind === "send" && effect.message.kind === "pre-vote-reply" && effect.message.isGranted;
    });
    if (isGranted) {
      broken(
        this.rule,
        `${name} grants ${message.from} a pre-vote and has heard ${leader ?? "a leader"} lately`,
      );
    }
  }
}
