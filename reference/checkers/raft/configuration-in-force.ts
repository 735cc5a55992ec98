/**
 * "A server always uses the latest configuration in its log, regardless of whether the entry is committed" (§6):
 * the one in force is that of the last configuration entry, or of the snapshot when there is none behind it. A
 * server that goes by another one counts the wrong majority.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import type { Write } from "#reference/raft/effects.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class ConfigurationInForce implements RaftChecker {
  readonly rule = "configuration-in-force";
  /** By server: where its log has configurations. */
  readonly #places = new Map<NodeId, number[]>();

  onStart(server: ServerView): void {
    const { name, state } = server;
    if (state === undefined) return;
    const { log } = state;
    const entries = log.slice(log.snapshotIndex + 1);
    this.#places.set(name, configurationsIn(entries));
    this.#check(server);
  }

  onWrite(server: ServerView, { replaceFrom, snapshot, entries }: Write): void {
    if (replaceFrom === undefined && snapshot === undefined) return;
    let places = this.#places.get(server.name);
    if (places === undefined) return;
    const added = configurationsIn(entries);
    if (added.length > 0 || places.length > 0) {
      const base = snapshot?.index ?? 0;
      places = places.filter((index) => index > base && (replaceFrom === undefined || index < replaceFrom));
      places.push(...added);
      this.#places.set(server.name, places);
    }
    this.#check(server);
  }

  #check({ name, state }: ServerView): void {
    const { log, configurations } = state!;
    const places = this.#places.get(name)!;
    // What stands for the snapshot, or for the configuration with which the server was made, comes first.
    const isSame =
      configurations.length === places.length + 1 &&
      configurations.every(({ index }, at) => index === (at === 0 ? log.snapshotIndex : places[at - 1]));
    if (!isSame) {
      const known = configurations.map(({ index }) => index).join(", ");
      const expected = [log.snapshotIndex, ...places].join(", ");
      broken(this.rule, `${name} goes by configurations at ${known}, and its log has them at ${expected}`);
    }
  }
}

function configurationsIn(entries: Write["entries"]): number[] {
  return entries.flatMap(({ kind, index }) => (kind === "configuration" ? index : []));
}
