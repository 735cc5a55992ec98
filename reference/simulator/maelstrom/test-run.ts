/**
 * One Maelstrom test, from the first `init` to the verdict: nodes start, clients set up and work while the nemesis does
 * what it does, the network heals, clients look once more, and the history is judged.
 */
import { History, type OperationOutcome } from "#reference/checkers/history.ts";
import type { ConsistencyModel } from "#reference/checkers/transactions/models.ts";
import { quantilesOf, type Quantiles } from "#reference/checkers/quantiles.ts";
import { worstOf, type Verdict } from "#reference/checkers/verdict.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { Latency } from "../latency.ts";
import { usPerMs } from "../scheduler.ts";
import type { TraceSink } from "../trace.ts";
import { TestClient } from "./client.ts";
import { nemesisIntervalMsDefault, startNemesis, type NemesisKind } from "./nemesis.ts";
import { attachServices, type ServiceCounts } from "./services.ts";
import type { AnyWorkload, Thread, WorkloadName, WorkloadReport } from "./workload.ts";
import { makeWorkload } from "./workloads/index.ts";
import { MaelstromWorld, type MessageCounts, type NodeError, type NodeHost } from "./world.ts";

/** A test. Names and defaults are those of Maelstrom's options. */
export interface MaelstromTest {
  readonly workload: WorkloadName;
  readonly makeHost: (id: string) => NodeHost;
  readonly seed: number;
  readonly nodeCount?: number;
  /** Operations a second, of all clients together. */
  readonly rate?: number;
  readonly timeLimitMs?: number;
  readonly latencyMs?: number;
  readonly latencyKind?: "constant" | "uniform" | "exponential";
  readonly concurrency?: number;
  readonly nemesis?: readonly NemesisKind[];
  readonly nemesisIntervalMs?: number;
  readonly topology?: string;
  /** The least share of operations that must succeed. */
  readonly availability?: number;
  readonly consistencyModel?: ConsistencyModel;
  readonly keyCount?: number;
  readonly transactionLengthMax?: number;
  readonly writesPerKeyMax?: number;
  readonly lossChance?: number;
  readonly duplicateChance?: number;
  readonly trace?: TraceSink;
}

/** How operations of one kind ended. */
export interface OperationStats {
  count: number;
  okCount: number;
  failCount: number;
  infoCount: number;
}

export interface MaelstromResult {
  readonly verdict: Verdict;
  readonly seed: number;
  readonly workload: WorkloadReport;
  readonly availability: { readonly okFraction: number; readonly verdict: Verdict };
  readonly stats: {
    readonly all: OperationStats;
    readonly byName: Readonly<Record<string, OperationStats>>;
    readonly verdict: Verdict;
  };
  readonly net: {
    readonly clients: MessageCounts;
    readonly servers: MessageCounts;
    readonly messagesPerOperation: number;
    readonly serverMessagesPerOperation: number;
  };
  readonly services: ServiceCounts;
  /** Milliseconds from question to answer, of what succeeded. */
  readonly latenciesMs: Quantiles | undefined;
  /** What nodes did wrong, whatever the workload: the first ones, and how many. */
  readonly nodeErrors: readonly NodeError[];
  readonly nodeErrorCount: number;
  /** Why the run ended early, when it did. */
  readonly failure?: string;
  /** Everything that was tried, for files and plots. */
  readonly operations: readonly RecordedOperation[];
  readonly logs: MaelstromWorld["logs"];
}

export type RecordedOperation = ReturnType<History<Json, Json>["operations"]>[number] & {
  readonly name: string;
};

/** How long nodes have to answer `init`. */
export const initTimeoutMs = 10_000;
/** How long the healed cluster is left alone before the last look. */
export const recoveryMs = 10_000;
/** How long the last look may take. */
export const finalTimeLimitMs = 30_000;

/**
 * Turns of the microtask queue for each event: as many as the longest chain of awaits in our nodes. A longer one, in a
 * learner's, goes on at the next event.
 */
