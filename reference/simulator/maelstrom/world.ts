/**
 * The world of a Maelstrom test: nodes, services and clients on one simulated network.
 *
 * As in the real Maelstrom, messages between nodes, and between nodes and services, take time and may be cut off;
 * those of clients arrive at once, so that latencies measured are the nodes' own.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { MaelstromNode, type LogRecord, type MakeProgram } from "#reference/maelstrom/node.ts";
import { isClient, type Json, type Message } from "#reference/maelstrom/message.ts";
import type { Latency } from "../latency.ts";
import { Simulation } from "../simulation.ts";
import type { SimulatedProcess } from "../process.ts";
import type { TraceSink } from "../trace.ts";
import { SimulatedJournal } from "./journal.ts";

/** How messages were counted: all of them, those of clients, and those between nodes, services included. */
export interface MessageCounts {
  sentCount: number;
  receivedCount: number;
}

/** What runs as a node: one of ours in this process, or any program in another. */
export interface NodeHost {
  /** Starts it; what it sends goes to `send`. Called again after a kill. */
  start(ports: HostPorts): void;
  receive(message: Message): void;
  kill(): void;
  pause(): void;
  resume(): void;
}

export interface HostPorts {
  readonly id: string;
  readonly process: SimulatedProcess;
  readonly random: SeededRandom;
  /** What survives a kill, for nodes that keep something. */
  readonly journal: SimulatedJournal;
  readonly send: (message: Message) => void;
  /** The node has done what no node may do. The test goes on, and its verdict is invalid. */
  readonly breach: (where: NodeError["where"], reason: string) => void;
  readonly log: (record: LogRecord) => void;
}

/** What a node did wrong, whatever the workload: in an answer, in what it writes, or by ending. */
export interface NodeError {
  readonly node: string;
  readonly where: "answer" | "output" | "process";
  readonly reason: string;
}

/** Errors that are kept; the rest are counted. */
export const nodeErrorsMax = 64;

export interface WorldOptions {
  readonly seed: number;
  readonly nodeCount: number;
  readonly latency: Latency;
  /** How likely a message between nodes is lost, or arrives twice; 0 as in Maelstrom, unless told otherwise. */
  readonly lossChance?: number;
  readonly duplicateChance?: number;
  readonly makeHost: (id: string) => NodeHost;
  readonly trace?: TraceSink;
}

/**
 * A storm: nodes that answer each message with several more never come to rest, and a simulation of them would not
 * either. So many messages between nodes, and so many more for each request of a client, are no honest design's.
 */
const stormMessages = 100_000;
const stormMessagesPerRequest = 1000;
/** So many events in one millisecond are a node that never lets time pass. */
const stormEventsPerMs = 200_000;

/** Node log lines that are kept. */
export const logLinesMax = 10_000;

/** Everything but the workload. */
export class MaelstromWorld {
  readonly simulation: Simulation<Message>;
  readonly nodeIds: readonly string[];
  readonly counts = {
    clients: { sentCount: 0, receivedCount: 0 },
    servers: { sentCount: 0, receivedCount: 0 },
  };
  readonly logs: (LogRecord & { readonly atMs: number })[] = [];
  /** What nodes did wrong: the first ones, and how many there were. */
  readonly nodeErrors: NodeError[] = [];
  nodeErrorCount = 0;
  /** Why the test cannot go on, once it cannot. */
  stuck: string | undefined;
  #eventsAtMs = { ms: 0, count: 0 };
  readonly #hosts = new Map<string, NodeHost>();
  /** Nodes and services. */
  readonly #names = new Set<string>();
  #clientCount = 0;

  constructor(options: WorldOptions) {
    const { seed, nodeCount, latency, lossChance = 0, duplicateChance = 0, trace } = options;
    this.simulation = new Simulation<Message>({
      seed,
      // With latencies that differ, messages overtake each other: nobody promises an order.
      network: {
        latency,
        lossChance,
        duplicateChance,
        reorderChance: latency.kind === "constant" ? 0 : 1,
        isReliable: (from, to) => isClient(from) || isClient(to),
      },
      describe: ({ body }) => ({ type: body.type, body: body as Json }),
      ...(trace === undefined ? {} : { trace }),
    });
    this.simulation.scheduler.afterEvent = () => this.#watch();
    this.nodeIds = Array.from({ length: nodeCount }, (_, index) => `n${index}`);
    for (const id of this.nodeIds) this.#addNode(id, options.makeHost(id));
  }

  get nowUs(): number {
    return this.simulation.scheduler.nowUs;
  }

