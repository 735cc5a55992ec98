/** When a producer is answered by the leader of a partition, and what it is told. */
import { expect, test } from "vitest";
import { leaderAcksFlag } from "../../protocol/acks.ts";
import { encodeRequestPayload } from "../../protocol/messages-codec.ts";
import { messages } from "../../protocol/messages.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import type { SmallNode } from "../../testing/cluster/small-cluster.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { TestClient } from "../../testing/test-broker.ts";

/** Three nodes with a topic, the leader of its partition, and a client of that. */
async function open() {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  await cluster.createTopic("orders");
  await cluster.until(() => leaderOf(cluster) !== undefined);
  const leader = leaderOf(cluster)!;
  return { cluster, leader, client: cluster.connect(leader.name) };
}

/** The node that leads the partition and may answer. */
function leaderOf(cluster: SmallCluster): SmallNode | undefined {
  return [...cluster.nodes.values()].find(({ name, cluster: node }) => {
    return node.state().partitions[0]?.leader === name;
  });
}

/** Cuts the leader off from the others, or lets it be heard again. */
function isolate({ cut, nodes }: SmallCluster, name: string, isCut: boolean): void {
  for (const other of nodes.keys()) {
    for (const link of [`${name}>${other}`, `${other}>${name}`]) {
      if (isCut) cut.add(link);
      else cut.delete(link);
    }
  }
}

/** Sends a batch of one record; returns the request's id. */
function send(client: TestClient, text: string, baseSequence?: number): bigint {
  const producer = baseSequence === undefined ? {} : { producerId: 7, producerEpoch: 0, baseSequence };
  const batch = encodeRecordBatch([{ value: new TextEncoder().encode(text) }], producer);
  return client.send("Produce", { topic: "orders", partition: 0, batch });
}

/** As `send`, when there has been time to answer. */
async function sent(cluster: SmallCluster, client: TestClient, text: string): Promise<bigint> {
  const id = send(client, text);
  await cluster.clock.advanceAsync(300);
  return id;
}

/** What has been answered to a request so far. */
function answer(client: TestClient, id: bigint) {
  const frame = client.received(id);
  return frame === undefined ? undefined : client.read("Produce", frame);
}

test("a batch is answered when a majority has it, and not before", async () => {
  const { cluster, leader, client } = await open();
  isolate(cluster, leader.name, true);
  const id = send(client, "a");
  await cluster.clock.advanceAsync(100);
  expect(answer(client, id)).toBeUndefined();
  isolate(cluster, leader.name, false);
  await cluster.clock.advanceAsync(300);
  expect(answer(client, id)).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
  const { value: three } = await cluster.wait(client.produce("orders", ["b", "c", "d"]));
  expect(three).toMatchObject({ kind: "reply", value: { baseOffset: 1 } });
  expect(answer(client, await sent(cluster, client, "e"))).toMatchObject({ value: { baseOffset: 4 } });
});

test("with acks of the leader alone a batch is answered when the leader's disk has it", async () => {
  const { cluster, leader, client } = await open();
  isolate(cluster, leader.name, true);
  const { promise, resolve } = Promise.withResolvers<void>();
  leader.onDisk = ({ operation }) => (operation === "sync" ? promise : undefined);
  const batch = encodeRecordBatch([{ value: new Uint8Array(3) }]);
  const payload = encodeRequestPayload("Produce", { topic: "orders", partition: 0, batch });
  const requestId = 900n;
  client.connection.deliverRequest({
    requestId,
    type: messages.Produce.type,
    flags: leaderAcksFlag,
    payload,
  });
  await cluster.clock.advanceAsync(100);
  expect(answer(client, requestId)).toBeUndefined();
  resolve();
  await cluster.clock.advanceAsync(10);
  expect(answer(client, requestId)).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
});

test("with acks of the leader alone, too, whoever waits at a leader that is deposed is told", async () => {
  const { cluster, leader, client } = await open();
  isolate(cluster, leader.name, true);
  leader.onDisk = ({ operation, path }) =>
    operation === "sync" && path.includes("topics") ? new Promise(() => {}) : undefined;
  const batch = encodeRecordBatch([{ value: new Uint8Array(3) }]);
  const payload = encodeRequestPayload("Produce", { topic: "orders", partition: 0, batch });
  const { type } = messages.Produce;
  client.connection.deliverRequest({ requestId: 900n, type, flags: leaderAcksFlag, payload });
  await cluster.clock.advanceAsync(3000);
  expect(answer(client, 900n)).toMatchObject({ kind: "error", name: "request-timeout" });
});

