/**
 * Does the broker keep to its memory budget? `node scripts/soak-memory.ts --seconds 60 --memory 64MiB`
 *
 * Producers that never stop, readers that ask for everything and read nothing, and a look at the resident memory four
 * times a second. It must stay below 1.5 × the budget + 80 MB, and it must be flat: the last third of the run no higher
 * than the second, give or take a few percent. While that goes on, a ping has to be answered: a broker that keeps its
 * budget by doing nothing has not passed. (On a machine that others keep busy no ping is judged, and it says so.)
 * Ends with 1 and says what was wrong when any of it does not hold.
 */
import { createConnection, type Socket } from "node:net";
import { cpus, loadavg } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { Client } from "../reference/node/client.ts";
import { spawnServer } from "../reference/node/bench/server-process.ts";
import { settings } from "../reference/node/settings.ts";
import { encodeRequest } from "../reference/protocol/frame.ts";
import { encodeRequestPayload } from "../reference/protocol/messages-codec.ts";
import { messages, type MessageName, type RequestOf } from "../reference/protocol/messages.ts";
import { encodeRecordBatch } from "../reference/storage/record-batch-builder.ts";

const { values: flags } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    memory: { type: "string", default: "64MiB" },
    fsync: { type: "string", default: "everysec" },
    producers: { type: "string", default: "4" },
    readers: { type: "string", default: "4" },
    "record-bytes": { type: "string", default: "1000" },
    json: { type: "boolean", default: false },
  },
});

const mebibyte = 2 ** 20;
const seconds = Number(flags.seconds);
const memory = settings.memory.kind.parse(flags.memory);
if ("problem" in memory || !(seconds >= 3)) {
  process.stderr.write(`usage: --memory SIZE --seconds N (at least 3)\n`);
  process.exit(2);
}
const limitBytes = 1.5 * memory.value + 80e6;
/** How much higher the last third may be than the second: page-ins and the collector's rhythm, not growth. */
const flatWithin = 1.05;
const topic = "soak";
const partitions = 4;
const sampleMs = 250;
/** How long an answer may take; what this process itself was late, because the machine is busy, comes on top. */
const pingAllowedMs = 2000;
/** The load of one core over five minutes above which others must be at work: this run makes about 1.5. */
const disturbedLoad = 2;
const ownDelay = monitorEventLoopDelay({ resolution: 10 });
ownDelay.enable();

interface Totals {
  produced: number;
  refused: number;
  pings: number;
  slowestPingMs: number;
}

const totals: Totals = { produced: 0, refused: 0, pings: 0, slowestPingMs: 0 };
/** Set at the end: everybody stops. */
const run = { isOver: false };

/** A frame with one request. */
function frameOf<Name extends MessageName>(
  name: Name,
  requestId: number,
  request: RequestOf<Name>,
): Uint8Array {
  const payload = encodeRequestPayload(name, request);
  const frame = { type: messages[name].type, version: 1, flags: 0, requestId: BigInt(requestId), payload };
  const bytes = encodeRequest(frame);
  if (!(bytes instanceof Uint8Array)) throw new Error(`${name} does not fit into a frame`);
  return bytes;
}

