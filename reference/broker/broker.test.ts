import { describe, expect, test } from "vitest";
import { Budget } from "../memory/budget.ts";
import { TestBroker, textsIn } from "../testing/test-broker.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";

const nothingSurvives = { kind: "nothing" } as const;
const plain = { retentionMs: 0, retentionBytes: 0, isCompacted: false };

describe("topics", () => {
  test("are made, listed and deleted, and survive a restart", async () => {
    const first = await TestBroker.open();
    const client = first.connect();
    expect(await client.ask("CreateTopic", { topic: "b", partitions: 2, ...plain })).toMatchObject({
      kind: "reply",
    });
    expect(await client.ask("CreateTopic", { topic: "a", partitions: 1, ...plain })).toMatchObject({
      kind: "reply",
    });
    expect(await client.ask("CreateTopic", { topic: "a", partitions: 1, ...plain })).toMatchObject({
      name: "topic-already-exists",
    });
    expect(await client.ask("DeleteTopic", { topic: "a" })).toMatchObject({ kind: "reply" });
    await client.produce("b", ["x"], { partition: 1 });
    const second = await TestBroker.open({}, first.disk.restart(nothingSurvives));
    const listed = await second.connect().ask("ListTopics", { topics: [] });
    expect(listed).toMatchObject({
      value: { topics: [{ topic: "b", partitions: [{ endOffset: 0 }, { endOffset: 1 }] }] },
    });
  });

  test("have names that are file names everywhere", async () => {
    const client = (await TestBroker.open()).connect();
    for (const topic of ["", ".", "..", "a/b", "a b", "ä", "x".repeat(250)]) {
      const reply = await client.ask("CreateTopic", { topic, partitions: 1, ...plain });
      expect(reply).toMatchObject({ name: "invalid-topic-name" });
    }
  });

  test("come into being with the first record, in the order of the requests", async () => {
    const client = (await TestBroker.open()).connect();
    const replies = await Promise.all(["one", "two", "three"].map((value) => client.produce("new", [value])));
    expect(replies.map((reply) => reply.kind === "reply" && reply.value.baseOffset)).toEqual([0, 1, 2]);
    expect(await client.fetch("new", 0)).toEqual(["one", "two", "three"]);
  });

  test("that a disk takes for another one, because it ignores case, are refused", async () => {
    const rig = await TestBroker.open();
    await rig.disk.makeDirectory("topics/Orders");
    await (await rig.disk.open("topics/Orders/topic.json", "create")).close();
    expect(await rig.connect().produce("Orders", ["x"])).toMatchObject({ name: "topic-already-exists" });
  });

  test("do not come into being where that is switched off", async () => {
    const client = (await TestBroker.open({ autoCreatePartitions: 0 })).connect();
    expect(await client.produce("new", ["x"])).toMatchObject({ name: "topic-not-found" });
  });
});

describe("produce", () => {
  test("is answered after the sync and not before", async () => {
    const rig = await TestBroker.open();
    await rig.connect().produce("t", ["kept"]);
    const after = await TestBroker.open({}, rig.disk.restart(nothingSurvives));
    expect(await after.connect().fetch("t", 0)).toEqual(["kept"]);
  });

  test("refuses a batch that is not one, a partition that is not there, and a payload with a gap", async () => {
    const client = (await TestBroker.open()).connect();
    await client.produce("t", ["x"]);
    const batch = encodeRecordBatch([{ value: new Uint8Array(3) }]);
    expect(await client.ask("Produce", { topic: "t", partition: 9, batch })).toMatchObject({
      name: "partition-not-found",
    });
    expect(await client.ask("Produce", { topic: "t", partition: 0, batch: new Uint8Array(5) })).toMatchObject(
      {
        name: "invalid-request",
      },
    );
    const damaged = batch.slice();
    damaged[damaged.length - 1] = 1;
    expect(await client.ask("Produce", { topic: "t", partition: 0, batch: damaged })).toMatchObject({
      name: "corrupt-message",
    });
    expect(await client.fetch("t", 0)).toEqual(["x"]);
  });

  test("says that the disk is full, stores nothing of it, and goes on when there is room again", async () => {
    const rig = await TestBroker.open();
    const client = rig.connect();
    await client.produce("t", ["before"]);
    rig.disk.replan({ capacityBytes: 1 });
    expect(await client.produce("t", ["lost"])).toMatchObject({ name: "storage-full" });
    rig.disk.replan({});
    expect(await client.produce("t", ["after"])).toMatchObject({ value: { baseOffset: 1 } });
    expect(await client.fetch("t", 0)).toEqual(["before", "after"]);
  });

  test("stops at a sync that fails, says so, and still serves what was committed", async () => {
    const rig = await TestBroker.open();
    const client = rig.connect();
    await client.produce("t", ["before"]);
    const faults = Array.from(
      { length: 20 },
      (_, call) => ({ call, kind: "fail", code: "input-output" }) as const,
    );
    rig.disk.replan({ faults });
    expect(await client.produce("t", ["lost"])).toMatchObject({ name: "storage-error" });
    rig.disk.replan({});
    expect(await client.produce("t", ["refused"])).toMatchObject({ name: "storage-error" });
    expect(await client.fetch("t", 0)).toEqual(["before"]);
    expect(rig.broker.health()).toMatchObject({
      isReady: false,
      detail: expect.stringContaining("t/0 is read-only"),
    });
  });
});

