import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { VirtualClock, passUntil } from "../testing/clock.ts";
import { LedCluster } from "../testing/led-cluster.ts";
import { TestBroker } from "../testing/test-broker.ts";
import { BrokerClient } from "./client.ts";
import type { ClientOptions } from "./client-options.ts";
import type { Consumer, ConsumerOptions } from "./consumer.ts";
import { startPushing } from "./partition-reader.ts";
import type { ProtocolError } from "./protocol-error.ts";
import type { FetchedRecords } from "./records.ts";
import { Stop } from "./stop.ts";

/** Three nodes. n1 leads topics and groups; t/0 is led by n1, t/1 by n2, t/2 by n3. */
let cluster: LedCluster;
let network: InPageNetwork;
let clock: VirtualClock;
let clients: BrokerClient[];
let seed = 0;

const topic = "t";
const partitions = [0, 1, 2];

beforeEach(async () => {
  network = new InPageNetwork();
  clock = new VirtualClock();
  clients = [];
  cluster = await LedCluster.open(network, ["n1", "n2", "n3"]);
  await run(connect().createTopic(topic, { partitions: partitions.length }));
  for (const partition of partitions) cluster.lead(topic, partition, `n${partition + 1}`);
  cluster.take();
});

afterEach(() => {
  for (const client of clients) client.destroy();
  const [bug] = cluster.bugs;
  if (bug !== undefined) throw bug;
});

function connect(addresses = ["n1"], options: ClientOptions = {}): BrokerClient {
  const client = new BrokerClient(addresses, { network, clock, random: new SeededRandom(++seed) }, options);
  clients.push(client);
  return client;
}

/** Waits in virtual time. */
const run = <Value>(promise: Promise<Value>): Promise<Value> => passUntil(clock, promise);

/** One record to each partition. */
async function produceToAll(client: BrokerClient, value: string): Promise<void> {
  for (const partition of partitions) await client.produce(topic, [value], { partition });
}

/** What each partition holds. */
function storedInAll(): Promise<string[][]> {
  return Promise.all(partitions.map((partition) => cluster.stored(topic, partition)));
}

/** Reads as a user does, and notes what comes, by partition. */
function consume(options: ConsumerOptions, client = connect()) {
  const consumer: Consumer = client.consumer(topic, { from: "earliest", waitMs: 1000, ...options });
  const got: string[][] = partitions.map(() => []);
  const loop = async (): Promise<string> => {
    for await (const record of consumer) got[record.partition]?.push(record.text());
    return "closed";
  };
  return { consumer, got, ended: loop().catch((error: ProtocolError) => error.name) };
}

const numbers = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, index) => String(first + index));

test("every request goes to the node that answers it, and the leaders of a topic are asked for once", async () => {
  const client = connect();
  await run(produceToAll(client, "x"));
  for (const partition of partitions) {
    await run(client.fetch(topic, 0, { partition }));
    await run(client.getOffset(topic, partition));
    await run(client.trim(topic, partition, 1));
  }
  await run(client.describeTopic(topic));
  await run(client.fetchOffsets("g"));
  const requests = cluster.take();
  for (const name of ["Produce", "Fetch", "GetOffset", "Trim"]) {
    expect(requests.filter((request) => request.endsWith(` ${name}`))).toEqual(
      partitions.map((partition) => `n${partition + 1} ${name}`),
    );
  }
  expect(requests.filter((request) => / (ListTopics|FetchOffset)$/.test(request))).toEqual([
    "n1 ListTopics",
    "n1 FetchOffset",
  ]);
  expect(requests.filter((request) => / (Leaders|ClusterState)$/.test(request)).toSorted()).toEqual([
    "n1 ClusterState",
    "n1 Leaders",
  ]);
});

test("a server that is alone is asked nothing more than what it is asked", async () => {
  const alone = await TestBroker.open();
  await network.listen("alone", (connection) => void alone.hub.accept(connection));
  const names: number[] = [];
  const request = alone.broker.request.bind(alone.broker);
  alone.broker.request = (connection, bytes, view, start, end) => {
    names.push(bytes[start + 12] ?? 0);
    request(connection, bytes, view, start, end);
  };
  const client = connect(["alone"]);
  await run(client.produce(topic, ["x"]));
  await run(client.produce(topic, ["y"]));
  await run(client.fetch(topic, 0));
  await run(client.listTopics());
  expect(names).toEqual([8, 1, 1, 2, 6]);
});

test("when a partition moves, requests follow it, and no storm of questions breaks out", async () => {
  const client = connect();
  await run(produceToAll(client, "first"));
  cluster.lead(topic, 1, "n3");
  cluster.take();
  const values = numbers(200);
  await run(Promise.all(values.map((value) => client.produce(topic, [value], { partition: 1 }))));
  const [, stored = []] = await storedInAll();
  expect(stored.toSorted()).toEqual(["first", ...values].toSorted());
  expect(cluster.take("Leaders").length).toBeLessThanOrEqual(2);
});

