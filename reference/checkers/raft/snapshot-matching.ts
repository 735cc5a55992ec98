/**
 * A snapshot stands for a part of the log that is the same everywhere (§7). So two snapshots up to the same entry have
 * the same last term, the same configuration (the last one that was committed up to there) and the same state, whoever
 * took them and however they travelled: the state machine is deterministic.
 */
import type { Configuration, Entry, Snapshot } from "#reference/raft/entry.ts";
import type { Write } from "#reference/raft/effects.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class SnapshotMatching implements RaftChecker {
  readonly rule = "snapshot-matching";
  readonly #known = new Map<number, Snapshot>();
  /** Configurations that were applied somewhere, and the term of each entry that was. */
  readonly #configurations = new Map<number, Configuration>();
  readonly #terms = new Map<number, number>();

  onApply(_server: ServerView, entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#terms.set(entry.index, entry.term);
      if (entry.kind === "configuration") this.#configurations.set(entry.index, entry.configuration);
    }
  }

  onWrite({ name }: ServerView, { snapshot }: Write): void {
    if (snapshot === undefined) return;
    const { index, term, configuration } = snapshot;
    const where = (): string => `the snapshot of ${name} up to ${index}`;
    const expected = this.#terms.get(index);
    if (expected !== undefined && expected !== term) {
      broken(this.rule, `${where()} ends with term ${term}, and entry ${index} is of term ${expected}`);
    }
    let last = 0;
    for (const at of this.#configurations.keys()) if (at <= index && at > last) last = at;
    const inForce = this.#configurations.get(last);
    if (inForce !== undefined && !isEqual(inForce, configuration)) {
      broken(
        this.rule,
        `${where()} has ${JSON.stringify(configuration)}, and ${JSON.stringify(inForce)} was in force there`,
      );
    }
    const known = this.#known.get(index);
    if (known === undefined) {
      this.#known.set(index, snapshot);
      return;
    }
    if (!isSameBytes(known.data, snapshot.data))
      broken(this.rule, `${where()} has another state than others have`);
    if (!isEqual(known.configuration, configuration)) {
      broken(
        this.rule,
        `${where()} has ${JSON.stringify(configuration)}, others ${JSON.stringify(known.configuration)}`,
      );
    }
  }
}

function isEqual(one: Configuration, other: Configuration): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

function isSameBytes(one: Uint8Array, other: Uint8Array): boolean {
  if (one === other) return true;
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}
