/**
 * What a server believes to be on its disk is there. A leader counts itself by that belief (thesis 10.2.1), and so an
 * entry could be committed that one of its majority does not have: for instance when a write that was begun before the
 * log was cut reports its end after the cut, and vouches for entries that it never held.
 */
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class DurableIndex implements RaftChecker {
  readonly rule = "durable-index";

  onStep({ name, state, durable }: ServerView): void {
    if (state === undefined) return;
    const { durableIndex, log } = state;
    // What either side has compacted is committed, and other rules look after that.
    if (durableIndex < log.snapshotIndex || durableIndex <= durable.snapshotIndex) return;
    const believed = log.termAt(durableIndex);
    const found = durable.termAt(durableIndex);
    if (believed !== found) {
      broken(
        this.rule,
        `${name} believes entry ${durableIndex} of term ${believed} to be on disk, where term ${found} is`,
      );
    }
  }
}
