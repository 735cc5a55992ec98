/**
 * Lays the learner's files over the reference: whoever imports `reference/protocol/frame.ts` gets
 * `exercises/01-protocol/02-frame/frame.ts`, and so the broker runs on what the learner has written.
 *
 * It is done where modules are resolved, before anything is loaded, so no entry point has to know about it. The
 * learner's file imports its neighbours as `#reference/…`, so it gets the learner's versions of those too. It holds
 * for this thread; a worker thread that is to run on the overlay has to install it itself.
 */
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readModule } from "#exercises/grader/source/module.ts";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { pathsOf } from "./bundle.ts";
import { findExercise, listExercises, projectRoot, sourceTree } from "./source-tree.ts";
import { isUntouchedStub } from "./stubs.ts";

/** One module of the reference that a learner's file stands in for; paths are from the project's root. */
export interface OverlaidModule {
  readonly exercise: string;
  readonly source: string;
  readonly file: string;
  /** How many marks of unwritten code the file still has. */
  readonly todos: number;
}

export type OverlayPlan =
  | { readonly kind: "overlay"; readonly modules: readonly OverlaidModule[] }
  /** One line. */
  | { readonly kind: "invalid"; readonly problem: string };

/**
 * Decides which modules are the learner's. `names` are exercises separated by commas, as `--mine=` takes them; when
 * it is empty, all exercises in whose file anybody has written.
 */
export function planOverlay(names: string, root: string = projectRoot): OverlayPlan {
  const tree = sourceTree(root);
  const { exercises, problems } = listExercises(root);
  if (problems.length > 0) return { kind: "invalid", problem: problems[0]! };
  const chosen: Exercise[] = [];
  for (const name of names.split(",").filter((text) => text.trim() !== "")) {
    const named = findExercise(
      name.trim(),
      exercises.map(({ id }) => id),
    );
    if (named.kind === "not-found") return { kind: "invalid", problem: `--mine: ${named.problem}` };
    chosen.push(exercises.find(({ id }) => id === named.id)!);
  }
  const isNamed = chosen.length > 0;
  const modules: OverlaidModule[] = [];
  for (const exercise of isNamed ? chosen : exercises) {
    const file = pathsOf(exercise).editable;
    const text = tree.read(file);
    if (text === undefined) {
      if (isNamed)
        return {
          kind: "invalid",
          problem: `--mine: ${file} is missing; npx oz reset ${exercise.id} brings it back`,
        };
      continue;
    }
    if (!isNamed && isUntouchedStub(text)) continue;
    const problem = problemOf(file, text, exercise.source, tree.read(exercise.source) ?? "");
    if (problem !== undefined) return { kind: "invalid", problem: `--mine: ${problem}` };
    const todos = text.split(/\btodo\(/).length - 1;
    modules.push({ exercise: exercise.id, source: exercise.source, file, todos });
  }
  return { kind: "overlay", modules };
}

/** Why a file cannot take the reference's place: it does not parse, or lacks an export that others may import. */
function problemOf(file: string, text: string, source: string, reference: string): string | undefined {
  const own = readModule(text);
  if (own.kind === "invalid") return `${file}:${own.errors[0]!.line}: ${own.errors[0]!.message}`;
  const theirs = readModule(reference);
  if (theirs.kind === "invalid") return `${source}:${theirs.errors[0]!.line}: ${theirs.errors[0]!.message}`;
  const missing = [...theirs.module.exports].find((name) => !own.module.exports.has(name));
  return missing === undefined ? undefined : `${file} has no export named ${missing}, which ${source} has`;
}

/** From here on, importing one of the modules gives the learner's file. */
export function installModules(modules: readonly OverlaidModule[], root: string = projectRoot): void {
  const replacements = new Map(
    modules.map(({ source, file }) => [
      pathToFileURL(join(root, source)).href,
      pathToFileURL(join(root, file)).href,
    ]),
  );
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      const replacement = replacements.get(resolved.url);
      return replacement === undefined ? resolved : { ...resolved, url: replacement };
    },
  });
}

/** Acts on `--mine`: installs the overlay and says on stderr what it is. The answer is what is wrong, in one line. */
export function installOverlay(
  root: string,
  names: string,
  io: { readonly stderr: { write(text: string): unknown } },
): string | undefined {
  const plan = planOverlay(names, root);
  if (plan.kind === "invalid") return plan.problem;
  const { modules } = plan;
  installModules(modules, root);
  if (modules.length === 0) {
    io.stderr.write("yours: nothing yet, so this is all the reference; npx oz start says where to begin\n");
    return undefined;
  }
  const width = Math.max(...modules.map(({ source }) => source.length));
  for (const { source, file } of modules) io.stderr.write(`yours: ${source.padEnd(width)}  from ${file}\n`);
  const unwritten = modules.filter(({ todos }) => todos > 0);
  if (unwritten.length > 0) {
    const count = unwritten.length === 1 ? "1 of your modules is" : `${unwritten.length} of your modules are`;
    io.stderr.write(`${count} not written yet: ${unwritten.map(({ exercise }) => exercise).join(", ")}\n`);
  }
  return undefined;
}
