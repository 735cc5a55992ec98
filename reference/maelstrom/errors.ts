/**
 * Maelstrom's error codes. What matters most about each is one bit: whether it is *definite*. A definite error promises
 * that the request has had no effect and will have none. After any other, and after silence, it may yet take effect,
 * and whoever asked must count with both. A code that is not in the table is indefinite too.
 */

/** One row of the table. */
export interface ErrorCode {
  readonly code: number;
  readonly name: string;
  readonly isDefinite: boolean;
  readonly help: string;
}

/** Codes up to 999 are Maelstrom's; those from 1000 on are free, and indefinite. */
export const errorCodes = [
  { code: 0, name: "timeout", isDefinite: false, help: "No answer came in time." },
  { code: 1, name: "node-not-found", isDefinite: true, help: "There is no node of that name." },
  { code: 10, name: "not-supported", isDefinite: true, help: "The node knows no request of that type." },
  { code: 11, name: "temporarily-unavailable", isDefinite: true, help: "Not now; nothing was done." },
  { code: 12, name: "malformed-request", isDefinite: true, help: "A field is missing or of the wrong type." },
  {
    code: 13,
    name: "crash",
    isDefinite: false,
    help: "Something went wrong inside, and nobody knows how far it got.",
  },
  { code: 14, name: "abort", isDefinite: true, help: "The operation was given up, and has no effect." },
  { code: 20, name: "key-does-not-exist", isDefinite: true, help: "There is nothing under that key." },
  {
    code: 21,
    name: "key-already-exists",
    isDefinite: true,
    help: "There is something under that key already.",
  },
  {
    code: 22,
    name: "precondition-failed",
    isDefinite: true,
    help: "The value is not the one that was expected.",
  },
  {
    code: 30,
    name: "txn-conflict",
    isDefinite: true,
    help: "Another transaction came first; this one has no effect.",
  },
] as const satisfies readonly ErrorCode[];

export type ErrorName = (typeof errorCodes)[number]["name"];

const byName = new Map<string, ErrorCode>(errorCodes.map((row) => [row.name, row]));
const byCode = new Map<number, ErrorCode>(errorCodes.map((row) => [row.code, row]));

export function codeOf(name: ErrorName): number {
  return byName.get(name)!.code;
}

// #region definite
/** Whether an error with this code promises that nothing happened, nor will. */
export function isDefinite(code: number): boolean {
  return byCode.get(code)?.isDefinite ?? false;
}
// #endregion definite

/** A request that cannot be met. A handler throws it; the runtime makes the reply. */
export class RequestError extends Error {
  readonly code: number;

  /** By the name of a code of the table, or by a number. */
  constructor(error: ErrorName | number, text: string) {
    super(text);
    this.name = "RequestError";
    this.code = typeof error === "number" ? error : codeOf(error);
  }
}
