import { describe, expect, test } from "vitest";
import { Budget } from "../memory/budget.ts";
import { BrokerMetrics } from "../observability/broker-metrics.ts";
import { MetricsRegistry } from "../observability/metrics.ts";
import { WideEvents } from "../observability/wide-events.ts";
import { readBatchHeader } from "../storage/record-batch.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { VirtualClock } from "../testing/clock.ts";
import { TestBroker, type TestClient } from "../testing/test-broker.ts";
import { HotTails } from "./hot-tails.ts";
import { BrokerObserver } from "./observer.ts";
import { loadProducers } from "./producer-loading.ts";

const all = { topic: "t", partition: 0, offset: 0, bytesMax: 2 ** 19, waitMs: 0 };

/** The headers of the batches in the log. */
async function headersOf(client: TestClient) {
  const reply = await client.ask("Fetch", all);
  if (reply.kind === "error") throw new Error(reply.message);
  const { batches } = reply.value;
  const headers = [];
  for (let at = 0; at < batches.length; at = headers.at(-1)!.endPosition)
    headers.push(readBatchHeader(batches, at));
  return headers;
}

describe("the answer to Produce", () => {
  test("says where each batch is and under which id, as the log has it", async () => {
    const client = (await TestBroker.open()).connect();
    const replies = await Promise.all(["a", "b", "c"].map((text) => client.produce("t", [text, text])));
    const stored = await headersOf(client);
    expect(replies.map((reply) => reply.kind === "reply" && reply.value)).toEqual(
      stored.map(({ baseOffset, idMilliseconds, idSequence }) => ({
        baseOffset,
        idMs: idMilliseconds,
        idSequence,
      })),
    );
    expect(new Set(stored.map(({ idSequence }) => idSequence)).size).toBe(3);
  });

  test("of an idempotent producer does not promise a batch that the disk took back", async () => {
    const rig = await TestBroker.open();
    const client = rig.connect();
    const producer = { producerId: 7, producerEpoch: 0 };
    await client.produce("t", ["a"], { ...producer, baseSequence: 0 });
    rig.disk.replan({ capacityBytes: 1 });
    expect(await client.produce("t", ["b"], { ...producer, baseSequence: 1 })).toMatchObject({
      name: "storage-full",
    });
    rig.disk.replan({});
    expect(await client.produce("t", ["b"], { ...producer, baseSequence: 1 })).toMatchObject({
      value: { baseOffset: 1 },
    });
    expect(await client.fetch("t", 0)).toEqual(["a", "b"]);
  });
});

test("producers are read back from the log once for all who wait, and batches without a producer do not count", async () => {
  const rig = await TestBroker.open();
  const producer = { producerId: 7, producerEpoch: 2 };
  const writer = rig.connect();
  await writer.produce("t", ["a", "b"], { ...producer, baseSequence: 0 });
  await writer.produce("t", ["nobody's"]);
  const after = await TestBroker.open({}, rig.disk.restart({ kind: "nothing" }));
  const partition = after.broker.topics.partition("t", 0);
  if ("kind" in partition) throw new Error(partition.message);
  const load = loadProducers(partition);
  expect(loadProducers(partition)).toBe(load);
  expect(await load).toBeUndefined();
  expect(partition.producers.save()).toMatchObject([
    { id: 7, epoch: 2, nextSequence: 2, batches: [{ sequence: 0, count: 2, baseOffset: 0 }] },
  ]);
});

test("a range of ids includes its last one, and lets go of what it was read from", async () => {
  const account = new Budget(200_000).root.open({ name: "tails" });
  const rig = await TestBroker.open({ tails: new HotTails(account) });
  const client = rig.connect();
  await client.produce("t", ["0"]);
  const held = account.reservedBytes;
  await client.fetch("t", 0);
  for (const text of ["1", "2", "3"]) await client.produce("t", [text]);
  const [, one, two] = await headersOf(client);
  const reply = await client.ask("ReadRange", {
    topic: "t",
    partition: 0,
    startMs: one!.idMilliseconds,
    startSequence: one!.idSequence,
    endMs: two!.idMilliseconds,
    endSequence: two!.idSequence,
    bytesMax: 2 ** 19,
  });
  expect(reply).toMatchObject({ value: { startOffset: 1, endOffset: 3 } });
  await client.ask("DeleteTopic", { topic: "t" });
  expect(account.reservedBytes).toBe(held);
});

test("a topic that is deleted leaves no series behind", async () => {
  const clock = new VirtualClock();
  const registry = new MetricsRegistry();
  const random = new SeededRandom(1);
  const events = new WideEvents({
    clock,
    random,
    sink: { write() {} },
    sampleRate: 1,
    slowMs: 1000,
    queueMax: 10,
  });
  const metrics = new BrokerMetrics(registry, "test");
  const rig = await TestBroker.open({ observer: new BrokerObserver({ metrics, events, clock }) });
  const client = rig.connect();
  await client.produce("t", ["0"]);
  await client.fetch("t", 0);
  expect(registry.expose()).toContain('"t"');
  await client.ask("DeleteTopic", { topic: "t" });
  expect(registry.expose()).not.toContain('"t"');
});
