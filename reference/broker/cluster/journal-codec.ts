/**
 * The records of a node's journal as bytes: what each group of Raft has promised.
 *
 * ```
 * | 0 | incarnation 8 | partition 4 | term 8 | vote | snapshot? | replaceFrom 8 | entries | catchUpFrom 8 |
 * | 1 | incarnation 8 | metadata index 8 |
 * ```
 *
 * The first kind is one atomic write of a group. A partition's batches are not in it: they stand in the partition's
 * log. The second says that a topic was deleted, by which entry of the metadata's log. FORMAT.md has each field, and
 * a file as an example. Bytes that would not be written so are no record.
 */
import type { Entry, NodeId, Snapshot } from "../../raft/entry.ts";
import { ByteReader, ByteWriter } from "../../protocol/primitives.ts";
import type { GroupId } from "./group-id.ts";
import {
  finish,
  putEntries,
  putNumber,
  putSnapshot,
  readEntries,
  readFlag,
  readNumber,
  readSnapshot,
  type ByteSink,
} from "./raft-codec.ts";

/** The length that stands for a text that is missing. */
const noText = 0xffff_ffff;

/** A write of a group, as raft/effects.ts asks for it, without what lies in the partition's log. */
export interface GroupRecord {
  readonly kind: "write";
  readonly group: GroupId;
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly snapshot: Snapshot | undefined;
  /** Entries from this index on are replaced by `entries`, which may leave indexes out. */
  readonly replaceFrom: number | undefined;
  readonly entries: readonly Entry[];
  /** Records of the partition's log from this offset on are no entries yet: they are being fetched. */
  readonly catchUpFrom: number | undefined;
}

/** A topic is gone, and its groups with it. */
export interface ForgetRecord {
  readonly kind: "forget";
  readonly incarnation: number;
  /** The entry of the metadata's log that deleted it. */
  readonly metadataIndex: number;
}

export type JournalRecord = GroupRecord | ForgetRecord;

/** A record as bytes. */
export function encodeJournalRecord(record: JournalRecord): Uint8Array {
  const to = new ByteWriter();
  putJournalRecord(to, record);
  return finish(to);
}

/** Writes a record. */
export function putJournalRecord(to: ByteSink, record: JournalRecord): void {
  if (record.kind === "forget") {
    to.uint8(1);
    putNumber(to, record.incarnation);
    putNumber(to, record.metadataIndex);
    return;
  }
  const { group, term, votedFor, snapshot, replaceFrom, entries, catchUpFrom } = record;
  to.uint8(0);
  putNumber(to, group.incarnation);
  to.uint32(group.partition);
  putNumber(to, term);
  if (votedFor === undefined) to.uint32(noText);
  else to.text(votedFor);
  to.uint8(Number(snapshot !== undefined));
  if (snapshot !== undefined) putSnapshot(to, snapshot);
  putNumber(to, replaceFrom ?? 0);
  putEntries(to, entries);
  putNumber(to, catchUpFrom ?? -1);
}

/** The record again; undefined when the bytes are none. */
export function decodeJournalRecord(bytes: Uint8Array): JournalRecord | undefined {
  const input = new ByteReader(bytes);
  const kind = input.uint8();
  const record = kind === 0 ? readWrite(input) : kind === 1 ? readForget(input) : undefined;
  return input.failure === undefined && input.remaining === 0 ? record : undefined;
}

function readForget(input: ByteReader): ForgetRecord {
  return { kind: "forget", incarnation: readNumber(input), metadataIndex: readNumber(input) };
}

function readWrite(input: ByteReader): GroupRecord {
  const group = { incarnation: readNumber(input), partition: input.uint32() };
  const term = readNumber(input);
  const votedFor = input.text() ?? undefined;
  const snapshot = readFlag(input) ? readSnapshot(input) : undefined;
  const from = readNumber(input);
  const entries = readEntries(input);
  const catchUp = readNumber(input);
  return {
    kind: "write",
    group,
    term,
    votedFor,
    snapshot,
    replaceFrom: from === 0 ? undefined : from,
    entries,
    catchUpFrom: catchUp < 0 ? undefined : catchUp,
  };
}
