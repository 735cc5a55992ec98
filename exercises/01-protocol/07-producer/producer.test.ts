/**
 * The suite of E1.7: a batching producer. The suite plays a server that keeps the rule of sequences (a batch that it
 * has already is answered again and not stored again; one with a gap before it is refused) and that fails when it is
 * told to, before or after it has stored a batch. Time stands still until the suite moves it.
 */
import { describe, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { ProducerOptions, ProducerTransport } from "#reference/client/producer-types.ts";
import type { ProtocolError } from "#reference/client/protocol-error.ts";
import { ProtocolError as ProtocolErrorClass, protocolError } from "#reference/client/protocol-error.ts";
import { crc32 } from "#reference/base/crc32.ts";
import type { ErrorName } from "#reference/protocol/errors.ts";
import { errorCodeOf, protocolErrors } from "#reference/protocol/errors.ts";
import { batchHeaderBytes, checkRecordBatch, readBatchHeader } from "#reference/storage/record-batch.ts";
import { RecordCursor } from "#reference/storage/record-cursor.ts";
import { VirtualClock, settled } from "#reference/testing/clock.ts";
import { expectEqual, expectThat, fail, formatValue, run } from "#exercises/lib/check.ts";
import { Explanation } from "#exercises/lib/explain.ts";
import { seed } from "#exercises/lib/seed.ts";
import { TodoError } from "#exercises/lib/todo.ts";
import { Producer } from "./producer.ts";

/** What becomes of a request: stored and answered, refused, stored and its answer lost, or held until told. */
type Fate =
  | "answer"
  | { readonly refuse: ErrorName; readonly retryAfterMs?: number }
  | { readonly lose: ErrorName }
  | { readonly hold: "answer" | { readonly refuse: ErrorName } | { readonly lose: ErrorName } };

interface Arrival {
  readonly values: string[];
  readonly lane: string;
  readonly producerId: number;
  readonly sequence: number;
  readonly atMs: number;
  readonly bytes: number;
}

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

/** Stops a subject that comes back at once, again and again: no time passes, and no test ends. */
class PatientClock extends VirtualClock {
  #atOnce = 0;
  #atMs = 0;

  override after(delayMs: number, callback: () => void): () => void {
    const nowMs = this.monotonicTimeMs();
    this.#atOnce = nowMs === this.#atMs && delayMs <= 0 ? this.#atOnce + 1 : 0;
    this.#atMs = nowMs;
    if (this.#atOnce < 200) return super.after(delayMs, callback);
    this.complaint = new Explanation("a timer that is due at once is set again and again", {
      expected: "a delay between two tries",
      actual: `200 timers of ${delayMs} ms at ${nowMs} ms`,
    });
    // Never fires, so that the test can end and say so.
    return () => {};
  }

  complaint: Explanation | undefined = undefined;
}

/** A server of logs by partition, its producer, and everything that happened, in order. */
class Scene {
  readonly clock = new PatientClock();
  readonly producer: Producer;
  readonly timeline: string[] = [];
  /** What was stored, by `topic/partition`. */
  readonly logs: Record<string, string[]> = {};
  readonly arrivals: Arrival[] = [];
  /** What became of each record, by its value. */
  readonly outcomes: Record<string, string> = {};
  readonly errors: Record<string, ProtocolError> = {};
  fateOf: (request: number) => Fate = () => "answer";
  initFate: (count: number) => ErrorName | undefined = () => undefined;
  idsAskedFor = 0;
  /** Requests without an answer, by lane, and the most that there ever were. */
  readonly underWay: Record<string, number> = {};
  underWayMax = 0;
  readonly #held = new Map<number, () => void>();
  readonly #known = new Map<string, { sequence: number; offset: number; next: number }[]>();
  #problem: Error | undefined = undefined;

  constructor(options: ProducerOptions = {}, randomSeed = seed) {
    const transport: ProducerTransport = {
      initProducer: () => this.#giveId(),
      send: (topic, partition, batch) => this.#arrive(`${topic}/${partition}`, batch),
    };
    this.producer = run("making a producer", () => {
      return new Producer(
        { transport, clock: this.clock, random: new SeededRandom(randomSeed) },
        { lingerMs: 10, ...options },
      );
    });
  }

  note(line: string): void {
    this.timeline.push(`${String(Math.round(this.clock.monotonicTimeMs())).padStart(6)} ms  ${line}`);
  }

  where(): string {
    const shown = this.timeline.slice(-16);
    const earlier = this.timeline.length - shown.length;
    return [...(earlier > 0 ? [`(${earlier} earlier)`] : []), ...shown].join("\n");
  }

  expect(what: string, actual: unknown, expected: unknown): void {
    expectEqual(what, actual, expected, { where: this.where() });
  }

  expectLog(expected: readonly string[], lane = "t/0"): void {
    this.expect(`the log of ${lane}`, this.logs[lane] ?? [], expected);
  }

  expectOutcomes(expected: Record<string, string | number>): void {
    const shown = Object.fromEntries(
      Object.entries(expected).map(([value, outcome]) => [value, String(outcome)]),
    );
    this.expect("what became of the records", this.outcomes, shown);
  }

  expectRequests(expected: readonly (readonly string[])[]): void {
    this.expect(
      "the requests, by what they carried",
      this.arrivals.map(({ values }) => values),
      expected,
    );
  }

  expectNothingLeft(): void {
    this.expect("bufferedBytes", this.producer.bufferedBytes, 0);
    this.expect("timers that still run", this.clock.activeTimers, 0);
  }

  /** Calls the subject, with the timeline beside whatever goes wrong. */
  run<Result>(what: string, call: () => Result): Result {
    const result = run(what, call, () => ({ where: this.where() }));
    this.#complain();
    return result;
  }

  /** Sends a record; what becomes of it is written down under its value. */
  send(value: string, partition = 0, more: { readonly topic?: string } = {}): void {
    this.note(`send ${value.length > 20 ? `${value.slice(0, 12)}… (${value.length})` : value}`);
    const record = { topic: "t", partition, value: text(value), ...more };
    const promise = this.run(`send ${value.slice(0, 20)}`, () => this.producer.send(record));
    expectThat(promise instanceof Promise, "send gave no promise");
    promise.then(
      (offset) => this.#settle(value, String(offset)),
      (error: unknown) => {
        if (error instanceof TodoError) this.#problem = error;
        this.errors[value] = error as ProtocolError;
        this.#settle(value, error instanceof Error ? error.name : String(error));
      },
    );
  }

  /** Fails with what came up while nobody looked. */
  #complain(): void {
    const problem = this.#problem ?? this.clock.complaint;
    if (problem !== undefined) throw problem;
  }

  #settle(value: string, outcome: string): void {
    const before = this.outcomes[value];
    this.outcomes[value] = before === undefined ? outcome : `${before}, then ${outcome}`;
  }

  async pass(ms: number): Promise<void> {
    try {
      await this.clock.advanceAsync(ms);
    } catch (error) {
      run(`${ms} ms pass`, () => {
        throw error;
      });
    }
    this.#complain();
  }

  /** Lets the turn end. */
  async turn(): Promise<void> {
    await settled();
    this.#complain();
  }

  watch(what: string, promise: Promise<unknown>): { isDone: boolean } {
    const state = { isDone: false };
    promise.then(
      () => {
        this.note(`${what} is done`);
        state.isDone = true;
      },
      (error: unknown) => {
        if (error instanceof TodoError) this.#problem = error;
        this.note(`${what} is rejected: ${String(error)}`);
      },
    );
    return state;
  }

  async #giveId(): Promise<number> {
    this.note("the producer asks for an id");
    const refusal = this.initFate(this.idsAskedFor++);
    await Promise.resolve();
    if (refusal !== undefined) throw protocolError(refusal);
    return 100 + this.idsAskedFor;
  }

  async #arrive(lane: string, batch: Uint8Array): Promise<number> {
    const header = readBatchHeader(batch, 0);
    const problem = checkRecordBatch(batch, 0, batch.length, crc32);
    if (problem !== undefined) {
      this.#problem = new Explanation("a batch is not intact", {
        actual: problem.reason,
        where: this.where(),
      });
    }
    const values: string[] = [];
    for (const cursor = new RecordCursor(batch); cursor.next();) {
      values.push(new TextDecoder().decode(cursor.record().value ?? text("(null)")));
    }
    const request = this.arrivals.length;
    const { producerId, baseSequence: sequence } = header;
    this.arrivals.push({
      values,
      lane,
      producerId,
      sequence,
      atMs: this.clock.monotonicTimeMs(),
      bytes: batch.length,
    });
    const shown =
      values.length > 6 ? `${values.length} records` : values.map((value) => value.slice(0, 8)).join(" ");
    this.note(`request ${request} of ${lane}: ${shown}, sequence ${sequence} of producer ${producerId}`);
    const underWay = (this.underWay[lane] = (this.underWay[lane] ?? 0) + 1);
    this.underWayMax = Math.max(this.underWayMax, underWay);
    try {
      let fate = this.fateOf(request);
      if (typeof fate === "object" && "hold" in fate) {
        const { hold } = fate;
        await new Promise<void>((resolve) => void this.#held.set(request, resolve));
        fate = hold;
      } else await Promise.resolve();
      if (typeof fate === "object" && "refuse" in fate) this.#refuse(request, fate);
      const offset = this.#append(lane, producerId, sequence, values, request);
      if (typeof fate === "object" && "lose" in fate) {
        this.note(`request ${request} is stored, and its answer lost`);
        throw protocolError(fate.lose);
      }
      this.note(`request ${request} is answered: offset ${offset}`);
      return offset;
    } finally {
      this.underWay[lane] = (this.underWay[lane] ?? 0) - 1;
    }
  }

  #refuse(
    request: number,
    { refuse, retryAfterMs }: { readonly refuse: ErrorName; readonly retryAfterMs?: number },
  ): never {
    this.note(`request ${request} is refused: ${refuse}`);
    throw new ProtocolErrorClass(errorCodeOf(refuse), "", { retryAfterMs: retryAfterMs ?? 0 });
  }

  #append(lane: string, producerId: number, sequence: number, values: string[], request: number): number {
    const batches = this.#known.get(`${producerId} ${lane}`) ?? [];
    const again = batches.find((batch) => batch.sequence === sequence);
    if (again !== undefined) return again.offset;
    const expected = batches.at(-1)?.next ?? 0;
    if (sequence !== expected) {
      this.note(`request ${request} has a gap before it: sequence ${sequence}, expected ${expected}`);
      throw protocolError("sequence-gap", `${sequence}, expected ${expected}`);
    }
    const log = (this.logs[lane] ??= []);
    const offset = log.length;
    log.push(...values);
    this.#known.set(`${producerId} ${lane}`, [
      ...batches,
      { sequence, offset, next: sequence + values.length },
    ]);
    return offset;
  }

  /** Lets a request that is held go on to its fate. */
  async release(request: number): Promise<void> {
    const proceed = this.#held.get(request);
    if (proceed === undefined) return fail(`request ${request} has not been sent`, { where: this.where() });
    this.#held.delete(request);
    proceed();
    await this.turn();
  }

  get heldRequests(): number[] {
    return [...this.#held.keys()];
  }
}

