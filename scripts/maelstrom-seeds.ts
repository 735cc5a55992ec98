/**
 * `node scripts/maelstrom-seeds.ts [A..B] [SCENARIO…]`: our nodes under every workload with faults, on many seeds.
 *
 * Prints a line for each scenario: how many seeds were valid, and how much processor time a test took. Ends with exit
 * code 1 at the first seed that is not valid, and the settings that run it again.
 */
import { programs, type ProgramName } from "#reference/maelstrom/programs.ts";
import { runMaelstromTest, type MaelstromTest } from "#reference/simulator/maelstrom/test-run.ts";
import type { WorkloadName } from "#reference/simulator/maelstrom/workload.ts";
import { ProgramHost } from "#reference/simulator/maelstrom/world.ts";

/** What differs from the common settings. A scenario has its workload's name, or begins with it and a slash. */
const scenarios: Readonly<Record<string, Partial<MaelstromTest>>> = {
  echo: { nodeCount: 1 },
  "unique-ids": { availability: 1, nemesis: ["partition", "clock"] },
  // Nodes that are killed and come back while their clocks step to and fro.
  "unique-ids/kill": { nemesis: ["kill", "clock"], nemesisIntervalMs: 200, rate: 500, concurrency: 1000 },
  broadcast: { nodeCount: 5, latencyMs: 50 },
  "g-set": { nodeCount: 5, latencyMs: 50 },
  "g-counter": {},
  "pn-counter": {},
  kafka: { concurrency: 6 },
  "kafka/kill": { concurrency: 6, nemesis: ["partition", "kill", "pause"] },
  "lin-kv": { concurrency: 6 },
  "lin-kv/kill": { concurrency: 6, nemesis: ["partition", "kill", "pause", "clock"] },
  "txn-list-append": {},
  "txn-list-append/kill": { nemesis: ["partition", "kill", "pause"] },
  "txn-rw-register": { nodeCount: 2, concurrency: 4, consistencyModel: "read-committed", availability: 1 },
};

const [range = "1..1000", ...names] = process.argv.slice(2);
const [first, last] = range.split("..").map(Number) as [number, number];
const chosen = names.length > 0 ? names : Object.keys(scenarios);

for (const scenario of chosen) {
  const workload = scenario.split("/")[0] as WorkloadName;
  const startedAt = process.cpuUsage();
  for (let seed = first; seed <= last; seed++) {
    const test: MaelstromTest = {
      workload,
      seed,
      nodeCount: 3,
      rate: 50,
      timeLimitMs: 10_000,
      latencyMs: 10,
      latencyKind: seed % 2 === 0 ? "constant" : "exponential",
      nemesis: ["partition"],
      nemesisIntervalMs: 2000,
      makeHost: () => new ProgramHost(programs[workload as ProgramName]),
      ...scenarios[scenario],
    };
    const { verdict, workload: report, failure, nodeErrors } = await runMaelstromTest(test);
    if (verdict === "valid") continue;
    const { makeHost: _makeHost, ...shown } = test;
    process.stdout.write(`${scenario}: ${verdict} at seed ${seed}: ${JSON.stringify(shown)}\n`);
    for (const line of [failure ?? "", ...report.problems, ...nodeErrors.map(({ reason }) => reason)]) {
      if (line !== "") process.stdout.write(`  ${line}\n`);
    }
    process.exit(1);
  }
  const { user, system } = process.cpuUsage(startedAt);
  const count = last - first + 1;
  const eachMs = (user + system) / 1000 / count;
  process.stdout.write(
    `${scenario.padEnd(20)} ${count} seeds valid, ${eachMs.toFixed(0)} ms of processor each\n`,
  );
}
