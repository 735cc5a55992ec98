/**
 * `grade.json`: the one result of a run. Whatever anyone is shown (the list in the page, the lines in the shell, a
 * report in some other format) is made from it and from nothing else.
 *
 * Two runs of the same submission with the same seed give equal documents in every backend once `run` and the
 * `durationMs` of the tests are left out: `withoutTimes` does that.
 */

/** The version of this format; it changes when a reader would have to change. */
export const gradeSchema = "offset-zero/grade/1";

/** A place in a file of the exercise; harness frames are left out. `file` is relative to the project's root. */
export interface StackFrame {
  readonly file: string;
  readonly line: number;
  /** The function's name, empty at the top level. */
  readonly method: string;
}

/** Why a test failed, in the terms of the exercise. */
export interface Failure {
  /** The id and sentence of the rule that broke. */
  readonly rule: string;
  readonly must: string;
  /** What went wrong, in one or a few plain lines. */
  readonly message: string;
  /** Present when the test compared two things; already rendered as text. */
  readonly expected?: string;
  readonly actual?: string;
  /** The decoded field tree and hex dump with a caret, or a slice of a timeline. Several lines, no colour. */
  readonly where?: string;
  /** The seed of the failing random case, when there was one. */
  readonly seed?: number;
  /** The smallest counterexample found, as text. */
  readonly counterexample?: string;
  /** A command that runs this test again in the same way. */
  readonly replay: string;
  readonly stack: readonly StackFrame[];
}

/** `unknown`: the test did not decide, because it was not run or its checker gave up. It is never a pass. */
export type TestStatus = "pass" | "fail" | "unknown" | "timeout";

export interface TestGrade {
  readonly id: string;
  readonly name: string;
  readonly objective: string;
  readonly level: "L1" | "L2" | "L3" | "L4";
  readonly status: TestStatus;
  readonly points: { readonly earned: number; readonly possible: number };
  readonly durationMs: number;
  readonly failure?: Failure;
}

/** A known mistake whose pattern of failing tests is the learner's pattern. */
export interface Misconception {
  readonly mutant: string;
  readonly why: string;
  readonly question: string;
}

/**
 * A reason why a submission cannot be graded: it does not compile, or lacks an export. In a graded run, an error that
 * came outside any test: a rejected promise that nobody awaited, a throw in a timer.
 */
export interface Diagnostic {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface Grade {
  readonly schema: typeof gradeSchema;
  readonly exercise: string;
  readonly title: string;
  /**
   * `ungradable`: the submission cannot be run. `internal-error`: the grader itself failed; the learner is
   * not to blame.
   */
  readonly outcome: "graded" | "ungradable" | "internal-error";
  /** One line: why there is nothing to grade, or why a graded run was stopped before its end. */
  readonly reason?: string;
  readonly diagnostics: readonly Diagnostic[];
  readonly seed: number;
  readonly points: { readonly earned: number; readonly possible: number };
  readonly tests: readonly TestGrade[];
  /** Present when exactly one mutant fails exactly the tests that this submission fails. */
  readonly misconception?: Misconception;
  /** What the submission printed; at most `consoleLinesMax` lines, the first ones. */
  readonly console: readonly string[];
  readonly run: {
    readonly backend: "local" | "embedded" | "webcontainer";
    readonly startedAt: string;
    readonly durationMs: number;
  };
}

/** The most console lines that a grade keeps; the last one then says how many were dropped. */
export const consoleLinesMax = 200;

/** The grade without what differs from run to run and from backend to backend. */
export function withoutTimes(grade: Grade): Omit<Grade, "run"> {
  const { run: _run, ...rest } = grade;
  return { ...rest, tests: rest.tests.map((test) => ({ ...test, durationMs: 0 })) };
}