const letters = (count: number): string[] => Array.from({ length: count }, (_, index) => `r${index + 1}`);

/** Records of a size: "1xxxx", "2xxxx", … */
const sized = (count: number, bytes: number): string[] =>
  Array.from({ length: count }, (_, index) => `${index + 1}`.padEnd(bytes, "x"));

describe("gathering", () => {
  test("a record is sent when it has lingered, and its promise gives its offset", async () => {
    const scene = new Scene();
    scene.send("a");
    await scene.pass(9);
    scene.expectRequests([]);
    await scene.pass(1);
    scene.expectRequests([["a"]]);
    scene.expectOutcomes({ a: 0 });
    scene.expectNothingLeft();
    scene.send("b");
    await scene.pass(9);
    scene.expectRequests([["a"]]);
    await scene.pass(1);
    scene.expectRequests([["a"], ["b"]]);
    scene.expectOutcomes({ a: 0, b: 1 });
  });

  test("the first record's time is up for all: later ones do not put it off", async () => {
    const scene = new Scene();
    scene.send("a");
    await scene.pass(6);
    scene.send("b");
    await scene.pass(3);
    scene.send("c");
    scene.expectRequests([]);
    await scene.pass(1);
    scene.expectRequests([["a", "b", "c"]]);
    scene.expectOutcomes({ a: 0, b: 1, c: 2 });
  });

  test("a steady trickle is sent all the same", async () => {
    const scene = new Scene();
    for (const [index, value] of letters(12).entries()) {
      scene.send(value);
      await scene.pass(9);
      const waits = index + 1 - scene.arrivals.flatMap(({ values }) => values).length;
      expectThat(waits <= 2, `one record every 9 ms, with lingerMs 10: ${waits} of them wait`, {
        expected: "at most 2: the one that came just now, and the one before it",
        actual: `${waits} records have not been sent`,
        where: scene.where(),
      });
    }
  });

  test("without lingering, the records of one turn travel together", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.send("a");
    scene.send("b");
    await scene.turn();
    scene.send("c");
    await scene.turn();
    scene.expectRequests([["a", "b"], ["c"]]);
    scene.expectOutcomes({ a: 0, b: 1, c: 2 });
    scene.expectNothingLeft();
  });

  test("no batch is larger than the limit, and a record that does not fit any more begins the next", async () => {
    const scene = new Scene({ lingerMs: 1_000, batchBytesMax: 300 });
    for (const value of sized(20, 40)) scene.send(value);
    await scene.pass(1_000);
    for (const { bytes, values } of scene.arrivals) {
      expectThat(bytes <= 300, "a batch is larger than batchBytesMax", {
        expected: "at most 300 bytes",
        actual: `${bytes} bytes, ${values.length} records`,
        where: scene.where(),
      });
    }
    scene.expectLog(sized(20, 40));
    scene.expect(
      "records in each batch but the last",
      new Set(scene.arrivals.slice(0, -1).map(({ values }) => values.length)).size,
      1,
    );
  });

  test("a batch that is full does not wait", async () => {
    const scene = new Scene({ lingerMs: 1_000, batchBytesMax: 300 });
    for (const value of sized(7, 40)) scene.send(value);
    await scene.turn();
    expectThat(scene.arrivals.length >= 1, "a full batch waits for the end of lingerMs", {
      where: scene.where(),
    });
    // One that fills its batch to the last byte: 300 less the header and the other fields of one record.
    const exact = new Scene({ lingerMs: 1_000, batchBytesMax: 300 });
    const room = 300 - bytesOfOneRecord(0);
    exact.send("z".repeat(room));
    await exact.turn();
    exact.expect(
      "bytes of the batch that is exactly full",
      exact.arrivals.map(({ bytes }) => bytes),
      [300],
    );
    exact.expectOutcomes({ ["z".repeat(room)]: 0 });
  });

  test("each batch has its own time, also when the one before it left early", async () => {
    const scene = new Scene({ lingerMs: 100, batchBytesMax: 300 });
    const values = sized(6, 40);
    scene.send(values[0]!);
    await scene.pass(60);
    for (const value of values.slice(1)) scene.send(value);
    await scene.turn();
    const sent = scene.arrivals.flatMap((arrival) => arrival.values).length;
    expectThat(sent > 0 && sent < 6, "the full batch has left, and the next one waits", {
      where: scene.where(),
    });
    await scene.pass(99);
    scene.expect(
      "records that were sent before the second batch's time was up",
      scene.arrivals.flatMap((arrival) => arrival.values).length,
      sent,
    );
    await scene.pass(1);
    scene.expectLog(values);
    scene.expectNothingLeft();
  });

  test("a record that fits into no batch is refused alone, and leaves nothing behind", async () => {
    const scene = new Scene({ batchBytesMax: 300 });
    scene.send("a");
    scene.send("x".repeat(300));
    scene.send("b");
    await scene.pass(100);
    scene.expectOutcomes({ a: 0, ["x".repeat(300)]: "record-too-large", b: 1 });
    scene.expectLog(["a", "b"]);
    scene.expectNothingLeft();
    scene.send("y".repeat(300));
    await scene.pass(100);
    scene.expect("what became of it", scene.outcomes["y".repeat(300)], "record-too-large");
    scene.expectNothingLeft();
    scene.send("c");
    await scene.pass(100);
    scene.expectLog(["a", "b", "c"]);
  });

  test("each partition and each topic has batches of its own", async () => {
    const scene = new Scene();
    scene.send("a", 0);
    scene.send("b", 1);
    scene.send("c", 0);
    scene.send("d", 0, { topic: "u" });
    await scene.pass(10);
    scene.expectLog(["a", "c"]);
    scene.expectLog(["b"], "t/1");
    scene.expectLog(["d"], "u/0");
    scene.expectOutcomes({ a: 0, b: 0, c: 1, d: 0 });
  });

  test("a record's bytes are copied at once, with key, time and null", async () => {
    const records: { readonly key: string; readonly value: string; readonly timestampMs: number }[] = [];
    const clock = new VirtualClock(1_000_000);
    const transport: ProducerTransport = {
      initProducer: () => Promise.resolve(7),
      send: (_topic, _partition, batch) => {
        for (const cursor = new RecordCursor(batch); cursor.next();) {
          const { key, value, timestampMs } = cursor.record();
          const shown = (bytes: Uint8Array | null | undefined): string =>
            bytes === null || bytes === undefined ? "none" : new TextDecoder().decode(bytes);
          records.push({ key: shown(key), value: shown(value), timestampMs });
        }
        return Promise.resolve(0);
      },
    };
    const producer = new Producer({ transport, clock, random: new SeededRandom(seed) }, { lingerMs: 10 });
    const [key, value] = [text("key"), text("value")];
    const send = (record: Parameters<Producer["send"]>[0]) => run("send", () => void producer.send(record));
    send({ topic: "t", partition: 0, key, value, timestampMs: 500 });
    key.fill(0x2a);
    value.fill(0x2a);
    send({ topic: "t", partition: 0, value: null, key: text("gone"), timestampMs: 700 });
    send({ topic: "t", partition: 0, value: text("now") });
    send({ topic: "t", partition: 0, value: text("long ago"), timestampMs: 0 });
    await clock.advanceAsync(10);
    expectEqual("the records that the server got", records, [
      { key: "key", value: "value", timestampMs: 500 },
      { key: "gone", value: "none", timestampMs: 700 },
      { key: "none", value: "now", timestampMs: 1_000_000 },
      { key: "none", value: "long ago", timestampMs: 0 },
    ]);
  });
});

