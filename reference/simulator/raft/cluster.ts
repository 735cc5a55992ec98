/**
 * A simulated Raft cluster under bad weather: one scenario in, a verdict out.
 *
 * First the faults, for as long as the scenario says. Safety is checked after every event. Then everything is
 * healed, and *liveness* is checked: within a bound of virtual time there must be a leader, every client must
 * be answered, and all members must have the same state. A cluster that is safe because it stands still does
 * not pass.
 */
import { InvariantViolation, type ClusterView } from "#reference/checkers/raft/checker.ts";
import { AcknowledgedHistory } from "#reference/checkers/raft/acknowledged.ts";
import { RaftInvariants } from "#reference/checkers/raft/all.ts";
import type { NodeId } from "#reference/raft/entry.ts";
import type { RaftEvent } from "#reference/raft/events.ts";
import { isJoint, membersOf } from "#reference/raft/membership.ts";
import { referenceRules } from "#reference/raft/rules.ts";
import { configurationOf, type RaftRules } from "#reference/raft/state.ts";
import { Nemesis, type FaultWorld } from "../faults.ts";
import { usPerMs } from "../scheduler.ts";
import { Simulation } from "../simulation.ts";
import { calm } from "../swarm.ts";
import type { Json, TraceSink } from "../trace.ts";
import { RaftClient, type ClientWorld } from "./client.ts";
import { RaftDisk } from "./disk.ts";
import { describePayload, type Payload } from "./messages.ts";
import type { Operation, RaftScenario } from "./scenario.ts";
import { RaftServer } from "./server.ts";

/**
 * After healing, clients go on for so long, and then must be answered and all members equal within the rest.
 */
export const healedClientsMs = 2000;
/**
 * The bound of liveness: so long after healing everything must be well. Ten times the longest election
 * timeout.
 */
export const livenessBoundMs = 6000;
/** How often the operator looks whether its change of members has gone through. */
const operatorRetryMs = 60;
/** A run that takes more events than this runs in circles. */
const eventsMax = 5_000_000;

/** A rule that was broken. */
export interface Violation {
  readonly rule: string;
  readonly message: string;
  readonly atMs: number;
  /** The number of the event in which it was noticed. */
  readonly event: number;
}

/** What a run came to. */
export interface RunResult {
  readonly violation: Violation | undefined;
  readonly events: number;
  /** Virtual time that passed. */
  readonly durationMs: number;
  readonly answered: number;
  readonly messages: number;
  /** The highest term: how many elections there were. */
  readonly terms: number;
  readonly committed: number;
}

/** How to run. */
export interface RunOptions {
  readonly trace?: TraceSink;
  readonly rules?: RaftRules;
  /** The command that the trace's header names. */
  readonly command?: string;
  readonly observe?: (server: NodeId, event: RaftEvent) => void;
}

/** Runs a scenario. */
export function runScenario(scenario: RaftScenario, options: RunOptions = {}): RunResult {
  return new RaftCluster(scenario, options).run();
}

/** One cluster with its clients, its faults and its checkers. */
class RaftCluster implements ClusterView, FaultWorld {
  readonly servers = new Map<NodeId, RaftServer>();
  readonly simulation: Simulation<Payload>;
  readonly nodes: readonly NodeId[];
  readonly others: readonly string[];
  readonly #scenario: RaftScenario;
  readonly #history = new AcknowledgedHistory();
  readonly #clients: RaftClient[] = [];
  readonly #world: ClientWorld;
  readonly #nemesis: Nemesis;
  /** The voters that the operator wants, until it has them. */
  #wanted: readonly NodeId[] | undefined;

