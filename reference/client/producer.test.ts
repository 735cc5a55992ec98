import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { ErrorName } from "../protocol/errors.ts";
import { protocolErrors } from "../protocol/errors.ts";
import { readBatchHeader } from "../storage/record-batch.ts";
import { RecordCursor } from "../storage/record-cursor.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { Producer } from "./producer.ts";
import type { ProducerOptions, ProducerTransport } from "./producer-types.ts";
import type { ProtocolError } from "./protocol-error.ts";
import { protocolError } from "./protocol-error.ts";

/** What becomes of one Produce request: stored and answered, refused, stored with the answer lost, or held back. */
type Fate = "answer" | "hold" | { readonly refuse: ErrorName } | { readonly lose: ErrorName };

/** A server of one log, with the rule of sequences that a real one has. */
class ModelServer implements ProducerTransport {
  /** The values that were appended, in order. */
  readonly log: string[] = [];
  /** The requests in order of arrival, as the values that each carried. */
  readonly requests: string[][] = [];
  readonly sizes: number[] = [];
  readonly arrivedAtMs: number[] = [];
  fateOf: (request: number) => Fate = () => "answer";
  readonly held: (() => void)[] = [];
  producers = 0;
  readonly #clock: VirtualClock;
  readonly #known = new Map<string, { sequence: number; offset: number; next: number }[]>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  initProducer(): Promise<number> {
    return Promise.resolve(++this.producers);
  }

  async send(_topic: string, partition: number, batch: Uint8Array): Promise<number> {
    const header = readBatchHeader(batch, 0);
    const values: string[] = [];
    for (const cursor = new RecordCursor(batch); cursor.next();) {
      values.push(new TextDecoder().decode(cursor.record().value ?? undefined));
    }
    const fate = this.fateOf(this.requests.push(values) - 1);
    this.sizes.push(batch.length);
    this.arrivedAtMs.push(this.#clock.monotonicTimeMs());
    if (fate === "hold") await new Promise<void>((resolve) => void this.held.push(resolve));
    if (typeof fate === "object" && "refuse" in fate) throw protocolError(fate.refuse);
    const offset = this.#append(`${header.producerId}/${partition}`, header.baseSequence, values);
    if (typeof fate === "object" && "lose" in fate) throw protocolError(fate.lose);
    return offset;
  }

  #append(producer: string, sequence: number, values: string[]): number {
    const batches = this.#known.get(producer) ?? [];
    const again = batches.find((batch) => batch.sequence === sequence);
    if (again !== undefined) return again.offset;
    const expected = batches.at(-1)?.next ?? 0;
    if (sequence !== expected) throw protocolError("sequence-gap", `${sequence}, expected ${expected}`);
    const offset = this.log.length;
    this.log.push(...values);
    this.#known.set(producer, [...batches, { sequence, offset, next: sequence + values.length }]);
    return offset;
  }
}

function setUp(options: ProducerOptions = {}, seed = 1) {
  const clock = new VirtualClock();
  const server = new ModelServer(clock);
  const producer = new Producer({ transport: server, clock, random: new SeededRandom(seed) }, options);
  const outcomes: (number | string)[] = [];
  const send = (value: string, partition = 0): void => {
    const index = outcomes.push("open") - 1;
    producer.send({ topic: "t", partition, value: new TextEncoder().encode(value) }).then(
      (offset) => void (outcomes[index] = offset),
      (error: ProtocolError) => void (outcomes[index] = error.name),
    );
  };
  return { clock, server, producer, outcomes, send };
}

test("records wait for each other, and travel as one batch when the first has waited long enough", async () => {
  const { clock, server, outcomes, send } = setUp({ lingerMs: 10 });
  send("a");
  await clock.advanceAsync(6);
  send("b");
  await clock.advanceAsync(3);
  expect(server.requests).toEqual([]);
  await clock.advanceAsync(1);
  expect(server.requests).toEqual([["a", "b"]]);
  expect(outcomes).toEqual([0, 1]);
});

