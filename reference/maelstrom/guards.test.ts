/** The guards, each with the trouble that it is there for. */
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { VirtualClock } from "#reference/testing/clock.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import {
  breakerOptionsDefault,
  clientsMax,
  openMessage,
  sealMessage,
  withCircuitBreaker,
  withRateLimit,
} from "./guards.ts";
import type { Message } from "./message.ts";
import { MaelstromNode, type CallResult, type LogRecord } from "./node.ts";

describe("a circuit breaker", () => {
  /** Calls whose outcomes are given; the breaker's own refusals never get there. */
  function breaker(outcomes: CallResult[]) {
    const clock = new VirtualClock();
    const dests: string[] = [];
    const call = (dest: string): Promise<CallResult> => {
      dests.push(dest);
      return Promise.resolve(outcomes.shift() ?? { kind: "timeout" });
    };
    return { clock, dests, guarded: withCircuitBreaker({ call, clock }) };
  }
  const reply: CallResult = { kind: "reply", body: { type: "x_ok" } };
  const { failuresMax, openMs, openMsMax } = breakerOptionsDefault;

  test("opens after so many time-outs in a row, and refuses definitely, without a message", async () => {
    const { dests, guarded } = breaker([]);
    for (let count = 0; count < failuresMax; count++) await guarded("n2", { type: "x" });
    expect(await guarded("n2", { type: "x" })).toMatchObject({ kind: "error", code: 11, isDefinite: true });
    expect(dests).toHaveLength(failuresMax);
  });

  test("does not open when answers come in between, errors included", async () => {
    const timeout: CallResult = { kind: "timeout" };
    const error: CallResult = { kind: "error", code: 20, text: "", isDefinite: true };
    const { guarded } = breaker([
      timeout,
      timeout,
      timeout,
      timeout,
      error,
      timeout,
      timeout,
      timeout,
      timeout,
      reply,
    ]);
    for (let count = 0; count < 9; count++) await guarded("n2", { type: "x" });
    expect(await guarded("n2", { type: "x" })).toEqual(reply);
  });

  test("is one for each peer", async () => {
    const { guarded } = breaker([]);
    for (let count = 0; count < failuresMax; count++) await guarded("n2", { type: "x" });
    expect(await guarded("n3", { type: "x" })).toEqual({ kind: "timeout" });
  });

  test("lets one call through after a while; an answer closes it", async () => {
    const { clock, dests, guarded } = breaker(
      Array.from({ length: failuresMax }, () => ({ kind: "timeout" })),
    );
    for (let count = 0; count < failuresMax; count++) await guarded("n2", { type: "x" });
    clock.advance(openMs);
    // Two at the same moment: only one of them is the probe.
    const [first, second] = [guarded("n2", { type: "x" }), guarded("n2", { type: "x" })];
    expect([(await first).kind, (await second).kind]).toEqual(["timeout", "error"]);
    expect(dests).toHaveLength(failuresMax + 1);
  });

  test("stays open twice as long after each probe that fails, up to a limit", async () => {
    const { clock, dests, guarded } = breaker([]);
    for (let count = 0; count < failuresMax; count++) await guarded("n2", { type: "x" });
    let waitMs = openMs;
    for (let probe = 0; probe < 8; probe++) {
      const before = dests.length;
      clock.advance(waitMs - 1);
      await guarded("n2", { type: "x" });
      expect(dests.length).toBe(before);
      clock.advance(1);
      await guarded("n2", { type: "x" });
      expect(dests.length).toBe(before + 1);
      waitMs = Math.min(2 * waitMs, openMsMax);
    }
  });
});

