/**
 * Harms a cluster of real processes while clients write, read and ask, heals it, and judges what they were told.
 *
 *     node scripts/cluster-chaos.ts [--seeds 1..5] [--nodes 3] [--rounds 15] [--partitions 2] [--faults all|NAME,…]
 *
 * A seed draws which faults come in which order, on whom, and for how long; when exactly they strike is up to the
 * machine. Each round begins one fault or two, lets them last, heals everything and waits until every partition takes
 * records again. In the end each node is made the leader and read from end to end: what was acknowledged must be there,
 * once and in order, on all of them; the checkers of Kafka's logs and of linearizability decide the exit code.
 */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { SeededRandom } from "#reference/base/prng.ts";
import { quantilesOf } from "#reference/checkers/quantiles.ts";
import { Client } from "#reference/node/client.ts";
import { TestCluster } from "#reference/node/test-cluster.ts";
import type { BegunFault, FaultName, FaultScene } from "#reference/node/test-faults.ts";
import { faults, leaderOf, SmallDisk } from "#reference/node/test-faults.ts";
import { TestLoad } from "#reference/node/test-load.ts";
import { OzProcesses } from "#reference/node/test-processes.ts";
import { judge } from "#reference/node/test-verdict.ts";

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "1..3" },
    nodes: { type: "string", default: "3" },
    rounds: { type: "string", default: "15" },
    partitions: { type: "string", default: "2" },
    faults: { type: "string", default: "all" },
    quiet: { type: "boolean", default: false },
  },
});
const [first = 1, last = first] = flags.seeds.split("..").map(Number);
const faultNames = Object.keys(faults) as FaultName[];
const chosen =
  flags.faults === "all" ? faultNames : faultNames.filter((name) => flags.faults.split(",").includes(name));
const topic = "orders";
const smallDiskMiB = 64;
/** A fault that comes as the second at once. */
const secondFaultChance = 0.3;
const recoveryMaxMs = 60_000;

/** What a leader's death cost, in milliseconds, over all seeds. */
const leaderless: number[] = [];
const unacknowledged: number[] = [];

function say(line: string): void {
  if (!flags.quiet) process.stderr.write(`${line}\n`);
}

/** Milliseconds for people. */
function show(values: readonly number[]): string {
  const quantiles = quantilesOf(values);
  if (quantiles === undefined) return "none";
  const { median, p99, max } = quantiles;
  return `median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, max ${max.toFixed(0)} ms, n = ${values.length}`;
}

/** Rejects when it takes longer than a healed cluster may. */
async function within<Value>(what: string, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${recoveryMaxMs} ms`)), recoveryMaxMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** After a leader's death: how long nobody led its partition, and how long nobody was answered. */
async function measure(
  { cluster, load }: FaultScene,
  { leader, partition }: NonNullable<BegunFault["killed"]>,
  startMs: number,
): Promise<void> {
  await leaderOf(cluster, load.topic, partition, leader);
  leaderless.push(performance.now() - startMs);
  await load.acknowledged(partition, 20);
  const times = [startMs, ...(load.acknowledgedAtMs[partition] ?? []).filter((timeMs) => timeMs > startMs)];
  // Answers that were on their way when the leader died may come a moment later: the longest silence counts.
  unacknowledged.push(Math.max(...times.slice(1).map((timeMs, place) => timeMs - (times[place] ?? 0))));
}

async function runRound(scene: FaultScene, number: number): Promise<void> {
  const { cluster, load, random } = scene;
  const isDouble = random.nextChance(secondFaultChance);
  const [name, other] = [random.pick(chosen), random.pick(chosen)];
  // When all are dead nobody can do anything, and nodes are restarted one by one only while all are there.
  const isPossible = name !== "kill-all" && other !== "rolling-restart";
  const names = isDouble && isPossible ? [name, other] : [name];
  const durationMs = random.nextBetween(200, 4000);
  const begun: BegunFault[] = [];
  for (const kind of names) {
    const startMs = performance.now();
    const fault: BegunFault = await within(kind, faults[kind](scene));
    say(`round ${number}: ${fault.text} (${Math.round(performance.now() - startMs)} ms)`);
    begun.push(fault);
    if (names.length === 1 && fault.killed !== undefined)
      await within("a new leader", measure(scene, fault.killed, startMs));
  }
  await sleep(durationMs);
  for (const { heal } of begun) await heal?.();
  await cluster.heal();
  for (const { finish } of begun) if (finish !== undefined) await within("finishing", finish());
  await within("progress after healing", load.progress(5));
  await within("catching up", cluster.caughtUp());
}

async function runSeed(seed: number): Promise<boolean> {
  const processes = new OzProcesses();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void processes.cleanUp().then(() => process.exit(130)));
  }
  const folder = join(tmpdir(), `oz-small-disk-${process.pid}-${seed}`);
  const disk = chosen.includes("disk-full") ? await SmallDisk.mount(folder, smallDiskMiB) : undefined;
  try {
    const cluster = await TestCluster.start(processes, {
      count: Number(flags.nodes),
      flags: ["--log-level", "silent"],
      dataOf: (name) => (name === "n1" && disk !== undefined ? join(disk.path, name) : undefined),
    });
    const client = await Client.connect(cluster.addresses);
    const partitions = Number(flags.partitions);
    await client.createTopic(topic, { partitions });
    client.destroy();
    const load = new TestLoad({ topic, partitions, addresses: cluster.addresses, paceMs: 10 });
    const random = new SeededRandom(seed);
    const scene = { cluster, load, random, ...(disk && { smallDisk: { disk, node: "n1" } }) };
    load.start();
    await load.progress();
    try {
      for (let round = 1; round <= Number(flags.rounds); round++) await runRound(scene, round);
      await within("the end of the load", load.stop());
    } catch (error) {
      for (const { name } of cluster.nodes) {
        const state = await cluster.stateOf(name);
        process.stdout.write(`  ${name}: ${state === undefined ? "no answer" : JSON.stringify(state)}\n`);
      }
      throw error;
    }
    const verdict = await judge(cluster, load);
    cluster.close();
    const { problems, sendCount, acknowledgedCount, unknownCount, unknownStoredCount, steps } = verdict;
    const stored = `${unknownCount} unknown of which ${unknownStoredCount} are stored`;
    const what = problems.length === 0 ? "valid" : "INVALID";
    process.stdout.write(
      `seed ${seed}: ${what}; ${sendCount} sends, ${acknowledgedCount} acknowledged, ${stored}; ${steps} steps\n`,
    );
    for (const [error, count] of load.errors) say(`  ${count} × ${error}`);
    for (const problem of problems) process.stdout.write(`  ${problem}\n`);
    return problems.length === 0;
  } catch (error) {
    process.stdout.write(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  } finally {
    await processes.cleanUp();
    disk?.unmount();
    await rm(folder, { recursive: true, force: true });
  }
}

let wrong = 0;
for (let seed = first; seed <= last; seed++) if (!(await runSeed(seed))) wrong++;
process.stdout.write(`without a leader after kill -9 of it:      ${show(leaderless)}\n`);
process.stdout.write(`without an acknowledgement, then:          ${show(unacknowledged)}\n`);
process.exit(wrong === 0 ? 0 : 1);