/** What a batch with one record takes beside the record's value. */
function bytesOfOneRecord(valueBytes: number): number {
  return batchHeaderBytes + 5 + 4 + valueBytes;
}

describe("sending", () => {
  test("an id is asked for once for a partition, before its first batch; sequences count its records", async () => {
    const scene = new Scene({ lingerMs: 0 });
    for (const values of [["a", "b"], ["c"], ["d", "e", "f"], ["g"]]) {
      for (const value of values) scene.send(value);
      await scene.turn();
    }
    scene.expect("ids asked for", scene.idsAskedFor, 1);
    scene.expect(
      "the sequences",
      scene.arrivals.map(({ sequence }) => sequence),
      [0, 2, 3, 6],
    );
    scene.expect("the producer ids", new Set(scene.arrivals.map(({ producerId }) => producerId)).size, 1);
    scene.expectOutcomes({ a: 0, b: 1, c: 2, d: 3, e: 4, f: 5, g: 6 });
  });

  test("as many batches as allowed are under way at once, and no more", async () => {
    const scene = new Scene({ lingerMs: 0, inFlightMax: 3 });
    scene.fateOf = () => ({ hold: "answer" });
    for (const value of letters(8)) {
      scene.send(value);
      await scene.turn();
    }
    scene.expect("requests under way", scene.heldRequests, [0, 1, 2]);
    for (let request = 0; request < 8; request++) await scene.release(request);
    scene.expect("the most that were under way", scene.underWayMax, 3);
    scene.expectLog(letters(8));
    scene.expectOutcomes(Object.fromEntries(letters(8).map((value, index) => [value, index])));
    scene.expectNothingLeft();
  });

  test("one partition that is in trouble does not hold up another", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.fateOf = (request) => (request === 0 ? { hold: "answer" } : "answer");
    scene.send("a", 0);
    await scene.turn();
    scene.send("b", 1);
    await scene.turn();
    scene.expectOutcomes({ b: 0 });
    await scene.release(0);
    scene.expectOutcomes({ a: 0, b: 0 });
  });

  test("an id that cannot be had now is asked for again; one that is refused for good fails the batch", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.initFate = (count) => (count < 2 ? "connection-closed" : undefined);
    scene.send("a");
    await scene.turn();
    scene.send("b");
    await scene.pass(1_000);
    scene.expectOutcomes({ a: 0, b: 1 });
    scene.expect("ids asked for", scene.idsAskedFor, 3);
    const refused = new Scene({ lingerMs: 0 });
    refused.initFate = (count) => (count === 0 ? "unauthenticated" : undefined);
    refused.send("a");
    await refused.pass(100);
    refused.expectOutcomes({ a: "unauthenticated" });
    refused.send("b");
    await refused.pass(100);
    refused.expectOutcomes({ a: "unauthenticated", b: 0 });
    refused.expectNothingLeft();
  });
});