describe("an idempotent producer", () => {
  const producer = { producerId: 77, producerEpoch: 0 };

  test("gets the first answer again for a batch that it sends twice", async () => {
    const client = (await TestBroker.open()).connect();
    const first = await client.produce("t", ["a", "b"], { ...producer, baseSequence: 0 });
    await client.produce("t", ["c"], { ...producer, baseSequence: 2 });
    expect(await client.produce("t", ["a", "b"], { ...producer, baseSequence: 0 })).toEqual(first);
    expect(await client.fetch("t", 0)).toEqual(["a", "b", "c"]);
  });

  test("is remembered across a restart", async () => {
    const rig = await TestBroker.open();
    const first = await rig.connect().produce("t", ["a"], { ...producer, baseSequence: 0 });
    const after = await TestBroker.open({}, rig.disk.restart(nothingSurvives));
    const client = after.connect();
    expect(await client.produce("t", ["a"], { ...producer, baseSequence: 0 })).toEqual(first);
    expect(await client.produce("t", ["b"], { ...producer, baseSequence: 1 })).toMatchObject({
      kind: "reply",
    });
    expect(await client.fetch("t", 0)).toEqual(["a", "b"]);
  });

  test("is told of a gap, also when it begins in the middle", async () => {
    const client = (await TestBroker.open()).connect();
    expect(await client.produce("t", ["x"], { ...producer, baseSequence: 5 })).toMatchObject({
      name: "sequence-gap",
    });
    await client.produce("t", ["a"], { ...producer, baseSequence: 0 });
    expect(await client.produce("t", ["x"], { ...producer, baseSequence: 2 })).toMatchObject({
      name: "sequence-gap",
    });
    expect(await client.fetch("t", 0)).toEqual(["a"]);
  });

  test("is fenced by its own next epoch", async () => {
    const client = (await TestBroker.open()).connect();
    await client.produce("t", ["old"], { ...producer, baseSequence: 0 });
    await client.produce("t", ["new"], { ...producer, producerEpoch: 1, baseSequence: 0 });
    expect(await client.produce("t", ["late"], { ...producer, baseSequence: 1 })).toMatchObject({
      name: "producer-fenced",
    });
  });
});

