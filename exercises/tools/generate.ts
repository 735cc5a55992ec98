/**
 * Writes the stubs of the exercises, or checks that those on disk are what would be written.
 *
 * ```
 * node exercises/tools/generate.ts            writes what is missing or stale
 * node exercises/tools/generate.ts --check    writes nothing; exit 1 and a line for each file that differs
 * ```
 *
 * Only the stubs in git matter to `--check`. On a learner's machine the file to edit holds the learner's work, which
 * must never be overwritten, so writing leaves any file alone that is not an untouched stub; `oz reset` is the way to
 * start again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Depth, Exercise } from "#exercises/lib/exercise.ts";
import { pathsOf } from "./bundle.ts";
import { listExercises, projectRoot, sourceTree } from "./source-tree.ts";
import { generateStubs, isUntouchedStub } from "./stubs.ts";

/** The three depths, from most to least help. */
export const depths: readonly Depth[] = ["guided", "skeleton", "blank"];

/**
 * The files that belong on disk for `exercise`, by path from the project's root, or what keeps them from
 * being made.
 */
export function stubFiles(
  exercise: Exercise,
  read: (path: string) => string | undefined,
): { readonly files: ReadonlyMap<string, string>; readonly problems: readonly string[] } {
  const paths = pathsOf(exercise);
  const source = read(exercise.source);
  if (source === undefined) {
    return {
      files: new Map(),
      problems: [`${paths.exerciseFile}: source: there is no file ${exercise.source}`],
    };
  }
  const result = generateStubs(exercise, source);
  if (result.kind === "invalid") {
    return {
      files: new Map(),
      problems: result.problems.map((problem) => `${paths.exerciseFile}: ${problem}`),
    };
  }
  const files = new Map<string, string>();
  for (const depth of depths) {
    const path = depth === exercise.depth ? paths.editable : stubPath(exercise, depth);
    files.set(path, result.stubs[depth]);
  }
  return { files, problems: [] };
}

/** Where the stub of another depth than the exercise's own lies. */
export function stubPath(exercise: Exercise, depth: Depth): string {
  return `${pathsOf(exercise).folder}/stubs/${depth}.ts`;
}

/** One line for each generated file that is missing or differs, and for each exercise that cannot be generated. */
export function staleFiles(root: string): readonly string[] {
  const tree = sourceTree(root);
  const { exercises, problems } = listExercises(root);
  const lines = [...problems];
  for (const exercise of exercises) {
    const generated = stubFiles(exercise, tree.read);
    lines.push(...generated.problems);
    for (const [path, text] of generated.files) {
      const current = tree.read(path);
      if (current === undefined) lines.push(`${path}: missing; run node exercises/tools/generate.ts`);
      else if (current !== text) lines.push(`${path}: not what ${exercise.source} generates`);
    }
  }
  return lines;
}

/** Writes what is missing or stale; returns the paths written and what went wrong. */
export function writeStubs(root: string): {
  readonly written: readonly string[];
  readonly problems: readonly string[];
} {
  const tree = sourceTree(root);
  const { exercises, problems } = listExercises(root);
  const written: string[] = [];
  const failures = [...problems];
  for (const exercise of exercises) {
    const generated = stubFiles(exercise, tree.read);
    failures.push(...generated.problems);
    for (const [path, text] of generated.files) {
      const current = tree.read(path);
      if (current === text) continue;
      if (path === pathsOf(exercise).editable && current !== undefined && !isUntouchedStub(current)) {
        failures.push(
          `${path}: holds somebody's work, which is not overwritten; npx oz reset ${exercise.id} starts again`,
        );
        continue;
      }
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
      written.push(path);
    }
  }
  return { written, problems: failures };
}

/** Writes the stub of one exercise's file to edit, which must be missing; what keeps it from being made is thrown. */
export function writeStub(exercise: Exercise, root: string = projectRoot): void {
  const generated = stubFiles(exercise, sourceTree(root).read);
  const path = pathsOf(exercise).editable;
  const text = generated.files.get(path);
  if (text === undefined) throw new Error(generated.problems.join(" "));
  writeFileSync(join(root, path), text, { flag: "wx" });
}

if (import.meta.main) {
  const isCheck = process.argv.includes("--check");
  const lines = isCheck ? staleFiles(projectRoot) : [];
  const { written, problems } = isCheck ? { written: [], problems: lines } : writeStubs(projectRoot);
  for (const path of written) process.stdout.write(`wrote ${path}\n`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
