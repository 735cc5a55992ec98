/**
 * Redis Streams through the clients that Node programs use: ioredis, which writes, and node-redis, which reads.
 *
 * Unlike redis-benchmark they encode each command, look at each answer and settle a promise for it, as our client does.
 */
import { optionalPackage } from "./packages.ts";
import type { Peer, PeerServer, PeerWork } from "./peer.ts";
import { flushRedis, startRedis } from "./redis-server.ts";

/** Commands in one pipeline of ioredis, and entries in one answer to node-redis. */
const pipelineCommands = 1000;
/** Pipelines under way: while the server works at one, the client encodes the next. */
const pipelinesAhead = 2;
/** Entries that are read: more than the processor's cache holds, few enough to write quickly. */
const entriesRead = 200_000;

/** Writes, in pipelines or one command at a time. */
export const ioredisPeer: Peer = {
  name: "ioredis",
  async start(options): Promise<PeerServer> {
    const { Redis } = await optionalPackage("ioredis", () => import("ioredis"));
    const { port, stop } = await startRedis(options);
    return {
      async measure(work) {
        if (work.kind === "consume") throw new Error("ioredis is compared for produce and rtt");
        const redis = new Redis({ port, host: "127.0.0.1", enableAutoPipelining: false });
        const value = "a".repeat(work.recordBytes);
        const pipelined = async (): Promise<number> => {
          const pipeline = redis.pipeline();
          for (let index = 0; index < pipelineCommands; index++) pipeline.xadd("s", "*", "d", value);
          await pipeline.exec();
          return pipelineCommands;
        };
        const single = async (): Promise<number> => {
          await redis.xadd("s", "*", "d", value);
          return 1;
        };
        try {
          if (work.kind === "rtt") return { "ioredis one at a time": await rateOf(single, 1, work) };
          return { [`ioredis pipeline ${pipelineCommands}`]: await rateOf(pipelined, pipelinesAhead, work) };
        } finally {
          redis.disconnect();
          await flushRedis(port);
        }
      },
      stop,
    };
  },
};

/** Reads a stream from end to end, as a consumer that follows it. */
export const nodeRedisPeer: Peer = {
  name: "node-redis",
  async start(options): Promise<PeerServer> {
    const { createClient } = await optionalPackage("@redis/client", () => import("@redis/client"));
    const { port, stop } = await startRedis(options);
    return {
      async measure(work) {
        if (work.kind !== "consume") throw new Error("node-redis is compared for consume");
        const redis = createClient({ url: `redis://127.0.0.1:${port}` });
        await redis.connect();
        const d = "a".repeat(work.recordBytes);
        for (let written = 0; written < entriesRead; written += pipelineCommands) {
          await Promise.all(Array.from({ length: pipelineCommands }, () => redis.xAdd("s", "*", { d })));
        }
        let id = "0-0";
        const read = async (): Promise<number> => {
          const streams = await redis.xRead([{ key: "s", id }], { COUNT: pipelineCommands });
          const entries = streams?.[0]?.messages ?? [];
          id = entries.at(-1)?.id ?? "0-0";
          return entries.length;
        };
        try {
          return { [`node-redis xRead ${pipelineCommands}`]: await rateOf(read, 1, work) };
        } finally {
          redis.destroy();
          await flushRedis(port);
        }
      },
      stop,
    };
  },
};

/** Part of the time that a client runs before it is measured. */
const warmUpPart = 0.5;

/** What `step` brings a second, when so many of it are under way at any time. */
async function rateOf(
  step: () => Promise<number>,
  ahead: number,
  { seconds }: Pick<PeerWork, "seconds">,
): Promise<number> {
  const startMs = performance.now() + seconds * warmUpPart * 1000;
  const endMs = startMs + seconds * 1000;
  let count = 0;
  const run = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const brought = await step();
      const nowMs = performance.now();
      if (nowMs >= startMs && nowMs < endMs) count += brought;
    }
  };
  await Promise.all(Array.from({ length: ahead }, run));
  return count / seconds;
}
