/** Redis Streams as a peer: a server of its own, driven by redis-benchmark, which encodes its commands once. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Peer, PeerOptions, PeerServer, PeerWork } from "./peer.ts";
import { flushRedis, startRedis } from "./redis-server.ts";

const run = promisify(execFile);

/** Connections and pipelined commands of redis-benchmark: the plain one, and others of which one may be faster. */
const settings = [
  [1, 256],
  [1, 1000],
  [4, 256],
  [16, 64],
  [50, 32],
] as const;

/** Entries that XRANGE reads at once. */
const rangeCount = 1000;

/** Calibration: enough commands for a first guess of the speed. */
const probeCommands = 50_000;

export const redisPeer: Peer = { name: "redis", start };

async function start(options: PeerOptions): Promise<PeerServer> {
  const { port, stop } = await startRedis(options);
  return { measure: (work) => measure(port, work), stop };
}

/** Records a second by name of the setting. */
async function measure(port: number, work: PeerWork): Promise<Readonly<Record<string, number>>> {
  const value = "a".repeat(work.recordBytes);
  const rates: Record<string, number> = {};
  if (work.kind === "rtt") {
    rates["redis-benchmark c1"] = await rate(port, work.seconds, 1, 1, ["XADD", "s", "*", "d", value]);
  } else if (work.kind === "produce") {
    for (const [connections, pipeline] of settings) {
      const perSecond = await rate(port, work.seconds, connections, pipeline, ["XADD", "s", "*", "d", value]);
      rates[`redis-benchmark c${connections} P${pipeline}`] = perSecond;
      await flushRedis(port);
    }
  } else {
    await rate(port, 1, 1, 256, ["XADD", "s", "*", "d", value]);
    const requests = await rate(port, work.seconds, 1, 16, [
      "XRANGE",
      "s",
      "-",
      "+",
      "COUNT",
      String(rangeCount),
    ]);
    rates["redis-benchmark XRANGE 1000"] = requests * rangeCount;
    await flushRedis(port);
  }
  return rates;
}

async function rate(
  port: number,
  seconds: number,
  connections: number,
  pipeline: number,
  command: readonly string[],
): Promise<number> {
  const argv = ["-p", String(port), "-c", String(connections), "-P", String(pipeline), "--csv"];
  const isRead = command[0] === "XRANGE";
  const few = isRead || pipeline === 1 ? 2000 : probeCommands;
  const probe = await benchmark([...argv, "-n", String(few), ...command]);
  const commands = Math.max(few, Math.round(probe * seconds));
  return benchmark([...argv, "-n", String(commands), ...command]);
}

/** Requests a second, as redis-benchmark's CSV says. */
async function benchmark(argv: readonly string[]): Promise<number> {
  const { stdout } = await run("redis-benchmark", [...argv], { maxBuffer: 2 ** 24 });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return Number(/",?"([\d.]+)"/.exec(line.replace(/^"(?:[^"]|"")*"/, '"'))?.[1] ?? Number.NaN);
}
