/**
 * Persistent state (Figure 2) is the same in memory and in the writes that were handed out, after every step: term and
 * vote, and the log with its snapshot. Then one record holds each change as a whole, and no crash finds half of one.
 */
import type { Write } from "#reference/raft/effects.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import { hold, type RaftChecker, type ServerView } from "./checker.ts";

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

  onStep({ name, state }: ServerView): void {
    const written = this.#written.get(name);
    if (state === undefined || written === undefined) return;
    const { term, votedFor, log } = state;
    hold(this.rule, written.term === term && written.votedFor === votedFor, () => {
      const [own, other] = [votedFor ?? "nobody", written.votedFor ?? "nobody"];
      return `${name} is in term ${term} with its vote for ${own}, and has written ${written.term} and ${other}`;
    });
    const { snapshotIndex, terms } = written;
    const lastIndex = snapshotIndex + terms.length;
    const lastTerm = terms[terms.length - 1] ?? written.snapshotTerm;
    const isSame =
      snapshotIndex === log.snapshotIndex && lastIndex === log.lastIndex && lastTerm === log.lastTerm;
    hold(this.rule, isSame, () => {
      const own = `${log.snapshotIndex + 1} to ${log.lastIndex}, of term ${log.lastTerm}`;
      return `${name} has a log from ${own}, and has written one from ${snapshotIndex + 1} to ${lastIndex}, of ${lastTerm}`;
    });
  }
}
