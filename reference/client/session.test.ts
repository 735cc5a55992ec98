import { expect, test, vi } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { encodeErrorReply } from "#reference/protocol/messages-codec.ts";
import { errorCodeOf } from "#reference/protocol/errors.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import type { ProtocolError } from "./protocol-error.ts";
import type { ReadReply, SessionOptions } from "./request.ts";
import { Session } from "./session.ts";

const oneByte: ReadReply<number> = (bytes, _view, start, end) =>
  end - start === 1 ? bytes[start] : undefined;
const payload = new Uint8Array([7, 7, 7]);
const requestBytes = 16 + payload.length + 4;

function setUp(options: Partial<SessionOptions> = {}) {
  const clock = new VirtualClock();
  const connection = new ScriptedConnection();
  const session = new Session(connection, { clock, requestTimeoutMs: 1_000, ...options });
  const send = (more: Parameters<Session["request"]>[3] = {}) => session.request(1, payload, oneByte, more);
  /** Sends one request whose outcome is written down: its value, or the name of its error. */
  const outcomes: (number | string)[] = [];
  const note = (index: number, more: Parameters<Session["request"]>[3] = {}) =>
    void send(more).then(
      (value) => void (outcomes[index] = value),
      (error: ProtocolError) => void (outcomes[index] = error.name),
    );
  const reply = (requestId: bigint, value: number) =>
    connection.deliverResponse({ requestId, payload: new Uint8Array([value]) });
  return { clock, connection, session, send, note, outcomes, reply };
}

test("requests of one turn leave in one write, each with an id of its own", async () => {
  const { connection, note } = setUp();
  for (let index = 0; index < 5; index++) note(index);
  expect(connection.writes).toHaveLength(0);
  await settled();
  expect(connection.writes).toHaveLength(1);
  expect(connection.takeRequests().map(({ requestId }) => requestId)).toEqual([1n, 2n, 3n, 4n, 5n]);
});

test("answers that come in another order find their own requests", async () => {
  const { note, outcomes, reply, session } = setUp();
  note(0);
  note(1);
  await settled();
  reply(2n, 22);
  reply(1n, 11);
  await settled();
  expect(outcomes).toEqual([11, 22]);
  expect(session.openRequests).toBe(0);
});

test("a doubled answer and one to nobody are counted and change nothing", async () => {
  const { note, outcomes, reply, session } = setUp();
  note(0);
  await settled();
  reply(1n, 11);
  reply(1n, 12);
  reply(99n, 13);
  await settled();
  expect(outcomes).toEqual([11]);
  expect(session.ignoredReplies).toBe(2);
});

test("a thousand requests without an answer time out and leave neither an entry nor a timer", async () => {
  const { clock, note, outcomes, session } = setUp();
  for (let index = 0; index < 1000; index++) note(index);
  clock.advance(999);
  expect(session.openRequests).toBe(1000);
  clock.advance(1);
  await settled();
  expect(new Set(outcomes)).toEqual(new Set(["request-timeout"]));
  expect(session.openRequests).toBe(0);
  expect(clock.activeTimers).toBe(0);
});

test("each request has its own deadline, whatever the order of sending", async () => {
  const { clock, note, outcomes } = setUp();
  note(0, { timeoutMs: 500 });
  note(1, { timeoutMs: 100 });
  note(2, { timeoutMs: 300 });
  clock.advance(100);
  await settled();
  expect(outcomes).toEqual([undefined, "request-timeout"]);
  clock.advance(200);
  await settled();
  expect(outcomes).toEqual([undefined, "request-timeout", "request-timeout"]);
  clock.advance(200);
  await settled();
  expect(outcomes).toEqual(["request-timeout", "request-timeout", "request-timeout"]);
});

test("an answer after the deadline does not reach a later request", async () => {
  const { clock, note, outcomes, reply, session } = setUp();
  note(0);
  await settled();
  clock.advance(1_000);
  note(1);
  await settled();
  reply(1n, 11);
  await settled();
  expect(outcomes).toEqual(["request-timeout"]);
  expect(session.ignoredReplies).toBe(1);
  reply(2n, 22);
  await settled();
  expect(outcomes).toEqual(["request-timeout", 22]);
});

test("the deadline runs while the request waits for a peer that does not read", async () => {
  const { clock, connection, note, outcomes } = setUp();
  connection.windowBytes = 1;
  note(0);
  await settled();
  clock.advance(600);
  note(1);
  await settled();
  clock.advance(400);
  await settled();
  expect(outcomes).toEqual(["request-timeout"]);
  clock.advance(599);
  expect(outcomes).toHaveLength(1);
  clock.advance(1);
  await settled();
  expect(outcomes).toEqual(["request-timeout", "request-timeout"]);
});

