/**
 * What a leader knows of a follower is true as long as it leads: `matchIndex` "increases monotonically" (Figure 2), and
 * is known of members alone. Who is removed and comes back may have lost everything.
 */
import type { Write } from "#reference/raft/effects.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { membersOf } from "#reference/raft/membership.ts";
import type { Message } from "#reference/raft/messages.ts";
import { configurationOf, type Progress } from "#reference/raft/state.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

interface Known {
  readonly progress: Progress;
  matchIndex: number;
}

export class ProgressSound implements RaftChecker {
  readonly rule = "progress-sound";
  /** By leader and follower. */
  readonly #known = new Map<NodeId, Map<NodeId, Known>>();

  /** A follower has answered, which is when a leader learns of it. */
  onHandled({ name, state }: ServerView, { kind, from }: Message): void {
    if (state?.role !== "leader" || (kind !== "append-reply" && kind !== "snapshot-reply")) return;
    const progress = state.progress.get(from);
    if (progress === undefined) return;
    let known = this.#known.get(name);
    if (known === undefined) this.#known.set(name, (known = new Map<NodeId, Known>()));
    const before = known.get(from);
    const { matchIndex } = progress;
    // Another object is another beginning: of a term, or of a membership.
    if (before?.progress !== progress) {
      known.set(from, { progress, matchIndex });
      return;
    }
    if (matchIndex < before.matchIndex) {
      broken(this.rule, `${name} knew that ${from} has ${before.matchIndex}, and now only ${matchIndex}`);
    }
    before.matchIndex = matchIndex;
  }

  /** The members have changed. */
  onWrite({ name, state }: ServerView, { entries }: Write): void {
    if (state?.role !== "leader" || !entries.some(({ kind }) => kind === "configuration")) return;
    const members = membersOf(configurationOf(state));
    for (const peer of state.progress.keys()) {
      if (!members.has(peer)) {
        broken(this.rule, `${name} still knows of ${peer}, which is no member any more`);
      }
    }
  }
}
