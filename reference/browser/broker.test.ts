import { expect, test } from "vitest";
import { housekeepingMs } from "../broker/housekeeping.ts";
import { VirtualClock } from "../testing/clock.ts";
import { startPageBroker } from "./broker.ts";
import { Client, InPageNetwork } from "./client.ts";
import { MemoryDisk } from "./memory-disk.ts";

/** The work behind it is done in a moment, and a moment may be long on a busy machine. */
const patience = { timeout: 120_000, interval: 5 };

/** A broker in a page under virtual time, with segments of a few records. */
async function pageRig() {
  const [network, disk, clock] = [new InPageNetwork(), new MemoryDisk(), new VirtualClock()];
  const bugs: unknown[] = [];
  const broker = await startPageBroker(network, "broker", {
    disk,
    clock,
    segmentBytesMax: 2000,
    onBug: (error) => bugs.push(error),
  });
  const client = await Client.connect(network, "broker");
  const stop = async (): Promise<void> => {
    await client.close();
    await broker.stop();
    expect(bugs).toEqual([]);
    expect(clock.activeTimers).toBe(0);
  };
  return { client, clock, disk, stop };
}

test("a topic with a size keeps to it as it grows", async () => {
  const { client, stop } = await pageRig();
  await client.createTopic("t", { retentionBytes: 5000 });
  for (let number = 0; number < 100; number++) await client.produce("t", ["x".repeat(300)]);
  await expect
    .poll(async () => (await client.listTopics({}))[0]?.partitions[0]?.sizeBytes, patience)
    .toBeLessThan(5000 + 2 * 2400);
  expect((await client.getOffset("t")).startOffset).toBeGreaterThan(70);
  await stop();
});

test("a quiet topic gives up what is too old, in the next round of housekeeping", async () => {
  const { client, clock, stop } = await pageRig();
  await client.createTopic("t", { retentionMs: 60_000 });
  await client.createTopic("kept");
  for (const topic of ["t", "kept"])
    for (let number = 0; number < 20; number++) await client.produce(topic, ["x".repeat(300)]);
  await clock.advanceAsync(70_000 + housekeepingMs);
  await expect.poll(async () => (await client.getOffset("t")).startOffset, patience).toBe(20);
  expect((await client.getOffset("kept")).startOffset).toBe(0);
  await stop();
});
