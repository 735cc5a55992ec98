/**
 * Clusters of real processes, for tests and measurements: nodes that are killed as a power cut would end them, clients
 * that go on writing and reading meanwhile, and a history of all that they were told, for the checkers to judge.
 */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { History } from "../checkers/history.ts";
import type { Operation } from "../checkers/history.ts";
import type { KafkaInput, KafkaOutput } from "../checkers/kafka-log.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import { firstLine } from "./bench/server-process.ts";
import { freePorts } from "./cluster-demo.ts";
import { Client } from "./client.ts";
import type { Delivered } from "./client.ts";
import type { OzProcesses } from "./test-processes.ts";

/** One node of the cluster under test. */
interface TestNode {
  readonly name: string;
  readonly address: string;
  readonly data: string;
  process: ChildProcess | undefined;
}

/** How often a test looks whether something has come about. */
const lookMs = 10;

/** Some nodes on this machine. */
export class TestCluster {
  readonly nodes: readonly TestNode[];
  readonly #processes: OzProcesses;
  readonly #spec: string;
  readonly #flags: readonly string[];
  /** A client for each node, to ask that one. */
  readonly #clients = new Map<string, Client>();

  static async start(
    processes: OzProcesses,
    count: number,
    flags: readonly string[] = [],
  ): Promise<TestCluster> {
    const folder = await processes.folder();
    const ports = await freePorts(count);
    const nodes = ports.map((port, index) => {
      const name = `n${index + 1}`;
      return { name, address: `127.0.0.1:${port}`, data: join(folder, name), process: undefined };
    });
    const cluster = new TestCluster(processes, nodes, flags);
    await Promise.all(nodes.map(({ name }) => cluster.serve(name)));
    return cluster;
  }