describe("a rate limit", () => {
  const limited = () => {
    const clock = new VirtualClock();
    const program = withRateLimit({ x: () => ({ type: "x_ok" }) }, clock, { perSecond: 10, burst: 3 });
    const accepted = (from: string): boolean => {
      try {
        void program["x"]!({ type: "x" }, from);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 11 });
        return false;
      }
    };
    return { clock, accepted };
  };

  test("lets a burst through, and then so many a second", () => {
    const { clock, accepted } = limited();
    expect([1, 2, 3, 4, 5].map(() => accepted("c1"))).toEqual([true, true, true, false, false]);
    clock.advance(100);
    expect([accepted("c1"), accepted("c1")]).toEqual([true, false]);
    clock.advance(60_000);
    expect([1, 2, 3, 4].map(() => accepted("c1"))).toEqual([true, true, true, false]);
  });

  test("is one for each client, and none for nodes", () => {
    const { accepted } = limited();
    for (let count = 0; count < 5; count++) accepted("c1");
    expect(accepted("c2")).toBe(true);
    expect(Array.from({ length: 100 }, () => accepted("n2"))).not.toContain(false);
  });

  test(`remembers ${clientsMax} clients`, () => {
    const { accepted } = limited();
    for (let count = 0; count < 4; count++) accepted("c0");
    for (let client = 1; client <= clientsMax; client++) accepted(`c${client}`);
    // Forgotten, it begins anew.
    expect(accepted("c0")).toBe(true);
  });
});

describe("signed messages", () => {
  const sign = (text: string): string =>
    createHmac("sha256", "key of the cluster").update(text).digest("hex");
  const message: Message = { src: "n2", dest: "n1", body: { type: "gossip", msg_id: 3, parts: [1, "é"] } };

  test("come out as they went in, also after a journey as JSON", () => {
    const sealed = JSON.parse(JSON.stringify(sealMessage(message, sign))) as Message;
    expect(openMessage(sealed, sign)).toEqual(message);
  });

  test.for<readonly [string, (sealed: Message) => Message]>([
    ["another sender", (sealed) => ({ ...sealed, src: "n3" })],
    ["another receiver", (sealed) => ({ ...sealed, dest: "n4" })],
    ["a changed field", (sealed) => ({ ...sealed, body: { ...sealed.body, parts: [2] } })],
    ["one field more", (sealed) => ({ ...sealed, body: { ...sealed.body, extra: 1 } })],
    ["no code", () => message],
    ["a code that is no text", (sealed) => ({ ...sealed, body: { ...sealed.body, mac: 1 } })],
    ["a shorter code", (sealed) => ({ ...sealed, body: { ...sealed.body, mac: "00" } })],
    [
      "a code under another key",
      () => sealMessage(message, (text) => createHmac("sha256", "x").update(text).digest("hex")),
    ],
  ])("%s is refused", ([, change]) => {
    expect(openMessage(change(sealMessage(message, sign)), sign)).toBeUndefined();
  });

  test("a node with a key talks to peers that have it, drops the others, and serves clients as ever", () => {
    const sent: Message[] = [];
    const logs: LogRecord[] = [];
    const heard: unknown[] = [];
    const node = new MaelstromNode(
      {
        clock: new VirtualClock(),
        random: new SeededRandom(1),
        send: (out) => void sent.push(out),
        log: (record) => void logs.push(record),
        sign,
      },
      ({ send }) => ({
        gossip: ({ parts }) => void heard.push(parts),
        poke: () => {
          send("n2", { type: "hello" });
          return { type: "poke_ok" };
        },
      }),
    );
    const init = { type: "init", msg_id: 1, node_id: "n1", node_ids: ["n1", "n2"] };
    node.receive({ src: "c0", dest: "n1", body: init });
    node.receive(sealMessage(message, sign));
    node.receive(message);
    node.receive({ src: "c1", dest: "n1", body: { type: "poke", msg_id: 2 } });
    expect(heard).toEqual([[1, "é"]]);
    expect(logs).toMatchObject([{ msg: "message without a valid code", src: "n2" }]);
    expect(openMessage(sent[1]!, sign)).toEqual({ src: "n1", dest: "n2", body: { type: "hello" } });
    expect(sent[2]).toEqual({ src: "n1", dest: "c1", body: { type: "poke_ok", in_reply_to: 2 } });
  });
});
