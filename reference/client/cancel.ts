/**
 * Cancellation, as the platforms do it: an `AbortSignal` fits this interface. The core cannot name the class itself,
 * because it belongs to the platform and not to the language.
 */

import { protocolError } from "./protocol-error.ts";

/** What the core needs of an `AbortSignal`. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The promise, or a rejection with `request-aborted` when the signal fires first. What was begun goes on by itself. */
export function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: CancelSignal | undefined,
): Promise<Value> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(protocolError("request-aborted", "", signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    const forget = (): void => signal.removeEventListener("abort", onAbort);
    promise
      .then(resolve, reject)
      .finally(forget)
      .catch(() => {});
  });
}
