/**
 * Memory for answers on their way out.
 *
 * A reader that asks and never reads would make the server hold its answer. So the bytes of each answer are reserved
 * before they are read from the log, and given back when they have left for the peer, or when the peer is gone. What
 * all readers together may hold is bounded, and a part of the budget is theirs alone: reading must go on when producers
 * have filled the rest.
 */
import type { Account, Lease } from "../memory/budget.ts";
import type { BrokerConnection } from "./connection.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/** Less room than this is not worth a read. */
const readBytesMin = 64 * 1024;

/** A reader whose answers do not fit now is told to come back after about the time that a slow peer takes. */
const retryAfterMs = 50;

/** A reservation for one answer. */
export interface ReadLease {
  readonly kind: "lease";
  /** How much may be read. */
  readonly bytesMax: number;
  /** So much was read. */
  used(bytes: number): void;
  /** The answer stands in the connection's output: give the memory back when it has left. */
  sent(connection: BrokerConnection): void;
  /** There is no answer. */
  cancel(): void;
}

/** Reserves for an answer of up to `bytesMax`, or of less when there is less room. Without an account, there is no bound. */
export function reserveRead(account: Account | undefined, bytesMax: number): ReadLease | ErrorOutcome {
  if (account === undefined) return unbounded(bytesMax);
  const wanted = Math.max(bytesMax, readBytesMin);
  const bytes = Math.min(wanted, account.roomBytes);
  const lease = bytes < readBytesMin ? undefined : account.reserve(bytes);
  if (lease === undefined || lease.kind !== "lease") {
    return refuse(
      "overloaded",
      "the memory for answers is used up by readers that do not read",
      retryAfterMs,
    );
  }
  return bounded(lease, Math.min(bytes, bytesMax));
}

function bounded(lease: Lease, bytesMax: number): ReadLease {
  return {
    kind: "lease",
    bytesMax,
    used: (bytes) => void lease.resize(bytes),
    sent(connection) {
      connection.flush();
      void connection.writable().then(() => lease.release());
    },
    cancel: () => void lease.release(),
  };
}

function unbounded(bytesMax: number): ReadLease {
  return { kind: "lease", bytesMax, used: () => {}, sent: () => {}, cancel: () => {} };
}
