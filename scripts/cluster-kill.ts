/**
 * Kills nodes of a real cluster at random while clients write and read, and judges what the clients were told.
 *
 *     node scripts/cluster-kill.ts [rounds] [nodes]
 *
 * Each round ends one node, the leader more often than not, by `kill -9` or (one round in four) in order, as a rolling
 * restart does; then it starts it again. It prints how long nobody led after the death of a leader, and how long no
 * record was acknowledged; the verdict of the Kafka-log checker decides the exit code.
 */
import { checkKafkaLog } from "../reference/checkers/kafka-log.ts";
import { quantilesOf } from "../reference/checkers/quantiles.ts";
import { Client } from "../reference/node/client.ts";
import { TestCluster, TestLoad } from "../reference/node/test-cluster.ts";
import { OzProcesses } from "../reference/node/test-processes.ts";

const [rounds = 20, count = 3] = process.argv.slice(2).map(Number);
const partitions = 2;
const processes = new OzProcesses();

/** Milliseconds for people. */
function show(values: readonly number[]): string {
  const quantiles = quantilesOf(values);
  if (quantiles === undefined) return "none";
  const { median, p99, max } = quantiles;
  return `median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, max ${max.toFixed(0)} ms, n = ${values.length}`;
}

/** Resolves when a record that is acknowledged after now has been. */
async function nextAcknowledged(load: TestLoad): Promise<number> {
  const before = load.acknowledgedAtMs.length;
  while (load.acknowledgedAtMs.length === before) await new Promise((resolve) => setTimeout(resolve, 2));
  return load.acknowledgedAtMs[before] ?? 0;
}

async function run(): Promise<boolean> {
  const cluster = await TestCluster.start(processes, count, ["--log-level", "silent"]);
  const client = await Client.connect(cluster.addresses);
  await client.createTopic("orders", { partitions });
  client.destroy();
  const load = new TestLoad("orders", cluster.addresses);
  load.start(partitions);
  const leaderless: number[] = [];
  const unacknowledged: number[] = [];
  const handedOver: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await cluster.caughtUp();
    const leader = await cluster.leader();
    const followers = cluster.nodes.map(({ name }) => name).filter((name) => name !== leader);
    const isLeader = Math.random() < 0.7;
    const isOrderly = round % 4 === 0;
    const victim = isLeader ? leader : (followers[Math.floor(Math.random() * followers.length)] ?? leader);
    const startMs = performance.now();
    await cluster.kill(victim, isOrderly ? "SIGTERM" : "SIGKILL");
    if (isLeader && !isOrderly) {
      await cluster.leader();
      leaderless.push(performance.now() - startMs);
      unacknowledged.push((await nextAcknowledged(load)) - startMs);
    } else if (isLeader) {
      handedOver.push((await nextAcknowledged(load)) - startMs);
    }
    process.stderr.write(
      `round ${round}: ${isOrderly ? "stopped" : "killed"} ${victim}${isLeader ? ", which led" : ""}\n`,
    );
    await nextAcknowledged(load);
    await cluster.serve(victim);
  }
  await cluster.caughtUp();
  const result = checkKafkaLog(await load.finish(partitions));
  cluster.close();
  const { verdict, sendCount, acknowledgedCount, readCount, problems } = result;
  process.stdout.write(`without a leader after kill -9 of it:   ${show(leaderless)}\n`);
  process.stdout.write(`without an acknowledgement, then:       ${show(unacknowledged)}\n`);
  process.stdout.write(`stopping a leader in order, until the next acknowledgement: ${show(handedOver)}\n`);
  process.stdout.write(
    `${sendCount} sends, ${acknowledgedCount} acknowledged, ${readCount} reads: ${verdict}\n`,
  );
  for (const { anomaly, key, reason } of problems)
    process.stdout.write(`  ${anomaly} in ${key}: ${reason}\n`);
  return verdict === "valid";
}

try {
  process.exitCode = (await run()) ? 0 : 1;
} finally {
  await processes.cleanUp();
}
