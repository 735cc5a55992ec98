/**
 * A signal of our own: what `AbortController` is to `AbortSignal`, in one, and without a platform.
 */
import type { CancelSignal } from "./cancel.ts";

/** Fires once, when `abort` is called. */
export class Stop implements CancelSignal {
  aborted = false;
  reason: unknown = undefined;
  readonly #listeners = new Set<() => void>();

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Tells every listener, the first time. */
  abort(reason?: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}
