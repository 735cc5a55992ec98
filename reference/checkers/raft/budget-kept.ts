/**
 * A leader keeps to its budgets: what one message carries, how many messages are out to one follower, and how
 * many proposals wait. Whatever a follower lacks and however long it is silent, neither the network nor the
 * leader's memory is asked for more than `RaftOptions` says.
 */
import type { Message } from "#reference/raft/messages.ts";
import { entryBytes } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class BudgetKept implements RaftChecker {
  readonly rule = "budget-kept";

  onSend({ name, state }: ServerView, message: Message): void {
    if (state === undefined) return;
    const { batchEntriesMax, batchBytesMax, snapshotChunkBytesMax } = state.options;
    if (message.kind === "append-request") {
      const { entries, to } = message;
      const count = entries.length;
      if (count > batchEntriesMax) {
        broken(this.rule, `${name} sends ${to} ${count} of ${batchEntriesMax} entries`);
      }
      // An entry that is larger than a message may be still has to travel: alone.
      if (count < 2) return;
      const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
      if (bytes > batchBytesMax) {
        broken(this.rule, `${name} sends ${to} ${bytes} of ${batchBytesMax} bytes`);
      }
    } else if (message.kind === "snapshot-request") {
      const bytes = message.data.length;
      const limit = snapshotChunkBytesMax;
      if (bytes > limit) broken(this.rule, `${name} sends a piece of ${bytes} of ${limit} bytes`);
    }
  }

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader") return;
    const { inFlightMax, proposalsMax } = state.options;
    const waiting = state.proposals.size;
    if (waiting > proposalsMax) {
      broken(this.rule, `${name} holds ${waiting} of ${proposalsMax} proposals`);
    }
    for (const [peer, { inFlight }] of state.progress) {
      const out = inFlight.length;
      if (out > inFlightMax) {
        broken(this.rule, `${name} has ${out} of ${inFlightMax} messages out to ${peer}`);
      }
    }
  }
}
