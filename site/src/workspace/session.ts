/**
 * One exercise as the learner has it open: their text (`draft.ts`), what is running, what was found. The views only
 * show it; every change goes through the functions that are returned here.
 */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Backend } from "#exercises/grader/backend.ts";
import type { Grade, TestStatus } from "#exercises/grader/grade.ts";
import { seedDefault } from "#exercises/lib/seed.ts";
import type { Depth, ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { ExerciseRecord, TestMemory, Version } from "../scripts/storage.ts";
import { openDraft, withVersion, type Draft } from "./draft.ts";
import type { Problem } from "./editor/editor.ts";
import { runAndGrade } from "./run.ts";

/** The parts of the panel below the editor. */
export const panels = ["task", "results", "hints", "console", "history"] as const;
export type Panel = (typeof panels)[number];

/** How the message of a part begins that is not written yet (exercises/lib/todo.ts). */
const todoMessage = "not written yet: ";

/** A run that is going on. */
export interface Running {
  readonly total: number;
  readonly done: ReadonlyMap<string, TestStatus>;
  readonly current: string | undefined;
}

/** What stands beside the learner's text: the solution, or an earlier version of their own. */
export interface Comparison {
  readonly kind: "solution" | "version";
  /** Names the other text: "the solution", "your version of 10:32". */
  readonly name: string;
  readonly text: string;
}

export interface Session extends Pick<
  Draft,
  "record" | "text" | "saving" | "toast" | "edit" | "replace" | "offerUndo"
> {
  readonly bundle: ExerciseBundle;
  readonly running: ReadonlySignal<Running | undefined>;
  readonly grade: ReadonlySignal<Grade | undefined>;
  /** Whether the text has changed since the grade was given. */
  readonly isStale: ReadonlySignal<boolean>;
  readonly problems: Signal<readonly Problem[]>;
  readonly panel: Signal<Panel>;
  readonly file: Signal<string>;
  /** Where every random choice of the next run starts. */
  readonly seed: Signal<number>;
  /** The test that the address points at, by id. */
  readonly target: Signal<string | undefined>;
  readonly comparison: ReadonlySignal<Comparison | undefined>;
  readonly announce: (text: string) => void;
  readonly run: () => Promise<void>;
  readonly stop: () => void;
  readonly setDepth: (depth: Depth) => void;
  readonly reset: () => void;
  readonly restore: (version: Version) => void;
  readonly showHint: (region: string) => void;
  readonly openSolution: () => void;
  readonly openVersion: (version: Version) => void;
  /** Puts the earlier version that is compared with in place of the learner's text. */
  readonly restoreCompared: () => void;
  readonly closeComparison: () => void;
  /** Writes what is not written yet and stops what runs. */
  readonly close: () => void;
}

export interface SessionOptions {
  readonly bundle: ExerciseBundle;
  /** Asked at each run, since the learner may choose another one in between. */
  readonly backend: () => Promise<Backend>;
  readonly announce: (text: string) => void;
  readonly onProgress: () => void;
  /** The seed that the address asks for. */
  readonly seed: number | undefined;
}

export function openSession({ bundle, backend, announce, onProgress, seed }: SessionOptions): Session {
  const { exercise } = bundle;
  const draft = openDraft({ bundle, announce, onProgress });
  const { record, text, toast, change, replace } = draft;
  const running = signal<Running | undefined>(undefined);
  const grade = signal<Grade | undefined>(undefined);
  const gradedText = signal<string | undefined>(undefined);
  const panel = signal<Panel>("task");
  const file = signal(bundle.editable);
  const seedOfRuns = signal(seed ?? seedDefault);
  const comparison = signal<Comparison | undefined>(undefined);
  let abort: AbortController | undefined;

  async function run(): Promise<void> {
    if (running.value !== undefined) return;
    draft.save();
    // What was said about an earlier state; an undo stays on offer.
    if (toast.value?.undo === undefined) toast.value = undefined;
    const submission = text.value;
    panel.value = "results";
    const control = new AbortController();
    abort = control;
    running.value = { total: exercise.tests.length, done: new Map(), current: undefined };
    announce("Running the tests.");
    try {
      const { grade: next, end } = await runAndGrade({
        bundle,
        submission,
        seed: seedOfRuns.value,
        backend: await backend(),
        signal: control.signal,
        onEvent: (event) => {
          running.value = advance(running.value, event);
        },
      });
      if (control.signal.aborted && end.kind === "stopped") return say("Stopped. Your code is as it was.");
      grade.value = next;
      gradedText.value = submission;
      change(afterAttempt(record.value, next, submission));
      announce(summaryOf(next));
    } catch (error) {
      say(`The tests could not be run: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      running.value = undefined;
      abort = undefined;
    }
  }
  function say(line: string): void {
    toast.value = { text: line };
    announce(line);
  }
  function setDepth(depth: Depth): void {
    if (depth === record.value.depth) return;
    const kept = text.value === bundle.stubs[record.value.depth] ? "" : " Your code is in the history.";
    replace(bundle.stubs[depth], "depth", `The ${depth} stub is shown.${kept}`, { depth });
  }
  function compareWith(other: Comparison, changes: Partial<ExerciseRecord> = {}): void {
    const before: Version = { at: Date.now(), why: other.kind, text: text.value };
    file.value = bundle.editable;
    comparison.value = other;
    // What is taken over from the other text can then be taken back as a whole.
    change({ ...changes, text: text.value, history: withVersion(record.value.history, before) });
    announce(`Beside your code stands ${other.name}.`);
  }
  const show = (next: string, why: string, note: string): void => {
    file.value = bundle.editable;
    comparison.value = undefined;
    replace(next, why, note);
  };
  return {
    bundle,
    record,
    text,
    running,
    grade,
    isStale: computed(() => gradedText.value !== undefined && gradedText.value !== text.value),
    problems: signal<readonly Problem[]>([]),
    panel,
    file,
    seed: seedOfRuns,
    target: signal<string | undefined>(undefined),
    comparison,
    toast,
    saving: draft.saving,
    announce,
    edit: draft.edit,
    replace,
    offerUndo: draft.offerUndo,
    run,
    stop: () => abort?.abort(),
    setDepth,
    reset: () => show(bundle.stubs[record.value.depth], "reset", "Reset. Your code is in the history."),
    restore: (version) => show(version.text, "restore", "An earlier version is shown."),
    restoreCompared() {
      const other = comparison.value;
      if (other?.kind === "version") show(other.text, "restore", "An earlier version is shown.");
    },
    showHint(region) {
      const shown = record.value.hints[region] ?? 0;
      change({ hints: { ...record.value.hints, [region]: Math.min(shown + 1, 3) } });
    },
    openSolution: () =>
      compareWith(
        { kind: "solution", name: "the solution", text: bundle.solution },
        { hasSeenSolution: true },
      ),
    openVersion: (version) =>
      compareWith({
        kind: "version",
        name: `your version of ${new Date(version.at).toLocaleString(undefined, { timeStyle: "medium", dateStyle: "short" })}`,
        text: version.text,
      }),
    closeComparison: () => void (comparison.value = undefined),
    close() {
      abort?.abort();
      draft.close();
    },
  };
}

/** What a finished run changes in the record. */
function afterAttempt(record: ExerciseRecord, grade: Grade, submission: string): Partial<ExerciseRecord> {
  const { earned, possible } = grade.points;
  const attempt: Version = { at: Date.now(), why: "run", text: submission, earned };
  const changes = { attempts: record.attempts + 1, history: withVersion(record.history, attempt) };
  if (grade.outcome !== "graded") return changes;
  const { best, solvedAt } = record;
  return {
    ...changes,
    tests: rememberTests(record.tests ?? {}, grade),
    ...((best === undefined || earned > best.earned) && { best: { earned, possible } }),
    ...(earned === possible && solvedAt === undefined && { solvedAt: attempt.at }),
  };
}

/** A test that waits for code which is not written yet has not failed: there is nothing to review about it. */
function rememberTests(
  before: Readonly<Record<string, TestMemory>>,
  grade: Grade,
): Readonly<Record<string, TestMemory>> {
  const now = Date.now();
  const after: Record<string, TestMemory> = { ...before };
  for (const { id, status, failure } of grade.tests) {
    const old = after[id] ?? { failures: 0 };
    if (status === "pass") after[id] = { ...old, passedAt: old.passedAt ?? now };
    else if (status !== "unknown" && failure?.message.startsWith(todoMessage) !== true) {
      after[id] = { ...old, failedAt: now, failures: old.failures + 1 };
    }
  }
  return after;
}

type RunEventOf = Parameters<Parameters<Backend["run"]>[1]>[0];

function advance(running: Running | undefined, event: RunEventOf): Running | undefined {
  if (running === undefined) return undefined;
  switch (event.kind) {
    case "collected":
      return { ...running, total: event.names.length };
    case "started":
      return { ...running, current: event.name };
    case "finished": {
      const status = event.state === "pass" ? "pass" : event.state === "fail" ? "fail" : "unknown";
      return { ...running, done: new Map(running.done).set(event.name, status) };
    }
    case "timed-out":
      return { ...running, done: new Map(running.done).set(event.name, "timeout") };
    case "console":
    case "stray":
      break;
  }
  return running;
}

/** The grade in one sentence, for the live region. */
export function summaryOf(grade: Grade): string {
  if (grade.outcome !== "graded") return grade.reason ?? "The code could not be run.";
  const passed = grade.tests.filter(({ status }) => status === "pass").length;
  const first = grade.tests.find(({ status }) => status !== "pass");
  const points = `${grade.points.earned} of ${grade.points.possible} points`;
  if (first === undefined) return `All ${passed} tests pass: ${points}.`;
  return `${passed} of ${grade.tests.length} tests pass, ${points}. First failure: ${first.name}. ${first.failure?.message ?? ""}`;
}
