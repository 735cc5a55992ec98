/**
 * Type-checks the stubs and the solution of exercises: what a learner starts from must compile as it stands.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { makeRunFolder, writeFiles } from "#exercises/grader/local/index.ts";
import { packageFile } from "#exercises/grader/process/layout.ts";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { depths } from "./generate.ts";
import { projectRoot, sourceTree } from "./source-tree.ts";

/** The compiler's complaints about each exercise's stubs, one line each, by the exercise's id; one run for all. */
export async function typeErrors(
  bundles: readonly ExerciseBundle[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const folder = makeRunFolder();
  try {
    const files: Record<string, string> = {};
    const checked = new Map<string, { readonly id: string; readonly label: string }>();
    for (const [index, bundle] of bundles.entries()) {
      const { id } = bundle.exercise;
      for (const [path, text] of Object.entries(bundle.files))
        if (!path.endsWith(".test.ts")) files[path] = text;
      for (const depth of depths) {
        const path = `s${index}/${depth}.ts`;
        files[path] = bundle.stubs[depth];
        checked.set(path, { id, label: `the ${depth} stub` });
      }
    }
    files["platform.d.ts"] = sourceTree().read("reference/platform.d.ts") ?? "";
    files["package.json"] = packageFile();
    files["tsconfig.json"] = JSON.stringify({
      extends: join(projectRoot, "tsconfig.base.json"),
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
      files: ["platform.d.ts", ...checked.keys()],
    });
    writeFiles(folder, files);
    return groupErrors(await compile(folder), checked);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function groupErrors(
  output: string,
  checked: ReadonlyMap<string, { readonly id: string; readonly label: string }>,
): ReadonlyMap<string, readonly string[]> {
  const errors = new Map<string, string[]>();
  for (const line of output.split("\n")) {
    const match = /^(\S+?)\((\d+),\d+\): error (.*)$/.exec(line);
    const file = match === null ? undefined : checked.get(match[1]!.replaceAll("\\", "/"));
    if (match === null || file === undefined) continue;
    errors.set(file.id, [
      ...(errors.get(file.id) ?? []),
      `${file.label} does not compile: line ${match[2]}: ${match[3]}`,
    ]);
  }
  return errors;
}

/** Runs the native compiler, which takes a third of a second where the API takes several. */
function compile(folder: string): Promise<string> {
  const packagePath = createRequire(import.meta.url).resolve("@typescript/native/package.json");
  const args = [join(dirname(packagePath), "bin", "tsc"), "-p", "tsconfig.json", "--pretty", "false"];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", () => resolve(output));
  });
}
