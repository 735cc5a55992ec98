/**
 * Holds every exercise to its word: the reference passes the suite, each stub fails it, and each mutant is killed by a
 * test that exists to kill it, with a check that failed and not with a time-out.
 *
 * What was measured on the way is the kill matrix: which tests each mutant fails. It is committed beside the exercise,
 * so that the page and the shell can tell a learner which misconception a pattern of failures looks like.
 */
import { scoreRun } from "#exercises/grader/score.ts";
import type { Grade } from "#exercises/grader/grade.ts";
import type { Exercise, ExerciseBundle, KillMatrix } from "#exercises/lib/exercise.ts";
import { seedDefault } from "#exercises/lib/seed.ts";
import { bundleOf, pathsOf } from "./bundle.ts";
import { applyEdits } from "./edits.ts";
import { sourceProblems } from "./exercise-file.ts";
import { depths } from "./generate.ts";
import { sourceTree } from "./source-tree.ts";
import { generateStubs } from "./stubs.ts";
import { typeErrors } from "./type-check.ts";
import { runVariants, type Variant, type VariantRun } from "./variants.ts";

/** What `verify` found out about one exercise. */
export interface Verification {
  readonly exercise: string;
  /** One line each; empty when the exercise keeps its word. */
  readonly problems: readonly string[];
  /** How many tests each version failed. */
  readonly referenceTests: number;
  readonly stubFailures: Readonly<Record<string, number>>;
  readonly mutants: readonly MutantVerdict[];
  readonly matrix: KillMatrix;
}

export interface MutantVerdict {
  readonly id: string;
  readonly why: string;
  readonly isDead: boolean;
  /** Tests that failed by a check of their own, in the order of the suite. */
  readonly failed: readonly string[];
  /** Those among them that were written for this mutant. */
  readonly killedBy: readonly string[];
  /** The first line of what the first of them says. */
  readonly message: string;
  /** Tests that ran out of time or did not run to their end: on a busy machine those may be others each time. */
  readonly undecided: readonly string[];
}

/** Verifies `exercises`, all their versions together. */
export async function verifyExercises(
  exercises: readonly Exercise[],
  options: { readonly root?: string; readonly signal?: AbortSignal } = {},
): Promise<readonly Verification[]> {
  const tree = sourceTree(options.root);
  const prepared = exercises.map((exercise) => prepareExercise(exercise, tree.read));
  const variants = prepared.flatMap((each) => (each.kind === "ready" ? each.variants : []));
  const runs = await runVariants(variants, options.signal === undefined ? {} : { signal: options.signal });
  const errors = await typeErrors(prepared.flatMap((each) => (each.kind === "ready" ? [each.bundle] : [])));
  let next = 0;
  return prepared.map((each) => {
    if (each.kind === "invalid") return emptyVerification(each.exercise, each.problems);
    const own = runs.slice(next, (next += each.variants.length));
    return judge(each.bundle, own, errors.get(each.bundle.exercise.id) ?? []);
  });
}

/** The text of `kill-matrix.json`: a line for each mutant, so that a diff shows which one changed. */
export function killMatrixText(matrix: KillMatrix): string {
  const lines = Object.entries(matrix).map(
    ([id, tests]) => `  ${JSON.stringify(id)}: ${JSON.stringify(tests)}`,
  );
  return `{\n${lines.join(",\n")}\n}\n`;
}

/**
 * Whether a committed kill matrix still says what was measured.
 *
 * Which tests run out of time depends on how busy the machine is; only what a check decided is compared.
 */
export function isKillMatrixFresh(text: string | undefined, { matrix, mutants }: Verification): boolean {
  const recorded = parseKillMatrix(text);
  if (recorded === undefined || !isSame(Object.keys(recorded), Object.keys(matrix))) return false;
  return mutants.every(({ id, undecided }) => {
    const decided = (tests: readonly string[]): readonly string[] =>
      tests.filter((test) => !undecided.includes(test));
    return isSame(decided(recorded[id]!), decided(matrix[id]!));
  });
}

