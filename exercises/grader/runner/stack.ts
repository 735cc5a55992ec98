/**
 * Stack traces as a grade shows them: the frames in the exercise's own files, the same in every backend.
 *
 * Engines print the same call in different words (`at Object.encode (file:1:2)`, `encode@file:1:2`), and compilers
 * add their own (`_frame.encode.call(void 0)`, `async`, `new`). What is left here is what the reader wrote.
 */
import type { StackFrame } from "../grade.ts";

/** The project path of a place in a stack (a URL or path, without query), or undefined for a frame of the harness. */
export type PathOf = (location: string) => string | undefined;

/** The most frames that are kept; endless recursion has thousands of equal ones. */
export const stackFramesMax = 8;

/** What `Error.stackTraceLimit` has to be, so that the learner's frames survive among those of the harness. */
export const stackTraceLimit = 50;

/** Where the checks of the suites live; a reader wants to know which line called them, not where in them it failed. */
const harnessFolder = "exercises/lib/";

const v8Frame = /^\s*at (?:async )?(?:(.*?) \()?((?:[a-z][a-z+.-]*:|\/|\w:[\\/]).*?):(\d+)(?::\d+)?\)?$/i;
const geckoFrame = /^(.*?)@(.+?):(\d+)(?::\d+)?$/;

/** The frames of `stack` that lie in project files, innermost first. */
export function framesOf(stack: string | undefined, pathOf: PathOf): readonly StackFrame[] {
  const frames: StackFrame[] = [];
  for (const text of (stack ?? "").split("\n")) {
    const match = v8Frame.exec(text) ?? geckoFrame.exec(text);
    if (match === null) continue;
    const file = pathOf(match[2]!.replace(/[?#].*$/, ""));
    if (file === undefined || file.startsWith(harnessFolder)) continue;
    frames.push({ file, line: Number(match[3]), method: methodName(match[1] ?? "") });
    if (frames.length === stackFramesMax) break;
  }
  return frames;
}

/** `async Object.encode [as run]` → `encode`; `new Reader` → `Reader`; what an engine makes up is left out. */
function methodName(text: string): string {
  const name = text
    .replace(/^(?:async |async\*|new )+/, "")
    .replace(/ \[as .*\]$/, "")
    .replace(/^.*\//, "")
    .split(".")
    .at(-1)!
    .replace(/[<>*]+$/, "");
  return /^[\p{L}_$#][\p{L}\p{N}_$]*$/u.test(name) && name !== "anonymous" ? name : "";
}
