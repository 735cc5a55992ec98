/**
 * The mark that a stub leaves where a learner's code belongs.
 *
 * It throws, so that an unsolved part fails its tests with a sentence that says which part it is, and its type is
 * `never`, so that a stub compiles whatever its function returns.
 */

/** Thrown where a stub has not been filled in. The grader shows its message as it is. */
export class TodoError extends Error {
  override readonly name = "TodoError";
}

/** Stands in for code that the learner has yet to write; `what` is the part's name or a hint at a blank. */
export function todo(what: string): never {
  throw new TodoError(`not written yet: ${what}`);
}