const turnsPerEvent = 16;

/** Moves time: at once, or at the pace of the real clock. Resolves when it is that time. */
export type Pace = (world: MaelstromWorld, untilUs: number) => Promise<void>;

/** Virtual time: nobody waits. */
export const virtualPace: Pace = (world, untilUs) =>
  world.simulation.scheduler.runUntilAsync(untilUs, turnsPerEvent);

/** Runs a test and judges it. */
export async function runMaelstromTest(
  test: MaelstromTest,
  pace: Pace = virtualPace,
): Promise<MaelstromResult> {
  const run = new TestRun(test, pace);
  try {
    return await run.run();
  } finally {
    run.close();
  }
}

class TestRun {
  readonly #test: MaelstromTest;
  readonly #pace: Pace;
  readonly #world: MaelstromWorld;
  readonly #services: ServiceCounts;
  readonly #workload: AnyWorkload;
  readonly #history = new History<unknown, unknown>();
  readonly #names: string[] = [];
  readonly #threads: Thread[];
  readonly #idle: Thread[] = [];
  #nextProcess = 0;
  #busyCount = 0;

  constructor(test: MaelstromTest, pace: Pace) {
    this.#test = test;
    this.#pace = pace;
    const { seed, makeHost, nodeCount = 5, lossChance = 0, duplicateChance = 0, trace } = test;
    this.#world = new MaelstromWorld({
      seed,
      nodeCount,
      latency: latencyOf(test),
      lossChance,
      duplicateChance,
      makeHost,
      ...(trace === undefined ? {} : { trace }),
    });
    this.#services = attachServices(this.#world);
    const clientCount = test.concurrency ?? nodeCount;
    this.#workload = makeWorkload(test.workload, {
      nodeIds: this.#world.nodeIds,
      clientCount,
      latencyMs: test.latencyMs ?? 0,
      topology: test.topology ?? "grid",
      consistencyModel: test.consistencyModel ?? "strict-serializable",
      keyCount: test.keyCount ?? 10,
      transactionLengthMax: test.transactionLengthMax ?? 4,
      writesPerKeyMax: test.writesPerKeyMax ?? 16,
      random: this.#world.simulation.fork("workload"),
    });
    this.#threads = Array.from({ length: clientCount }, (_, index): Thread => {
      return { index, client: this.#newClient(index), process: String(this.#nextProcess++) };
    });
  }

  close(): void {
    for (const id of this.#world.nodeIds) this.#world.process(id).crash("halt");
  }

  async run(): Promise<MaelstromResult> {
    const failure = await this.#start();
    if (failure !== undefined) return this.#result(failure);
    const { nemesis = [], nemesisIntervalMs = nemesisIntervalMsDefault, timeLimitMs = 60_000 } = this.#test;
    const endNemesis = startNemesis(this.#world, nemesis, nemesisIntervalMs);
    const endUs = this.#world.nowUs + timeLimitMs * usPerMs;
    this.#idle.push(...this.#threads);
    this.#scheduleNext(endUs);
    await this.#pace(this.#world, endUs);
    endNemesis();
    await this.#drain();
    if (this.#workload.nextFinal !== undefined && !this.#isStuck) await this.#finish();
    return this.#result(this.#world.stuck);
  }

  /** Starts the nodes and tells each who it is. */
  async #start(): Promise<string | undefined> {
    const { nodeIds } = this.#world;
    for (const id of nodeIds) this.#world.startNode(id);
    const answers = nodeIds.map((id) => {
      const client = new TestClient(this.#world, id);
      return client.ask({ type: "init", node_id: id, node_ids: nodeIds }, {}, initTimeoutMs);
    });
    await this.#until(Promise.all(answers), initTimeoutMs + 1000, () =>
      nodeIds.some((id) => this.#world.process(id).isDown),
    );
    if (this.#isStuck) return this.#world.stuck;
    const ended = nodeIds.find((id) => this.#world.process(id).isDown);
    if (ended !== undefined) return `node ${ended} ended before it had answered init`;
    for (const [index, id] of nodeIds.entries()) {
      const answer = await answers[index]!;
      if (answer.kind === "timeout") return `node ${id} did not answer init within ${initTimeoutMs} ms`;
      if (answer.kind === "error")
        return `node ${id} answered init with error ${answer.code}: ${answer.text}`;
      if (answer.kind === "broken") return `node ${id}: ${answer.reason}`;
    }
    const { setUp } = this.#workload;
    if (setUp === undefined) return undefined;
    await this.#until(Promise.all(this.#threads.map((thread) => setUp(thread))), 10_000);
    return undefined;
  }

  /** Operations begin at random moments, on average as often as the rate says; when nobody is free they wait. */
  #scheduleNext(endUs: number): void {
    const { rate = 5 } = this.#test;
    const random = this.#world.simulation.fork("generator");
    const { scheduler } = this.#world.simulation;
    const next = (): void => {
      const thread = this.#idle.shift();
      if (thread === undefined) {
        // Somebody will be free soon; the rate is what was asked for, not what is owed.
        scheduler.after(usPerMs, tryNext);
        return;
      }
      const input = this.#workload.next(thread);
      if (input === undefined) this.#idle.push(thread);
      else void this.#try(thread, input).then(() => this.#idle.push(thread));
      scheduler.after((random.nextFloat() * 2 * 1000 * usPerMs) / rate, tryNext);
    };
    const tryNext = (): void => {
      if (this.#world.nowUs < endUs) next();
    };
    tryNext();
  }

  async #try(thread: Thread, input: unknown): Promise<void> {
    this.#busyCount++;
    const name = this.#workload.nameOf(input);
    const id = this.#history.invoke(thread.process, input, this.#world.nowUs);
    this.#names[id] = name;
    const { trace } = this.#world.simulation;
    const value = input as Json;
    trace?.record({
      kind: "invoke",
      at: this.#world.nowUs,
      client: thread.client.name,
      // In a trace, operations are counted from 1.
      operation: id + 1,
      name,
      value,
    });
    const outcome = await this.#workload.run(thread, input);
    this.#history.complete(id, outcome, this.#world.nowUs);
    this.#recordReturn(thread, id, outcome);
    this.#busyCount--;
    if (outcome.kind !== "unknown") return;
    // Whoever does not know how its operation ended may not be taken for somebody who does.
    thread.process = String(this.#nextProcess++);
    if (!this.#workload.keepsClient) thread.client = this.#newClient(thread.index);
  }

  #recordReturn(thread: Thread, id: number, outcome: OperationOutcome<unknown>): void {
    const { trace } = this.#world.simulation;
    if (trace === undefined) return;
    const kind = outcome.kind === "failed" ? "fail" : outcome.kind;
    const value = (outcome.kind === "ok" ? outcome.output : (outcome.reason ?? null)) as Json;
    trace.record({
      kind: "return",
      at: this.#world.nowUs,
      client: thread.client.name,
      // In a trace, operations are counted from 1.
      operation: id + 1,
      outcome: kind,
      value,
    });
  }

  /** Waits until every operation that is under way has ended, by an answer or by its time-out. */
  async #drain(): Promise<void> {
    const untilUs = this.#world.nowUs + (this.#workload.timeoutMs + 1000) * usPerMs;
    while (this.#busyCount > 0 && this.#world.nowUs < untilUs && !this.#isStuck) await this.#step();
  }

  /** The last look: all clients, once the cluster has had time to recover. */
  async #finish(): Promise<void> {
    await this.#pace(this.#world, this.#world.nowUs + recoveryMs * usPerMs);
    const look = async (thread: Thread): Promise<void> => {
      for (
        let input = this.#workload.nextFinal!(thread);
        input !== undefined;
        input = this.#workload.nextFinal!(thread)
      ) {
        await this.#try(thread, input);
      }
    };
    await this.#until(Promise.all(this.#threads.map(look)), finalTimeLimitMs);
  }

  /** Lets time pass until a promise settles, for so long, or until there is no use in waiting any more. */
  async #until(promise: Promise<unknown>, limitMs: number, isHopeless = (): boolean => false): Promise<void> {
    const state = { isSettled: false };
    void promise.finally(() => (state.isSettled = true));
    const untilUs = this.#world.nowUs + limitMs * usPerMs;
    while (!state.isSettled && !isHopeless() && !this.#isStuck && this.#world.nowUs < untilUs)
      await this.#step();
  }

  get #isStuck(): boolean {
    return this.#world.stuck !== undefined;
  }

  async #step(): Promise<void> {
    await this.#pace(this.#world, this.#world.nowUs + 10 * usPerMs);
  }

  #newClient(index: number): TestClient {
    const { nodeIds } = this.#world;
    return new TestClient(this.#world, nodeIds[index % nodeIds.length]!);
  }

  #result(failure?: string): MaelstromResult {
    const operations = this.#history.operations().map((operation, id): RecordedOperation => {
      return { ...operation, name: this.#names[id]! } as RecordedOperation;
    });
    const report = this.#workload.judge(operations);
    const stats = statsOf(operations);
    const { availability: least = 0 } = this.#test;
    const okFraction = operations.length === 0 ? 1 : stats.all.okCount / operations.length;
    const { clients, servers } = this.#world.counts;
    const perOperation = (count: number): number => (operations.length === 0 ? 0 : count / operations.length);
    const availability = { okFraction, verdict: okFraction >= least ? "valid" : "invalid" } as const;
    const protocol: Verdict = this.#world.nodeErrorCount > 0 ? "invalid" : "valid";
    const latencies = operations
      .filter(({ outcome }) => outcome.kind === "ok")
      .map(({ invokedAtUs, completedAtUs }) => (completedAtUs - invokedAtUs) / usPerMs);
    return {
      verdict:
        failure === undefined
          ? worstOf([report.verdict, availability.verdict, stats.verdict, protocol])
          : "invalid",
      seed: this.#test.seed,
      workload: report,
      availability,
      stats,
      net: {
        clients,
        servers,
        messagesPerOperation: perOperation(clients.sentCount + servers.sentCount),
        serverMessagesPerOperation: perOperation(servers.sentCount),
      },
      services: this.#services,
      latenciesMs: quantilesOf(latencies),
      nodeErrors: this.#world.nodeErrors,
      nodeErrorCount: this.#world.nodeErrorCount,
      ...(failure === undefined ? {} : { failure }),
      operations,
      logs: this.#world.logs,
    };
  }
}

/** Each kind of operation must have succeeded at least once, or it was not tested. */
function statsOf(operations: readonly RecordedOperation[]): MaelstromResult["stats"] {
  const all: OperationStats = { count: 0, okCount: 0, failCount: 0, infoCount: 0 };
  const byName: Record<string, OperationStats> = {};
  for (const { name, outcome } of operations) {
    const own = (byName[name] ??= { count: 0, okCount: 0, failCount: 0, infoCount: 0 });
    for (const stats of [all, own]) {
      stats.count++;
      if (outcome.kind === "ok") stats.okCount++;
      else if (outcome.kind === "failed") stats.failCount++;
      else stats.infoCount++;
    }
  }
  const isTried = Object.values(byName).every(({ okCount }) => okCount > 0);
  return { all, byName, verdict: isTried ? "valid" : "invalid" };
}

function latencyOf({ latencyMs = 0, latencyKind = "constant" }: MaelstromTest): Latency {
  switch (latencyKind) {
    case "constant":
      return { kind: "constant", ms: latencyMs };
    case "uniform":
      return { kind: "uniform", minMs: 0, maxMs: 2 * latencyMs };
    case "exponential":
      return { kind: "exponential", meanMs: latencyMs };
  }
}
