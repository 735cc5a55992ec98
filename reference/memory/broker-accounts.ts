/**
 * The broker's accounts: what its memory is divided into, and who may never starve.
 *
 *     root                      the whole budget
 *     ├── ingest                what producers cause; gated by admission
 *     │   ├── produce           requests on their way in; a child for each client, with a cap
 *     │   └── records           batches that wait for the disk, and hot tails
 *     ├── fetch     2/16 to 3/16 answers on their way out: consuming is what lets records go, so it must go on
 *     ├── replication ≥ 1/16    a leader that cannot send heartbeats loses its term
 *     └── control    ≥ 1/64     health, metrics, hello, ping: an operator must be able to look at a full broker
 */
import { Budget, type Account } from "./budget.ts";

/** The accounts of one broker process. */
export interface BrokerAccounts {
  readonly budget: Budget;
  readonly ingest: Account;
  readonly produce: Account;
  readonly records: Account;
  readonly fetch: Account;
  readonly replication: Account;
  readonly control: Account;
}

/** Divides a budget of `totalBytes`. The shares are fixed here, in one place, so that the diagram above stays true. */
export function openBrokerAccounts(totalBytes: number): BrokerAccounts {
  const budget = new Budget(totalBytes);
  const part = (divisor: number): number => Math.floor(totalBytes / divisor);
  const fetch = budget.root.open({ name: "fetch", capBytes: part(16) * 3, guaranteedBytes: part(8) });
  const replication = budget.root.open({ name: "replication", guaranteedBytes: part(16) });
  const control = budget.root.open({ name: "control", guaranteedBytes: part(64) });
  const ingest = budget.root.open({ name: "ingest", capBytes: budget.root.roomBytes });
  const produce = ingest.open({ name: "produce", guaranteedBytes: part(16) });
  const records = ingest.open({ name: "records" });
  return { budget, ingest, produce, records, fetch, replication, control };
}