test("a steady trickle does not put off the batch for ever", async () => {
  const { clock, server, send } = setUp({ lingerMs: 10 });
  for (let count = 0; count < 10; count++) {
    send(String(count));
    await clock.advanceAsync(9);
  }
  expect(server.requests.length).toBeGreaterThanOrEqual(4);
});

test("without lingering, the records of one turn travel together", async () => {
  const { clock, server, send } = setUp({ lingerMs: 0 });
  send("a");
  send("b");
  await settled();
  send("c");
  await settled();
  expect(server.requests).toEqual([["a", "b"], ["c"]]);
  expect(clock.activeTimers).toBe(0);
});

test("no batch is larger than the limit, and a full one does not wait", async () => {
  const { server, outcomes, send } = setUp({ lingerMs: 1_000, batchBytesMax: 300 });
  for (let count = 0; count < 20; count++) send("x".repeat(40));
  await settled();
  expect(Math.max(...server.sizes)).toBeLessThanOrEqual(300);
  expect(outcomes.filter((outcome) => typeof outcome === "number").length).toBeGreaterThanOrEqual(12);
});

test("a record that fits into no batch is refused, and the others go their way", async () => {
  const { clock, server, outcomes, send } = setUp({ batchBytesMax: 300 });
  send("a");
  send("x".repeat(300));
  send("b");
  await clock.advanceAsync(100);
  expect(outcomes).toEqual([0, "record-too-large", 1]);
  expect(server.log).toEqual(["a", "b"]);
});

test("after a failure of the first of two batches under way, the order stays", async () => {
  const { clock, server, outcomes, send } = setUp({ lingerMs: 0 });
  server.fateOf = (request) => (request === 0 ? { refuse: "overloaded" } : "answer");
  send("a");
  await Promise.resolve();
  send("b");
  await settled();
  send("c");
  await clock.advanceAsync(10_000);
  expect(server.log).toEqual(["a", "b", "c"]);
  expect(outcomes).toEqual([0, 1, 2]);
});

test("under any mix of refusals and lost answers, each record is stored once and in order", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new SeededRandom(seed);
    const { clock, server, producer, outcomes, send } = setUp({ lingerMs: 2, batchBytesMax: 400 }, seed);
    server.fateOf = () => {
      if (random.nextChance(0.6)) return "answer";
      return random.nextChance(0.5) ? { refuse: "overloaded" } : { lose: "connection-closed" };
    };
    const sent: string[] = [];
    for (let count = 0; count < 60; count++) {
      send(String(count));
      sent.push(String(count));
      if (random.nextChance(0.4)) await clock.advanceAsync(random.nextBetween(0, 60));
    }
    const closed = producer.close();
    await clock.advanceAsync(60_000);
    await closed;
    expect(server.log, `seed ${seed}`).toEqual(sent);
    expect(outcomes, `seed ${seed}`).toEqual(sent.map((_, index) => index));
    expect([producer.bufferedBytes, clock.activeTimers], `seed ${seed}`).toEqual([0, 0]);
  }
});

test("a batch whose answer was lost is stored once, and its records get their offsets", async () => {
  const { clock, server, outcomes, send } = setUp({ lingerMs: 0 });
  server.fateOf = (request) => (request === 0 ? { lose: "request-timeout" } : "answer");
  send("a");
  send("b");
  await clock.advanceAsync(10_000);
  expect(server.requests).toHaveLength(2);
  expect(server.log).toEqual(["a", "b"]);
  expect(outcomes).toEqual([0, 1]);
});

test.each(Object.entries(protocolErrors).filter(([name]) => name !== "none" && name !== "sequence-gap"))(
  "%s is tried again exactly if the table says that it can help",
  async (name, { isRetriable }) => {
    const { clock, server, outcomes, send } = setUp({ lingerMs: 0 });
    server.fateOf = (request) => (request === 0 ? { refuse: name as ErrorName } : "answer");
    send("a");
    await clock.advanceAsync(10_000);
    expect(server.requests).toHaveLength(isRetriable ? 2 : 1);
    expect(outcomes).toEqual([isRetriable ? 0 : name]);
  },
);

