/**
 * `oz reset`: starts an exercise again from a stub, and keeps what was there.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineCommand, done, misused, option, positional } from "#reference/node/cli/command.ts";

/** What was taken away from an exercise, newest last: paths below `.oz/backups`. */
type Backups = Readonly<Record<string, readonly string[]>>;

export const command = defineCommand({
  name: "reset",
  summary: "Start an exercise again; what you wrote is kept, and --undo brings it back.",
  details:
    "The depth says how much of the solution the new file leaves standing; all depths are graded alike.",
  examples: ["oz reset frame", "oz reset frame --depth blank", "oz reset frame --undo"],
  hasJson: true,
  positionals: { exercise: positional.one("EXERCISE", "The exercise, by id or any unambiguous part of it.") },
  options: {
    depth: option.choice(
      ["guided", "skeleton", "blank"],
      "How much help the new file gives; the exercise's own when left out.",
    ),
    undo: option.flag("Bring back what the last reset took away."),
  },
  async run({ positionals, options, json, print, printJson }) {
    const { chooseExercise, learnersFile, loadBundle, readState, writeState } = await import("../course.ts");
    const { projectRoot, sourceTree } = await import("../source-tree.ts");
    const { isUntouchedStub } = await import("../stubs.ts");
    const chosen = chooseExercise(positionals.exercise);
    if (chosen.kind === "end") return chosen.result;
    const exercise = chosen.value;
    const { path, text } = learnersFile(exercise);
    const backups = readState<Backups>("backups.json", {});
    const kept = backups[exercise.id] ?? [];

    let next: string;
    let remaining = kept;
    if (options.undo) {
      const last = kept.at(-1);
      const old = last === undefined ? undefined : sourceTree().read(`.oz/backups/${last}`);
      if (old === undefined) return misused(`nothing to bring back: ${exercise.id} has not been reset`);
      next = old;
      remaining = kept.slice(0, -1);
    } else {
      const bundle = loadBundle(exercise);
      if (bundle.kind === "end") return bundle.result;
      next = bundle.value.stubs[options.depth ?? exercise.depth];
    }

    // An untouched stub is nobody's work, and can be made again at any time.
    let backup: string | undefined;
    if (text !== undefined && text !== next && !isUntouchedStub(text)) {
      backup = `${exercise.id}/${new Date().toISOString().replaceAll(":", "-")}.ts`;
      const target = join(projectRoot, ".oz", "backups", backup);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(projectRoot, path), target);
      remaining = [...remaining, backup];
    }
    writeFileSync(join(projectRoot, path), next);
    writeState("backups.json", { ...backups, [exercise.id]: remaining });
    if (json) {
      printJson({
        exercise: exercise.id,
        file: path,
        backup: backup === undefined ? null : `.oz/backups/${backup}`,
      });
      return done;
    }
    print(options.undo ? `${path} is back` : `${path} starts again`);
    if (backup !== undefined) {
      print(`what was there is in .oz/backups/${backup}; npx oz reset ${exercise.id} --undo brings it back`);
    }
    return done;
  },
});
