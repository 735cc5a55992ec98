/** `oz bench`: what a server can take, alone or against another broker. */
import { defineCommand, done, failed, misused, option, positional } from "../cli/command.ts";

const works = ["produce", "consume", "rtt", "connections"] as const;

export const command = defineCommand({
  name: "bench",
  summary: "Measure a server: produce, consume, rtt (one request at a time) or connections.",
  details:
    "Without --server it starts one of its own in a temporary folder. With --against, each round runs ours and the " +
    "peer's in turn at equal durability; the ratio is the median of the rounds' ratios. " +
    "--rate sends at a fixed pace and counts the delay from when a request was due, so that a stall of the server is " +
    "not hidden by requests that were never sent.",
  examples: [
    "oz bench produce --batch 100 --outstanding 16 --fsync everysec",
    "oz bench produce --against redis --rounds 5 --json",
    "oz bench connections --connections 10000",
    "oz bench produce --cluster 3 --against alone,nats",
    "oz bench produce --cluster 3 --tls --against plain",
  ],
  hasJson: true,
  hasMine: true,
  positionals: { work: positional.one("produce|consume|rtt|connections", "What to measure.") },
  options: {
    server: option.text("HOST:PORT", "A server that runs already; its data grows."),
    spawn: option.flag("Start a server for this (the default without --server)."),
    recordBytes: option.integer("N", "Bytes of a record's value.", { default: 100, min: 1, max: 2 ** 20 }),
    batch: option.integer("N", "Records in one request.", { default: 100, min: 1, max: 100_000 }),
    connections: option.integer("N", "Connections.", { default: 1, min: 1, max: 100_000 }),
    outstanding: option.integer("N", "Requests under way on each.", { default: 16, min: 1, max: 65_536 }),
    seconds: option.integer("N", "Length of one measurement.", { default: 5, min: 1, max: 3600 }),
    rounds: option.integer("N", "Measurements.", { default: 5, min: 1, max: 100 }),
    rate: option.integer("N", "Requests a second, sent at a fixed pace (open loop).", { min: 1 }),
    fsync: option.choice(["always", "everysec", "never"], "Of the servers that it starts.", {
      default: "everysec",
    }),
    acks: option.choice(["quorum", "leader"], "Of a cluster: stored on a majority of the nodes, or on one.", {
      default: "quorum",
    }),
    partitions: option.integer("N", "Partitions, written to in turn.", { default: 1, min: 1, max: 1000 }),
    preEncoded: option.flag("Encode the requests once, as redis-benchmark does."),
    growing: option.flag("Write into a topic that keeps everything, not into one that keeps 256 MiB."),
    cluster: option.integer("N", "Start a cluster of N nodes; each syncs what it promises.", {
      min: 1,
      max: 9,
    }),
    tls: option.flag("With --cluster: its nodes speak TLS, to each other and to the load."),
    against: option.text(
      "PEERS",
      "Peers to run in alternation, with commas between: alone, plain, redis, ioredis, node-redis, nats, nats-client, iperf3.",
    ),
  },
  async run({ positionals, options, json, print, printJson, io }) {
    const work = works.find((known) => known === positionals.work);
    if (work === undefined) return misused(`${positionals.work} is not one of ${works.join(", ")}`);
    const { runBench } = await import("../bench/bench.ts");
    const { showProgress } = await import("../progress.ts");
    const progress = showProgress(io.stderr, "rounds");
    const outcome = await runBench({ ...options, work }, (message) => progress.say(message));
    progress.end();
    if (outcome.kind === "misused") return misused(outcome.message);
    if (outcome.kind === "failed") return failed(outcome.message);
    if (json) printJson(outcome.report);
    else for (const line of outcome.lines) print(line);
    return done;
  },
});
