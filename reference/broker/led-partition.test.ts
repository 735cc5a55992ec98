import { beforeEach, expect, test } from "vitest";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import { leaderAcksFlag } from "../protocol/acks.ts";
import { encodeRequestPayload } from "../protocol/messages-codec.ts";
import { messages } from "../protocol/messages.ts";
import { settled } from "../testing/clock.ts";
import { LedCluster } from "../testing/led-cluster.ts";
import { TestBroker } from "../testing/test-broker.ts";
import type { TestClient } from "../testing/test-broker.ts";

/** Two nodes: n1 leads topics, groups and t/0, n2 leads t/1. */
let cluster: LedCluster;
let one: TestClient;
let two: TestClient;

const topic = "t";

beforeEach(async () => {
  cluster = await LedCluster.open(new InPageNetwork(), ["n1", "n2"]);
  one = cluster.node("n1").server.connect();
  two = cluster.node("n2").server.connect();
  const config = { partitions: 2, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  await one.ask("CreateTopic", { topic, ...config });
  cluster.lead(topic, 1, "n2");
});

test("each partition's requests are answered by the node that leads it, and by no other", async () => {
  const batch = encodeRecordBatch([{ value: new Uint8Array(1) }]);
  const range = { startMs: 0, startSequence: 0, endMs: 1, endSequence: 0, bytesMax: 1000 };
  const answers = async (client: TestClient, partition: number): Promise<string[]> => {
    const name = { topic, partition };
    const replies = [
      await client.ask("Produce", { ...name, batch }),
      await client.ask("Fetch", { ...name, offset: 0, bytesMax: 1000, waitMs: 0 }),
      await client.ask("GetOffset", { ...name, timeMs: 0 }),
      await client.ask("Subscribe", { ...name, offset: 0, creditBytes: 1000 }),
      await client.ask("Trim", { ...name, beforeOffset: 0 }),
      await client.ask("ReadRange", { ...name, ...range }),
    ];
    return [...new Set(replies.map((reply) => (reply.kind === "error" ? reply.name : "answered")))];
  };
  expect(await answers(one, 0)).toEqual(["answered"]);
  expect(await answers(one, 1)).toEqual(["not-leader"]);
  expect(await answers(two, 0)).toEqual(["not-leader"]);
  expect(await answers(two, 1)).toEqual(["answered"]);
});

test("any node says who leads; only who knows all topics says that there is none", async () => {
  const leaders = [
    { partition: 0, node: "n1", address: "n1" },
    { partition: 1, node: "n2", address: "n2" },
  ];
  for (const client of [one, two]) {
    expect(await client.ask("Leaders", { topic })).toMatchObject({ kind: "reply", value: { leaders } });
  }
  expect(await one.ask("Leaders", { topic: "none" })).toMatchObject({ name: "topic-not-found" });
  expect(await two.ask("Leaders", { topic: "none" })).toMatchObject({ name: "not-leader" });
  const fetch = { topic: "none", partition: 0, offset: 0, bytesMax: 1000, waitMs: 0 };
  expect(await one.ask("Fetch", fetch)).toMatchObject({ name: "topic-not-found" });
  expect(await two.ask("Fetch", fetch)).toMatchObject({ name: "not-leader" });
  cluster.lead(topic, 1, undefined);
  expect(await one.ask("Leaders", { topic })).toMatchObject({
    value: { leaders: [leaders[0], { partition: 1, node: "", address: "" }] },
  });
});

test("a server that is alone knows no leaders", async () => {
  const client = (await TestBroker.open()).connect();
  expect(await client.ask("Leaders", { topic })).toMatchObject({ name: "unknown-request" });
});

test("a topic is made by a Produce only where topics are made", async () => {
  expect(await two.produce("fresh", ["x"])).toMatchObject({ kind: "error", name: "not-leader" });
  expect(await one.produce("fresh", ["x"])).toMatchObject({ kind: "reply" });
});

test("a fetch that waits is sent on when its partition moves", async () => {
  const waiting = two.send("Fetch", { topic, partition: 1, offset: 0, bytesMax: 1000, waitMs: 60_000 });
  await settled();
  expect(two.received(waiting)).toBeUndefined();
  cluster.lead(topic, 1, "n1");
  expect(two.read("Fetch", await two.response(waiting))).toMatchObject({ name: "not-leader" });
});

test("a subscription ends when its partition moves, without credit too, and can be given up anywhere", async () => {
  const subscriptionId = two.send("Subscribe", { topic, partition: 1, offset: 0, creditBytes: 0 });
  const reply = async () => two.read("Subscribe", await two.response(subscriptionId));
  expect(await reply()).toMatchObject({ value: { kind: 0 } });
  expect(await two.produce(topic, ["x"], { partition: 1 })).toMatchObject({ kind: "reply" });
  cluster.lead(topic, 1, "n1");
  expect(await reply()).toMatchObject({ kind: "error", name: "not-leader" });
  expect(await two.ask("Unsubscribe", { subscriptionId })).toMatchObject({ name: "unknown-subscription" });
  expect(cluster.bugs).toEqual([]);
});

test("how safe a batch shall be is told to whoever replicates it", async () => {
  const batch = encodeRecordBatch([{ value: new Uint8Array(1) }]);
  const payload = encodeRequestPayload("Produce", { topic, partition: 0, batch });
  const { type } = messages.Produce;
  one.connection.deliverRequest({ requestId: 900n, type, flags: leaderAcksFlag, payload });
  one.connection.deliverRequest({ requestId: 901n, type, payload });
  await one.response(901n);
  expect(cluster.acks).toEqual(["leader", "quorum"]);
});
