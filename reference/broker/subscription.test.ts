import { describe, expect, test, vi } from "vitest";
import { Budget } from "../memory/budget.ts";
import { DiskError } from "../ports.ts";
import { encodeRequestPayload } from "../protocol/messages-codec.ts";
import { messages } from "../protocol/messages.ts";
import type { DiskCall } from "../simulator/disk.ts";
import { settled } from "../testing/clock.ts";
import { TestBroker, textsIn, type TestClient } from "../testing/test-broker.ts";

/** A broker with one record, "0", in topic `t`. */
async function rigOf(): Promise<TestBroker> {
  const rig = await TestBroker.open();
  await rig.connect().produce("t", ["0"]);
  return rig;
}

function subscribe(client: TestClient, offset: number, creditBytes = 1000): bigint {
  return client.send("Subscribe", { topic: "t", partition: 0, offset, creditBytes });
}

/** The records of all deliveries that have come, and how many replies there were. */
function received(client: TestClient, id: bigint): { texts: string[]; kinds: (number | string)[] } {
  const texts: string[] = [];
  const kinds: (number | string)[] = [];
  for (let frame = client.received(id); frame !== undefined; frame = client.received(id)) {
    const reply = client.read("Subscribe", frame);
    kinds.push(reply.kind === "reply" ? reply.value.kind : reply.name);
    if (reply.kind === "reply") texts.push(...textsIn(reply.value.batches, 0));
  }
  return { texts, kinds };
}

async function quiet(): Promise<void> {
  for (let round = 0; round < 10; round++) await settled();
}