test("while nobody leads, requests wait, and little is asked", async () => {
  const client = connect();
  await run(produceToAll(client, "first"));
  cluster.lead(topic, 1, undefined);
  cluster.take();
  const sent = Promise.all(numbers(50).map((value) => client.produce(topic, [value], { partition: 1 })));
  await clock.advanceAsync(1000);
  // Each question is put to all three nodes in vain.
  expect(cluster.take("Leaders", "Produce").length).toBeLessThanOrEqual(50 + 3 * 7);
  cluster.lead(topic, 1, "n1");
  await run(sent);
  expect((await storedInAll())[1]).toHaveLength(51);
});

test("nodes that know less than others do not mislead for ever, nor what works", async () => {
  const client = connect();
  await run(produceToAll(client, "first"));
  cluster.freezeBelief("n1", true);
  cluster.freezeBelief("n2", true);
  cluster.lead(topic, 1, "n3");
  await run(client.produce(topic, ["second"], { partition: 1 }));
  cluster.take();
  await run(produceToAll(client, "third"));
  expect(cluster.take()).toEqual(["n1 Produce", "n3 Produce", "n3 Produce"]);
});

test("a node vanishes, with it its partitions' leadership, and comes back", async () => {
  const client = connect(["n2"]);
  await run(produceToAll(client, "first"));
  await cluster.stop("n2");
  const sent = client.produce(topic, ["second"], { partition: 1 });
  await clock.advanceAsync(500);
  cluster.lead(topic, 1, "n1");
  await run(sent);
  await cluster.start("n2");
  cluster.lead(topic, 1, "n2");
  await run(client.produce(topic, ["third"], { partition: 1 }));
  expect((await storedInAll())[1]).toEqual(["first", "second", "third"]);
  expect(cluster.take("Produce").at(-1)).toBe("n2 Produce");
});

test("a node that hangs is left alone as soon as another leads", async () => {
  const client = connect();
  await run(produceToAll(client, "first"));
  cluster.node("n2").isHung = true;
  const fetched = client.fetch(topic, 0, { partition: 1, timeoutMs: 1000 });
  await clock.advanceAsync(500);
  cluster.lead(topic, 1, "n3");
  expect([...(await run(fetched))].map((record) => record.text())).toEqual(["first"]);
  expect(cluster.take("Fetch")).toEqual(["n2 Fetch", "n3 Fetch"]);
});

test("after a lost connection the others are asked before a connection to the same node is tried", async () => {
  const client = connect();
  await run(produceToAll(client, "first"));
  const fetched = client.fetch(topic, 0, { partition: 1, waitMs: 60_000 });
  const waiting = client.fetch(topic, 1, { partition: 1, waitMs: 60_000 });
  await run(fetched);
  cluster.node("n2").isHung = true;
  cluster.drop("n2");
  const startedAtMs = clock.monotonicTimeMs();
  cluster.lead(topic, 1, "n3");
  await run(client.produce(topic, ["second"], { partition: 1 }));
  expect([...(await run(waiting))].map((record) => record.text())).toEqual(["second"]);
  expect(clock.monotonicTimeMs() - startedAtMs).toBeLessThan(1000);
});

test("topics and groups follow their leader, and the first address may be gone", async () => {
  const client = connect(["n1"]);
  await run(client.describeTopic(topic));
  await cluster.stop("n1");
  cluster.leadMeta("n3");
  cluster.lead(topic, 0, "n3");
  expect((await run(client.describeTopic(topic))).partitions).toHaveLength(3);
  await run(client.produce(topic, ["x"]));
  cluster.leadMeta("n2");
  await run(client.commitOffsets("g", [{ topic, partition: 0, offset: 1 }]));
  expect(await run(client.fetchOffsets("g"))).toMatchObject([{ partition: 0, offset: 1 }]);
  expect(cluster.take("CommitOffset")).toEqual(["n3 CommitOffset", "n2 CommitOffset"]);
});

test("a topic that Produce makes is made by the node that makes topics", async () => {
  cluster.leadMeta("n2");
  const client = connect(["n3"]);
  await run(client.produce("fresh", ["x"]));
  await run(client.produce("fresh", ["y"]));
  expect(cluster.take("Produce")).toEqual(["n2 Produce", "n2 Produce"]);
  expect(await cluster.stored("fresh", 0)).toEqual(["x", "y"]);
});

test("what is no topic, or no partition of one, is said by the node that knows all topics", async () => {
  const client = connect(["n3"]);
  await expect(run(client.fetch("none", 0))).rejects.toMatchObject({ name: "topic-not-found" });
  await expect(run(client.fetch(topic, 0, { partition: 9 }))).rejects.toMatchObject({
    name: "partition-not-found",
  });
  await expect(run(client.describeTopic("none"))).rejects.toMatchObject({ name: "topic-not-found" });
});

test("all nodes gone: the failure says so, in its time", async () => {
  const client = connect();
  await run(produceToAll(client, "x"));
  for (const name of ["n1", "n2", "n3"]) await cluster.stop(name);
  await expect(run(client.produce(topic, ["y"], { partition: 1 }))).rejects.toMatchObject({
    name: expect.stringMatching(/^connection-(failed|closed)$/) as string,
  });
});

