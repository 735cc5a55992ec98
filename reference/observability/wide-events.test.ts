import { describe, expect, test } from "vitest";
import { SeededRandom } from "../base/prng.ts";
import { settled, VirtualClock } from "../testing/clock.ts";
import { WideEvents, type EventSink, type WideEvent, type WideEventsOptions } from "./wide-events.ts";

interface Bench {
  readonly clock: VirtualClock;
  readonly lines: WideEvent[];
  readonly events: WideEvents;
}

function bench(overrides: Partial<WideEventsOptions> = {}): Bench {
  const clock = new VirtualClock();
  const lines: WideEvent[] = [];
  const sink: EventSink = { write: (event) => void lines.push(event) };
  const options = { clock, random: new SeededRandom(1), sink, sampleRate: 1, slowMs: 100, queueMax: 10 };
  return { clock, lines, events: new WideEvents({ ...options, ...overrides }) };
}

const identity = { requestType: "Produce", requestId: 7, connectionId: 3, clientName: "shop" };

describe("exactly one line", () => {
  test("for a success: everything that is known, times in parts", async () => {
    const { clock, lines, events } = bench();
    const receivedAtMs = clock.monotonicTimeMs();
    clock.advance(20);
    await events.observe({ ...identity, receivedAtMs }, async (event) => {
      event.set({ topic: "orders", partition: 2, records: 10, bytesIn: 1000 });
      await Promise.resolve();
      clock.advance(5);
      event.set({ bytesOut: 20 });
    });
    expect(lines).toEqual([
      {
        ...identity,
        timeMs: clock.wallTimeMs(),
        level: "info",
        outcome: "success",
        queueMs: 20,
        durationMs: 25,
        topic: "orders",
        partition: 2,
        records: 10,
        bytesIn: 1e3,
        bytesOut: 20,
        sampleRate: 1,
      },
    ]);
  });

  test("for a handler that throws: its code, and the error goes on", async () => {
    const { lines, events } = bench();
    const failure = Object.assign(new Error("payload was 1234"), { code: "storage-error" });
    const failing = events.observe(identity, async () => {
      throw failure;
    });
    await expect(failing).rejects.toBe(failure);
    expect(lines).toMatchObject([{ outcome: "error", errorCode: "storage-error", level: "error" }]);
    expect(JSON.stringify(lines)).not.toContain("1234");
  });

  test("for a refusal that the handler states itself", async () => {
    const { lines, events } = bench();
    await events.observe(identity, async (event) => event.end("error", "topic-not-found"));
    expect(lines).toMatchObject([{ outcome: "error", errorCode: "topic-not-found" }]);
  });

  test("for a client that disconnects while it is being answered: the first end is the outcome", async () => {
    const { lines, events } = bench();
    for (const first of ["connection-lost", "timed-out", "aborted"] as const) {
      await events.observe(identity, async (event) => {
        await Promise.resolve();
        expect([event.end(first), event.end("connection-lost")]).toEqual([true, false]);
      });
    }
    expect(lines.map(({ outcome }) => outcome)).toEqual(["connection-lost", "timed-out", "aborted"]);
  });

  test("for a request that never started: it has waited all the time", () => {
    const { clock, lines, events } = bench();
    const event = events.begin(identity);
    clock.advance(50);
    event.end("timed-out", "request-timeout");
    expect(lines).toMatchObject([{ queueMs: 50, durationMs: 50 }]);
  });
});

