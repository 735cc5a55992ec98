/**
 * Fetch: batches from an offset on, as they lie in the log; and waiting at its end for the next one.
 *
 * Waiting on the server ("long polling") is what makes reading both prompt and cheap: without it a consumer either asks
 * all the time or reads late. A fetch that waits costs one entry in a set and one timer, and both go when the record
 * comes, when the time is up, or when the client is gone.
 */
import { unreachable } from "#reference/base/assert.ts";
import type { Clock } from "../ports.ts";
import type { RequestOf } from "../protocol/messages.ts";
import type { Replication } from "./cluster/replication.ts";
import type { BrokerConnection } from "./connection.ts";
import { replyFetched } from "./connection.ts";
import { refusalOfDisk } from "./disk-refusal.ts";
import type { DrainSignal } from "./drain-signal.ts";
import type { ErrorOutcome, SilentOutcome } from "./outcome.ts";
import { refuse, silent } from "./outcome.ts";
import type { Partition } from "./partition.ts";
import type { ReadLease, ReadMemory } from "./read-memory.ts";
import { onConnectionEnding } from "./connection-state.ts";

/** The longest wait: longer ones say nothing that a repeated fetch does not. */
export const fetchWaitMsMax = 300_000;

/** What one read of a log gave. */
export type LogRead =
  { readonly kind: "records"; readonly bytes: Uint8Array; readonly nextOffset: number } | ErrorOutcome;

/** What one read of a partition gave, from its log or from memory. */
export type PartitionRead =
  | {
      readonly kind: "records";
      readonly bytes: Uint8Array;
      readonly nextOffset: number;
      readonly source: "memory" | "disk";
      /** To be called when the bytes have been copied: until then, they stay as they are. */
      readonly release: () => void;
    }
  | ErrorOutcome;

const nothingRead = new Uint8Array(0);
const nothing = (): void => {};

/** Reads whole batches of a consumer's: from the partition's hot tail, or else from its log. Empty at the end. */
export async function readPartition(
  partition: Partition,
  offset: number,
  lease: ReadLease,
): Promise<PartitionRead> {
  const { log, tail } = partition;
  const endOffset = log.committedEnd;
  const pin = offset < endOffset ? tail?.read(offset, lease.bytesMax) : undefined;
  if (pin !== undefined) {
    const { bytes, nextOffset, unpin } = pin;
    return { kind: "records", bytes, nextOffset, source: "memory", release: () => void unpin() };
  }
  const read = await readLog(partition, offset, lease.bytesMax, lease.target());
  if (read.kind === "error") return read;
  // Whoever has everything that there was follows the log: what comes next is kept in memory for it.
  if (read.nextOffset >= endOffset && !partition.isDeleted) tail?.follow();
  return { ...read, source: "disk", release: nothing };
}

/** Reads whole batches from `offset` on, into `target` when that is enough; empty at the end of the log. */
export async function readLog(
  partition: Partition,
  offset: number,
  bytesMax: number,
  target?: Uint8Array,
): Promise<LogRead> {
  const { log } = partition;
  if (partition.isDeleted) return refuse("topic-not-found", `topic ${partition.topic} was deleted`);
  if (offset === log.committedEnd) return { kind: "records", bytes: nothingRead, nextOffset: offset };
  const read = await log.read(offset, bytesMax, target);
  switch (read.kind) {
    case "records":
      return read;
    case "out-of-range": {
      const range = `${read.startOffset} to ${read.endOffset}`;
      return refuse("offset-out-of-range", `offset ${offset} lies outside ${range} of ${nameOf(partition)}`);
    }
    case "damaged":
      return refuse("data-damaged", `offsets ${read.from} to ${read.to} of ${nameOf(partition)} are damaged`);
    case "failed":
      return refusalOfDisk(read.error);
  }
  return unreachable(read, "read");
}

/** What a waiting fetch needs from around it. */
export interface FetchSurroundings {
  readonly clock: Clock;
  readonly draining: DrainSignal;
  /** Pays for answers on their way out. */
  readonly readMemory: ReadMemory;
  /** Knows whether the partition is still led here after a wait. */
  readonly replication: Replication | undefined;
}

/** Answers a Fetch, now or when there is something. `bytesMax` is what the frame limit leaves of what was asked for. */
export async function fetch(
  connection: BrokerConnection,
  requestIdHigh: number,
  requestIdLow: number,
  partition: Partition,
  request: RequestOf<"Fetch">,
  bytesMax: number,
  surroundings: FetchSurroundings,
): Promise<ErrorOutcome | SilentOutcome> {
  const { draining, readMemory, replication } = surroundings;
  // 1. At the very end, wait for a commit if the client wants to.
  if (
    request.offset === partition.log.committedEnd &&
    request.waitMs > 0 &&
    !partition.isDeleted &&
    !draining.isDraining
  ) {
    await untilCommitted(connection, partition, Math.min(request.waitMs, fetchWaitMsMax), surroundings);
    const misplaced = replication?.refusalOf(partition, connection);
    if (misplaced !== undefined) return misplaced;
  }
  if (!connection.isOpen) return silent;
  // 2. Reserve, then read what is there.
  const lease = readMemory.reserve(bytesMax);
  if (lease.kind === "error") return lease;
  const read = await readPartition(partition, request.offset, lease);
  if (read.kind === "error" || !connection.isOpen) {
    lease.cancel();
    if (read.kind === "error") return read;
    read.release();
    return silent;
  }
  // 3. Answer, and give the memory back when the answer has left.
  const { startOffset, committedEnd } = partition.log;
  const bytesOut = read.bytes.length;
  replyFetched(connection, requestIdHigh, requestIdLow, startOffset, committedEnd, read.bytes);
  read.release();
  lease.sent(connection, bytesOut);
  return { kind: "silent", bytesOut, source: read.source };
}

/** Resolves at the next commit, when the time is up, or when the client is gone, and then has left nothing behind. */
function untilCommitted(
  connection: BrokerConnection,
  partition: Partition,
  waitMs: number,
  { clock, draining }: FetchSurroundings,
): Promise<void> {
  return new Promise((resolve) => {
    let forgetDrain = (): void => {};
    const finish = (): void => {
      partition.unlisten(onCommit);
      cancelTimer();
      forgetClose();
      forgetDrain();
      resolve();
    };
    const onCommit = (): boolean => {
      finish();
      return false;
    };
    const cancelTimer = clock.after(waitMs, finish);
    const forgetClose = onConnectionEnding(connection, finish);
    partition.listen(onCommit);
    forgetDrain = draining.onDrain(finish);
  });
}

function nameOf(partition: Partition): string {
  return `${partition.topic}/${partition.number}`;
}
