/**
 * Persistent state (Figure 2) is the same in memory and in the writes that were handed out, after every step: term and
 * vote, and the log with its snapshot. Then one record holds each change as a whole, and no crash finds half of one.
 */
import type { Write } from "#reference/raft/effects.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

interface Written {
  term: number;
  votedFor: NodeId | undefined;
  snapshotIndex: number;
  snapshotTerm: number;
  /** Of the entries behind the snapshot. */
  terms: number[];
}

export class AllWritten implements RaftChecker {
  readonly rule = "all-written";
  readonly #written = new Map<NodeId, Written>();

  onStart({ name, state }: ServerView): void {
    if (state === undefined) return;
    const { term, votedFor, log } = state;
    const { snapshotIndex, lastIndex } = log;
    const terms: number[] = [];
    for (let index = snapshotIndex + 1; index <= lastIndex; index++) terms.push(log.termAt(index) ?? 0);
    const snapshotTerm = log.termAt(snapshotIndex) ?? 0;
    this.#written.set(name, { term, votedFor, snapshotIndex, snapshotTerm, terms });
  }

  onWrite({ name }: ServerView, { term, votedFor, snapshot, replaceFrom, entries }: Write): void {
    const written = this.#written.get(name);
    if (written === undefined) return;
    written.term = term;
    written.votedFor = votedFor;
    if (snapshot !== undefined) {
      written.terms.splice(0, snapshot.index - written.snapshotIndex);
      written.snapshotIndex = snapshot.index;
      written.snapshotTerm = snapshot.term;
    }
    if (replaceFrom === undefined) return;
    written.terms.length = Math.min(written.terms.length, replaceFrom - written.snapshotIndex - 1);
    for (const entry of entries) written.terms.push(entry.term);
  }

  onStep(server: ServerView): void {
    const { state } = server;
    const written = this.#written.get(server.name);
    if (state === undefined || written === undefined) return;
    const { log } = state;
    const { snapshotIndex, terms } = written;
    const isSame =
      written.term === state.term &&
      written.votedFor === state.votedFor &&
      snapshotIndex === log.snapshotIndex &&
      snapshotIndex + terms.length === log.lastIndex &&
      (terms.length === 0 ? written.snapshotTerm : terms[terms.length - 1]) === log.lastTerm;
    if (!isSame) this.#complain(server, written);
  }

  #complain(
    { name, state }: ServerView,
    { term, votedFor, snapshotIndex, snapshotTerm, terms }: Written,
  ): void {
    const told = (
      own: number,
      vote: NodeId | undefined,
      first: number,
      last: number,
      lastTerm: number,
    ): string => {
      return `in term ${own} with its vote for ${vote ?? "nobody"} and a log from ${first + 1} to ${last} of term ${lastTerm}`;
    };
    const { log } = state!;
    const own = told(state!.term, state!.votedFor, log.snapshotIndex, log.lastIndex, log.lastTerm);
    const lastTerm = terms[terms.length - 1] ?? snapshotTerm;
    const other = told(term, votedFor, snapshotIndex, snapshotIndex + terms.length, lastTerm);
    broken(this.rule, `${name} is ${own}, and has written that it is ${other}`);
  }
}
