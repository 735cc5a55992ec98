/**
 * Vitest's own test runner, made to tell of each test as it starts and ends.
 *
 * Events leave from inside the runner and not from a reporter, because a reporter hears of a test only when control
 * returns to it: with an endless loop it never does, and nobody would know which test hangs.
 */
import type { RunnerTask, RunnerTestFile, TestRunner } from "vitest";
import type { RawError, RunEvent } from "../backend.ts";
import { rawErrorOf } from "./raw-error.ts";
import type { PathOf } from "./stack.ts";

/** What a runner says: the events of a run, and two things that only its backend needs to know. */
export type RunnerMessage =
  | RunEvent
  /** The suite or the submission failed while it was loaded; no test ran. */
  | { readonly kind: "load-failed"; readonly errors: readonly RawError[] }
  /** Every test has been reported. */
  | { readonly kind: "ended" };

export interface EventRunnerSettings {
  readonly emit: (message: RunnerMessage) => void;
  readonly pathOf: PathOf;
  /** Full titles of the tests to run; all when absent. */
  readonly only?: readonly string[];
  /** Whether to leave a test out, because its result is known from an earlier run; it is not reported again. */
  readonly except?: (name: string) => boolean;
  /**
   * Lets the event loop turn, on timers that a suite cannot replace. It comes after each test, so that a rejection that
   * nobody handles is reported right after the test that left it, in every backend, and not whenever there is time.
   */
  readonly turn: () => Promise<void>;
}

type RunnerClass = typeof TestRunner;

/** A subclass of `Base` (Vitest's `TestRunner`) that reports as `settings` say. One runner runs one suite file. */
export function eventRunnerOf(Base: RunnerClass, settings: EventRunnerSettings): RunnerClass {
  const { emit, pathOf } = settings;
  const reported = new Set<string>();
  const leftOut = new Set<string>();

  /** Reports a test once. `inherited` are the errors of a hook around it that kept it from running. */
  function report(test: RunnerTask, inherited: readonly RawError[]): void {
    if (reported.has(test.id) || leftOut.has(test.id)) return;
    reported.add(test.id);
    const own = (test.result?.errors ?? []).map((error) => rawErrorOf(error, pathOf));
    const name = fullName(test);
    const durationMs = test.result?.duration ?? 0;
    if (test.result?.state === "pass")
      return emit({ kind: "finished", name, state: "pass", durationMs, errors: [] });
    if (own[0]?.name === "TestTimeoutError")
      return emit({ kind: "timed-out", name, afterMs: Math.round(durationMs) });
    const errors = test.result?.state === "fail" ? own : inherited;
    const state = test.result?.state === "fail" || inherited.length > 0 ? "fail" : "skip";
    emit({ kind: "finished", name, state, durationMs, errors });
  }

  /** Reports what no test hook came by: tests that were skipped, or that a failed hook took down with it. */
  function reportRest(task: RunnerTask, inherited: readonly RawError[]): void {
    if (task.type === "test") return report(task, inherited);
    const own = (task.result?.errors ?? []).map((error) => rawErrorOf(error, pathOf));
    const before = reported.size;
    for (const child of task.tasks) reportRest(child, own.length > 0 ? own : inherited);
    // A hook that failed after all its tests had ended belongs to none of them.
    if (reported.size === before) for (const error of own) emit({ kind: "stray", error });
  }

  return class EventRunner extends Base {
    onCollected(files: RunnerTestFile[]): void {
      const errors = files
        .flatMap((file) => file.result?.errors ?? [])
        .map((error) => rawErrorOf(error, pathOf));
      if (errors.length > 0) return emit({ kind: "load-failed", errors });
      const tests = files.flatMap(testsIn);
      emit({ kind: "collected", names: tests.map(fullName) });
      const only = settings.only === undefined ? undefined : new Set(settings.only);
      for (const test of tests) {
        const name = fullName(test);
        if (settings.except?.(name) !== true && (only === undefined || only.has(name))) continue;
        leftOut.add(test.id);
        test.mode = "skip";
      }
    }

    override async onBeforeRunTask(test: RunnerTask): Promise<void> {
      await super.onBeforeRunTask(test);
      if (test.mode === "run" || test.mode === "queued") emit({ kind: "started", name: fullName(test) });
    }

    // Not onTaskFinished: that one comes before afterEach, before retries and before `it.fails` turns the result.
    // oxlint-disable-next-line no-misused-promises -- Vitest awaits it, although its type promises nothing.
    override async onAfterRunTask(test: RunnerTask): Promise<void> {
      super.onAfterRunTask(test);
      if (test.type === "test") report(test, []);
      await settings.turn();
    }

    override onAfterRunFiles(files: RunnerTestFile[]): void {
      super.onAfterRunFiles(files);
      const isLoaded = files.every((file) => testsIn(file).length > 0);
      if (isLoaded) for (const file of files) reportRest(file, []);
      emit({ kind: "ended" });
    }
  };
}

/** The title by which everything refers to a test: the names of its suites and its own, joined by ` > `. */
export function fullName(task: RunnerTask): string {
  const names: string[] = [];
  for (let at: RunnerTask | undefined = task; at !== undefined; at = at.suite) names.unshift(at.name);
  return names.join(" > ");
}

function testsIn(task: RunnerTask): readonly RunnerTask[] {
  return task.type === "test" ? [task] : task.tasks.flatMap(testsIn);
}
