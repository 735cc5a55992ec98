/**
 * The suite of E1.5: many requests over one connection. The peer is played by the suite, byte for byte, and time stands
 * still until the suite moves it. Requests are known by their names, which are their payloads; whatever ids the subject
 * gives them, the peer reads them off the wire.
 */
import { describe, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { ProtocolError } from "#reference/client/protocol-error.ts";
import { protocolError } from "#reference/client/protocol-error.ts";
import type { ReadReply, RequestOptions, SessionOptions } from "#reference/client/request.ts";
import { errorCodeOf, type ErrorName } from "#reference/protocol/errors.ts";
import type { RequestFrame, ResponseFrame } from "#reference/protocol/frame.ts";
import { decodeRequest, encodeResponse } from "#reference/protocol/frame.ts";
import { encodeErrorReply } from "#reference/protocol/messages-codec.ts";
import { VirtualClock, settled } from "#reference/testing/clock.ts";
import { ScriptedConnection } from "#reference/testing/scripted-connection.ts";
import { expectEqual, expectThat, fail, formatValue, run } from "#exercises/lib/check.ts";
import { seed } from "#exercises/lib/seed.ts";
import { TodoError } from "#exercises/lib/todo.ts";
import { Session } from "./session.ts";

/** A caller's signal that can be fired and counts who listens. */
class Signal {
  aborted = false;
  reason: unknown = undefined;
  readonly listeners = new Set<() => void>();

  addEventListener(_type: "abort", listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.listeners.delete(listener);
  }

  fire(reason: unknown): void {
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.listeners) listener();
  }
}

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What the callers of this suite make of a reply: its text. */
const readText: ReadReply<string> = (bytes, _view, start, end) => textOf(bytes.subarray(start, end));

/** Stops a subject that sets its timer to "now" again and again: no time passes, and no test ends. */
class PatientClock extends VirtualClock {
  #atOnce = 0;
  #atMs = 0;

  override after(delayMs: number, callback: () => void): () => void {
    const nowMs = this.monotonicTimeMs();
    this.#atOnce = nowMs === this.#atMs && delayMs <= 0 ? this.#atOnce + 1 : 0;
    this.#atMs = nowMs;
    expectThat(this.#atOnce < 2_000, "a timer that is due at once is set again and again", {
      expected: "what is due is dealt with, and the timer set to a later time",
      actual: `2,000 timers of ${delayMs} ms at ${nowMs} ms`,
    });
    return super.after(delayMs, callback);
  }
}

/** One session, its peer, and everything that happened, in order. */
class Play {
  readonly clock = new PatientClock();
  readonly connection: ScriptedConnection;
  readonly session: Session;
  readonly timeline: string[] = [];
  /** What became of each request; a second settlement would stand behind the first. */
  readonly outcomes: Record<string, string> = {};
  readonly errors: Record<string, ProtocolError> = {};
  readonly ends: string[] = [];
  /** What the peer has read, in the order of the wire. */
  readonly sent: { readonly name: string; readonly frame: RequestFrame }[] = [];
  #unwritten: TodoError | undefined = undefined;

  constructor(options: Partial<SessionOptions> = {}, connection = new ScriptedConnection()) {
    this.connection = connection;
    this.session = run("making a session", () => {
      return new Session(connection, { clock: this.clock, requestTimeoutMs: 1_000, ...options });
    });
    this.session.onEnd = (reason) => {
      this.note(`the session says that it has ended: ${reason.name}`);
      this.ends.push(reason.name);
    };
  }

  note(line: string): void {
    this.timeline.push(`${String(this.clock.monotonicTimeMs()).padStart(6)} ms  ${line}`);
  }

  /** Sends a request; what becomes of it is written down under its name. */
  request(name: string, options: RequestOptions = {}, read: ReadReply<string> = readText): void {
    this.note(
      `request ${name}${options.timeoutMs === undefined ? "" : `, to be answered in ${options.timeoutMs} ms`}`,
    );
    const promise = this.run(`request ${name}`, () => this.session.request(1, text(name), read, options));
    expectThat(promise instanceof Promise, `request ${name} gave no promise`);
    promise.then(
      (value) => this.#settle(name, `value ${value}`),
      (error: unknown) => {
        if (error instanceof TodoError) this.#unwritten = error;
        this.errors[name] = error as ProtocolError;
        this.#settle(name, error instanceof Error ? error.name : String(error));
      },
    );
  }

