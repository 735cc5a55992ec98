/** A NATS server with JetStream of its own for a benchmark. */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PeerOptions } from "./peer.ts";
import { end, firstLine } from "./server-process.ts";

/** A NATS server that takes connections on the loopback address. */
export interface NatsServer {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

/** Starts one in a folder that is removed when it stops. */
export async function startNats({ fsync, folder }: PeerOptions): Promise<NatsServer> {
  const interval = { always: "always", everysec: '"1s"', never: undefined }[fsync];
  const [major, minor] = await version();
  const hasInterval = major > 2 || (major === 2 && minor >= 10);
  // Before 2.10 it syncs every two minutes and cannot be told otherwise: a weaker promise than "everysec".
  if (fsync === "always" && !hasInterval)
    throw new Error(`nats-server ${major}.${minor} cannot sync each message`);
  const data = await mkdtemp(join(folder ?? tmpdir(), "oz-nats-"));
  const config = join(data, "server.conf");
  const sync = hasInterval && interval !== undefined ? `\n  sync_interval: ${interval}` : "";
  await writeFile(config, `listen: "127.0.0.1:-1"\njetstream {\n  store_dir: "${data}"${sync}\n}\n`);
  const child = spawn("nats-server", ["-c", config], { stdio: ["ignore", "pipe", "pipe"] });
  const remove = (): Promise<void> => rm(data, { recursive: true, force: true });
  const port = await firstLine(child, /Listening for client connections on 127\.0\.0\.1:(\d+)/).catch(
    async (error: unknown) => {
      await end(child, remove);
      throw error;
    },
  );
  return { port: Number(port), stop: () => end(child, remove) };
}

/** The server's version: its major and minor number. */
async function version(): Promise<[number, number]> {
  const { stdout } = await promisify(execFile)("nats-server", ["--version"]);
  const match = /v(\d+)\.(\d+)/.exec(stdout);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
