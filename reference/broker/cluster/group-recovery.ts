/**
 * What a partition's group is after a start: its entries stand in two places, and a crash may have come between.
 *
 * Batches are entries, and lie in the partition's log with the term as their epoch. Everything else (what a new
 * leader appends, configurations, trims) is rare, and stands in the node's journal with its index. Batches fill the
 * indexes in between, in order:
 *
 * ```
 *   journal      snapshot 4        6: no-op, term 3                  9: configuration, term 3
 *   log              batch, epoch 2        batch, epoch 3  batch, epoch 3        batch, epoch 3
 *   index            5             6       7               8         9           10
 * ```
 *
 * A leader's first entry is not a batch, so a batch has the term of the entry before it, or it is not what belongs
 * there. The walk stops at the first place where something is missing or does not fit; what lies behind was never
 * reported to anybody, and goes. That is so because group-storage.ts keeps an order: the log is cut first, then the
 * journal's record is written, then the batches that come behind it, and only then is the write reported.
 */
import type { DurableState } from "../../raft/persistence.ts";
import type { Entry } from "../../raft/entry.ts";
import type { Log } from "../../storage/log.ts";
import { getUint32 } from "../../storage/integers.ts";
import { batchBytesAt, batchLayout, nextOffsetAt } from "../../storage/record-batch.ts";
import type { GroupId } from "./group-id.ts";
import { groupKey } from "./group-id.ts";
import type { RaftJournal } from "./journal.ts";
import type { GroupState } from "./journal-state.ts";
import { decodePartitionSnapshot, emptyPartition } from "./partition-snapshot.ts";

/** What was found. */
export type RecoveredGroup =
  | { readonly kind: "recovered"; readonly durable: DurableState }
  /** One line for the operator: the node must not go on with this. */
  | { readonly kind: "damaged"; readonly problem: string };

const readBytes = 1024 * 1024;

/** Brings journal and log of a group into step, durably. Rejects with what the disk says. */
export async function recoverGroup(group: GroupId, log: Log, journal: RaftJournal): Promise<RecoveredGroup> {
  const state = journal.state.groups.get(groupKey(group));
  const base = state?.snapshot === undefined ? emptyPartition : decodePartitionSnapshot(state.snapshot.data);
  if (base === undefined) return { kind: "damaged", problem: "its snapshot in the journal is no snapshot" };
  const problem = await readyLog(log, base.endOffset, state?.catchUpFrom);
  if (problem !== undefined) return { kind: "damaged", problem };
  const { entries, endOffset } = await merge(log, base.endOffset, state);
  await cutLog(log, endOffset, base.endOffset);
  const { term = 0, votedFor, snapshot } = state ?? {};
  const lastIndex = (snapshot?.index ?? 0) + entries.length;
  const isInStep = state?.entries.every(({ index }) => index <= lastIndex) !== false;
  if (!isInStep || state?.catchUpFrom !== undefined) {
    // What does not count must not be found by the next start either, when other batches stand before it.
    const changes = { snapshot: undefined, replaceFrom: lastIndex + 1, entries: [], catchUpFrom: undefined };
    await journal.store({ kind: "write", group, term, votedFor, ...changes });
  }
  return { kind: "recovered", durable: { term, votedFor, snapshot, entries } };
}

/** Takes everything from `offset` on out of a log, durably. */
export async function cutLog(log: Log, offset: number, agreedEnd: number): Promise<void> {
  if (log.endOffset <= offset) return;
  const cut = await log.truncate(offset, agreedEnd, log.epoch + 1);
  if (cut.kind === "refused") throw new Error(`cannot cut a log at ${offset}: ${cut.reason}`);
}

/** Takes records out that do not count; says what is missing of those that do. */
async function readyLog(
  log: Log,
  endOffset: number,
  catchUpFrom: number | undefined,
): Promise<string | undefined> {
  if (catchUpFrom === 0) {
    // None of its records counts: it was beginning anew where another node begins, which keeps nothing before that.
    const isUsable = log.damage.length === 0 && log.startOffset <= endOffset && log.endOffset >= endOffset;
    await (isUsable ? cutLog(log, endOffset, endOffset) : log.restart(endOffset));
    return undefined;
  }
  // It was being filled from another node. What it lacks is asked for again; what was its own must be there.
  const countedTo = catchUpFrom === undefined ? Infinity : Math.max(catchUpFrom, endOffset);
  const damage = log.damage.find(({ from }) => from < countedTo);
  if (damage !== undefined) return `offsets ${damage.from} to ${damage.to} are damaged`;
  if (log.startOffset > endOffset)
    return `begins at offset ${log.startOffset}, behind its snapshot at ${endOffset}`;
  if (log.endOffset < endOffset) return `ends at offset ${log.endOffset}, and its snapshot says ${endOffset}`;
  await cutLog(log, countedTo, endOffset);
  return undefined;
}

/** The entries behind the snapshot, as far as nothing is missing, and the offset behind the last of them. */
async function merge(
  log: Log,
  from: number,
  state: GroupState | undefined,
): Promise<{ readonly entries: readonly Entry[]; readonly endOffset: number }> {
  const others = [...(state?.entries ?? [])];
  const entries: Entry[] = [];
  let index = state?.snapshot?.index ?? 0;
  let term = state?.snapshot?.term ?? 0;
  let endOffset = from;
  /** Takes what stands in the journal next to the last entry. */
  const takeOthers = (): void => {
    while (others[0]?.index === index + 1) {
      const entry = others.shift()!;
      entries.push(entry);
      ({ index, term } = entry);
    }
  };
  takeOthers();
  while (endOffset < log.endOffset) {
    const read = await log.read(endOffset, readBytes);
    if (read.kind === "failed") throw read.error;
    if (read.kind !== "records") break;
    for (let at = 0; at < read.bytes.length;) {
      const end = at + batchBytesAt(read.bytes, at);
      if (getUint32(read.bytes, at + batchLayout.epoch) !== term) return { entries, endOffset };
      entries.push({ kind: "command", index: ++index, term, data: read.bytes.slice(at, end) });
      endOffset = nextOffsetAt(read.bytes, at);
      takeOthers();
      at = end;
    }
  }
  return { entries, endOffset };
}
