/**
 * Trying again: when it can help, after how long, and when to stop.
 *
 * Three rules. Only errors that the table calls retriable are worth a second try. Delays grow, up to a cap, so that a
 * server in trouble is not beaten while it is down; and each delay is drawn at random from the whole range ("full
 * jitter"), so that clients who failed together do not come back together. And a request whose fate is unknown may be
 * repeated only if doing it twice is the same as doing it once.
 */
import type { Clock, Random } from "../ports.ts";
import type { CancelSignal } from "./cancel.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";

/** How often and how fast to try again. */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attemptsMax: number;
  /** The range of the first delay; each further one doubles it. */
  readonly delayMinMs: number;
  /** The range never grows beyond this. */
  readonly delayMaxMs: number;
}

/** About eight seconds in all. */
export const retryPolicyDefault: RetryPolicy = { attemptsMax: 10, delayMinMs: 50, delayMaxMs: 2_000 };

/** Errors that leave open whether the request was carried out. */
const ambiguousErrors: ReadonlySet<string> = new Set(["connection-closed", "request-timeout"]);

/** What a retried operation needs from its surroundings. */
export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly policy: RetryPolicy;
  /** Whether doing it twice is the same as doing it once. */
  readonly isIdempotent: boolean;
  readonly signal?: CancelSignal;
}

/** How long to wait after the given number of failures, at least 1, in a row: a random part of a growing range. */
export function retryDelayMs(
  failures: number,
  policy: Pick<RetryPolicy, "delayMinMs" | "delayMaxMs">,
  random: Random,
): number {
  const rangeMs = Math.min(policy.delayMaxMs, policy.delayMinMs * 2 ** (failures - 1));
  return (rangeMs * random.nextUint32()) / 2 ** 32;
}

/**
 * Runs `operation` until it succeeds, fails for good, or has been tried often enough; rejects with its last error. What
 * goes on for long calls `progressed` when it gets ahead: the failures are counted from there.
 */
export async function retry<Value>(
  operation: (progressed: () => void) => Promise<Value>,
  options: RetryOptions,
): Promise<Value> {
  let failures = 0;
  for (;;) {
    try {
      return await operation(() => void (failures = 0));
    } catch (error) {
      failures++;
      if (failures >= options.policy.attemptsMax || !mayRepeat(error, options.isIdempotent)) throw error;
      const asked = error instanceof ProtocolError ? error.retryAfterMs : 0;
      const delayMs = Math.max(asked, retryDelayMs(failures, options.policy, options.random));
      await sleep(delayMs, options.clock, options.signal);
    }
  }
}

/** Whether the request that failed with `error` may be sent again. */
export function mayRepeat(error: unknown, isIdempotent: boolean): boolean {
  if (!(error instanceof ProtocolError) || !error.isRetriable) return false;
  return isIdempotent || !ambiguousErrors.has(error.name);
}

/** Resolves after `delayMs`; rejects with `request-aborted` when the signal fires first. Leaves nothing behind. */
export function sleep(delayMs: number, clock: Clock, signal?: CancelSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(protocolError("request-aborted", "", signal.reason));
    const onAbort = (): void => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
      reject(protocolError("request-aborted", "", signal?.reason));
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort);
  });
}