describe("when it fails", () => {
  /** Two batches under way, "a" and "b"; then the fates of the first two requests. */
  async function twoUnderWay(first: Fate, second: Fate): Promise<Scene> {
    const scene = new Scene({ lingerMs: 0 });
    scene.fateOf = (request) => (request === 0 ? first : request === 1 ? second : "answer");
    scene.send("a");
    await Promise.resolve();
    scene.send("b");
    await scene.turn();
    return scene;
  }

  test("after a failure of the first of two under way the order stays", async () => {
    const refused = { refuse: "overloaded" } as const;
    const scenes = [
      await twoUnderWay(refused, "answer"),
      await twoUnderWay({ hold: refused }, "answer"),
      await twoUnderWay({ hold: refused }, { hold: "answer" }),
    ];
    await scenes[1]!.release(0);
    await scenes[2]!.release(0);
    for (const scene of scenes) scene.send("c");
    await scenes[2]!.release(1);
    for (const scene of scenes) {
      await scene.pass(10_000);
      scene.expectLog(["a", "b", "c"]);
      scene.expectOutcomes({ a: 0, b: 1, c: 2 });
      scene.expectNothingLeft();
    }
  });

  test("after a failure nothing is sent until everything under way has its answer", async () => {
    const scene = await twoUnderWay({ hold: { refuse: "overloaded" } }, { hold: "answer" });
    await scene.release(0);
    scene.send("c");
    await scene.pass(20_000);
    scene.expectRequests([["a"], ["b"]]);
    await scene.release(1);
    await scene.pass(10_000);
    scene.expectLog(["a", "b", "c"]);
    scene.expect(
      "the order of the requests after the failure",
      scene.arrivals.slice(2).flatMap(({ values }) => values),
      ["a", "b", "c"],
    );
  });

  test("a batch whose answer was lost is stored once, and its records get their offsets", async () => {
    for (const lost of ["request-timeout", "connection-closed"] as const) {
      const scene = new Scene({ lingerMs: 0 });
      scene.fateOf = (request) => (request === 1 ? { lose: lost } : "answer");
      for (const value of ["a", "b", "c"]) {
        scene.send(value);
        await scene.turn();
      }
      await scene.pass(10_000);
      scene.expectLog(["a", "b", "c"]);
      scene.expectOutcomes({ a: 0, b: 1, c: 2 });
    }
  });

  test("a batch that is sent again is the same batch: same number, same records, nothing added", async () => {
    const scene = new Scene({ lingerMs: 20 });
    scene.fateOf = (request) => (request < 3 ? { lose: "request-timeout" } : "answer");
    scene.send("a");
    scene.send("b");
    await scene.pass(20);
    for (const value of letters(6)) {
      scene.send(value);
      await scene.pass(30);
    }
    await scene.pass(10_000);
    const first = scene.arrivals.filter(({ sequence }) => sequence === 0);
    scene.expect(
      "what the requests with sequence 0 carried",
      first.map(({ values }) => values.join(" ")),
      first.map(() => "a b"),
    );
    scene.expectLog(["a", "b", ...letters(6)]);
  });

  test("each error is tried again exactly if the table says that it can help", async () => {
    for (const [name, { isRetriable }] of Object.entries(protocolErrors)) {
      if (name === "none" || name === "sequence-gap") continue;
      const scene = new Scene({ lingerMs: 0 });
      scene.fateOf = (request) => (request === 0 ? { refuse: name as ErrorName } : "answer");
      scene.send("a");
      await scene.pass(10_000);
      scene.expect(
        `requests when the first is refused with ${name}`,
        scene.arrivals.length,
        isRetriable ? 2 : 1,
      );
      scene.expectOutcomes({ a: isRetriable ? 0 : name });
      scene.expectNothingLeft();
    }
  });

  test("a batch that is refused for good fails alone: those behind it are stored, in order", async () => {
    for (const isHeld of [false, true]) {
      const scene = new Scene({ lingerMs: 0 });
      const refused = { refuse: "storage-error" } as const;
      scene.fateOf = (request) => (request > 0 ? "answer" : isHeld ? { hold: refused } : refused);
      for (const value of ["a", "b", "c"]) {
        scene.send(value);
        await Promise.resolve();
      }
      await scene.turn();
      if (isHeld) await scene.release(0);
      await scene.pass(10_000);
      scene.expectOutcomes({ a: "storage-error", b: 0, c: 1 });
      scene.expectLog(["b", "c"]);
      scene.expectNothingLeft();
    }
  });

  test("a server that will never have what came before gets a new producer id, and numbers from 0", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.send("a");
    await scene.turn();
    scene.fateOf = (request) => (request === 1 ? { refuse: "sequence-gap" } : "answer");
    scene.send("b");
    await Promise.resolve();
    scene.send("c");
    await scene.turn();
    scene.send("d");
    await scene.pass(10_000);
    scene.expect("ids asked for", scene.idsAskedFor, 2);
    const renewed = scene.arrivals.filter(({ producerId }) => producerId === 102);
    scene.expect(
      "the records under the new id, and their numbers",
      renewed.flatMap(({ values, sequence }) => values.map((value, index) => `${value} ${sequence + index}`)),
      ["b 0", "c 1", "d 2"],
    );
    scene.expectLog(["a", "b", "c", "d"]);
    scene.expectOutcomes({ a: 0, b: 1, c: 2, d: 3 });
    // A server that finds a gap before number 0 will find one for ever.
    const hopeless = new Scene({ lingerMs: 0 });
    hopeless.fateOf = () => ({ refuse: "sequence-gap" });
    hopeless.send("a");
    await hopeless.pass(300_000);
    hopeless.expectOutcomes({ a: "sequence-gap" });
    expectThat(hopeless.idsAskedFor <= 2, "a new id is asked for again and again", {
      actual: `${hopeless.idsAskedFor} ids`,
      where: hopeless.where(),
    });
  });

  test("delays grow to a cap and no further, and are drawn from the whole range", async () => {
    const scene = new Scene({ lingerMs: 0, deliveryTimeoutMs: 1e9 });
    scene.fateOf = () => ({ refuse: "overloaded" });
    scene.send("a");
    await scene.pass(100_000);
    const delays = scene.arrivals.slice(1).map(({ atMs }, index) => atMs - scene.arrivals[index]!.atMs);
    expectThat(delays.length > 40, `only ${delays.length} tries in 100 s`, { where: scene.where() });
    for (const [index, delay] of delays.entries()) {
      const cap = Math.min(2_000, 50 * 2 ** Math.min(index, 20));
      expectThat(delay >= 0 && delay <= cap, `delay ${index + 1} is out of its range`, {
        expected: `0 to ${cap} ms`,
        actual: `${delay} ms`,
        where: scene.where(),
      });
    }
    const late = delays.slice(10);
    expectThat(Math.max(...late) > 1_500, "the long delays are never long", {
      actual: `at most ${Math.max(...late)} ms`,
    });
    expectThat(Math.min(...late) < 500, "the delays are not drawn from the whole range", {
      actual: `at least ${Math.min(...late)} ms`,
    });
  });

  test("clients that fail together do not come back together", async () => {
    const times = new Set<number>();
    for (let client = 1; client <= 20; client++) {
      const scene = new Scene({ lingerMs: 0 }, client);
      scene.fateOf = () => ({ refuse: "overloaded" });
      scene.send("a");
      await scene.pass(100);
      times.add(scene.arrivals[1]?.atMs ?? -1);
    }
    expectThat(times.size > 15, "twenty clients come back at the same times", {
      expected: "more than 15 different times",
      actual: `${times.size}: ${[...times].join(", ")}`,
    });
  });

  test("a success ends the series: the next failure begins with short delays again", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.fateOf = (request) => (request < 8 ? { refuse: "overloaded" } : "answer");
    scene.send("a");
    await scene.pass(20_000);
    scene.expectOutcomes({ a: 0 });
    for (let round = 0; round < 5; round++) {
      const before = scene.arrivals.length;
      scene.fateOf = (request) => (request === before ? { refuse: "overloaded" } : "answer");
      scene.send(`b${round}`);
      await scene.pass(50);
      scene.expect(
        `record ${round + 1} after the series, 50 ms after its first failure`,
        scene.outcomes[`b${round}`],
        String(round + 1),
      );
    }
  });

  test("a producer waits at least as long as the server asks", async () => {
    const scene = new Scene({ lingerMs: 0 });
    scene.fateOf = (request) => (request === 0 ? { refuse: "rate-limited", retryAfterMs: 3_000 } : "answer");
    scene.send("a");
    await scene.pass(2_999);
    scene.expectRequests([["a"]]);
    await scene.pass(60);
    scene.expectRequests([["a"], ["a"]]);
    scene.expectOutcomes({ a: 0 });
    const hasty = new Scene({ lingerMs: 0 });
    hasty.fateOf = () => ({ refuse: "overloaded", retryAfterMs: 1 });
    hasty.send("a");
    await hasty.pass(20_000);
    expectThat(hasty.arrivals.length < 100, "a server that asks for 1 ms is asked again and again", {
      expected: "fewer than 100 requests in 20 s: the delays grow all the same",
      actual: `${hasty.arrivals.length} requests`,
    });
  });

  test("a record that is not stored in time fails with the last error, and makes room", async () => {
    const scene = new Scene({ lingerMs: 0, deliveryTimeoutMs: 5_000 });
    scene.fateOf = () => ({ refuse: "connection-failed" });
    scene.send("a");
    await scene.pass(3_000);
    scene.send("b");
    await scene.pass(1_999);
    scene.expectOutcomes({});
    await scene.pass(2_001);
    scene.expectOutcomes({ a: "connection-failed" });
    await scene.pass(6_000);
    scene.expectOutcomes({ a: "connection-failed", b: "connection-failed" });
    scene.expectNothingLeft();
    const requests = scene.arrivals.length;
    await scene.pass(60_000);
    scene.expect("requests after that", scene.arrivals.length - requests, 0);
    scene.fateOf = () => "answer";
    scene.send("c");
    await scene.pass(10_000);
    scene.expect("what became of c", scene.outcomes["c"], "0");
    // Two under way: the second one's gap is a consequence, and no reason.
    const two = new Scene({ lingerMs: 0, deliveryTimeoutMs: 5_000 });
    two.fateOf = (request) =>
      two.arrivals[request]?.values[0] === "a" ? { refuse: "connection-failed" } : "answer";
    two.send("a");
    await Promise.resolve();
    two.send("b");
    await two.pass(8_000);
    two.expect("the error of a", two.outcomes["a"], "connection-failed");
  });
});

