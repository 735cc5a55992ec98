/**
 * What a leader knows of a follower is true as long as it leads: `matchIndex` "increases monotonically" (Figure 2), and
 * is known of members alone. Who is removed and comes back may have lost everything.
 */
import type { Configuration, NodeId } from "#reference/raft/entry.ts";
import { membersOf } from "#reference/raft/membership.ts";
import { configurationOf, type Progress } from "#reference/raft/state.ts";
import { hold, type RaftChecker, type ServerView } from "./checker.ts";

interface Known {
  readonly progress: Progress;
  matchIndex: number;
}

export class ProgressSound implements RaftChecker {
  readonly rule = "progress-sound";
  /** By leader and follower. */
  readonly #known = new Map<NodeId, Map<NodeId, Known>>();
  /** By leader: the configuration that was looked at last. */
  readonly #looked = new Map<NodeId, Configuration>();

  onStep({ name, state }: ServerView): void {
    if (state?.role !== "leader") return;
    let known = this.#known.get(name);
    if (known === undefined) this.#known.set(name, (known = new Map<NodeId, Known>()));
    for (const [peer, progress] of state.progress) {
      const before = known.get(peer);
      const { matchIndex } = progress;
      // Another object is another beginning: of a term, or of a membership.
      if (before?.progress !== progress) {
        known.set(peer, { progress, matchIndex });
        continue;
      }
      hold(this.rule, matchIndex >= before.matchIndex, () => {
        return `${name} knew that ${peer} has ${before.matchIndex}, and now only ${matchIndex}`;
      });
      before.matchIndex = matchIndex;
    }
    const configuration = configurationOf(state);
    if (this.#looked.get(name) === configuration) return;
    this.#looked.set(name, configuration);
    const members = membersOf(configuration);
    for (const peer of state.progress.keys()) {
      hold(this.rule, members.has(peer), () => `${name} still knows of ${peer}, which is no member any more`);
    }
  }
}
