/**
 * Does size matter? `node scripts/measure-size.ts --gigabytes 10`
 *
 * Fills a topic with so many gigabytes, and a small one with 10 MB. Then, in alternation so that other work on the
 * machine meets both: how fast records are appended to each, how long a fetch from a random offset of each takes, and
 * how long a server that was stopped in order takes to start again. A log that gets slower as it grows has an operation
 * whose cost depends on what is stored, and that shows here. Needs the disk space, and gives it back.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SeededRandom } from "../reference/base/prng.ts";
import { Client } from "../reference/node/client.ts";
import { end, firstLine } from "../reference/node/bench/server-process.ts";
import { encodeRecordBatch } from "../reference/storage/record-batch-builder.ts";

const { values: flags } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "10" },
    folder: { type: "string", default: tmpdir() },
    rounds: { type: "string", default: "12" },
  },
});

const largeBytes = Number(flags.gigabytes) * 1e9;
const smallBytes = 10e6;
const roundBytes = 200e6;
const rounds = Number(flags.rounds);
const outstanding = 16;
const fetchCount = 2000;
const fetchBytes = 64 * 1024;
const program = join(import.meta.dirname, "../oz.mjs");
const batch = encodeRecordBatch(
  Array.from({ length: 100 }, () => ({ value: new Uint8Array(1000).fill(120) })),
);

const data = await mkdtemp(join(flags.folder, "oz-size-"));
const random = new SeededRandom(1);

interface Server {
  readonly client: Client;
  readonly startMs: number;
  stop(): Promise<void>;
}

/** Starts a server; how long that takes counts from the start of its process. */
async function start(folder: string): Promise<Server> {
  const argv = [program, "serve", "--data", folder, "--port", "0", "--fsync", "everysec"];
  const startedAt = performance.now();
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const address = await firstLine(child, /^listening on (\S+)$/);
  const startMs = performance.now() - startedAt;
  const client = await Client.connect(address);
  return {
    client,
    startMs,
    async stop() {
      await client.close();
      await end(child, () => Promise.resolve());
    },
  };
}

/** Appends so many bytes, a few batches under way at a time; resolves to bytes a second. */
async function produce(client: Client, topic: string, bytes: number): Promise<number> {
  const count = Math.ceil(bytes / batch.length);
  const startedAt = performance.now();
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (sent < count) {
      sent++;
      await client.produceBatch(topic, batch);
    }
  };
  await Promise.all(Array.from({ length: outstanding }, lane));
  return (count * batch.length) / ((performance.now() - startedAt) / 1000);
}

/** Fetches from a random offset; resolves to the time in µs. */
async function fetchAnywhere(client: Client, topic: string, endOffset: number): Promise<number> {
  const offset = random.nextBetween(0, endOffset - 1000);
  const startedAt = performance.now();
  await client.fetch(topic, offset, { bytesMax: fetchBytes });
  return (performance.now() - startedAt) * 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  const server = await start(data);
  const { client } = server;
  for (const topic of ["large", "small"]) await client.createTopic(topic);
  const fillRate = await produce(client, "large", largeBytes);
  await produce(client, "small", smallBytes);
  print(`filled ${flags.gigabytes} GB at ${Math.round(fillRate / 1e6)} MB/s`);

  const ratios: number[] = [];
  const rates = { large: [] as number[], small: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    // A topic of its own each time, or the small one would not stay small.
    const topic = `small-${round}`;
    await client.createTopic(topic);
    await produce(client, topic, smallBytes);
    // What comes second meets the disk still busy with what came first, so they take turns at that.
    const order = round % 2 === 0 ? (["small", "large"] as const) : (["large", "small"] as const);
    for (const each of order) {
      rates[each].push(await produce(client, each === "small" ? topic : "large", roundBytes));
    }
    ratios.push((rates.large.at(-1) ?? 0) / (rates.small.at(-1) ?? 1));
    await client.deleteTopic(topic);
  }
  const [small, large] = [median(rates.small), median(rates.large)].map((rate) => Math.round(rate / 1e6));
  print(
    `append: ${large} MB/s behind ${flags.gigabytes} GB, ${small} MB/s behind 10 MB; ratio ${median(ratios).toFixed(2)}`,
  );

  const fetchTimes = { large: [] as number[], small: [] as number[] };
  const { endOffset: largeEnd } = await client.getOffset("large");
  const { endOffset: smallEnd } = await client.getOffset("small");
  for (let count = 0; count < fetchCount; count++) {
    fetchTimes.small.push(await fetchAnywhere(client, "small", smallEnd));
    fetchTimes.large.push(await fetchAnywhere(client, "large", largeEnd));
  }
  const [fromSmall, fromLarge] = [median(fetchTimes.small), median(fetchTimes.large)].map(Math.round);
  print(
    `fetch of 64 KiB from anywhere: ${fromLarge} µs in ${flags.gigabytes} GB, ${fromSmall} µs in 10 MB (medians)`,
  );
  await server.stop();

  const empty = await mkdtemp(join(flags.folder, "oz-size-empty-"));
  const times: Record<string, number[]> = { empty: [], full: [] };
  for (let round = 0; round < 5; round++) {
    for (const [name, folder] of [
      ["empty", empty],
      ["full", data],
    ] as const) {
      const again = await start(folder);
      times[name]?.push(again.startMs);
      await again.stop();
    }
  }
  await rm(empty, { recursive: true, force: true });
  const [bare, full] = [median(times["empty"] ?? []), median(times["full"] ?? [])].map(Math.round);
  print(`start: ${full} ms with ${flags.gigabytes} GB, ${bare} ms with nothing`);
} finally {
  await rm(data, { recursive: true, force: true });
}
