/**
 * A stand-in for a WebContainer, for tests: a temporary folder of this machine and its real processes.
 *
 * It differs from the real one where it must. `npm install` is answered by linking the project's own `node_modules`,
 * since a container's network is not here; `node` is the Node that runs the tests. Everything else is done as asked.
 */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Container, ContainerProcess, FileTree } from "./container.ts";

const projectRoot = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** What a test can look at besides the container. */
export interface LocalProcessContainer extends Container {
  /** Every command that was spawned, as one line each. */
  readonly commands: readonly string[];
  readonly folder: string;
}

export async function bootLocalProcessContainer(): Promise<LocalProcessContainer> {
  const folder = await mkdtemp(join(tmpdir(), "oz-container-"));
  const commands: string[] = [];
  const running = new Set<ContainerProcess>();
  return {
    folder,
    commands,
    async mount(tree, options) {
      await writeTree(join(folder, options?.mountPoint ?? "."), tree);
    },
    async spawn(command, args, options) {
      commands.push([command, ...args].join(" "));
      if (command === "npm") return installed(folder);
      const started = start(command, args, join(folder, options?.cwd ?? "."), options?.env ?? {});
      running.add(started);
      void started.exit.then(() => running.delete(started));
      return started;
    },
    fs: {
      writeFile: (path, contents) => writeFile(join(folder, path), contents),
      mkdir: async (path, options) => (await mkdir(join(folder, path), options)) ?? "",
      rm: (path, options) => rm(join(folder, path), options),
    },
    teardown() {
      for (const process of running) process.kill();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The texts that the page gets by `import.meta.glob`, read from disk. */
export async function readRunnerFiles(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const folder of ["exercises/grader/process", "exercises/grader/runner"]) {
    for (const name of await readdir(join(projectRoot, folder))) {
      if (name.endsWith(".ts"))
        files[`${folder}/${name}`] = await readFile(join(projectRoot, folder, name), "utf8");
    }
  }
  return files;
}

async function writeTree(folder: string, tree: FileTree): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, entry] of Object.entries(tree)) {
    if ("file" in entry) await writeFile(join(folder, name), entry.file.contents);
    else await writeTree(join(folder, name), entry.directory);
  }
}

/** Answers `npm install`: links what is installed here. */
async function installed(folder: string): Promise<ContainerProcess> {
  await symlink(join(projectRoot, "node_modules"), join(folder, "node_modules"), "junction");
  return {
    output: new ReadableStream({ start: (controller) => controller.close() }),
    exit: Promise.resolve(0),
    kill() {},
  };
}

function start(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | number | boolean>>,
): ContainerProcess {
  const texts = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)]));
  const child = spawn(command === "node" ? process.execPath : command, args, {
    cwd,
    detached: process.platform !== "win32",
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...texts },
  });
  const output = new ReadableStream<string>({
    start(controller) {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => controller.enqueue(text));
      }
      child.on("close", () => controller.close());
    },
  });
  const exit = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? 137)));
  return { output, exit, kill: () => killGroup(child.pid) };
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}
