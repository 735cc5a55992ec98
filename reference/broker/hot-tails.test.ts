import { expect, test } from "vitest";
import { Budget, type Account } from "../memory/budget.ts";
import { TestBroker, textsIn, type TestClient } from "../testing/test-broker.ts";
import { DiskError } from "../ports.ts";
import { HotTails } from "./hot-tails.ts";

/** A broker with tails in an account of so many bytes. */
async function openWith(totalBytes: number): Promise<{ rig: TestBroker; tails: HotTails; account: Account }> {
  const account = new Budget(totalBytes).root.open({ name: "tails" });
  const tails = new HotTails(account);
  return { rig: await TestBroker.open({ tails }), tails, account };
}

/** One record of so many bytes. */
function large(number: number, size = 1000): string {
  return `${number} ${"x".repeat(size)}`;
}

async function produceEach(client: TestClient, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++)
    expect((await client.produce("t", [large(number)])).kind).toBe("reply");
}

/** Fetches one batch and looks whose records they are. */
async function fetchNumbers(client: TestClient, offset: number, bytesMax = 100_000): Promise<number[]> {
  const reply = await client.ask("Fetch", { topic: "t", partition: 0, offset, bytesMax, waitMs: 0 });
  if (reply.kind === "error") throw new Error(`${reply.name}: ${reply.message}`);
  return textsIn(reply.value.batches, offset).map((text) => Number(text.split(" ")[0]));
}

test("a log that nobody follows is not copied; one that is read to its end is followed from there on", async () => {
  const { rig, tails } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 5);
  expect(tails.usage()).toMatchObject({ streamCount: 0, chunkCount: 0 });
  expect(await fetchNumbers(client, 0)).toEqual([0, 1, 2, 3, 4]);
  expect(tails.usage()).toMatchObject({ streamCount: 1, chunkCount: 0, hitCount: 0, missCount: 1 });
  await produceEach(client, 5, 8);
  expect(await fetchNumbers(client, 5)).toEqual([5, 6, 7]);
  expect(await fetchNumbers(client, 6)).toEqual([6, 7]);
  expect(tails.usage()).toMatchObject({ hitCount: 2, missCount: 1 });
  // What is older is on disk, and says so.
  expect(await fetchNumbers(client, 3)).toEqual([3, 4, 5, 6, 7]);
  expect(tails.usage()).toMatchObject({ hitCount: 2, missCount: 2 });
});

test("followers are answered without the disk: it may even fail to read", async () => {
  const { rig } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  await produceEach(client, 1, 4);
  rig.disk.replan({
    gate: ({ operation, path }) =>
      operation === "read" ? Promise.reject(new DiskError("input-output", operation, path)) : undefined,
  });
  await expect(fetchNumbers(client, 0)).rejects.toThrow("storage-error");
  expect(await fetchNumbers(client, 1)).toEqual([1, 2, 3]);
});

test("nothing is given out before it is committed", async () => {
  const { rig, tails } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  const sent = client.send("Fetch", { topic: "t", partition: 0, offset: 1, bytesMax: 1000, waitMs: 1000 });
  rig.disk.replan({ timingSeed: 7 });
  await produceEach(client, 1, 2);
  const reply = client.read("Fetch", await client.response(sent));
  expect(reply).toMatchObject({ kind: "reply", value: { endOffset: 2 } });
  expect(tails.usage().hitCount).toBe(1);
});

test("stays within its account while one reader stands still, and drops the oldest first", async () => {
  const { rig, tails, account } = await openWith(40_000);
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  for (let number = 1; number < 200; number++) {
    await produceEach(client, number, number + 1);
    if (number % 4 === 0) expect((await fetchNumbers(client, number)).at(0)).toBe(number);
    expect(account.reservedBytes).toBeLessThanOrEqual(40_000);
  }
  const { offloadedChunkCount, hitCount, residentBytes } = tails.usage();
  expect(offloadedChunkCount).toBeGreaterThan(5);
  expect(hitCount).toBeGreaterThan(45);
  expect(residentBytes).toBe(account.reservedBytes);
  expect(await fetchNumbers(client, 3, 2000)).toEqual([3]);
});

