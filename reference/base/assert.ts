/**
 * Assertions: for what only a bug in this program can cause.
 *
 * What a peer, a disk or a user can cause is an expected outcome and is returned as a value with a code. An assertion
 * is the opposite: when it fails, the program's own picture of the world is wrong, and going on would spread
 * the damage.
 */

/** Thrown by a failed assertion; nothing but a test or a process boundary catches it. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * Throws when `condition` is false. The message names the operands, because whoever reads it cannot look any more.
 * A hot path hands in a function, so that the message is put together only when it is needed.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new AssertionError(typeof message === "string" ? message : message());
}

/** The end of an exhaustive switch: the compiler proves that it is never reached. */
export function unreachable(value: never, what: string): never {
  throw new AssertionError(`unexpected ${what}: ${JSON.stringify(value)}`);
}