test("a batch that is sent again while it is on its way is one batch, and answered as often as it was sent", async () => {
  const { cluster, leader, client } = await open();
  isolate(cluster, leader.name, true);
  const ids = [send(client, "a", 0), send(client, "b", 1), send(client, "a", 0), send(client, "b", 1)];
  await cluster.clock.advanceAsync(100);
  expect(ids.map((id) => answer(client, id))).toEqual([undefined, undefined, undefined, undefined]);
  // What would leave a hole is refused by what is on its way, not by what is agreed on.
  const early = send(client, "d", 3);
  await cluster.clock.advanceAsync(10);
  expect(answer(client, early)).toMatchObject({
    name: "sequence-gap",
    message: expect.stringContaining("is 2"),
  });
  isolate(cluster, leader.name, false);
  await cluster.clock.advanceAsync(300);
  const offsets = ids
    .map((id) => answer(client, id))
    .map((reply) => reply?.kind === "reply" && reply.value.baseOffset);
  expect(offsets).toEqual([0, 1, 0, 1]);
  const again = send(client, "a", 0);
  await cluster.clock.advanceAsync(100);
  expect(answer(client, again)).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
  expect(leader.broker.topics.get("orders")?.partitions[0]?.log.endOffset).toBe(2);
});

test("whoever waits at a leader that is deposed is told that nobody knows", async () => {
  const { cluster, leader, client } = await open();
  isolate(cluster, leader.name, true);
  const id = send(client, "a", 0);
  await cluster.clock.advanceAsync(3000);
  expect(answer(client, id)).toMatchObject({ kind: "error", name: "request-timeout" });
  const late = send(client, "b", 1);
  await cluster.clock.advanceAsync(10);
  expect(answer(client, late)).toMatchObject({ kind: "error", name: "not-leader" });
});

test("the next leader takes the batch again, once, wherever the first one came to", async () => {
  const { cluster, leader, client } = await open();
  const first = send(client, "a", 0);
  await cluster.clock.advanceAsync(300);
  expect(answer(client, first)).toMatchObject({ kind: "reply" });
  // This one reaches the others, and no word of that comes back.
  for (const other of cluster.nodes.keys()) cluster.cut.add(`${other}>${leader.name}`);
  const second = send(client, "b", 1);
  await cluster.clock.advanceAsync(50);
  isolate(cluster, leader.name, true);
  await cluster.until(() => leaderOf(cluster) !== undefined && leaderOf(cluster) !== leader);
  expect(answer(client, second)?.kind).not.toBe("reply");
  const heir = leaderOf(cluster)!;
  // Its clock is behind; ids go on all the same.
  cluster.clock.stepWallTime(-60_000);
  const other = cluster.connect(heir.name);
  const ids = [send(other, "b", 1), send(other, "c", 2), send(other, "a", 0)];
  await cluster.clock.advanceAsync(300);
  const replies = ids.flatMap((id) => {
    const reply = answer(other, id);
    return reply?.kind === "reply" ? [reply.value] : [];
  });
  expect(replies.map(({ baseOffset }) => baseOffset)).toEqual([1, 2, 0]);
  const [b, c] = replies;
  expect(c!.idMs).toBeGreaterThanOrEqual(b!.idMs);
  expect(heir.broker.topics.get("orders")?.partitions[0]?.log.committedEnd).toBe(3);
});

test("while the lead is handed over nothing is taken, and what was taken is answered", async () => {
  const { cluster, leader, client } = await open();
  const target = [...cluster.nodes.keys()].find((name) => name !== leader.name)!;
  const { promise, resolve } = Promise.withResolvers<void>();
  // Nobody's disk is fast: the batch is on its way for a while.
  for (const node of cluster.nodes.values())
    node.onDisk = ({ operation, path }) =>
      operation === "sync" && path.includes("topics") ? promise : undefined;
  const id = send(client, "a");
  await cluster.clock.advanceAsync(5);
  const connection = { state: { peer: target } } as unknown as Parameters<typeof leader.cluster.change>[1];
  const handing = leader.cluster.change({ action: "transfer", node: target, address: "" }, connection);
  await cluster.clock.advanceAsync(20);
  const late = send(client, "b");
  await cluster.clock.advanceAsync(5);
  expect(answer(client, late)).toMatchObject({ kind: "error", name: "not-leader" });
  expect(answer(client, id)).toBeUndefined();
  resolve();
  expect((await cluster.wait(handing)).value).toBeUndefined();
  expect(answer(client, id)).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
  await cluster.until(() => leaderOf(cluster)?.name === target);
  // Who led takes batches again, should the lead come back to it.
  await cluster.wait(
    cluster.node(target).cluster.change({ action: "transfer", node: leader.name, address: "" }, connection),
  );
  await cluster.until(() => leaderOf(cluster) === leader);
  const next = send(client, "c");
  await cluster.clock.advanceAsync(300);
  expect(answer(client, next)).toMatchObject({ kind: "reply", value: { baseOffset: 1 } });
});