  constructor(scenario: RaftScenario, { trace, rules = referenceRules, command = "", observe }: RunOptions) {
    this.#scenario = scenario;
    this.nodes = scenario.nodes;
    this.simulation = new Simulation<Payload>({
      seed: scenario.seed,
      network: scenario.swarm.network,
      describe: describePayload,
      ...(trace === undefined ? {} : { trace }),
    });
    trace?.record({
      kind: "header",
      at: 0,
      format: "offset-zero-trace",
      version: 1,
      system: "raft",
      seed: scenario.seed,
      nodes: scenario.nodes,
      scenario: scenario as unknown as Json,
      command,
    });
    const checkers = new RaftInvariants(this);
    const drift = this.simulation.fork("drift");
    for (const name of scenario.nodes) {
      const disk = new RaftDisk(this.simulation.scheduler, this.simulation.fork(`disk ${name}`), {
        latency: scenario.swarm.diskLatency,
        ...scenario.disk,
      });
      const isFirst = scenario.voters.includes(name);
      const server = new RaftServer({
        simulation: this.simulation,
        name,
        disk,
        checkers,
        rules,
        options: scenario.options,
        bootstrap: isFirst ? { voters: scenario.voters, oldVoters: [], learners: [] } : undefined,
        compactEntries: scenario.compactEntries,
        clockRate: 1 + scenario.swarm.clockDriftMax * (2 * drift.nextFloat() - 1),
        observe,
      });
      server.process.onCrash = () => server.onCrash();
      this.servers.set(name, server);
    }
    const { simulation } = this;
    this.#world = { simulation, servers: scenario.nodes, history: this.#history, nextId: 1, answered: 0 };
    for (let index = 1; index <= scenario.clients; index++) {
      this.#clients.push(new RaftClient(this.#world, `c${index}`, scenario.thinkMaxMs));
    }
    this.others = this.#clients.map(({ name }) => name);
    this.#nemesis = new Nemesis(this);
  }

  get scheduler(): Simulation<Payload>["scheduler"] {
    return this.simulation.scheduler;
  }

  get network(): Simulation<Payload>["network"] {
    return this.simulation.network;
  }

  get trace(): TraceSink | undefined {
    return this.simulation.trace;
  }

  process(name: string): RaftServer["process"] {
    return this.simulation.process(name);
  }

  disk(name: string): RaftDisk | undefined {
    return this.servers.get(name)?.disk;
  }

  /** Who leads the highest term: there may be older ones who do not know yet. */
  leader(): string | undefined {
    let leader: RaftServer | undefined;
    for (const server of this.servers.values()) {
      if (server.state?.role !== "leader") continue;
      if (leader === undefined || server.state.term > leader.state!.term) leader = server;
    }
    return leader?.name;
  }

  run(): RunResult {
    let violation: Violation | undefined;
    const { scheduler } = this;
    try {
      this.#runPhases();
    } catch (error) {
      const rule = error instanceof InvariantViolation ? error.rule : "assertion";
      const message = error instanceof Error ? error.message : String(error);
      violation = { rule, message, atMs: scheduler.nowMs, event: scheduler.eventCount };
      this.trace?.record({ kind: "violation", at: scheduler.nowUs, rule, message });
    }
    const events = scheduler.eventCount;
    this.trace?.record({ kind: "end", at: scheduler.nowUs, events, isGood: violation === undefined });
    const states = [...this.servers.values()].flatMap(({ state }) => state ?? []);
    return {
      violation,
      events,
      durationMs: scheduler.nowMs,
      answered: this.#world.answered,
      messages: this.network.counts.sent,
      terms: Math.max(0, ...states.map(({ term }) => term)),
      committed: Math.max(0, ...states.map(({ commitIndex }) => commitIndex)),
    };
  }