describe("memory", () => {
  test("while the server is away, what is kept stays within the limit, and the callers are told", async () => {
    const scene = new Scene({ bufferBytesMax: 10_000, batchBytesMax: 1_000, deliveryTimeoutMs: 5_000 });
    scene.fateOf = () => ({ refuse: "connection-failed" });
    const values = sized(300, 100);
    for (const [index, value] of values.entries()) {
      scene.send(value);
      expectThat(scene.producer.bufferedBytes <= 10_000, "more is kept than bufferBytesMax", {
        expected: "at most 10000 bytes",
        actual: `${scene.producer.bufferedBytes} bytes`,
        where: scene.where(),
      });
      if (index % 10 === 0) await scene.pass(1);
    }
    await scene.turn();
    const refused = Object.values(scene.outcomes).filter((outcome) => outcome === "buffer-full").length;
    expectThat(refused > 150 && refused < 260, "the number of records that were refused is not right", {
      expected: "150 to 260 of 300: the limit is used, and kept",
      actual: `${refused} refused`,
    });
    await scene.pass(60_000);
    scene.expect("different outcomes", [...new Set(Object.values(scene.outcomes))].sort(), [
      "buffer-full",
      "connection-failed",
    ]);
    scene.expect("records that settled", Object.keys(scene.outcomes).length, 300);
    scene.expectNothingLeft();
    scene.fateOf = () => "answer";
    scene.send("again");
    await scene.pass(5_000);
    scene.expect("what became of a record sent when the server is back", scene.outcomes["again"], "0");
  });

  test("many small records are bounded as well: what is kept is more than their values", async () => {
    const scene = new Scene({ bufferBytesMax: 2_000, lingerMs: 1_000 });
    for (const [index, value] of letters(60).entries()) {
      scene.send(value, index);
      expectThat(scene.producer.bufferedBytes <= 2_000, "more is kept than bufferBytesMax", {
        expected: "at most 2000 bytes",
        actual: `${scene.producer.bufferedBytes} bytes, of ${index + 1} records with two or three bytes each`,
        where: scene.where(),
      });
    }
    await scene.turn();
    const refused = Object.values(scene.outcomes).filter((outcome) => outcome === "buffer-full").length;
    expectThat(refused > 30 && refused < 50, "the number of records that were refused is not right", {
      expected: "30 to 50 of 60, in as many partitions: a batch has a header of 80 bytes",
      actual: `${refused} refused`,
    });
    await scene.pass(1_000);
    scene.expectNothingLeft();
  });

  test("whoever waits for room goes on when half of it is free", async () => {
    const scene = new Scene({ lingerMs: 0, bufferBytesMax: 4_000 });
    scene.fateOf = () => ({ hold: "answer" });
    const first = scene.watch("writable, while there is room", scene.producer.writable());
    for (const value of sized(5, 600)) {
      scene.send(value);
      await scene.turn();
    }
    scene.expect("writable, while there was room", first.isDone, true);
    const waiting = scene.watch("writable", scene.producer.writable());
    await scene.release(0);
    scene.expect("writable, while more than half is used", waiting.isDone, false);
    await scene.release(1);
    await scene.release(2);
    scene.expect("writable, when less than half is used", waiting.isDone, true);
  });
});