test("a batch that is refused for good does not stop those behind it", async () => {
  const { clock, server, outcomes, send } = setUp({ lingerMs: 0 });
  server.fateOf = (request) => (request === 0 ? { refuse: "storage-error" } : "answer");
  for (const value of ["a", "b", "c"]) {
    send(value);
    await Promise.resolve();
  }
  await clock.advanceAsync(10_000);
  expect(outcomes).toEqual(["storage-error", 0, 1]);
  expect(server.log).toEqual(["b", "c"]);
});

test("delays grow to a cap and no further", async () => {
  const { clock, server, send } = setUp({ lingerMs: 0, deliveryTimeoutMs: 1e9 });
  server.fateOf = () => ({ refuse: "overloaded" });
  send("a");
  await clock.advanceAsync(60_000);
  const delays = server.arrivedAtMs.slice(1).map((at, index) => at - server.arrivedAtMs.at(index)!);
  expect(delays.length).toBeGreaterThan(20);
  expect(Math.max(...delays)).toBeLessThanOrEqual(2_000);
  expect(Math.max(...delays)).toBeGreaterThan(1_000);
  expect(delays[0]).toBeLessThanOrEqual(50);
});

test("clients that fail together do not come back together", async () => {
  const firstDelays = new Set<number>();
  for (let seed = 1; seed <= 20; seed++) {
    const { clock, server, send } = setUp({ lingerMs: 0 }, seed);
    server.fateOf = () => ({ refuse: "overloaded" });
    send("a");
    await clock.advanceAsync(100);
    firstDelays.add(server.arrivedAtMs.at(1)!);
  }
  expect(firstDelays.size).toBeGreaterThan(15);
});

test("close sends what is gathered and waits for the answer", async () => {
  const { server, producer, outcomes, send } = setUp({ lingerMs: 1_000 });
  send("a");
  await producer.close();
  expect(server.log).toEqual(["a"]);
  expect(outcomes).toEqual([0]);
  send("b");
  await settled();
  expect(outcomes).toEqual([0, "client-closed"]);
});

test("while the server is away, memory stays below the limit and the callers are told", async () => {
  const { clock, server, producer, outcomes, send } = setUp({
    bufferBytesMax: 10_000,
    batchBytesMax: 1_000,
    deliveryTimeoutMs: 5_000,
  });
  server.fateOf = () => ({ refuse: "connection-failed" });
  for (let count = 0; count < 500; count++) {
    send("x".repeat(100));
    expect(producer.bufferedBytes).toBeLessThanOrEqual(10_000);
    if (count % 10 === 0) await clock.advanceAsync(1);
  }
  expect(outcomes.filter((outcome) => outcome === "buffer-full").length).toBeGreaterThan(300);
  await clock.advanceAsync(60_000);
  expect(new Set(outcomes)).toEqual(new Set(["buffer-full", "connection-failed"]));
  expect([producer.bufferedBytes, clock.activeTimers]).toEqual([0, 0]);
});

test("one partition that is in trouble does not hold up another", async () => {
  const { clock, server, outcomes, send } = setUp({ lingerMs: 0 });
  server.fateOf = (request) => (request === 0 ? "hold" : "answer");
  send("a", 0);
  await settled();
  send("b", 1);
  await clock.advanceAsync(1);
  expect(outcomes).toEqual(["open", 0]);
  server.held[0]?.();
  await settled();
  expect(outcomes).toEqual([1, 0]);
});

test("giving up settles every record at once and leaves no timer", async () => {
  const { clock, server, producer, outcomes, send } = setUp({ lingerMs: 0 });
  server.fateOf = (request) => (request === 0 ? "hold" : { refuse: "overloaded" });
  send("a");
  await settled();
  send("b", 1);
  await settled();
  send("c", 2);
  producer.destroy();
  await settled();
  expect(outcomes).toEqual(["client-closed", "client-closed", "client-closed"]);
  server.held[0]?.();
  await settled();
  expect([producer.bufferedBytes, clock.activeTimers]).toEqual([0, 0]);
});
