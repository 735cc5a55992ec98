/**
 * How a server spends its memory budget.
 *
 * Three things grow with what clients do, and each has a bound: batches that wait for the disk, requests that have
 * arrived in part, and answers on their way out. Records themselves are not held: the system's page cache does that, and
 * gives the memory back when somebody else needs it. What Node itself takes, about 60 to 90 MB, comes on top.
 */
import type { BrokerAccounts } from "../memory/broker-accounts.ts";
import { openBrokerAccounts } from "../memory/broker-accounts.ts";
import { assert } from "#reference/base/assert.ts";
import type { MemoryReport } from "../observability/broker-metrics.ts";
import type { Settings } from "./settings.ts";

/** The parts of the budget that batches and unfinished requests may take: one in so many. */
const appendPart = 8;
const inputPart = 8;

/** The budget of one server. */
export interface ServerMemory {
  readonly accounts: BrokerAccounts;
  /** Bytes of batches that may wait for the disk. */
  readonly appendBytes: number;
  /** Bytes of requests that may have arrived in part. */
  readonly inputBytes: number;
  report(): MemoryReport;
}

/** Divides the budget. What batches and unfinished requests may take is set aside at once. */
export function openMemory({ memory, frameSizeMax }: Settings): ServerMemory {
  const accounts = openBrokerAccounts(memory);
  const appendBytes = Math.floor(memory / appendPart);
  const inputBytes = Math.max(Math.floor(memory / inputPart), frameSizeMax);
  const append = accounts.records.reserve(appendBytes);
  const input = accounts.produce.reserve(Math.min(inputBytes, accounts.produce.roomBytes));
  assert(append.kind === "lease" && input.kind === "lease", `no room in a budget of ${memory} bytes`);
  return {
    accounts,
    appendBytes,
    inputBytes,
    report: () => ({
      budgetBytes: memory,
      accounts: Object.fromEntries(
        [accounts.produce, accounts.records, accounts.fetch].map(({ name, reservedBytes }) => [
          name,
          reservedBytes,
        ]),
      ),
      reclaimableBytes: 0,
      isPaused: false,
      waitingCount: 0,
      hitCount: 0,
      missCount: 0,
      offloadedChunkCount: 0,
    }),
  };
}
