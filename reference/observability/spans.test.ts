import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { VirtualClock } from "../testing/clock.ts";
import type { OtlpSpan, SendOutcome, SpanQueueOptions, TracedRequest } from "./spans.ts";
import { otlpBody, SpanQueue } from "./spans.ts";

const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const request: TracedRequest = {
  trace,
  requestType: "Produce",
  durationMs: 2.5,
  attributes: { "messaging.destination.name": "orders", "oz.offset": 2 ** 52 },
};

/** A queue whose collector answers as told, and what it was sent. */
function rigOf(answers: SendOutcome[] = [], options: Partial<SpanQueueOptions> = {}) {
  const clock = new VirtualClock();
  const batches: OtlpSpan[][] = [];
  const send = (spans: readonly OtlpSpan[]): Promise<SendOutcome> => {
    batches.push([...spans]);
    return Promise.resolve(answers.shift() ?? "sent");
  };
  const queue = new SpanQueue({ clock, random: new SeededRandom(1), send, ...options });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let step = 0; step < 20; step++) await Promise.resolve();
  };
  return { clock, batches, queue, pass };
}

test("a span is the request's part of the trace, in the words of OTLP", async () => {
  const { clock, batches, queue, pass } = rigOf();
  clock.advance(1000);
  const endMs = clock.wallTimeMs();
  queue.record(request);
  queue.record({ ...request, errorCode: "overloaded" });
  await pass(1000);
  const [[first, second]] = batches as [[OtlpSpan, OtlpSpan]];
  expect(first).toMatchObject({
    traceId: trace.traceId,
    parentSpanId: trace.spanId,
    name: "Produce",
    kind: 2,
    endTimeUnixNano: `${endMs}000000`,
    startTimeUnixNano: `${endMs * 1000 - 2500}000`,
    attributes: [
      { key: "messaging.destination.name", value: { stringValue: "orders" } },
      { key: "oz.offset", value: { intValue: "4503599627370496" } },
    ],
    status: { code: 0 },
  });
  expect(first.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(new Set([first.spanId, second.spanId, trace.spanId]).size).toBe(3);
  expect(second).toMatchObject({ status: { code: 2, message: "overloaded" } });
  expect(second.attributes.at(-1)).toEqual({ key: "error.type", value: { stringValue: "overloaded" } });
  const body = JSON.parse(otlpBody([first], { "service.name": "oz" }, "1.2.3")) as unknown;
  expect(body).toEqual({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "oz" } }] },
        scopeSpans: [{ scope: { name: "offset-zero", version: "1.2.3" }, spans: [first] }],
      },
    ],
  });
});

test("spans travel together: after a moment, and at most so many at once", async () => {
  const { batches, queue, pass } = rigOf([], { batchMax: 3 });
  for (let count = 0; count < 7; count++) queue.record(request);
  await pass(999);
  expect(batches).toEqual([]);
  await pass(1);
  expect(batches.map(({ length }) => length)).toEqual([3, 3, 1]);
  expect(queue.counts()).toEqual({ sent: 7, dropped: 0, rejected: 0 });
});

test("a collector that is away gets the same spans later and later; what does not fit is dropped and counted", async () => {
  const { batches, queue, pass } = rigOf(["retry", "retry", "retry"], { queueMax: 4 });
  for (let count = 0; count < 10; count++) queue.record(request);
  await pass(1000);
  await pass(1000);
  expect(batches).toHaveLength(2);
  await pass(1999);
  expect(batches).toHaveLength(2);
  await pass(1);
  expect(batches).toHaveLength(3);
  await pass(4000);
  expect(batches).toHaveLength(4);
  expect(batches[3]).toEqual(batches[0]);
  expect(queue.counts()).toEqual({ sent: 4, dropped: 6, rejected: 0 });
});

test("the pause before the next try has a limit", async () => {
  const { batches, queue, pass } = rigOf(Array(20).fill("retry"), { pauseMsMax: 3000 });
  queue.record(request);
  await pass(1000);
  for (const pauseMs of [1000, 2000, 3000, 3000, 3000]) {
    const sent = batches.length;
    await pass(pauseMs - 1);
    expect(batches).toHaveLength(sent);
    await pass(1);
    expect(batches).toHaveLength(sent + 1);
  }
});

test("what the collector does not want is not sent again", async () => {
  const { batches, queue, pass } = rigOf(["rejected"]);
  queue.record(request);
  await pass(5000);
  expect(batches).toHaveLength(1);
  expect(queue.counts()).toEqual({ sent: 0, dropped: 0, rejected: 1 });
});

test("closing sends what waits, once; it does not wait for a collector that has just failed", async () => {
  const ready = rigOf();
  ready.queue.record(request);
  await ready.queue.close();
  expect(ready.queue.counts().sent).toBe(1);
  ready.queue.record(request);
  expect(ready.queue.counts().dropped).toBe(1);
  const failing = rigOf(["retry", "sent"]);
  failing.queue.record(request);
  await failing.pass(1000);
  await failing.queue.close();
  expect(failing.batches).toHaveLength(1);
  expect(failing.queue.counts()).toEqual({ sent: 0, dropped: 1, rejected: 0 });
});
