/** The bounds that a client can run into at the broker, each reached: what it allows passes, one more does not. */
import { describe, expect, test } from "vitest";
import { Budget } from "../memory/budget.ts";
import { ConnectionHub } from "../protocol/connection.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { ConsumerOffsets } from "../storage/consumer-offsets.ts";
import { Log } from "../storage/log.ts";
import { settled, VirtualClock } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import { TestBroker, type TestClient } from "../testing/test-broker.ts";
import type { BrokerConnection } from "./connection.ts";
import { newConnectionState } from "./connection-state.ts";
import { ConsumerGroups } from "./consumer-groups.ts";
import { fetchWaitMsMax } from "./fetch.ts";
import { OffsetStore } from "./offset-store.ts";
import { ReadMemory } from "./read-memory.ts";
import { TopicRegistry } from "./registry.ts";
import { topicNameLengthMax, topicPartitionsMax } from "./topic.ts";

const kiB = 1024;
const plain = { retentionMs: 0, retentionBytes: 0, isCompacted: false };
const fetchAll = { topic: "t", partition: 0, offset: 0, bytesMax: 2 ** 31, waitMs: 0 };
const rangeAll = { topic: "t", partition: 0, startMs: 0, startSequence: 0, endMs: 2 ** 47, endSequence: 0 };

/** A broker whose topic `t` holds so many batches of 100 KiB each. */
async function filledRig(batches: number, frameSizeMax = 2 ** 20): Promise<TestBroker> {
  const limits = { frameSizeMax, recordSizeMax: 2 ** 20, inFlightMax: 4096, idleTimeoutMs: 60_000 };
  const rig = await TestBroker.open({ limits });
  const writer = rig.connect();
  for (let index = 0; index < batches; index++) await writer.produce("t", ["x".repeat(100 * kiB)]);
  return rig;
}

/** How many bytes of batches a request brings. */
async function bytesOf(asked: ReturnType<TestClient["ask"]>): Promise<number> {
  const reply = await asked;
  if (reply.kind === "error") throw new Error(`${reply.name}: ${reply.message}`);
  return (reply.value as { readonly batches: Uint8Array }).batches.length;
}

