/** All accepted sockets read into one buffer: fast, and right only if nobody keeps what lies in it. */
import { once } from "node:events";
import net from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Connection, Listener } from "../ports.ts";
import { Client } from "./client.ts";
import { NodeNetwork, parseAddress } from "./network.ts";
import { OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
const listeners: Listener[] = [];
const sockets: net.Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const listener of listeners.splice(0)) await listener.close();
  await oz.cleanUp();
});

async function listen(
  onConnection: (connection: Connection) => void,
): Promise<{ host: string; port: number }> {
  const listener = await new NodeNetwork().listen("127.0.0.1:0", onConnection);
  listeners.push(listener);
  return parseAddress(listener.address)!;
}

async function connectTo(address: { host: string; port: number }): Promise<net.Socket> {
  const socket = net.connect(address);
  sockets.push(socket);
  await once(socket, "connect");
  return socket;
}

test("chunks of all connections lie in the same memory, and each is whole while it is handed over", async () => {
  const [count, bytesEach] = [8, 1_000_000];
  const buffers = new Set<ArrayBufferLike>();
  const received: Uint8Array[][] = [];
  let total = 0;
  const done = Promise.withResolvers<undefined>();
  const address = await listen((connection) => {
    const chunks: Uint8Array[] = [];
    received.push(chunks);
    connection.onData = (chunk) => {
      buffers.add(chunk.buffer);
      chunks.push(chunk.slice());
      total += chunk.length;
      if (total === count * bytesEach) done.resolve(undefined);
    };
  });
  const clients = await Promise.all(Array.from({ length: count }, () => connectTo(address)));
  // Small pieces in turn: reads of one connection come between those of the others.
  for (let sent = 0; sent < bytesEach; sent += 10_000) {
    for (const [number, client] of clients.entries()) client.write(new Uint8Array(10_000).fill(number + 1));
    if (sent % 100_000 === 0) await new Promise((turn) => setImmediate(turn));
  }
  await done.promise;
  expect(buffers.size).toBe(1);
  for (const chunks of received) {
    const bytes = Buffer.concat(chunks);
    expect(bytes.length).toBe(bytesEach);
    expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
  }
  expect(new Set(received.map((chunks) => chunks[0]?.[0])).size).toBe(count);
});

test("a connection that is paused in the middle of a chunk loses nothing of what comes meanwhile", async () => {
  const chunks: Uint8Array[] = [];
  const opened = Promise.withResolvers<Connection>();
  const address = await listen((connection) => {
    connection.onData = (chunk) => {
      chunks.push(chunk.slice());
      if (chunks.length === 1) connection.pause();
    };
    opened.resolve(connection);
  });
  const [paused, busy] = [await connectTo(address), await connectTo(address)];
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
  paused.write(sent);
  const connection = await opened.promise;
  // Other connections go on reading into the same memory.
  for (let turn = 0; turn < 20; turn++) {
    busy.write(new Uint8Array(50_000).fill(0xee));
    await new Promise((next) => setImmediate(next));
  }
  connection.resume();
  const isMine = (chunk: Uint8Array): boolean => !chunk.every((byte) => byte === 0xee);
  const mine = (): Buffer => Buffer.concat(chunks.filter(isMine));
  while (mine().length < sent.length) await new Promise((next) => setImmediate(next));
  expect(mine().equals(sent)).toBe(true);
});

test("requests of many clients, cut anywhere, are answered as if each had the server to itself", async () => {
  const server = await oz.serve(await oz.folder(), "--fsync", "never");
  const clients = await Promise.all(Array.from({ length: 6 }, () => Client.connect(server.address)));
  await clients[0]!.createTopic("t", { partitions: clients.length });
  await Promise.all(
    clients.map(async (client, partition) => {
      for (let number = 0; number < 40; number++) {
        const value = `${partition}/${number} ${String(partition).repeat(9000 + number * 100)}`;
        await client.produce("t", [{ value }], { partition });
      }
    }),
  );
  for (const [partition, client] of clients.entries()) {
    const texts: string[] = [];
    for await (const record of client.consumer("t", { from: "earliest", partitions: [partition] })) {
      texts.push(record.text());
      if (texts.length === 40) break;
    }
    for (const [number, text] of texts.entries()) {
      expect(text).toBe(`${partition}/${number} ${String(partition).repeat(9000 + number * 100)}`);
    }
    await client.close();
  }
});