function connectTo(address: string): Promise<Socket> {
  const at = address.lastIndexOf(":");
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Sends batches as fast as the socket takes them and throws the answers away: no client library holds it back. */
async function produceForEver(address: string, partition: number): Promise<void> {
  const socket = await connectTo(address);
  const record = { value: new Uint8Array(Number(flags["record-bytes"])).fill(120) };
  const batch = encodeRecordBatch(Array.from({ length: 100 }, () => record));
  let requestId = 0;
  socket.on("error", () => undefined);
  socket.on("data", () => undefined);
  while (!run.isOver && !socket.destroyed) {
    const hasRoom = socket.write(frameOf("Produce", ++requestId, { topic, partition, batch }));
    totals.produced++;
    if (hasRoom && requestId % 64 !== 0) continue;
    await new Promise<void>((resolve) => (hasRoom ? setImmediate(resolve) : socket.once("drain", resolve)));
  }
  socket.destroy();
}

/** Subscribes with all the credit there is, asks for everything a thousand times over, and never reads a byte. */
async function neverRead(address: string, partition: number): Promise<Socket> {
  const socket = await connectTo(address);
  socket.on("error", () => undefined);
  socket.pause();
  const creditBytes = 2 ** 31;
  socket.write(frameOf("Subscribe", 1, { topic, partition, offset: 0, creditBytes }));
  for (let requestId = 2; requestId < 1000; requestId++) {
    socket.write(
      frameOf("Fetch", requestId, { topic, partition, offset: 0, bytesMax: 4 * mebibyte, waitMs: 0 }),
    );
  }
  return socket;
}

/** Asks for health again and again; remembers the slowest answer. */
async function pingForEver(client: Client): Promise<void> {
  while (!run.isOver) {
    const startedAt = performance.now();
    await client.healthCheck();
    totals.pings++;
    totals.slowestPingMs = Math.max(totals.slowestPingMs, performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function largest(samples: readonly number[]): number {
  return samples.reduce((most, sample) => Math.max(most, sample), 0);
}

const retention = ["--retention-size", "256MiB", "--segment-size", "32MiB"];
const server = await spawnServer([
  "--memory",
  flags.memory,
  "--fsync",
  flags.fsync,
  "--admin-port",
  "0",
  ...retention,
]);
const samples: number[] = [];
try {
  const client = await Client.connect(server.address);
  await client.createTopic(topic, { partitions });
  const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index % partitions);
  const producers = range(Number(flags.producers)).map((partition) =>
    produceForEver(server.address, partition),
  );
  const readers = await Promise.all(
    range(Number(flags.readers)).map((each) => neverRead(server.address, each)),
  );
  const pinging = pingForEver(client);
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1000) {
    await new Promise((resolve) => setTimeout(resolve, sampleMs));
    samples.push(await server.residentBytes());
    if (process.stderr.isTTY && samples.length % 4 === 0) {
      const now = Math.round((samples.at(-1) ?? 0) / 1e6);
      process.stderr.write(
        `\r${Math.round(samples.length / 4)} s, ${now} MB resident, ${totals.produced} batches `,
      );
    }
  }
  run.isOver = true;
  await Promise.all(producers);
  await pinging;
  for (const reader of readers) reader.destroy();
  await client.close();
} finally {
  run.isOver = true;
  await server.stop();
}

const third = Math.floor(samples.length / 3);
const [middle, last] = [largest(samples.slice(third, 2 * third)), largest(samples.slice(2 * third))];
const ownDelayMs = Math.round(ownDelay.max / 1e6);
const isPingSlow = totals.slowestPingMs > pingAllowedMs + ownDelayMs;
/** Others' work makes a server wait for its core, which says nothing about the server. Memory is judged all the same. */
const isDisturbed = (loadavg()[1] ?? 0) > disturbedLoad * cpus().length;
const problems = [
  ...(largest(samples) > limitBytes ? [`resident memory reached ${megabytes(largest(samples))}`] : []),
  ...(last > middle * flatWithin
    ? [`it grew: ${megabytes(middle)} in the second third, ${megabytes(last)} in the last`]
    : []),
  ...(isPingSlow && !isDisturbed ? [`a ping took ${Math.round(totals.slowestPingMs)} ms`] : []),
  ...(totals.pings === 0 ? ["no ping was answered"] : []),
];

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

const report = {
  seconds,
  budgetBytes: memory.value,
  limitBytes,
  residentBytesMax: largest(samples),
  residentBytesLast: samples.at(-1) ?? 0,
  batchesSent: totals.produced,
  pings: totals.pings,
  slowestPingMs: Math.round(totals.slowestPingMs),
  ownDelayMs,
  isDisturbed,
  problems,
};
if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
else {
  process.stdout.write(
    `${seconds} s with ${flags.memory}: at most ${megabytes(report.residentBytesMax)} resident (limit ` +
      `${megabytes(limitBytes)}), ${report.batchesSent} batches sent, slowest ping ${report.slowestPingMs} ms (own delay ${ownDelayMs})\n` +
      (isPingSlow && isDisturbed ? "the slowest ping is not judged: others keep this machine busy\n" : "") +
      problems.map((problem) => `not kept: ${problem}\n`).join(""),
  );
}
process.exitCode = problems.length === 0 ? 0 : 1;
