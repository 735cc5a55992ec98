/** A Redis server of its own for a benchmark, with an append-only file at the durability that was asked for. */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PeerOptions } from "./peer.ts";
import { end, firstLine, freePort } from "./server-process.ts";

/** A Redis server that takes connections on the loopback address. */
export interface RedisServer {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

/** Starts one in a folder that is removed when it stops. */
export async function startRedis({ fsync, folder }: PeerOptions): Promise<RedisServer> {
  const data = await mkdtemp(join(folder ?? tmpdir(), "oz-redis-"));
  const port = await freePort();
  const address = ["--port", String(port), "--bind", "127.0.0.1", "--dir", data, "--daemonize", "no"];
  const durable = ["--save", "", "--appendonly", "yes", "--appendfsync", fsync === "never" ? "no" : fsync];
  const child = spawn("redis-server", [...address, ...durable], { stdio: ["ignore", "pipe", "pipe"] });
  const remove = (): Promise<void> => rm(data, { recursive: true, force: true });
  await firstLine(child, /(Ready to accept connections)/).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  return { port, stop: () => end(child, remove) };
}

/** Removes all that it holds. */
export async function flushRedis(port: number): Promise<void> {
  await promisify(execFile)("redis-cli", ["-p", String(port), "FLUSHALL"]);
}
