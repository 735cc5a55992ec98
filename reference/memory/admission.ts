/**
 * Admission: who may have memory next, who waits, and who is told to come back.
 *
 * The budget says yes or no. What to do with the no is decided here, and every way of getting it wrong is a way for a
 * broker to stop being alive while it is perfectly safe:
 *
 * - *Starvation.* Small requests that slip in keep a big one waiting for ever. So nobody overtakes on memory that
 *   somebody waits for; and a waiter whose own tenant is at its cap does not hold up the others.
 * - *Unfairness.* One busy client fills the queue. So each account has a queue of its own, and they take turns.
 * - *Deadlock.* Two handlers each hold half and want more. So whoever holds a lease is answered at once, never queued.
 * - *Flapping.* At the limit, each freed byte lets one request in and the next is refused. So there are two marks:
 *   above the high one the gate closes, and it opens again only when use has sunk to the low one.
 *
 *     used ▲
 *     high ┼ ─ ─ ─ ╱╲ ─ ─ ─ ─ ─ ─ ╱╲       closed between the peak and the next crossing of `low`:
 *          │     ╱   ╲          ╱   ╲      one pause and one resume for each wave, not for each request
 *     low  ┼ ─ ╱ ─ ─ ─ ╲─ ─ ─ ╱─ ─ ─ ╲
 *
 * Only the gated account and those below it (what producers send) are paused. Consuming, replication and health come
 * through: consuming is what lets old data go, so refusing it for lack of memory would keep memory full for ever.
 */
import type { Clock } from "../ports.ts";
import type { Account, Lease, Refusal } from "./budget.ts";
import { assert } from "../base/assert.ts";

/** Why there is no lease. The codes but `cancelled` are names in the protocol's error table. */
export interface Rejection {
  readonly kind: "rejected";
  readonly code: "overloaded" | "record-too-large" | "shutting-down" | "cancelled";
  /** Whether the same request can succeed later. */
  readonly isRetriable: boolean;
  /** When to try again; 0 when that is no use. Grows as the queue fills, so that a crowd comes back spread out. */
  readonly retryAfterMs: number;
}

/** What an `AbortSignal` offers, as far as it is used here: the core does not know the platform's type. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** How one request wants to wait. */
export interface AdmitOptions {
  /** The longest wait; absent: `waitMsMax` of the admission. */
  readonly waitMs?: number;
  /** Ends the wait when the client goes away. */
  readonly signal?: CancelSignal;
  /** A lease that the request holds already: then it does not wait, because waiting while holding can deadlock. */
  readonly holding?: Lease;
}

/** Memory that is kept only as long as nobody needs it: older records, which the disk has as well. */
export interface Reclaimer {
  /** What could be dropped at once. */
  readonly reclaimableBytes: number;
  /** Drops at least `bytes` where that much is reclaimable, the oldest first; returns what came free. */
  offload(bytes: number): number;
}

/** The limits, all named. */
export interface AdmissionOptions {
  readonly clock: Clock;
  /** The account that is paused, with those below it: what producers send. */
  readonly gated: Account;
  /** The gate closes when the gated account has this much or more. */
  readonly highBytes: number;
  /** The gate opens again when it has this much or less. */
  readonly lowBytes: number;
  /** Where memory comes from when none is free; what it could drop does not count towards the two marks. */
  readonly reclaimer?: Reclaimer;
  readonly waitMsMax: number;
  /** The most requests that wait, in all and for one account. */
  readonly queueMax: number;
  readonly queuePerAccountMax: number;
  readonly retryAfterMsMin: number;
  readonly retryAfterMsMax: number;
}

/** A request in a queue. */
interface Waiter {
  readonly account: Account;
  readonly bytes: number;
  /** Ends the wait, once: stops its timer, forgets its signal, resolves its promise. */
  readonly settle: (outcome: Lease | Rejection) => void;
}

/** Hands out the budget's memory in a fair order. One for each process. */
export class Admission {
  /** Called when the gate closes: stop reading from the sockets of producers. */
  onPause: (() => void) | undefined;
  /** Called when it opens again. */
  onResume: (() => void) | undefined;
  readonly #options: AdmissionOptions;
  /** One queue for each account that waits; the one served longest ago comes first. */
  readonly #queues: { readonly account: Account; readonly waiters: Waiter[] }[] = [];
  /** Accounts with no room for somebody who waits: nobody else may charge them meanwhile. */
  readonly #contested = new Set<Account>();
  #waitingCount = 0;
  #isPaused = false;
  /** What the last call of `onPause` or `onResume` said. */
  #toldPaused = false;
  #isClosed = false;
  #isPumping = false;

  constructor(options: AdmissionOptions) {
    const { lowBytes, highBytes, gated } = options;
    assert(lowBytes < highBytes, `low water ${lowBytes} is not below high water ${highBytes}`);
    assert(highBytes <= gated.capBytes, `high water ${highBytes} is above the cap ${gated.capBytes}`);
    this.#options = options;
    gated.budget.onFreed = () => this.#pump();
  }

  /** To be called when memory became reclaimable: then there may be room for somebody, though nothing was released. */
  update(): void {
    this.#pump();
  }