describe("the end", () => {
  test("close sends what is gathered, at once, and waits for the answer", async () => {
    const scene = new Scene({ lingerMs: 1_000 });
    scene.fateOf = () => ({ hold: "answer" });
    scene.send("a");
    scene.send("b", 1);
    const closing = scene.watch(
      "close",
      scene.run("close", () => scene.producer.close()),
    );
    await scene.turn();
    scene.expect("requests", scene.arrivals.length, 2);
    scene.expect("whether close is done", closing.isDone, false);
    await scene.release(0);
    scene.expect("whether close is done", closing.isDone, false);
    await scene.release(1);
    scene.expect("whether close is done", closing.isDone, true);
    scene.send("c");
    await scene.pass(2_000);
    scene.expectOutcomes({ a: 0, b: 0, c: "client-closed" });
    scene.expectNothingLeft();
  });

  test("flush settles what was sent before it, and what comes later goes its own way", async () => {
    const scene = new Scene({ lingerMs: 1_000 });
    const nothing = scene.watch(
      "flush of nothing",
      scene.run("flush", () => scene.producer.flush()),
    );
    await scene.turn();
    scene.expect("whether a flush of nothing is done", nothing.isDone, true);
    scene.fateOf = (request) => (request === 0 ? { refuse: "overloaded" } : "answer");
    scene.send("a");
    const flushing = scene.watch(
      "flush",
      scene.run("flush", () => scene.producer.flush()),
    );
    const second = scene.watch(
      "a second flush",
      scene.run("flush", () => scene.producer.flush()),
    );
    await scene.turn();
    scene.send("b");
    scene.expect("whether the flush is done while a waits to be sent again", flushing.isDone, false);
    await scene.pass(500);
    scene.expectOutcomes({ a: 0 });
    scene.expect("whether both flushes are done", [flushing.isDone, second.isDone], [true, true]);
    await scene.pass(500);
    scene.expectOutcomes({ a: 0, b: 1 });
    scene.expectNothingLeft();
  });

  test("close takes no longer than the records have to be delivered", async () => {
    const scene = new Scene({ lingerMs: 0, deliveryTimeoutMs: 5_000 });
    scene.fateOf = () => ({ refuse: "connection-failed" });
    for (const value of letters(3)) {
      scene.send(value);
      await scene.turn();
    }
    const closing = scene.watch(
      "close",
      scene.run("close", () => scene.producer.close()),
    );
    await scene.pass(7_001);
    scene.expect("whether close is done", closing.isDone, true);
    scene.expectOutcomes({ r1: "connection-failed", r2: "connection-failed", r3: "connection-failed" });
    scene.expectNothingLeft();
  });

  test("destroy settles every record at once, and late answers change nothing", async () => {
    const scene = new Scene({ lingerMs: 20 });
    scene.fateOf = (request) => (request < 2 ? { hold: "answer" } : { refuse: "overloaded" });
    for (const value of ["a", "b"]) {
      scene.send(value);
      await scene.pass(20);
    }
    const waiting = scene.watch(
      "flush",
      scene.run("flush", () => scene.producer.flush()),
    );
    scene.send("c", 1);
    await scene.pass(20);
    // Now a and b are under way, c waits to be tried again, and d is being gathered.
    scene.send("d", 2);
    scene.run("destroy", () => scene.producer.destroy());
    scene.expect("timers that still run after destroy", scene.clock.activeTimers, 0);
    await scene.turn();
    const closed = "client-closed";
    scene.expectOutcomes({ a: closed, b: closed, c: closed, d: closed });
    scene.expect("whether a flush that waited is done", waiting.isDone, true);
    const requests = scene.arrivals.length;
    await scene.release(1);
    await scene.release(0);
    scene.send("e");
    await scene.pass(10_000);
    scene.expectOutcomes({ a: closed, b: closed, c: closed, d: closed, e: closed });
    scene.expect("requests after destroy", scene.arrivals.length - requests, 0);
    scene.expectNothingLeft();
  });

  test("under any mix of refusals, lost answers and delays each record is stored once, and in order", async () => {
    for (let round = 0; round < 12; round++) await storm((seed + round * 6_151) >>> 0);
  });
});

