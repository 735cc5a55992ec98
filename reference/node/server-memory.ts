/**
 * How a server spends its memory budget.
 *
 * Three things grow with what clients do, and each has a bound: batches that wait for the disk, requests that have
 * arrived in part, and answers on their way out. Records themselves are not held: the system's page cache does
 * that, and gives the memory back when somebody else needs it. What Node itself takes, about 60 to 90 MB, comes on top.
 */
import type { BrokerAccounts } from "../memory/broker-accounts.ts";
import { BackPressure } from "../broker/back-pressure.ts";
import { Admission } from "../memory/admission.ts";
import { openBrokerAccounts } from "../memory/broker-accounts.ts";
import type { Lease } from "../memory/budget.ts";
import { largeChunkBytes, type AppendBudget } from "../storage/append-buffers.ts";
import { nodeClock } from "./clock.ts";
import { assert } from "#reference/base/assert.ts";
import type { MemoryReport } from "../observability/broker-metrics.ts";
import type { Settings } from "./settings.ts";

/** The parts of the budget that batches and unfinished requests may take: one in so many. */
const appendPart = 8;
const inputPart = 8;

/** Producers are held back when this part of the append bytes is in use, and read from again at the other. */
const highPart = 1 / 2;
const lowPart = 1 / 8;

/** The budget of one server. */
export interface ServerMemory {
  readonly accounts: BrokerAccounts;
  /** Bytes of batches that may wait for the disk. */
  readonly appendBytes: number;
  /** Pays for them, chunk by chunk. */
  readonly appendBudget: AppendBudget;
  /** Bytes of requests that may have arrived in part. */
  readonly inputBytes: number;
  readonly backPressure: BackPressure;
  report(): MemoryReport;
}

/** Divides the budget. What unfinished requests may take is set aside at once. */
export function openMemory({ memory, frameSizeMax }: Settings): ServerMemory {
  const accounts = openBrokerAccounts(memory);
  // One batch of the largest size has to fit, with a chunk beside it, whatever the budget is.
  const appendBytes = Math.max(Math.floor(memory / appendPart), frameSizeMax + largeChunkBytes);
  const inputBytes = Math.max(Math.floor(memory / inputPart), frameSizeMax);
  const append = accounts.records.open({ name: "append", capBytes: appendBytes });
  const input = accounts.produce.reserve(Math.min(inputBytes, accounts.produce.roomBytes));
  assert(input.kind === "lease", `no room in a budget of ${memory} bytes`);
  const backPressure = new BackPressure();
  const admission = new Admission({
    clock: nodeClock,
    gated: append,
    waitMsMax: 0,
    queueMax: 1,
    queuePerAccountMax: 1,
    highBytes: (memory / appendPart) * highPart,
    lowBytes: (memory / appendPart) * lowPart,
    retryAfterMsMin: 20,
    retryAfterMsMax: 1e3,
  });
  admission.onPause = () => backPressure.begin();
  admission.onResume = () => backPressure.end();
  const reserve = (bytes: number): Lease | undefined => {
    const lease = append.reserve(bytes);
    // The gate closes before the account is full: what was read from the sockets already still finds room.
    admission.update();
    return lease.kind === "lease" ? lease : undefined;
  };
  return {
    accounts,
    appendBytes,
    inputBytes,
    backPressure,
    appendBudget: { reserve },
    report: () => ({
      budgetBytes: memory,
      accounts: Object.fromEntries(
        [accounts.produce, accounts.records, accounts.fetch, accounts.replication, accounts.control].map(
          ({ name, reservedBytes }) => [name, reservedBytes],
        ),
      ),
      reclaimableBytes: 0,
      isPaused: admission.isPaused,
      pauseCount: backPressure.pauseCount,
      waitingCount: admission.waitingCount,
      hitCount: 0,
      missCount: 0,
      offloadedChunkCount: 0,
    }),
  };
}
