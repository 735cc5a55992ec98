/** A cluster on one machine, for looking at: each node a process that can be killed, and comes back. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One node as it is shown. */
interface DemoNode {
  readonly node: string;
  readonly address: string;
  readonly pid: number;
}

/** The cluster, when every node accepts connections. */
interface RunningDemo {
  readonly kind: "running";
  readonly nodes: readonly DemoNode[];
  /** Address of the first node's dashboard. */
  readonly dashboard: string;
  /** Resolves when all of it has been stopped. */
  readonly ended: Promise<void>;
}

/** What the demo is given. */
interface DemoOptions {
  readonly nodes: number;
  readonly data: string | undefined;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

const program = fileURLToPath(new URL("../../oz.mjs", import.meta.url));
const restartMs = 3000;

/** Starts the nodes. */
export async function startDemo({
  nodes: count,
  data,
  note,
  signal,
}: DemoOptions): Promise<RunningDemo | { readonly kind: "problem"; readonly message: string }> {
  const folder = data ?? (await mkdtemp(join(tmpdir(), "oz-demo-")));
  const ports = await freePorts(count + 1);
  const [adminPort = 0] = ports;
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const addresses = names.map((_, index) => `127.0.0.1:${ports[index + 1] ?? 0}`);
  const spec = names.map((name, index) => `${name}=${addresses[index] ?? ""}`).join(",");
  const children = new Map<string, ChildProcess>();

  const start = async (name: string): Promise<string | undefined> => {
    const admin = name === "n1" ? adminPort : 0;
    const argv = ["serve", "--node", name, "--cluster", spec, "--data", join(folder, name)];
    const quiet = ["--admin-port", String(admin), "--log-level", "silent"];
    // In a group of its own, so that Ctrl-C reaches the nodes through us and not all at once.
    const child = spawn(process.execPath, [program, ...argv, ...quiet], {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    children.set(name, child);
    const problem = await listening(child);
    if (problem !== undefined) return problem;
    child.once("exit", (code, killedBy) => {
      if (signal.aborted) return;
      note(`${name} ended (${killedBy ?? String(code)}); it comes back in ${restartMs / 1000} s`);
      setTimeout(() => {
        if (!signal.aborted)
          void start(name).then((why) => note(why ?? `${name} is back, pid ${pidOf(name)}`));
      }, restartMs).unref();
    });
    return undefined;
  };
  const pidOf = (name: string): number => children.get(name)?.pid ?? 0;

  const problems = await Promise.all(names.map(start));
  const stop = async (): Promise<void> => {
    await Promise.all([...children.values()].map(stopped));
    if (data === undefined) await rm(folder, { recursive: true, force: true });
  };
  const problem = problems.find((line) => line !== undefined);
  if (problem !== undefined) {
    await stop();
    return { kind: "problem", message: problem };
  }
  const ended = new Promise<void>((resolve) => {
    const onAbort = (): void => void stop().then(resolve);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  const nodes = names.map((node, index) => ({ node, address: addresses[index] ?? "", pid: pidOf(node) }));
  return { kind: "running", nodes, dashboard: `http://127.0.0.1:${adminPort}/`, ended };
}

/** Resolves when the node accepts connections, or to the line with which it ended. */
function listening(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    let lastLine = "";
    child.stderr?.on(
      "data",
      (chunk: Buffer) => (lastLine = chunk.toString().trim().split("\n").at(-1) ?? ""),
    );
    child.stdout?.once("data", () => resolve(undefined));
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code) => resolve(lastLine === "" ? `a node ended with ${code}` : lastLine));
  });
}

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}

/** Ports that nobody uses now: the nodes must know each other's before any of them listens. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
