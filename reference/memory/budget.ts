/**
 * The budget: one ledger for all memory that grows with what peers send.
 *
 * A process that takes whatever it is given is killed when memory runs out, and takes every client down with it. So
 * nothing here is kept before it is paid for: *reserve* bytes, use them, *release* them. A reservation is a `Lease`, an
 * object and not a number, because a number can be given back twice, or not at all, or wrong; a lease knows what it
 * took, and gives back exactly that, once.
 *
 * Accounts form a tree. The root has the whole budget; below it stands one account for each kind of memory, and below
 * those may stand tenants. Every account has two numbers:
 *
 *     cap          what it may hold at most, however much is free: one tenant cannot take it all
 *     guarantee    what is set aside for it, however much the others want: it cannot starve
 *
 * An account charges its parent with the larger of what it uses and what it is guaranteed. One rule follows from that:
 * an account has room when its own charge stays within its cap and its parent has room for the change.
 *
 *     root   cap 100, charged 60 = 40 + 20
 *     ├── produce   used 40, guarantee 0     charges 40
 *     └── fetch     used 5,  guarantee 20    charges 20: another 15 bytes are granted even when produce takes the rest
 *
 * Nothing waits here. A refusal says whether waiting could help, and admission.ts does the waiting. Nor is the garbage
 * collector of any use: it frees memory some time, which is no moment at which to grant the next reservation.
 */
import { assert } from "../base/assert.ts";

/** Why a reservation was not granted; nothing has changed. */
export interface Refusal {
  readonly kind: "refused";
  /** `full`: it fits once others have released. `too-large`: it can never fit, so waiting would be for ever. */
  readonly reason: "full" | "too-large";
  /** The account that had no room: the one asked, or one above it. */
  readonly at: Account;
  /** What was asked for. */
  readonly bytes: number;
}

/** What an account may hold at most, and what is set aside for it. */
export interface AccountOptions {
  /** For messages and metrics: `produce`, `fetch`, a client's id. */
  readonly name: string;
  /** Absent: as much as the parent has. */
  readonly capBytes?: number;
  /** Absent: nothing is set aside. */
  readonly guaranteedBytes?: number;
}

/** Bytes that an object costs beside its payload; measured for a small `Uint8Array` with a buffer of its own. */
export const objectOverheadBytes = 256;

/** The whole budget: its root account, and one place to hear that memory came free. */
export class Budget {
  readonly root: Account;
  /** Called after each release and each shrinking, when the ledger is right again. Admission listens here. */
  onFreed: (() => void) | undefined;
  /** Releases of leases that were released before: each one is a bug that this ledger survived. */
  doubleReleaseCount = 0;

  constructor(totalBytes: number) {
    this.root = new Account(this, undefined, { name: "root", capBytes: totalBytes });
  }
}

/** One kind of memory, or one tenant: a node in the tree of accounts. */
export class Account {
  readonly name: string;
  readonly capBytes: number;
  readonly guaranteedBytes: number;
  readonly budget: Budget;
  readonly parent: Account | undefined;
  /** Σ of the live leases of this account and of those below it: the ledger. */
  #reservedBytes = 0;
  /** Own leases, and what the accounts below charge: what is compared with the cap. */
  #usedBytes = 0;
  /** Σ of the guarantees of the accounts directly below. */
  #setAsideBytes = 0;

  constructor(budget: Budget, parent: Account | undefined, options: AccountOptions) {
    const capBytes = options.capBytes ?? parent?.capBytes ?? 0;
    const guaranteedBytes = options.guaranteedBytes ?? 0;
    assert(Number.isSafeInteger(capBytes) && capBytes > 0, `cap of ${options.name}: ${capBytes} bytes`);
    assert(
      guaranteedBytes >= 0 && guaranteedBytes <= capBytes,
      `guarantee ${guaranteedBytes} > cap ${capBytes}`,
    );
    this.name = options.name;
    this.capBytes = capBytes;
    this.guaranteedBytes = guaranteedBytes;
    this.budget = budget;
    this.parent = parent;
  }

