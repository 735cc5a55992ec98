/**
 * `oz status`: how far the learner is.
 */
import type { Exercise } from "#exercises/lib/exercise.ts";
import { defineCommand, done } from "#reference/node/cli/command.ts";
import type { Progress } from "../course.ts";

export const command = defineCommand({
  name: "status",
  summary: "Show which exercises are solved, begun and left.",
  examples: ["oz status", "oz status --json"],
  hasJson: true,
  options: {},
  async run({ json, print, printJson, colors }) {
    const { isBegun, loadExercises, readProgress } = await import("../course.ts");
    const loaded = loadExercises();
    if (loaded.kind === "end") return loaded.result;
    const progress = readProgress();
    const rows = loaded.value.map((exercise) => rowOf(exercise, progress[exercise.id], isBegun(exercise)));
    if (json) {
      printJson({ exercises: rows, solved: rows.filter((row) => row.state === "solved").length });
      return done;
    }
    const paint = { solved: colors.green, begun: colors.yellow, open: colors.dim } as const;
    const signs = { solved: "✓", begun: "…", open: "·" } as const;
    const width = Math.max(0, ...rows.map((row) => row.exercise.length));
    for (const row of rows) {
      const sign = paint[row.state](signs[row.state]);
      const points =
        row.testedAt === null ? `${row.possible} points to earn` : `${row.earned} of ${row.possible} points`;
      print(
        `${sign} ${row.number.padEnd(5)} ${row.exercise.padEnd(width)}  ${points.padEnd(22)}  ${colors.dim(row.title)}`,
      );
    }
    const solved = rows.filter((row) => row.state === "solved").length;
    print(`\n${solved} of ${rows.length} exercises solved`);
    const next = rows.find((row) => row.state !== "solved");
    if (next !== undefined) print(colors.dim(`next: npx oz start ${next.exercise}`));
    return done;
  },
});

interface Row {
  readonly exercise: string;
  readonly number: string;
  readonly title: string;
  readonly state: "solved" | "begun" | "open";
  readonly earned: number;
  readonly possible: number;
  /** When the last whole run was; null when there was none. */
  readonly testedAt: string | null;
}

function rowOf(exercise: Exercise, progress: Progress | undefined, isBegun: boolean): Row {
  const possible = exercise.tests.reduce((total, test) => total + test.points, 0);
  return {
    exercise: exercise.id,
    number: exercise.number,
    title: exercise.title,
    state: progress?.isSolved ? "solved" : isBegun ? "begun" : "open",
    earned: progress?.earned ?? 0,
    possible: Number(possible.toFixed(6)),
    testedAt: progress?.at ?? null,
  };
}