  #settle(name: string, outcome: string): void {
    this.note(`${name} settles: ${outcome}`);
    const before = this.outcomes[name];
    this.outcomes[name] = before === undefined ? outcome : `${before}, then ${outcome}`;
  }

  /** Calls the subject, with the timeline beside whatever goes wrong. */
  run<Result>(what: string, call: () => Result): Result {
    const result = run(what, call, () => ({ where: this.where() }));
    if (this.#unwritten !== undefined) throw this.#unwritten;
    return result;
  }

  where(): string {
    const shown = this.timeline.slice(-14);
    const earlier = this.timeline.length - shown.length;
    return [...(earlier > 0 ? [`(${earlier} earlier)`] : []), ...shown].join("\n");
  }

  /** Lets the turn end: promises settle, and what is due leaves. The peer reads what has come. */
  async turn(): Promise<void> {
    await settled();
    if (this.#unwritten !== undefined) throw this.#unwritten;
    this.read();
  }

  read(): void {
    for (let rest = this.connection.take(); rest.length > 0;) {
      const decoded = decodeRequest(rest);
      if (decoded.kind !== "frame") {
        fail("the peer read something that is no request", {
          actual: formatValue(decoded),
          where: this.where(),
        });
      }
      const name = textOf(decoded.frame.payload);
      this.note(`the peer reads request ${name} with id ${decoded.frame.requestId}`);
      this.sent.push({ name, frame: decoded.frame });
      rest = rest.subarray(decoded.size);
    }
  }

  async pass(ms: number): Promise<void> {
    await settled();
    this.run(`${ms} ms pass`, () => this.clock.advance(ms));
    await this.turn();
  }

  idOf(name: string): bigint {
    const found = this.sent.find((request) => request.name === name);
    if (found !== undefined) return found.frame.requestId;
    return fail(`request ${name} has not reached the peer`, { where: this.where() });
  }

  /** The peer answers. */
  reply(name: string, value: string, more: Partial<ResponseFrame> = {}): void {
    this.answer(this.idOf(name), { payload: text(value), ...more }, `the peer answers ${name} with ${value}`);
  }

  refuse(name: string, error: ErrorName, message = "no", retryAfterMs = 0): void {
    const payload = encodeErrorReply(message, retryAfterMs);
    const frame = { status: 1, errorCode: errorCodeOf(error), payload } as const;
    this.answer(this.idOf(name), frame, `the peer answers ${name} with the error ${error}`);
  }

  answer(requestId: bigint, frame: Partial<ResponseFrame>, what: string): void {
    this.note(what);
    this.run(what, () => this.connection.deliverResponse({ requestId, ...frame }));
  }

  deliver(bytes: Uint8Array, what: string): void {
    this.note(what);
    this.run(what, () => this.connection.deliver(bytes));
  }

  vanish(reason?: Error): void {
    const what =
      reason === undefined ? "the peer ends the stream" : `the connection breaks: ${reason.message}`;
    this.note(what);
    this.run(what, () => this.connection.vanish(reason));
  }

  drain(): void {
    this.note("the peer has read everything");
    this.run("a drain", () => this.connection.drain());
    this.read();
  }

  close(): { isDone: boolean } {
    this.note("close");
    const state = { isDone: false };
    const promise = this.run("close", () => this.session.close());
    void promise.then(() => {
      this.note("close resolves");
      state.isDone = true;
    });
    return state;
  }

  expect(what: string, actual: unknown, expected: unknown): void {
    expectEqual(what, actual, expected, { where: this.where() });
  }

  expectOutcomes(expected: Record<string, string>): void {
    this.expect("what became of the requests", this.outcomes, expected);
  }

  /** Nothing may be left of requests that have settled. */
  expectNothingLeft(): void {
    this.expect("requests in the table", this.session.openRequests, 0);
    this.expect("timers that still run", this.clock.activeTimers, 0);
  }
}

const names = (count: number, prefix = "r"): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

/** Every order of the items. */
function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, index) =>
    permutations(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}

/** A peer in the same page: it answers while it is being written to. */
class AnsweringConnection extends ScriptedConnection {
  override write(bytes: Uint8Array): boolean {
    const takesMore = super.write(bytes);
    for (const { requestId } of this.takeRequests()) {
      this.deliverResponse({ requestId, payload: text("at once") });
    }
    return takesMore;
  }
}

