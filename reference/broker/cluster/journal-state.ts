/**
 * What a journal says, record after record: the state of each group, and which topics are gone.
 */
import type { Entry, NodeId, Snapshot } from "../../raft/entry.ts";
import type { GroupId } from "./group-id.ts";
import { groupKey } from "./group-id.ts";
import type { GroupRecord, JournalRecord } from "./journal-codec.ts";

/** What the journal holds of one group. */
export interface GroupState {
  readonly group: GroupId;
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly snapshot: Snapshot | undefined;
  /** Those behind the snapshot, by index; a partition's batches are not among them. */
  readonly entries: Entry[];
  readonly catchUpFrom: number | undefined;
}

/** All groups of one node. */
export class JournalState {
  readonly groups = new Map<string, GroupState>();
  /** Deleted topics by incarnation, with the entry of the metadata's log that deleted each. */
  readonly forgotten = new Map<number, number>();

  apply(record: JournalRecord): void {
    if (record.kind === "write") {
      // A group may still have said something while it was being ended.
      if (this.forgotten.has(record.group.incarnation)) return;
      const key = groupKey(record.group);
      this.groups.set(key, applyRecord(this.groups.get(key), record));
      this.#prune(record);
      return;
    }
    this.forgotten.set(record.incarnation, record.metadataIndex);
    for (const [key, { group }] of this.groups) {
      if (group.incarnation === record.incarnation) this.groups.delete(key);
    }
  }

  /** Everything as records: what a journal that begins anew says. */
  records(): JournalRecord[] {
    const records: JournalRecord[] = [...this.forgotten].map(([incarnation, metadataIndex]) => {
      return { kind: "forget", incarnation, metadataIndex };
    });
    for (const state of this.groups.values()) {
      records.push({ kind: "write", ...state, replaceFrom: state.entries[0]?.index });
    }
    return records;
  }

  /** A deletion that the metadata's snapshot covers is never carried out again: nobody asks for it any more. */
  #prune({ group, snapshot }: GroupRecord): void {
    if (group.incarnation !== 0 || snapshot === undefined) return;
    for (const [incarnation, index] of this.forgotten) {
      if (index <= snapshot.index) this.forgotten.delete(incarnation);
    }
  }
}

function applyRecord(before: GroupState | undefined, record: GroupRecord): GroupState {
  const { group, term, votedFor, replaceFrom, catchUpFrom } = record;
  const snapshot = record.snapshot ?? before?.snapshot;
  let entries = before?.entries ?? [];
  if (record.snapshot !== undefined) {
    const { index } = record.snapshot;
    entries = entries.filter((entry) => entry.index > index);
  }
  if (replaceFrom !== undefined) {
    // Most records only add: what stays is not copied.
    while (entries.length > 0 && entries[entries.length - 1]!.index >= replaceFrom) entries.pop();
    for (const entry of record.entries) entries.push(entry);
  }
  return { group, term, votedFor, snapshot, entries, catchUpFrom };
}
