/**
 * Errors as events carry them: plain text and numbers, no colours, bounded, the same in every backend.
 */
import type { RawError } from "../backend.ts";
import { framesOf, type PathOf } from "./stack.ts";

/** The longest text that an error keeps: enough for any hex dump, too short to choke a page. */
export const errorTextMax = 8_000;

/**
 * Turns what a test threw, or what Vitest made of it, into an event's error. It copies by name and trusts nothing: a
 * submission may throw anything at all.
 */
export function rawErrorOf(thrown: unknown, pathOf: PathOf): RawError {
  if (typeof thrown !== "object" || thrown === null) {
    return { name: "Error", message: `thrown: ${tidy(String(thrown))}`, stack: [] };
  }
  const error = thrown as Readonly<Record<string, unknown>>;
  const name = textOf(error["name"]) ?? "Error";
  const frames = framesOf(typeof error["stack"] === "string" ? error["stack"] : undefined, pathOf);
  return {
    name,
    message: textOf(error["message"]) ?? "",
    ...optional("expected", textOf(error["expected"])),
    ...optional("actual", textOf(error["actual"])),
    // An Explanation says what differs in its own words.
    ...optional("diff", name === "Explanation" ? undefined : textOf(error["diff"])),
    ...optional("where", textOf(error["where"])),
    ...optional("seed", typeof error["seed"] === "number" ? error["seed"] : undefined),
    ...optional("counterexample", textOf(error["counterexample"])),
    stack: name === "RangeError" && isStackOverflow(error["message"]) ? recursionOf(frames) : frames,
  };
}

/** Each engine has its own words for it. */
function isStackOverflow(message: unknown): boolean {
  return message === "Maximum call stack size exceeded" || message === "too much recursion";
}

/**
 * The places that an endless recursion goes through. The stack overflows at one of them by chance, so the innermost
 * frame is left out, and the others are in the order of the file.
 */
function recursionOf([, ...frames]: RawError["stack"]): RawError["stack"] {
  const places = new Map(
    frames.map((frame) => [`${frame.file}:${String(frame.line).padStart(6, "0")}`, frame]),
  );
  return [...places].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, frame]) => frame);
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [N in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { [N in Name]?: Value };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? tidy(value) : undefined;
}

// oxlint-disable no-control-regex -- taking control characters out is what these are for.
const colours = /\u001b\[[0-9;]*m/g;
const controls = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
// oxlint-enable no-control-regex

/** Without colours and control characters, and no longer than a reader can use. */
function tidy(text: string): string {
  const plain = text.replace(colours, "").replace(controls, "\ufffd");
  return plain.length <= errorTextMax
    ? plain
    : `${plain.slice(0, errorTextMax)}… (${plain.length} characters)`;
}