describe("fetch", () => {
  test("waits at the end for the next record, and no longer than it was told", async () => {
    const { clock, connect } = await waitingRig();
    const reader = connect();
    const waiting = reader.send("Fetch", {
      topic: "t",
      partition: 0,
      offset: 1,
      bytesMax: 1000,
      waitMs: 500,
    });
    await settle();
    expect(reader.received(waiting)).toBeUndefined();
    await connect().produce("t", ["second"]);
    const reply = reader.read("Fetch", await reader.response(waiting));
    expect(reply.kind === "reply" && textsIn(reply.value.batches, 1)).toEqual(["second"]);
    const again = reader.send("Fetch", { topic: "t", partition: 0, offset: 2, bytesMax: 1000, waitMs: 500 });
    await settle();
    clock.advance(500);
    expect(reader.read("Fetch", await reader.response(again))).toMatchObject({ value: { endOffset: 2 } });
  });

  test("that waits for a client that is gone leaves nothing behind", async () => {
    const { clock, connect, hub } = await waitingRig();
    const reader = connect();
    reader.send("Fetch", { topic: "t", partition: 0, offset: 1, bytesMax: 1000, waitMs: 500 });
    await settle();
    reader.connection.vanish(new Error("connection reset"));
    await settle();
    expect(hub.count).toBe(0);
    expect(clock.activeTimers).toBe(0);
  });

  test("outside of the log says where the log is", async () => {
    const { connect } = await waitingRig();
    const reply = await connect().ask("Fetch", {
      topic: "t",
      partition: 0,
      offset: 9,
      bytesMax: 1000,
      waitMs: 0,
    });
    expect(reply).toMatchObject({
      name: "offset-out-of-range",
      message: "offset 9 lies outside 0 to 1 of t/0",
    });
  });

  test("is answered when a drain begins", async () => {
    const rig = await waitingRig();
    const reader = rig.connect();
    const id = reader.send("Fetch", { topic: "t", partition: 0, offset: 1, bytesMax: 1000, waitMs: 60_000 });
    await settle();
    rig.broker.beginDrain();
    expect(reader.read("Fetch", await reader.response(id))).toMatchObject({ kind: "reply" });
  });

  test("is refused when readers that do not read hold all the memory, and served when they have gone", async () => {
    const account = new Budget(100_000).root.open({ name: "fetch" });
    const rig = await TestBroker.open({ fetchAccount: account });
    const writer = rig.connect();
    for (let index = 0; index < 8; index++) await writer.produce("t", ["x".repeat(20_000)]);
    const slow = rig.connect();
    slow.connection.windowBytes = 0;
    const ask = { topic: "t", partition: 0, offset: 0, bytesMax: 70_000, waitMs: 0 };
    slow.send("Fetch", ask);
    await settle();
    expect(await writer.ask("Fetch", ask)).toMatchObject({ name: "overloaded" });
    slow.connection.vanish(new Error("connection reset"));
    await settle();
    expect(await writer.ask("Fetch", ask)).toMatchObject({ kind: "reply" });
    expect(account.reservedBytes).toBe(0);
  });
});

describe("a subscription", () => {
  test("sends what comes within its credit, and ends when it is told", async () => {
    const rig = await waitingRig();
    const reader = rig.connect();
    const id = reader.send("Subscribe", { topic: "t", partition: 0, offset: 0, creditBytes: 1 });
    expect(reader.read("Subscribe", await reader.response(id))).toMatchObject({ value: { kind: 0 } });
    const first = reader.read("Subscribe", await reader.response(id));
    expect(first.kind === "reply" && textsIn(first.value.batches, 0)).toEqual(["first"]);
    await rig.connect().produce("t", ["second"]);
    await settle();
    expect(reader.received(id)).toBeUndefined();
    reader.send("Credit", { subscriptionId: id, creditBytes: 1000 });
    const second = reader.read("Subscribe", await reader.response(id));
    expect(second.kind === "reply" && textsIn(second.value.batches, 1)).toEqual(["second"]);
    expect(await reader.ask("Unsubscribe", { subscriptionId: id })).toMatchObject({ kind: "reply" });
    expect(reader.read("Subscribe", await reader.response(id))).toMatchObject({ value: { kind: 2 } });
    expect(await reader.ask("Unsubscribe", { subscriptionId: id })).toMatchObject({
      name: "unknown-subscription",
    });
  });

  test("goes with its connection and with its topic", async () => {
    const rig = await waitingRig();
    const [gone, told] = [rig.connect(), rig.connect()];
    gone.send("Subscribe", { topic: "t", partition: 0, offset: 1, creditBytes: 1000 });
    const id = told.send("Subscribe", { topic: "t", partition: 0, offset: 1, creditBytes: 1000 });
    await told.response(id);
    gone.connection.vanish();
    await rig.connect().ask("DeleteTopic", { topic: "t" });
    expect(told.read("Subscribe", await told.response(id))).toMatchObject({ name: "topic-not-found" });
    expect(rig.bugs).toEqual([]);
  });
});

