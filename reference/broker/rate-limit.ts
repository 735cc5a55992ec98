/**
 * Rate limits: how much one client may send, so that it cannot take everyone's share.
 *
 * A token bucket holds what may be sent at once, at most a second's worth, and fills at the permitted rate. A request
 * takes from it; one that finds it empty is refused and told how long to wait. Refusing is honest where queueing is
 * not: a queue would turn "too much" into "late", for ever later.
 */
import type { Clock } from "../ports.ts";
import type { BrokerConnection } from "./connection.ts";

/** What one client may send in a second; 0 is no limit. */
export interface RateLimits {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** Buckets kept for clients that come and go; beyond it, the one that was idle longest starts afresh. */
const clientsMax = 10_000;

/** What may be sent now of one kind of thing. It goes below zero with a request that is larger than what is left. */
class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #filledMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#filledMs = nowMs;
  }

  /** How long until something may be sent; 0 is now. */
  waitMs(nowMs: number): number {
    if (this.#perSecond === 0) return 0;
    const gained = ((nowMs - this.#filledMs) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#filledMs = nowMs;
    return this.#tokens > 0 ? 0 : Math.max(1, Math.ceil((-this.#tokens * 1000) / this.#perSecond));
  }

  /** Takes what a request costs. A request larger than a whole second's worth is paid for afterwards. */
  take(amount: number): void {
    this.#tokens -= amount;
  }
}

/** The buckets of one client. */
interface ClientBuckets {
  readonly requests: TokenBucket;
  readonly bytes: TokenBucket;
}

/** All clients' buckets. A client is who it proved to be, or else its connection. */
export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  /** By name, in order of their last use. */
  readonly #named = new Map<string, ClientBuckets>();
  readonly #unnamed = new WeakMap<BrokerConnection, ClientBuckets>();

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Takes a request's share; returns 0, or for how many milliseconds the client should wait instead. */
  take(connection: BrokerConnection, bytes: number): number {
    const nowMs = this.#clock.monotonicTimeMs();
    const buckets = this.#bucketsOf(connection, nowMs);
    const waitMs = Math.max(buckets.requests.waitMs(nowMs), buckets.bytes.waitMs(nowMs));
    if (waitMs > 0) return waitMs;
    buckets.requests.take(1);
    buckets.bytes.take(bytes);
    return 0;
  }

  #bucketsOf(connection: BrokerConnection, nowMs: number): ClientBuckets {
    const name = connection.state.principal;
    let buckets = name === undefined ? this.#unnamed.get(connection) : this.#named.get(name);
    if (buckets === undefined) {
      const { requestsPerSecond, bytesPerSecond } = this.#limits;
      buckets = {
        requests: new TokenBucket(requestsPerSecond, nowMs),
        bytes: new TokenBucket(bytesPerSecond, nowMs),
      };
    }
    if (name === undefined) this.#unnamed.set(connection, buckets);
    else {
      this.#named.delete(name);
      this.#named.set(name, buckets);
      if (this.#named.size > clientsMax) {
        for (const oldest of this.#named.keys()) {
          this.#named.delete(oldest);
          break;
        }
      }
    }
    return buckets;
  }
}
