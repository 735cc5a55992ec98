import { describe, expect, test } from "vitest";
import { SimulatedDisk } from "../simulator/disk.ts";
import { Log } from "../storage/log.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import { RecordCursor } from "../storage/record-cursor.ts";
import { VirtualClock } from "../testing/clock.ts";
import type { TestClient } from "../testing/test-broker.ts";
import { TestBroker } from "../testing/test-broker.ts";
import { housekeepingMs } from "./housekeeping.ts";
import type { CompactionLimits } from "./housekeeping.ts";

const hourMs = 3_600_000;
const limits: CompactionLimits = { intervalMs: hourMs, growthPercent: 50, tombstoneKeepMs: 10 * hourMs };
const plain = { partitions: 1, retentionMs: 0, retentionBytes: 0 };

/** A broker with small segments, and the topics "latest" (compacted) and "all" (not). */
async function compactingRig(compaction = limits, retention = { retentionMs: 0, retentionBytes: 0 }) {
  const disk = new SimulatedDisk();
  const clock = new VirtualClock();
  const openLog = (directory: string): Promise<Log> =>
    Log.open({ disk, directory, clock, fsync: "always", segmentBytesMax: 400 });
  const rig = await TestBroker.open({ clock, openLog, compaction, retention }, disk);
  rig.broker.startHousekeeping();
  const client = rig.connect();
  await client.ask("CreateTopic", { topic: "latest", ...plain, isCompacted: true });
  await client.ask("CreateTopic", { topic: "all", ...plain, isCompacted: false });
  return { broker: rig.broker, bugs: rig.bugs, client, clock };
}

