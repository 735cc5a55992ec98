/**
 * Runs a list of steps one after the other, shows what each prints, goes on past a failure, and closes with one line
 * that a machine can read: `N passed, N failed`.
 *
 * A step that runs Vitest counts each of its tests; any other step counts as one. Tests that passed only when they were
 * tried again count as passed, and are named at the end so that nobody overlooks them: each of them is a bug, if only
 * of the test.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative, sep } from "node:path";
import type { PassedFiles } from "./passed.ts";

export interface Step {
  readonly name: string;
  /** Program and arguments; the program is looked up in `node_modules/.bin` first. */
  readonly command: readonly string[];
  /** Whether the command is Vitest, whose tests are counted one by one. */
  readonly isVitest?: boolean;
  /** Environment variables for this step alone. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Of a step of Vitest: what remembers the test files that passed, and so need not run while nothing changes. Asked
   * for when the step begins; undefined when every file is to run.
   */
  readonly passedFiles?: () => Promise<PassedFiles | undefined>;
}

interface Count {
  passed: number;
  failed: number;
  /** Tests that failed and then passed: where, and the first line of what was wrong. */
  readonly secondTries: string[];
  /** Test files that did not run, since they passed before and nothing has changed. */
  readonly leftOut: string[];
}

const none: Count = { passed: 0, failed: 0, secondTries: [], leftOut: [] };

/** The part of Vitest's report in JSON that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    /** Of the file: failed too when it did not load, or one of its hooks failed. */
    readonly status: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      /** Of all tries: a test that passed has some only when it was tried again. */
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const root = join(import.meta.dirname, "..");
const reports = join(root, ".oz", "reports");

/** Runs every step and returns the exit status: 0 when nothing failed. */
export async function runSteps(steps: readonly Step[]): Promise<number> {
  mkdirSync(reports, { recursive: true });
  const total: Count = { ...none, secondTries: [], leftOut: [] };
  const broken: string[] = [];
  for (const step of steps) {
    const startedAt = performance.now();
    process.stdout.write(`\n── ${step.name}\n`);
    const count = await runStep(step);
    total.passed += count.passed;
    total.failed += count.failed;
    total.secondTries.push(...count.secondTries);
    total.leftOut.push(...count.leftOut);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    if (count.failed > 0) broken.push(step.name);
    process.stdout.write(`${count.failed === 0 ? "ok" : "FAILED"}: ${step.name} (${seconds} s)\n`);
  }
  process.stdout.write(broken.length === 0 ? "\n" : `\nfailed: ${broken.join(", ")}\n`);
  for (const test of total.secondTries) process.stdout.write(`passed only at the second try: ${test}\n`);
  for (const file of total.leftOut)
    process.stdout.write(`not run, unchanged since it passed here: ${file}\n`);
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 ? 0 : 1;
}

async function runStep(step: Step): Promise<Count> {
  const report = join(reports, `${step.name.replaceAll(/\W+/g, "-")}.json`);
  rmSync(report, { force: true });
  const extra =
    step.isVitest === true ? ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`] : [];
  const memory = await step.passedFiles?.();
  const leftOut = memory?.unchanged() ?? [];
  // Vitest's own --exclude does not reach the projects.
  const env = leftOut.length === 0 ? step.env : { ...step.env, OZ_LEFT_OUT: leftOut.join() };
  const isDone = await runCommand([...step.command, ...extra], env);
  if (step.isVitest !== true) return { ...none, passed: isDone ? 1 : 0, failed: isDone ? 0 : 1 };
  const read = readReport(report);
  if (read === undefined) return { ...none, failed: 1 };
  memory?.remember(passedFilesIn(read));
  const { numPassedTests: passed, numFailedTests: failed } = read;
  const count: Count = { passed, failed, secondTries: secondTriesIn(read), leftOut };
  // A run can fail without a failed test: a file that does not load, an error outside any test.
  if (!isDone && count.failed === 0) count.failed = 1;
  return count;
}

function runCommand([program = "", ...args]: readonly string[], env: Step["env"] = {}): Promise<boolean> {
  const path = `${join(root, "node_modules", ".bin")}${process.platform === "win32" ? ";" : ":"}${process.env.PATH}`;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, PATH: path, ASTRO_TELEMETRY_DISABLED: "1", ...env },
      shell: process.platform === "win32",
    });
    child.on("error", (error) => {
      process.stderr.write(`${program}: ${error.message}\n`);
      resolve(false);
    });
    child.on("exit", (code) => resolve(code === 0));
  });
}

function readReport(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

/** A file's path from the root. */
function fromRoot(path: string): string {
  return relative(root, path).replaceAll(sep, "/");
}

/** The files of which every test passed at its first try. */
function passedFilesIn({ testResults }: Report): string[] {
  return testResults
    .filter(({ status, assertionResults }) => {
      const isGood = assertionResults.every(
        (test) => test.status === "passed" && test.failureMessages.length === 0,
      );
      return status === "passed" && isGood;
    })
    .map(({ name }) => fromRoot(name));
}

function secondTriesIn({ testResults }: Report): string[] {
  return testResults.flatMap(({ name, assertionResults }) => {
    const file = fromRoot(name);
    return assertionResults
      .filter(({ status, failureMessages }) => status === "passed" && failureMessages.length > 0)
      .map(({ ancestorTitles, title, failureMessages: [message = ""] }) => {
        const path = [file, ...ancestorTitles.filter((ancestor) => ancestor !== ""), title].join(" > ");
        return `${path}\n  the first try: ${message.split("\n")[0]}`;
      });
  });
}

/** Type checks: one for each environment, since each has its own globals. */
export const typeSteps: readonly Step[] = [
  "reference/tsconfig.json",
  "reference/node/tsconfig.json",
  "reference/node/admin/page/tsconfig.json",
  "reference/browser/tsconfig.json",
  "reference/tsconfig.test.json",
  "exercises/tsconfig.json",
  "exercises/grader/embedded/tsconfig.json",
  "exercises/grader/embedded/test/tsconfig.json",
  "scripts/tsconfig.json",
  "site/worker/tsconfig.json",
].map((project) => ({ name: `types: ${project}`, command: ["tsc", "-p", project] }));

/** Worker count for machines with few cores. */
export const workersMax = Math.max(2, Math.min(4, cpus().length));
