import Ajv from "ajv";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { checkDeterminism } from "./determinism.ts";
import { Nemesis, faultKinds, type FaultWorld } from "./faults.ts";
import { drawLatencyMs, meanLatencyMs, type Latency } from "./latency.ts";
import type { NetworkOptions } from "./network.ts";
import { Scheduler, usPerMs } from "./scheduler.ts";
import type { Cut } from "./cut.ts";
import { shrink } from "./shrink.ts";
import { Simulation } from "./simulation.ts";
import { drawFaults, drawSwarm } from "./swarm.ts";
import { parseTrace, TraceRecorder, type TraceSink } from "./trace.ts";

const quick: NetworkOptions = { latency: { kind: "uniform", minMs: 1, maxMs: 20 } };

function world(network: NetworkOptions, seed = 1, trace?: TraceSink): Simulation<number> {
  return new Simulation<number>({
    seed,
    network,
    describe: (payload) => ({ type: "number", body: payload }),
    ...(trace === undefined ? {} : { trace }),
  });
}

/** Sends 0 to count - 1 at once and returns what arrives, in order. */
function arrivals(network: NetworkOptions, count: number, seed = 1): number[] {
  const simulation = world(network, seed);
  const seen: number[] = [];
  simulation.network.attach("b", (payload) => seen.push(payload));
  for (let index = 0; index < count; index++) simulation.network.send("a", "b", index);
  simulation.scheduler.runUntil(60_000 * usPerMs);
  return seen;
}

describe("scheduler", () => {
  test("events happen in the order of their times, and at one time in the order of scheduling", () => {
    const scheduler = new Scheduler();
    const random = new SeededRandom(3);
    const seen: [number, number][] = [];
    for (let index = 0; index < 500; index++) {
      const atUs = random.nextBetween(0, 60);
      scheduler.at(atUs, () => seen.push([atUs, index]));
    }
    scheduler.runUntil(100);
    expect(seen).toHaveLength(500);
    expect(seen).toEqual(seen.toSorted((one, other) => one[0] - other[0] || one[1] - other[1]));
    expect(scheduler.nowUs).toBe(100);
  });

  test("a cancelled event does not happen, and the past takes none", () => {
    const scheduler = new Scheduler();
    const event = scheduler.at(5, () => expect.unreachable());
    scheduler.cancel(event);
    expect(scheduler.nextAtUs).toBeUndefined();
    scheduler.runUntil(10);
    expect(() => scheduler.at(9, () => undefined)).toThrow("an event at 9 µs, and it is 10");
  });

  test("nothing happens after a stop, and time stands still", () => {
    const scheduler = new Scheduler();
    scheduler.at(1, () => scheduler.stop());
    scheduler.at(2, () => expect.unreachable());
    scheduler.runUntil(10);
    expect(scheduler.nowUs).toBe(1);
  });

  test("promises settle before time moves on", async () => {
    const scheduler = new Scheduler();
    const seen: string[] = [];
    scheduler.at(1, () => {
      void (async () => {
        for (let turn = 0; turn < 10; turn++) await Promise.resolve();
        seen.push(`promise at ${scheduler.nowUs}`);
      })();
    });
    scheduler.at(2, () => seen.push("second event"));
    await scheduler.runUntilAsync(10);
    expect(seen).toEqual(["promise at 1", "second event"]);
  });
});

describe("latency", () => {
  test.each<Latency>([
    { kind: "constant", ms: 7 },
    { kind: "uniform", minMs: 2, maxMs: 10 },
    { kind: "exponential", meanMs: 5, minMs: 1 },
    { kind: "long-tail", minMs: 2, maxMs: 200 },
  ])("draws of $kind have the mean that it states", (latency) => {
    const random = new SeededRandom(11);
    const draws = Array.from({ length: 40_000 }, () => drawLatencyMs(latency, random));
    const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
    expect(mean / meanLatencyMs(latency)).toBeCloseTo(1, 1);
    expect(Math.min(...draws.slice(0, 1000))).toBeGreaterThanOrEqual(latency.kind === "exponential" ? 1 : 2);
  });

  test("an exponential latency exceeds twice its mean as often as e to the minus two says", () => {
    const random = new SeededRandom(12);
    const long = Array.from({ length: 40_000 }, () =>
      drawLatencyMs({ kind: "exponential", meanMs: 1 }, random),
    );
    expect(long.filter((draw) => draw > 2).length / long.length).toBeCloseTo(0.1353, 2);
  });
});

