/**
 * NATS JetStream as a peer, driven over a bare socket: messages are published with one reply inbox and their
 * acknowledgements are counted. That is faster than the NATS clients, which do more for each message.
 */
import net from "node:net";
import { startNats } from "./nats-server.ts";
import type { Peer, PeerOptions, PeerServer, PeerWork } from "./peer.ts";

/** Messages published and not yet acknowledged. */
const windows = [256, 4096] as const;

export const natsPeer: Peer = { name: "nats", start };

async function start(options: PeerOptions): Promise<PeerServer> {
  const { port, stop } = await startNats(options);
  return { measure: (work) => measure(port, work), stop };
}

async function measure(port: number, work: PeerWork): Promise<Readonly<Record<string, number>>> {
  if (work.kind === "consume")
    throw new Error("nats is compared for produce and rtt, nats-client for consume");
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
