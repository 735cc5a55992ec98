/**
 * "Updated on stable storage before responding to RPCs" (Figure 2): no message promises what a power loss
 * could take back.
 */
import type { Message } from "#reference/raft/messages.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type ClusterView, type RaftChecker, type ServerView } from "./checker.ts";

export class PersistBeforeSend implements RaftChecker {
  readonly rule = "persist-before-send";
  readonly #cluster: ClusterView;

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
  }

  onSend(server: ServerView, message: Message): void {
    this.#checkTerm(server, message);
    if (message.kind === "append-reply" && message.outcome.kind === "matched") {
      this.#checkEntry(server, message.to, message.term, message.outcome.matchIndex, "acknowledges up to");
    }
    if (message.kind === "snapshot-reply" && message.isInstalled) {
      this.#checkEntry(server, message.to, message.term, message.index, "has installed");
    }
  }

  #checkTerm({ name, durable }: ServerView, message: Message): void {
    const { kind, term } = message;
    // A pre-vote speaks of a term that nobody has begun.
    const isHypothetical = kind === "pre-vote-request" || (kind === "pre-vote-reply" && message.isGranted);
    if (isHypothetical) return;
    if (durable.term < term) {
      broken(this.rule, `${name} sends a ${kind} of term ${term}, and on its disk is term ${durable.term}`);
    }
    if (kind === "vote-request" || (kind === "vote-reply" && message.isGranted)) {
      const candidate = kind === "vote-request" ? message.from : message.to;
      const isKept = durable.term > term || durable.votedFor === candidate;
      if (!isKept) {
        broken(
          this.rule,
          `${name} sends a ${kind} with its vote for ${candidate}, and on its disk is ${durable.votedFor ?? "none"}`,
        );
      }
    }
  }

  /** The disk has the entry, and it is the one that the leader means: an old one of the same index is none. */
  #checkEntry({ name, durable }: ServerView, to: NodeId, term: number, index: number, says: string): void {
    if (durable.lastIndex < index) {
      broken(this.rule, `${name} ${says} ${index}, and its disk has ${durable.lastIndex}`);
    }
    const leader = this.#cluster.servers.get(to)?.state;
    if (leader?.role !== "leader" || leader.term !== term || durable.term !== term) return;
    const [meant, found] = [leader.log.termAt(index), durable.termAt(index)];
    const isThere = durable.snapshotIndex >= index || meant === undefined || meant === found;
    if (!isThere) {
      broken(
        this.rule,
        `${name} ${says} ${index} of term ${meant}, and its disk has one of term ${found} there`,
      );
    }
  }
}
