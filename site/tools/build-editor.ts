/**
 * Builds what the workspace loads on demand and Vite need not see: the Monaco editor with its two workers, and the type
 * declarations of vitest and fast-check for it. They change only with their versions, so they are built once, outside
 * Astro, and `astro build` stays quick. The same files serve development, the built site and the tests.
 *
 * Output: `site/public/editor/`, and a manifest whose version is part of every address that the page asks for.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

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

/** Packages whose declarations a suite or a submission may refer to. */
const typedPackages = ["vitest", "fast-check"];

/** Builds the files unless those of the same versions are there already. Returns the version. */
export async function buildEditor(): Promise<string> {
  const version = currentVersion();
  const manifestPath = join(target, "manifest.json");
  if (existsSync(manifestPath) && readManifestVersion(manifestPath) === version) return version;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  const shared = { bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "error" } as const;
  await Promise.all([
    build({
      ...shared,
      stdin: { contents: editorEntry, resolveDir: root },
      outfile: join(target, "monaco.js"),
      loader: { ".ttf": "file" },
      assetNames: "[name]",
    }),
    build({
      ...shared,
      entryPoints: {
        "editor.worker": join(packages, "monaco-editor/esm/vs/editor/editor.worker.js"),
        "ts.worker": join(packages, "monaco-editor/esm/vs/languages/features/typescript/ts.worker.js"),
      },
      outdir: target,
    }),
  ]);
  writeFileSync(join(target, "types.json"), JSON.stringify(collectTypes()));
  const files = readdirSync(target).map((name) => {
    const bytes = readFileSync(join(target, name));
    return { name, bytes: bytes.length, gzipBytes: gzipSync(bytes).length };
  });
  writeFileSync(manifestPath, `${JSON.stringify({ version, files }, undefined, 2)}\n`);
  return version;
}

/** A short hash of the versions of everything that goes in, this file included. */
function currentVersion(): string {
  const hash = createHash("sha256").update(readFileSync(import.meta.filename));
  for (const name of ["monaco-editor", "esbuild", ...typedPackages]) {
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
