import { afterEach, beforeEach, expect, test } from "vitest";
import { Client, InPageNetwork, startPageBroker } from "./client.ts";
import type { ProtocolError } from "./client.ts";
import type { PageBroker } from "./broker.ts";
import { MemoryDisk } from "./memory-disk.ts";
import type { ConsumedRecord } from "../client/records.ts";

/** The whole of client and broker, through a network that cuts every stream into pieces. */
let network: InPageNetwork;
let disk: MemoryDisk;
let broker: PageBroker;
let client: Client;
let bugs: unknown[] = [];

beforeEach(async () => {
  network = new InPageNetwork({ cut: 1_000 });
  disk = new MemoryDisk();
  broker = await startPageBroker(network, "broker", { disk, onBug: (error) => bugs.push(error) });
  client = await Client.connect(network, "broker", {
    connections: 2,
    retry: { delayMinMs: 1, delayMaxMs: 5 },
  });
});

afterEach(async () => {
  client.destroy();
  await broker.stop();
  const [bug] = bugs;
  bugs = [];
  if (bug !== undefined) throw bug;
});

const take = async (records: AsyncIterable<ConsumedRecord>, count: number): Promise<ConsumedRecord[]> => {
  const taken: ConsumedRecord[] = [];
  for await (const record of records) if (taken.push(record) === count) break;
  return taken;
};

test("a batch comes back as it went, with keys, times, offsets and ids", async () => {
  await client.createTopic("t");
  const now = Date.now();
  const records = [
    { key: "k", value: "one", timestampMs: now - 5 },
    { value: null, key: "k", timestampMs: now - 7 },
    "three",
  ];
  const { baseOffset, idMs } = await client.produce("t", records);
  expect(baseOffset).toBe(0);
  const got = [...(await client.fetch("t", 0))];
  expect(got.map(({ offset, timestampMs }) => [offset, timestampMs])).toMatchObject([
    [0, now - 5],
    [1, now - 7],
    [2, expect.any(Number)],
  ]);
  expect(got.map((record) => record.text())).toEqual(["one", "", "three"]);
  expect(got[1]?.value).toBeNull();
  expect(new TextDecoder().decode(got[0]?.key)).toBe("k");
  expect(got.map(({ id }) => id)).toEqual([0, 1, 2].map((sequence) => `${idMs}-${sequence}`));
});

test("a fetch begins at the record that was asked for, also in the middle of a batch", async () => {
  await client.produce("t", ["a", "b", "c"]);
  const fetched = await client.fetch("t", 2);
  expect([...fetched].map((record) => record.text())).toEqual(["c"]);
  expect(fetched.nextOffset).toBe(3);
  expect((await client.fetch("t", 3)).isEmpty).toBe(true);
});

test("errors are rows of the table", async () => {
  await client.createTopic("t");
  const errors: unknown[] = [];
  const attempts: (() => Promise<unknown>)[] = [
    () => client.createTopic("t"),
    () => client.describeTopic("none"),
    () => client.fetch("t", 99),
    () => client.fetch("t", 0, { partition: 7 }),
    () => client.createTopic("../etc"),
    () => client.fetch("t", -1),
    () => client.produce("t", []),
  ];
  for (const attempt of attempts) {
    await attempt().catch((error: ProtocolError) => errors.push([error.name, error.isRetriable]));
  }
  expect(errors).toEqual([
    ["topic-already-exists", false],
    ["topic-not-found", false],
    ["offset-out-of-range", false],
    ["partition-not-found", false],
    ["invalid-topic-name", false],
    ["invalid-request", false],
    ["invalid-request", false],
  ]);
});

test("a producer keeps the order of each key over all partitions", async () => {
  await client.createTopic("t", { partitions: 3 });
  const producer = client.producer("t", { lingerMs: 1, batchBytesMax: 500 });
  const sent = Array.from({ length: 300 }, (_, index) => ({ key: `k${index % 7}`, value: String(index) }));
  const delivered = await Promise.all(sent.map((record) => producer.send(record)));
  await producer.close();
  expect(new Set(delivered.map(({ partition }) => partition)).size).toBe(3);
  const got = await take(client.consumer("t", { from: "earliest" }), 300);
  for (let key = 0; key < 7; key++) {
    const values = got
      .filter((record) => new TextDecoder().decode(record.key) === `k${key}`)
      .map((record) => Number(record.text()));
    expect(values).toEqual(values.toSorted((left, right) => left - right));
    expect(values).toHaveLength(key < 6 ? 43 : 42);
  }
});

