/** Servers of their own for a benchmark: started on a free port with a folder that is removed afterwards. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interface } from "node:readline";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** A server process that a benchmark started. */
export interface ServerProcess {
  readonly address: string;
  readonly pid: number;
  /** Its resident memory in bytes; 0 where the system does not tell. */
  residentBytes(): Promise<number>;
  /** Its JavaScript heap in bytes, after a collection; 0 when the server was not started for that. */
  heapBytes(): Promise<number>;
  /** How it ended and what it said last, if it ended by itself a moment ago; empty while it runs. */
  lastWords(): Promise<string>;
  stop(): Promise<void>;
}

const program = fileURLToPath(new URL("../../../oz.mjs", import.meta.url));
const stopTimeoutMs = 10_000;
/** A connection may be gone a moment before the process is seen to be. */
const lastWordsWaitMs = 200;
const lastWordsMax = 1000;

/** How a server is started. */
export interface SpawnOptions {
  /** For its data; the system's folder for temporary files when absent. */
  readonly folder?: string;
  /** Let it be asked for its heap: it collects on SIGUSR2. */
  readonly isMeasured?: boolean;
  /** A free one when absent. */
  readonly port?: number;
}

/** Makes a signal collect all garbage, so that what is left is what is held. */
const collectOnSignal = ["--expose-gc", "--import", "data:text/javascript,process.on('SIGUSR2',()=>gc())"];

/** Starts `oz serve` with these flags on a free port; rejects with what it said when it does not come up. */
export async function spawnServer(
  flags: readonly string[],
  { folder, isMeasured = false, port = 0 }: SpawnOptions = {},
): Promise<ServerProcess> {
  const data = await mkdtemp(join(folder ?? tmpdir(), "oz-bench-"));
  const adminPort = await freePort();
  const own = ["serve", "--data", data, "--port", String(port), "--admin-port", String(adminPort)];
  const argv = [...(isMeasured ? collectOnSignal : []), program, ...own, ...flags];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const remove = (): Promise<void> => rm(data, { recursive: true, force: true });
  const address = await firstLine(child, /^listening on (\S+)$/).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  let said = "";
  const listen = (chunk: Buffer): void => void (said = (said + chunk.toString()).slice(-lastWordsMax));
  for (const stream of [child.stdout, child.stderr]) stream.on("data", listen);
  return {
    address,
    pid: child.pid ?? 0,
    async lastWords() {
      const isGone = (): boolean => child.exitCode !== null || child.signalCode !== null;
      if (!isGone()) await Promise.race([once(child, "exit"), sleep(lastWordsWaitMs)]);
      return isGone() ? `the server ended with ${child.exitCode ?? child.signalCode}: ${said.trim()}` : "";
    },
    residentBytes: () => residentBytes(child.pid),
    async heapBytes() {
      if (!isMeasured || !child.kill("SIGUSR2")) return 0;
      // The signal is handled before the request that is sent after it, or shortly afterwards: the second one sees it.
      await heapBytes(adminPort);
      return heapBytes(adminPort);
    },
    stop: () => end(child, remove),
  };
}

/** Resolves to the first group of the first line that matches; rejects when the process ends before. */
export function firstLine(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const readers: Interface[] = [];
    const look = (line: string): void => {
      if (said.length < 2000) said += `${line}\n`;
      const match = pattern.exec(line);
      if (match === null) return;
      resolve(match[1] ?? "");
      // What comes after is not looked at, but must be taken, or the process would wait for us.
      for (const reader of readers) reader.close();
      for (const stream of [child.stdout, child.stderr]) stream?.resume();
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) readers.push(createInterface(stream).on("line", look));
    }
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code}: ${said.trim()}`)));
  });
}

/** Asks a process to end, then makes it; then cleans up. */
export async function end(child: ChildProcess, cleanUp: () => Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await gone;
    clearTimeout(timer);
  }
  await cleanUp();
}

async function residentBytes(pid: number | undefined): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The heap, by the server's own metrics. */
async function heapBytes(adminPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  return Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(await response.text())?.[1] ?? 0);
}

/** A port of the loopback address that nobody listened on a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : 0));
    });
  });
}