test("a tail that nobody reads ends when a budget's worth went by, and gives everything back", async () => {
  const { rig, tails, account } = await openWith(40_000);
  const kept = account.reservedBytes;
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  await produceEach(client, 1, 60);
  expect(tails.usage()).toMatchObject({ streamCount: 0, chunkCount: 0 });
  expect(account.reservedBytes).toBe(kept);
  expect(await fetchNumbers(client, 57)).toEqual([57, 58, 59]);
  await produceEach(client, 60, 61);
  expect(await fetchNumbers(client, 60)).toEqual([60]);
  expect(tails.usage().hitCount).toBe(1);
});

test("a batch that the tail has no room for is stored all the same", async () => {
  const { rig, tails } = await openWith(10_000);
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  expect((await client.produce("t", ["1 " + "y".repeat(50_000)])).kind).toBe("reply");
  expect(tails.usage().streamCount).toBe(0);
  expect(await fetchNumbers(client, 1)).toEqual([1]);
});

test("trim and delete give memory back, and what is gone is out of range", async () => {
  const { rig, tails, account } = await openWith(200_000);
  const kept = account.reservedBytes;
  const client = rig.connect();
  await produceEach(client, 0, 1);
  await fetchNumbers(client, 0);
  await produceEach(client, 1, 40);
  const before = account.reservedBytes;
  expect((await client.ask("Trim", { topic: "t", partition: 0, beforeOffset: 30 })).kind).toBe("reply");
  expect(account.reservedBytes).toBeLessThan(before);
  await expect(fetchNumbers(client, 29)).rejects.toThrow("offset-out-of-range");
  expect((await fetchNumbers(client, 35)).at(0)).toBe(35);
  expect((await client.ask("DeleteTopic", { topic: "t" })).kind).toBe("reply");
  expect(account.reservedBytes).toBe(kept);
  expect(tails.usage()).toMatchObject({ streamCount: 0, chunkCount: 0 });
  await produceEach(client, 0, 1);
  expect(await fetchNumbers(client, 0)).toEqual([0]);
});

test("records that a full disk took back are not served", async () => {
  const { rig, tails } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 2);
  await fetchNumbers(client, 0);
  await produceEach(client, 2, 3);
  rig.disk.replan({ capacityBytes: 0 });
  expect(await client.produce("t", [large(99)])).toMatchObject({ kind: "error", name: "storage-full" });
  rig.disk.replan({});
  await produceEach(client, 3, 5);
  // Where the tail was cut, a new chunk begins, and so does a new answer.
  expect(await fetchNumbers(client, 2)).toEqual([2]);
  expect(await fetchNumbers(client, 3)).toEqual([3, 4]);
  expect(tails.usage().hitCount).toBe(2);
  expect(rig.bugs).toEqual([]);
});

test("a subscription is served from memory as well", async () => {
  const { rig, tails } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 1);
  const request = { topic: "t", partition: 0, offset: 0, creditBytes: 1_000_000 };
  const reader = rig.connect();
  const id = reader.send("Subscribe", request);
  const deliveries: number[] = [];
  const take = async (): Promise<void> => {
    const reply = reader.read("Subscribe", await reader.response(id));
    if (reply.kind === "error") throw new Error(reply.message);
    deliveries.push(...textsIn(reply.value.batches, 0).map((text) => Number(text.split(" ")[0])));
  };
  await take();
  await take();
  await produceEach(client, 1, 4);
  while (deliveries.length < 4) await take();
  expect(deliveries).toEqual([0, 1, 2, 3]);
  expect(tails.usage().hitCount).toBeGreaterThan(0);
  expect(rig.bugs).toEqual([]);
});

test("a reader that has not come to the end begins no tail", async () => {
  const { rig, tails } = await openWith(200_000);
  const client = rig.connect();
  await produceEach(client, 0, 5);
  expect(await fetchNumbers(client, 0, 2500)).toEqual([0, 1]);
  expect(tails.usage()).toMatchObject({ streamCount: 0 });
  expect(await fetchNumbers(client, 2)).toEqual([2, 3, 4]);
  expect(tails.usage()).toMatchObject({ streamCount: 1 });
});
