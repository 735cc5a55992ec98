/**
 * What do many partitions cost a cluster? `node scripts/measure-groups.ts --topics 10 --partitions 100`
 *
 * Three nodes with so many topics, each a process of its own. Then, one after the other: how long the topics take to be
 * made; what the nodes do while nobody asks anything of them (processor, memory, bytes to each other, files); what they
 * carry; how long a node takes to stop, to start and to have everything again; how long the partitions that it led are
 * without a leader after `kill -9`; and what elections that took. All but the files is read from the nodes' own metrics.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { firstLine } from "../reference/node/bench/server-process.ts";
import { Client } from "../reference/node/client.ts";
import { freePorts } from "../reference/node/cluster-demo.ts";
import type { ReplyOf } from "../reference/protocol/messages.ts";

const { values: flags } = parseArgs({
  options: {
    topics: { type: "string", default: "1" },
    partitions: { type: "string", default: "1000" },
    nodes: { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    folder: { type: "string", default: tmpdir() },
    kills: { type: "string", default: "3" },
  },
});

const [topics, partitions, nodeCount, seconds, kills] = [
  flags.topics,
  flags.partitions,
  flags.nodes,
  flags.seconds,
  flags.kills,
].map(Number) as [number, number, number, number, number];
const program = join(import.meta.dirname, "../oz.mjs");
const createTimeoutMs = 180_000;
/** A change that has not come about by then is a finding of its own. */
const waitMs = 120_000;
const lookMs = 10;

interface Node {
  readonly name: string;
  readonly address: string;
  readonly argv: readonly string[];
  readonly adminPort: number;
  process: ChildProcess;
}

/** What one node says of itself. */
type Metrics = ReadonlyMap<string, number>;
type State = ReplyOf<"ClusterState">;