describe("requests and answers", () => {
  test("a request leaves by the end of the turn, and its answer settles it", async () => {
    const play = new Play();
    play.request("A");
    play.expect("requests in the table", play.session.openRequests, 1);
    await play.turn();
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      ["A"],
    );
    play.reply("A", "one");
    await play.turn();
    play.expectOutcomes({ A: "value one" });
    play.expectNothingLeft();
  });

  test("the frame has the type, the session's version, the flags and the whole payload", async () => {
    const play = new Play();
    play.session.version = 3;
    play.run("a request", () => {
      const options = { flags: 0x0102, tail: text("-tail") };
      void play.session.request(9, text("head"), readText, options).catch(() => {});
    });
    await play.turn();
    const frame = play.sent[0]?.frame;
    play.expect(
      "type, version, flags, payload",
      frame && [frame.type, frame.version, frame.flags, textOf(frame.payload)],
      [9, 3, 0x0102, "head-tail"],
    );
    play.expect("whether its id is 0, which stands for no request", frame?.requestId === 0n, false);
  });

  test("answers find their own requests, in whatever order they come", async () => {
    for (const order of permutations(["A", "B", "C", "D"])) {
      const play = new Play();
      for (const name of ["A", "B", "C", "D"]) play.request(name);
      await play.turn();
      for (const name of order) play.reply(name, `to ${name}`);
      await play.turn();
      play.expectOutcomes({ A: "value to A", B: "value to B", C: "value to C", D: "value to D" });
      play.expectNothingLeft();
    }
  });

  test("an answer may come while its request is still being written", async () => {
    const play = new Play({}, new AnsweringConnection());
    for (const name of names(150)) play.request(name);
    await play.turn();
    const expected = Object.fromEntries(names(150).map((name) => [name, "value at once"]));
    play.expectOutcomes(expected);
    play.expect("ignoredReplies", play.session.ignoredReplies, 0);
    play.expectNothingLeft();
  });

  test("no id is used twice, whatever became of the requests before", async () => {
    const play = new Play();
    const signal = new Signal();
    for (let round = 0; round < 20; round++) {
      for (const name of names(3, `${round}.`)) play.request(name, round % 3 === 0 ? { signal } : {});
      await play.turn();
      play.reply(`${round}.1`, "yes");
      if (round % 4 === 1) await play.pass(1_000);
    }
    const ids = new Set(play.sent.map(({ frame }) => frame.requestId));
    play.expect("different ids among 60 requests", ids.size, 60);
  });

  test("an answer that comes twice, and one to nobody, are counted and change nothing", async () => {
    const play = new Play();
    play.request("A");
    play.request("B");
    await play.turn();
    play.reply("A", "one");
    play.reply("A", "two");
    play.answer(987_654_321n, { payload: text("three") }, "the peer answers a request that never was");
    play.answer(0n, { payload: text("four") }, "the peer answers request 0");
    await play.turn();
    play.expectOutcomes({ A: "value one" });
    play.expect("ignoredReplies", play.session.ignoredReplies, 3);
    play.expect("requests in the table", play.session.openRequests, 1);
    play.expect("isOpen", play.session.isOpen, true);
    play.reply("B", "five");
    await play.turn();
    play.expectOutcomes({ A: "value one", B: "value five" });
  });

  test("an id has 64 bits: an answer whose upper half differs is another's", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    play.answer(play.idOf("A") + 2n ** 32n, { payload: text("no") }, "the peer answers A's id plus 2^32");
    await play.turn();
    play.expectOutcomes({});
    play.expect("ignoredReplies", play.session.ignoredReplies, 1);
    play.reply("A", "yes");
    await play.turn();
    play.expectOutcomes({ A: "value yes" });
  });

  test("the payload is copied: the caller may use its array again at once", async () => {
    const play = new Play();
    const [payload, tail] = [text("AAAA"), text("TTTT")];
    play.run("a request", () => void play.session.request(1, payload, readText, { tail }).catch(() => {}));
    payload.fill(0x2a);
    tail.fill(0x2a);
    await play.turn();
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      ["AAAATTTT"],
    );
  });
});

