/**
 * What happens to a submission before it runs, in every backend: it is read, checked, and linked on paper.
 *
 * A submission that cannot run is `unloadable`, and the reason must be the same wherever it is graded. Node, a
 * bundler and a browser each find such errors at another time and say them in other words, so none of them is asked.
 * The checks here come first: syntax, types that erase, imports that the exercise provides, exports that are there.
 *
 * The embedded backend also runs the code that comes out of this; the others run the files and need only the verdict.
 */
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { RawError } from "../backend.ts";
import { readModule, type ModuleSource, type SourceError } from "./module.ts";

/** A module that is ready to be linked. */
export interface PreparedModule {
  /** From the project's root, with `/` between names. */
  readonly path: string;
  /** JavaScript, line for line where the TypeScript was. */
  readonly code: string;
  readonly links: readonly Link[];
}

/** An import's specifier in the code, from its opening quote to past its closing one, and what it stands for. */
export interface Link {
  readonly start: number;
  readonly end: number;
  /** The path of another module, or the name of a package. */
  readonly target: string;
}

/** The part of a bundle that is run. */
export type Program = Pick<ExerciseBundle, "files" | "editable" | "suite">;

export type Preparation =
  /** In the order of linking: each module stands after those that it imports, the suite last. */
  | { readonly kind: "ready"; readonly modules: readonly PreparedModule[] }
  /** The learner's file cannot be run; what a backend reports as `unloadable`. */
  | { readonly kind: "refused"; readonly errors: readonly RawError[] }
  /** A file of the exercise itself cannot be run: our fault. */
  | { readonly kind: "broken"; readonly reason: string };

/** Modules that were read before, by path; a caller that prepares often keeps one and passes it in. */
export type ModuleCache = Map<string, { readonly source: string; readonly module: ModuleSource }>;

/** The packages that a suite and its library may import; a submission may not. */
export const packages: ReadonlySet<string> = new Set(["vitest", "fast-check"]);

/** Checks `submission` in its place among the program's files, and makes everything ready to run. */
export function prepare(program: Program, submission: string, cache: ModuleCache = new Map()): Preparation {
  const own = readModule(submission);
  if (own.kind === "invalid") return refuse(program, own.errors);
  try {
    const linker = new Linker(program, own.module, cache);
    linker.visit(program.suite);
    const errors = linker.errors.length > 0 ? linker.errors : missingExports(program, linker.modules);
    return errors.length > 0 ? refuse(program, errors) : { kind: "ready", modules: linker.order };
  } catch (error) {
    if (error instanceof BrokenExercise) return { kind: "broken", reason: error.message };
    throw error;
  }
}

/** A file that came with the exercise is wrong, so that no submission can be judged. */
class BrokenExercise extends Error {}

function refuse(program: Program, errors: readonly SourceError[]): Preparation {
  const file = program.editable;
  return {
    kind: "refused",
    errors: errors.map(({ line, message }) => {
      return { name: "SyntaxError", message, stack: [{ file, line, method: "" }] };
    }),
  };
}

/** Follows the imports from the suite on, depth first, and keeps what it learns. */
class Linker {
  readonly order: PreparedModule[] = [];
  readonly modules = new Map<string, ModuleSource>();
  readonly errors: SourceError[] = [];
  readonly #program: Program;
  readonly #cache: ModuleCache;
  /** The modules on the way to the one that is being visited, each with the line of the import that was followed. */
  readonly #followed = new Map<string, number>();

  constructor(program: Program, own: ModuleSource, cache: ModuleCache) {
    this.#program = program;
    this.#cache = cache;
    this.modules.set(program.editable, own);
  }

  visit(path: string): void {
    const module = this.modules.get(path) ?? this.#readFixed(path);
    this.modules.set(path, module);
    const links = module.imports.map(({ specifier, line, start, end }) => {
      const target = resolve(path, specifier);
      this.#followed.set(path, line);
      if (!packages.has(target) || path === this.#program.editable) this.#follow(specifier, target);
      return { start, end, target };
    });
    this.#followed.delete(path);
    this.order.push({ path, code: module.code, links });
  }

  #follow(specifier: string, target: string): void {
    if (this.#followed.has(target)) {
      this.#blame(`the import of "${specifier}" leads back to the file that it is in`);
    } else if (this.#program.files[target] === undefined) {
      this.#blame(
        `"${specifier}" cannot be imported: a solution may import the files that come with its exercise ` +
          "(#reference/…, #exercises/…), and nothing else",
      );
    } else if (!this.order.some(({ path }) => path === target)) {
      this.visit(target);
    }
  }

  /** The exercise's own files import rightly: if the way here leads through the learner's file, it went wrong there. */
  #blame(message: string): void {
    const line = this.#followed.get(this.#program.editable);
    if (line === undefined) throw new BrokenExercise(`${[...this.#followed.keys()].at(-1)}: ${message}`);
    this.errors.push({ line, message });
  }

  #readFixed(path: string): ModuleSource {
    const source = this.#program.files[path] ?? "";
    const known = this.#cache.get(path);
    if (known?.source === source) return known.module;
    const result = readModule(source);
    if (result.kind === "invalid") {
      const [first] = result.errors;
      throw new BrokenExercise(`${path}:${first?.line}: ${first?.message}`);
    }
    this.#cache.set(path, { source, module: result.module });
    return result.module;
  }
}

/** Where an import leads: a project path for `#…` and relative specifiers, the specifier itself otherwise. */
export function resolve(from: string, specifier: string): string {
  if (specifier.startsWith("#")) return specifier.slice(1);
  if (!specifier.startsWith(".")) return specifier;
  const names = from.split("/").slice(0, -1);
  for (const name of specifier.split("/")) {
    if (name === "..") names.pop();
    else if (name !== ".") names.push(name);
  }
  return names.join("/");
}

/** The imports of names that the other module does not export, where the learner's file is on either side. */
function missingExports(program: Program, modules: ReadonlyMap<string, ModuleSource>): SourceError[] {
  const { editable } = program;
  const errors: SourceError[] = [];
  for (const [path, module] of modules) {
    for (const { specifier, names, line } of module.imports) {
      const target = resolve(path, specifier);
      if (!modules.has(target) || (path !== editable && target !== editable)) continue;
      const available = exportsOf(target, modules);
      for (const name of names.filter((candidate) => !available.has(candidate))) {
        errors.push(
          path === editable
            ? {
                line,
                message: `"${specifier}" has no export named ${name} (a type is imported with \`import type\`)`,
              }
            : { line: 1, message: `this file has no export named ${name}, which ${path} imports` },
        );
      }
    }
  }
  return errors;
}

/** All that a module exports, with what `export *` brings. The modules' imports do not go in circles. */
function exportsOf(path: string, modules: ReadonlyMap<string, ModuleSource>): Set<string> {
  const module = modules.get(path);
  const names = new Set(module?.exports);
  for (const { specifier, isStarExport } of module?.imports ?? []) {
    if (!isStarExport) continue;
    for (const name of exportsOf(resolve(path, specifier), modules)) if (name !== "default") names.add(name);
  }
  return names;
}
