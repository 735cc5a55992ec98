/**
 * Checks for suites: each throws an `Explanation` that shows expected and actual, and where they part.
 *
 * A subject is a learner's code, so it may do anything. `run` calls it and turns an exception that the exercise does
 * not allow into a failure in the exercise's own words, keeping the stack that leads to the learner's line.
 */
import { bytesEqual } from "#reference/base/bytes.ts";
import { Explanation, type ExplanationDetails } from "./explain.ts";
import type { FieldLayout } from "./field-tree.ts";
import { fieldAt, formatFields, readFields, showBytes } from "./field-tree.ts";
import { hexDump } from "./hex-dump.ts";
import { TodoError } from "./todo.ts";

/** Fails the test with an explanation. */
export function fail(message: string, details: ExplanationDetails = {}): never {
  throw new Explanation(message, details);
}

/**
 * Calls the subject. An exception becomes the failure "`what` threw an exception", with the exception's own stack. What
 * costs much to say can be a function, called only then.
 */
export function run<Result>(
  what: string | (() => string),
  call: () => Result,
  details: ExplanationDetails | (() => ExplanationDetails) = {},
): Result {
  try {
    return call();
  } catch (error) {
    const name = typeof what === "string" ? what : what();
    throw explained(name, error, typeof details === "function" ? details() : details);
  }
}

/** The error to fail with when a subject threw: explanations and unwritten parts stay what they are. */
export function explained(what: string, error: unknown, details: ExplanationDetails = {}): Error {
  if (error instanceof TodoError || error instanceof Explanation) return error;
  const thrown = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const explanation = new Explanation(`${what} threw an exception`, {
    expected: "a result: bad input is a value here, not an exception",
    actual: thrown,
    ...details,
  });
  if (error instanceof Error && error.stack !== undefined) explanation.stack = error.stack;
  return explanation;
}

/** The call must throw, and not because it is unwritten. `why` says what must be refused. */
export function expectThrows(why: string, call: () => unknown): void {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    if (error instanceof TodoError) throw error;
    return;
  }
  fail(why, { expected: "an AssertionError", actual: `the result ${formatValue(result)}` });
}

/** Both must be equal, deep into objects and bytes. */
export function expectEqual(
  what: string,
  actual: unknown,
  expected: unknown,
  details: ExplanationDetails = {},
): void {
  const [shownActual, shownExpected] = [formatValue(actual), formatValue(expected)];
  if (shownActual === shownExpected) return;
  fail(`${what}: not what it must be`, { expected: shownExpected, actual: shownActual, ...details });
}

/** The condition must hold. */
export function expectThat(condition: boolean, message: string, details: ExplanationDetails = {}): void {
  if (!condition) fail(message, details);
}

/** Bytes must be equal; a difference is shown as a dump with a caret and as the fields of `layout`. */
export function expectBytes(
  what: string,
  actual: Uint8Array,
  expected: Uint8Array,
  layout: readonly FieldLayout[] = [],
): void {
  if (!(actual instanceof Uint8Array)) {
    fail(`${what} is not a Uint8Array`, { expected: showBytes(expected), actual: formatValue(actual) });
  }
  if (bytesEqual(actual, expected)) return;
  const at = firstDifference(actual, expected);
  const fields = readFields(expected, layout);
  const name = layout.length === 0 ? undefined : fieldAt(fields, at)?.name;
  const place = name === undefined ? `byte ${at}` : `byte ${at}, in the field ${name}`;
  fail(`${what}: the first difference is at ${place}`, {
    expected: `${showByte(expected, at)}, ${expected.length} bytes in all`,
    actual: `${showByte(actual, at)}, ${actual.length} bytes in all`,
    where: [
      "actual bytes",
      hexDump(actual, [{ start: at, end: at + 1, note: `expected ${showByte(expected, at)}` }]),
      "expected bytes",
      hexDump(expected, [{ start: at, end: at + 1 }]),
      ...(layout.length === 0 ? [] : ["expected fields", formatFields(fields, at)]),
      ...(layout.length === 0 ? [] : ["actual fields", formatFields(readFields(actual, layout), at)]),
    ].join("\n"),
  });
}

/** A dump of the input that a failure is about, with a caret, and its fields. */
export function whereIn(
  bytes: Uint8Array,
  at: number,
  note: string,
  layout: readonly FieldLayout[] = [],
): string {
  const dump = hexDump(bytes, [{ start: at, end: at + 1, note }]);
  return layout.length === 0 ? dump : `${dump}\n${formatFields(readFields(bytes, layout), at)}`;
}

/** The first byte that differs; the shorter length when one is the start of the other. */
export function firstDifference(left: Uint8Array, right: Uint8Array): number {
  const common = Math.min(left.length, right.length);
  for (let at = 0; at < common; at++) if (left[at] !== right[at]) return at;
  return common;
}

/** A value as text in which equal values look equal: keys sorted, bytes in hexadecimal, bigints with their n. */
export function formatValue(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (Object.is(value, -0)) return "0";
  if (value === null || typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return `bytes(${toDigits(value)})`;
  if (Array.isArray(value)) return `[${value.map(formatValue).join(", ")}]`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1));
  return `{ ${entries.map(([key, item]) => `${key}: ${formatValue(item)}`).join(", ")} }`;
}

function toDigits(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, 64), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length <= 64 ? shown : `${shown} … ${bytes.length} bytes, hash ${hashOf(bytes)}`;
}

/** Tells long arrays apart in `formatValue`, which shows only their start. */
function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16);
}

function showByte(bytes: Uint8Array, at: number): string {
  const byte = bytes[at];
  return byte === undefined ? "no byte here" : `byte 0x${byte.toString(16).padStart(2, "0")}`;
}