function parseKillMatrix(text: string | undefined): KillMatrix | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    const isObject = typeof value === "object" && value !== null && Object.values(value).every(Array.isArray);
    return isObject ? (value as KillMatrix) : undefined;
  } catch {
    return undefined;
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}

/** Where the kill matrix of an exercise lies. */
export function killMatrixPath(exercise: Exercise): string {
  return pathsOf(exercise).killMatrix;
}

type Prepared =
  | { readonly kind: "ready"; readonly bundle: ExerciseBundle; readonly variants: readonly Variant[] }
  | { readonly kind: "invalid"; readonly exercise: string; readonly problems: readonly string[] };

/** The versions of one exercise, in the order in which `judge` takes them: reference, stubs, mutants. */
function prepareExercise(exercise: Exercise, read: (path: string) => string | undefined): Prepared {
  const result = bundleOf(exercise, { read });
  if (result.kind === "invalid") return { kind: "invalid", exercise: exercise.id, problems: result.problems };
  const source = read(exercise.source)!;
  const problems = sourceProblems(exercise, source);
  if (problems.length > 0) return { kind: "invalid", exercise: exercise.id, problems };
  const { bundle } = result;
  const mutants = exercise.mutants.map((mutant) => {
    const edited = applyEdits(source, mutant.edits);
    return solutionOf(exercise, edited.kind === "edited" ? edited.text : source);
  });
  const texts = [bundle.solution, ...depths.map((depth) => bundle.stubs[depth]), ...mutants];
  return { kind: "ready", bundle, variants: texts.map((text) => ({ bundle, text })) };
}

/** A version of the reference in the form of a solution, with its imports rewritten. */
export function solutionOf(exercise: Exercise, source: string): string {
  // The blanks of the guided stub need not fit a version that is not the reference.
  const holes = exercise.holes.map((hole) => ({ ...hole, guided: [] }));
  const result = generateStubs({ ...exercise, holes }, source);
  if (result.kind === "invalid") throw new Error(result.problems.join("\n"));
  return result.solution;
}

/** A run of a variant as a grade; that is what a learner with this version would be told. */
export function gradeOf(bundle: ExerciseBundle, { events, end }: VariantRun): Grade {
  const killMatrix: KillMatrix = {};
  const times = { startedAt: new Date(0).toISOString(), durationMs: 0 };
  return scoreRun({
    bundle: { ...bundle, killMatrix },
    seed: seedDefault,
    events,
    end,
    backend: "local",
    ...times,
  });
}

function judge(bundle: ExerciseBundle, runs: readonly VariantRun[], types: readonly string[]): Verification {
  const { exercise } = bundle;
  const [reference, ...rest] = runs;
  const stubs = depths.map((depth, index) => ({ depth, run: rest[index]! }));
  const problems = [
    ...types,
    ...referenceProblems(bundle, reference!),
    ...stubs.flatMap(({ depth, run }) => stubProblems(bundle, depth, run)),
  ];
  const mutants = exercise.mutants.map((mutant, index): MutantVerdict => {
    const run = rest[depths.length + index]!;
    const failed = failuresByCheck(bundle, run);
    const killedBy = mutant.killedBy.filter((id) => failed.includes(id));
    if (killedBy.length === 0) problems.push(survival(mutant.id, mutant.killedBy, bundle, run, failed));
    const { tests } = gradeOf(bundle, run);
    const first = tests.find((test) => test.id === (killedBy[0] ?? failed[0]));
    const message = first?.failure?.message.split("\n")[0] ?? "";
    const undecided = tests.flatMap(({ id, status }) =>
      status === "timeout" || status === "unknown" ? [id] : [],
    );
    return {
      id: mutant.id,
      why: mutant.why,
      isDead: killedBy.length > 0,
      failed,
      killedBy,
      message,
      undecided,
    };
  });
  // A test that ran out of time is not recorded: on a faster machine it may pass.
  const failing = (run: VariantRun): readonly string[] =>
    gradeOf(bundle, run)
      .tests.filter((test) => test.status === "fail")
      .map((test) => test.id);
  const matrix = exercise.mutants.map(
    (mutant, index) => [mutant.id, failing(rest[depths.length + index]!)] as const,
  );
  return {
    exercise: exercise.id,
    problems: problems.map((problem) => `${exercise.id}: ${problem}`),
    referenceTests: exercise.tests.length,
    stubFailures: Object.fromEntries(stubs.map(({ depth, run }) => [depth, failing(run).length])),
    mutants,
    matrix: Object.fromEntries(matrix),
  };
}

