/**
 * `oz hint`: one more hint each time, so that nobody reads more than they need.
 */
import type { Hole } from "#exercises/lib/exercise.ts";
import { defineCommand, done, misused, option, positional } from "#reference/node/cli/command.ts";

export const command = defineCommand({
  name: "hint",
  summary: "Give one more hint on an exercise.",
  details: "Without --region, the hints are on the first part of the exercise that is not written yet.",
  examples: ["oz hint frame", "oz hint frame --region decode-request"],
  hasJson: true,
  positionals: { exercise: positional.one("EXERCISE", "The exercise, by id or any unambiguous part of it.") },
  options: { region: option.text("NAME", "The part of the exercise that the hint is on.") },
  async run({ positionals, options, json, print, printJson, note, colors }) {
    const { chooseExercise, learnersFile, readState, writeState } = await import("../course.ts");
    const chosen = chooseExercise(positionals.exercise);
    if (chosen.kind === "end") return chosen.result;
    const exercise = chosen.value;
    const hole = chooseHole(exercise.holes, options.region, learnersFile(exercise).text ?? "");
    if (hole === undefined) {
      const regions = exercise.holes.map(({ region }) => region).join(", ");
      return misused(`${exercise.id} has no region ${options.region}; its regions: ${regions}`);
    }
    const given = readState<Record<string, number>>("hints.json", {});
    const key = `${exercise.id}#${hole.region}`;
    const count = Math.min((given[key] ?? 0) + 1, hole.hints.length);
    writeState("hints.json", { ...given, [key]: count });
    if (json) {
      printJson({
        exercise: exercise.id,
        region: hole.region,
        hints: hole.hints.slice(0, count),
        of: hole.hints.length,
      });
      return done;
    }
    print(`${colors.bold(exercise.title)} ${colors.dim(`· ${hole.region}`)}`);
    for (const [index, hint] of hole.hints.slice(0, count).entries()) {
      const text = `${index + 1}. ${hint.replaceAll("\n", "\n   ")}`;
      print(`\n${index + 1 < count ? colors.dim(text) : text}`);
    }
    const left = hole.hints.length - count;
    note(
      left > 0
        ? `\n${left} more on ${hole.region}: ask again`
        : `\nThat is all; npx oz solution ${exercise.id} shows the way there`,
    );
    return done;
  },
});

/** The hole that was asked for, or the first one that still bears its mark, or the first of all. */
function chooseHole(holes: readonly Hole[], region: string | undefined, text: string): Hole | undefined {
  if (region !== undefined) return holes.find((hole) => hole.region === region);
  return holes.find((hole) => text.includes(`todo(${JSON.stringify(hole.region)})`)) ?? holes[0];
}
