/**
 * `oz verify`: for whoever writes exercises. Holds them to their word, and tries their suites on planted bugs.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
  matrix: option.text("FILE", "Write the kill matrices of all exercises verified to this file, as JSON."),
  plant: option.text("FILE", "Plant the bugs of this JSON list of {exercise, find, replace, why} instead."),
  changed: option.flag("Leave out exercises that have been verified here as they are now."),
  write: option.flag("Write each exercise's kill-matrix.json instead of complaining when it is stale."),
} as const;
const positionals = { exercises: positional.many("EXERCISE", "Exercises; all when left out.") } as const;

export const command = defineCommand({
  name: "verify",
  summary: "Check exercises: the reference passes, stubs fail, every mutant dies by a test named for it.",
  examples: ["oz verify", "oz verify frame --write", "oz verify --plant bugs.json"],
  hasJson: true,
  positionals,
  options,
  run,
});

type Context = CommandContext<typeof options, typeof positionals>;

async function run(context: Context): Promise<CommandResult> {
  const { chooseExercises, loadExercises } = await import("../course.ts");
  const names = context.positionals.exercises;
  const chosen = names.length > 0 ? chooseExercises(names) : loadExercises();
  if (chosen.kind === "end") return chosen.result;
  if (context.options.plant !== undefined) return plant(context, context.options.plant, chosen.value);
  const { isKillMatrixFresh, killMatrixPath, killMatrixText, verifyExercises } = await import("../verify.ts");
  const { changedOnly, rememberVerified, toolchainFingerprint } = await import("../verified.ts");
  const { projectRoot, sourceTree } = await import("../source-tree.ts");
  const tree = sourceTree();
  const toolchain = toolchainFingerprint();
  const exercises = context.options.changed ? changedOnly(chosen.value, tree, toolchain) : chosen.value;
  const unchanged = chosen.value.length - exercises.length;
  if (unchanged > 0) context.note(`${unchanged} verified before and unchanged since`);
  const verifications = await verifyExercises(exercises, { signal: context.signal });
  if (context.signal.aborted) return failed();
  const problems: string[] = [];
  const sound: Exercise[] = [];
  for (const [index, verification] of verifications.entries()) {
    const exercise = exercises[index]!;
    const path = killMatrixPath(exercise);
    problems.push(...verification.problems);
    if (verification.problems.length === 0) sound.push(exercise);
    if (verification.mutants.length === 0 || isKillMatrixFresh(tree.read(path), verification)) continue;
    if (context.options.write) writeFileSync(join(projectRoot, path), killMatrixText(verification.matrix));
    else {
      problems.push(`${path}: stale; npx oz verify ${verification.exercise} --write brings it up to date`);
      if (sound.at(-1) === exercise) sound.pop();
    }
  }
  rememberVerified(sound, tree, toolchain);
  const file = context.options.matrix;
  if (file !== undefined) {
    const matrices = Object.fromEntries(verifications.map(({ exercise, matrix }) => [exercise, matrix]));
    const problem = tryWrite(file, `${JSON.stringify(matrices, null, 2)}\n`);
    if (problem !== undefined) return misused(problem);
  }
  if (context.json) context.printJson({ exercises: verifications, problems });
  else print(context, verifications);
  for (const problem of problems) context.note(context.noteColors.red(problem));
  return problems.length > 0 ? failed() : done;
}

function print(
  { print: line, colors }: Context,
  verifications: readonly import("../verify.ts").Verification[],
): void {
  for (const { exercise, mutants, referenceTests, stubFailures } of verifications) {
    const dead = mutants.filter((mutant) => mutant.isDead).length;
    line(colors.bold(exercise));
    line(
      `  reference: ${referenceTests} tests; stubs fail ${Object.entries(stubFailures)
        .map(([depth, count]) => `${count} (${depth})`)
        .join(", ")}`,
    );
    for (const mutant of mutants) {
      const sign = mutant.isDead ? colors.green("dead ") : colors.red("ALIVE");
      line(`  ${mutant.id.padEnd(8)} ${sign} ${mutant.why}`);
      if (mutant.isDead) line(colors.dim(`           by ${mutant.killedBy.join(", ")}: ${mutant.message}`));
    }
    line(`  ${dead} of ${mutants.length} mutants dead`);
  }
}

async function plant(context: Context, file: string, exercises: readonly Exercise[]): Promise<CommandResult> {
  const { parsePlants, plantAll } = await import("../plant.ts");
  let text: string;
  try {
    text = file === "-" ? readFileSync(0, "utf8") : readFileSync(file, "utf8");
  } catch (error) {
    return misused(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`);
  }
  const parsed = parsePlants(file, text);
  if (parsed.kind === "invalid") return misused(parsed.problem);
  const planted = await plantAll(file, parsed.plants, exercises, context.signal);
  if (context.signal.aborted) return failed();
  if (planted.kind === "invalid") return misused(planted.problem);
  const { verdicts } = planted;
  const survivors = verdicts.filter(({ verdict }) => verdict === "survived").length;
  if (context.json) context.printJson({ plants: verdicts, survivors });
  for (const { exercise, why, verdict, killedBy, message } of context.json ? [] : verdicts) {
    const color = verdict === "killed" ? context.colors.green : context.colors.red;
    context.print(`${color(verdict.padEnd(10))} ${exercise}: ${why}`);
    if (killedBy.length > 0) context.print(context.colors.dim(`           by ${killedBy.join(", ")}`));
    if (message !== "") context.print(context.colors.dim(`           ${message}`));
  }
  return survivors > 0 ? failed(`${survivors} of ${verdicts.length} planted bugs survived`) : done;
}

function tryWrite(file: string, text: string): string | undefined {
  try {
    writeFileSync(file, text);
    return undefined;
  } catch (error) {
    return `cannot write ${file}: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`;
  }
}