/** A server that does everything wrong that a server may, at random, and gets well in the end. */
async function storm(stormSeed: number): Promise<void> {
  const random = new SeededRandom(stormSeed);
  const scene = new Scene({ lingerMs: random.nextBetween(0, 4), batchBytesMax: 400 }, stormSeed);
  const fate = (): "answer" | { readonly refuse: ErrorName } | { readonly lose: ErrorName } => {
    if (random.nextChance(0.55)) return "answer";
    return random.nextChance(0.5) ? { refuse: "overloaded" } : { lose: "connection-closed" };
  };
  scene.fateOf = () => (random.nextChance(0.3) ? { hold: fate() } : fate());
  const sent: Record<string, string[]> = { "t/0": [], "t/1": [] };
  for (let count = 0; count < 50; count++) {
    const partition = random.nextBetween(0, 1);
    scene.send(`v${count}`, partition);
    sent[`t/${partition}`]!.push(`v${count}`);
    if (random.nextChance(0.4)) await scene.pass(random.nextBetween(0, 60));
    const held = scene.heldRequests;
    if (held.length > 0 && random.nextChance(0.5))
      await scene.release(held[random.nextBetween(0, held.length - 1)]!);
  }
  scene.fateOf = fate;
  const closing = scene.watch(
    "close",
    scene.run("close", () => scene.producer.close()),
  );
  for (let step = 0; step < 60 && !closing.isDone; step++) {
    for (const request of scene.heldRequests) await scene.release(request);
    await scene.pass(1_000);
  }
  for (const [lane, values] of Object.entries(sent)) {
    scene.expectLog(values, lane);
    for (const [offset, value] of values.entries()) {
      scene.expect(
        `what became of ${value} of ${lane}, in the storm of seed ${stormSeed}`,
        scene.outcomes[value],
        String(offset),
      );
    }
  }
  scene.expectNothingLeft();
}