/** Lets time pass, and the rounds of housekeeping with it: virtual disks need turns of the loop, no time. */
async function pass(clock: VirtualClock, durationMs: number): Promise<void> {
  for (let ms = 0; ms < durationMs; ms += 180 * housekeepingMs) {
    clock.advance(180 * housekeepingMs);
    for (let turn = 0; turn < 2000; turn++) await Promise.resolve();
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function put(client: TestClient, topic: string, key: string, value: string | null): Promise<void> {
  const record = { key: encoder.encode(key), value: value === null ? null : encoder.encode(value) };
  expect(
    await client.ask("Produce", { topic, partition: 0, batch: encodeRecordBatch([record]) }),
  ).toMatchObject({
    kind: "reply",
  });
}

/** `offset key=value` of everything that can be read, from the start as a new consumer does. */
async function readAll(client: TestClient, topic: string): Promise<string[]> {
  const found: string[] = [];
  for (let offset = 0; ;) {
    const ask = { topic, partition: 0, offset, bytesMax: 2 ** 19, waitMs: 0 };
    const reply = await client.ask("Fetch", ask);
    if (reply.kind === "error") throw new Error(reply.message);
    const cursor = new RecordCursor(reply.value.batches, { fromOffset: offset });
    while (cursor.next()) {
      const { key, value } = cursor.record();
      const shown = value === null ? "gone" : decoder.decode(value);
      found.push(`${cursor.offset} ${decoder.decode(key)}=${shown}`);
    }
    if (cursor.batch === undefined) return found;
    offset = cursor.batch.nextOffset;
  }
}

/** Twenty changes of a, b and c, the removal of b, and enough behind them to close their segments. */
async function change(client: TestClient, topic: string): Promise<void> {
  for (let number = 0; number < 20; number++) await put(client, topic, "abc"[number % 3]!, `v${number}`);
  await put(client, topic, "b", null);
  for (let number = 0; number < 6; number++) await put(client, topic, `filler ${number}`, "x".repeat(100));
}

const fillers = [21, 22, 23, 24, 25, 26].map(
  (offset) => `${offset} filler ${offset - 21}=${"x".repeat(100)}`,
);

describe("housekeeping", () => {
  test("leaves a compacted topic the newest record of each key, at its offset", async () => {
    const { client, clock, bugs } = await compactingRig();
    await change(client, "latest");
    await change(client, "all");
    await pass(clock, 2 * hourMs);
    expect(await readAll(client, "latest")).toEqual(["17 c=v17", "18 a=v18", "20 b=gone", ...fillers]);
    expect(await readAll(client, "all")).toHaveLength(27);
    const described = await client.ask("ListTopics", { topics: ["latest"] });
    expect(described).toMatchObject({
      value: { topics: [{ isCompacted: true, partitions: [{ startOffset: 0, endOffset: 27 }] }] },
    });
    expect(bugs).toEqual([]);
  });

  test("removes the removal of a key when it has been there long enough, though nothing is written", async () => {
    const { client, clock } = await compactingRig();
    await change(client, "latest");
    await pass(clock, 9 * hourMs);
    expect(await readAll(client, "latest")).toContain("20 b=gone");
    await pass(clock, 13 * hourMs);
    expect(await readAll(client, "latest")).toEqual(["17 c=v17", "18 a=v18", ...fillers]);
  });

  test("waits for the interval, and for enough to be new", async () => {
    const { client, clock } = await compactingRig({ ...limits, tombstoneKeepMs: 1000 * hourMs });
    await pass(clock, hourMs / 2);
    await change(client, "latest");
    await pass(clock, hourMs / 2);
    expect(await readAll(client, "latest")).toHaveLength(27);
    await pass(clock, 2 * hourMs);
    const compacted = await readAll(client, "latest");
    expect(compacted).toHaveLength(9);
    await put(client, "latest", "a", "new");
    await pass(clock, 20 * hourMs);
    expect(await readAll(client, "latest")).toEqual([...compacted, "27 a=new"]);
    for (let number = 0; number < 10; number++) await put(client, "latest", "filler 0", "y".repeat(100));
    await pass(clock, 2 * hourMs);
    const after = await readAll(client, "latest");
    expect(after).not.toContain("18 a=v18");
    expect(after).toContain("27 a=new");
  });

  test("goes on in the next interval where the bound on keys stopped it", async () => {
    const { client, clock } = await compactingRig({ ...limits, keysMax: 2 });
    await change(client, "latest");
    await pass(clock, 30 * hourMs);
    expect(await readAll(client, "latest")).toEqual(["17 c=v17", "18 a=v18", ...fillers]);
  });

  test("gives up segments that are too old or too many, by the topic's own limits or else the server's", async () => {
    const retention = { retentionMs: 0, retentionBytes: 1000 };
    const { client, clock } = await compactingRig(limits, retention);
    await client.ask("CreateTopic", { topic: "brief", ...plain, retentionMs: hourMs, isCompacted: false });
    await client.ask("CreateTopic", { topic: "large", ...plain, retentionBytes: 2000, isCompacted: false });
    for (const topic of ["all", "brief", "large"]) {
      for (let number = 0; number < 30; number++) await put(client, topic, "k", "x".repeat(100));
    }
    await pass(clock, hourMs / 2);
    const sizes = async (): Promise<number[]> => {
      const listed = await client.ask("ListTopics", { topics: ["all", "brief", "large"] });
      if (listed.kind === "error") throw new Error(listed.message);
      return listed.value.topics.map(({ partitions }) => partitions[0]!.sizeBytes);
    };
    const [all, brief, large] = await sizes();
    // What is kept fills the limit, and without its oldest segment would not.
    expect(all).toBeGreaterThanOrEqual(1000);
    expect(all).toBeLessThan(1000 + 400);
    expect(brief).toBe(all);
    expect(large).toBeGreaterThanOrEqual(2000);
    expect(large).toBeLessThan(2000 + 400);
    await pass(clock, hourMs);
    // The active segment never goes.
    expect((await sizes())[1]).toBeLessThanOrEqual(400);
    expect((await sizes())[0]).toBe(all);
  });

  test("compacts nothing with an interval of 0, and ends with the broker", async () => {
    const { broker, client, clock } = await compactingRig({ ...limits, intervalMs: 0 });
    const timers = clock.activeTimers;
    await change(client, "latest");
    await pass(clock, 30 * hourMs);
    expect(await readAll(client, "latest")).toHaveLength(27);
    await broker.close();
    expect(clock.activeTimers).toBeLessThan(timers);
  });
});
