/**
 * Clusters of real processes, for tests and measurements: nodes that are killed as a power cut would end them, paused,
 * cut off from each other and put on a disk that is full, and brought back.
 *
 * Everything here goes through what anybody could use: the program's flags, its port, its signals.
 */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { call } from "../client/calls.ts";
import type { Credentials } from "../client/handshake-call.ts";
import { ServerPool } from "../client/pool.ts";
import type { MessageName, ReplyOf, RequestOf } from "../protocol/messages.ts";
import { firstLine } from "./bench/server-process.ts";
import { nodeClock } from "./clock.ts";
import { NodeNetwork } from "./network.ts";
import type { NetworkOptions } from "./network.ts";
import { TestLinks } from "./test-links.ts";
import type { OzProcesses } from "./test-processes.ts";

/** One node of the cluster under test. */
export interface TestNode {
  readonly name: string;
  /** Where clients and other nodes reach it: its proxy. */
  readonly address: string;
  readonly data: string;
  /** Started to be added to a cluster that is there already. */
  readonly isJoining: boolean;
  process: ChildProcess | undefined;
  /** What the process said on stderr, its last words at least. */
  said: string;
  /** For asking it past its proxy; undefined while it does not run. */
  pool: ServerPool | undefined;
}

/** How a cluster is made. */
export interface TestClusterOptions {
  readonly count: number;
  readonly flags?: readonly string[];
  /** More flags for one node; asked at each start. */
  readonly flagsOf?: (name: string) => readonly string[];
  /** How a node is asked past its proxy, where it speaks TLS or wants to know who asks. */
  readonly tls?: NonNullable<NetworkOptions["tls"]>;
  readonly credentials?: Credentials;
  /** The folder for a node's data; a new temporary one when absent. */
  readonly dataOf?: (name: string) => string | undefined;
}

/** How often a test looks whether something has come about. */
const lookMs = 10;
const askTimeoutMs = 500;
const lastWordsMax = 2000;

/** Some nodes on this machine. */
export class TestCluster {
  readonly links = new TestLinks();
  readonly nodes: TestNode[] = [];
  /** What nodes said that nobody should ever read, and ends that nobody asked for. */
  readonly surprises: string[] = [];
  readonly #processes: OzProcesses;
  readonly #options: TestClusterOptions;
  readonly #folder: string;
  #count = 0;

  static async start(processes: OzProcesses, options: TestClusterOptions): Promise<TestCluster> {
    const cluster = new TestCluster(processes, options, await processes.folder());
    for (let number = 0; number < options.count; number++) await cluster.#add(false);
    await Promise.all(cluster.nodes.map(({ name }) => cluster.serve(name)));
    return cluster;
  }

