/**
 * What came of a request: a value that says it all, so that no handler writes to a connection or throws for a reason
 * that it expected.
 */
import type { ErrorName } from "../protocol/errors.ts";
import type { MessageName, ReplyOf } from "../protocol/messages.ts";

/** A refusal or a failure that the client is told about. */
export interface ErrorOutcome {
  readonly kind: "error";
  readonly name: ErrorName;
  /** One line: the thing, the value and the limit. */
  readonly message: string;
  /** How long the client should wait before it tries again; absent when waiting does not help. */
  readonly retryAfterMs?: number;
}

/** The outcome of one request. */
export type Outcome<Name extends MessageName> =
  | { readonly kind: "reply"; readonly value: ReplyOf<Name> }
  /** Done in part: the value says which part, `name` is the first error in it. */
  | { readonly kind: "partial"; readonly name: ErrorName; readonly value: ReplyOf<Name> }
  | ErrorOutcome
  /** Nothing is sent (Credit), or has been sent already: then with so many bytes of batches. */
  | SilentOutcome;

export interface SilentOutcome {
  readonly kind: "silent";
  readonly bytesOut?: number;
  /** Where the batches were found. */
  readonly source?: "memory" | "disk";
}

export const silent: SilentOutcome = { kind: "silent" };

export function reply<Value>(value: Value): { readonly kind: "reply"; readonly value: Value } {
  return { kind: "reply", value };
}

export function refuse(name: ErrorName, message: string, retryAfterMs?: number): ErrorOutcome {
  return retryAfterMs === undefined
    ? { kind: "error", name, message }
    : { kind: "error", name, message, retryAfterMs };
}
