/**
 * Builds what the workspace loads on demand and Vite need not see: the Monaco editor with its two workers, and the type
 * declarations of vitest and fast-check for it. They change only with their versions, so they are built once, outside
 * Astro, and `astro build` stays quick. The same files serve development, the built site and the tests.
 *
 * Output: `site/public/editor/`, and a manifest whose version is part of every address that the page asks for.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Plugin } from "esbuild";

const root = join(import.meta.dirname, "..", "..");
const packages = join(root, "node_modules");
const target = join(root, "site", "public", "editor");

/** Monaco's core, every editor feature, and TypeScript: the one language of the course. */
const editorEntry = `
export * from "monaco-editor/editor";
import "monaco-editor/features/register.all";
import "monaco-editor/languages/definitions/typescript/register";
export { language as typescriptTokens } from "monaco-editor/languages/definitions/typescript/typescript";
export * as typescript from "monaco-editor/languages/features/typescript/register";
`;

/** Vim keys for those who want them: a file of its own, which shares all of Monaco with the first one. */
const vimEntry = `export { initVimMode, VimMode } from "${join(packages, "monaco-vim/dist/index.mjs").replaceAll("\\", "/")}";`;

/** Packages whose declarations a suite or a submission may refer to. */
const typedPackages = ["vitest", "fast-check"];

/** Builds the files unless those of the same versions are there already. Returns the version. */
export async function buildEditor(): Promise<string> {
  const version = currentVersion();
  const manifestPath = join(target, "manifest.json");
  if (existsSync(manifestPath) && readManifestVersion(manifestPath) === version) return version;
  // Built beside and moved into place: two builds at a time, or one that is broken off, leave no half of an editor.
  const fresh = join(root, "site", ".astro", `editor-${process.pid}`);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const shared = { bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "error" } as const;
  await Promise.all([
    build({
      ...shared,
      entryPoints: { monaco: "oz:monaco", vim: "oz:vim" },
      plugins: [entries({ "oz:monaco": editorEntry, "oz:vim": vimEntry }), currentOptions],
      splitting: true,
      outdir: fresh,
      loader: { ".ttf": "file" },
      assetNames: "[name]",
    }),
    build({
      ...shared,
      entryPoints: {
        "editor.worker": join(packages, "monaco-editor/esm/vs/editor/editor.worker.js"),
        "ts.worker": join(packages, "monaco-editor/esm/vs/languages/features/typescript/ts.worker.js"),
      },
      outdir: fresh,
    }),
  ]);
  // Each entry gets its styles once more; the page asks for Monaco's only.
  for (const name of readdirSync(fresh)) {
    if (name.endsWith(".css") && name !== "monaco.css") rmSync(join(fresh, name));
  }
  writeFileSync(join(fresh, "types.json"), JSON.stringify(collectTypes()));
  const files = readdirSync(fresh).map((name) => {
    const bytes = readFileSync(join(fresh, name));
    return { name, bytes: bytes.length, gzipBytes: gzipSync(bytes).length };
  });
  writeFileSync(join(fresh, "manifest.json"), `${JSON.stringify({ version, files }, undefined, 2)}\n`);
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
  return version;
}

/** Serves texts as modules of the project's root. */
function entries(texts: Readonly<Record<string, string>>): Plugin {
  return {
    name: "entries",
    setup(build) {
      build.onResolve({ filter: /^oz:/ }, ({ path }) => ({ path, namespace: "entries" }));
      build.onLoad({ filter: /./, namespace: "entries" }, ({ path }) => ({
        contents: texts[path]!,
        resolveDir: root,
      }));
    },
  };
}

/**
 * monaco-vim asks Monaco for options by numbers of an older version. Monaco exports their names, so it gets those. It
 * also names modules without `.js`, which Monaco's list of exports no longer allows.
 */
const currentOptions: Plugin = {
  name: "current-options",
  setup(build) {
    build.onLoad({ filter: /[\\/]monaco-vim[\\/]dist[\\/]index\.mjs$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const numbers = /const EditorOptConstants = \{[^}]*\};/;
      if (!numbers.test(text)) throw new Error("monaco-vim has changed: its numbers of options are gone");
      return {
        contents: text
          .replace(numbers, "const EditorOptConstants = editor.EditorOption;")
          .replaceAll(/"monaco-editor\/esm\/vs\/([\w/.]+)"/g, '"monaco-editor/$1.js"'),
      };
    });
  },
};

/** A short hash of the versions of everything that goes in, this file included. */
function currentVersion(): string {
  const hash = createHash("sha256").update(readFileSync(import.meta.filename));
  for (const name of ["monaco-editor", "monaco-vim", "esbuild", ...typedPackages]) {
    hash.update(readFileSync(join(packages, name, "package.json")));
  }
  return hash.digest("hex").slice(0, 12);
}

function readManifestVersion(path: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** Declarations and package.json files by their address in the editor: `node_modules/fast-check/…`. */
function collectTypes(): Record<string, string> {
  const files: Record<string, string> = {};
  const queue = [...typedPackages];
  const seen = new Set(queue);
  while (queue.length > 0) {
    const name = queue.shift()!;
    const folder = join(packages, name);
    if (!existsSync(folder)) continue;
    for (const path of declarationsIn(folder)) {
      const text = readFileSync(path, "utf8");
      files[relative(root, path).split(sep).join("/")] = text;
      for (const [, imported] of text.matchAll(/(?:from|import\()\s*["']((?:@[\w.-]+\/)?[\w.-]+)/g)) {
        if (imported !== undefined && isWanted(imported) && !seen.has(imported)) {
          seen.add(imported);
          queue.push(imported);
        }
      }
    }
  }
  return files;
}

/** Node and Vite are left out: suites run in a browser, and their declarations weigh more than all others together. */
function isWanted(name: string): boolean {
  return /^(@vitest\/|vitest$|fast-check$|pure-rand$|expect-type$|@types\/(chai|deep-eql)$|tinybench$|chai$)/.test(
    name,
  );
}

function declarationsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /(\.d\.[mc]?ts|^package\.json)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/node_modules.*node_modules|[\\/]cjs[\\/]|\.d\.cts$/.test(relative(root, path)));
}

if (process.argv[1] === import.meta.filename) await buildEditor();
