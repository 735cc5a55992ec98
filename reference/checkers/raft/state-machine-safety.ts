/**
 * "State Machine Safety: if a server has applied a log entry at a given index to its state machine, no other
 * server will ever apply a different log entry for the same index" (Figure 3). And each server applies in
 * order, leaving none out.
 */
import type { Entry, NodeId } from "#reference/raft/entry.ts";
import { broken, isSameEntry, type RaftChecker, type ServerView } from "./checker.ts";

export class StateMachineSafety implements RaftChecker {
  readonly rule = "state-machine-safety";
  /** What was applied at each index, by whoever came first. */
  readonly #applied: Entry[] = [];
  /** How far each server's state machine is. */
  readonly #position = new Map<NodeId, number>();

  onStart({ name, state }: ServerView): void {
    this.#position.set(name, state?.log.snapshotIndex ?? 0);
  }

  onStep({ name, state }: ServerView): void {
    // A snapshot that was taken over moves the position without any entry.
    const position = this.#position.get(name) ?? 0;
    if (state !== undefined && state.log.snapshotIndex > position) {
      this.#position.set(name, state.log.snapshotIndex);
    }
  }

  onApply({ name }: ServerView, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const expected = (this.#position.get(name) ?? 0) + 1;
      if (entry.index !== expected) {
        broken(this.rule, `${name} applies ${entry.index} where ${expected} is next`);
      }
      this.#position.set(name, entry.index);
      const known = this.#applied[entry.index];
      if (known === undefined) this.#applied[entry.index] = entry;
      else {
        if (!isSameEntry(known, entry)) {
          broken(
            this.rule,
            `${name} applies entry ${entry.index} of term ${entry.term}, others that of term ${known.term}`,
          );
        }
      }
    }
  }
}
