/** A cluster on one machine, for looking at: each node a process that can be killed, and comes back. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { makeDirectory } from "./make-directory.ts";
import type { CertificateFiles } from "./throwaway-certificates.ts";
import { tlsFlags, writeThrowawayCertificates } from "./throwaway-certificates.ts";

/** One node as it is shown. */
interface DemoNode {
  readonly node: string;
  readonly address: string;
  readonly pid: number;
  /** Address of its dashboard. */
  readonly dashboard: string;
}

/** The cluster, when every node accepts connections. */
interface RunningDemo {
  readonly kind: "running";
  readonly nodes: readonly DemoNode[];
  /** File with the authority to trust, when the nodes speak TLS. */
  readonly authority: string | undefined;
  /** Resolves when all of it has been stopped. */
  readonly ended: Promise<void>;
}

/** Why there is none, in one line. */
interface DemoProblem {
  readonly kind: "problem";
  readonly message: string;
}

/** What the demo is given. */
interface DemoOptions {
  /** As many as the folder holds, or three, when absent. */
  readonly nodes: number | undefined;
  readonly data: string | undefined;
  /** Whether the nodes speak TLS, with certificates that are made for this run. */
  readonly isTls: boolean;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Where a node listens: the same ports each time, since the nodes know each other by them. */
interface Place {
  readonly node: string;
  readonly port: number;
  readonly adminPort: number;
}

const program = fileURLToPath(new URL("../../oz.mjs", import.meta.url));
const restartMs = 3000;
const nodesDefault = 3;
const placesFile = "demo.json";

/** Starts the nodes. */
export async function startDemo(options: DemoOptions): Promise<RunningDemo | DemoProblem> {
  const { data, note, signal } = options;
  const folder = data === undefined ? await newFolder() : resolve(data);
  const places = await placesIn(folder, options.nodes);
  if ("kind" in places) return places;
  const files = options.isTls ? await certificatesIn(folder) : undefined;
  const flags = files === undefined ? [] : tlsFlags(files);
  const nodes = places.map((place) => new DemoProcess(place, places, folder, flags));
  const problems = await Promise.all(nodes.map((node) => node.start()));
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
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
  for (const node of nodes) void node.keepAlive(note, signal);
  return { kind: "running", nodes: nodes.map((node) => node.shown()), authority: files?.authority, ended };
}

function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "oz-demo-"));
}

/** New ones for each run: all nodes are started with it, and nobody else has to trust them. */
async function certificatesIn(folder: string): Promise<CertificateFiles> {
  const place = join(folder, "tls");
  await makeDirectory(place);
  return writeThrowawayCertificates(place, Date.now());
}

/** Where the nodes of a folder listen; in a new one, on ports that nobody uses now. */
async function placesIn(folder: string, wanted: number | undefined): Promise<Place[] | DemoProblem> {
  const file = join(folder, placesFile);
  try {
    const places = JSON.parse(await readFile(file, "utf8")) as Place[];
    if (wanted === undefined || wanted === places.length) return places;
    return problem(`data folder ${folder}: its cluster has ${places.length} nodes, not ${wanted}`);
  } catch (error) {
    if (error instanceof SyntaxError) return problem(`${file}: it is damaged; take another folder`);
    // Everything else shows when it is written.
  }
  const count = wanted ?? nodesDefault;
  const ports = await freePorts(2 * count);
  const places = Array.from({ length: count }, (_, index) => {
    return { node: `n${index + 1}`, port: ports[2 * index] ?? 0, adminPort: ports[2 * index + 1] ?? 0 };
  });
  try {
    await makeDirectory(folder);
    await writeFile(file, `${JSON.stringify(places)}\n`);
  } catch (error) {
    return problem(`data folder ${folder}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return places;
}

/** One node: a process, and after its end another one. */
class DemoProcess {
  readonly #place: Place;
  readonly #argv: readonly string[];
  #child: ChildProcess | undefined;

  constructor(place: Place, all: readonly Place[], folder: string, flags: readonly string[]) {
    this.#place = place;
    const { node, adminPort } = place;
    const spec = all.map((other) => `${other.node}=${addressOf(other)}`).join(",");
    const own = ["--node", node, "--cluster", spec, "--data", join(folder, node)];
    const quiet = ["--admin-port", String(adminPort), "--log-level", "silent"];
    this.#argv = [program, "serve", ...own, ...quiet, ...flags];
  }

  shown(): DemoNode {
    const { node, adminPort } = this.#place;
    const dashboard = `http://127.0.0.1:${adminPort}/`;
    return { node, address: addressOf(this.#place), pid: this.#child?.pid ?? 0, dashboard };
  }

  /** Resolves when the node accepts connections, or to the line with which it ended. */
  start(): Promise<string | undefined> {
    // In a group of its own, so that Ctrl-C reaches the nodes through us and not all at once; with a channel, so that
    // none is left behind when this process is killed.
    const child = spawn(process.execPath, this.#argv, {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      detached: true,
    });
    this.#child = child;
    return new Promise((resolve) => {
      let lastLine = "";
      child.stderr?.on("data", (chunk: Buffer) => {
        lastLine = chunk.toString().trim().split("\n").at(-1) ?? "";
      });
      child.stdout?.once("data", () => resolve(undefined));
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code) =>
        resolve(lastLine.replace(/^oz: /, "") || `a node ended with ${String(code)}`),
      );
    });
  }

  /** Starts the node again whenever it has ended, until `signal` fires. */
  async keepAlive(note: (line: string) => void, signal: AbortSignal): Promise<void> {
    const { node } = this.#place;
    for (;;) {
      const how = await ended(this.#child);
      if (signal.aborted) return;
      note(`${node} ended (${how}); it comes back in ${restartMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, restartMs).unref());
      if (signal.aborted) return;
      const why = await this.start();
      note(why === undefined ? `${node} is back, pid ${this.shown().pid}` : `${node}: ${why}`);
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await ended(this.#child);
  }
}

/** Resolves when a process is gone, to the signal or the status with which it ended. */
function ended(child: ChildProcess | undefined): Promise<string> {
  const how = (): string => child?.signalCode ?? String(child?.exitCode);
  if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return Promise.resolve(how());
  return new Promise((resolve) => child.once("exit", () => resolve(how())));
}

function addressOf({ port }: Place): string {
  return `127.0.0.1:${port}`;
}

function problem(message: string): DemoProblem {
  return { kind: "problem", message };
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