test.each(["pull", "push"] as const)(
  "a consumer that is behind catches up and then waits for more (%s)",
  async (delivery) => {
    await client.produce(
      "t",
      Array.from({ length: 500 }, (_, index) => `old ${index}`),
    );
    const consumer = client.consumer("t", { from: "earliest", delivery, bytesMax: 2_000 });
    const records = consumer[Symbol.asyncIterator]();
    for (let index = 0; index < 500; index++)
      expect((await records.next()).value?.text()).toBe(`old ${index}`);
    const waiting = records.next();
    await client.produce("t", ["new"]);
    expect((await waiting).value?.text()).toBe("new");
    await records.return();
  },
);

test("a slow consumer holds the server up, and not more than its credit is on its way", async () => {
  await client.produce(
    "t",
    Array.from({ length: 1_000 }, () => "x".repeat(100)),
  );
  for (let batch = 0; batch < 20; batch++) await client.produce("t", ["x".repeat(1_000)]);
  const consumer = client.consumer("t", { from: "earliest", delivery: "push", bytesMax: 2_000, prefetch: 2 });
  let bytes = 0;
  let count = 0;
  for await (const records of consumer.batches()) {
    bytes += records.bytes.length;
    count += [...records].length;
    if (count === 1_020) break;
  }
  expect(bytes).toBeGreaterThan(120_000);
});

test("the loop of a consumer ends with request-aborted when its signal fires", async () => {
  await client.createTopic("t");
  const controller = new AbortController();
  const reading = take(client.consumer("t", { signal: controller.signal }), 1);
  controller.abort();
  await expect(reading).rejects.toMatchObject({ name: "request-aborted" });
});

test("an offset that is not kept ends the loop with its error, and is not passed over in silence", async () => {
  await client.produce("t", ["a"]);
  await expect(take(client.consumer("t", { from: 99 }), 1)).rejects.toMatchObject({
    name: "offset-out-of-range",
  });
});

test("positions are set by hand in any direction, also back to 0", async () => {
  await client.produce("t", ["a", "b", "c"]);
  for (const offset of [3, 1, 0]) {
    await client.commitOffsets("g", [{ topic: "t", partition: 0, offset }]);
    expect(await client.fetchOffsets("g")).toEqual([{ topic: "t", partition: 0, isCommitted: true, offset }]);
  }
});

test("a group goes on where its last member stopped", async () => {
  await client.produce("t", ["a", "b", "c", "d"]);
  const first = client.consumer("t", { group: "g" });
  expect((await take(first, 2)).map((record) => record.text())).toEqual(["a", "b"]);
  // The loop ended in its second record, so that one is not processed: it comes again.
  const second = await take(client.consumer("t", { group: "g" }), 3);
  expect(second.map((record) => record.text())).toEqual(["b", "c", "d"]);
});

test("a connection that breaks is made again, and the consumer goes on without loss", async () => {
  await client.produce("t", ["a"]);
  const records = client.consumer("t", { from: "earliest", delivery: "push" })[Symbol.asyncIterator]();
  expect((await records.next()).value?.text()).toBe("a");
  const waiting = records.next();
  await broker.stop();
  broker = await startPageBroker(network, "broker", { disk, onBug: (error) => bugs.push(error) });
  const other = await Client.connect(network, "broker");
  await other.produce("t", ["b"]);
  expect((await waiting).value?.text()).toBe("b");
  await records.return();
  await other.close();
});

test("close waits for what is open, and then nothing works any more", async () => {
  const open = client.produce("t", ["a"]);
  const closed = client.close();
  await expect(open).resolves.toMatchObject({ baseOffset: 0 });
  await closed;
  await expect(client.listTopics()).rejects.toMatchObject({ name: "client-closed" });
});

test("an address where nobody listens is a clear error", async () => {
  const failing = Client.connect(network, "nowhere");
  await expect(failing).rejects.toMatchObject({ name: "connection-failed", isRetriable: true });
});

test("signals are heard everywhere, also before anything was sent", async () => {
  await client.createTopic("t");
  const fired = AbortSignal.abort("enough");
  const producer = client.producer("t");
  const attempts: (() => Promise<unknown>)[] = [
    () => client.listTopics({ signal: fired }),
    () => client.produce("t", ["a"], { signal: fired }),
    () => client.fetch("t", 0, { signal: fired }),
    () => producer.send("a", { signal: fired }),
    () => take(client.consumer("t", { signal: fired }), 1),
    () => Client.connect(network, "broker", { signal: fired }),
  ];
  for (const attempt of attempts) {
    await expect(attempt()).rejects.toMatchObject({ name: "request-aborted", isRetriable: false });
  }
  expect((await client.getOffset("t")).endOffset).toBe(0);
});

test("a send that is given up in the middle rejects at once; the record may be stored all the same", async () => {
  await client.createTopic("t");
  const controller = new AbortController();
  const producer = client.producer("t", { lingerMs: 20 });
  const sending = producer.send("a", { signal: controller.signal });
  controller.abort();
  await expect(sending).rejects.toMatchObject({ name: "request-aborted" });
  await producer.close();
  expect((await client.getOffset("t")).endOffset).toBe(1);
});
