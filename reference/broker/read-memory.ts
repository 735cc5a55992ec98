/**
 * Memory for answers on their way out.
 *
 * A reader that asks and never reads would make the server hold its answer. So the bytes of each answer are reserved
 * before they are read from the log, and given back when they have left for the peer, or when the peer is gone. What
 * all readers together may hold is bounded, and a part of the budget is theirs alone: reading must go on when producers
 * have filled the rest.
 *
 * Records are read into a pooled buffer, which is given back as soon as the answer stands in the connection's output:
 * here a buffer pool is right, because each use is short and ends by itself.
 */
import type { Account, Lease } from "../memory/budget.ts";
import { BufferPool, type Loan } from "../memory/buffer-pool.ts";
import type { BrokerConnection } from "./connection.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/** Less room than this is not worth a read. */
const readBytesMin = 64 * 1024;

/** One answer carries no more than this where memory is bounded: a client that wants more asks again. */
const readBytesMax = 1024 * 1024;

/** One answer takes at most this part of the room, so that readers that do not read leave some for those that do. */
const roomPart = 4;

/** Pooled buffers take at most this part of the account. */
const poolPart = 16;
const poolBlocksMax = 8;

/** A reader whose answers do not fit now is told to come back after about the time that a slow peer takes. */
const retryAfterMs = 50;

/** A reservation for one answer. */
export interface ReadLease {
  readonly kind: "lease";
  /** How much may be read. */
  readonly bytesMax: number;
  /** Where to read it to, if that is enough; undefined: into a buffer of its own. Ask only when there is a read. */
  target(): Uint8Array | undefined;
  /** The answer, of so many bytes, stands in the connection's output: give the memory back when it has left. */
  sent(connection: BrokerConnection, bytes: number): void;
  /** There is no answer. */
  cancel(): void;
}

/** What all answers together may use. */
export class ReadMemory {
  readonly #account: Account | undefined;
  readonly #pool: BufferPool | undefined;

  /** Without an account there is no bound, as in a page or a test. */
  constructor(account?: Account) {
    this.#account = account;
    const blockCount = Math.min(
      poolBlocksMax,
      Math.floor((account?.roomBytes ?? 0) / poolPart / readBytesMax),
    );
    if (account === undefined || blockCount === 0) return;
    const lease = account.reserve(blockCount * readBytesMax);
    if (lease.kind === "refused") return;
    const shape = { blockCount, blockBytes: readBytesMax, partsPerBlock: readBytesMax / readBytesMin };
    this.#pool = new BufferPool({ ...shape, policy: { kind: "refuse" } });
  }

  /** Reserves for an answer of up to `bytesMax`, or of less when there is less room. */
  reserve(bytesMax: number): ReadLease | ErrorOutcome {
    if (this.#account === undefined) return unbounded(bytesMax);
    const room = this.#account.roomBytes;
    const wanted = Math.max(readBytesMin, Math.min(bytesMax, readBytesMax, Math.floor(room / roomPart)));
    const lease = this.#account.reserve(wanted);
    if (lease.kind === "refused") {
      return refuse("overloaded", "the memory for answers is held by readers that do not read", retryAfterMs);
    }
    return bounded(lease, Math.min(wanted, bytesMax), this.#pool);
  }
}

function bounded(lease: Lease, bytesMax: number, pool: BufferPool | undefined): ReadLease {
  const wanted = lease.bytes;
  let loan: Loan | undefined;
  return {
    kind: "lease",
    bytesMax,
    target() {
      const taken = pool?.take(wanted);
      if (taken?.kind === "loan") loan = taken.loan;
      return loan?.bytes;
    },
    sent(connection, bytes) {
      // One batch may be larger than what was asked for. It is here already, so account for as much as there is room.
      if (lease.resize(bytes).kind === "refused") lease.resize(lease.bytes + lease.account.roomBytes);
      loan?.release();
      connection.flush();
      void connection.writable().then(() => lease.release());
    },
    cancel() {
      loan?.release();
      lease.release();
    },
  };
}

function unbounded(bytesMax: number): ReadLease {
  return { kind: "lease", bytesMax, target: () => undefined, sent: () => {}, cancel: () => {} };
}