  /** Sends on behalf of anyone, and counts. */
  send(message: Message): void {
    this.#countOf(message).sentCount++;
    const { clients, servers } = this.counts;
    if (servers.sentCount > stormMessages + stormMessagesPerRequest * clients.sentCount) {
      this.#stop(
        `nodes have sent more than ${servers.sentCount - 1} messages to each other: they never come to rest`,
      );
    }
    this.simulation.network.send(message.src, message.dest, message);
  }

  #stop(reason: string): void {
    this.stuck ??= reason;
    this.simulation.scheduler.stop();
  }

  /** After each event: has time moved at all lately? */
  #watch(): void {
    const ms = Math.floor(this.nowUs / 1000);
    if (ms !== this.#eventsAtMs.ms) this.#eventsAtMs = { ms, count: 0 };
    if (++this.#eventsAtMs.count > stormEventsPerMs) {
      this.#stop(
        `more than ${stormEventsPerMs} events at ${ms} ms: something is done again and again without waiting`,
      );
    }
  }

  /** Puts something on the network that is no node: a service, or a client. */
  attach(name: string, receive: (message: Message) => void): void {
    if (!isClient(name)) this.#names.add(name);
    this.simulation.network.attach(name, (message) => {
      this.#countOf(message).receivedCount++;
      receive(message);
    });
  }

  /** The name of the next client, as Maelstrom numbers them. Nothing between it and the nodes takes time. */
  nextClientName(): string {
    const name = `c${this.#clientCount++}`;
    for (const id of this.nodeIds) {
      this.simulation.network.slow(name, id, 0);
      this.simulation.network.slow(id, name, 0);
    }
    return name;
  }

  process(id: string): SimulatedProcess {
    return this.simulation.process(id);
  }

  /** Kills a node as SIGKILL would; `startNode` starts it again. */
  killNode(id: string): void {
    this.process(id).crash();
  }

  startNode(id: string): void {
    this.process(id).start();
  }

  /** Starts a node again after a kill, and tells it once more who it is. */
  restartNode(id: string): void {
    if (!this.process(id).isDown) return;
    this.startNode(id);
    const name = this.nextClientName();
    this.attach(name, () => undefined);
    const body = { type: "init", msg_id: 1, node_id: id, node_ids: this.nodeIds };
    this.send({ src: name, dest: id, body });
  }

  pauseNode(id: string): void {
    this.process(id).pause();
    this.#hosts.get(id)!.pause();
  }

  resumeNode(id: string): void {
    this.#hosts.get(id)!.resume();
    this.process(id).resume();
  }

  /** Notes what a node did wrong. */
  noteError(error: NodeError): void {
    this.nodeErrorCount++;
    if (this.nodeErrors.length < nodeErrorsMax) this.nodeErrors.push(error);
  }

  /** A line of a node's log. */
  log(id: string, record: LogRecord): void {
    const atMs = this.nowUs / 1000;
    if (this.logs.length < logLinesMax) this.logs.push({ ...record, node: id, atMs });
    const { msg, ...detail } = record;
    this.simulation.trace?.record({ kind: "note", at: this.nowUs, node: id, topic: msg, detail });
  }

  #addNode(id: string, host: NodeHost): void {
    this.#hosts.set(id, host);
    this.#names.add(id);
    const journal = new SimulatedJournal(this.simulation.scheduler, this.simulation.fork(`${id}/journal`));
    const process = this.simulation.addProcess(id, () => {
      journal.open(process);
      host.start({
        id,
        process,
        journal,
        random: this.simulation.fork(`${id}/${process.incarnation}`),
        send: (message) => this.#sendOf(id, message),
        breach: (where, reason) => this.noteError({ node: id, where, reason }),
        log: (record) => this.log(id, record),
      });
    });
    process.onCrash = () => {
      journal.crash();
      host.kill();
    };
    const receive = (message: Message): void => {
      this.#countOf(message).receivedCount++;
      host.receive(message);
    };
    this.simulation.network.attach(id, receive, process);
  }

  /** Sends what a node wrote. Whoever it claims to be, this is who it is. */
  #sendOf(id: string, message: Message): void {
    const { src, dest, body } = message;
    if (src !== id) {
      this.noteError({ node: id, where: "output", reason: `sent ${body.type} in the name of ${src}` });
    }
    if (!this.#isKnown(dest)) {
      const reason = `sent ${body.type} to ${dest}, and there is no such node, service or client`;
      this.noteError({ node: id, where: "output", reason });
    }
    this.send({ ...message, src: id });
  }

  /** A client that has gone is known too: an answer may come too late. */
  #isKnown(name: string): boolean {
    return isClient(name) ? Number(name.slice(1)) < this.#clientCount : this.#names.has(name);
  }

  #countOf({ src, dest }: Message): MessageCounts {
    return isClient(src) || isClient(dest) ? this.counts.clients : this.counts.servers;
  }
}

/** A node of ours, or of a learner: a program in this process, in virtual time. */
export class ProgramHost implements NodeHost {
  readonly #makeProgram: MakeProgram;
  #node: MaelstromNode | undefined;

  constructor(makeProgram: MakeProgram) {
    this.#makeProgram = makeProgram;
  }

  start({ process, random, journal, send, log }: HostPorts): void {
    this.#node = new MaelstromNode(
      { clock: process.clock, random, openJournal: () => journal, send, log },
      this.#makeProgram,
    );
  }

  receive(message: Message): void {
    this.#node?.receive(message);
  }

  kill(): void {
    this.#node?.stop();
    this.#node = undefined;
  }

  pause(): void {
    // The process stands still, and with it its clock and what it receives.
  }

  resume(): void {
    // It goes on as if nothing had been.
  }
}