describe("a subscription", () => {
  test("delivers each record once, whatever is committed or granted while a read is under way", async () => {
    const rig = await rigOf();
    const [writer, reader] = [rig.connect(), rig.connect()];
    const { promise: go, resolve: open } = Promise.withResolvers<void>();
    rig.disk.replan({ gate: ({ operation }) => (operation === "read" ? go : undefined) });
    const id = subscribe(reader, 0);
    for (let number = 1; number < 5; number++) {
      await writer.produce("t", [String(number)]);
      reader.send("Credit", { subscriptionId: id, creditBytes: 1000 });
    }
    open();
    await quiet();
    expect(received(reader, id).texts).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("waits for a peer that does not read, and goes on where it was", async () => {
    const rig = await rigOf();
    const [writer, reader] = [rig.connect(), rig.connect()];
    reader.connection.windowBytes = 0;
    const partition = rig.broker.topics.partition("t", 0);
    if ("kind" in partition) throw new Error(partition.message);
    const read = vi.spyOn(partition.log, "read");
    const id = subscribe(reader, 0, 1_000_000);
    for (let number = 1; number < 5; number++) {
      await writer.produce("t", [String(number)]);
      await quiet();
    }
    const before = received(reader, id).texts;
    expect(before.length).toBeLessThan(2);
    expect(read).toHaveBeenCalledTimes(1);
    reader.connection.windowBytes = Number.POSITIVE_INFINITY;
    reader.connection.drain();
    await quiet();
    expect([...before, ...received(reader, id).texts]).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("begins within the log or at its end, and says where that is", async () => {
    const reader = (await rigOf()).connect();
    const ask = { topic: "t", partition: 0, offset: 2, creditBytes: 1 };
    expect(await reader.ask("Subscribe", ask)).toMatchObject({
      name: "offset-out-of-range",
      message: "offset 2 lies outside 0 to 1",
    });
    expect(await reader.ask("Subscribe", { ...ask, offset: 1 })).toMatchObject({
      value: { kind: 0, startOffset: 0, endOffset: 1 },
    });
  });

  test("that is open already is not opened again", async () => {
    const reader = (await rigOf()).connect();
    const request = { topic: "t", partition: 0, offset: 1, creditBytes: 1 };
    const payload = encodeRequestPayload("Subscribe", request);
    for (let time = 0; time < 2; time++)
      reader.connection.deliverRequest({ requestId: 9n, type: messages.Subscribe.type, payload });
    await quiet();
    expect(received(reader, 9n).kinds).toEqual([0, "invalid-request"]);
    expect(await reader.ask("Unsubscribe", { subscriptionId: 9n })).toMatchObject({ kind: "reply" });
  });

  test("sends nothing once it has ended, and its id is free again", async () => {
    const rig = await rigOf();
    const [writer, reader] = [rig.connect(), rig.connect()];
    const id = subscribe(reader, 1);
    await reader.ask("Unsubscribe", { subscriptionId: id });
    expect(received(reader, id).kinds).toEqual([0, 2]);
    await writer.produce("t", ["late"]);
    reader.send("Credit", { subscriptionId: id, creditBytes: 1000 });
    await quiet();
    expect(received(reader, id).kinds).toEqual([]);
  });

  test("ends with an error that says so when the server drains, or the disk cannot be read", async () => {
    const draining = await rigOf();
    const told = draining.connect();
    const id = subscribe(told, 1);
    draining.broker.beginDrain();
    await quiet();
    expect(received(told, id).kinds).toEqual([0, "shutting-down"]);
    const broken = await rigOf();
    const reader = broken.connect();
    broken.disk.replan({ faults: [{ call: 0, kind: "fail", code: "input-output" }] });
    const failed = subscribe(reader, 0);
    await quiet();
    expect(received(reader, failed).kinds).toEqual([0, "storage-error"]);
    expect(broken.bugs).toEqual([]);
  });
});

test("whoever has waited for records leaves nothing behind, however the wait ended", async () => {
  const rig = await rigOf();
  const partition = rig.broker.topics.partition("t", 0);
  if ("kind" in partition) throw new Error(partition.message);
  const listening = new Set<unknown>();
  const listen = partition.listen.bind(partition);
  const unlisten = partition.unlisten.bind(partition);
  vi.spyOn(partition, "listen").mockImplementation((listener) => {
    listening.add(listener);
    listen(listener);
  });
  vi.spyOn(partition, "unlisten").mockImplementation((listener) => {
    listening.delete(listener);
    unlisten(listener);
  });
  let drainActions = 0;
  const { draining } = rig.broker;
  const onDrain = draining.onDrain.bind(draining);
  vi.spyOn(draining, "onDrain").mockImplementation((action) => {
    drainActions++;
    const forget = onDrain(action);
    return () => {
      drainActions--;
      forget();
    };
  });
  const accept = vi.spyOn(rig.hub, "accept");
  const [stays, goes] = [rig.connect(), rig.connect()];
  const ask = { topic: "t", partition: 0, offset: 1, bytesMax: 1000, waitMs: 500 };
  const id = stays.send("Fetch", ask);
  goes.send("Fetch", ask);
  subscribe(goes, 1);
  const subscriptionId = subscribe(stays, 1);
  await quiet();
  expect([listening.size, drainActions]).toEqual([4, 4]);
  goes.connection.vanish(new Error("connection reset"));
  await rig.clock.advanceAsync(500);
  await stays.response(id);
  await stays.ask("Unsubscribe", { subscriptionId });
  expect([listening.size, drainActions]).toEqual([0, 0]);
  for (const { value } of accept.mock.results) expect(value?.state.onClosed?.size ?? 0).toBe(0);
});

test("memory for an answer is given back when there is none, because the disk cannot be read", async () => {
  const account = new Budget(200_000).root.open({ name: "fetch" });
  const rig = await TestBroker.open({ fetchAccount: account });
  const client = rig.connect();
  await client.produce("t", ["0"], { timestampMs: 5 });
  const gate = ({ operation, path }: DiskCall): Promise<void> | undefined =>
    operation === "read" ? Promise.reject(new DiskError("input-output", operation, path)) : undefined;
  rig.disk.replan({ gate });
  const ask = { topic: "t", partition: 0, offset: 0, bytesMax: 1000, waitMs: 0 };
  const range = { topic: "t", partition: 0, startMs: 0, startSequence: 0, endMs: 2 ** 47, endSequence: 0 };
  expect(await client.ask("Fetch", ask)).toMatchObject({ name: "storage-error" });
  expect(await client.ask("ReadRange", { ...range, bytesMax: 1000 })).toMatchObject({
    name: "storage-error",
  });
  expect(await client.ask("GetOffset", { topic: "t", partition: 0, timeMs: 1 })).toMatchObject({
    name: "storage-error",
  });
  subscribe(client, 0);
  await quiet();
  expect(account.reservedBytes).toBe(0);
  expect(rig.bugs).toEqual([]);
});
