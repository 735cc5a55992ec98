import { afterEach, beforeEach, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { startPageBroker } from "../browser/broker.ts";
import type { PageBroker } from "../browser/broker.ts";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { BrokerClient } from "./client.ts";
import type { Consumer } from "./consumer.ts";
import type { ProtocolError } from "./protocol-error.ts";

/** Members of one group, their broker between them, all in one process and in virtual time. */
let clock: VirtualClock;
let network: InPageNetwork;
let broker: PageBroker;
let clients: BrokerClient[];
let seed = 0;

const partitions = [0, 1, 2, 3];

beforeEach(async () => {
  clock = new VirtualClock();
  network = new InPageNetwork();
  clients = [];
  broker = await startPageBroker(network, "broker", { clock });
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await broker.stop();
});

function connect(): BrokerClient {
  const client = new BrokerClient(["broker"], { network, clock, random: new SeededRandom(++seed) });
  clients.push(client);
  return client;
}

/** A member that notes what it gets, as `partition:value`. */
function join(): { readonly got: string[]; readonly consumer: Consumer; readonly ended: Promise<string> } {
  const consumer = connect().consumer("t", { group: "g", waitMs: 1_000 });
  const got: string[] = [];
  const run = async (): Promise<string> => {
    for await (const record of consumer) got.push(`${record.partition}:${record.text()}`);
    return "closed";
  };
  return { got, consumer, ended: run().catch((error: ProtocolError) => error.name) };
}

/** Lets several heartbeats pass. */
async function pass(durationMs = 10_000): Promise<void> {
  for (let passed = 0; passed < durationMs; passed += 500) {
    await clock.advanceAsync(500);
    await settled();
  }
}

async function produceToAll(client: BrokerClient, value: string): Promise<void> {
  await Promise.all(partitions.map((partition) => client.produce("t", [value], { partition })));
}

test("members share the partitions, and who leaves hands its part over", async () => {
  const client = connect();
  await client.createTopic("t", { partitions: partitions.length });
  await produceToAll(client, "first");
  const one = join();
  await pass();
  expect(one.got.toSorted()).toEqual(partitions.map((partition) => `${partition}:first`));
  const two = join();
  await pass();
  await produceToAll(client, "second");
  await pass();
  expect(one.got).toHaveLength(6);
  expect(two.got).toHaveLength(2);
  expect([...one.got, ...two.got].filter((entry) => entry.endsWith("second")).toSorted()).toEqual(
    partitions.map((partition) => `${partition}:second`),
  );
  const leaving = two.consumer.close();
  await pass();
  await leaving;
  expect(await two.ended).toBe("closed");
  await produceToAll(client, "third");
  await pass();
  expect(one.got.filter((entry) => entry.endsWith("third")).toSorted()).toEqual(
    partitions.map((partition) => `${partition}:third`),
  );
});

test("what a member processed is committed when it closes; another goes on behind it", async () => {
  const client = connect();
  await client.createTopic("t");
  await client.produce("t", ["a", "b"]);
  const one = join();
  await pass();
  const closing = one.consumer.close();
  await pass();
  await closing;
  expect(await client.fetchOffsets("g")).toEqual([
    { topic: "t", partition: 0, isCommitted: true, offset: 2 },
  ]);
  await client.produce("t", ["c"]);
  const two = join();
  await pass();
  expect(two.got).toEqual(["0:c"]);
});

test("a member whose connection dies loses its partitions to another, and gets them back by joining again", async () => {
  const client = connect();
  await client.createTopic("t", { partitions: partitions.length });
  const one = join();
  await pass();
  clients[1]?.destroy();
  await pass();
  const two = join();
  await pass();
  await produceToAll(client, "x");
  await pass();
  expect(two.got.toSorted()).toEqual(partitions.map((partition) => `${partition}:x`));
  expect(await one.ended).toBe("client-closed");
});

test("a position that is refused is named, and the others are stored", async () => {
  const client = connect();
  await client.createTopic("t", { partitions: 2 });
  const positions = [0, 99].map((offset, partition) => ({ topic: "t", partition, offset }));
  await expect(client.commitOffsets("g", positions)).rejects.toMatchObject({
    name: "offset-out-of-range",
    message: "offset 99 of t/1 for group g",
  });
  expect(await client.fetchOffsets("g")).toMatchObject([{ partition: 0, isCommitted: true }]);
});

test("a commit outside of a group is refused", async () => {
  const client = connect();
  await client.createTopic("t");
  await expect(client.consumer("t").commit()).rejects.toMatchObject({ name: "invalid-request" });
});
