/** `oz` as real processes, for tests: started, fed, killed, and never left behind. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { firstLine } from "./bench/server-process.ts";

const program = fileURLToPath(new URL("../../oz.mjs", import.meta.url));

/** How a process ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A server that a test runs. */
export interface TestServer {
  readonly address: string;
  readonly process: ChildProcess;
  /** Ends it as a power cut would end the process; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Processes and folders of one test; `cleanUp` ends and removes them all. */
export class OzProcesses {
  readonly #children = new Set<ChildProcess>();
  readonly #folders: string[] = [];

  async folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "oz-test-"));
    this.#folders.push(path);
    return path;
  }

  /** Starts `oz serve`; resolves when it accepts connections. Without `--port`, on a free one. */
  async serve(data: string, ...flags: readonly string[]): Promise<TestServer> {
    const port = flags.includes("--port") ? [] : ["--port", "0"];
    const argv = ["serve", "--data", data, ...port, ...flags];
    const child = this.start(argv);
    const address = await firstLine(child, /^listening on (\S+)$/);
    const kill = (signal: NodeJS.Signals = "SIGKILL"): Promise<number | null> => {
      const gone = new Promise<number | null>((resolve) => child.once("exit", resolve));
      child.kill(signal);
      return gone;
    };
    return { address, process: child, kill };
  }

  /** Starts `oz` with these arguments. */
  start(argv: readonly string[], options: { readonly uid?: number } = {}): ChildProcess {
    const child = spawn(process.execPath, [program, ...argv], {
      stdio: ["pipe", "pipe", "pipe"],
      ...options,
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    child.stdin.on("error", () => {});
    return child;
  }

  /** Runs `oz` to its end. */
  run(
    argv: readonly string[],
    input: Uint8Array = new Uint8Array(0),
    options: { readonly uid?: number } = {},
  ): Promise<Ended> {
    const child = this.start(argv, options);
    child.stdin?.end(input);
    return finished(child);
  }

  /** Waits until a topic has records. */
  async recordsIn(topic: string, server: string): Promise<void> {
    for (;;) {
      const { code, stdout } = await this.run(["topics", "describe", topic, "--json", "--server", server]);
      if (code !== 0) continue;
      const { partitions } = JSON.parse(stdout.toString()) as { partitions: { endOffset: number }[] };
      if ((partitions[0]?.endOffset ?? 0) > 0) return;
    }
  }

  async cleanUp(): Promise<void> {
    for (const child of this.#children) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
}

/** Resolves when the process has ended and everything that it wrote is read. */
export function finished(child: ChildProcess): Promise<Ended> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  return new Promise((resolve) => {
    child.once("close", (code) => {
      resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
  });
}
