import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { BrokerMetrics } from "../observability/broker-metrics.ts";
import { MetricsRegistry } from "../observability/metrics.ts";
import type { TracedRequest } from "../observability/spans.ts";
import type { WideEvent } from "../observability/wide-events.ts";
import { WideEvents } from "../observability/wide-events.ts";
import { encodeRequestPayload } from "../protocol/messages-codec.ts";
import { sampleTraceparent, sampleTracedFrame } from "../protocol/messages-hex.ts";
import type { MessageName, RequestOf } from "../protocol/messages.ts";
import { messages } from "../protocol/messages.ts";
import { parseTraceparent, tracedPayload } from "../protocol/trace-context.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import { VirtualClock } from "../testing/clock.ts";
import type { TestReply } from "../testing/test-broker.ts";
import { TestBroker } from "../testing/test-broker.ts";
import { BrokerObserver } from "./observer.ts";

const trace = parseTraceparent(sampleTraceparent)!;
const { traceId, spanId } = trace;
const batch = encodeRecordBatch([{ value: new TextEncoder().encode("hello") }]);

/** A broker that logs every request, and a client that sends payloads and flags as they are. */
async function tracedRig(sampleRate = 1) {
  const clock = new VirtualClock();
  const spans: TracedRequest[] = [];
  const lines: WideEvent[] = [];
  const sink = { write: (event: WideEvent) => void lines.push(event) };
  const random = new SeededRandom(1);
  const events = new WideEvents({ clock, random, sink, sampleRate, slowMs: 1000, queueMax: 100 });
  const metrics = new BrokerMetrics(new MetricsRegistry(), "test");
  const observer = new BrokerObserver({
    metrics,
    events,
    clock,
    spans: { record: (span) => void spans.push(span) },
  });
  const rig = await TestBroker.open({ observer });
  const client = rig.connect();
  let nextId = 1000n;
  const send = async <Name extends MessageName>(
    name: Name,
    payload: Uint8Array,
    flags: number,
  ): Promise<TestReply<Name>> => {
    const requestId = nextId++;
    client.connection.deliverRequest({ requestId, type: messages[name].type, payload, flags });
    return client.read(name, await client.response(requestId));
  };
  const askTraced = <Name extends MessageName>(name: Name, request: RequestOf<Name>) =>
    send(name, tracedPayload(trace, encodeRequestPayload(name, request)), 1);
  return { client, rig, lines, spans, send, askTraced };
}

describe("a traced request", () => {
  test("is carried out like any other, and its ids are in its event", async () => {
    const { client, lines, askTraced } = await tracedRig();
    expect(await askTraced("Produce", { topic: "t", partition: 0, batch })).toMatchObject({ kind: "reply" });
    expect(await askTraced("Produce", { topic: "t", partition: 0, batch })).toMatchObject({
      value: { baseOffset: 1 },
    });
    expect(await askTraced("ListTopics", { topics: ["t"] })).toMatchObject({ kind: "reply" });
    const traced = ["Produce", "Produce", "ListTopics"].map((requestType) => ({
      requestType,
      traceId,
      spanId,
    }));
    expect(lines).toMatchObject(traced);
    expect(await client.fetch("t", 0)).toEqual(["hello", "hello"]);
    expect(lines.at(-1)).toMatchObject({ requestType: "Fetch", source: "disk" });
    expect(lines.at(-1)).not.toHaveProperty("traceId");
  });

  test("that is refused has its ids in its event too, and the next request has none", async () => {
    const { client, lines, askTraced } = await tracedRig();
    const damaged = batch.slice();
    damaged[batch.length - 1]! ^= 1;
    await askTraced("Produce", { topic: "t", partition: 0, batch: damaged });
    await askTraced("DeleteTopic", { topic: "none" });
    await client.produce("t", ["plain"]);
    expect(lines).toMatchObject([
      { requestType: "Produce", outcome: "error", traceId, spanId },
      { requestType: "DeleteTopic", outcome: "error", traceId, spanId },
      { requestType: "Produce", outcome: "success" },
    ]);
    expect(lines[2]).not.toHaveProperty("traceId");
  });

  test("as SPEC.md shows it is understood", async () => {
    const { client, lines } = await tracedRig();
    client.connection.deliver(sampleTracedFrame());
    expect(await client.response(42n)).toMatchObject({ status: 0 });
    expect(lines).toMatchObject([{ requestType: "Ping", traceId, spanId }]);
  });

  test.each([0, 1, 24])(
    "whose payload has only %i bytes is refused, and the connection stays",
    async (size) => {
      const { client, rig, send, lines } = await tracedRig();
      for (const name of ["Produce", "Ping", "HealthCheck"] as const) {
        expect(await send(name, new Uint8Array(size).fill(0xff), 1)).toMatchObject({
          kind: "error",
          name: "invalid-request",
        });
      }
      expect(lines).toHaveLength(3);
      expect(await client.ask("HealthCheck", {})).toMatchObject({ kind: "reply" });
      expect(rig.bugs).toEqual([]);
    },
  );

  test("whose payload ends after the context is judged like an empty one", async () => {
    const { send } = await tracedRig();
    const context = tracedPayload(trace, new Uint8Array(0));
    expect(await send("HealthCheck", context, 1)).toMatchObject({ kind: "reply" });
    expect(await send("Produce", context, 1)).toMatchObject({ name: "invalid-request" });
  });

  test("with ids of zeros is no trace and no error; flags that are not known say nothing", async () => {
    const { send, lines } = await tracedRig();
    const payload = encodeRequestPayload("Ping", { token: 7n });
    const zeros = Uint8Array.from([...new Uint8Array(25), ...payload]);
    expect(await send("Ping", zeros, 1)).toMatchObject({ value: { token: 7n } });
    expect(await send("Ping", payload, 0xfffe)).toMatchObject({ value: { token: 7n } });
    for (const line of lines) expect(line).not.toHaveProperty("traceId");
  });
});

describe("spans", () => {
  test("tell of every request of a sampled trace, logged or not, and of no other", async () => {
    const { client, lines, spans, send, askTraced } = await tracedRig(1e-9);
    await askTraced("Produce", { topic: "t", partition: 0, batch });
    await askTraced("Fetch", { topic: "t", partition: 0, offset: 0, bytesMax: 1000, waitMs: 0 });
    await askTraced("JoinGroup", { group: "g", memberId: "", topics: ["t"], owned: [] });
    await askTraced("DeleteTopic", { topic: "none" });
    await client.produce("t", ["plain"]);
    const unsampled = tracedPayload(
      { ...trace, isSampled: false },
      encodeRequestPayload("Ping", { token: 1n }),
    );
    await send("Ping", unsampled, 1);
    expect(lines).toMatchObject([{ requestType: "DeleteTopic" }]);
    expect(spans).toMatchObject([
      {
        requestType: "Produce",
        attributes: { "messaging.destination.name": "t", "messaging.destination.partition.id": "0" },
      },
      { requestType: "Fetch", attributes: { "messaging.destination.name": "t" } },
      { requestType: "JoinGroup", attributes: { "messaging.consumer.group.name": "g" } },
      { requestType: "DeleteTopic", errorCode: "topic-not-found" },
    ]);
    for (const span of spans) expect(span.trace).toEqual(trace);
  });
});
