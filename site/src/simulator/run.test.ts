/** What the simulator's page shows of a run: the same verdict as the command, and the right lines of the trace. */
import { expect, test } from "vitest";
import { faultKinds, type Fault } from "#reference/simulator/faults.ts";
import { runScenario } from "#reference/simulator/raft/cluster.ts";
import { drawScenario } from "#reference/simulator/raft/scenario.ts";
import { parseTrace } from "#reference/simulator/trace.ts";
import { FinishedRun, rowsMax } from "./run.ts";
import { faultWords } from "./words.ts";

const choice = { seed: 42, nodeCount: 5, seconds: 10 };
const run = new FinishedRun(choice);

test("a run in the page is the run of the command", () => {
  const { violation, events, durationMs } = runScenario(drawScenario(choice));
  expect(run.report.violation).toEqual(violation);
  expect(new Map(run.report.figures).get("Events")).toBe(events.toLocaleString("en"));
  expect(run.report.endSeconds).toBe(durationMs / 1000);
  const parsed = parseTrace(run.toNdjson());
  expect(parsed.kind === "trace" && parsed.header.command).toBe(
    "npx oz simulate --seed 42 --nodes 5 --seconds 10",
  );
});

test("every fault of the schedule is told with its time, or counted as one that did not come about", () => {
  const { faults } = drawScenario(choice);
  const words = run.report.done.map(({ words }) => words);
  const told = words.filter((text) => !/operator|healed/.test(text));
  expect(told.length).toBeGreaterThan(5);
  expect(told.length + run.report.faultsNotDone).toBe(faults.length);
  expect(words).toContain("everything is healed: from here on the cluster must recover");
});

test("the last rows are shown, of one server, and up to a time", () => {
  const all = run.rows({});
  expect(all.rows).toHaveLength(rowsMax);
  expect(all.total).toBeGreaterThan(rowsMax);
  expect(all.rows.at(-1)).toMatchObject({ kind: "end", at: "16.000 s" });
  const own = run.rows({ server: "n3" });
  expect(own.total).toBeLessThan(all.total);
  const others = own.rows.filter(({ who, words }) => who !== "n3" && who !== "" && !/\bn3\b/.test(words));
  expect(others.filter(({ kind }) => kind !== "deliver" && kind !== "drop")).toEqual([]);
  const early = run.rows({ untilSeconds: 1 });
  expect(early.rows.every(({ at }) => Number.parseFloat(at) <= 1)).toBe(true);
  expect(run.rows({ untilSeconds: -1 })).toEqual({ rows: [], total: 0 });
});

test("no row is longer than a reader can take in, and none says undefined", () => {
  for (const { words } of run.rows({ untilSeconds: 3 }).rows) {
    expect(words).not.toMatch(/undefined|\[object/);
    expect(words.length).toBeLessThan(350);
  }
});

test("each kind of fault has its sentence", () => {
  const samples: readonly Fault[] = [
    { kind: "crash", target: "n1", forMs: 5 },
    { kind: "power-loss", forMs: 5 },
    { kind: "pause", target: "n1", forMs: 5 },
    { kind: "partition", left: ["n1", "n2"], way: "one-way", clients: "with-both", forMs: 5 },
    { kind: "isolate", target: "n1", way: "out", clients: "with-both", forMs: 5 },
    { kind: "slow-link", from: "n1", to: "n2", factor: 4, forMs: 5 },
    { kind: "clock-step", target: "n1", byMs: -50 },
    { kind: "clock-rate", target: "n1", rate: 1.1, forMs: 5 },
    { kind: "slow-disk", target: "n1", factor: 9, forMs: 5 },
    { kind: "disk-error", target: "n1", forMs: 5 },
    { kind: "full-disk", target: "n1", forMs: 5 },
  ];
  expect(samples.map(({ kind }) => kind)).toEqual(faultKinds);
  expect(samples.map(faultWords)).toEqual([
    "n1 crashes and is down for 5 ms",
    "all servers lose power for 5 ms",
    "n1 stands still for 5 ms",
    "the network is cut between n1, n2 and the others: messages to the others get lost for 5 ms",
    "n1 is cut off: nothing that it sends arrives for 5 ms",
    "messages from n1 to n2 take 4 times as long for 5 ms",
    "the wall clock of n1 jumps by -50 ms",
    "the clock of n1 runs 1.1 times as fast for 5 ms",
    "the disk of n1 takes 9 times as long for 5 ms",
    "the next write of n1 to its disk fails; it is started again after 5 ms",
    "the disk of n1 has no room for 5 ms",
  ]);
});
