/**
 * Cancellation, as the platforms do it: an `AbortSignal` fits this interface. The core cannot name the class itself,
 * because it belongs to the platform and not to the language.
 */

/** What the core needs of an `AbortSignal`. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}