async function main(): Promise<void> {
  const folder = await mkdtemp(join(flags.folder, "oz-groups-"));
  const nodes: Node[] = [];
  try {
    nodes.push(...(await startNodes(folder)));
    await untilSettled(nodes, 0);
    await measure(nodes);
  } finally {
    for (const node of nodes) await kill(node, "SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(nodes: readonly Node[]): Promise<void> {
  const count = topics * partitions;
  await sleep(1000);
  await showIdle("idle, no topics", nodes);
  const before = await Promise.all(nodes.map(metricsOf));
  await showCreate(nodes);
  const settleMs = await untilSettled(nodes, count);
  print(`led everywhere ${round(settleMs)} ms later`);
  await sleep(7000);
  await showIdle(`idle, ${topics} × ${partitions} partitions`, nodes);
  const after = await Promise.all(nodes.map(metricsOf));
  const grown = mean(after.map((of, at) => residentBytes(of) - residentBytes(before[at]!)));
  print(`resident memory of each partition, on each node: ${(grown / 1024 / count).toFixed(1)} KiB`);
  await showElections("elections so far", nodes, []);
  await showLoad(nodes);
  await showRestart(nodes, count);
  for (let done = 0; done < kills; done++) await showKill(nodes, await busiest(nodes), count);
}

// --- What is measured ---

async function showCreate(nodes: readonly Node[]): Promise<void> {
  const client = await Client.connect(nodes.map(({ address }) => address).join(","));
  const startedAt = performance.now();
  for (let topic = 0; topic < topics; topic++) {
    await client.call("CreateTopic", topicOf(topic), { timeoutMs: createTimeoutMs });
  }
  print(`made ${topics} topics of ${partitions} partitions in ${round(performance.now() - startedAt)} ms`);
  await client.close();
}

function topicOf(topic: number) {
  return { topic: `many-${topic}`, partitions, retentionMs: 0, retentionBytes: 0, isCompacted: false };
}

async function showIdle(title: string, nodes: readonly Node[]): Promise<void> {
  await showWhile(title, nodes, () => sleep(seconds * 1000));
}

/** The nodes' numbers while something happens. */
async function showWhile(
  title: string,
  nodes: readonly Node[],
  happens: () => Promise<unknown>,
): Promise<void> {
  const before = await Promise.all(nodes.map(metricsOf));
  const startedAt = performance.now();
  await happens();
  const elapsed = (performance.now() - startedAt) / 1000;
  const after = await Promise.all(nodes.map(metricsOf));
  const table = await Promise.all(
    nodes.map(async (node, at) => {
      const now = after[at]!;
      const rate = (name: string): number => (value(now, name) - value(before[at]!, name)) / elapsed;
      return {
        node: node.name,
        leads: value(now, "oz_cluster_partitions_led"),
        "cpu %": (100 * rate("process_cpu_seconds_total")).toFixed(1),
        "sent KB/s": (rate("oz_cluster_sent_bytes_total") / 1000).toFixed(1),
        "frames/s": round(rate("oz_cluster_sent_frames_total")),
        "resident MB": round(value(now, "process_resident_memory_bytes") / 2 ** 20),
        "heap MB": round(value(now, "nodejs_heap_size_used_bytes") / 2 ** 20),
        "loop p50 ms": (1000 * value(now, "nodejs_eventloop_lag_p50_seconds")).toFixed(1),
        "loop p99 ms": (1000 * value(now, "nodejs_eventloop_lag_p99_seconds")).toFixed(1),
        files: await filesOf(node),
        terms: value(now, "oz_raft_term_changes_total") - value(before[at]!, "oz_raft_term_changes_total"),
      };
    }),
  );
  print(`\n${title}`);
  showTable(table);
}

async function showLoad(nodes: readonly Node[]): Promise<void> {
  const server = nodes.map(({ address }) => address).join(",");
  const argv = ["bench", "produce", "--server", server, "--seconds", String(seconds), "--rounds", "1"];
  for (const spread of new Set([1, Math.min(100, partitions)])) {
    let said = "";
    await showWhile(`oz bench produce --partitions ${spread}`, nodes, async () => {
      const bench = spawn(process.execPath, [program, ...argv, "--partitions", String(spread)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      bench.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
      await once(bench, "exit");
    });
    print(said.trim());
  }
}

async function showRestart(nodes: readonly Node[], count: number): Promise<void> {
  const node = nodes[0]!;
  const startedAt = performance.now();
  await kill(node, "SIGTERM");
  const stoppedAt = performance.now();
  node.process = await serve(node.argv);
  const listeningAt = performance.now();
  await untilSettled(nodes, count);
  const settledAt = performance.now();
  const times = [stoppedAt - startedAt, listeningAt - stoppedAt, settledAt - listeningAt].map(round);
  const parts = `${times[0]} ms to stop, ${times[1]} to listen, ${times[2]} until it knows all leaders`;
  print(`\nrestart of ${node.name}: ${parts}`);
  await sleep(8000);
}

/** The node that leads most. */
async function busiest(nodes: readonly Node[]): Promise<Node> {
  const led = (await Promise.all(nodes.map(metricsOf))).map((of) => value(of, "oz_cluster_partitions_led"));
  return nodes[led.indexOf(Math.max(...led))]!;
}

/** Kills a node and looks at the others until each of its partitions is led again. */
async function showKill(nodes: readonly Node[], node: Node, count: number): Promise<void> {
  const others = nodes.filter((other) => other !== node);
  const clients = await Promise.all(others.map(({ address }) => Client.connect(address)));
  const before = await Promise.all(others.map(metricsOf));
  const { partitions: known } = await clients[0]!.call("ClusterState", {});
  const waiting = new Set(known.filter(({ leader }) => leader === node.name).map(nameOf));
  await kill(node, "SIGKILL");
  const killedAt = performance.now();
  const times: number[] = [];
  while (waiting.size > 0 && performance.now() - killedAt < waitMs) {
    const states = await Promise.all(clients.map((client) => client.call("ClusterState", {})));
    const nowMs = performance.now() - killedAt;
    for (const name of states.flatMap(ledBySelf)) if (waiting.delete(name)) times.push(nowMs);
    await sleep(lookMs);
  }
  times.sort((one, other) => one - other);
  const at = (share: number): number => round(times[Math.ceil(times.length * share) - 1] ?? 0);
  const spread = `${at(0.5)} ms (median), ${at(0.99)} (p99), ${at(1)} (longest)`;
  print(
    `\nkill -9 of ${node.name}, which led ${times.length + waiting.size}: without a leader for ${spread}`,
  );
  if (waiting.size > 0) print(`${waiting.size} are without one still`);
  await showElections("elections since", others, before);
  for (const client of clients) client.destroy();
  node.process = await serve(node.argv);
  print(`all well ${round(await untilSettled(nodes, count))} ms after its return`);
  await sleep(8000);
}

function ledBySelf({ node, partitions: all }: State): string[] {
  return all.filter(({ leader }) => leader === node).map(nameOf);
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}

async function showElections(
  title: string,
  nodes: readonly Node[],
  before: readonly Metrics[],
): Promise<void> {
  const after = await Promise.all(nodes.map(metricsOf));
  const none: Metrics = new Map();
  const sum = (name: string): number => {
    return after.reduce((total, of, at) => total + value(of, name) - value(before[at] ?? none, name), 0);
  };
  const [begun, won] = [sum("oz_raft_elections_total"), sum("oz_raft_elections_won_total")];
  print(`${title}: ${begun} begun, ${won} won, ${sum("oz_raft_term_changes_total")} changes of terms`);
}

/** Resolves, to how long it took, when every node has so many partitions, and knows the leader of each. */
async function untilSettled(nodes: readonly Node[], count: number): Promise<number> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < waitMs) {
    const all = await Promise.all(nodes.map(metricsOf));
    const led = all.reduce((sum, of) => sum + value(of, "oz_cluster_partitions_led"), 0);
    const isWell = all.every((of) => {
      const isComplete = value(of, "oz_cluster_partitions") >= count;
      const isCopied = value(of, "oz_cluster_partitions_under_replicated") === 0;
      const isLed = value(of, "oz_cluster_partitions_leaderless") === 0;
      return isComplete && isCopied && isLed && value(of, "oz_raft_metadata_term") > 0;
    });
    if (isWell && led >= count) return performance.now() - startedAt;
    await sleep(50);
  }
  print(`not settled after ${waitMs} ms`);
  return Infinity;
}

// --- The nodes ---

async function startNodes(folder: string): Promise<Node[]> {
  const ports = await freePorts(2 * nodeCount);
  const names = Array.from({ length: nodeCount }, (_, index) => `n${index + 1}`);
  const addresses = names.map((_, index) => `127.0.0.1:${ports[index]}`);
  const spec = names.map((name, index) => `${name}=${addresses[index]}`).join(",");
  return Promise.all(
    names.map(async (name, index) => {
      const adminPort = ports[nodeCount + index]!;
      const argv = ["serve", "--node", name, "--cluster", spec, "--data", join(folder, name)];
      argv.push("--admin-port", String(adminPort), "--log-level", "silent");
      return { name, address: addresses[index]!, argv, adminPort, process: await serve(argv) };
    }),
  );
}

async function serve(argv: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  await firstLine(child, /^listening on (\S+)$/);
  child.stderr.on("data", (chunk: Buffer) => print(chunk.toString().trim()));
  return child;
}

async function kill({ process: child }: Node, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}

async function metricsOf({ adminPort }: Node): Promise<Metrics> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([a-z0-9_]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (match !== null) found.set(match[1]!, (found.get(match[1]!) ?? 0) + Number(match[2]));
  }
  found.set("series", text.split("\n").length);
  return found;
}

/** Files that the process has open; 0 where the system does not tell. */
async function filesOf({ process: child }: Node): Promise<number> {
  return readdir(`/proc/${child.pid}/fd`).then(
    (names) => names.length,
    () => 0,
  );
}

// --- Numbers ---

function value(metrics: Metrics, name: string): number {
  return metrics.get(name) ?? 0;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}

function round(number: number): number {
  return Math.round(number);
}

function residentBytes(metrics: Metrics): number {
  return value(metrics, "process_resident_memory_bytes");
}

function showTable(rows: readonly Readonly<Record<string, string | number>>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const width = (column: string): number =>
    Math.max(column.length, ...rows.map((row) => String(row[column]).length));
  print(columns.map((column) => column.padStart(width(column))).join("  "));
  for (const row of rows)
    print(columns.map((column) => String(row[column]).padStart(width(column))).join("  "));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