  /** Whether producers are held back at this moment. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Requests that wait. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  // #region try-admit
  /** A lease now, or a rejection now. What a busy path calls: no promise, no timer, nothing to clean up. */
  tryAdmit(account: Account, bytes: number): Lease | Rejection {
    if (this.#isClosed) return this.#rejection("shutting-down");
    // 1. Behind a closed gate nothing new gets in, even when there is room: that is what the low mark is for.
    if (this.#isHeldBack(account)) {
      this.#updateGate();
      return this.#rejection("overloaded");
    }
    // 2. Do not overtake: neither an earlier request of the same account, nor anyone who waits for the same memory.
    if (this.#waitingCount > 0 && this.#wouldOvertake(account, bytes)) return this.#rejection("overloaded");
    // 3. What can never fit is not retriable; what does not fit now is.
    const outcome = this.#reserve(account, bytes);
    if (outcome.kind === "refused") {
      return this.#rejection(outcome.reason === "too-large" ? "record-too-large" : "overloaded");
    }
    // 4. This one may have been the one that reached the high mark.
    this.#updateGate();
    return outcome;
  }
  // #endregion try-admit

  // #region admit
  /** A lease as soon as it is this request's turn, or a rejection: at once, after the wait, or at the end of all. */
  async admit(account: Account, bytes: number, options: AdmitOptions = {}): Promise<Lease | Rejection> {
    // 1. Who has gone away already gets nothing.
    if (isAborted(options)) return this.#rejection("cancelled");
    // 2. Wait only for what waiting can give: not for the impossible, not at shutdown, not while holding a lease.
    const now = this.tryAdmit(account, bytes);
    if (now.kind === "lease" || now.code !== "overloaded" || options.holding !== undefined) return now;
    if (account.possibleBytes < bytes) return this.#rejection("record-too-large");
    // 3. A queue has limits too, or it is where the memory goes.
    const waiters = this.#queueOf(account)?.waiters.length ?? 0;
    if (waiters >= this.#options.queuePerAccountMax || this.#waitingCount >= this.#options.queueMax)
      return now;
    const outcome = await new Promise<Lease | Rejection>((settle) =>
      this.#enqueue(account, bytes, options, settle),
    );
    // 4. Granted and cancelled in the same moment: nobody will use this lease, so give it back.
    if (outcome.kind === "lease" && isAborted(options)) {
      outcome.release();
      return this.#rejection("cancelled");
    }
    return outcome;
  }

  /** Puts a request into its account's queue, with its deadline and its signal. */
  #enqueue(
    account: Account,
    bytes: number,
    options: AdmitOptions,
    resolve: (outcome: Lease | Rejection) => void,
  ): void {
    // 1. Whichever comes first settles the wait: the grant, the deadline, the signal, or the end of all.
    const settle = (outcome: Lease | Rejection): void => {
      stopTimer();
      options.signal?.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    const waiter: Waiter = { account, bytes, settle };
    // 2. Who gives up leaves the queue, so that nobody waits behind a request that is no longer there.
    const giveUp = (code: Rejection["code"]): void => {
      this.#remove(waiter);
      settle(this.#rejection(code));
      this.#pump();
    };
    const onAbort = (): void => giveUp("cancelled");
    const stopTimer = this.#options.clock.after(options.waitMs ?? this.#options.waitMsMax, () =>
      giveUp("overloaded"),
    );
    options.signal?.addEventListener("abort", onAbort);
    // 3. Stand at the end of the own queue; a new queue stands behind the others. Then see whose turn it is.
    const queue = this.#queueOf(account);
    if (queue === undefined) this.#queues.push({ account, waiters: [waiter] });
    else queue.waiters.push(waiter);
    this.#waitingCount++;
    this.#pump();
  }
  // #endregion admit

  // #region pump
  /** Grants whatever can be granted now. Runs after everything that frees memory or takes somebody out of a queue. */
  #pump(): void {
    // 1. One round at a time: offloading frees memory, which calls this again. Forget what the last round found out.
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#contested.clear();
    // 2. Go round: the account served longest ago first, one grant a turn, until nobody left can be served.
    let at = 0;
    for (let queue = this.#queues[at]; queue !== undefined; queue = this.#queues[at]) {
      const head = queue.waiters[0]!;
      const outcome = this.#grant(head);
      if (outcome === undefined) {
        at++;
        continue;
      }
      // 3. Served: its account goes to the end of the line, or out of it when nobody of it waits any more.
      this.#queues.splice(at, 1);
      queue.waiters.shift();
      if (queue.waiters.length > 0) this.#queues.push(queue);
      this.#waitingCount--;
      head.settle(outcome);
    }
    this.#isPumping = false;
    // 4. Tell the sockets last, when the queues are in order again.
    this.#updateGate();
  }

  /** A lease for the head of a queue; undefined when it must go on waiting. */
  #grant(head: Waiter): Lease | undefined {
    // 1. A paused account waits for the low mark, and nobody waits for it.
    if (this.#isHeldBack(head.account)) return undefined;
    // 2. Memory that an earlier one waits for is not given to a later one, however little it wants.
    if (this.#isContested(head.account, head.bytes)) return undefined;
    const outcome = this.#reserve(head.account, head.bytes);
    if (outcome.kind === "lease") return outcome;
    // 3. Keep the shared memory that was missing for this one. Its own cap is nobody else's business.
    if (outcome.at !== head.account) this.#contested.add(outcome.at);
    return undefined;
  }

  /** A reservation; when the memory is there but occupied by what could go, that goes first. */
  #reserve(account: Account, bytes: number): Lease | Refusal {
    // 1. Free memory comes first: nothing is dropped without need.
    const outcome = account.reserve(bytes);
    const { reclaimer } = this.#options;
    if (outcome.kind === "lease" || outcome.reason === "too-large" || reclaimer === undefined) return outcome;
    // 2. Offload as much as is demanded, no more, and ask once more.
    if (reclaimer.offload(bytes - Math.max(0, account.roomBytes)) === 0) return outcome;
    return account.reserve(bytes);
  }
  // #endregion pump

  // #region gate
  /** Closes the gate at the high mark, opens it at the low one, and tells the sockets, once for each change. */
  #updateGate(): void {
    // 1. Look at the marks, then tell: the callbacks may come back here, and must find everything in order.
    this.#readMarks();
    if (this.#isPaused === this.#toldPaused) return;
    this.#toldPaused = this.#isPaused;
    // 2. One call for each change of state, never one for each request.
    if (this.#isPaused) this.onPause?.();
    else this.onResume?.();
  }

  /** Compares what the gated account holds with the two marks. */
  #readMarks(): void {
    const { gated, highBytes, lowBytes, reclaimer } = this.#options;
    // 1. What could be dropped at once is no reason to stop: count what only the disk or a client can free.
    const held = gated.reservedBytes - (reclaimer?.reclaimableBytes ?? 0);
    // 2. Between the two marks nothing changes: that gap is the whole point.
    this.#isPaused = this.#isPaused ? held > lowBytes : held >= highBytes;
  }

  /** Whether the closed gate stands before this account. */
  #isHeldBack(account: Account): boolean {
    // 1. Memory reserved without asking here counts too, so look at the marks each time.
    this.#readMarks();
    // 2. Only what is gated is held back: consuming, replication and health must go on.
    return this.#isPaused && account.isWithin(this.#options.gated);
  }
  // #endregion gate

  // #region close
  /** Shutdown: everyone who waits is told, and nobody is let in any more. Leases already out stay good. */
  close(): void {
    // 1. First shut the door, so that nobody comes back in while the queues are emptied.
    this.#isClosed = true;
    // 2. Then answer everyone: a promise that nobody settles is a request that hangs.
    for (const { waiters } of this.#queues.splice(0)) {
      for (const waiter of waiters) waiter.settle(this.#rejection("shutting-down"));
    }
    this.#waitingCount = 0;
    this.#contested.clear();
  }
  // #endregion close

  // #region rejection
  /** A rejection that says whether to come back, and when. */
  #rejection(code: Rejection["code"]): Rejection {
    // 1. Too much memory asked for at this moment, or the wrong moment: the client may retry. The rest is final.
    const isRetriable = code === "overloaded" || code === "shutting-down";
    if (!isRetriable) return { kind: "rejected", code, isRetriable, retryAfterMs: 0 };
    // 2. The fuller the queue, the later: between the two limits, in proportion.
    const { queueMax, retryAfterMsMin, retryAfterMsMax } = this.#options;
    const fullness = Math.min(1, this.#waitingCount / queueMax);
    const retryAfterMs = Math.ceil(retryAfterMsMin + (retryAfterMsMax - retryAfterMsMin) * fullness);
    return { kind: "rejected", code, isRetriable, retryAfterMs };
  }
  // #endregion rejection

  /** Whether this request would be served before somebody who has waited longer for the same memory. */
  #wouldOvertake(account: Account, bytes: number): boolean {
    return this.#queueOf(account) !== undefined || this.#isContested(account, bytes);
  }

  /** Whether a reservation would charge an account that somebody waits for. */
  #isContested(account: Account, bytes: number): boolean {
    for (const contested of this.#contested) {
      if (account.chargeOn(contested, bytes) > 0) return true;
    }
    return false;
  }

  #queueOf(account: Account): { readonly waiters: Waiter[] } | undefined {
    return this.#queues.find((queue) => queue.account === account);
  }

  /** Takes a waiter out of its queue, and the queue out of the line when it was the last. */
  #remove(waiter: Waiter): void {
    const at = this.#queues.findIndex(({ account }) => account === waiter.account);
    const waiters = this.#queues[at]?.waiters ?? [];
    const position = waiters.indexOf(waiter);
    if (position < 0) return;
    waiters.splice(position, 1);
    if (waiters.length === 0) this.#queues.splice(at, 1);
    this.#waitingCount--;
  }
}

/** Whether the client has gone away; asked twice, because much can happen during a wait. */
function isAborted({ signal }: AdmitOptions): boolean {
  return signal?.aborted === true;
}
