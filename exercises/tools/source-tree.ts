/**
 * The project on disk, for the tools: reads its files, finds its exercises, and understands how people name them.
 */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { nearest } from "#reference/node/cli/nearest.ts";
import type { SourceTree } from "./bundle.ts";
import { parseExercise } from "./exercise-file.ts";

/** The folder of this project. */
export const projectRoot: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The tree of the files below `root`. */
export function sourceTree(root: string = projectRoot): SourceTree {
  return {
    read(path) {
      try {
        return readFileSync(join(root, path), "utf8");
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
        throw error;
      }
    },
  };
}

/** The ids of all folders that hold an `exercise.json`, in the order of the course. */
export function listExerciseIds(root: string = projectRoot): readonly string[] {
  const chapters = namesIn(join(root, "exercises")).filter((name) => /^\d\d-/.test(name));
  return chapters.flatMap((chapter) =>
    namesIn(join(root, "exercises", chapter))
      .filter((name) => namesIn(join(root, "exercises", chapter, name)).includes("exercise.json"))
      .map((name) => `${chapter}/${name}`),
  );
}

/** All exercises in the order of the course, and what is wrong with those that cannot be read. */
export function listExercises(root: string = projectRoot): {
  readonly exercises: readonly Exercise[];
  readonly problems: readonly string[];
} {
  const tree = sourceTree(root);
  const exercises: Exercise[] = [];
  const problems: string[] = [];
  for (const id of listExerciseIds(root)) {
    const path = `exercises/${id}/exercise.json`;
    const parsed = parseExercise(path, tree.read(path) ?? "");
    if (parsed.kind === "exercise") exercises.push(parsed.exercise);
    else problems.push(...parsed.problems);
  }
  return { exercises, problems };
}

export type NameResult =
  { readonly kind: "found"; readonly id: string } | { readonly kind: "not-found"; readonly problem: string };

/**
 * The exercise that `name` means: its id, its folder, its folder without the number, or any part that only one id has.
 * `frame` is `01-protocol/02-frame`, although `03-frame-stream` has it as a part: a whole name wins.
 */
export function findExercise(name: string, ids: readonly string[]): NameResult {
  const wanted = name.replace(/^(\.\/)?exercises\//, "").replace(/\/+$/, "");
  const folder = (id: string): string => id.split("/")[1]!;
  const plain = (id: string): string => folder(id).replace(/^\d+-/, "");
  const rounds = [
    ids.filter((id) => id === wanted),
    ids.filter((id) => folder(id) === wanted || plain(id) === wanted),
    ids.filter((id) => id.includes(wanted)),
  ];
  const matches = rounds.find((round) => round.length > 0) ?? [];
  if (matches.length === 1) return { kind: "found", id: matches[0]! };
  if (matches.length > 1)
    return { kind: "not-found", problem: `${name} may be ${matches.join(" or ")}: say which` };
  const near = nearest(
    wanted,
    ids.flatMap((id) => [id, folder(id), plain(id)]),
  );
  const hint =
    near.length > 0 ? `did you mean ${near.join(" or ")}?` : `there are ${ids.join(", ") || "none"}`;
  return { kind: "not-found", problem: `there is no exercise ${name}; ${hint}` };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}