describe("consumer offsets", () => {
  const commit = (offset: number, memberId = "", generation = 0, partition = 0) => {
    return { group: "g", memberId, generation, offsets: [{ topic: "t", partition, offset }] };
  };
  const ask = { group: "g", partitions: [{ topic: "t", partition: 0 }] };

  test("go in any direction by hand, also back to 0, and survive a restart", async () => {
    const rig = await waitingRig();
    const client = rig.connect();
    expect(await client.ask("FetchOffset", ask)).toMatchObject({
      value: { offsets: [{ isCommitted: false, offset: 0 }] },
    });
    for (const offset of [1, 0, 1]) {
      expect(await client.ask("CommitOffset", commit(offset))).toMatchObject({ status: 0 });
      expect(await client.ask("FetchOffset", ask)).toMatchObject({
        value: { offsets: [{ isCommitted: true, offset }] },
      });
    }
    const after = await TestBroker.open({}, rig.disk.restart(nothingSurvives));
    const all = await after.connect().ask("FetchOffset", { group: "g", partitions: [] });
    expect(all).toMatchObject({ value: { offsets: [{ topic: "t", partition: 0, offset: 1 }] } });
  });

  test("are refused one by one: beyond the end, for no partition", async () => {
    const client = (await waitingRig()).connect();
    expect(await client.ask("CommitOffset", commit(2))).toMatchObject({
      status: 2,
      value: { errorCodes: [3] },
    });
    expect(await client.ask("CommitOffset", commit(0, "", 0, 7))).toMatchObject({
      value: { errorCodes: [5] },
    });
    expect(await client.ask("FetchOffset", ask)).toMatchObject({
      value: { offsets: [{ isCommitted: false }] },
    });
  });

  test("of a member whose connection is gone are fenced", async () => {
    const rig = await waitingRig();
    const [gone, next] = [rig.connect(), rig.connect()];
    const join = { group: "g", memberId: "", topics: ["t"], owned: [] };
    const joined = await gone.ask("JoinGroup", join);
    if (joined.kind === "error") throw new Error(joined.message);
    const { memberId, generation, assigned } = joined.value;
    expect(assigned).toEqual([{ topic: "t", partition: 0 }]);
    expect(await gone.ask("CommitOffset", commit(1, memberId, generation))).toMatchObject({ status: 0 });
    gone.connection.vanish(new Error("connection reset"));
    expect(await next.ask("JoinGroup", join)).toMatchObject({
      value: { assigned: [{ topic: "t", partition: 0 }] },
    });
    expect(await next.ask("CommitOffset", commit(0, memberId, generation))).toMatchObject({
      value: { errorCodes: [23] },
    });
  });

  test("go with their topic", async () => {
    const rig = await waitingRig();
    const client = rig.connect();
    await client.ask("CommitOffset", commit(1));
    await client.ask("DeleteTopic", { topic: "t" });
    await client.produce("t", ["again"]);
    expect(await client.ask("FetchOffset", ask)).toMatchObject({
      value: { offsets: [{ isCommitted: false, offset: 0 }] },
    });
  });
});

describe("authentication", () => {
  const authentication = { tokens: new Map([["shop", "s3cret"]]), hmacSecrets: new Map<string, string>() };

  test("keeps out who has not proved anything, and nobody else", async () => {
    const client = (await TestBroker.open({ authentication })).connect();
    expect(await client.ask("ListTopics", { topics: [] })).toMatchObject({ name: "unauthenticated" });
    expect(await client.ask("HealthCheck", {})).toMatchObject({ kind: "reply" });
    const proof = (text: string) => ({
      method: "token",
      name: "shop",
      proof: new TextEncoder().encode(text),
    });
    for (const wrong of ["", "s3cre", "s3cret!", "S3cret"]) {
      expect(await client.ask("Authenticate", proof(wrong))).toMatchObject({
        name: "unauthenticated",
      });
    }
    expect(await client.ask("Authenticate", proof("s3cret"))).toMatchObject({ kind: "reply" });
    expect(await client.ask("ListTopics", { topics: [] })).toMatchObject({ kind: "reply" });
  });
});

test("a client that sends more than its share is told how long to wait, and others are not", async () => {
  const rig = await TestBroker.open({ rates: { requestsPerSecond: 2, bytesPerSecond: 0 } });
  const [greedy, modest] = [rig.connect(), rig.connect()];
  for (let index = 0; index < 2; index++) await greedy.ask("ListTopics", { topics: [] });
  expect(await greedy.ask("ListTopics", { topics: [] })).toMatchObject({
    name: "rate-limited",
    retryAfterMs: 1,
  });
  expect(await modest.ask("ListTopics", { topics: [] })).toMatchObject({ kind: "reply" });
  rig.clock.advance(500);
  expect(await greedy.ask("ListTopics", { topics: [] })).toMatchObject({ kind: "reply" });
});

/** A broker with one record in topic `t`. */
async function waitingRig() {
  const rig = await TestBroker.open();
  const writer = rig.connect();
  await writer.produce("t", ["first"]);
  writer.connection.vanish();
  const { broker, clock, hub, bugs, disk } = rig;
  return { broker, clock, hub, bugs, disk, connect: () => rig.connect() };
}

/** Lets everything happen that is not waiting for time or for bytes. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}
