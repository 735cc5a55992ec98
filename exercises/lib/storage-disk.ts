/**
 * What the suites of the storage chapter share: waiting without real time, the timeline of a disk's calls, and a check
 * that stops the machine before and after every call of a script and explains what broke.
 */
import type { SimulatedDisk } from "#reference/simulator/disk.ts";
import {
  CrashCheckError,
  exploreCrashPoints,
  type CrashPoint,
  type CrashScript,
  type Exploration,
  type ExploreOptions,
} from "#reference/simulator/disk-explore.ts";
import { explained, fail } from "./check.ts";
import { Explanation, type ExplanationDetails } from "./explain.ts";
import { seed } from "./seed.ts";
import { TodoError } from "./todo.ts";

/** Turns of the microtask queue after which a promise that has not settled never will: nothing here takes real time. */
const turnsMax = 50_000;
/** Lines of a timeline that are shown. */
const timelineLinesMax = 24;

/** Lets everything run that waits for no one. Enough for a few dozen calls to a disk. */
export async function quiet(turns = 300): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
}

/**
 * The value of a promise that must settle without real time and with a working disk. One that hangs, and an exception
 * that the exercise does not allow, becomes an explanation with the disk's timeline.
 */
export async function settles<Value>(
  what: string,
  promise: Promise<Value> | Value,
  disk?: SimulatedDisk,
): Promise<Value> {
  const where = (): ExplanationDetails => (disk === undefined ? {} : { where: ioTimeline(disk.trace) });
  const seen: { outcome?: { readonly value: Value } | { readonly error: unknown } } = {};
  Promise.resolve(promise).then(
    (value) => (seen.outcome = { value }),
    (error: unknown) => (seen.outcome = { error }),
  );
  for (let turn = 0; turn < turnsMax && seen.outcome === undefined; turn++) await Promise.resolve();
  const { outcome } = seen;
  if (outcome === undefined) {
    fail(`${what} never settles`, {
      expected: "a promise that settles: the disk has answered every call",
      actual: "nothing is left to wait for, and the promise is pending",
      ...where(),
    });
  }
  if ("error" in outcome) throw explained(what, outcome.error, where());
  return outcome.value;
}

/** What became of a promise so far: for checks that somebody has *not* been told yet. */
export function watch<Value>(promise: Promise<Value>): { readonly state: () => "pending" | "settled" } {
  let state: "pending" | "settled" = "pending";
  const settle = (): void => void (state = "settled");
  promise.then(settle, settle);
  return { state: () => state };
}

/** The calls of a disk, one on each line, numbers in a column; notes of the test stand between them. */
export function ioTimeline(trace: readonly string[], point?: CrashPoint): string {
  const shown = trace.slice(-timelineLinesMax);
  const lines = shown.map((line) => {
    const call = /^(\d+) (.*)$/.exec(line);
    if (call === null) return `        · ${line}`;
    const [, number, text] = call;
    const isCrash = point !== undefined && number === String(point.call);
    const note = isCrash ? `   <- the machine stops ${point.when} this call` : "";
    return `${isCrash ? " ✗" : "  "} ${number!.padStart(4)}  ${text}${note}`;
  });
  if (trace.length > shown.length) lines.unshift(`        (${trace.length - shown.length} earlier)`);
  return ["I/O timeline: the calls to the disk, in order", ...lines].join("\n");
}

/** The files of a disk and their lengths, one on each line. */
export function diskFiles(disk: SimulatedDisk): string {
  const lines = disk.paths().map((path) => `  ${path}: ${disk.peek(path)?.length ?? 0} bytes`);
  return lines.length === 0 ? "  no file" : lines.join("\n");
}

/** What a crash left, in words. */
export function describeSurvival({ survival }: CrashPoint): string {
  if (survival.kind === "nothing") return "power loss: nothing that was not synced is left";
  if (survival.kind === "everything")
    return "only the process died: the page cache is left, still not synced";
  return `power loss: of what was not synced, each sector, length and name is left or lost by itself`;
}

/**
 * Runs `script`, then stops the machine before and after each of its calls, and checks every disk that may be left. A
 * failure names the crash point, what survived and the calls before it. Notes that the script puts into the trace
 * (`disk.note`) appear among them.
 */
export async function surviveEveryCrash<Notes>(
  script: CrashScript<Notes>,
  options: ExploreOptions = {},
): Promise<Exploration> {
  let left = "";
  let isFirstRun = true;
  const careful: CrashScript<Notes> = {
    ...script,
    run: async (disk, notes) => {
      // Only the run without a crash must end; the others are left hanging by the crash, as a dead process would be.
      if (!isFirstRun) return script.run(disk, notes);
      isFirstRun = false;
      await settles("the run without a crash", script.run(disk, notes), disk);
    },
    check: async (disk, notes, point) => {
      left = diskFiles(disk);
      await settles("what comes after the crash", script.check(disk, notes, point), disk);
    },
  };
  try {
    return await exploreCrashPoints(careful, { seed, ...options });
  } catch (error) {
    throw explainCrash(error, left);
  }
}

function explainCrash(error: unknown, left: string): Error {
  if (!(error instanceof CrashCheckError)) return explained("a run that the machine stopped", error);
  const { point, trace, cause } = error;
  if (cause instanceof TodoError) return cause;
  const inner = explained("what comes after the crash", cause) as Error & ExplanationDetails;
  const { expected, actual, where } = inner;
  const explanation = new Explanation(`after a crash ${point.when} call ${point.call}: ${inner.message}`, {
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
    where: [
      ioTimeline(trace, point),
      `what is left (${describeSurvival(point)})`,
      left,
      ...(where === undefined ? [] : [where]),
    ].join("\n"),
  });
  if (inner.stack !== undefined) explanation.stack = inner.stack;
  return explanation;
}
