/**
 * Turns what happened during a run into a grade. The only place that decides what a result is worth, whichever
 * backend ran the suite.
 *
 * It gives points for what was seen to pass and for nothing else: a test that did not come to an end is `unknown`.
 */
import type { Exercise, ExerciseBundle, KillMatrix, TestPlan } from "#exercises/lib/exercise.ts";
import type { Backend, RawError, RunEnd, RunEvent } from "./backend.ts";
import { consoleLinesMax, gradeSchema } from "./grade.ts";
import type { Diagnostic, Failure, Grade, Misconception, TestGrade, TestStatus } from "./grade.ts";

/** A run that is over. */
export interface FinishedRun {
  readonly bundle: Pick<ExerciseBundle, "exercise" | "editable" | "killMatrix">;
  readonly seed: number;
  readonly events: readonly RunEvent[];
  readonly end: RunEnd;
  readonly backend: Backend["name"];
  /** When it started, as an ISO 8601 text, and how long it took. */
  readonly startedAt: string;
  readonly durationMs: number;
}

/** The grade of a run. Pure: equal runs give equal grades. */
export function scoreRun(run: FinishedRun): Grade {
  const { exercise, editable, killMatrix } = run.bundle;
  const results = resultsOf(run.events);
  const isGraded = run.end.kind === "completed" || run.end.kind === "stopped";
  const tests = exercise.tests.map((plan) => {
    return gradeTest(exercise, plan, isGraded ? results.get(plan.name) : undefined, run.seed);
  });
  const reason = reasonOf(run.end, editable);
  const misconception = isGraded ? misconceptionOf(exercise, killMatrix, tests, results) : undefined;
  return {
    schema: gradeSchema,
    exercise: exercise.id,
    title: exercise.title,
    outcome: isGraded ? "graded" : run.end.kind === "unloadable" ? "ungradable" : "internal-error",
    ...(reason === undefined ? {} : { reason }),
    diagnostics: diagnosticsOf(run, editable),
    seed: run.seed,
    points: {
      earned: sum(tests.map((test) => test.points.earned)),
      possible: sum(tests.map((test) => test.points.possible)),
    },
    tests,
    ...(misconception === undefined ? {} : { misconception }),
    console: consoleOf(run.events),
    run: { backend: run.backend, startedAt: run.startedAt, durationMs: Math.round(run.durationMs) },
  };
}

/** The command that runs one test again in the same way. */
export function replayCommand(exerciseId: string, testId: string, seed: number): string {
  return `npx oz test ${exerciseId} -t ${testId} --seed ${seed}`;
}

type TestResult = Extract<RunEvent, { readonly kind: "finished" | "timed-out" }>;

/** The last word on each test, by its title. */
function resultsOf(events: readonly RunEvent[]): ReadonlyMap<string, TestResult> {
  const results = new Map<string, TestResult>();
  for (const event of events) {
    if (event.kind === "finished" || event.kind === "timed-out") results.set(event.name, event);
  }
  return results;
}

function gradeTest(
  exercise: Exercise,
  plan: TestPlan,
  result: TestResult | undefined,
  seed: number,
): TestGrade {
  const status = statusOf(result);
  const failure = failureOf(exercise, plan, result, seed);
  return {
    id: plan.id,
    name: plan.name,
    objective: plan.objective,
    level: plan.level,
    status,
    points: { earned: status === "pass" ? plan.points : 0, possible: plan.points },
    durationMs:
      result === undefined ? 0 : result.kind === "finished" ? round(result.durationMs) : result.afterMs,
    ...(failure === undefined ? {} : { failure }),
  };
}

function statusOf(result: TestResult | undefined): TestStatus {
  if (result === undefined) return "unknown";
  if (result.kind === "timed-out") return "timeout";
  return result.state === "skip" ? "unknown" : result.state;
}

function failureOf(
  exercise: Exercise,
  plan: TestPlan,
  result: TestResult | undefined,
  seed: number,
): Failure | undefined {
  if (result === undefined || (result.kind === "finished" && result.state !== "fail")) return undefined;
  const error = result.kind === "timed-out" ? timeoutError(exercise.testTimeLimitMs) : result.errors[0];
  const { expected, actual, where, seed: failingSeed, counterexample } = error ?? noError;
  return {
    rule: plan.rule,
    must: exercise.rules.find((rule) => rule.id === plan.rule)?.must ?? "",
    message: messageOf(error ?? noError),
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
    ...(where === undefined ? {} : { where }),
    ...(failingSeed === undefined ? {} : { seed: failingSeed }),
    ...(counterexample === undefined ? {} : { counterexample }),
    replay: replayCommand(exercise.id, plan.id, seed),
    stack: error?.stack ?? [],
  };
}

