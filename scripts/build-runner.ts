/**
 * Bundles the two workers of the embedded backend: `node scripts/build-runner.ts` writes them to
 * `site/public/runner`, from where any static host serves them as they are.
 *
 * They are built here and not by the site's bundler, so that development, the site, and the tests run the same bytes.
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type BuildOptions, type Plugin } from "esbuild";

export interface RunnerManifest {
  /** Changes whenever a file does; the page asks for `<name>?v=<version>`. */
  readonly version: string;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly gzipBytes: number }[];
}

const root = join(import.meta.dirname, "..");
const workers = join(root, "exercises", "grader", "embedded", "worker");

/** The most that the workers may weigh together, compressed: what a learner on a slow line has to wait for. */
export const runnerGzipBytesMax = 310_000;

/**
 * What Vitest imports and no suite can use here: the benchmark runner, the module runner of a server, and the tool
 * that rewrites inline snapshots in files. Each is replaced by the names that are imported from it.
 */
const stubs: Readonly<Record<string, string>> = {
  tinybench: "export class Bench {}",
  "vite/module-runner": "export class EvaluatedModules {}",
  "magic-string": "export default class MagicString {}",
};

const stubUnused: Plugin = {
  name: "stub-unused",
  setup(build) {
    const filter = new RegExp(`^(${Object.keys(stubs).join("|")})$`);
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: "stub" }));
    build.onLoad({ filter, namespace: "stub" }, ({ path }) => ({
      contents: stubs[path] ?? "",
      loader: "js",
    }));
  },
};

const common: BuildOptions = {
  bundle: true,
  write: false,
  format: "esm",
  platform: "browser",
  target: "es2022",
  legalComments: "none",
  plugins: [stubUnused],
  // Type-only configuration files must not reach into what is bundled.
  tsconfigRaw: {},
};

/** Bundles the workers into `folder`. */
export async function buildRunner(folder = join(root, "site", "public", "runner")): Promise<RunnerManifest> {
  const [compile, run] = await Promise.all([
    bundle({
      ...common,
      entryPoints: { compile: join(workers, "compile.worker.ts") },
      minify: true,
      // The package's main entry is this folder's code as modules; the parser must come from there too, not twice.
      alias: {
        "sucrase/dist/parser/index.js": "sucrase/dist/esm/parser/index.js",
        "sucrase/dist/parser/tokenizer/types.js": "sucrase/dist/esm/parser/tokenizer/types.js",
      },
    }),
    // White space alone: Vitest finds the place of an inline snapshot by the names of its own functions in a stack
    // trace, and minified code has lost those names.
    bundle({ ...common, entryPoints: { run: join(workers, "run.worker.ts") }, minifyWhitespace: true }),
  ]);
  const files = [compile, run];
  const hash = createHash("sha256");
  for (const { contents } of files) hash.update(contents);
  const manifest: RunnerManifest = {
    version: hash.digest("hex").slice(0, 12),
    files: files.map(({ name, contents }) => {
      return { name, bytes: contents.length, gzipBytes: gzipSync(contents, { level: 9 }).length };
    }),
  };
  await mkdir(folder, { recursive: true });
  for (const { name, contents } of files) await replaceFile(join(folder, name), contents);
  await replaceFile(join(folder, "manifest.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return manifest;
}

async function bundle(options: BuildOptions): Promise<{ name: string; contents: Uint8Array }> {
  const { outputFiles } = await build({ ...options, outdir: root, write: false });
  const [output] = outputFiles;
  if (output === undefined) throw new Error("esbuild wrote no file");
  return { name: basename(output.path), contents: output.contents };
}

/** Puts the file in place in one step: a page that loads meanwhile gets the old one or the new one, never a half. */
async function replaceFile(path: string, contents: Uint8Array | string): Promise<void> {
  const next = `${path}.${process.pid}.next`;
  await writeFile(next, contents);
  await rename(next, path);
}

if (import.meta.main) {
  const startedAt = performance.now();
  const { version, files } = await buildRunner();
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  for (const { name, bytes, gzipBytes } of files) {
    process.stdout.write(
      `${name.padEnd(12)} ${kilobytes(bytes).padStart(10)}  gzip ${kilobytes(gzipBytes)}\n`,
    );
  }
  const total = files.reduce((sum, { gzipBytes }) => sum + gzipBytes, 0);
  const elapsed = Math.round(performance.now() - startedAt);
  process.stdout.write(`version ${version}, gzip ${kilobytes(total)} in all, built in ${elapsed} ms\n`);
  if (total > runnerGzipBytesMax) {
    process.stderr.write(
      `the runner is ${kilobytes(total)} compressed, over its limit of ${kilobytes(runnerGzipBytesMax)}\n`,
    );
    process.exitCode = 1;
  }
}
