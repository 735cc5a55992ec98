/**
 * Puts an exercise into one value: everything that a backend needs to run it without a file system.
 *
 * The same bundle goes to the local backend, into the page (as JSON, made while the site is built) and into a
 * container. It holds the suite and all that the suite, the solution and what they import can reach, so that a
 * submission may import what the solution may.
 */
import ts from "typescript";
import type { Exercise, ExerciseBundle, KillMatrix } from "#exercises/lib/exercise.ts";
import { parseExercise } from "./exercise-file.ts";
import { generateStubs, resolveRelative } from "./stubs.ts";

/** Where the texts come from: a folder on disk, or a map of raw modules in a site's build. */
export interface SourceTree {
  /** The text of a file by its path from the project's root, undefined when there is none. */
  readonly read: (path: string) => string | undefined;
}

/** The paths that belong to an exercise, all from the project's root. */
export interface ExercisePaths {
  readonly folder: string;
  readonly exerciseFile: string;
  readonly editable: string;
  readonly suite: string;
  readonly killMatrix: string;
}

export type BundleResult =
  | { readonly kind: "bundle"; readonly bundle: ExerciseBundle }
  /** One line each; they name the file. */
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** The packages that a suite may import besides the project's files. */
const packages: ReadonlySet<string> = new Set(["vitest", "fast-check"]);

export function pathsOf(exercise: Pick<Exercise, "id" | "source">): ExercisePaths {
  const folder = `exercises/${exercise.id}`;
  const name = exercise.source.split("/").at(-1)!;
  return {
    folder,
    exerciseFile: `${folder}/exercise.json`,
    editable: `${folder}/${name}`,
    suite: `${folder}/${name.replace(/\.ts$/, ".test.ts")}`,
    killMatrix: `${folder}/kill-matrix.json`,
  };
}

/** The bundle of the exercise in `exercises/<id>`. The editable file is the stub of the depth that it is set to. */
export function bundleExercise(id: string, tree: SourceTree): BundleResult {
  const exerciseFile = `exercises/${id}/exercise.json`;
  const text = tree.read(exerciseFile);
  if (text === undefined) return { kind: "invalid", problems: [`${exerciseFile}: there is no such file`] };
  const parsed = parseExercise(exerciseFile, text);
  return parsed.kind === "invalid" ? parsed : bundleOf(parsed.exercise, tree);
}

/** The bundle of an exercise that has been read already. */
export function bundleOf(exercise: Exercise, tree: SourceTree): BundleResult {
  const paths = pathsOf(exercise);
  const source = tree.read(exercise.source);
  if (source === undefined) {
    const problem = `${paths.exerciseFile}: source: there is no file ${exercise.source}`;
    return { kind: "invalid", problems: [problem] };
  }
  const generated = generateStubs(exercise, source);
  if (generated.kind === "invalid") {
    return {
      kind: "invalid",
      problems: generated.problems.map((problem) => `${paths.exerciseFile}: ${problem}`),
    };
  }
  const own = new Map([[paths.editable, generated.solution]]);
  const closure = closureOf(paths.suite, { read: (path) => own.get(path) ?? tree.read(path) });
  if (closure.problems.length > 0) return { kind: "invalid", problems: closure.problems };
  const files = { ...closure.files, [paths.editable]: generated.stubs[exercise.depth] };
  const todo = "exercises/lib/todo.ts";
  const todoText = tree.read(todo);
  if (todoText !== undefined) files[todo] = todoText;
  return {
    kind: "bundle",
    bundle: {
      exercise,
      files: Object.fromEntries(Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      editable: paths.editable,
      suite: paths.suite,
      stubs: generated.stubs,
      solution: generated.solution,
      killMatrix: readKillMatrix(tree.read(paths.killMatrix)),
    },
  };
}

/** A kill matrix that is missing or broken matches nothing; `verify` is what complains about it. */
function readKillMatrix(text: string | undefined): KillMatrix {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? (value as KillMatrix) : {};
  } catch {
    return {};
  }
}

/** Every file that `entry` imports, directly or through others. */
function closureOf(entry: string, tree: SourceTree): { files: Record<string, string>; problems: string[] } {
  const files: Record<string, string> = {};
  const problems: string[] = [];
  const visit = (path: string, importer: string): void => {
    if (files[path] !== undefined) return;
    const text = tree.read(path);
    if (text === undefined) return void problems.push(`${importer} needs ${path}, and there is no such file`);
    files[path] = text;
    for (const { fileName } of ts.preProcessFile(text, true, false).importedFiles) {
      const target = targetOf(path, fileName);
      if (target !== undefined) visit(target, path);
      else if (!packages.has(fileName))
        problems.push(`${path} imports "${fileName}", which a bundle cannot hold`);
    }
  };
  visit(entry, "the exercise");
  return { files, problems };
}

/** The project file that an import names; undefined for packages. */
function targetOf(from: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return resolveRelative(from, specifier);
  return /^#(reference|exercises)\//.test(specifier) ? specifier.slice(1) : undefined;
}