  /** Σ of the live leases below this account, at any moment; for the root, of all of them. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** What this account takes out of its parent: its use or its guarantee, whichever is larger. */
  get chargedBytes(): number {
    return Math.max(this.#usedBytes, this.guaranteedBytes);
  }

  /** The largest reservation that would be granted now. */
  get roomBytes(): number {
    const ownRoom = this.capBytes - this.#usedBytes;
    if (this.parent === undefined) return ownRoom;
    const alreadyCharged = Math.max(0, this.guaranteedBytes - this.#usedBytes);
    return Math.min(ownRoom, alreadyCharged + this.parent.roomBytes);
  }

  /** The largest reservation that could be granted if every lease were released. */
  get possibleBytes(): number {
    if (this.parent === undefined) return this.capBytes;
    const setAsideForOthers = this.parent.#setAsideBytes - this.guaranteedBytes;
    return Math.min(this.capBytes, this.parent.possibleBytes - setAsideForOthers);
  }

  /** How much of a reservation of `bytes` here would be charged to `above`: nothing while the guarantee covers it. */
  chargeOn(above: Account, bytes: number): number {
    return this === above ? bytes : (this.parent?.chargeOn(above, this.#chargeOf(bytes)) ?? 0);
  }

  /** Whether this account is `above`, or stands below it. */
  isWithin(above: Account): boolean {
    return this === above || (this.parent !== undefined && this.parent.isWithin(above));
  }

  /** A new account below this one. Its guarantee is set aside at once, so there must be room for it. */
  open(options: AccountOptions): Account {
    const child = new Account(this.budget, this, options);
    const refused = this.#roomless(child.guaranteedBytes);
    assert(
      refused === undefined,
      () => `no room to set aside ${child.guaranteedBytes} bytes for ${child.name}`,
    );
    this.#setAsideBytes += child.guaranteedBytes;
    this.#book(0, child.guaranteedBytes);
    return child;
  }

  /** Ends an account: what was set aside for it is free again. It must hold no lease. */
  close(): void {
    assert(
      this.#reservedBytes === 0,
      `account ${this.name} closed with ${this.#reservedBytes} bytes reserved`,
    );
    assert(this.parent !== undefined, "the root account cannot be closed");
    this.parent.#setAsideBytes -= this.guaranteedBytes;
    this.parent.#book(0, -this.guaranteedBytes);
    this.budget.onFreed?.();
  }

  // #region reserve
  /** Takes `bytes` out of the budget, or says why not. One synchronous step: nobody comes between check and act. */
  reserve(bytes: number): Lease | Refusal {
    // 1. A size is a whole number of bytes, and not negative: anything else is a bug of the caller.
    assert(Number.isSafeInteger(bytes) && bytes >= 0, () => `reservation of ${bytes} bytes`);
    // 2. Book it on every account up to the root, or pass on why that is refused.
    const refusal = this.change(bytes, bytes);
    // 3. What is booked is handed out as a lease, which remembers how much it was.
    return refusal ?? new Lease(this, bytes);
  }

  /**
   * Books `bytes` more (or, below zero, fewer) for a lease that then holds `total`; or says why not. Only leases call
   * it: whoever holds memory holds a lease.
   */
  change(bytes: number, total: number): Refusal | undefined {
    // 1. Growing needs room, here and above; shrinking never does.
    const at = bytes > 0 ? this.#roomless(bytes) : undefined;
    // 2. Say whether waiting can help: what exceeds the possible is too large for ever.
    if (at !== undefined) {
      return { kind: "refused", reason: total > this.possibleBytes ? "too-large" : "full", at, bytes: total };
    }
    // 3. Book it, and only then tell who waits for memory that some came free.
    this.#book(bytes);
    if (bytes < 0) this.budget.onFreed?.();
    return undefined;
  }

  /** The first account, from this one up, that has no room for `bytes` more; undefined when all of them have. */
  #roomless(bytes: number): Account | undefined {
    // 1. Compare with the cap of this account, then with those on the way to the root.
    if (this.#usedBytes + bytes > this.capBytes) return this;
    // 2. What is still unused of a guarantee is charged already: the parent bears only what goes beyond.
    return this.parent === undefined ? undefined : this.parent.#roomless(this.#chargeOf(bytes));
  }

  /** Books `bytes` of leases, from this account up to the root, and what they mean for the charges. */
  #book(bytes: number, charge = bytes): void {
    // 1. The ledger counts leases: the same bytes on every level.
    this.#reservedBytes += bytes;
    assert(this.#reservedBytes >= 0, () => `ledger of ${this.name} below zero`);
    // 2. The charge counts guarantees too: it changes less, or not at all, on the way up.
    const more = this.#chargeOf(charge);
    this.#usedBytes += charge;
    if (this.parent !== undefined) this.parent.#book(bytes, more);
  }
  // #endregion reserve

  /** By how much the charge of this account changes when its use changes by `bytes`. */
  #chargeOf(bytes: number): number {
    return Math.max(this.#usedBytes + bytes, this.guaranteedBytes) - this.chargedBytes;
  }
}

// #region lease
/**
 * Reserved bytes: proof that they are paid for, and the only way to give them back. Release it in a `finally`, or hand
 * it to whoever keeps the memory.
 */
export class Lease {
  readonly kind = "lease";
  readonly account: Account;
  #bytes: number;
  #isLive = true;

  constructor(account: Account, bytes: number) {
    this.account = account;
    this.#bytes = bytes;
  }

  /** What it holds now; 0 after the release. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it has not been released. Memory may be used only under a live lease. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** Changes the size in one step. When there is no room to grow, the lease stays as it was. */
  resize(bytes: number): Lease | Refusal {
    // 1. Only a live lease has a size to change.
    assert(this.#isLive, `resize of a released lease of ${this.account.name}`);
    assert(Number.isSafeInteger(bytes) && bytes >= 0, () => `resize to ${bytes} bytes`);
    // 2. Book the difference only. Releasing first would let a competitor take what this lease has already.
    const refusal = this.account.change(bytes - this.#bytes, bytes);
    if (refusal !== undefined) return refusal;
    // 3. Remember what is held now.
    this.#bytes = bytes;
    return this;
  }

  /** Gives the bytes back. A second call changes nothing and returns false. */
  release(): boolean {
    // 1. A lease is released once. A second release is counted, so that tests and metrics show the bug.
    if (!this.#isLive) {
      this.account.budget.doubleReleaseCount++;
      return false;
    }
    // 2. Give back what was booked for this lease, whatever has become of the payload meanwhile.
    const bytes = this.#bytes;
    this.#isLive = false;
    this.#bytes = 0;
    this.account.change(-bytes, 0);
    return true;
  }
}
// #endregion lease

// #region cost
/**
 * What keeping `parts` costs in memory: their bytes, and the objects around them. Text is counted as UTF-8, which is
 * what it becomes on the wire and on disk.
 */
export function costOf(parts: readonly (string | Uint8Array)[]): number {
  let bytes = 0;
  for (const part of parts) {
    // 1. Count bytes, not characters.
    bytes += typeof part === "string" ? utf8Length(part) : part.byteLength;
    // 2. Add the overhead of each object: a million empty records are not free.
    bytes += objectOverheadBytes;
  }
  return bytes;
}

/** The length of `text` in UTF-8, without encoding it. */
function utf8Length(text: string): number {
  // 1. A UTF-16 unit below 0x80 takes one byte, below 0x800 two, any other three.
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    // 2. A surrogate pair is one character of four bytes; a lone half becomes U+FFFD, which has three.
    const isPair = unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00;
    if (isPair) {
      bytes += 1;
      index++;
    }
  }
  return bytes;
}
// #endregion cost

// #region with-lease
/** Reserves what `parts` cost, runs `body`, and releases however `body` ends: by a value, an error, or an abort. */
export async function withLease<Value>(
  account: Account,
  parts: readonly (string | Uint8Array)[],
  body: (lease: Lease) => Promise<Value>,
): Promise<{ readonly kind: "done"; readonly value: Value } | Refusal> {
  // 1. Count once, now: the body may change the payload, and what is released must be what was reserved.
  const lease = account.reserve(costOf(parts));
  // 2. A refusal is a value for the caller, and the body has not run.
  if (lease.kind === "refused") return lease;
  // 3. Release in `finally`, which runs on every way out.
  try {
    return { kind: "done", value: await body(lease) };
  } finally {
    lease.release();
  }
}
// #endregion with-lease
