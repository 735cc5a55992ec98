/**
 * `oz solution`: what separates the learner's file from the reference, as a diff. It writes nothing.
 */
import { defineCommand, done, positional } from "#reference/node/cli/command.ts";

export const command = defineCommand({
  name: "solution",
  summary: "Show how your file differs from the solution, as a diff; nothing is changed.",
  examples: ["oz solution frame", "oz solution frame | less -R"],
  hasJson: true,
  positionals: { exercise: positional.one("EXERCISE", "The exercise, by id or any unambiguous part of it.") },
  options: {},
  async run({ positionals, json, print, printJson, note, colors }) {
    const { chooseExercise, learnersFile, loadBundle } = await import("../course.ts");
    const { createTwoFilesPatch } = await import("diff");
    const chosen = chooseExercise(positionals.exercise);
    if (chosen.kind === "end") return chosen.result;
    const bundle = loadBundle(chosen.value);
    if (bundle.kind === "end") return bundle.result;
    const { path, text } = learnersFile(chosen.value);
    const own = withoutHeading(text ?? "");
    const solution = withoutHeading(bundle.value.solution);
    const diff =
      own === solution
        ? ""
        : createTwoFilesPatch(path, chosen.value.source, own, solution, "yours", "the solution");
    if (json) {
      printJson({ exercise: chosen.value.id, diff });
      return done;
    }
    if (diff === "") note("your file and the solution are the same");
    // The first line is a ruler that `diff` draws; the file names follow.
    for (const line of diff.split("\n").slice(1, -1)) print(paintLine(line, colors));
    return done;
  },
});

/** The comment lines that only generated files start with. */
function withoutHeading(text: string): string {
  return text.replace(
    /^\/\/ (?:Generated from|The solution, as)[^\n]*\n(?:\/\/ Write your solution here[^\n]*\n)?/,
    "",
  );
}

function paintLine(
  line: string,
  colors: { readonly [Name in "bold" | "cyan" | "green" | "red"]: (text: string) => string },
): string {
  if (line.startsWith("---") || line.startsWith("+++")) return colors.bold(line);
  if (line.startsWith("@@")) return colors.cyan(line);
  if (line.startsWith("+")) return colors.green(line);
  return line.startsWith("-") ? colors.red(line) : line;
}
