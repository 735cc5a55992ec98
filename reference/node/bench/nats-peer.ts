/**
 * NATS JetStream as a peer, driven over a bare socket: messages are published with one reply inbox and their
 * acknowledgements are counted. That is faster than the NATS clients, which do more for each message.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Peer, PeerOptions, PeerServer, PeerWork } from "./peer.ts";
import { end, firstLine } from "./server-process.ts";

/** Messages published and not yet acknowledged. */
const windows = [256, 4096] as const;

export const natsPeer: Peer = { name: "nats", start };

async function start({ fsync, folder }: PeerOptions): Promise<PeerServer> {
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
  return { measure: (work) => measure(Number(port), work), stop: () => end(child, remove) };
}

/** The server's version: its major and minor number. */
async function version(): Promise<[number, number]> {
  const { stdout } = await promisify(execFile)("nats-server", ["--version"]);
  const match = /v(\d+)\.(\d+)/.exec(stdout);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}

async function measure(port: number, work: PeerWork): Promise<Readonly<Record<string, number>>> {
  if (work.kind === "consume") throw new Error("nats is compared for produce and rtt only");
  const rates: Record<string, number> = {};
  for (const window of work.kind === "rtt" ? [1] : windows) {
    rates[`nats jetstream window ${window}`] = await publish(port, work, window);
  }
  return rates;
}

/** Acknowledged messages a second, with `window` under way. */
function publish(port: number, { recordBytes, seconds }: PeerWork, window: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    const message = Buffer.from(
      `PUB bench.subject _INBOX.ack ${recordBytes}\r\n${"a".repeat(recordBytes)}\r\n`,
    );
    const block = Buffer.concat(Array.from({ length: window }, () => message));
    let startMs = 0;
    let acknowledged = 0;
    const lines = new LineCounter((subject, payload) => {
      if (subject === "_INBOX.create") {
        if (payload.includes('"error"')) return fail(new Error(`JetStream: ${payload}`));
        startMs = performance.now();
        socket.write(block);
        setTimeout(finish, seconds * 1000);
        return;
      }
      acknowledged++;
      fresh++;
    });
    let fresh = 0;
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const finish = (): void => {
      socket.destroy();
      resolve(acknowledged / ((performance.now() - startMs) / 1000));
    };
    socket.on("error", fail);
    socket.on("connect", () => {
      const stream = JSON.stringify({
        name: "bench",
        subjects: ["bench.*"],
        storage: "file",
        retention: "limits",
      });
      socket.write('CONNECT {"verbose":false,"pedantic":false}\r\nSUB _INBOX.* 1\r\n');
      socket.write(`PUB $JS.API.STREAM.CREATE.bench _INBOX.create ${stream.length}\r\n${stream}\r\n`);
    });
    socket.on("data", (chunk: Buffer) => {
      fresh = 0;
      if (lines.receive(chunk, () => socket.write("PONG\r\n")) === "error")
        return fail(new Error("NATS: -ERR"));
      if (fresh > 0) socket.write(fresh === window ? block : block.subarray(0, fresh * message.length));
    });
  });
}

/** Reads NATS's text protocol as far as needed: messages with their payloads, pings, errors. */
class LineCounter {
  readonly #message: (subject: string, payload: string) => void;
  #rest = "";

  constructor(message: (subject: string, payload: string) => void) {
    this.#message = message;
  }

  receive(chunk: Buffer, ping: () => void): "ok" | "error" {
    const text = this.#rest + chunk.toString("latin1");
    let at = 0;
    for (;;) {
      const lineEnd = text.indexOf("\r\n", at);
      if (lineEnd < 0) break;
      const line = text.slice(at, lineEnd);
      if (line.startsWith("MSG ")) {
        const size = Number(line.slice(line.lastIndexOf(" ") + 1));
        const end = lineEnd + 2 + size + 2;
        if (text.length < end) break;
        this.#message(line.slice(4, line.indexOf(" ", 4)), text.slice(lineEnd + 2, end - 2));
        at = end;
        continue;
      }
      if (line === "PING") ping();
      if (line.startsWith("-ERR")) return "error";
      at = lineEnd + 2;
    }
    this.#rest = text.slice(at);
    return "ok";
  }
}