test("writing stops when the connection says so, and goes on after the drain", async () => {
  const { connection, note, session } = setUp();
  connection.windowBytes = 1;
  note(0);
  await settled();
  note(1);
  note(2);
  await settled();
  expect(connection.writes).toHaveLength(1);
  expect(session.isWritable).toBe(false);
  expect(session.bufferedBytes).toBe(2 * requestBytes);
  connection.windowBytes = 1_000;
  connection.drain();
  expect(connection.takeRequests()).toHaveLength(3);
  expect(session.bufferedBytes).toBe(0);
});

test("what waits for the connection stays below the high-water mark; beyond it a request is refused", async () => {
  const bufferBytesMax = 10 * requestBytes;
  const { connection, note, outcomes, session } = setUp({ bufferBytesMax });
  connection.windowBytes = 1;
  note(0);
  await settled();
  for (let index = 1; index <= 100; index++) {
    note(index);
    await settled();
    expect(session.bufferedBytes).toBeLessThanOrEqual(bufferBytesMax);
  }
  expect(outcomes.filter((outcome) => outcome === "buffer-full")).toHaveLength(90);
  expect(session.openRequests).toBe(11);
});

test("writable resolves when the connection takes data again", async () => {
  const { connection, note, session } = setUp();
  connection.windowBytes = 1;
  note(0);
  await settled();
  const proceeded = vi.fn<(value?: unknown) => void>();
  void session.writable().then(proceeded);
  await settled();
  expect(proceeded).not.toHaveBeenCalled();
  connection.drain();
  await settled();
  expect(proceeded).toHaveBeenCalledOnce();
});

test("an answer that does not fit its request fails that request alone", async () => {
  const { connection, note, outcomes, reply, session } = setUp();
  note(0);
  note(1);
  await settled();
  connection.deliverResponse({ requestId: 1n, payload: new Uint8Array([1, 2, 3]) });
  reply(2n, 22);
  await settled();
  expect(outcomes).toEqual(["invalid-reply", 22]);
  expect(session.isOpen).toBe(true);
});

test("a corrupt frame fails every open request and ends the connection", async () => {
  const { connection, note, outcomes, session } = setUp();
  note(0);
  note(1);
  await settled();
  connection.deliver(new Uint8Array([0, 0, 0, 14, ...Array<number>(14).fill(1)]));
  await settled();
  expect(outcomes).toEqual(["corrupt-message", "corrupt-message"]);
  expect(connection.state).toBe("destroyed");
  expect(session.isOpen).toBe(false);
});

test("an error reply rejects with its row of the table, its message and its waiting time", async () => {
  const { connection, send } = setUp();
  const sent = send();
  await settled();
  connection.deliverResponse({
    requestId: 1n,
    status: 1,
    errorCode: errorCodeOf("overloaded"),
    payload: encodeErrorReply("budget of 64 MiB is used up", 250),
  });
  await expect(sent).rejects.toMatchObject({
    name: "overloaded",
    code: 17,
    isRetriable: true,
    message: "budget of 64 MiB is used up",
    retryAfterMs: 250,
  });
});

test("an unknown error code is reported as it is, and is not retriable", async () => {
  const { connection, send } = setUp();
  const sent = send();
  await settled();
  connection.deliverResponse({ requestId: 1n, status: 1, errorCode: 999 });
  await expect(sent).rejects.toMatchObject({ name: "unknown-error", code: 999, isRetriable: false });
});

test("a reader that throws fails its own request; one that waits holds up no other", async () => {
  const { connection, session } = setUp();
  const never = session.request(1, payload, () => new Promise<number>(() => {}));
  const throwing = session.request(1, payload, () => {
    throw new Error("my bug");
  });
  const plain = session.request(1, payload, oneByte);
  await settled();
  for (const requestId of [1n, 2n, 3n])
    connection.deliverResponse({ requestId, payload: new Uint8Array([9]) });
  await expect(throwing).rejects.toThrow("my bug");
  await expect(plain).resolves.toBe(9);
  await expect(Promise.race([never, Promise.resolve("waits")])).resolves.toBe("waits");
});