describe("network", () => {
  test("a link keeps the order of sending, unless it may reorder", () => {
    const inOrder = Array.from({ length: 100 }, (_, index) => index);
    expect(arrivals(quick, 100)).toEqual(inOrder);
    const mixed = arrivals({ ...quick, reorderChance: 1 }, 100);
    expect(mixed).not.toEqual(inOrder);
    expect(mixed.toSorted((one, other) => one - other)).toEqual(inOrder);
  });

  test("loss and duplication come as often as they were asked for", () => {
    expect(arrivals({ ...quick, lossChance: 0.2 }, 5000).length / 5000).toBeCloseTo(0.8, 1);
    expect(arrivals({ ...quick, duplicateChance: 0.3 }, 5000).length / 5000).toBeCloseTo(1.3, 1);
    expect(arrivals({ ...quick, lossChance: 1 }, 10)).toEqual([]);
  });

  test("a one-way cut stops one direction, also for what was under way, and cuts add up", () => {
    const simulation = world({ latency: { kind: "constant", ms: 10 } });
    const { network, scheduler } = simulation;
    const seen: string[] = [];
    network.attach("a", (_payload, from) => seen.push(`${from} to a`));
    network.attach("b", (_payload, from) => seen.push(`${from} to b`));
    network.send("a", "b", 0);
    const heal = network.partition(["a"], ["b"], "one-way");
    network.cut("a", "b");
    network.send("b", "a", 0);
    scheduler.runUntil(50 * usPerMs);
    expect(seen).toEqual(["b to a"]);
    heal();
    heal();
    network.send("a", "b", 0);
    expect(network.isJoined("a", "b")).toBe(false);
    network.join("a", "b");
    network.send("a", "b", 0);
    scheduler.runUntil(100 * usPerMs);
    expect(seen).toEqual(["b to a", "a to b"]);
    expect(network.counts).toEqual({ sent: 4, delivered: 2, dropped: 2, duplicated: 0 });
  });

  test("a slow link takes its factor longer", () => {
    const { network, scheduler } = world({ latency: { kind: "constant", ms: 2 } });
    const at: number[] = [];
    network.attach("b", () => at.push(scheduler.nowMs));
    network.slow("a", "b", 50);
    network.send("a", "b", 0);
    network.slow("a", "b", 1);
    scheduler.runUntil(300 * usPerMs);
    expect(at).toEqual([100]);
  });

  test("what happens on one link does not change what happens on another", () => {
    const timesOn = (noise: number): number[] => {
      const { network, scheduler } = world({ ...quick, lossChance: 0.3, reorderChance: 1 }, 5);
      const at: number[] = [];
      network.attach("b", (payload) => at.push(scheduler.nowUs * 1000 + payload));
      network.attach("c", () => undefined);
      for (let index = 0; index < noise; index++) network.send("a", "c", index);
      for (let index = 0; index < 50; index++) network.send("a", "b", index);
      scheduler.runUntil(1e6);
      return at;
    };
    expect(timesOn(100)).toEqual(timesOn(0));
  });
});

describe("process", () => {
  test("a pause holds timers and messages back, in order; a crash drops them", () => {
    const simulation = world({ latency: { kind: "constant", ms: 1 } });
    const { network, scheduler } = simulation;
    const seen: string[] = [];
    const node = simulation.addProcess("n1", () => {
      seen.push(`boot ${node.incarnation}`);
      node.clock.after(5, () => seen.push("timer"));
    });
    network.attach("n1", (payload) => seen.push(`message ${payload}`), node);
    node.start();
    node.pause();
    network.send("x", "n1", 1);
    scheduler.runUntil(20 * usPerMs);
    expect(seen).toEqual(["boot 1"]);
    node.resume();
    expect(seen).toEqual(["boot 1", "message 1", "timer"]);
    node.crash();
    network.send("x", "n1", 2);
    scheduler.runUntil(30 * usPerMs);
    node.start();
    node.crash();
    node.start();
    scheduler.runUntil(60 * usPerMs);
    expect(seen.slice(3)).toEqual(["boot 2", "boot 3", "timer"]);
  });

  test("a fast clock's timers fire early, and only the wall clock steps", () => {
    const simulation = world(quick);
    const node = simulation.addProcess("n1", () => undefined, { rate: 1.25, wallTimeMs: 1000 });
    node.start();
    let firedAtMs = 0;
    node.clock.after(100, () => (firedAtMs = simulation.scheduler.nowMs));
    simulation.scheduler.runUntil(200 * usPerMs);
    expect(firedAtMs).toBe(80);
    expect(node.clock.monotonicTimeMs()).toBe(250);
    node.clock.stepWallTime(-500);
    expect(node.clock.wallTimeMs()).toBe(750);
    node.clock.setRate(1);
    expect(node.clock.monotonicTimeMs()).toBe(250);
  });
});