  #runPhases(): void {
    const { durationMs, faults, operations } = this.#scenario;
    for (const { process } of this.servers.values()) process.start();
    for (const client of this.#clients) client.start();
    this.#nemesis.schedule(faults);
    for (const { atMs, operation } of operations) {
      this.scheduler.at(atMs * usPerMs, () => this.#operate(operation));
    }
    this.#runTo(durationMs);
    this.#nemesis.healAll();
    this.network.options = calm.network;
    this.simulation.trace?.record({ kind: "note", at: this.scheduler.nowUs, topic: "healed" });
    const healedAtUs = this.scheduler.nowUs;
    this.#runTo(durationMs + livenessBoundMs - healedClientsMs);
    for (const client of this.#clients) client.stop();
    this.#runTo(durationMs + livenessBoundMs);
    this.#checkLiveness(healedAtUs);
  }

  #runTo(atMs: number): void {
    const { scheduler } = this;
    const untilUs = Math.round(atMs * usPerMs);
    for (let next = scheduler.nextAtUs; next !== undefined && next <= untilUs; next = scheduler.nextAtUs) {
      scheduler.step();
      if (scheduler.eventCount > eventsMax)
        throw new InvariantViolation("liveness", "the run does not come to an end");
    }
    scheduler.runUntil(untilUs);
  }

  #operate(operation: Operation): void {
    const leader = this.leader();
    const server = leader === undefined ? undefined : this.servers.get(leader);
    this.trace?.record({
      kind: "note",
      at: this.scheduler.nowUs,
      topic: "operator",
      detail: JSON.parse(JSON.stringify(operation)) as Json,
    });
    if (operation.kind === "transfer") {
      server?.run((node, nowMs) => node.transfer(operation.target, nowMs).effects);
      return;
    }
    const isIdle = this.#wanted === undefined;
    this.#wanted = operation.voters;
    if (isIdle) this.#pursue();
  }

  /** One step towards the voters that the operator wants: new ones become learners first. */
  #pursue(): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    const leader = this.leader();
    const server = leader === undefined ? undefined : this.servers.get(leader);
    if (server?.state !== undefined) {
      const { voters, learners, oldVoters } = configurationOf(server.state);
      const missing = wanted.filter((voter) => !voters.includes(voter) && !learners.includes(voter));
      if (
        oldVoters.length === 0 &&
        wanted.toSorted().join() === voters.toSorted().join() &&
        learners.length === 0
      ) {
        this.#wanted = undefined;
        return;
      }
      const change =
        missing.length > 0 ? { voters, learners: [...learners, ...missing] } : { voters: wanted };
      server.run((node, nowMs) => node.changeMembers(change, nowMs).effects);
    }
    this.scheduler.after(operatorRetryMs * usPerMs, () => this.#pursue());
  }

  #checkLiveness(healedAtUs: number): void {
    const violated = (message: string): never => {
      throw new InvariantViolation("liveness", `${livenessBoundMs} ms after healing ${message}`);
    };
    for (const client of this.#clients) {
      if (client.isWaiting) violated(`${client.name} still waits for an answer`);
      if (client.answeredAtUs < healedAtUs) violated(`${client.name} has not been answered once`);
    }
    const name = this.leader() ?? violated("there is no leader");
    const leader = this.servers.get(name)!;
    const state = leader.state!;
    if (!configurationOf(state).voters.includes(name)) violated(`${name} leads and is no voter`);
    if (isJoint(configurationOf(state))) violated(`${name} has not come out of a joint configuration`);
    if (this.#wanted !== undefined) violated(`the members are not ${this.#wanted.join(", ")}`);
    for (const member of membersOf(configurationOf(state))) {
      const server = this.servers.get(member)!;
      if (server.state?.leader !== name) violated(`${member} does not follow ${name}`);
      if (server.appliedIndex !== state.log.lastIndex) {
        violated(`${member} has applied ${server.appliedIndex} of ${state.log.lastIndex} entries`);
      }
      for (const [key, value] of leader.machine.values.entries()) {
        if (server.machine.values[key] !== value) violated(`${member} and ${name} differ in counter ${key}`);
      }
    }
    for (const key of this.#history.keys) this.#history.checkFinal(key, leader.machine.values[key]!);
  }
}