describe("what an answer may be", () => {
  test("an error answer rejects with its row of the table, its message and its waiting time", async () => {
    const play = new Play();
    play.request("A");
    play.request("B");
    await play.turn();
    play.refuse("A", "overloaded", "64 MiB are used up", 250);
    play.reply("B", "yes");
    await play.turn();
    play.expectOutcomes({ A: "overloaded", B: "value yes" });
    const { code, isRetriable, message, retryAfterMs } = play.errors["A"]!;
    play.expect(
      "the error of A",
      [code, isRetriable, message, retryAfterMs],
      [17, true, "64 MiB are used up", 250],
    );
    play.expectNothingLeft();
  });

  test("an error code of a newer server, and an error without a message, are still errors", async () => {
    const play = new Play();
    play.request("A");
    play.request("B");
    await play.turn();
    const bare = { status: 1, errorCode: 60_000, payload: text("") } as const;
    play.answer(play.idOf("A"), bare, "the peer answers A with error 60000 and no message");
    const garbled = { status: 1, errorCode: 12, payload: text("?") } as const;
    play.answer(
      play.idOf("B"),
      garbled,
      "the peer answers B with error 12 and a message that cannot be read",
    );
    await play.turn();
    play.expectOutcomes({ A: "unknown-error", B: "topic-not-found" });
    play.expect("the code of A", play.errors["A"]?.code, 60_000);
  });

  test("the reader gets exactly the payload and the status, of a success and of a partial one", async () => {
    const play = new Play();
    const seen: string[] = [];
    const read: ReadReply<string> = (bytes, view, start, end, status) => {
      expectThat(view.getUint8(start - 1) === bytes[start - 1], "the view does not cover the bytes");
      seen.push(`status ${status}: ${textOf(bytes.subarray(start, end))}`);
      return "read";
    };
    for (const name of ["A", "B", "C"]) play.request(name, {}, read);
    await play.turn();
    play.reply("A", "whole");
    play.reply("B", "part", { status: 2, errorCode: 15 });
    play.reply("C", "");
    await play.turn();
    play.expect("what the readers saw", seen, ["status 0: whole", "status 2: part", "status 0: "]);
    play.expectOutcomes({ A: "value read", B: "value read", C: "value read" });
  });

  test("a value that is falsy is a value", async () => {
    const play = new Play();
    const values: unknown[] = [];
    for (const value of [0, "", false, null, 0n]) {
      play.run("a request", () => {
        void play.session
          .request<unknown>(1, text(`v${values.length}`), () => value)
          .then(
            (got) => values.push(got),
            (error: Error) => values.push(`rejected: ${error.name}`),
          );
      });
      await play.turn();
      play.answer(play.sent.at(-1)!.frame.requestId, {}, "the peer answers");
      await play.turn();
    }
    play.expect("the values", values, [0, "", false, null, 0n]);
  });

  test("an answer that does not fit its request fails that request alone", async () => {
    const play = new Play();
    play.request("A", {}, () => undefined);
    for (const name of ["B", "C", "D", "E"]) play.request(name);
    await play.turn();
    play.reply("A", "nonsense");
    for (const [name, status] of [
      ["B", 3],
      ["C", 255],
    ] as const) {
      const frame = encoded({ requestId: play.idOf(name), status: 0, errorCode: 0, payload: text("zz") });
      play.deliver(resealed(frame, status), `the peer answers ${name} with the status ${status}`);
    }
    const short = encoded({ requestId: play.idOf("D"), status: 0, errorCode: 0, payload: text("z") });
    play.deliver(resealed(short, 1), "the peer answers D with status 1 and half an error code");
    play.reply("E", "fine");
    await play.turn();
    const bad = "invalid-reply";
    play.expectOutcomes({ A: bad, B: bad, C: bad, D: bad, E: "value fine" });
    play.expect("isOpen", play.session.isOpen, true);
    play.expect("the connection", play.connection.state, "open");
    play.expectNothingLeft();
  });

  test("a reader that throws fails its own request, and those in the same chunk get their answers", async () => {
    const play = new Play();
    play.request("A", {}, () => {
      throw new RangeError("my bug");
    });
    play.request("B");
    await play.turn();
    const answers = ["A", "B"].map((name) =>
      encoded({ requestId: play.idOf(name), status: 0, errorCode: 0, payload: text("yes") }),
    );
    play.deliver(
      Uint8Array.from(answers.flatMap((frame) => [...frame])),
      "the peer answers A and B in one chunk",
    );
    await play.turn();
    play.expectOutcomes({ A: "RangeError", B: "value yes" });
    play.expect("isOpen", play.session.isOpen, true);
    play.expectNothingLeft();
  });

  test("a reader that takes its time holds up nobody", async () => {
    const play = new Play();
    let finish = (_value: string): void => {};
    play.request("A", {}, () => new Promise<string>((resolve) => (finish = resolve)));
    play.request("B");
    await play.turn();
    play.reply("A", "slow");
    play.reply("B", "fast");
    await play.turn();
    play.expectOutcomes({ B: "value fast" });
    finish("slow at last");
    await play.turn();
    play.expectOutcomes({ B: "value fast", A: "value slow at last" });
  });

  test("a stream takes answers until its last; only the first has a deadline", async () => {
    const play = new Play();
    const got: string[] = [];
    const failures: string[] = [];
    const stream = (name: string): void => {
      play.run(`stream ${name}`, () =>
        play.session.stream(12, text(name), {
          reply: (bytes, _view, start, end): boolean => {
            got.push(textOf(bytes.subarray(start, end)));
            return got.at(-1) === "three";
          },
          failed: (error) => failures.push((error as Error).name),
        }),
      );
    };
    stream("S");
    await play.turn();
    for (const value of ["one", "two", "three", "four"]) {
      play.reply("S", value);
      await play.pass(5_000);
    }
    play.expect("what the stream got", got, ["one", "two", "three"]);
    play.expect("failures of the stream", failures, []);
    play.expect("ignoredReplies", play.session.ignoredReplies, 1);
    play.expectNothingLeft();
    stream("T");
    await play.pass(1_000);
    play.expect("failures of a stream that nobody answers", failures, ["request-timeout"]);
    stream("U");
    await play.turn();
    play.reply("U", "five");
    play.vanish(new Error("reset"));
    await play.turn();
    play.expect("failures when the connection ends", failures, ["request-timeout", "connection-closed"]);
  });
});

function encoded(frame: ResponseFrame): Uint8Array {
  const bytes = encodeResponse(frame);
  return bytes instanceof Uint8Array ? bytes : fail(bytes.message);
}

/** The same response with another status byte, its checksum made anew. */
function resealed(frame: Uint8Array, status: number): Uint8Array {
  const bytes = frame.slice();
  bytes[12] = status;
  const view = new DataView(bytes.buffer);
  view.setUint32(bytes.length - 4, crcOf(bytes.subarray(0, bytes.length - 4)));
  return bytes;
}