test("a thousand aborted requests leave no entry, no timer and no listener", async () => {
  const { clock, note, outcomes, session, reply } = setUp();
  const controller = new AbortController();
  const removed = vi.spyOn(controller.signal, "removeEventListener");
  for (let index = 0; index < 1000; index++) note(index, { signal: controller.signal });
  controller.abort();
  await settled();
  expect(new Set(outcomes)).toEqual(new Set(["request-aborted"]));
  expect(session.openRequests).toBe(0);
  expect(clock.activeTimers).toBe(0);
  expect(removed).toHaveBeenCalledTimes(1000);
  reply(5n, 5);
  expect(session.ignoredReplies).toBe(1);
});

test("a signal that has fired already sends nothing", async () => {
  const { connection, send } = setUp();
  await expect(send({ signal: AbortSignal.abort("no") })).rejects.toMatchObject({ name: "request-aborted" });
  await settled();
  expect(connection.writes).toHaveLength(0);
});

test("close refuses new requests, waits for the open ones and then ends in order", async () => {
  const { clock, connection, note, outcomes, reply, session, send } = setUp();
  note(0);
  await settled();
  const closed = vi.fn<(value?: unknown) => void>();
  void session.close().then(closed);
  await expect(send()).rejects.toMatchObject({ name: "client-closed" });
  expect(connection.state).toBe("open");
  reply(1n, 11);
  await settled();
  expect(outcomes).toEqual([11]);
  expect(closed).toHaveBeenCalledOnce();
  expect(connection.state).toBe("ended");
  expect(clock.activeTimers).toBe(0);
});

test("close does not wait for answers that nobody wants any more", async () => {
  const { connection, note, session } = setUp();
  const controller = new AbortController();
  note(0, { signal: controller.signal });
  await settled();
  controller.abort();
  await session.close();
  expect(connection.state).toBe("destroyed");
});

test("a connection that ends fails what is open, once, and lets nothing else wait", async () => {
  const { clock, connection, note, outcomes, session, send } = setUp();
  const ended = vi.fn<(value?: unknown) => void>();
  session.onEnd = ended;
  note(0);
  await settled();
  connection.vanish(new Error("reset"));
  await settled();
  expect(outcomes).toEqual(["connection-closed"]);
  expect(ended).toHaveBeenCalledOnce();
  expect([session.openRequests, session.bufferedBytes, clock.activeTimers]).toEqual([0, 0, 0]);
  await expect(send()).rejects.toMatchObject({ name: "connection-closed" });
});

test("an end in the middle of a frame says so", async () => {
  const { connection, note, outcomes } = setUp();
  note(0);
  await settled();
  connection.deliver(new Uint8Array([0, 0, 0, 20, 1, 2]));
  connection.vanish();
  await settled();
  expect(outcomes).toEqual(["truncated-frame"]);
});

test("a stream takes replies until the last, and fails once when the connection ends", async () => {
  const { clock, connection, session } = setUp();
  const got: number[] = [];
  const failed = vi.fn<(value?: unknown) => void>();
  session.stream(12, payload, { reply: (bytes, _view, start) => got.push(bytes.at(start)!) === 3, failed });
  session.stream(12, payload, { reply: () => false, failed });
  await settled();
  for (const value of [1, 2, 3, 4]) {
    connection.deliverResponse({ requestId: 1n, payload: new Uint8Array([value]) });
    clock.advance(900);
  }
  expect(got).toEqual([1, 2, 3]);
  expect(failed).toHaveBeenCalledOnce();
  expect(failed.mock.calls[0]?.[0]).toMatchObject({ name: "request-timeout" });
  expect(session.openRequests).toBe(0);
});

test("under any mix of replies, losses, doubles, aborts and deadlines each request settles exactly once", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const { clock, connection, session } = setUp({ bufferBytesMax: 60 * requestBytes });
    const settles: number[] = [];
    for (let step = 0; step < 300; step++) {
      connection.windowBytes = random.nextBetween(1, 500);
      if (random.nextChance(0.6)) {
        const index = settles.push(0) - 1;
        const controller = new AbortController();
        const count = (): void => void settles.splice(index, 1, settles.at(index)! + 1);
        session.request(1, payload, oneByte, { signal: controller.signal }).then(count, count);
        if (random.nextChance(0.1)) controller.abort();
      }
      const requestId = BigInt(random.nextBetween(1, settles.length + 2));
      if (random.nextChance(0.5)) connection.deliverResponse({ requestId, payload: new Uint8Array([1]) });
      if (random.nextChance(0.3)) connection.drain();
      clock.advance(random.nextBetween(0, 30));
      await Promise.resolve();
    }
    clock.advance(1_000);
    await settled();
    expect(new Set(settles), `seed ${seed}`).toEqual(new Set([1]));
    expect([session.openRequests, clock.activeTimers], `seed ${seed}`).toEqual([0, 0]);
  }
});