describe("fields", () => {
  test("of requests that take turns do not mix", async () => {
    const { lines, events } = bench();
    const handle = (requestId: number, topic: string) =>
      events.observe({ ...identity, requestId }, async (event) => {
        await Promise.resolve();
        event.set({ topic });
        await Promise.resolve();
      });
    await Promise.all([handle(1, "one"), handle(2, "two")]);
    expect(lines.map(({ requestId, topic }) => [requestId, topic])).toEqual([
      [1, "one"],
      [2, "two"],
    ]);
  });

  test("off the list are dropped: no payload, no token, whoever passes them", async () => {
    const { lines, events } = bench();
    const planted = {
      topic: "orders",
      payload: "s3cret",
      token: "s3cret",
      authorization: "s3cret",
      key: "s3cret",
    };
    const identityWithToken = { ...identity, token: "s3cret" };
    await events.observe(identityWithToken, async (event) => event.set(planted));
    expect(lines[0]).toMatchObject({ topic: "orders" });
    expect(JSON.stringify(lines)).not.toContain("s3cret");
  });

  test("are cut when they are long, and codes that are not codes are left out", async () => {
    const { lines, events } = bench();
    const failing = events.observe({ ...identity, clientName: "n".repeat(9999) }, async (event) => {
      event.set({ topic: "t".repeat(9999) });
      throw Object.assign(new Error(), { code: "not a code: s3cret" });
    });
    await failing.catch(() => undefined);
    expect([lines[0]?.topic?.length, lines[0]?.clientName?.length, lines[0]?.errorCode]).toEqual([
      200,
      200,
      "internal",
    ]);
  });

  test("durations do not follow the wall clock", async () => {
    const { clock, lines, events } = bench();
    await events.observe(identity, async () => {
      clock.advance(10);
      clock.stepWallTime(-3_600_000);
    });
    expect(lines).toMatchObject([{ durationMs: 10, timeMs: clock.wallTimeMs() }]);
  });
});

describe("sampling", () => {
  test("keeps all errors and all slow requests, and of the rest a share that it states", async () => {
    const { clock, lines, events } = bench({ sampleRate: 0.01 });
    for (let request = 0; request < 5000; request++) {
      await events.observe(identity, async (event) => {
        if (request % 100 === 1) event.end("error", "overloaded");
        if (request % 100 === 2) clock.advance(100);
      });
    }
    const errors = lines.filter(({ outcome }) => outcome === "error");
    const slow = lines.filter(({ durationMs }) => durationMs >= 100);
    const sampled = lines.filter(({ outcome, durationMs }) => outcome === "success" && durationMs < 100);
    expect([errors.length, slow.length]).toEqual([50, 50]);
    expect(sampled.length).toBeGreaterThan(20);
    expect(sampled.length).toBeLessThan(90);
    expect(new Set(sampled.map(({ sampleRate }) => sampleRate))).toEqual(new Set([0.01]));
    expect(new Set([...errors, ...slow].map(({ sampleRate }) => sampleRate))).toEqual(new Set([1]));
    const { keptCount, sampledOutCount } = events.counts();
    expect(keptCount + sampledOutCount).toBe(5000);
  });

  test("nothing and everything are possible", () => {
    expect(bench({ sampleRate: 0 }).events.keeps("success", 1)).toBe(false);
    expect(bench({ sampleRate: 1 }).events.keeps("success", 1)).toBe(true);
  });
});

describe("the sink", () => {
  test("that never answers blocks nobody, and errors outlast successes in its queue", async () => {
    const { events } = bench({ sink: { write: () => new Promise(() => undefined) } });
    let answeredCount = 0;
    for (let request = 0; request < 30; request++) {
      void events
        .observe(identity, async (event) => request % 10 === 0 && event.end("error", "overloaded"))
        .then(() => answeredCount++);
      await settled();
    }
    expect(answeredCount).toBe(30);
    expect([events.queuedCount, events.counts().droppedCount]).toEqual([10, 19]);
  });

  test("that fails, at once or later, loses its line and nothing else", async () => {
    const lines: number[] = [];
    const sink: EventSink = {
      write({ requestId }) {
        if (requestId === 1) throw new Error("full");
        if (requestId === 2) return Promise.reject(new Error("gone"));
        lines.push(requestId);
        return undefined;
      },
    };
    const { events } = bench({ sink });
    for (const requestId of [1, 2, 3])
      expect(await events.observe({ ...identity, requestId }, async () => 5)).toBe(5);
    await settled();
    expect([lines, events.counts().failedCount, events.queuedCount]).toEqual([[3], 2, 0]);
  });

  test("that is slow gets lines in order, each after the one before", async () => {
    const clock = new VirtualClock();
    const written: number[] = [];
    const write = ({ requestId }: WideEvent) =>
      new Promise<void>((resolve) =>
        clock.after(10, () => {
          written.push(requestId);
          resolve();
        }),
      );
    const { events } = bench({ sink: { write } });
    for (const requestId of [1, 2, 3]) events.begin({ ...identity, requestId }).end("success");
    await clock.advanceAsync(25);
    expect(written).toEqual([1, 2]);
    await clock.advanceAsync(10);
    expect(written).toEqual([1, 2, 3]);
  });
});