describe("names and counts", () => {
  test("a topic has a name of bounded length, however it comes into being", async () => {
    const client = (await TestBroker.open()).connect();
    const longest = "x".repeat(topicNameLengthMax);
    expect(await client.ask("CreateTopic", { topic: longest, partitions: 1, ...plain })).toMatchObject({
      kind: "reply",
    });
    expect(await client.produce(longest, ["kept"])).toMatchObject({ kind: "reply" });
    expect(await client.produce(`${longest}x`, ["lost"])).toMatchObject({
      name: "invalid-request",
      message: "Produce payload: topic of 250 bytes does not fit",
    });
  });

  test("a topic has a bounded number of partitions, and at least one", async () => {
    const client = (await TestBroker.open()).connect();
    for (const partitions of [0, topicPartitionsMax + 1]) {
      expect(await client.ask("CreateTopic", { topic: "t", partitions, ...plain })).toMatchObject({
        name: "invalid-request",
        message: `${partitions} partitions are not from 1 to 10000`,
      });
    }
  });

  test("a server has a bounded number of topics", async () => {
    const [disk, clock] = [new SimulatedDisk(), new VirtualClock()];
    const openLog = (directory: string): Promise<Log> => Log.open({ disk, directory, clock });
    const topics = new TopicRegistry(disk, openLog, { topicsMax: 2 });
    const config = { partitions: 1, ...plain };
    for (const name of ["a", "b"]) expect(await topics.create(name, config)).toMatchObject({ name });
    expect(await topics.create("c", config)).toMatchObject({
      name: "invalid-request",
      message: "the server has 2 topics, as many as it takes",
    });
    await topics.delete("a");
    expect(await topics.create("c", config)).toMatchObject({ name: "c" });
    await topics.close();
  });

  test("a topic's settings that are too large to be its settings are not read", async () => {
    const rig = await TestBroker.open();
    await rig.disk.makeDirectory("topics/t");
    const file = await rig.disk.open("topics/t/topic.json", "create");
    await file.write(new Uint8Array(64 * kiB + 1), 0);
    await file.close();
    await expect(TestBroker.open({}, rig.disk)).rejects.toThrow("65537 bytes exceed 65536");
  });

  test("a group has a name of bounded length", async () => {
    const client = (await TestBroker.open()).connect();
    const join = (group: string) => client.ask("JoinGroup", { group, memberId: "", topics: [], owned: [] });
    expect(await join("g".repeat(249))).toMatchObject({ kind: "reply" });
    for (const group of ["", "g".repeat(250)]) {
      expect(await join(group)).toMatchObject({ message: "a group name has 1 to 249 characters" });
    }
  });

  test("there is a bounded number of groups, and one that is empty takes no place", () => {
    const groups = new ConsumerGroups(() => 1);
    const join = (group: string, memberId = "m") => groups.join({ group, memberId, topics: [], owned: [] });
    for (let number = 0; number < 10_000; number++) expect(join(`g${number}`)).not.toHaveProperty("kind");
    expect(join("g0", "other")).not.toHaveProperty("kind");
    expect(join("one-more")).toMatchObject({ message: "there are 10000 groups, as many as can be" });
    groups.leave({ group: "g1", memberIds: ["m"] });
    expect(join("one-more")).not.toHaveProperty("kind");
  });

  test("a group has a bounded number of members, who can still be heard", async () => {
    const client = (await TestBroker.open()).connect();
    const join = (memberId: string) =>
      client.ask("JoinGroup", { group: "g", memberId, topics: ["t"], owned: [] });
    for (let number = 0; number < 250; number++) await join(`m${number}`);
    const message = "group g has 250 members, as many as it takes";
    expect(await join("one-more")).toMatchObject({ name: "invalid-request", message });
    expect(await join("m249")).toMatchObject({ kind: "reply" });
    expect(await client.ask("ListGroups", {})).toMatchObject({
      value: { groups: [{ members: { length: 250 } }] },
    });
  });

  test("a member has a name of bounded length, and wants a bounded number of topics", async () => {
    const client = (await TestBroker.open()).connect();
    const join = (memberId: string, topics: readonly string[]) =>
      client.ask("JoinGroup", { group: "g", memberId, topics, owned: [] });
    const names = Array.from({ length: 1001 }, (_, number) => `t${number}`);
    expect(await join("m".repeat(249), names.slice(1))).toMatchObject({ kind: "reply" });
    expect(await join("m".repeat(250), [])).toMatchObject({
      message: "a member id has at most 249 characters",
    });
    expect(await join("m", names)).toMatchObject({
      message: "1001 topics are more than the 1000 of a member",
    });
    expect(await join("m", ["a topic"])).toMatchObject({ name: "invalid-topic-name" });
  });

  test("a request commits a bounded number of positions", async () => {
    const client = (await TestBroker.open()).connect();
    const commit = (count: number) => {
      const offsets = Array.from({ length: count }, () => ({ topic: "none", partition: 0, offset: 0 }));
      return client.ask("CommitOffset", { group: "g", memberId: "", generation: 0, offsets });
    };
    expect(await commit(10_000)).toMatchObject({ kind: "reply", status: 2 });
    expect(await commit(10_001)).toMatchObject({
      name: "invalid-request",
      message: "10001 positions are more than the 10000 of a request",
    });
    const named = { memberId: "", generation: 0, offsets: [] };
    for (const group of ["", "g".repeat(250)]) {
      expect(await client.ask("CommitOffset", { group, ...named })).toMatchObject({
        message: "a group name has 1 to 249 characters",
      });
    }
    expect(await client.ask("CommitOffset", { group: "g".repeat(249), ...named })).toMatchObject({
      status: 0,
    });
  });

  test("a server keeps a bounded number of positions, and can still move those that it has", async () => {
    const [disk, clock] = [new SimulatedDisk(), new VirtualClock()];
    const open = async () =>
      new OffsetStore(await ConsumerOffsets.open({ disk, path: "offsets/p", clock }), 50);
    const store = await open();
    const commit = (group: string, count: number, offset = 1, topic = "t", to = store) => {
      const positions = Array.from({ length: count }, (_, partition) => ({ topic, partition, offset }));
      return to.commit(group, positions);
    };
    const message = "there are 50 positions of groups, as many as can be";
    expect(await commit("a", 40)).toEqual([]);
    // What is committed again is no other position, also while the first commit is on its way.
    await Promise.all([commit("b", 9, 1, "u"), commit("b", 9, 2, "u"), commit("b", 9, 3, "u")]);
    expect(await commit("c", 2)).toMatchObject({ name: "invalid-request", message });
    expect(store.fetch("c", "t", 0)).toBeUndefined();
    expect(await commit("c", 1)).toEqual([]);
    expect(await commit("c", 1, 7)).toEqual([]);
    expect(store.fetch("c", "t", 0)).toBe(7);
    expect(await commit("d", 1)).toMatchObject({ message });
    await store.topicDeleted("u");
    expect(await commit("d", 9)).toEqual([]);
    await store.close();
    const again = await open();
    expect(await commit("e", 1, 1, "t", again)).toMatchObject({ message });
    await again.close();
  });

  test("a connection has a bounded number of subscriptions", async () => {
    const rig = await filledRig(1);
    const client = rig.connect();
    const ask = { topic: "t", partition: 0, offset: 1, creditBytes: 1 };
    for (let number = 0; number < 1000; number++) client.send("Subscribe", ask);
    expect(await client.ask("Subscribe", ask)).toMatchObject({
      name: "too-many-requests",
      message: "1000 subscriptions are open on this connection",
    });
    await client.ask("Unsubscribe", { subscriptionId: 1n });
    expect(await client.ask("Subscribe", ask)).toMatchObject({ kind: "reply" });
  });

  test("a client's name is cut where it is too long", async () => {
    const client = (await TestBroker.open()).connect();
    await client.ask("Hello", { versionMin: 1, versionMax: 1, clientName: "n".repeat(1000), tagged: [] });
    const joined = await client.ask("JoinGroup", { group: "g", memberId: "", topics: [], owned: [] });
    expect(joined).toMatchObject({ value: { memberId: expect.stringMatching(/^n{128}-/) } });
  });
});