function crcOf(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe("deadlines", () => {
  test("a request that is not answered in time fails, then and not before", async () => {
    const play = new Play();
    play.request("A");
    await play.pass(999);
    play.expectOutcomes({});
    await play.pass(1);
    play.expectOutcomes({ A: "request-timeout" });
    play.expectNothingLeft();
  });

  test("each request has its own deadline, whatever the order of sending", async () => {
    for (const order of permutations([100, 250, 400])) {
      const play = new Play();
      for (const timeoutMs of order) {
        play.request(`T${timeoutMs}`, { timeoutMs });
        await play.turn();
      }
      for (const [step, expected] of [
        [99, {}],
        [1, { T100: "request-timeout" }],
        [149, { T100: "request-timeout" }],
        [1, { T100: "request-timeout", T250: "request-timeout" }],
        [150, { T100: "request-timeout", T250: "request-timeout", T400: "request-timeout" }],
      ] as const) {
        await play.pass(step);
        play.expectOutcomes(expected);
      }
      play.expectNothingLeft();
    }
  });

  test("deadlines that lie a millisecond apart are kept apart", async () => {
    const play = new Play();
    for (const timeoutMs of [102, 100, 101]) play.request(`T${timeoutMs}`, { timeoutMs });
    await play.pass(100);
    play.expectOutcomes({ T100: "request-timeout" });
    await play.pass(1);
    play.expectOutcomes({ T100: "request-timeout", T101: "request-timeout" });
    play.reply("T102", "in time");
    await play.turn();
    play.expectOutcomes({ T100: "request-timeout", T101: "request-timeout", T102: "value in time" });
    play.expectNothingLeft();
  });

  test("a deadline counts from its own request, also when others were sent before and answered", async () => {
    const play = new Play();
    play.request("A");
    await play.pass(600);
    play.request("B");
    await play.pass(300);
    play.reply("A", "yes");
    await play.pass(699);
    play.expectOutcomes({ A: "value yes" });
    await play.pass(1);
    play.expectOutcomes({ A: "value yes", B: "request-timeout" });
    play.request("C");
    await play.pass(999);
    play.expectOutcomes({ A: "value yes", B: "request-timeout" });
    await play.pass(1);
    play.expectOutcomes({ A: "value yes", B: "request-timeout", C: "request-timeout" });
    play.expectNothingLeft();
  });

  test("the deadline runs while the bytes wait for a peer that does not read", async () => {
    const play = new Play();
    play.connection.windowBytes = 1;
    play.request("A");
    await play.pass(100);
    play.request("B");
    await play.pass(900);
    play.expectOutcomes({ A: "request-timeout" });
    await play.pass(99);
    play.drain();
    await play.turn();
    play.expectOutcomes({ A: "request-timeout" });
    await play.pass(1);
    play.expectOutcomes({ A: "request-timeout", B: "request-timeout" });
  });

  test("an answer after the deadline reaches nobody, least of all a later request", async () => {
    const play = new Play();
    play.request("A");
    await play.pass(1_000);
    play.request("B");
    await play.turn();
    play.reply("A", "late");
    await play.turn();
    play.expectOutcomes({ A: "request-timeout" });
    play.expect("ignoredReplies", play.session.ignoredReplies, 1);
    play.reply("B", "in time");
    await play.turn();
    play.expectOutcomes({ A: "request-timeout", B: "value in time" });
  });

  test("a thousand time-outs leave nothing in the table", async () => {
    const play = new Play();
    for (const name of names(1_000)) play.request(name);
    await play.pass(1_000);
    const outcomes = Object.values(play.outcomes);
    play.expect("different outcomes", [...new Set(outcomes)], ["request-timeout"]);
    play.expect("settled requests", outcomes.length, 1_000);
    play.expectNothingLeft();
    play.expect("bytes that wait", play.session.bufferedBytes, 0);
  });

  test("one timer serves all deadlines, and none runs while nothing is open", async () => {
    const play = new Play();
    play.expect("timers before the first request", play.clock.activeTimers, 0);
    for (let index = 0; index < 50; index++) {
      play.request(`r${index}`, { timeoutMs: 1_000 - 5 * index + ((index * 37) % 50) });
      if (index % 7 === 0) await play.pass(1);
      expectThat(
        play.clock.activeTimers <= 1,
        `${play.clock.activeTimers} timers for ${index + 1} requests`,
        {
          expected: "one timer",
          actual: `${play.clock.activeTimers} timers`,
          where: play.where(),
        },
      );
    }
    await play.turn();
    for (let index = 0; index < 50; index++) play.reply(`r${index}`, "yes");
    await play.turn();
    play.expectNothingLeft();
  });
});

describe("giving up", () => {
  test("an aborted request fails at once, with the caller's reason, and no other does", async () => {
    const play = new Play();
    const signal = new Signal();
    play.request("A", { signal });
    play.request("B");
    await play.turn();
    play.note("the caller of A gives up");
    play.run("an abort", () => signal.fire("too slow"));
    await play.turn();
    play.expectOutcomes({ A: "request-aborted" });
    play.expect("the cause", play.errors["A"]?.cause, "too slow");
    play.expect("requests in the table", play.session.openRequests, 1);
    play.reply("A", "late");
    play.reply("B", "yes");
    await play.turn();
    play.expectOutcomes({ A: "request-aborted", B: "value yes" });
    play.expect("ignoredReplies", play.session.ignoredReplies, 1);
    play.expectNothingLeft();
  });

  test("a thousand aborted requests leave no entry, no timer and no listener", async () => {
    const play = new Play();
    const signal = new Signal();
    for (const name of names(1_000)) play.request(name, { signal });
    await play.turn();
    play.run("an abort", () => signal.fire("enough"));
    await play.turn();
    play.expect("different outcomes", [...new Set(Object.values(play.outcomes))], ["request-aborted"]);
    play.expectNothingLeft();
    play.expect("listeners left at the signal", signal.listeners.size, 0);
  });

  test("whoever has settled listens no longer, however it settled", async () => {
    const play = new Play();
    const signal = new Signal();
    for (const name of ["A", "B", "C"]) play.request(name, { signal });
    await play.turn();
    play.reply("A", "yes");
    play.refuse("B", "topic-not-found");
    await play.pass(1_000);
    play.expect("listeners left at the signal", signal.listeners.size, 0);
    play.run("an abort", () => signal.fire("too late"));
    await play.turn();
    play.expectOutcomes({ A: "value yes", B: "topic-not-found", C: "request-timeout" });
    play.expectNothingLeft();
  });

  test("a signal that has fired already sends nothing", async () => {
    const play = new Play();
    const signal = new Signal();
    signal.fire("before");
    play.request("A", { signal });
    await play.turn();
    play.expectOutcomes({ A: "request-aborted" });
    play.expect("what the peer has read", play.sent.length, 0);
    play.expect("listeners left at the signal", signal.listeners.size, 0);
    play.expectNothingLeft();
  });

  test("a request that is too large is refused, and nothing of it is sent or kept", async () => {
    const play = new Play({ frameSizeMax: 100 });
    const signal = new Signal();
    play.request("x".repeat(84), { signal });
    play.request("y".repeat(85), { signal });
    await play.turn();
    play.expect("what became of it", Object.values(play.outcomes), ["frame-too-large"]);
    play.expect("requests in the table", play.session.openRequests, 1);
    play.expect("what the peer has read", play.sent.length, 1);
    play.expect("listeners at the signal", signal.listeners.size, 1);
  });
});

/** A connection that keeps what it was handed without copying it, as a socket does until the bytes have left. */
class KeepingConnection extends ScriptedConnection {
  readonly kept: { readonly live: Uint8Array; readonly asWritten: Uint8Array }[] = [];

  override write(bytes: Uint8Array): boolean {
    this.kept.push({ live: bytes, asWritten: bytes.slice() });
    return super.write(bytes);
  }
}

describe("sending", () => {
  test("the requests of one turn leave in one write, in their order", async () => {
    const play = new Play();
    for (const name of names(10)) play.request(name);
    await play.turn();
    play.expect("writes", play.connection.writes.length, 1);
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      names(10),
    );
    play.request("next");
    await play.turn();
    play.expect("writes after the next turn", play.connection.writes.length, 2);
  });

  test("a large heap does not wait for the end of the turn", () => {
    const play = new Play();
    for (const [index, name] of names(200).entries()) {
      play.request(name);
      expectThat(
        play.session.bufferedBytes < 64 * 24,
        `${index + 1} small requests, and the first still wait`,
        {
          expected: "fewer than 64 requests wait",
          actual: `${play.session.bufferedBytes} bytes wait`,
        },
      );
    }
    for (let index = 0; index < 20; index++) {
      play.request(`${index}`.padEnd(10_000, "x"));
      expectThat(play.session.bufferedBytes < 64 * 1024, "more than 64 KiB wait although the peer reads", {
        expected: "fewer than 65536 bytes",
        actual: `${play.session.bufferedBytes} bytes`,
      });
    }
  });

  test("after write has said false nothing is written until the drain, and then everything, in order", async () => {
    const play = new Play();
    play.connection.windowBytes = 30;
    play.request("A");
    play.request("B");
    await play.turn();
    play.expect("isWritable", play.session.isWritable, false);
    for (const name of names(100)) play.request(name);
    await play.turn();
    play.request("last");
    await play.turn();
    play.expect("writes before the drain", play.connection.writes.length, 1);
    play.connection.windowBytes = 1e6;
    play.drain();
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      ["A", "B", ...names(100), "last"],
    );
    play.expect("bytes that wait", play.session.bufferedBytes, 0);
    play.expect("isWritable", play.session.isWritable, true);
    play.request("after");
    await play.turn();
    play.expect("the last request that the peer has read", play.sent.at(-1)?.name, "after");
  });

  test("a drain into a full window stops again", async () => {
    const play = new Play();
    play.connection.windowBytes = 10;
    play.request("A");
    await play.turn();
    play.request("B");
    await play.turn();
    play.drain();
    play.request("C");
    await play.turn();
    play.expect("writes after the first drain", play.connection.writes.length, 2);
    play.expect("isWritable", play.session.isWritable, false);
    play.drain();
    await play.turn();
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      ["A", "B", "C"],
    );
  });

  test("what waits stays below the high-water mark; beyond it a request is refused and not queued", async () => {
    const bytes = 16 + 4 + 4;
    const play = new Play({ bufferBytesMax: 10 * bytes });
    play.connection.windowBytes = 1;
    play.request("0000");
    await play.turn();
    for (let index = 1; index <= 30; index++) {
      play.request(String(index).padStart(4, "0"));
      await play.turn();
      expectThat(play.session.bufferedBytes <= 10 * bytes, "more bytes wait than bufferBytesMax", {
        expected: `at most ${10 * bytes}`,
        actual: String(play.session.bufferedBytes),
        where: play.where(),
      });
    }
    const refused = Object.entries(play.outcomes).filter(([, outcome]) => outcome === "buffer-full");
    play.expect("refused requests", refused.length, 20);
    play.expect("requests in the table", play.session.openRequests, 11);
    play.connection.windowBytes = 1e6;
    play.drain();
    play.request("more");
    await play.turn();
    play.expect("what the peer has read at last", play.sent.at(-1)?.name, "more");
    play.expect("requests that reached the peer", play.sent.length, 12);
  });

  test("those who wait for room go on when there is room, and not before", async () => {
    const play = new Play();
    const proceeded: string[] = [];
    const wait = (name: string): void => void play.session.writable().then(() => proceeded.push(name));
    play.connection.windowBytes = 10;
    play.request("A");
    await play.turn();
    play.request("B");
    wait("first");
    wait("second");
    await play.turn();
    play.drain();
    await play.turn();
    play.expect("who went on after a drain that filled the window again", proceeded, []);
    play.connection.windowBytes = 1e6;
    play.drain();
    await play.turn();
    play.expect("who went on after the next", proceeded, ["first", "second"]);
  });

  test("bytes that were handed over are not written again while the socket may be reading them", async () => {
    const connection = new KeepingConnection();
    const play = new Play({}, connection);
    for (const name of names(40)) {
      play.request(name);
      await play.turn();
      play.reply(name, "yes");
      await play.turn();
    }
    for (const [index, { live, asWritten }] of connection.kept.entries()) {
      play.expect(
        `write ${index + 1}, after later ones`,
        textOf(live.slice(16, -4)),
        textOf(asWritten.slice(16, -4)),
      );
    }
    play.expect("requests that reached the peer", play.sent.length, 40);
  });
});

