/**
 * The WebContainer backend: the real Vitest, in a Node that runs inside the page.
 *
 * The container is booted once, gets a package.json with pinned versions and the runner's files, installs them, and is
 * then kept; each run puts the bundle into a folder of its own and starts Vitest there, with the same runner and the
 * same messages as the local backend, only over stdout.
 *
 * What the tests prove, and what they cannot: they drive this file through `local-process-container.ts`, which has the
 * same interface and starts real processes. So the order of steps, the files, the messages, hangs, kills and grades
 * are proven. Not proven are the container's own cloud, its `npm install` (the stand-in links packages that are here
 * already, with Vite 8 where a container gets Vite 7, because Vite 8 does not run there), and its file descriptors.
 */
import type { Backend, RunEnd, RunEvent, RunRequest } from "../backend.ts";
import {
  configFile,
  configPath,
  packageFile,
  runFilePath,
  subjectFiles,
  type RunFile,
} from "../process/layout.ts";
import { supervise, type RunnerHost } from "../process/supervise.ts";
import { prepare } from "../source/prepare.ts";
import { fileTreeOf, type Container, type ContainerProcess } from "./container.ts";

export interface WebContainerOptions {
  /**
   * Boots a container: `async () => (await import("@webcontainer/api")).WebContainer.boot({ coep:
   * "credentialless" })`.
   */
  readonly boot: () => Promise<Container>;
  /**
   * The texts of `exercises/grader/process/*.ts` and `exercises/grader/runner/*.ts`, by path from the
   * project's root.
   */
  readonly runnerFiles: Readonly<Record<string, string>>;
  /** How long a boot may take before the page had better use the embedded backend. */
  readonly bootTimeLimitMs?: number;
  /** Told what is going on while the container gets ready, in a few words. */
  readonly onProgress?: (step: string) => void;
}

/**
 * What the container installs. Vitest is the version that the project itself uses; Vite 7, because the native bundler
 * of Vite 8 does not run in WebContainers, and Vitest 5 takes either.
 */
export const containerPackages = { vitest: "5.1.1", vite: "^7.3.0", "fast-check": "4.10.2" } as const;

const bootTimeLimitMs = 20_000;
const startTimeLimitMs = 60_000;
/** Where runs happen, below the folder that the container starts in. */
const runFolder = "run";
/** stdout: a process in a container has no other pipe to the page. */
const messagesFd = 1;

export function createWebContainerBackend(options: WebContainerOptions): Backend {
  let ready: Promise<Container> | undefined;
  // One run at a time: there is one run folder.
  let last: Promise<unknown> = Promise.resolve();
  const container = (): Promise<Container> => {
    ready ??= makeReady(options);
    // A boot that failed may do better the next time.
    ready.catch(() => (ready = undefined));
    return ready;
  };
  return {
    name: "webcontainer",
    run(request, onEvent, signal) {
      const turn = last.then(() => runInContainer(container, request, onEvent, signal));
      const end = turn.catch((error: unknown): RunEnd => ({ kind: "broken", reason: messageOf(error) }));
      last = end;
      return end;
    },
    async dispose() {
      const booted = ready;
      ready = undefined;
      (await booted?.catch(() => undefined))?.teardown();
    },
  };
}

/** Boots, mounts what stays, and installs. */
async function makeReady({
  boot,
  runnerFiles,
  onProgress,
  ...options
}: WebContainerOptions): Promise<Container> {
  const limitMs = options.bootTimeLimitMs ?? bootTimeLimitMs;
  onProgress?.("starting the container");
  const container = await bootWithin(boot, limitMs);
  try {
    const engines = { node: ">=22.12" };
    const files = Object.entries(runnerFiles)
      .filter(([path]) => !path.endsWith(".test.ts"))
      .map(([path, text]) => [path.replace("exercises/grader/", "runner/"), text]);
    await container.mount(
      fileTreeOf({
        ...Object.fromEntries(files),
        "package.json": packageFile({ engines, dependencies: containerPackages }),
      }),
    );
    onProgress?.("installing Vitest");
    const install = await container.spawn("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    const output = await readAll(install);
    const code = await install.exit;
    if (code !== 0) throw new Error(`npm install in the container failed with ${code}: ${lastLine(output)}`);
    onProgress?.("ready");
    return container;
  } catch (error) {
    container.teardown();
    throw error;
  }
}

async function bootWithin(boot: () => Promise<Container>, limitMs: number): Promise<Container> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const booting = boot();
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      // A container that comes after all is of no use any more.
      booting.then((container) => container.teardown()).catch(() => {});
      reject(new Error(`the container did not start within ${limitMs / 1000} s`));
    }, limitMs);
  });
  try {
    return await Promise.race([booting, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

async function runInContainer(
  ready: () => Promise<Container>,
  { bundle, submission, seed, only }: RunRequest,
  onEvent: (event: RunEvent) => void,
  signal?: AbortSignal,
): Promise<RunEnd> {
  const preparation = prepare(bundle, submission);
  if (preparation.kind === "refused") return { kind: "unloadable", errors: preparation.errors };
  if (preparation.kind === "broken") return preparation;
  const { exercise, suite } = bundle;
  const container = await ready();
  await container.fs.rm(runFolder, { recursive: true, force: true });
  await container.fs.mkdir(runFolder, { recursive: true });
  const config = configFile({
    exercise,
    runner: "../runner/process/entry.ts",
    guard: "../runner/process/guard.ts",
    isNative: false,
  });
  const files = { ...subjectFiles(bundle, submission), "package.json": packageFile(), [configPath]: config };
  await container.mount(fileTreeOf(files), { mountPoint: runFolder });
  const { memoryLimitMiB, testTimeLimitMs } = exercise;
  const host = containerHost(container, { seed, memoryLimitMiB, ...(only === undefined ? {} : { only }) });
  const ends = await supervise(host, {
    suites: [suite],
    testTimeLimitMs,
    memoryLimitMiB,
    startTimeLimitMs,
    onEvent: (_suite, event) => onEvent(event),
    ...(signal === undefined ? {} : { signal }),
  });
  return ends.get(suite)!;
}

/** Starts Vitest in the run folder of `container`. */
function containerHost(
  container: Container,
  runFile: Omit<RunFile, "except" | "messagesFd" | "endsWithParent">,
): RunnerHost {
  return {
    async start(plan, onText) {
      const contents: RunFile = { ...runFile, messagesFd, endsWithParent: false, except: plan.except };
      await container.fs.writeFile(`${runFolder}/${runFilePath}`, JSON.stringify(contents));
      const args = [
        "../node_modules/vitest/vitest.mjs",
        "run",
        "--config",
        configPath,
        "--no-color",
        ...plan.suites,
      ];
      const process = await container.spawn("node", args, { cwd: runFolder, env: { NO_COLOR: "1" } });
      const exited = Promise.all([readAll(process, onText), process.exit]).then(([output]) => ({ output }));
      return { exited, kill: () => process.kill() };
    },
  };
}

/** The end of what the process writes, once it is over; each chunk goes to `onText` as it comes. */
async function readAll(
  process: ContainerProcess,
  onText: (text: string) => void = () => {},
): Promise<string> {
  let output = "";
  const reader = process.output.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    output = (output + read.value).slice(-4_000);
    onText(read.value);
  }
  return output;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
