/**
 * What every Network must do, as tests: call it in a `*.test.ts` with a way to make one.
 */
import { expect, test } from "vitest";
import { bytesEqual, concatBytes } from "#reference/base/bytes.ts";
import type { Connection, Network } from "../ports.ts";

/** A network to test, and an address of it where a listener can be put: port 0 where there are ports. */
export interface NetworkUnderTest {
  readonly network: Network;
  readonly address: string;
}

/** Notes everything that a connection reports, and lets a test wait for it. */
class Observer {
  readonly chunks: Uint8Array[] = [];
  byteCount = 0;
  closes: (Error | undefined)[] = [];
  drains = 0;
  readonly connection: Connection;
  #waiters: (() => void)[] = [];

  constructor(connection: Connection) {
    this.connection = connection;
    connection.onData = (chunk) =>
      this.#note(() => {
        this.chunks.push(chunk.slice());
        this.byteCount += chunk.length;
      });
    connection.onDrain = () => this.#note(() => this.drains++);
    connection.onClose = (reason) => this.#note(() => this.closes.push(reason));
  }

  get bytes(): Uint8Array {
    return concatBytes(this.chunks);
  }

  /** Resolves as soon as `isDone` says so; looked at after every event. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await new Promise<void>((resolve) => void this.#waiters.push(resolve));
  }

  #note(take: () => void): void {
    take();
    for (const proceed of this.#waiters.splice(0)) proceed();
  }
}

/** Registers the tests. `make` is called for each of them. */
export function testNetwork(make: () => NetworkUnderTest | Promise<NetworkUnderTest>): void {
  test.each(cases)("%s", async (_name, run) => {
    expect.hasAssertions();
    await run(await make());
  });
}

/** A listener with one connection, seen from both sides. */
async function connectedPair({ network, address }: NetworkUnderTest) {
  let accept = (_connection: Connection): void => {};
  const accepted = new Promise<Observer>((resolve) => {
    accept = (connection) => resolve(new Observer(connection));
  });
  const listener = await network.listen(address, (connection) => accept(connection));
  const client = new Observer(await network.connect(listener.address));
  const server = await accepted;
  /** A side that the peer has ended stays open until it is ended too, so both must go. */
  const finish = async (): Promise<void> => {
    client.connection.destroy();
    await server.until(() => server.closes.length === 1);
    server.connection.destroy();
    await listener.close();
  };
  return { network, listener, client, server, finish };
}

const cases: readonly (readonly [string, (under: NetworkUnderTest) => Promise<void>])[] = [
  [
    "bytes arrive in order, both ways, and never during the write",
    async (under) => {
      const { client, server, finish } = await connectedPair(under);
      for (let value = 0; value < 100; value++) client.connection.write(new Uint8Array([value]));
      expect(server.chunks).toHaveLength(0);
      await server.until(() => server.byteCount === 100);
      expect([...server.bytes]).toEqual(Array.from({ length: 100 }, (_, index) => index));
      server.connection.write(new Uint8Array([1, 2, 3]));
      await client.until(() => client.byteCount === 3);
      await finish();
    },
  ],

  [
    "a megabyte arrives whole",
    async (under) => {
      const { client, server, finish } = await connectedPair(under);
      const sent = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 7) & 255);
      client.connection.write(sent.slice());
      await server.until(() => server.byteCount === sent.length);
      expect(bytesEqual(server.bytes, sent)).toBe(true);
      await finish();
    },
  ],

  [
    "an orderly end comes after the data, once and without a reason, and the other side may still write",
    async (under) => {
      const { listener, client, server } = await connectedPair(under);
      client.connection.write(new Uint8Array(1000));
      client.connection.end();
      await server.until(() => server.closes.length === 1);
      expect(server.bytes).toHaveLength(1000);
      expect(server.closes).toEqual([undefined]);
      server.connection.write(new Uint8Array(10));
      server.connection.end();
      await client.until(() => client.closes.length === 1);
      expect(client.bytes).toHaveLength(10);
      expect(client.closes).toEqual([undefined]);
      await listener.close();
    },
  ],

  [
    "a dropped connection closes both sides, each once",
    async (under) => {
      const { listener, client, server } = await connectedPair(under);
      server.connection.destroy();
      await client.until(() => client.closes.length === 1);
      await server.until(() => server.closes.length === 1);
      client.connection.destroy();
      server.connection.destroy();
      expect(client.connection.write(new Uint8Array(10))).toBe(true);
      expect([client.closes.length, server.closes.length]).toEqual([1, 1]);
      await listener.close();
    },
  ],

  [
    "a reader that pauses stops the writer, and a drain follows when it reads on",
    async (under) => {
      const { client, server, finish } = await connectedPair(under);
      server.connection.pause();
      server.connection.pause();
      let sentBytes = 0;
      const chunk = 256 * 1024;
      let mayWrite = true;
      while (mayWrite) {
        mayWrite = client.connection.write(new Uint8Array(chunk));
        sentBytes += chunk;
        expect(sentBytes).toBeLessThan(256 * 1024 * 1024);
      }
      expect(client.drains).toBe(0);
      server.connection.resume();
      server.connection.resume();
      await client.until(() => client.drains === 1);
      await server.until(() => server.byteCount === sentBytes);
      await finish();
    },
  ],

  [
    "an address where nobody listens refuses; one that is taken cannot be taken again",
    async (under) => {
      const { network, listener, finish } = await connectedPair(under);
      await expect(network.listen(listener.address, () => {})).rejects.toMatchObject({ code: "EADDRINUSE" });
      await finish();
      await expect(network.connect(listener.address)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    },
  ],
];