  private constructor(processes: OzProcesses, nodes: readonly TestNode[], flags: readonly string[]) {
    this.#flags = flags;
    this.#processes = processes;
    this.nodes = nodes;
    this.#spec = nodes.map(({ name, address }) => `${name}=${address}`).join(",");
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  /** The arguments that start a node. */
  argvOf(name: string): string[] {
    const { data } = this.node(name);
    const own = ["--node", name, "--cluster", this.#spec, "--data", data, "--admin-port", "0"];
    return ["serve", ...own, ...this.#flags];
  }

  node(name: string): TestNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Starts a node, again if need be; resolves when it accepts connections. */
  async serve(name: string): Promise<void> {
    const child = this.#processes.start(this.argvOf(name));
    this.node(name).process = child;
    child.stderr?.resume();
    await firstLine(child, /^listening on (\S+)$/);
  }

  /** Ends a node at once; resolves when it is gone. */
  async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const node = this.node(name);
    const child = node.process;
    node.process = undefined;
    this.#clients.get(name)?.destroy();
    this.#clients.delete(name);
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  /** What a node knows; undefined when it cannot be asked. */
  async stateOf(name: string): Promise<ReplyOf<"ClusterState"> | undefined> {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new Client(this.node(name).address, { retry: { attemptsMax: 1 }, connectTimeoutMs: 500 });
      this.#clients.set(name, client);
    }
    return client.call("ClusterState", {}, { timeoutMs: 500 }).catch(() => undefined);
  }

  /** Resolves to the name of a node that says that it leads and may answer. */
  async leader(): Promise<string> {
    for (;;) {
      for (const { name, process } of this.nodes) {
        const state = process === undefined ? undefined : await this.stateOf(name);
        if (state?.leader === name) return name;
      }
      await sleep(lookMs);
    }
  }

  /** Resolves when every running node has carried out all that is committed now. */
  async caughtUp(): Promise<void> {
    const commitIndex = (await this.stateOf(await this.leader()))?.commitIndex ?? 0;
    for (const { name, process } of this.nodes) {
      if (process === undefined) continue;
      while (((await this.stateOf(name))?.appliedIndex ?? 0) < commitIndex) await sleep(lookMs);
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.destroy();
    this.#clients.clear();
  }
}

/** Clients that write numbered records and read them, and note down all that they are told. */
export class TestLoad {
  readonly topic: string;
  readonly #history = new History<KafkaInput, KafkaOutput>();
  readonly #addresses: readonly string[];
  readonly #clients: Client[] = [];
  #isWriting = true;
  #running: Promise<unknown>[] = [];
  #sent = 0;
  /** When records were acknowledged, on the monotonic clock. */
  readonly acknowledgedAtMs: number[] = [];

  constructor(topic: string, addresses: readonly string[]) {
    this.topic = topic;
    this.#addresses = addresses;
  }

  /** Begins with a writer and a reader for each partition. */
  start(partitions: number): void {
    for (let partition = 0; partition < partitions; partition++) {
      this.#running.push(this.#write(partition), this.#read(partition));
    }
  }

  /** Lets the writers finish, reads everything once more from the start, and returns the history. */
  async finish(partitions: number): Promise<readonly Operation<KafkaInput, KafkaOutput>[]> {
    this.#isWriting = false;
    await Promise.all(this.#running);
    for (let partition = 0; partition < partitions; partition++)
      await this.#readAll(`end${partition}`, partition);
    for (const client of this.#clients) client.destroy();
    return this.#history.operations();
  }

  async #write(partition: number): Promise<void> {
    const process = `w${partition}`;
    const producer = this.#client().producer(this.topic, { deliveryTimeoutMs: 60_000 });
    while (this.#isWriting) {
      // A few at once, so that a leader dies with some of them on their way.
      const waves = Array.from({ length: 8 }, async () => {
        const message = ++this.#sent;
        const id = this.#history.invoke(process, { kind: "send", key: String(partition), message });
        const sent = await producer
          .send(String(message), { partition })
          .catch((error: unknown) => String(error));
        this.#note(id, sent);
      });
      await Promise.all(waves);
    }
    await producer.close();
  }

  #note(id: number, sent: Delivered | string): void {
    if (typeof sent === "string") return this.#history.complete(id, { kind: "unknown", reason: sent });
    this.acknowledgedAtMs.push(performance.now());
    this.#history.complete(id, { kind: "ok", output: { kind: "sent", offset: sent.offset } });
  }

  async #read(partition: number): Promise<void> {
    const process = `r${partition}`;
    const key = String(partition);
    const id = this.#history.invoke(process, { kind: "assign", keys: [key], fromStart: true });
    this.#history.complete(id, { kind: "ok", output: { kind: "done" } });
    const client = this.#client();
    let offset = 0;
    while (this.#isWriting) {
      const poll = this.#history.invoke(process, { kind: "poll" });
      const records = await client
        .fetch(this.topic, offset, { partition, waitMs: 100 })
        .catch(() => undefined);
      const pairs =
        records === undefined ? [] : [...records].map((record) => [record.offset, Number(record.text())]);
      this.#polled(poll, key, pairs as [number, number][]);
      offset = records?.nextOffset ?? offset;
    }
  }

  async #readAll(process: string, partition: number): Promise<void> {
    const key = String(partition);
    const client = this.#client();
    const { endOffset } = await client.getOffset(this.topic, partition);
    const assigned = this.#history.invoke(process, { kind: "assign", keys: [key], fromStart: true });
    this.#history.complete(assigned, { kind: "ok", output: { kind: "done" } });
    for (let offset = 0; offset < endOffset;) {
      const poll = this.#history.invoke(process, { kind: "poll" });
      const records = await client.fetch(this.topic, offset, { partition });
      const pairs = [...records].map((record): [number, number] => [record.offset, Number(record.text())]);
      this.#polled(poll, key, pairs);
      offset = records.nextOffset;
    }
  }

  #polled(id: number, key: string, pairs: readonly (readonly [number, number])[]): void {
    const messages = pairs.length === 0 ? {} : { [key]: pairs };
    this.#history.complete(id, { kind: "ok", output: { kind: "polled", messages } });
  }

  #client(): Client {
    const client = new Client(this.#addresses, { connectTimeoutMs: 1000, requestTimeoutMs: 5000 });
    this.#clients.push(client);
    return client;
  }
}
