/**
 * Builds the client library as a package of its own, ready for `npm pack` and `npm publish`: into `dist/client`, or
 * into the folder that is named. Tests name one each: two that build side by side would write into each other's package.
 *
 * Node does not strip types from packages in node_modules, so a library must be JavaScript with declarations beside it.
 * The package has no dependencies and works from Node 20 on; pages get a bundle without any built-in module of Node.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const target = resolve(process.argv[2] ?? join(root, "dist/client"));
const types = join(target, "types");

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
await buildBundles();
buildDeclarations();
writePackage();
console.log(`built ${relative(root, target)}`);

async function buildBundles(): Promise<void> {
  const shared = {
    bundle: true,
    format: "esm",
    sourcemap: true,
    logLevel: "warning",
    absWorkingDir: root,
  } as const;
  await build({
    ...shared,
    entryPoints: ["reference/node/client.ts"],
    outfile: join(target, "index.js"),
    platform: "node",
    target: "node20",
  });
  await build({
    ...shared,
    entryPoints: ["reference/browser/client.ts"],
    outfile: join(target, "browser.js"),
    platform: "browser",
    target: "es2022",
  });
}

/** Declarations by the compiler, with imports rewritten to what resolves inside the package. */
function buildDeclarations(): void {
  const compiler = join(root, "node_modules/.bin/tsc");
  for (const project of ["reference/node/tsconfig.client.json", "reference/browser/tsconfig.client.json"]) {
    execFileSync(compiler, ["-p", project, "--outDir", types], { cwd: root, stdio: "inherit" });
  }
  for (const path of readdirSync(types, { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".d.ts")) continue;
    const file = join(types, path);
    const text = readFileSync(file, "utf8").replace(
      /(from |import\()"([^"]+)\.ts"/g,
      (_all, before, specifier) => {
        return `${String(before)}"${insidePackage(file, String(specifier))}.js"`;
      },
    );
    writeFileSync(file, text);
  }
}

/** `#reference/base/x` as seen from `file`: a relative path. Others are relative already. */
function insidePackage(file: string, specifier: string): string {
  if (!specifier.startsWith("#reference/")) return specifier;
  const path = relative(dirname(file), join(types, specifier.slice("#reference/".length)));
  const posix = path.split(sep).join("/");
  return posix.startsWith(".") ? posix : `./${posix}`;
}

function writePackage(): void {
  const { name, version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const browser = { types: "./types/browser/client.d.ts", default: "./browser.js" };
  const manifest = {
    name,
    version,
    description: "Client library of the Offset Zero message broker.",
    license,
    type: "module",
    engines: { node: ">=20.15" },
    sideEffects: false,
    exports: {
      ".": { types: "./types/node/client.d.ts", default: "./index.js" },
      "./browser": browser,
      "./package.json": "./package.json",
    },
  };
  writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(root, "LICENSE"), join(target, "LICENSE"));
  copyFileSync(join(root, "reference/client/README.md"), join(target, "README.md"));
}
