/**
 * The files of a run: a small project of its own that holds an exercise's bundle with the submission in its place.
 *
 * It has its own package.json, so that `#reference/…` means the bundle's files and nothing else. The local backend
 * writes it below `.oz/runs`, the container backend mounts it.
 */
import type { Exercise, ExerciseBundle } from "#exercises/lib/exercise.ts";
import { testOptionsOf } from "../runner/config.ts";

/** Where the configuration of Vitest stands in a run's folder. */
export const configPath = "vitest.config.mjs";

/** Where the runner finds what it has to know (`RunFile`). */
export const runFilePath = "run.json";

/** What the runner in the process has to know. */
export interface RunFile {
  readonly seed: number;
  /** The file descriptor to write messages to. */
  readonly messagesFd: number;
  readonly memoryLimitMiB: number;
  /** End the process when its stdin closes, because then its parent is gone. */
  readonly endsWithParent: boolean;
  /** Full titles of the tests to run; all when absent. */
  readonly only?: readonly string[];
  /** By suite: full titles of the tests that need not run, because their results are known. */
  readonly except: Readonly<Record<string, readonly string[]>>;
}

/** The bundle's files with the submission in place of the editable one. */
export function subjectFiles(bundle: ExerciseBundle, submission: string): Readonly<Record<string, string>> {
  return { ...bundle.files, [bundle.editable]: submission };
}

/** The package.json of a run. `extra` is what a container has to install. */
export function packageFile(extra: Readonly<Record<string, unknown>> = {}): string {
  const imports = { "#reference/*": "./reference/*", "#exercises/*": "./exercises/*" };
  return `${JSON.stringify({ name: "oz-run", private: true, type: "module", imports, ...extra }, null, 2)}\n`;
}

export interface ConfigSettings {
  readonly exercise: Pick<Exercise, "testTimeLimitMs">;
  /** Path or specifier of the runner's module (entry.ts). */
  readonly runner: string;
  /** Path or specifier of the module that guards the process (guard.ts). */
  readonly guard: string;
  /** Let Node load TypeScript by itself: exact positions, and nothing to transform. It needs Node 22.18 or later. */
  readonly isNative: boolean;
}

/** The configuration of Vitest for a run: one worker thread, no isolation, no output of its own. */
export function configFile({ exercise, runner, guard, isNative }: ConfigSettings): string {
  const test = {
    ...testOptionsOf(exercise),
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**"],
    runner,
    pool: "threads",
    isolate: false,
    maxWorkers: 1,
    fileParallelism: false,
    watch: false,
    disableConsoleIntercept: true,
    experimental: isNative ? { viteModuleRunner: false, nodeLoader: false } : {},
  };
  return [
    `import { guardProcess } from ${JSON.stringify(guard)};`,
    "guardProcess(import.meta.dirname);",
    `const test = ${JSON.stringify(test, null, 2)};`,
    "// A reporter that says nothing: the runner's messages are all that anybody reads.",
    "test.reporters = [{}];",
    "export default { root: import.meta.dirname, cacheDir: `${import.meta.dirname}/.vite`, logLevel: 'error', test };",
    "",
  ].join("\n");
}
