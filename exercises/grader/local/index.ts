/**
 * The local backend: the real Vitest in a child process, with limits of time and memory that hold.
 *
 * Each run gets a folder of its own below `.oz/runs` with exactly the bundle's files, and a fresh process. Node loads
 * the TypeScript by itself, so positions in stacks are those of the file, and nothing is transformed: from the start
 * of the process to the verdict takes about half a second.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Backend, RunEnd, RunEvent, RunRequest } from "../backend.ts";
import {
  configFile,
  configPath,
  packageFile,
  runFilePath,
  subjectFiles,
  type RunFile,
} from "../process/layout.ts";
import { supervise, type ProcessPlan, type RunnerHost, type RunnerProcess } from "../process/supervise.ts";
import { prepare } from "../source/prepare.ts";

/** Where runs have their folders; the project's `.oz` unless a test says otherwise. */
export interface LocalOptions {
  readonly projectRoot?: string;
}

const ownRoot = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const graderFolder = dirname(dirname(fileURLToPath(import.meta.url)));

/** The descriptor that the child writes its messages to, beside stdin, stdout and stderr. */
const messagesFd = 3;
const startTimeLimitMs = 30_000;

export function createLocalBackend({ projectRoot = ownRoot }: LocalOptions = {}): Backend {
  return {
    name: "local",
    async run(request, onEvent, signal) {
      try {
        return await runLocally(projectRoot, request, onEvent, signal);
      } catch (error) {
        return { kind: "broken", reason: error instanceof Error ? error.message : String(error) };
      }
    },
    // Nothing is kept warm: a process that ran a submission is not trusted with another one.
    dispose: async () => {},
  };
}

async function runLocally(
  projectRoot: string,
  { bundle, submission, seed, only }: RunRequest,
  onEvent: (event: RunEvent) => void,
  signal?: AbortSignal,
): Promise<RunEnd> {
  const preparation = prepare(bundle, submission);
  if (preparation.kind === "refused") return { kind: "unloadable", errors: preparation.errors };
  if (preparation.kind === "broken") return preparation;
  const { exercise, suite } = bundle;
  const folder = makeRunFolder(projectRoot);
  try {
    writeFiles(folder, subjectFiles(bundle, submission));
    const runFile = {
      seed,
      messagesFd,
      memoryLimitMiB: exercise.memoryLimitMiB,
      ...(only === undefined ? {} : { only }),
    };
    const ends = await supervise(createLocalHost(folder, exercise, runFile), {
      suites: [suite],
      testTimeLimitMs: exercise.testTimeLimitMs,
      memoryLimitMiB: exercise.memoryLimitMiB,
      startTimeLimitMs,
      onEvent: (_suite, event) => onEvent(event),
      ...(signal === undefined ? {} : { signal }),
    });
    return ends.get(suite)!;
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A new folder for a run; whoever makes it removes it. */
export function makeRunFolder(projectRoot: string = ownRoot): string {
  const runs = join(projectRoot, ".oz", "runs");
  mkdirSync(runs, { recursive: true });
  return mkdtempSync(join(runs, "run-"));
}

export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** Starts Vitest in `folder`, which holds the subjects already; the configuration is written here. */
export function createLocalHost(
  folder: string,
  exercise: Parameters<typeof configFile>[0]["exercise"],
  runFile: Omit<RunFile, "except" | "messagesFd" | "endsWithParent">,
): RunnerHost {
  const runner = join(graderFolder, "process", "entry.ts");
  const guard = join(graderFolder, "process", "guard.ts");
  writeFiles(folder, {
    "package.json": packageFile(),
    [configPath]: configFile({ exercise, runner, guard, isNative: true }),
  });
  return {
    async start(plan, onText) {
      const contents: RunFile = { ...runFile, messagesFd, endsWithParent: true, except: plan.except };
      writeFiles(folder, { [runFilePath]: JSON.stringify(contents) });
      return startVitest(folder, plan, onText);
    },
  };
}

function startVitest(folder: string, plan: ProcessPlan, onText: (text: string) => void): RunnerProcess {
  const vitest = createRequire(import.meta.url)
    .resolve("vitest/package.json")
    .replace(/package\.json$/, "vitest.mjs");
  const args = [
    vitest,
    "run",
    "--config",
    configPath,
    "--configLoader",
    "native",
    "--no-color",
    ...plan.suites,
  ];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    // Its own group of processes, so that a kill reaches what a submission starts.
    detached: process.platform !== "win32",
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    env: childEnvironment(),
  });
  let output = "";
  const keep = (text: string): void => void (output = (output + text).slice(-4_000));
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const messages = child.stdio[messagesFd] as NodeJS.ReadableStream;
  messages.setEncoding("utf8").on("data", onText);
  const exited = new Promise<{ output: string }>((resolve, reject) => {
    child.on("error", reject);
    // "close" comes when the pipes are empty too, so no message is missed.
    child.on("close", () => resolve({ output }));
  });
  return { exited, kill: () => killTree(child.pid) };
}

/** Nothing of the caller's Vitest, debugger or colours leaks into the child. */
function childEnvironment(): NodeJS.ProcessEnv {
  const isOurs = (name: string): boolean =>
    !/^(VITEST|NODE_OPTIONS$|NODE_V8_COVERAGE$|FORCE_COLOR$|TEST$)/.test(name);
  const entries = Object.entries(process.env).filter(([name]) => isOurs(name));
  return { ...Object.fromEntries(entries), NO_COLOR: "1", NODE_ENV: "test" };
}

function killTree(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    if (process.platform === "win32")
      spawn("taskkill", ["/pid", String(pid), "/t", "/f"], { stdio: "ignore" });
    else process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}