test("a batch that is broken or too large never gets into the log", async () => {
  const { cluster, leader, client } = await open();
  const whole = encodeRecordBatch([{ value: new Uint8Array(50) }]);
  const changed = whole.slice();
  changed[100] = 9;
  const large = encodeRecordBatch([{ value: new Uint8Array(2 ** 20) }]);
  const ids = [changed, whole.subarray(0, -1), large].map((batch) =>
    client.send("Produce", { topic: "orders", partition: 0, batch }),
  );
  await cluster.clock.advanceAsync(300);
  const names = ids.map((id) => answer(client, id)).map((reply) => reply?.kind === "error" && reply.name);
  expect(names).toEqual(["corrupt-message", "invalid-request", "record-too-large"]);
  expect(leader.broker.topics.get("orders")?.partitions[0]?.log.endOffset).toBe(0);
});

test("all partitions of a leader together take so much that nobody has confirmed, and then no more", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"], { proposedBytesMax: 4000 });
  await cluster.createTopic("orders", 6);
  const partitionsOf = (name: string): number[] => {
    const { partitions } = cluster.node(name).cluster.state();
    return partitions.flatMap(({ leader, partition }) => (leader === name ? [partition] : []));
  };
  await cluster.until(() => partitionsOf("n1").length > 1);
  const [one = 0, other = 0] = partitionsOf("n1");
  const client = cluster.connect("n1");
  const batch = encodeRecordBatch([{ value: new Uint8Array(1000) }]);
  const put = async (partition: number): Promise<bigint> => {
    const id = client.send("Produce", { topic: "orders", partition, batch });
    await cluster.clock.advanceAsync(5);
    return id;
  };
  isolate(cluster, "n1", true);
  const taken = [await put(one), await put(other), await put(one), await put(one)];
  const refused = [await put(one), await put(other)];
  for (const id of taken) expect(answer(client, id)).toBeUndefined();
  for (const id of refused) {
    const message = "batches come faster than the nodes store them";
    expect(answer(client, id)).toMatchObject({ name: "overloaded", message, retryAfterMs: 100 });
  }
  // What the others confirm makes room.
  isolate(cluster, "n1", false);
  await cluster.clock.advanceAsync(300);
  for (const id of taken) expect(answer(client, id)).toMatchObject({ kind: "reply" });
  expect(answer(client, await put(one))).toMatchObject({ kind: "reply" });
  // And so does what nobody will confirm here any more.
  isolate(cluster, "n1", true);
  const lost = [await put(one), await put(one), await put(one), await put(one)];
  await cluster.until(() => partitionsOf("n1").length === 0);
  for (const id of lost) expect(answer(client, id)).toMatchObject({ name: "request-timeout" });
  isolate(cluster, "n1", false);
  await cluster.until(() => partitionsOf("n1").length > 0);
  const [led = 0] = partitionsOf("n1");
  const again = [await put(led), await put(led), await put(led)];
  await cluster.clock.advanceAsync(300);
  for (const id of again) expect(answer(client, id)).toMatchObject({ kind: "reply" });
});

test("before the lead goes on, what was taken is agreed on: the heir alone having it is not enough", async () => {
  const { cluster, leader, client } = await open();
  const [heir = "", third = ""] = [...cluster.nodes.keys()].filter((name) => name !== leader.name);
  const { promise, resolve } = Promise.withResolvers<void>();
  leader.onDisk = ({ operation, path }) =>
    operation === "sync" && path.includes("topics") ? promise : undefined;
  cluster.cut.add(`${leader.name}>${third}`).add(`${third}>${leader.name}`);
  const id = send(client, "a");
  await cluster.clock.advanceAsync(20);
  const connection = { state: { peer: heir } } as unknown as Parameters<typeof leader.cluster.change>[1];
  const handing = leader.cluster.change({ action: "transfer", node: heir, address: "" }, connection);
  await cluster.clock.advanceAsync(200);
  expect([answer(client, id), leaderOf(cluster)?.name]).toEqual([undefined, leader.name]);
  resolve();
  expect((await cluster.wait(handing)).value).toBeUndefined();
  expect(answer(client, id)).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
});

test("whoever waits for a topic that is deleted is told, and its groups answer nobody any more", async () => {
  const { cluster, leader, client } = await open();
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const node of cluster.nodes.values())
    node.onDisk = ({ operation, path }) =>
      operation === "sync" && path.includes("topics") ? promise : undefined;
  const incarnation = leader.broker.topics.get("orders")?.config.incarnation ?? 0;
  const ask = { topic: "orders", incarnation, partition: 0, offset: 0, bytesMax: 0 };
  expect((await cluster.wait(leader.cluster.peerFetch(ask))).value).toMatchObject({ startOffset: 0 });
  const id = send(client, "a");
  await cluster.clock.advanceAsync(20);
  void cluster.leader!.cluster.deleteTopic("orders");
  await cluster.clock.advanceAsync(300);
  expect(answer(client, id)).toMatchObject({ kind: "error", name: "request-timeout" });
  expect((await cluster.wait(leader.cluster.peerFetch(ask))).value).toMatchObject({
    name: "topic-not-found",
  });
  resolve();
  await cluster.until(() => leader.broker.topics.get("orders") === undefined);
  expect(cluster.bugs).toEqual([]);
});