function emptyVerification(exercise: string, problems: readonly string[]): Verification {
  return { exercise, problems, referenceTests: 0, stubFailures: {}, mutants: [], matrix: {} };
}

function referenceProblems(bundle: ExerciseBundle, run: VariantRun): readonly string[] {
  const grade = gradeOf(bundle, run);
  const planned = bundle.exercise.tests.map((test) => test.name);
  const collected = run.events.find((event) => event.kind === "collected")?.names ?? [];
  if (run.end.kind !== "completed") return [`the reference does not run: ${grade.reason ?? run.end.kind}`];
  return [
    ...planned
      .filter((name) => !collected.includes(name))
      .map((name) => `tests: the suite has no test “${name}”`),
    ...collected
      .filter((name) => !planned.includes(name))
      .map((name) => `tests: “${name}” of the suite is not listed`),
    ...(isInOrder(planned, collected) ? [] : ["tests: they are listed in another order than in the suite"]),
    ...grade.tests.flatMap((test) => {
      return test.status === "pass"
        ? []
        : [`the reference fails ${test.id}: ${test.failure?.message ?? test.status}`];
    }),
    ...grade.diagnostics.map(({ file, line, message }) => `the reference, ${file}:${line}: ${message}`),
  ];
}

function isInOrder(planned: readonly string[], collected: readonly string[]): boolean {
  const common = collected.filter((name) => planned.includes(name));
  return planned.filter((name) => collected.includes(name)).every((name, index) => name === common[index]);
}

function stubProblems(bundle: ExerciseBundle, depth: string, run: VariantRun): readonly string[] {
  const grade = gradeOf(bundle, run);
  if (run.end.kind !== "completed")
    return [`the ${depth} stub does not run: ${grade.reason ?? run.end.kind}`];
  return grade.points.earned === grade.points.possible ? [`the ${depth} stub passes the suite`] : [];
}

/** Ids of the tests that failed because a check of the suite said no, in the order of the suite. */
export function failuresByCheck(bundle: ExerciseBundle, run: VariantRun): readonly string[] {
  const names = run.events.flatMap((event) => {
    if (event.kind !== "finished" || event.state !== "fail") return [];
    const byCheck = event.errors.some(({ name }) => name === "Explanation" || name === "AssertionError");
    return byCheck ? [event.name] : [];
  });
  return bundle.exercise.tests.filter((test) => names.includes(test.name)).map((test) => test.id);
}

function survival(
  id: string,
  killedBy: readonly string[],
  bundle: ExerciseBundle,
  run: VariantRun,
  failed: readonly string[],
): string {
  const grade = gradeOf(bundle, run);
  if (run.end.kind !== "completed") return `mutant ${id} does not run: ${grade.reason ?? run.end.kind}`;
  const others = failed.length > 0 ? `, it fails ${failed.join(", ")}` : "";
  const crashes = grade.tests.filter((test) => test.status !== "pass" && !failed.includes(test.id));
  const how = crashes.map(
    (test) => `${test.id} (${test.status}: ${test.failure?.message.split("\n")[0] ?? "no result"})`,
  );
  const rest = how.length > 0 ? `; not by a check of their own: ${how.join(", ")}` : "";
  return `mutant ${id} survives: ${killedBy.join(", ")} should kill it by a check${others}${rest}`;
}
