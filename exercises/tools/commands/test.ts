/**
 * `oz test`: runs the suite of one or more exercises on the learner's files and shows the verdict.
 */
import type { Grade } from "#exercises/grader/grade.ts";
import type { Exercise } from "#exercises/lib/exercise.ts";
import {
  defineCommand,
  done,
  failed,
  misused,
  option,
  positional,
  type CommandContext,
  type CommandResult,
} from "#reference/node/cli/command.ts";

const options = {
  watch: option.flag("Run again whenever the file is saved, until Ctrl-C."),
  seed: option.integer("N", "The seed of every random choice in the suite.", {
    default: 1,
    max: 2 ** 32 - 1,
  }),
  test: option.text("NAME", "Run only the tests with this id, or with this in their title.", { short: "t" }),
} as const;
const positionals = {
  exercises: positional.many(
    "EXERCISE",
    "Exercises, by id or any unambiguous part of it; those begun when left out.",
  ),
} as const;

export const command = defineCommand({
  name: "test",
  summary: "Test your solutions.",
  details:
    "Exit code 0 when everything passes, 1 when something fails. With --json it prints the grade, or a list of grades " +
    "for several exercises; with --watch also one grade a line.",
  examples: [
    "oz test 01-protocol/02-frame",
    "oz test frame --watch",
    "oz test frame -t crc-known-answer --seed 7",
  ],
  hasJson: true,
  positionals,
  options,
  run,
});

type Context = CommandContext<typeof options, typeof positionals>;

async function run(context: Context): Promise<CommandResult> {
  const { chooseExercises, isBegun, loadExercises } = await import("../course.ts");
  const { positionals: given, options: flags } = context;
  const chosen = given.exercises.length > 0 ? chooseExercises(given.exercises) : loadExercises();
  if (chosen.kind === "end") return chosen.result;
  const exercises = given.exercises.length > 0 ? chosen.value : chosen.value.filter(isBegun);
  if (exercises.length === 0) return misused("no exercise has been begun; npx oz start says where to begin");
  if (flags.watch) return watchAll(context, exercises);
  const grades: Grade[] = [];
  for (const exercise of exercises) {
    const attempt = await testOne(context, exercise);
    if (attempt.kind === "end") return attempt.result;
    grades.push(attempt.grade);
  }
  if (context.json) context.printJson(grades.length === 1 ? grades[0] : grades);
  else await printSummary(context, grades);
  return grades.every((grade) => isPassed(grade, flags.test !== undefined)) ? done : failed();
}

type Tested =
  | { readonly kind: "grade"; readonly grade: Grade }
  | { readonly kind: "end"; readonly result: CommandResult };

/** Runs one exercise, shows its grade unless it is to be JSON, and keeps it when the run was a whole one. */
async function testOne(context: Context, exercise: Exercise): Promise<Tested> {
  const [{ keepGrade, learnersFile, loadBundle }, { gradeSubmission }, { renderGrade }] = await Promise.all([
    import("../course.ts"),
    import("../grade-submission.ts"),
    import("#exercises/grader/render-text.ts"),
  ]);
  const { seed, test } = context.options;
  const bundle = loadBundle(exercise);
  if (bundle.kind === "end") return bundle;
  const { path, text } = learnersFile(exercise);
  if (text === undefined) {
    return { kind: "end", result: misused(`${path} is missing; npx oz reset ${exercise.id} brings it back`) };
  }
  const only = test === undefined ? undefined : selectTests(exercise, test);
  if (only?.length === 0) {
    const ids = exercise.tests.map(({ id }) => id).join(", ");
    return { kind: "end", result: misused(`${exercise.id} has no test like ${test}; its tests: ${ids}`) };
  }
  const grade = await gradeSubmission({
    bundle: bundle.value,
    submission: text,
    seed,
    signal: context.signal,
    ...(only === undefined ? {} : { only }),
  });
  if (context.signal.aborted) return { kind: "end", result: failed() };
  if (only === undefined) keepGrade(grade);
  if (!context.json) context.print(`${renderGrade(onlySelected(grade, only), context.colors)}\n`);
  return { kind: "grade", grade };
}

/** Full titles of the tests whose id is `name`, or whose title has it as a part. */
function selectTests(exercise: Exercise, name: string): readonly string[] {
  const byId = exercise.tests.filter((test) => test.id === name);
  const wanted = name.toLowerCase();
  const chosen =
    byId.length > 0 ? byId : exercise.tests.filter((test) => test.name.toLowerCase().includes(wanted));
  return chosen.map((test) => test.name);
}

/** The grade as it is shown when only some tests were asked for. */
function onlySelected(grade: Grade, only: readonly string[] | undefined): Grade {
  if (only === undefined) return grade;
  const tests = grade.tests.filter((test) => only.includes(test.name));
  const earned = tests.reduce((total, test) => total + test.points.earned, 0);
  const possible = tests.reduce((total, test) => total + test.points.possible, 0);
  return { ...grade, tests, points: { earned, possible } };
}

function isPassed(grade: Grade, isPartial: boolean): boolean {
  if (grade.outcome !== "graded") return false;
  return grade.tests.every((test) => test.status === "pass" || (isPartial && test.status === "unknown"));
}

async function printSummary(context: Context, grades: readonly Grade[]): Promise<void> {
  if (grades.length < 2) return;
  const { renderGradeLine } = await import("#exercises/grader/render-text.ts");
  for (const grade of grades) context.print(renderGradeLine(grade, context.colors));
}

/** Runs everything once, and then each exercise again when its file is saved. */
async function watchAll(context: Context, exercises: readonly Exercise[]): Promise<CommandResult> {
  const { watchFiles } = await import("../watch.ts");
  const { pathsOf } = await import("../bundle.ts");
  const byPath = new Map(exercises.map((exercise) => [pathsOf(exercise).editable, exercise]));
  const runOne = async (exercise: Exercise): Promise<CommandResult | undefined> => {
    if (context.isInteractive && !context.json) context.io.stdout.write("\u001b[2J\u001b[3J\u001b[H");
    const tested = await testOne(context, exercise);
    if (tested.kind === "end") return tested.result;
    if (context.json) context.printJson(tested.grade);
    else context.note(context.noteColors.dim("waiting for a save; Ctrl-C ends"));
    return undefined;
  };
  const changes = watchFiles([...byPath.keys()], context.signal);
  for (const exercise of exercises) {
    const result = await runOne(exercise);
    if (result !== undefined) return context.signal.aborted ? done : result;
  }
  for await (const path of changes) {
    const result = await runOne(byPath.get(path)!);
    if (result !== undefined) return context.signal.aborted ? done : result;
  }
  return done;
}
