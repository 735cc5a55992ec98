/**
 * One exercise as the learner has it open: their text, what is running, what was found. The views only show it; every
 * change goes through the functions that are returned here.
 *
 * The rule above all others: nothing replaces the learner's text without putting the old one into the history first,
 * and without an undo on the screen.
 */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Backend } from "#exercises/grader/backend.ts";
import type { Grade, TestStatus } from "#exercises/grader/grade.ts";
import { seedDefault } from "#exercises/lib/seed.ts";
import type { Depth, ExerciseBundle } from "#exercises/lib/exercise.ts";
import {
  exerciseKey,
  readExercise,
  writeExercise,
  type ExerciseRecord,
  type Version,
} from "../scripts/storage.ts";
import type { Problem } from "./editor/editor.ts";
import { runAndGrade } from "./run.ts";

export type Panel = "task" | "results" | "hints" | "console" | "history";

/** A line at the bottom of the workspace, with at most one thing to do about it. */
export interface Toast {
  readonly text: string;
  readonly undo?: () => void;
}

/** A run that is going on. */
export interface Running {
  readonly total: number;
  readonly done: ReadonlyMap<string, TestStatus>;
  readonly current: string | undefined;
}

export interface Session {
  readonly bundle: ExerciseBundle;
  readonly record: ReadonlySignal<ExerciseRecord>;
  readonly text: ReadonlySignal<string>;
  readonly running: ReadonlySignal<Running | undefined>;
  readonly grade: ReadonlySignal<Grade | undefined>;
  /** Whether the text has changed since the grade was given. */
  readonly isStale: ReadonlySignal<boolean>;
  readonly problems: Signal<readonly Problem[]>;
  readonly panel: Signal<Panel>;
  readonly file: Signal<string>;
  readonly isComparing: Signal<boolean>;
  readonly toast: Signal<Toast | undefined>;
  readonly saving: ReadonlySignal<"saved" | "pending" | "refused">;
  readonly edit: (text: string) => void;
  readonly run: () => Promise<void>;
  readonly stop: () => void;
  readonly setDepth: (depth: Depth) => void;
  readonly reset: () => void;
  readonly restore: (version: Version) => void;
  readonly showHint: (region: string) => void;
  readonly openSolution: () => void;
  readonly closeSolution: () => void;
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

const saveDelayMs = 250;

export function openSession({ bundle, backend, announce, onProgress, seed }: SessionOptions): Session {
  const { exercise } = bundle;
  const { id } = exercise;
  const possible = exercise.tests.reduce((sum, test) => sum + test.points, 0);
  const record = signal(readExercise(id) ?? freshRecord(exercise.depth));
  const text = signal(record.value.text ?? bundle.stubs[record.value.depth]);
  const running = signal<Running | undefined>(undefined);
  const grade = signal<Grade | undefined>(undefined);
  const gradedText = signal<string | undefined>(undefined);
  const isStale = computed(() => gradedText.value !== undefined && gradedText.value !== text.value);
  const problems = signal<readonly Problem[]>([]);
  const panel = signal<Panel>("task");
  const file = signal(bundle.editable);
  const isComparing = signal(false);
  const toast = signal<Toast | undefined>(undefined);
  const saving = signal<"saved" | "pending" | "refused">("saved");
  let saveTimer: ReturnType<typeof setTimeout> | undefined;
  let abort: AbortController | undefined;

  function save(): void {
    clearTimeout(saveTimer);
    saveTimer = undefined;
    saving.value = writeExercise(id, record.value) ? "saved" : "refused";
  }
  function change(changes: Partial<ExerciseRecord>): void {
    record.value = { ...record.value, ...changes };
    save();
    onProgress();
  }
  function edit(next: string): void {
    if (next === text.value) return;
    text.value = next;
    record.value = { ...record.value, text: next };
    saving.value = "pending";
    clearTimeout(saveTimer);
    saveTimer = setTimeout(save, saveDelayMs);
  }
  /** Every replacement of the learner's text comes through here. */
  function replace(next: string, why: string, note: string, changes: Partial<ExerciseRecord> = {}): void {
    const before = { text: text.value, record: record.value };
    const old: Version = { at: Date.now(), why, text: before.text };
    text.value = next;
    change({ ...changes, text: next, history: [...before.record.history, old] });
    file.value = bundle.editable;
    announce(`${note} Undo is at the bottom of the workspace.`);
    toast.value = {
      text: note,
      undo: () => {
        text.value = before.text;
        change({ text: before.text, depth: before.record.depth });
        toast.value = { text: "Your code is back." };
        announce("Your code is back.");
      },
    };
  }
  function onStorage(event: StorageEvent): void {
    if (event.key !== exerciseKey(id)) return;
    const theirs = readExercise(id);
    if (theirs?.text === undefined || theirs.text === text.value) return;
    replace(theirs.text, "other tab", "Another tab changed this exercise; its text is shown.", {
      ...theirs,
      history: theirs.history,
    });
  }
  async function run(): Promise<void> {
    if (running.value !== undefined) return;
    save();
    const submission = text.value;
    panel.value = "results";
    const control = new AbortController();
    abort = control;
    running.value = { total: exercise.tests.length, done: new Map(), current: undefined };
    announce("Running the tests.");
    const chosen = await backend();
    const { grade: next, end } = await runAndGrade({
      bundle,
      submission,
      seed: seed ?? seedDefault,
      backend: chosen,
      signal: control.signal,
      onEvent: (event) => {
        running.value = advance(running.value, event);
      },
    });
    running.value = undefined;
    abort = undefined;
    if (control.signal.aborted && end.kind === "stopped") {
      announce("Stopped.");
      toast.value = { text: "Stopped. Your code is as it was." };
      return;
    }
    grade.value = next;
    gradedText.value = submission;
    keepAttempt(next, submission);
    announce(summaryOf(next));
  }
  function keepAttempt(next: Grade, submission: string): void {
    const { best, solvedAt, attempts, history } = record.value;
    const { earned } = next.points;
    const isSolved = next.outcome === "graded" && earned === possible;
    change({
      attempts: attempts + 1,
      history: [...history, { at: Date.now(), why: "run", text: submission, earned }],
      ...((best === undefined || earned > best.earned) &&
        next.outcome === "graded" && { best: { earned, possible } }),
      ...(isSolved && solvedAt === undefined && { solvedAt: Date.now() }),
    });
  }

  addEventListener("storage", onStorage);
  addEventListener("pagehide", save);
  return {
    bundle,
    record,
    text,
    running,
    grade,
    isStale,
    problems,
    panel,
    file,
    isComparing,
    toast,
    saving,
    edit,
    run,
    stop: () => abort?.abort(),
    setDepth(depth) {
      if (depth === record.value.depth) return;
      const isUntouched = text.value === bundle.stubs[record.value.depth];
      if (isUntouched) {
        text.value = bundle.stubs[depth];
        change({ depth, text: bundle.stubs[depth] });
        announce(`The ${depth} stub is shown.`);
      } else
        replace(bundle.stubs[depth], "depth", `The ${depth} stub is shown. Your code is in the history.`, {
          depth,
        });
    },
    reset: () => replace(bundle.stubs[record.value.depth], "reset", "Reset. Your code is in the history."),
    restore: (version) => replace(version.text, "restore", "An earlier version is shown."),
    showHint(region) {
      const shown = record.value.hints[region] ?? 0;
      change({ hints: { ...record.value.hints, [region]: Math.min(shown + 1, 3) } });
    },
    openSolution() {
      const old: Version = { at: Date.now(), why: "solution", text: text.value };
      file.value = bundle.editable;
      isComparing.value = true;
      change({ hasSeenSolution: true, text: text.value, history: [...record.value.history, old] });
      announce("The solution stands beside your code.");
    },
    closeSolution: () => void (isComparing.value = false),
    close() {
      abort?.abort();
      save();
      removeEventListener("storage", onStorage);
      removeEventListener("pagehide", save);
    },
  };
}

function freshRecord(depth: Depth): ExerciseRecord {
  return { depth, hints: {}, attempts: 0, history: [] };
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