const noError: RawError = { name: "Explanation", message: "the test failed without saying why", stack: [] };

function timeoutError(limitMs: number): RawError {
  const message = `It did not end within ${limitMs} ms: a loop that never stops, or a promise that never settles.`;
  return { name: "Explanation", message, stack: [] };
}

/** Errors of a check speak for themselves. Any other came out of the submission: its kind is part of the message. */
const selfExplaining: ReadonlySet<string> = new Set(["Explanation", "AssertionError", "TodoError"]);

function messageOf(error: RawError): string {
  return selfExplaining.has(error.name) || error.message.startsWith("thrown: ")
    ? error.message
    : `${error.name}: ${error.message}`;
}

/** `file:line: message` of an error, at the first place in `file` that its stack names. */
function diagnosticOf(error: RawError, file: string): Diagnostic {
  const frame = error.stack.find((candidate) => candidate.file === file) ?? error.stack[0];
  const message = error.name === "SyntaxError" ? error.message : messageOf(error);
  return { file: frame?.file ?? file, line: frame?.line ?? 1, message };
}

/** Why the submission cannot run; or, in a graded run, errors that no test was there to catch. */
function diagnosticsOf(run: FinishedRun, editable: string): readonly Diagnostic[] {
  if (run.end.kind === "unloadable") return run.end.errors.map((error) => diagnosticOf(error, editable));
  return run.events.flatMap((event) => {
    if (event.kind !== "stray") return [];
    const diagnostic = diagnosticOf(event.error, editable);
    return [{ ...diagnostic, message: `outside any test: ${diagnostic.message}` }];
  });
}

function reasonOf(end: RunEnd, editable: string): string | undefined {
  if (end.kind === "completed") return undefined;
  if (end.kind !== "unloadable") return firstLine(end.reason);
  const [first] = end.errors;
  if (first === undefined) return "the submission cannot be loaded";
  const { file, line, message } = diagnosticOf(first, editable);
  return firstLine(`${file}:${line}: ${message}`);
}

/**
 * The one mutant that fails exactly the tests that this run failed. Nothing is named while a test is undecided or ran
 * out of time, nor for code that has yet to be written: an unwritten part is no misconception.
 */
function misconceptionOf(
  exercise: Exercise,
  killMatrix: KillMatrix,
  tests: readonly TestGrade[],
  results: ReadonlyMap<string, TestResult>,
): Misconception | undefined {
  const failing = tests.filter((test) => test.status === "fail" || test.status === "timeout");
  if (failing.length === 0 || tests.some((test) => test.status === "unknown")) return undefined;
  if (failing.some((test) => test.status === "timeout")) return undefined;
  const isUnwritten = failing.some((test) => {
    const result = results.get(test.name);
    return result?.kind === "finished" && result.errors.some((error) => error.name === "TodoError");
  });
  if (isUnwritten) return undefined;
  const pattern = failing
    .map((test) => test.id)
    .toSorted()
    .join(" ");
  const matches = exercise.mutants.filter(({ id }) => killMatrix[id]?.toSorted().join(" ") === pattern);
  const [match] = matches;
  if (match === undefined || matches.length > 1) return undefined;
  return { mutant: match.id, why: match.why, question: match.question };
}

function consoleOf(events: readonly RunEvent[]): readonly string[] {
  const lines = events.flatMap((event) => (event.kind === "console" ? event.text.split("\n") : []));
  if (lines.length <= consoleLinesMax) return lines;
  const kept = lines.slice(0, consoleLinesMax - 1);
  return [...kept, `… ${lines.length - kept.length} more lines were left out`];
}

function firstLine(text: string): string {
  return text.split("\n")[0]!;
}

/** Points may be fractions; their sum is shown, so it is kept free of the noise of binary fractions. */
function sum(values: readonly number[]): number {
  return Number(values.reduce((total, value) => total + value, 0).toFixed(6));
}

function round(ms: number): number {
  return Number(ms.toFixed(1));
}
