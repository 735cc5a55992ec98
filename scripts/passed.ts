/**
 * Which test files need not run again: those that passed on this machine while everything that they depend on was as it
 * is now, to the byte. The tests of the site and of the grader's backends take as long as all others together, and most
 * changes touch neither.
 *
 * Only files that are named here are ever left out, with what they depend on; a test holds that list against what they
 * import. `npm test` says what it leaves out; a fresh clone, and `OZ_TESTS=all`, run everything.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findBrowser } from "./find-browser.ts";

const root = join(import.meta.dirname, "..");

/** The built site is among them, and so all that goes into it. */
const site = [
  "exercises/lib",
  "package-lock.json",
  "package.json",
  "reference/base",
  "scripts",
  "site",
  "vitest.config.ts",
];

/** The grader with all that it runs, and the reference, which the exercises and their tools import. */
const grader = [
  "exercises",
  "oz.mjs",
  "package-lock.json",
  "package.json",
  "reference",
  "scripts",
  "tsconfig.base.json",
  "vitest.config.ts",
];

/** Test files, and the files and folders that they depend on, from the root. */
export const dependencies: Readonly<Record<string, readonly string[]>> = {
  "exercises/grader/embedded/embedded.browser.test.ts": grader,
  "exercises/grader/local/local.process.test.ts": grader,
  "exercises/grader/webcontainer/webcontainer.process.test.ts": grader,
  // Builds the site itself, and reads the workflow.
  "site/test/base-path.browser.test.ts": [...site, ".github", "chapters", "exercises", "oz.mjs", "reference"],
  "site/test/offline.browser.test.ts": site,
  "site/test/pages.browser.test.ts": site,
  "site/test/pictures.browser.test.ts": site,
  "site/test/progress.browser.test.ts": site,
  // Holds the pages of errors and limits against the sources.
  "site/test/reading.browser.test.ts": [...site, "reference"],
  // Runs the command of the same name.
  "site/test/simulator.browser.test.ts": [...site, "exercises", "oz.mjs", "reference"],
  "site/test/workspace-access.browser.test.ts": site,
  "site/test/workspace-editor.browser.test.ts": site,
  "site/test/workspace-keep.browser.test.ts": site,
  "site/test/workspace-results.browser.test.ts": site,
  "site/test/workspace.browser.test.ts": site,
};

/** Not looked into: what is installed, and what tools keep for themselves. */
const ignored: ReadonlySet<string> = new Set(["node_modules", ".astro"]);

export interface PassedOptions {
  readonly root: string;
  readonly store: string;
  readonly dependencies: Readonly<Record<string, readonly string[]>>;
  /** What every test depends on beside files: Node, the browser, settings. */
  readonly surroundings: string;
}

/** Remembers test files that passed. */
export class PassedFiles {
  readonly #options: PassedOptions;
  /** As they were when it was asked which are unchanged: what changes later is not what passed. */
  readonly #fingerprints = new Map<string, string>();

  constructor(options: PassedOptions) {
    this.#options = options;
  }

  /** The files that passed with all that they depend on as it is now. Ask before the tests run. */
  unchanged(): string[] {
    const known = this.#known();
    const hashes = new Map<string, string>();
    for (const [file, paths] of Object.entries(this.#options.dependencies)) {
      const hash = createHash("sha256").update(JSON.stringify([this.#options.surroundings, file]));
      for (const path of [...new Set(paths)].toSorted()) {
        if (!hashes.has(path)) hashes.set(path, hashOf(join(this.#options.root, path)));
        hash.update(JSON.stringify([path, hashes.get(path)]));
      }
      this.#fingerprints.set(file, hash.digest("hex"));
    }
    return [...this.#fingerprints].filter(([file, print]) => known[file] === print).map(([file]) => file);
  }

  /** Notes files of which every test passed, at its first try. */
  remember(files: readonly string[]): void {
    const prints = files.flatMap((file) => {
      const print = this.#fingerprints.get(file);
      return print === undefined ? [] : [[file, print] as const];
    });
    const { store } = this.#options;
    mkdirSync(dirname(store), { recursive: true });
    writeFileSync(
      `${store}.next`,
      `${JSON.stringify({ ...this.#known(), ...Object.fromEntries(prints) }, undefined, 2)}\n`,
    );
    renameSync(`${store}.next`, store);
  }

  #known(): Readonly<Record<string, string>> {
    try {
      return JSON.parse(readFileSync(this.#options.store, "utf8")) as Record<string, string>;
    } catch {
      return {};
    }
  }
}

/** The memory of this project's tests on this machine; undefined when everything is to run. */
export async function passedHere(): Promise<PassedFiles | undefined> {
  if (process.env["OZ_TESTS"] === "all") return undefined;
  const browser = await findBrowser();
  const settings = Object.entries(process.env).filter(([name]) => name.startsWith("OZ_"));
  const surroundings = JSON.stringify([
    process.version,
    process.platform,
    browser,
    statSync(browser).mtimeMs,
    settings.toSorted(([one], [other]) => (one < other ? -1 : 1)),
  ]);
  return new PassedFiles({ root, store: join(root, ".oz", "passed.json"), dependencies, surroundings });
}

/** A file's content, or a folder's: the names and the contents of all that is in it. */
function hashOf(path: string): string {
  const hash = createHash("sha256");
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return "missing";
  if (stats.isFile()) return hash.update(readFileSync(path)).digest("hex");
  for (const name of readdirSync(path).toSorted()) {
    if (!ignored.has(name)) hash.update(JSON.stringify([name, hashOf(join(path, name))]));
  }
  return hash.digest("hex");
}