/** Two nodes that count each other's messages, under every kind of fault. */
function runDemo(seed: number, trace: TraceSink, noise: () => number = () => 0): void {
  const nodes = ["n1", "n2", "n3"];
  trace.record({
    kind: "header",
    at: 0,
    format: "offset-zero-trace",
    version: 1,
    system: "demo",
    seed,
    nodes,
    scenario: {},
    command: "none",
  });
  const random = new SeededRandom(seed);
  const swarm = { ...drawSwarm(random, faultKinds), faultIntervalMs: 50, faults: faultKinds };
  const simulation = world(swarm.network, seed, trace);
  for (const [index, name] of nodes.entries()) {
    const node = simulation.addProcess(name, () => {
      const beat = (): void => {
        simulation.network.send(name, nodes[(index + 1) % 3]!, noise());
        node.clock.after(10, beat);
      };
      beat();
    });
    simulation.network.attach(
      name,
      (payload) =>
        trace.record({ kind: "change", at: simulation.scheduler.nowUs, node: name, changes: { payload } }),
      node,
    );
    node.start();
  }
  const disks = new Map(nodes.map((name) => [name, { slowness: 1, isFailing: false, isFull: false }]));
  const faultWorld: FaultWorld = {
    scheduler: simulation.scheduler,
    network: simulation.network,
    trace,
    nodes,
    process: (name) => simulation.process(name),
    disk: (name) => disks.get(name),
    leader: () => "n2",
  };
  const nemesis = new Nemesis(faultWorld);
  nemesis.schedule(drawFaults(random, swarm, nodes, 3000));
  simulation.scheduler.runUntil(3000 * usPerMs);
  nemesis.healAll();
  for (const node of simulation.processes) expect(node.isUp).toBe(true);
  expect(simulation.network.isWhole).toBe(true);
  for (const disk of disks.values()) expect(disk).toEqual({ slowness: 1, isFailing: false, isFull: false });
  trace.record({
    kind: "end",
    at: simulation.scheduler.nowUs,
    events: simulation.scheduler.eventCount,
    isGood: true,
  });
}

describe("traces", () => {
  test("every line of a run with all faults matches the schema, and the text reads back", () => {
    const recorder = new TraceRecorder();
    runDemo(7, recorder);
    const schema = JSON.parse(readFileSync(join(import.meta.dirname, "trace.schema.json"), "utf8")) as object;
    const validate = new Ajv().compile(schema);
    for (const line of recorder.lines) {
      expect(validate(JSON.parse(JSON.stringify(line))), JSON.stringify(line)).toBe(true);
    }
    expect(validate({ kind: "send", at: 0.5, id: 1, from: "a", to: "b", type: "t" })).toBe(false);
    const parsed = parseTrace(recorder.toNdjson());
    expect(parsed.kind === "trace" && [parsed.header, ...parsed.events]).toEqual(recorder.lines);
    const kinds = new Set(recorder.lines.map(({ kind }) => kind));
    for (const kind of ["send", "deliver", "drop", "process", "fault", "change"])
      expect(kinds).toContain(kind);
  });

  test("what is no trace is refused with the line", () => {
    expect(parseTrace("")).toMatchObject({ kind: "invalid", problem: "empty" });
    expect(parseTrace('{"kind":"end","at":1}\n')).toMatchObject({
      line: 1,
      problem: "the first line is no header",
    });
    expect(parseTrace("{\n")).toMatchObject({ line: 1, problem: "not JSON" });
  });

  test("equal seeds give equal traces, other seeds others", async () => {
    expect(await checkDeterminism((trace) => runDemo(3, trace))).toMatchObject({ kind: "equal" });
    const texts = [3, 4].map((seed) => {
      const recorder = new TraceRecorder();
      runDemo(seed, recorder);
      return recorder.toNdjson();
    });
    expect(texts[0]).not.toBe(texts[1]);
  });

  test("a run that draws from outside is caught, with the line where it did", async () => {
    let outside = 0;
    const found = await checkDeterminism((trace) => runDemo(3, trace, () => outside++ % 1000));
    expect(found).toMatchObject({ kind: "different" });
    expect(found.kind === "different" && found.one?.kind).toBe("send");
  });
});

describe("shrinking", () => {
  test("finds the two faults of forty that matter, and switches off what does not", async () => {
    const fails = ({ keep = [], without }: Cut): boolean =>
      keep.includes(11) && keep.includes(29) && !without.includes("loss");
    const shrunk = await shrink({ faultCount: 40, features: ["loss", "duplication"], fails });
    expect(shrunk.cut).toEqual({ keep: [11, 29], without: ["duplication"] });
    expect(shrunk.runs).toBeLessThan(100);
  });

  test("stops at its limit with the smallest cut so far", async () => {
    const fails = ({ keep = [] }: Cut): boolean => keep.length >= 3;
    const shrunk = await shrink({ faultCount: 64, features: [], fails, runsMax: 4 });
    expect(shrunk.cut.keep!.length).toBeGreaterThanOrEqual(3);
    expect(shrunk.cut.keep!.length).toBeLessThan(64);
  });
});
