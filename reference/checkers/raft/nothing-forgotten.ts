/**
 * A server that starts again finds what its disk had reported, and nothing that was never written: its state is the
 * one after the writes that were durable, and perhaps some more of those that it had handed out, in their order.
 *
 * Raft's proof takes this for granted ("persistent state on all servers", Figure 2). In bytes it is work: a record may
 * be torn, a file may end in old ones, a sync may have been forgotten. A vote that got lost does harm only when
 * somebody asks for it again in the same term; here it is missed at the start.
 */
import type { Write } from "#reference/raft/effects.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type DurableView, type RaftChecker, type ServerView } from "./checker.ts";

/** The persistent state, with an entry told by its term: index and term name it (log-matching). */
interface Told {
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  /** Of the entries behind the snapshot. */
  readonly terms: readonly (number | undefined)[];
}

export class NothingForgotten implements RaftChecker {
  readonly rule = "nothing-forgotten";
  /** By server: writes that it has handed out and its disk has not reported. */
  readonly #unreported = new Map<NodeId, Write[]>();

  onWrite({ name }: ServerView, write: Write): void {
    const writes = this.#unreported.get(name);
    if (writes === undefined) this.#unreported.set(name, [write]);
    else writes.push(write);
  }

  onDurable({ name }: ServerView, number: number): void {
    const writes = this.#unreported.get(name) ?? [];
    while (writes.length > 0 && writes[0]!.number <= number) writes.shift();
  }

  onStart({ name, state, durable }: ServerView): void {
    if (state === undefined) return;
    const writes = this.#unreported.get(name) ?? [];
    this.#unreported.delete(name);
    const found = tell(state, state.log);
    const reported = tell(durable, durable);
    let expected = reported;
    let isThere = isEqual(found, expected);
    for (const write of writes) {
      if (isThere) return;
      expected = after(expected, write);
      isThere = isEqual(found, expected);
    }
    if (!isThere) {
      const more = writes.length === 0 ? "" : ` and ${writes.length} writes were under way`;
      broken(
        this.rule,
        `${name} starts with ${words(found)}; its disk had reported ${words(reported)}${more}`,
      );
    }
  }
}

function tell(
  { term, votedFor }: Pick<DurableView, "term" | "votedFor">,
  log: Pick<DurableView, "snapshotIndex" | "lastIndex" | "termAt">,
): Told {
  const terms: (number | undefined)[] = [];
  const { snapshotIndex, lastIndex } = log;
  for (let index = snapshotIndex + 1; index <= lastIndex; index++) terms.push(log.termAt(index));
  return { term, votedFor, snapshotIndex, snapshotTerm: log.termAt(snapshotIndex) ?? 0, terms };
}

/** As `applyWrite` in reference/raft/persistence.ts. */
function after(told: Told, { term, votedFor, snapshot, replaceFrom, entries }: Write): Told {
  const snapshotIndex = snapshot?.index ?? told.snapshotIndex;
  const snapshotTerm = snapshot?.term ?? told.snapshotTerm;
  let terms = told.terms.slice(snapshotIndex - told.snapshotIndex);
  if (replaceFrom !== undefined) {
    terms = [...terms.slice(0, replaceFrom - snapshotIndex - 1), ...entries.map((entry) => entry.term)];
  }
  return { term, votedFor, snapshotIndex, snapshotTerm, terms };
}

function isEqual(one: Told, other: Told): boolean {
  return (
    one.term === other.term &&
    one.votedFor === other.votedFor &&
    one.snapshotIndex === other.snapshotIndex &&
    one.snapshotTerm === other.snapshotTerm &&
    one.terms.length === other.terms.length &&
    one.terms.every((term, place) => term === other.terms[place])
  );
}

function words({ term, votedFor, snapshotIndex, terms }: Told): string {
  return `term ${term}, its vote for ${votedFor ?? "nobody"} and a log from ${snapshotIndex + 1} to ${snapshotIndex + terms.length}`;
}
