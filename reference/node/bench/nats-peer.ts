/**
 * NATS JetStream as a peer, driven over a bare socket: messages are published with one reply inbox and their
 * acknowledgements are counted. That is faster than the NATS clients, which do more for each message. A stream with
 * copies is published to at the server that leads it, as our client goes to the node that leads.
 */
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startNats } from "./nats-server.ts";
import type { NatsServers } from "./nats-server.ts";
import type { Peer, PeerOptions, PeerServer, PeerWork } from "./peer.ts";

/** Messages published and not yet acknowledged. */
const windows = [256, 4096] as const;
/** Servers that have just been started elect a leader before they make a stream. */
const createTimeoutMs = 20_000;
const createRetryMs = 200;
const askTimeoutMs = 5000;

const greeting = 'CONNECT {"verbose":false,"pedantic":false}\r\nSUB _INBOX.* 1\r\n';

export const natsPeer: Peer = { name: "nats", start };

async function start(options: PeerOptions): Promise<PeerServer> {
  const servers = await startNats(options);
  const { copies = 1 } = options;
  return {
    measure: async (work) => measure(await makeStream(servers, copies), copies, work),
    stop: servers.stop,
  };
}

async function measure(
  port: number,
  copies: number,
  work: PeerWork,
): Promise<Readonly<Record<string, number>>> {
  if (work.kind === "consume")
    throw new Error("nats is compared for produce and rtt, nats-client for consume");
  const rates: Record<string, number> = {};
  const kind = copies > 1 ? `nats jetstream, ${copies} copies,` : "nats jetstream";
  for (const window of work.kind === "rtt" ? [1] : windows) {
    rates[`${kind} window ${window}`] = await publish(port, work, window);
  }
  return rates;
}

/** Makes the stream, if it is not there, and resolves to the port of the server that leads it. */
async function makeStream({ ports }: NatsServers, copies: number): Promise<number> {
  const stream = JSON.stringify({
    name: "bench",
    subjects: ["bench.*"],
    storage: "file",
    retention: "limits",
    num_replicas: copies,
  });
  const [first = 0] = ports.values();
  const deadlineMs = performance.now() + createTimeoutMs;
  for (;;) {
    const { error, cluster } = JSON.parse(await ask(first, "$JS.API.STREAM.CREATE.bench", stream)) as {
      readonly error?: { readonly description: string };
      readonly cluster?: { readonly leader?: string };
    };
    const leader = copies === 1 ? first : ports.get(cluster?.leader ?? "");
    if (error === undefined && leader !== undefined) return leader;
    if (performance.now() > deadlineMs)
      throw new Error(`JetStream: ${error?.description ?? "the stream has no leader"}`);
    await sleep(createRetryMs);
  }
}

/** One request, answered by a line of JSON; an empty object when nobody answers in time. */
async function ask(port: number, subject: string, payload: string): Promise<string> {
  const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
  try {
    await once(socket, "connect");
    const answer = Promise.withResolvers<string>();
    const lines = new LineCounter((_subject, received) => answer.resolve(received));
    socket.on("error", answer.reject);
    socket.on("data", (chunk: Buffer) => {
      const read = lines.receive(chunk, () => socket.write("PONG\r\n"));
      if (read === "error") answer.reject(new Error("NATS: -ERR"));
    });
    socket.write(`${greeting}PUB ${subject} _INBOX.answer ${payload.length}\r\n${payload}\r\n`);
    return await Promise.race([answer.promise, sleep(askTimeoutMs, "{}", { ref: false })]);
  } finally {
    socket.destroy();
  }
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
    let fresh = 0;
    const lines = new LineCounter((_subject, payload) => {
      if (payload.startsWith('{"error"')) return fail(new Error(`JetStream: ${payload}`));
      acknowledged++;
      fresh++;
    });
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
      socket.write(greeting);
      startMs = performance.now();
      socket.write(block);
      setTimeout(finish, seconds * 1000);
    });
    socket.on("data", (chunk: Buffer) => {
      fresh = 0;
      const read = lines.receive(chunk, () => socket.write("PONG\r\n"));
      if (read === "error") return fail(new Error("NATS: -ERR"));
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
