/**
 * How a server spends its memory budget.
 *
 * Four things grow with what clients do, and each has a bound: requests that have arrived in part, batches that wait
 * for the disk, the newest records of logs that are followed, and answers on their way out. What Node itself takes,
 * about 60 to 90 MB, comes on top.
 *
 *     records ─ batches ─┬─ append   must stay until the disk has it
 *                        └─ tails    go, oldest first, as soon as `append` wants the room
 *
 * When the disk is slower than the producers, three things happen in this order, each before the next is needed:
 *
 * 1. tails are dropped for batches that wait;
 * 2. sockets of producers are not read from (back-pressure): nobody is refused, everybody is slowed down;
 * 3. batches that are here already and do not fit are refused with an error that says when to try again.
 *
 * Steps 2 and 3 end lower than they begin, so that neither flaps. Reading, replication and health have accounts of
 * their own, and go on in all of them.
 */
import { assert } from "#reference/base/assert.ts";
import { BackPressure } from "../broker/back-pressure.ts";
import { HotTails } from "../broker/hot-tails.ts";
import { Admission } from "../memory/admission.ts";
import type { Lease } from "../memory/budget.ts";
import type { BrokerAccounts } from "../memory/broker-accounts.ts";
import { openBrokerAccounts } from "../memory/broker-accounts.ts";
import type { MemoryReport } from "../observability/broker-metrics.ts";
import { AppendBuffers, largeChunkBytes } from "../storage/append-buffers.ts";
import { nodeClock } from "./clock.ts";
import type { Settings } from "./settings.ts";

/** The parts of the budget that batches on their way to the disk, tails and unfinished requests may take. */
const appendPart = 8;
const tailsPart = 8;
const inputPart = 8;

/** Sockets of producers are stopped when this part of the budget waits for the disk, and read from at the other. */
const stopPart = 16;
const goPart = 64;

/** Batches are refused when this part of what may wait does, and taken again at the other. */
const refusePart = 15 / 16;
const takePart = 3 / 4;

/** The largest request takes no more than this part: it has to fit while it arrives, and once more as a batch. */
const framePart = 4;

/** The budget of one server. */
export interface ServerMemory {
  readonly accounts: BrokerAccounts;
  /** Batches that wait for the disk. */
  readonly buffers: AppendBuffers;
  /** The newest records of followed partitions. */
  readonly tails: HotTails;
  /** Bytes of requests that may have arrived in part. */
  readonly inputBytes: number;
  /** The largest request: what is set, or what the budget allows. */
  readonly frameSizeMax: number;
  readonly backPressure: BackPressure;
  report(): MemoryReport;
}

/** Divides the budget. What unfinished requests may take is set aside at once. */
export function openMemory({
  memory,
  frameSizeMax: wantedFrameSizeMax,
}: Pick<Settings, "memory" | "frameSizeMax">): ServerMemory {
  const accounts = openBrokerAccounts(memory);
  const frameSizeMax = Math.min(wantedFrameSizeMax, Math.floor(memory / framePart));
  const inputBytes = Math.max(Math.floor(memory / inputPart), frameSizeMax);
  const input = accounts.produce.reserve(inputBytes);
  assert(input.kind === "lease", `no room in a budget of ${memory} bytes`);
  // One batch of the largest size has to fit, with a chunk beside it, whatever the budget is.
  const appendBytes = Math.max(Math.floor(memory / appendPart), frameSizeMax + largeChunkBytes);
  const batches = accounts.records.open({
    name: "batches",
    capBytes: appendBytes + Math.floor(memory / tailsPart),
  });
  const append = batches.open({ name: "append", capBytes: appendBytes });
  const tails = new HotTails(batches.open({ name: "tails" }), () => admission.update());
  const admission = new Admission({
    clock: nodeClock,
    gated: batches,
    reclaimer: {
      get reclaimableBytes() {
        return buffers.freeBytes + tails.store.reclaimableBytes;
      },
      offload(bytes) {
        const dropped = buffers.dropFree(bytes);
        return dropped < bytes ? dropped + tails.store.offload(bytes - dropped) : dropped;
      },
    },
    // What the tails keep for themselves waits for nothing, so the marks begin above it.
    highBytes: Math.floor(tails.usage().residentBytes + appendBytes * refusePart),
    lowBytes: Math.floor(tails.usage().residentBytes + appendBytes * takePart),
    // Nobody waits in here: a batch is taken or refused in the turn in which it came. And when to come back says the
    // disk, by how fast it takes what waits.
    waitMsMax: 0,
    queueMax: 1,
    queuePerAccountMax: 1,
    retryAfterMsMin: 20,
    retryAfterMsMax: 1000,
  });
  const budget = {
    reserve(bytes: number): Lease | undefined {
      const lease = admission.tryAdmit(append, bytes);
      return lease.kind === "lease" ? lease : undefined;
    },
  };
  const buffers = new AppendBuffers(appendBytes, budget, () => nodeClock.monotonicTimeMs());
  const backPressure = new BackPressure({ highBytes: memory / stopPart, lowBytes: memory / goPart });
  buffers.onHeld = (heldBytes) => {
    backPressure.update(heldBytes);
    // A chunk that came back is no lease that ended, but it may be what the gate waits for.
    if (admission.isPaused) admission.update();
  };
  const { produce, fetch, replication, control } = accounts;
  const shown = [produce, append, tails.account, fetch, replication, control];
  return {
    accounts,
    inputBytes,
    frameSizeMax,
    backPressure,
    tails,
    buffers,
    report: () => ({
      ...tails.usage(),
      budgetBytes: memory,
      accounts: Object.fromEntries(shown.map(({ name, reservedBytes }) => [name, reservedBytes])),
      reclaimableBytes: tails.store.reclaimableBytes + buffers.freeBytes,
      isPaused: backPressure.isOn || admission.isPaused,
      pauseCount: backPressure.pauseCount,
      waitingCount: admission.waitingCount,
    }),
  };
}