test("how safe a record shall be travels with it", async () => {
  const client = connect();
  await run(client.produce(topic, ["x"], { acks: "leader" }));
  await run(client.produce(topic, ["x"]));
  const producer = client.producer(topic, { acks: "leader" });
  await run(producer.send("x", { partition: 1 }));
  await run(client.producer(topic).send("x", { partition: 2 }));
  expect(cluster.acks).toEqual(["leader", "quorum", "leader", "quorum"]);
});

describe("a producer", () => {
  test("keeps order and stores each record once while partitions move all the time", async () => {
    const client = connect();
    const producer = client.producer(topic, { lingerMs: 0, batchBytesMax: 200 });
    const sent: Promise<unknown>[] = [];
    for (let round = 0; round < 40; round++) {
      for (const partition of partitions) {
        for (const value of numbers(5, round * 5)) sent.push(producer.send(value, { partition }));
        cluster.lead(topic, partition, `n${((round + partition) % 3) + 1}`);
      }
      await clock.advanceAsync(7);
    }
    await run(Promise.all(sent));
    expect(await storedInAll()).toEqual(partitions.map(() => numbers(200)));
  });

  test("stores a batch once when its leader dies before it can say so", async () => {
    const client = connect(["n1"]);
    const producer = client.producer(topic, { lingerMs: 0, batchBytesMax: 200 });
    await run(producer.send("0", { partition: 1 }));
    cluster.node("n2").diesAtProduce = true;
    const sent = Promise.all(numbers(50, 1).map((value) => producer.send(value, { partition: 1 })));
    await clock.advanceAsync(300);
    cluster.lead(topic, 1, "n3");
    await run(sent);
    expect((await storedInAll())[1]).toEqual(numbers(51));
  });
});

test("a subscription that moves is not sent more than its reader has room for", async () => {
  const client = connect();
  const value = new Uint8Array(10_000);
  for (let count = 0; count < 40; count++) await run(client.produce(topic, [value], { partition: 1 }));
  const blocks: FetchedRecords[] = [];
  const stop = new Stop();
  const [bytesMax, prefetch] = [20_000, 2];
  const reader = startPushing({
    client,
    topic,
    partition: 1,
    offset: 0,
    bytesMax,
    prefetch,
    waitMs: 0,
    signal: stop,
    traceparent: undefined,
    onRecords: (records) => void blocks.push(records),
    onError: () => {},
  });
  for (let round = 0; round < 6; round++) {
    await clock.advanceAsync(1000);
    cluster.lead(topic, 1, `n${(round % 3) + 1}`);
  }
  const bytes = blocks.reduce((sum, records) => sum + records.bytes.length, 0);
  expect(bytes).toBeLessThan(bytesMax * prefetch + 2 * value.length);
  while (blocks.at(-1)?.nextOffset !== 40) {
    for (const records of blocks.splice(0)) reader.taken(records);
    await clock.advanceAsync(20);
  }
  stop.abort();
});

describe.each(["pull", "push"] as const)("a consumer (%s)", (delivery) => {
  test("reads partitions of several nodes, and goes on where they move", async () => {
    const client = connect();
    const reader = consume({ delivery });
    await run(produceToAll(client, "first"));
    await clock.advanceAsync(100);
    expect(reader.got).toEqual([["first"], ["first"], ["first"]]);
    for (const [round, value] of ["second", "third"].entries()) {
      for (const partition of partitions)
        cluster.lead(topic, partition, `n${((partition + round + 1) % 3) + 1}`);
      await run(produceToAll(client, value));
      await clock.advanceAsync(3000);
    }
    await run(reader.consumer.close());
    expect(await reader.ended).toBe("closed");
    expect(reader.got).toEqual(partitions.map(() => ["first", "second", "third"]));
  });

  test("goes on when a node vanishes, and waits longer for a new leader than a single request", async () => {
    const client = connect(["n3"]);
    const reader = consume({ delivery }, connect(["n2"]));
    await run(produceToAll(client, "first"));
    await cluster.stop("n2");
    cluster.lead(topic, 1, undefined);
    await clock.advanceAsync(9_000);
    cluster.lead(topic, 1, "n3");
    await run(produceToAll(client, "second"));
    await clock.advanceAsync(5_000);
    await run(reader.consumer.close());
    expect(reader.got).toEqual(partitions.map(() => ["first", "second"]));
  });

  test("of a group goes on when the group's node changes", async () => {
    const client = connect();
    const reader = consume({ delivery, group: "g" });
    await clock.advanceAsync(1000);
    await run(produceToAll(client, "first"));
    await clock.advanceAsync(3000);
    await run(reader.consumer.commit());
    cluster.leadMeta("n2");
    await clock.advanceAsync(10_000);
    await run(produceToAll(client, "second"));
    await clock.advanceAsync(5000);
    await run(reader.consumer.close());
    expect(await reader.ended).toBe("closed");
    expect(reader.got).toEqual(partitions.map(() => ["first", "second"]));
    const positions = (await run(client.fetchOffsets("g"))).map(({ offset }) => offset);
    expect(positions).toEqual([2, 2, 2]);
  });
});