  private constructor(processes: OzProcesses, options: TestClusterOptions, folder: string) {
    this.#processes = processes;
    this.#options = options;
    this.#folder = folder;
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  get running(): TestNode[] {
    return this.nodes.filter(({ process }) => process !== undefined);
  }

  /** The arguments that start a node. */
  argvOf(name: string): string[] {
    const { data, isJoining } = this.node(name);
    const spec = this.nodes.map((node) => `${node.name}=${node.address}`).join(",");
    const own = ["--node", name, "--cluster", spec, "--data", data, "--port", "0", "--admin-port", "0"];
    const { flags = [], flagsOf = () => [] } = this.#options;
    return ["serve", ...own, ...(isJoining ? ["--join", "true"] : []), ...flags, ...flagsOf(name)];
  }

  node(name: string): TestNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Starts a node, again if need be; resolves when it accepts connections. */
  async serve(name: string): Promise<void> {
    const node = this.node(name);
    const child = this.#processes.start(this.argvOf(name));
    node.process = child;
    this.#watch(node, child);
    const address = await firstLine(child, /^listening on (\S+)$/);
    this.links.reach(name, address);
    const { tls, credentials } = this.#options;
    node.pool = new ServerPool(address, {
      network: new NodeNetwork({ connectTimeoutMs: askTimeoutMs, ...(tls !== undefined && { tls }) }),
      session: { clock: nodeClock, requestTimeoutMs: askTimeoutMs },
      introduction: { clientName: "test", credentials, sign: undefined },
      size: 1,
    });
  }

  /** Starts another node, which waits to be added; resolves to it. */
  async join(): Promise<TestNode> {
    const node = await this.#add(true);
    await this.serve(node.name);
    return node;
  }

  /** Takes a node that has been removed out of the list, and ends it. */
  async forget(name: string): Promise<void> {
    await this.kill(name);
    this.nodes.splice(this.nodes.indexOf(this.node(name)), 1);
  }

  /** Ends a node at once; resolves when it is gone. */
  async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const node = this.node(name);
    const child = node.process;
    this.#gone(node);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  /** Stops a node's time, or lets it go on. */
  pause(name: string, isPaused: boolean): void {
    this.node(name).process?.kill(isPaused ? "SIGSTOP" : "SIGCONT");
  }

  /** Asks one node, past its proxy and without looking for another; rejects with what it says. */
  async ask<Name extends MessageName>(
    name: string,
    request: Name,
    fields: RequestOf<Name>,
    timeoutMs = askTimeoutMs,
  ): Promise<ReplyOf<Name>> {
    const { pool } = this.node(name);
    if (pool === undefined) throw new Error(`${name} does not run`);
    const { session } = await pool.acquire(0);
    return call(session, request, fields, { timeoutMs });
  }

  /** What a node knows; undefined when it cannot be asked. */
  stateOf(name: string): Promise<ReplyOf<"ClusterState"> | undefined> {
    return this.ask(name, "ClusterState", {}).catch(() => undefined);
  }

  /** Resolves to the name of a node that says that it leads and may answer. */
  async leader(): Promise<string> {
    for (;;) {
      const states = await Promise.all(this.running.map(({ name }) => this.stateOf(name)));
      // A leader that was cut off may not know of the next one yet.
      const leading = states.filter((state) => state !== undefined && state.leader === state.node);
      const [latest] = leading.toSorted((one, other) => (other?.term ?? 0) - (one?.term ?? 0));
      if (latest !== undefined) return latest.node;
      await sleep(lookMs);
    }
  }

  /** Resolves when one of these nodes has said this line. */
  async hears(names: readonly string[], line: string): Promise<void> {
    while (!names.some((name) => this.node(name).said.split("\n").includes(line))) await sleep(lookMs);
  }

  /** The names of the nodes that do not lead. */
  async followers(): Promise<string[]> {
    const leader = await this.leader();
    return this.nodes.map(({ name }) => name).filter((name) => name !== leader);
  }

  /** Resolves when every running node has carried out all that is committed now. */
  async caughtUp(): Promise<void> {
    const commitIndex = (await this.stateOf(await this.leader()))?.commitIndex ?? 0;
    for (const { name } of this.running) {
      while (((await this.stateOf(name))?.appliedIndex ?? 0) < commitIndex) await sleep(lookMs);
    }
  }

  /** Opens all links, lets all nodes go on, and starts those that have ended. */
  async heal(): Promise<void> {
    this.links.heal();
    for (const { name } of this.running) this.pause(name, false);
    const down = this.nodes.filter(({ process }) => process === undefined);
    await Promise.all(down.map(({ name }) => this.serve(name)));
  }

  close(): void {
    for (const { pool } of this.nodes) pool?.destroy();
    this.links.close();
  }

  async #add(isJoining: boolean): Promise<TestNode> {
    const name = `n${++this.#count}`;
    const address = await this.links.open(name);
    const data = this.#options.dataOf?.(name) ?? join(this.#folder, name);
    const node = { name, address, data, isJoining, process: undefined, said: "", pool: undefined };
    this.nodes.push(node);
    return node;
  }

  /** Notes what a node says and how it ends. */
  #watch(node: TestNode, child: ChildProcess): void {
    let said = "";
    node.said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-lastWordsMax);
      if (node.process === child) node.said = said;
      if (said.includes("internal error")) this.surprises.push(`${node.name} said: ${said.trim()}`);
    });
    child.once("exit", (code, signal) => {
      if (node.process !== child) return;
      this.#gone(node);
      this.surprises.push(`${node.name} ended with ${code ?? signal}: ${said.trim()}`);
    });
  }

  #gone(node: TestNode): void {
    node.process = undefined;
    node.pool?.destroy();
    node.pool = undefined;
    this.links.reach(node.name, undefined);
  }
}
