/**
 * `oz start`: what to open, and what to do first.
 */
import { defineCommand, done, positional } from "#reference/node/cli/command.ts";

export const command = defineCommand({
  name: "start",
  summary: "Say which file to open and how to begin; the next unsolved exercise when none is named.",
  examples: ["oz start", "oz start 01-protocol/02-frame"],
  hasJson: true,
  positionals: {
    exercise: positional.optional("EXERCISE", "The exercise, by id or any unambiguous part of it."),
  },
  options: {},
  async run({ positionals, json, print, printJson, colors }) {
    const { chooseExercise, learnersFile, loadExercises, readProgress } = await import("../course.ts");
    const { writeStub } = await import("../generate.ts");
    const loaded =
      positionals.exercise === undefined ? loadExercises() : chooseExercise(positionals.exercise);
    if (loaded.kind === "end") return loaded.result;
    const progress = readProgress();
    const candidates = "id" in loaded.value ? [loaded.value] : loaded.value;
    const exercise = candidates.find(({ id }) => candidates.length === 1 || !progress[id]?.isSolved);
    if (exercise === undefined) {
      if (json) printJson({ exercise: null });
      else
        print(
          "Every exercise is solved. npx oz serve --mine --data ./data runs the broker that you have built.",
        );
      return done;
    }
    const { path, text } = learnersFile(exercise);
    if (text === undefined) writeStub(exercise);
    if (json) {
      printJson({ exercise: exercise.id, title: exercise.title, file: path, rules: exercise.rules });
      return done;
    }
    print(`${colors.bold(`${exercise.number} ${exercise.title}`)} ${colors.dim(`· ${exercise.id}`)}`);
    print(`\n${exercise.summary}\n`);
    for (const { id, must } of exercise.rules) print(`  ${colors.cyan(id.padEnd(4))} ${must}`);
    print(`\nBefore you write: ${exercise.prediction.prompt}`);
    exercise.prediction.choices.forEach((choice, index) => print(`  ${"abcdefgh"[index]}) ${choice}`));
    print(`\n1. Open ${colors.bold(path)} and look for todo(…).`);
    print(
      `2. Run ${colors.bold(`npx oz test ${exercise.id} --watch`)} beside it; the first failure is the one to work on.`,
    );
    print(
      `3. Stuck? npx oz hint ${exercise.id}. Too much or too little given? npx oz reset ${exercise.id} --depth blank|skeleton|guided`,
    );
    return done;
  },
});