describe("time", () => {
  test("a fetch waits no longer than the server allows, whatever it asks for", async () => {
    const rig = await TestBroker.open();
    await rig.connect().produce("t", ["first"]);
    const reader = rig.connect();
    const id = reader.send("Fetch", { ...fetchAll, offset: 1, waitMs: 2 ** 31 });
    const stayAlive = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 50_000) {
        await rig.clock.advanceAsync(Math.min(50_000, ms - passed));
        await reader.ask("Ping", { token: 1n });
      }
    };
    await stayAlive(fetchWaitMsMax - 1);
    expect(reader.received(id)).toBeUndefined();
    await rig.clock.advanceAsync(1);
    expect(reader.read("Fetch", await reader.response(id))).toMatchObject({ value: { endOffset: 1 } });
  });
});

describe("bytes", () => {
  test("an answer fits the frame, however much was asked for, and brings no more than was asked for", async () => {
    const client = (await filledRig(12)).connect();
    for (const asked of [
      (bytesMax: number) => client.ask("Fetch", { ...fetchAll, bytesMax }),
      (bytesMax: number) => client.ask("ReadRange", { ...rangeAll, bytesMax }),
    ]) {
      const most = await bytesOf(asked(2 ** 31));
      expect(most).toBeGreaterThan(900 * kiB);
      expect(most).toBeLessThanOrEqual(2 ** 20 - 512);
      expect(await bytesOf(asked(250 * kiB))).toBeLessThan(250 * kiB);
      // A batch comes whole, or a reader whose limit is too low would never get on.
      expect(await bytesOf(asked(1))).toBeGreaterThan(100 * kiB);
    }
  });

  test("a delivery is small enough to leave other replies a turn", async () => {
    const rig = await filledRig(12);
    expect(await deliveriesOf(rig, 2 ** 31)).toEqual([2, 2, 2, 2, 2, 2]);
    // It is also no larger than the credit, as long as that is enough for a batch.
    expect((await deliveriesOf(rig, 150 * kiB)).slice(0, 2)).toEqual([1, 1]);
    expect(await deliveriesOf(await filledRig(2, 110 * kiB), 2 ** 31)).toEqual([1, 1]);
  });

  test("while there is no memory for a delivery, one timer waits, however many records come", async () => {
    const account = new Budget(100_000).root.open({ name: "fetch" });
    const rig = await TestBroker.open({ fetchAccount: account });
    const [writer, reader] = [rig.connect(), rig.connect()];
    await writer.produce("t", ["first"]);
    const held = account.reserve(account.roomBytes);
    reader.send("Subscribe", { topic: "t", partition: 0, offset: 0, creditBytes: 1000 });
    await writer.produce("t", ["second"]);
    const timers = rig.clock.activeTimers;
    for (let number = 0; number < 10; number++) await writer.produce("t", ["another"]);
    expect(rig.clock.activeTimers).toBe(timers);
    if (held.kind === "lease") held.release();
    await rig.clock.advanceAsync(100);
    expect(reader.received(1n)).toBeDefined();
    expect(reader.received(1n)).toBeDefined();
    expect(account.reservedBytes).toBe(0);
  });

  test("answers take a part of what is free, at most 1 MiB each, and never less than is worth a read", () => {
    const large = new Budget(2 ** 30).root.open({ name: "fetch" });
    const unhurried = new ReadMemory(large);
    // What is set aside for reading is bounded too.
    expect(large.reservedBytes).toBe(8 * 2 ** 20);
    expect(unhurried.reserve(2 ** 24)).toMatchObject({ kind: "lease", bytesMax: 2 ** 20 });
    expect(unhurried.reserve(500)).toMatchObject({ kind: "lease", bytesMax: 500 });
    const small = new Budget(1000 * kiB).root.open({ name: "fetch" });
    const short = new ReadMemory(small);
    expect(small.reservedBytes).toBe(0);
    expect(short.reserve(2 ** 24)).toMatchObject({ kind: "lease", bytesMax: 250 * kiB });
    const smallest = new ReadMemory(new Budget(100 * kiB).root.open({ name: "fetch" }));
    expect(smallest.reserve(2 ** 24)).toMatchObject({ kind: "lease", bytesMax: 64 * kiB });
    expect(smallest.reserve(1)).toMatchObject({ kind: "error", name: "overloaded" });
  });

  test("read buffers are used again, and an answer is paid for until it has left", async () => {
    const account = new Budget(48 * 2 ** 20).root.open({ name: "fetch" });
    const memory = new ReadMemory(account);
    const pooled = account.reservedBytes;
    const connection = openConnection();
    const take = () => {
      const lease = memory.reserve(64 * kiB);
      if (lease.kind === "error") throw new Error(lease.message);
      expect(lease.target()).toHaveLength(64 * kiB);
      return lease;
    };
    for (let round = 0; round < 100; round++) take().cancel();
    for (let round = 0; round < 100; round++) {
      const lease = take();
      // A batch that was larger than what was asked for.
      lease.sent(connection, 100 * kiB);
      expect(account.reservedBytes).toBe(pooled + 100 * kiB);
      await settled();
      expect(account.reservedBytes).toBe(pooled);
    }
    const last = take();
    last.sent(connection, 2 ** 30);
    expect(account.roomBytes).toBe(0);
    await settled();
    expect(account.reservedBytes).toBe(pooled);
  });

  test("the pool of read buffers takes a sixteenth of its account at most", () => {
    const account = new Budget(48 * 2 ** 20).root.open({ name: "fetch" });
    expect(new ReadMemory(account).reserve(1)).toMatchObject({ kind: "lease" });
    expect(account.reservedBytes).toBe(3 * 2 ** 20 + 64 * kiB);
  });
});

/** How many batches of 100 KiB each delivery of a subscription brings. */
async function deliveriesOf(rig: TestBroker, creditBytes: number): Promise<number[]> {
  const reader = rig.connect();
  const id = reader.send("Subscribe", { topic: "t", partition: 0, offset: 0, creditBytes });
  for (let turn = 0; turn < 500; turn++) await Promise.resolve();
  const counts: number[] = [];
  for (let frame = reader.received(id); frame !== undefined; frame = reader.received(id)) {
    const bytes = await bytesOf(Promise.resolve(reader.read("Subscribe", frame)));
    if (bytes > 0) counts.push(Math.floor(bytes / (100 * kiB)));
  }
  return counts;
}

/** A connection by itself. */
function openConnection(): BrokerConnection {
  const handler = { opened: newConnectionState, request() {}, crashed() {}, closed() {} };
  const connection = new ConnectionHub({ clock: new VirtualClock(), handler }).accept(
    new ScriptedConnection(),
  );
  if (connection === undefined) throw new Error("refused");
  return connection;
}
