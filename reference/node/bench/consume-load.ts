/** Loads that read: a topic from end to end, and connections that do nothing. */
import { once } from "node:events";
import net from "node:net";
import { assert } from "#reference/base/assert.ts";
import type { FetchedRecords } from "../../client/records.ts";
import { LogHistogram } from "../../observability/log-histogram.ts";
import { encodeRequest } from "../../protocol/frame.ts";
import { protocolVersionMin } from "../../protocol/limits.ts";
import { encodeRequestPayload } from "../../protocol/messages-codec.ts";
import { messages } from "../../protocol/messages.ts";
import { Client } from "../client.ts";
import { parseAddress } from "../network.ts";

/** What a reading load does. */
export interface ConsumeLoad {
  readonly address: string;
  readonly topic: string;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly fetchBytes: number;
}

/** What came of it. */
export interface ConsumeResult {
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Fetches under way at once: while one answer is walked over, the next is on its way. */
const fetchesAhead = 4;

/** Reads the topic's partition 0 again and again, and walks over every record. */
export async function consumeLoad(load: ConsumeLoad): Promise<ConsumeResult> {
  const client = await Client.connect(load.address);
  try {
    const { startOffset, endOffset } = await client.getOffset(load.topic, 0);
    await readFor(client, load, load.warmUpSeconds, startOffset, endOffset);
    return await readFor(client, load, load.seconds, startOffset, endOffset);
  } finally {
    client.destroy();
  }
}

async function readFor(
  client: Client,
  load: ConsumeLoad,
  seconds: number,
  startOffset: number,
  endOffset: number,
): Promise<ConsumeResult> {
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1000;
  let records = 0;
  let bytes = 0;
  const readAll = async (): Promise<void> => {
    let offset = startOffset;
    while (performance.now() < untilMs) {
      if (offset >= endOffset) offset = startOffset;
      const fetched = await client.fetch(load.topic, offset, { bytesMax: load.fetchBytes });
      const walked = walk(fetched);
      records += walked;
      bytes += fetched.bytes.length;
      offset = fetched.nextOffset;
    }
  };
  await Promise.all(Array.from({ length: fetchesAhead }, readAll));
  return { records, bytes, seconds: (performance.now() - startMs) / 1000 };
}

/** Touches each record's first byte, as a consumer would at least. */
function walk(fetched: FetchedRecords): number {
  const cursor = fetched.cursor();
  let count = 0;
  let seen = 0;
  while (cursor.next()) {
    seen ^= fetched.bytes[cursor.valueStart] ?? 0;
    count++;
  }
  return seen > 255 ? 0 : count;
}

/** Connections that do nothing until they are asked to. */
export interface HeldConnections {
  /** Sends a ping on every one at once; resolves to the times until the answers, when all have come. */
  pingAll(): Promise<LogHistogram>;
  release(): void;
}

const pingMaxUs = 60_000_000;

/** Opens so many connections and keeps them. */
export async function holdConnections(address: string, count: number): Promise<HeldConnections> {
  const target = parseAddress(address);
  if (target === undefined) throw new Error(`${address} is not host:port`);
  const sockets: net.Socket[] = [];
  const openAtOnce = 200;
  for (let opened = 0; opened < count; opened += openAtOnce) {
    const wanted = Math.min(openAtOnce, count - opened);
    await Promise.all(
      Array.from({ length: wanted }, async () => {
        const socket = net.connect({ ...target, noDelay: true });
        sockets.push(socket);
        await once(socket, "connect");
      }),
    );
  }
  return {
    pingAll: () => pingAll(sockets),
    release() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function pingAll(sockets: readonly net.Socket[]): Promise<LogHistogram> {
  const payload = encodeRequestPayload("Ping", { token: 1n });
  const type = messages.Ping.type;
  const ping = encodeRequest({ requestId: 1n, type, version: protocolVersionMin, flags: 0, payload });
  assert(ping instanceof Uint8Array, "a ping fits into a frame");
  const latencyUs = new LogHistogram({ valueMax: pingMaxUs });
  const startMs = performance.now();
  await Promise.all(
    sockets.map(async (socket) => {
      socket.write(ping);
      await once(socket, "data");
      latencyUs.record(Math.min(pingMaxUs, Math.round((performance.now() - startMs) * 1000)));
    }),
  );
  return latencyUs;
}
