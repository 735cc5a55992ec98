/**
 * "Updated on stable storage before responding to RPCs" (Figure 2): no message promises what a power loss
 * could take back.
 */
import type { Message } from "#reference/raft/messages.ts";
import { hold, type RaftChecker, type ServerView } from "./checker.ts";

export class PersistBeforeSend implements RaftChecker {
  readonly rule = "persist-before-send";

  onSend({ name, durable }: ServerView, message: Message): void {
    const { kind, term } = message;
    // A pre-vote speaks of a term that nobody has begun.
    const isHypothetical = kind === "pre-vote-request" || (kind === "pre-vote-reply" && message.isGranted);
    if (isHypothetical) return;
    hold(this.rule, durable.term >= term, () => {
      return `${name} sends a ${kind} of term ${term}, and on its disk is term ${durable.term}`;
    });
    if (kind === "vote-request" || (kind === "vote-reply" && message.isGranted)) {
      const candidate = kind === "vote-request" ? message.from : message.to;
      const isKept = durable.term > term || durable.votedFor === candidate;
      hold(this.rule, isKept, () => {
        return `${name} sends a ${kind} with its vote for ${candidate}, and on its disk is ${durable.votedFor ?? "none"}`;
      });
    }
    if (kind === "append-reply" && message.outcome.kind === "matched") {
      const { matchIndex } = message.outcome;
      hold(this.rule, durable.lastIndex >= matchIndex, () => {
        return `${name} acknowledges up to ${matchIndex}, and its disk has ${durable.lastIndex}`;
      });
    }
    if (kind === "snapshot-reply" && message.isInstalled) {
      hold(this.rule, durable.lastIndex >= message.index, () => {
        return `${name} has installed ${message.index}, and its disk has ${durable.lastIndex}`;
      });
    }
  }
}