describe("the end", () => {
  test("close refuses new requests, waits for the open ones and then ends in order", async () => {
    const play = new Play();
    play.request("A");
    play.request("B");
    await play.turn();
    const closing = play.close();
    play.request("C");
    await play.turn();
    play.expectOutcomes({ C: "client-closed" });
    play.reply("B", "yes");
    await play.turn();
    play.expect("the connection, while A is open", play.connection.state, "open");
    play.expect("whether close has resolved", closing.isDone, false);
    play.reply("A", "yes");
    await play.turn();
    play.expectOutcomes({ A: "value yes", B: "value yes", C: "client-closed" });
    play.expect("whether close has resolved", closing.isDone, true);
    play.expect("the connection", play.connection.state, "ended");
    play.expect("ends that were reported", play.ends, ["client-closed"]);
    play.expectNothingLeft();
  });

  test("close sends what waits, and with nothing open ends at once", async () => {
    const play = new Play();
    play.run("a message without an answer", () => play.session.send(14, text("bye")));
    const closing = play.close();
    await play.turn();
    play.expect(
      "what the peer has read",
      play.sent.map(({ name }) => name),
      ["bye"],
    );
    play.expect("whether close has resolved", closing.isDone, true);
    play.expect("the connection", play.connection.state, "ended");
    play.expect("ends that were reported", play.ends, ["client-closed"]);
  });

  test("closed twice is closed once", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    const closings = [play.close(), play.close()];
    await play.turn();
    play.expect(
      "whether each close has resolved while a request is open",
      closings.map(({ isDone }) => isDone),
      [false, false],
    );
    play.reply("A", "yes");
    await play.turn();
    closings.push(play.close());
    await play.turn();
    play.expect(
      "whether each close has resolved",
      closings.map(({ isDone }) => isDone),
      [true, true, true],
    );
    play.expect("ends that were reported", play.ends, ["client-closed"]);
    play.expectOutcomes({ A: "value yes" });
  });

  test("close takes no longer than the deadlines of what is open", async () => {
    const play = new Play();
    play.request("A", { timeoutMs: 300 });
    play.request("B", { timeoutMs: 700 });
    await play.turn();
    const closing = play.close();
    await play.pass(699);
    play.expect("whether close has resolved", closing.isDone, false);
    await play.pass(1);
    play.expect("whether close has resolved", closing.isDone, true);
    play.expectOutcomes({ A: "request-timeout", B: "request-timeout" });
    play.expectNothingLeft();
  });

  test("close does not wait for a server that still works at what was given up", async () => {
    for (const [isAborted, isAnswered] of [
      [true, false],
      [true, true],
      [false, false],
      [false, true],
    ]) {
      const play = new Play();
      const signal = new Signal();
      play.request("A", { signal });
      await play.turn();
      if (isAborted) play.run("an abort", () => signal.fire("enough"));
      else await play.pass(1_000);
      if (isAnswered) play.reply("A", "late");
      await play.turn();
      const closing = play.close();
      await play.turn();
      play.expect("whether close has resolved", closing.isDone, true);
      const what = isAnswered ? "after the late answer" : "while the server works at A";
      play.expect(`the connection, ${what}`, play.connection.state, isAnswered ? "ended" : "destroyed");
    }
  });

  test("a connection that breaks fails everything that is open, once, and nothing is left", async () => {
    const play = new Play();
    const signal = new Signal();
    play.connection.windowBytes = 1;
    play.request("A", { signal });
    await play.turn();
    play.request("B");
    await play.turn();
    let waited = false;
    void play.session.writable().then(() => (waited = true));
    play.vanish(new Error("reset"));
    await play.turn();
    play.expectOutcomes({ A: "connection-closed", B: "connection-closed" });
    play.expect("the cause of A's error", formatValue(play.errors["A"]?.cause), "Error: reset");
    play.expect("ends that were reported", play.ends, ["connection-closed"]);
    play.expectNothingLeft();
    play.expect("bytes that wait", play.session.bufferedBytes, 0);
    play.expect("listeners left at the signal", signal.listeners.size, 0);
    play.expect("whether those who waited for room went on", waited, true);
    play.request("C");
    play.run("an abort", () => signal.fire("too late"));
    await play.pass(5_000);
    play.expectOutcomes({ A: "connection-closed", B: "connection-closed", C: "connection-closed" });
  });

  test("a peer that ends the stream in order ends the session too", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    play.vanish();
    await play.turn();
    play.expectOutcomes({ A: "connection-closed" });
    play.expect("our side of the connection is closed as well", play.connection.state !== "open", true);
    play.expect("isOpen", play.session.isOpen, false);
    play.expect("ends that were reported", play.ends, ["connection-closed"]);
    play.expectNothingLeft();
  });

  test("an end in the middle of an answer is reported as what it is", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    play.deliver(Uint8Array.of(0, 0, 0, 20, 1, 2), "six bytes of an answer arrive");
    play.vanish();
    await play.turn();
    play.expectOutcomes({ A: "truncated-frame" });
    play.expect("ends that were reported", play.ends, ["truncated-frame"]);
  });

  test("a broken frame fails every open request and drops the connection", async () => {
    const play = new Play();
    for (const name of ["A", "B", "C"]) play.request(name);
    await play.turn();
    const answers = ["A", "B", "C"].map((name) =>
      encoded({ requestId: play.idOf(name), status: 0, errorCode: 0, payload: text("yes") }),
    );
    answers[1]![13]! ^= 1;
    play.deliver(
      Uint8Array.from(answers.flatMap((frame) => [...frame])),
      "answers come, the second one corrupt",
    );
    await play.turn();
    play.expectOutcomes({ A: "value yes", B: "corrupt-message", C: "corrupt-message" });
    play.expect("the connection", play.connection.state, "destroyed");
    play.expect("ends that were reported", play.ends, ["corrupt-message"]);
    play.expectNothingLeft();
  });

  test("destroy fails everything with the reason that it is given, and is done once", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    play.run("destroy", () => play.session.destroy(protocolError("shutting-down")));
    play.run("destroy, again", () => play.session.destroy());
    play.vanish(new Error("reset"));
    await play.turn();
    play.expectOutcomes({ A: "shutting-down" });
    play.expect("the connection", play.connection.state, "destroyed");
    play.expect("ends that were reported", play.ends, ["shutting-down"]);
    play.expectNothingLeft();
  });

  test("close and a connection that breaks: everything settles, and close resolves", async () => {
    const play = new Play();
    play.request("A");
    await play.turn();
    const closing = play.close();
    play.vanish(new Error("reset"));
    await play.turn();
    play.expectOutcomes({ A: "connection-closed" });
    play.expect("whether close has resolved", closing.isDone, true);
    play.expect("ends that were reported", play.ends, ["connection-closed"]);
    const ended = new Play();
    ended.vanish();
    const after = ended.close();
    await ended.turn();
    ended.expect("whether a close after the end has resolved", after.isDone, true);
  });

  test("under any mix of answers, losses, doubles, aborts and deadlines each request settles once", async () => {
    for (let round = 0; round < 12; round++) await storm(new SeededRandom((seed + round * 7919) >>> 0));
  });
});

