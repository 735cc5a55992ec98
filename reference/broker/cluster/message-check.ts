/**
 * Whether a message's contents are what its group works with, before Raft takes them in.
 *
 * Raft moves data that it does not look at. Once stored, what cannot be read would stop this node at every start. So
 * data that no node of this program sends is not taken: who sends it is broken, and goes without an answer.
 */
import type { Entry } from "../../raft/entry.ts";
import type { Message, SnapshotRequest } from "../../raft/messages.ts";
import type { Raft } from "../../raft/state.ts";
import { getUint32 } from "../../storage/integers.ts";
import {
  baseOffsetAt,
  batchBytesAt,
  batchHeaderBytes,
  batchLayout,
  nextOffsetAt,
} from "../../storage/record-batch.ts";
import { Metadata } from "./metadata.ts";
import { isBatch, trimBytes, trimOffset } from "./partition-entry.ts";
import { decodePartitionSnapshot } from "./partition-snapshot.ts";

/**
 * The most bytes of a snapshot: many times what the metadata and a partition's producers can come to. It is gathered in
 * memory until its last piece is here.
 */
export const snapshotBytesMax: number = 256 * 2 ** 20;

/** For a partition's group. `offsetBehind` is where the log ends behind an entry of the group as it is now. */
export function isPartitionMessage(
  message: Message,
  state: Readonly<Raft>,
  offsetBehind: (index: number) => number,
): boolean {
  switch (message.kind) {
    case "append-request": {
      const { previousIndex, previousTerm, entries } = message;
      if (entries.length === 0) return true;
      const follows = state.log.termAt(previousIndex) === previousTerm;
      return isPartOfLog(entries, follows ? offsetBehind(previousIndex) : undefined);
    }
    case "snapshot-request": {
      if (isTooLong(message)) return false;
      const data = wholeSnapshot(message, state);
      return data === undefined || decodePartitionSnapshot(data) !== undefined;
    }
    default:
      return true;
  }
}

/** For the metadata's group. A command that this program does not know is one of a newer one: that stops the node. */
export function isMetadataMessage(message: Message, state: Readonly<Raft>): boolean {
  if (message.kind !== "snapshot-request") return true;
  if (isTooLong(message)) return false;
  const data = wholeSnapshot(message, state);
  return data === undefined || Metadata.canRestore(data);
}

/**
 * Whether a message, if it answers one of this leader's, speaks of a question that was asked and of entries that there
 * are. What a member says of itself beyond that is believed.
 */
export function isPossibleAnswer(message: Message, { role, term, round, log }: Readonly<Raft>): boolean {
  if (role !== "leader" || message.term !== term) return true;
  if (message.kind === "snapshot-reply") return message.round <= round && message.index <= log.lastIndex;
  if (message.kind !== "append-reply") return true;
  const { outcome } = message;
  if (message.round > round || outcome.kind === "stale") return message.round <= round;
  return (outcome.kind === "matched" ? outcome.matchIndex : outcome.previousIndex) <= log.lastIndex;
}

function isTooLong({ offset, data }: SnapshotRequest): boolean {
  return offset + data.length > snapshotBytesMax;
}

/** The whole snapshot, when this piece completes it. */
export function wholeSnapshot(
  { term, from, index, offset, data, isLast }: SnapshotRequest,
  { incoming }: Readonly<Raft>,
): Uint8Array | undefined {
  if (!isLast) return undefined;
  if (offset === 0) return data;
  if (incoming?.key !== `${term}/${from}/${index}` || incoming.bytes !== offset) return undefined;
  const whole = new Uint8Array(offset + data.length);
  let at = 0;
  for (const part of [...incoming.parts, data]) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether the batches among some entries are batches of their terms, one behind the other. */
function isPartOfLog(entries: readonly Entry[], endOffset: number | undefined): boolean {
  let offset = endOffset;
  for (const entry of entries) {
    if (entry.kind !== "command") continue;
    const { data, term } = entry;
    if (data.length < trimBytes) return false;
    if (!isBatch(data)) {
      if (data.length !== trimBytes || trimOffset(data) < 0) return false;
      continue;
    }
    const isWhole = data.length >= batchHeaderBytes && batchBytesAt(data, 0) === data.length;
    if (!isWhole || getUint32(data, batchLayout.epoch) !== term) return false;
    const baseOffset = baseOffsetAt(data, 0);
    if (baseOffset < 0 || (offset !== undefined && baseOffset !== offset)) return false;
    offset = nextOffsetAt(data, 0);
  }
  return true;
}
