/** NATS servers with JetStream of their own for a benchmark: one, or a cluster of them. */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts } from "../cluster-demo.ts";
import type { PeerOptions } from "./peer.ts";
import { end, firstLine } from "./server-process.ts";

/** NATS servers that take connections on the loopback address. */
export interface NatsServers {
  /** By the name of the server. */
  readonly ports: ReadonlyMap<string, number>;
  readonly stop: () => Promise<void>;
}

/** Starts as many as copies are asked for, in folders that are removed when they stop. */
export async function startNats(options: PeerOptions): Promise<NatsServers> {
  const sync = await syncSetting(options);
  const { copies = 1 } = options;
  const routes = copies > 1 ? await freePorts(copies) : [];
  const names = Array.from({ length: copies }, (_, index) => `s${index + 1}`);
  const settled = await Promise.allSettled(
    names.map((name, index) => startOne(name, sync, clusterSetting(routes, index), options.folder)),
  );
  const servers = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async (): Promise<void> => void (await Promise.all(servers.map((server) => server.stop())));
  const failed = settled.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { ports: new Map(servers.map(({ name, port }) => [name, port])), stop };
}

async function startOne(
  name: string,
  sync: string,
  cluster: string,
  folder: string | undefined,
): Promise<{ readonly name: string; readonly port: number; readonly stop: () => Promise<void> }> {
  const data = await mkdtemp(join(folder ?? tmpdir(), "oz-nats-"));
  const config = join(data, "server.conf");
  const listen = `server_name: ${name}\nlisten: "127.0.0.1:-1"\n`;
  await writeFile(config, `${listen}jetstream {\n  store_dir: "${data}"${sync}\n}\n${cluster}`);
  const child = spawn("nats-server", ["-c", config], { stdio: ["ignore", "pipe", "pipe"] });
  const remove = (): Promise<void> => rm(data, { recursive: true, force: true });
  const port = await firstLine(child, /Listening for client connections on 127\.0\.0\.1:(\d+)/).catch(
    async (error: unknown) => {
      await end(child, remove);
      throw error;
    },
  );
  return { name, port: Number(port), stop: () => end(child, remove) };
}

function clusterSetting(routes: readonly number[], index: number): string {
  const own = routes[index];
  if (own === undefined) return "";
  const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  return `cluster {\n  name: bench\n  listen: "127.0.0.1:${own}"\n  routes: [${urls}]\n}\n`;
}

async function syncSetting({ fsync, copies = 1 }: PeerOptions): Promise<string> {
  const interval = { always: "always", everysec: '"1s"', never: undefined }[fsync];
  const [major, minor] = await version();
  const hasInterval = major > 2 || (major === 2 && minor >= 10);
  // Before 2.10 it syncs every two minutes and cannot be told otherwise: a weaker promise than "everysec".
  if (fsync === "always" && !hasInterval && copies === 1)
    throw new Error(`nats-server ${major}.${minor} cannot sync each message`);
  return hasInterval && interval !== undefined ? `\n  sync_interval: ${interval}` : "";
}

/** The server's version: its major and minor number. */
async function version(): Promise<[number, number]> {
  const { stdout } = await promisify(execFile)("nats-server", ["--version"]);
  const match = /v(\d+)\.(\d+)/.exec(stdout);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