/** Everything at once, at random; each request must settle once, and nothing may be left. */
async function storm(random: SeededRandom): Promise<void> {
  const bufferBytesMax = 1_200;
  const play = new Play({ bufferBytesMax });
  for (let step = 0; step < 120; step++) {
    play.connection.windowBytes = random.nextBetween(1, 500);
    if (random.nextChance(0.7)) {
      const signal = new Signal();
      play.request(`r${step}`, { signal, timeoutMs: random.nextBetween(1, 400) });
      if (random.nextChance(0.15)) play.run("an abort", () => signal.fire("any"));
    }
    const named = play.sent[random.nextBetween(0, play.sent.length + 1)];
    if (named !== undefined && random.nextChance(0.7)) {
      if (random.nextChance(0.2)) play.refuse(named.name, "overloaded");
      else play.reply(named.name, `to ${named.name}`);
    }
    if (random.nextChance(0.4)) play.drain();
    if (random.nextChance(0.8)) await play.pass(random.nextBetween(0, 30));
    expectThat(play.session.bufferedBytes <= bufferBytesMax, "more bytes wait than bufferBytesMax");
    expectThat(play.clock.activeTimers <= 1, "more than one timer runs", { where: play.where() });
  }
  const requested = play.timeline.filter((line) => line.includes(" ms  request ")).length;
  await play.pass(400);
  play.expect("requests that have settled", Object.keys(play.outcomes).length, requested);
  for (const [name, outcome] of Object.entries(play.outcomes)) {
    expectThat(!outcome.includes(", then "), `${name} settled twice`, {
      actual: outcome,
      where: play.where(),
    });
    const isOwn = !outcome.startsWith("value ") || outcome === `value to ${name}`;
    expectThat(isOwn, `${name} got the answer of another`, { actual: outcome, where: play.where() });
  }
  play.expectNothingLeft();
}
