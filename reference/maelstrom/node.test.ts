/** The runtime of a node, with messages made by hand: what any program may rely on. */
import { describe, expect, test } from "vitest";
import { RequestError } from "./errors.ts";
import { LineSplitter } from "./lines.ts";
import { lineLengthMax, parseMessage, type Body, type Message } from "./message.ts";
import {
  callsMax,
  inFlightMax,
  MaelstromNode,
  type CallResult,
  type LogRecord,
  type MakeProgram,
} from "./node.ts";
import { VirtualClock } from "#reference/testing/clock.ts";
import { SeededRandom } from "#reference/base/prng.ts";

/** A node, what it has sent, and what it has logged. */
function nodeWith(makeProgram: MakeProgram) {
  const sent: Message[] = [];
  const logs: LogRecord[] = [];
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const ports = {
    clock,
    random,
    send: (message: Message) => void sent.push(message),
    log: (record: LogRecord) => void logs.push(record),
  };
  const node = new MaelstromNode(ports, makeProgram);
  const receive = (src: string, body: Body, dest = "n1"): void => node.receive({ src, dest, body });
  const init = (): void => {
    receive("c0", { type: "init", msg_id: 1, node_id: "n1", node_ids: ["n1", "n2", "n3"] });
    sent.length = 0;
  };
  return { node, sent, logs, clock, receive, init };
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

describe("init", () => {
  test("is answered, and tells the program who it is", () => {
    let seen: unknown;
    const { sent, receive } = nodeWith(({ id, nodeIds, peers }) => {
      seen = { id, nodeIds, peers };
      return {};
    });
    receive("c0", { type: "init", msg_id: 7, node_id: "n1", node_ids: ["n1", "n2"] });
    expect(sent).toEqual([{ src: "n1", dest: "c0", body: { type: "init_ok", in_reply_to: 7 } }]);
    expect(seen).toEqual({ id: "n1", nodeIds: ["n1", "n2"], peers: ["n2"] });
  });

  test("what comes before it waits for it, in order", () => {
    const order: unknown[] = [];
    const { receive, init } = nodeWith(() => ({ note: ({ n }) => void order.push(n) }));
    receive("n2", { type: "note", n: 1 });
    receive("n2", { type: "note", n: 2 });
    expect(order).toEqual([]);
    init();
    expect(order).toEqual([1, 2]);
  });

  test("a second one is answered and begins nothing anew", () => {
    let starts = 0;
    const { receive, sent, init } = nodeWith(() => {
      starts++;
      return {};
    });
    init();
    receive("c0", { type: "init", msg_id: 2, node_id: "n1", node_ids: ["n1"] });
    expect(starts).toBe(1);
    expect(sent).toMatchObject([{ body: { type: "init_ok", in_reply_to: 2 } }]);
  });

  test("one without names is refused", () => {
    const { receive, sent } = nodeWith(() => ({}));
    receive("c0", { type: "init", msg_id: 1, node_id: "n1" });
    expect(sent).toMatchObject([{ body: { type: "error", code: 12, in_reply_to: 1 } }]);
  });
});

describe("requests", () => {
  test("of a type that nobody handles get error 10, also for names that every object has", () => {
    const { receive, sent, init } = nodeWith(() => ({}));
    init();
    for (const type of ["nope", "toString", "__proto__"]) receive("c1", { type, msg_id: 3 });
    expect(sent.map(({ body }) => [body["code"], body.in_reply_to])).toEqual([
      [10, 3],
      [10, 3],
      [10, 3],
    ]);
  });

  test("an error that a handler throws is the answer; anything else thrown is error 13, and the node goes on", async () => {
    const { receive, sent, logs, init } = nodeWith(() => ({
      refuse: () => {
        throw new RequestError("key-does-not-exist", "no key 5");
      },
      break: () => Promise.reject(new TypeError("x is undefined")),
      ok: () => ({ type: "ok_ok" }),
    }));
    init();
    receive("c1", { type: "refuse", msg_id: 1 });
    receive("c1", { type: "break", msg_id: 2 });
    await settled();
    receive("c1", { type: "ok", msg_id: 3 });
    expect(sent.map(({ body }) => body)).toEqual([
      { type: "error", code: 20, text: "no key 5", in_reply_to: 1 },
      { type: "error", code: 13, text: "x is undefined", in_reply_to: 2 },
      { type: "ok_ok", in_reply_to: 3 },
    ]);
    expect(logs).toMatchObject([{ level: "error", msg: "handler failed", reason: "x is undefined" }]);
  });

  test("without a number are carried out and not answered", () => {
    let count = 0;
    const { receive, sent, init } = nodeWith(() => ({
      note: () => {
        count++;
        return { type: "note_ok" };
      },
    }));
    init();
    receive("n2", { type: "note" });
    expect(count).toBe(1);
    expect(sent).toEqual([]);
  });

  test("a handler that waits for a peer holds up nobody: two that ask each other both get through", async () => {
    const { receive, sent, init } = nodeWith(({ call }) => ({
      ask: async () => {
        const result = await call("n2", { type: "question" });
        return { type: "ask_ok", got: result.kind === "reply" ? result.body["value"]! : null };
      },
      question: () => ({ type: "question_ok", value: 1 }),
    }));
    init();
    receive("c1", { type: "ask", msg_id: 5 });
    receive("n2", { type: "question", msg_id: 9 });
    expect(sent.map(({ body }) => body)).toEqual([
      { type: "question", msg_id: 1 },
      { type: "question_ok", value: 1, in_reply_to: 9 },
    ]);
    receive("n2", { type: "question_ok", value: 42, in_reply_to: 1 });
    await settled();
    expect(sent.at(-1)).toEqual({ src: "n1", dest: "c1", body: { type: "ask_ok", got: 42, in_reply_to: 5 } });
  });

  test("to another node are dropped and logged", () => {
    const { receive, sent, logs, init } = nodeWith(() => ({ note: () => ({ type: "note_ok" }) }));
    init();
    receive("c1", { type: "note", msg_id: 1 }, "n2");
    expect(sent).toEqual([]);
    expect(logs).toMatchObject([{ level: "warn", msg: "message for another node", dest: "n2" }]);
  });

  test(`more than ${inFlightMax} that wait are refused, definitely`, () => {
    const { receive, sent, init } = nodeWith(() => ({ wait: () => new Promise(() => undefined) }));
    init();
    for (let id = 0; id <= inFlightMax; id++) receive("c1", { type: "wait", msg_id: id });
    expect(sent).toMatchObject([{ body: { type: "error", code: 11, in_reply_to: inFlightMax } }]);
  });
});

describe("calls", () => {
  /** A program that makes one call for each `go`, and what came of them. */
  function caller(timeoutMs?: number) {
    const results: CallResult[] = [];
    const made = nodeWith(({ call }) => ({
      go: async () => {
        results.push(await call("n2", { type: "q" }, timeoutMs));
        return undefined;
      },
    }));
    made.init();
    return { ...made, results };
  }

  test("each has a number of its own", () => {
    const { receive, sent } = caller();
    for (let index = 0; index < 3; index++) receive("c1", { type: "go" });
    expect(sent.map(({ body }) => body.msg_id)).toEqual([1, 2, 3]);
  });

  test("an answer from somebody else, or to another number, is no answer", async () => {
    const { receive, results } = caller();
    receive("c1", { type: "go" });
    receive("n3", { type: "q_ok", in_reply_to: 1 });
    receive("n2", { type: "q_ok", in_reply_to: 2 });
    await settled();
    expect(results).toEqual([]);
    receive("n2", { type: "q_ok", in_reply_to: 1 });
    await settled();
    expect(results).toMatchObject([{ kind: "reply" }]);
  });

  test("no answer in time is a time-out, and an answer after it is dropped", async () => {
    const { receive, results, clock } = caller(500);
    receive("c1", { type: "go" });
    clock.advance(499);
    await settled();
    expect(results).toEqual([]);
    clock.advance(1);
    await settled();
    receive("n2", { type: "q_ok", in_reply_to: 1 });
    await settled();
    expect(results).toEqual([{ kind: "timeout" }]);
  });

  test.for([
    [22, true],
    [20, true],
    [11, true],
    [0, false],
    [13, false],
    [999, false],
    [1000, false],
    ["twenty", false],
  ] as const)("error %s: is it definite? %s", async ([code, isDefinite]) => {
    const { receive, results } = caller();
    receive("c1", { type: "go" });
    receive("n2", { type: "error", code, text: "why", in_reply_to: 1 });
    await settled();
    expect(results).toMatchObject([{ kind: "error", isDefinite }]);
  });

  test(`of more than ${callsMax} at once the last ones end at once, and nothing is sent for them`, async () => {
    const { receive, sent, results } = caller();
    expect(callsMax).toBeLessThan(inFlightMax);
    for (let index = 0; index <= callsMax; index++) receive("c1", { type: "go" });
    await settled();
    expect(sent).toHaveLength(callsMax);
    expect(results).toEqual([{ kind: "timeout" }]);
  });

  test("a node that has stopped sends nothing more", async () => {
    const { node, receive, sent } = caller();
    node.stop();
    receive("c1", { type: "go", msg_id: 1 });
    await settled();
    expect(sent).toEqual([]);
  });
});

test("a message that cannot be sent is logged, and the node goes on", () => {
  const logs: LogRecord[] = [];
  const clock = new VirtualClock();
  let failures = 1;
  const sent: Message[] = [];
  const send = (message: Message): void => {
    if (failures-- > 0) throw new Error("pipe is closed");
    sent.push(message);
  };
  const log = (record: LogRecord): void => void logs.push(record);
  const node = new MaelstromNode({ clock, random: new SeededRandom(1), send, log }, () => ({}));
  for (const id of [1, 2]) {
    node.receive({
      src: "c0",
      dest: "n1",
      body: { type: "init", msg_id: id, node_id: "n1", node_ids: ["n1"] },
    });
  }
  expect(logs).toMatchObject([{ level: "error", msg: "send failed", reason: "Error: pipe is closed" }]);
  expect(sent).toHaveLength(1);
});

describe("lines", () => {
  const split = (...chunks: readonly Uint8Array[]): readonly string[] => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    for (const chunk of chunks) splitter.push(chunk);
    splitter.end();
    return lines;
  };
  const bytes = new TextEncoder().encode('{"a":"é"}\n{"b":"🙂"}\n\nlast');

  test("come out whole however the bytes are cut, characters too", () => {
    const whole = split(bytes);
    expect(whole).toEqual(['{"a":"é"}', '{"b":"🙂"}', "", "last"]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(split(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(whole);
    }
    expect(split(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test("one without an end does not fill memory: it comes out cut, and as too long", () => {
    const chunk = new TextEncoder().encode("x".repeat(1 << 20));
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    for (let count = 0; count < 64; count++) splitter.push(chunk);
    splitter.push(new TextEncoder().encode("\n{}\n"));
    expect(lines.map((line) => line.length)).toEqual([lineLengthMax + (1 << 20), 2]);
    expect(parseMessage(lines[0]!)).toMatchObject({ kind: "malformed" });
  });

  test.for([
    ["not JSON", "hello", /not JSON: hello/],
    ["a list", "[]", /not an object/],
    ["no source", '{"dest":"n1","body":{"type":"x"}}', /src is not text/],
    ["a destination that is a number", '{"src":"c1","dest":1,"body":{"type":"x"}}', /dest is not text/],
    ["no body", '{"src":"c1","dest":"n1"}', /body is not an object/],
    ["no type", '{"src":"c1","dest":"n1","body":{}}', /body.type is not text/],
    ["a fraction as number", '{"src":"c1","dest":"n1","body":{"type":"x","msg_id":1.5}}', /msg_id/],
    ["text as reply number", '{"src":"c1","dest":"n1","body":{"type":"x","in_reply_to":"1"}}', /in_reply_to/],
  ] as const)("%s is malformed", ([, line, reason]) => {
    expect(parseMessage(line)).toEqual({ kind: "malformed", reason: expect.stringMatching(reason) });
  });
});
