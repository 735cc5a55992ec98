/**
 * The types of an exercise: what `exercise.json` says, and what a backend needs to run it.
 *
 * `exercise.json` is checked against `exercises/exercise.schema.json` before anything trusts it, so code past that
 * point may rely on these types. Everything that a learner, an instructor or a tool is told about an exercise (its
 * rules, its points, the mistakes it looks for) stands in that one file.
 */

/** How much of the solution a stub leaves standing. All depths are graded by the same suite. */
export type Depth = "guided" | "skeleton" | "blank";

/** One MUST of the exercise's specification; tests and failures refer to it by `id`. */
export interface Rule {
  /** `R1`, `R2`, … in the order in which a learner should meet them. */
  readonly id: string;
  /** One sentence with MUST or MUST NOT. */
  readonly must: string;
}

/** One region of the reference file whose bodies are taken out. */
export interface Hole {
  /** The name after `// #region` in the reference file. */
  readonly region: string;
  /** A question, a pointer to the rule, a worked neighbour case. Never the code. */
  readonly hints: readonly [string, string, string];
  /** The blanks of the guided stub: each `find` is one place in the region, `replace` a call of `todo`. */
  readonly guided: readonly Edit[];
}

/** Text to find, exactly once, and what to put there. */
export interface Edit {
  readonly find: string;
  readonly replace: string;
}

/** How a test judges: hand-made input, seeded simulation, exhaustive small scope, or a recorded history. */
export type Level = "L1" | "L2" | "L3" | "L4";

/** What a test protects; about 60 % of the points are safety, 20 % liveness, 10 % budgets, 10 % own tests. */
export type TestKind = "safety" | "liveness" | "budget" | "own-tests";

/** One test of the suite. */
export interface TestPlan {
  /** Stable, kebab-case, unique in the exercise: reports, deep links and kill matrices refer to it. */
  readonly id: string;
  /** The test's full title in the suite, suites joined by ` > `. */
  readonly name: string;
  /** The id of the rule that it proves. */
  readonly rule: string;
  /** A tag from `objectives`. */
  readonly objective: string;
  readonly level: Level;
  readonly kind: TestKind;
  readonly points: number;
}

/** A plausible wrong solution, made from the reference by one or more edits. */
export interface Mutant {
  /** `1.2-01`, as in the course's catalogue. */
  readonly id: string;
  /** The misconception, as a sentence to the learner. */
  readonly why: string;
  /** A question that leads out of it. */
  readonly question: string;
  readonly edits: readonly Edit[];
  /** Ids of the tests that exist to kill it: at least one of them must fail, by its assertion. */
  readonly killedBy: readonly string[];
}

/** An ordering puzzle: lines in their right order; the page and the shell shuffle them. */
export interface Puzzle {
  readonly prompt: string;
  readonly lines: readonly string[];
  readonly explanation: string;
}

/** A question to answer before the code is written or a simulation is run. */
export interface Prediction {
  readonly prompt: string;
  readonly choices: readonly string[];
  /** Index into `choices`. */
  readonly answer: number;
  readonly explanation: string;
}

/** A question after the exercise; the answer is folded until asked for. */
export interface Question {
  readonly kind: "tracing" | "reasoning" | "design";
  readonly ask: string;
  readonly answer: string;
}

/** The contents of `exercise.json`. */
export interface Exercise {
  /** Chapter and exercise folder: `01-protocol/02-frame`. */
  readonly id: string;
  /** The number in the course's catalogue: `E1.2`. */
  readonly number: string;
  readonly title: string;
  readonly summary: string;
  /** The reference file, from the project's root: `reference/protocol/frame.ts`. */
  readonly source: string;
  /** The depth of the stub that is committed as the file to edit. */
  readonly depth: Depth;
  /** The longest that one test may take before it counts as a time-out. */
  readonly testTimeLimitMs: number;
  /** The resident memory that a run may reach before it is stopped. */
  readonly memoryLimitMiB: number;
  /** Objective tag to the sentence that finishes "I can …". */
  readonly objectives: Readonly<Record<string, string>>;
  readonly rules: readonly Rule[];
  readonly holes: readonly Hole[];
  readonly tests: readonly TestPlan[];
  readonly mutants: readonly Mutant[];
  readonly puzzle?: Puzzle;
  readonly prediction: Prediction;
  readonly questions: readonly Question[];
}

/** Which tests each mutant fails, as `verify` measured it: mutant id to test ids, in the order of the suite. */
export type KillMatrix = Readonly<Record<string, readonly string[]>>;

/**
 * Everything that a backend needs to run one exercise without a file system: the texts of the suite and of every
 * project file that it imports, by path from the project's root with `/` between names.
 */
export interface ExerciseBundle {
  readonly exercise: Exercise;
  readonly files: Readonly<Record<string, string>>;
  /** Path of the file that the learner edits; a submission replaces this file and no other. */
  readonly editable: string;
  /** Path of the suite. */
  readonly suite: string;
  readonly stubs: Readonly<Record<Depth, string>>;
  /** The reference, written as the editable file: what `oz solution` compares with. */
  readonly solution: string;
  readonly killMatrix: KillMatrix;
}
