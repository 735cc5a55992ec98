/**
 * What has been verified on this machine already: for each exercise, a fingerprint of everything that its verification
 * depends on. `oz verify --changed` leaves out exercises whose fingerprint is still the same, which takes a
 * day's tenth run of the tests from minutes to seconds. A fresh clone remembers nothing, and verifies everything.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { bundleOf, type SourceTree } from "./bundle.ts";
import { readState, writeState } from "./course.ts";
import { projectRoot, sourceTree } from "./source-tree.ts";

/** Folders whose code takes part in every verification. */
const toolFolders = ["exercises/tools", "exercises/grader", "exercises/lib"] as const;
/** What is remembered: that the graders hold an exercise, and that all backends give its versions the same grades. */
export type VerifiedFile = "verified.json" | "compared.json";

/** Fingerprints by exercise. */
export type Verified = Readonly<Record<string, string>>;

/** A fingerprint of all that runs suites: the tools, the packages, Node. */
export function toolchainFingerprint(root: string = projectRoot): string {
  const hash = createHash("sha256").update(process.version);
  hash.update(sourceTree(root).read("package-lock.json") ?? "");
  for (const folder of toolFolders) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
    for (const name of names
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .toSorted()) {
      hash
        .update(name)
        .update("\0")
        .update(readFileSync(join(root, folder, name)));
    }
  }
  return hash.digest("hex");
}

/**
 * A fingerprint of one exercise: its suite with all that it imports, the reference, stubs, mutants, the
 * kill matrix.
 */
export function exerciseFingerprint(
  exercise: Exercise,
  tree: SourceTree,
  toolchain: string,
): string | undefined {
  const result = bundleOf(exercise, tree);
  if (result.kind === "invalid") return undefined;
  return createHash("sha256").update(toolchain).update(JSON.stringify(result.bundle)).digest("hex");
}

/** Those that are not known to hold as they are now. */
export function changedOnly(
  exercises: readonly Exercise[],
  tree: SourceTree,
  toolchain: string,
  file: VerifiedFile = "verified.json",
): readonly Exercise[] {
  const verified = readState<Verified>(file, {});
  return exercises.filter((exercise) => {
    const fingerprint = exerciseFingerprint(exercise, tree, toolchain);
    return fingerprint === undefined || verified[exercise.id] !== fingerprint;
  });
}

/** Remembers that these hold as they are now. */
export function rememberVerified(
  exercises: readonly Exercise[],
  tree: SourceTree,
  toolchain: string,
  file: VerifiedFile = "verified.json",
): void {
  const known = readState<Verified>(file, {});
  const added = exercises.flatMap((exercise) => {
    const fingerprint = exerciseFingerprint(exercise, tree, toolchain);
    return fingerprint === undefined ? [] : [[exercise.id, fingerprint] as const];
  });
  writeState(file, { ...known, ...Object.fromEntries(added) });
}
