/** How many servers a client knows, while nodes come and go. */
import { afterEach, expect, test } from "vitest";
import type { Replication } from "../broker/cluster/replication.ts";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { VirtualClock, passUntil, settled } from "../testing/clock.ts";
import { TestBroker } from "../testing/test-broker.ts";
import { Servers, serversMax } from "./servers.ts";

const sign = async (): Promise<Uint8Array> => new Uint8Array(0);
const introduction = { clientName: "c", credentials: undefined, sign, traceparent: undefined };
let servers: Servers | undefined;

afterEach(() => servers?.destroy());

test("a client that is told of more and more nodes forgets those to which it has no connection", async () => {
  const clock = new VirtualClock();
  const network = new InPageNetwork();
  const attempts: string[] = [];
  const counted = {
    connect: (address: string) => {
      attempts.push(address);
      return network.connect(address);
    },
  } as InPageNetwork;
  const { broker, hub } = await TestBroker.open();
  let told: readonly string[] = Array.from({ length: 80 }, (_, number) => `old ${number}`);
  const replication = { refusal: () => undefined, problem: () => undefined };
  Object.defineProperty(replication, "addresses", { get: () => told });
  broker.takePart(replication as unknown as Replication);
  const open = new Set<{ destroy(): void }>();
  const listener = await network.listen("given", (connection) => {
    open.add(connection);
    hub.accept(connection);
  });
  const session = { clock, frameSizeMax: 2 ** 20, requestTimeoutMs: 1000 };
  const known = new Servers(["given"], { network: counted, session, introduction, size: 1 });
  servers = known;
  await passUntil(clock, known.acquireAny());
  told = Array.from({ length: 80 }, (_, number) => `new ${number}`);
  for (const connection of open) connection.destroy();
  await settled();
  await passUntil(clock, known.acquireAny());
  // Now nobody answers, and each that is known is tried.
  await listener.close();
  for (const connection of open) connection.destroy();
  await settled();
  attempts.length = 0;
  await expect(passUntil(clock, known.acquireAny())).rejects.toThrow("cannot connect");
  const tried = new Set(attempts);
  expect(tried.size).toBe(serversMax);
  expect([tried.has("given"), tried.has("old 0"), tried.has("old 79")]).toEqual([true, false, true]);
  expect(told.every((address) => tried.has(address))).toBe(true);
});

test("a question that nobody answers is not taken for a request that nobody answered", async () => {
  const clock = new VirtualClock();
  const network = new InPageNetwork();
  const { broker, hub } = await TestBroker.open();
  const endless = new Promise<undefined>(() => {});
  const replication = { addresses: ["given"], refusal: () => undefined, current: () => endless };
  broker.takePart(replication as unknown as Replication);
  await network.listen("given", (connection) => void hub.accept(connection));
  servers = new Servers(["given"], { network, session: { clock }, introduction, size: 1 });
  // Whoever produces without being idempotent may try again after this, and not after a time-out.
  const acquired = passUntil(clock, servers.acquire({ topic: "t", partition: 0 }));
  await expect(acquired).rejects.toMatchObject({ name: "not-leader", isRetriable: true });
});

test("a server that refuses this client is not passed over for another one, which would do the same", async () => {
  const network = new InPageNetwork();
  const reached: string[] = [];
  const authentication = { tokens: new Map([["c", "secret"]]), hmacSecrets: new Map<string, string>() };
  for (const address of ["first", "second"]) {
    const { hub } = await TestBroker.open({ authentication });
    await network.listen(address, (connection) => {
      reached.push(address);
      hub.accept(connection);
    });
  }
  const clock = new VirtualClock();
  const credentials = { method: "token", name: "c", token: "wrong" } as const;
  const wrong = { ...introduction, credentials };
  servers = new Servers(["first", "second"], { network, session: { clock }, introduction: wrong, size: 1 });
  await expect(passUntil(clock, servers.acquireAny())).rejects.toMatchObject({ isRetriable: false });
  expect(reached).toEqual(["first"]);
});
