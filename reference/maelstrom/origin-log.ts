/**
 * What began at each node, in the order in which it began there: a replica of a set of logs, one for each origin.
 *
 * Each node appends only to its own log, so logs never conflict, and "all of n3's up to 17" says exactly what somebody
 * has. Entries are kept as long as some node may need them from here; once all have confirmed them they go.
 */
import { assert } from "#reference/base/assert.ts";
import type { Digest, Replica } from "./gossip.ts";
import type { Json } from "./message.ts";

/** A stretch of one origin's log: the version of its first entry, and the entries. */
export type LogPart<Entry extends Json> = readonly [
  origin: string,
  firstVersion: number,
  entries: readonly Entry[],
];

/** The part of one log that is kept. */
interface OriginEntries<Entry> {
  /** The version before the first one that is kept. */
  start: number;
  readonly entries: Entry[];
}

/** Logs by origin. */
export class OriginLog<Entry extends Json> implements Replica<LogPart<Entry>> {
  readonly #own: string;
  readonly #onEntry: (entry: Entry, origin: string) => void;
  readonly #logs = new Map<string, OriginEntries<Entry>>();
  #digest: Record<string, number> = {};

  /** `onEntry` is called once for each entry of each origin, in that origin's order. */
  constructor(own: string, onEntry: (entry: Entry, origin: string) => void) {
    this.#own = own;
    this.#onEntry = onEntry;
  }

  /** How many entries are kept for others. */
  get keptCount(): number {
    return [...this.#logs.values()].reduce((sum, { entries }) => sum + entries.length, 0);
  }

  /** Appends to this node's own log. */
  append(entry: Entry): void {
    this.#take(this.#own, entry);
  }

  digest(): Digest {
    return { ...this.#digest };
  }

  // #region log-since
  since(
    known: Digest,
    limit: number,
  ): { readonly parts: readonly LogPart<Entry>[]; readonly reached: Digest } {
    const parts: LogPart<Entry>[] = [];
    const reached: Record<string, number> = {};
    let room = limit;
    for (const [origin, { start, entries }] of this.#logs) {
      if (room === 0) break;
      const from = known[origin] ?? 0;
      // What is no longer kept has been confirmed by everybody, whatever this digest says: it is an old one.
      const missing = entries.slice(Math.max(0, from - start), Math.max(0, from - start) + room);
      if (missing.length === 0) continue;
      const first = Math.max(from, start) + 1;
      parts.push([origin, first, missing]);
      reached[origin] = first + missing.length - 1;
      room -= missing.length;
    }
    return { parts, reached };
  }
  // #endregion log-since

  // #region log-merge
  merge(parts: readonly LogPart<Entry>[]): boolean {
    let isNew = false;
    for (const part of parts) {
      if (!isLogPart(part)) continue;
      const [origin, firstVersion, entries] = part;
      const version = this.#digest[origin] ?? 0;
      // 1. A gap: what comes before has been lost. It will be sent again, and this with it.
      if (firstVersion > version + 1) continue;
      // 2. Some of it may be here already.
      for (const entry of entries.slice(version + 1 - firstVersion)) {
        this.#take(origin, entry);
        isNew = true;
      }
    }
    return isNew;
  }
  // #endregion log-merge

  // #region log-confirmed
  confirmed(everywhere: Digest): void {
    for (const [origin, log] of this.#logs) {
      const count = (everywhere[origin] ?? 0) - log.start;
      if (count <= 0) continue;
      log.entries.splice(0, count);
      log.start += count;
    }
  }
  // #endregion log-confirmed

  #take(origin: string, entry: Entry): void {
    const log = this.#logs.get(origin) ?? { start: 0, entries: [] };
    this.#logs.set(origin, log);
    log.entries.push(entry);
    const version = log.start + log.entries.length;
    assert(version === (this.#digest[origin] ?? 0) + 1, () => `version ${version} of ${origin} out of turn`);
    this.#digest[origin] = version;
    this.#onEntry(entry, origin);
  }
}

function isLogPart(part: readonly Json[]): boolean {
  const [origin, firstVersion, entries] = part;
  return typeof origin === "string" && Number.isSafeInteger(firstVersion) && Array.isArray(entries);
}
