/** Sets, counters, ids and logs by key: histories made to break one rule each, and some that break none. */
import { describe, expect, test } from "vitest";
import { checkCounter, type CounterInput } from "./counter.ts";
import { History, type OperationOutcome } from "./history.ts";
import { checkKafkaLog, type KafkaInput, type KafkaOutput } from "./kafka-log.ts";
import { quantilesOf } from "./quantiles.ts";
import { checkSet, type SetInput, type SetOutput } from "./set.ts";
import { checkUniqueIds } from "./unique-ids.ts";

/** One operation after the other, a millisecond apart: who, what, and how it ended. */
type Step<Input, Output> = readonly [string, Input, OperationOutcome<Output> | Output];

const unknown = { kind: "unknown" } as const;
const failed = { kind: "failed" } as const;
const endings: readonly (typeof unknown | typeof failed)[] = [unknown, failed];

function historyOf<Input, Output>(steps: readonly Step<Input, Output>[]) {
  const history = new History<Input, Output>();
  for (const [index, [process, input, ending]] of steps.entries()) {
    const id = history.invoke(process, input, 1000 * index);
    const outcome = endings.includes(ending as typeof failed)
      ? (ending as OperationOutcome<Output>)
      : ({ kind: "ok", output: ending as Output } as const);
    history.complete(id, outcome, 1000 * index + 500);
  }
  return history.operations();
}

describe("a history", () => {
  test("what is still running at its end is unknown, and stands where it began", () => {
    const history = new History<string, string>();
    const first = history.invoke("a", "one");
    history.invoke("b", "two");
    history.complete(first, { kind: "ok", output: "done" });
    expect(history.operations()).toMatchObject([
      { process: "a", outcome: { kind: "ok" }, invokedAt: 0, completedAt: 2 },
      { process: "b", outcome: { kind: "unknown" }, invokedAt: 1, completedAt: Infinity },
    ]);
  });

  test("nothing ends twice", () => {
    const history = new History<string, string>();
    const id = history.invoke("a", "one");
    history.complete(id, unknown);
    expect(() => history.complete(id, unknown)).toThrow("operation 0 is not running");
  });
});

describe("unique ids", () => {
  const check = (...ids: readonly unknown[]) =>
    checkUniqueIds(historyOf(ids.map((id) => ["c", null, id] as const)));

  test("all different, of any type", () => {
    expect(check(1, "1", [1], "2").verdict).toBe("valid");
  });
  test("one twice is told with how often", () => {
    expect(check("a", "b", "a", "a")).toMatchObject({
      verdict: "invalid",
      duplicatedCount: 1,
      duplicated: [{ id: "a", count: 3 }],
    });
  });
  test("two numbers that JSON cannot tell apart are one", () => {
    // What was sent as 2^60 and 2^60 + 1 arrives as the same number.
    expect(check(JSON.parse("1152921504606846976"), JSON.parse("1152921504606846977")).verdict).toBe(
      "invalid",
    );
  });
  test("no answer, no verdict", () => {
    expect(checkUniqueIds(historyOf([["c", null, unknown]])).verdict).toBe("unknown");
  });
});

describe("counters", () => {
  const add = (delta: number): CounterInput => ({ kind: "add", delta });
  const early: CounterInput = { kind: "read", isFinal: false };
  const final: CounterInput = { kind: "read", isFinal: true };

  test("the sum of what was acknowledged, with or without what nobody knows, and without what failed", () => {
    const steps = (read: number) =>
      historyOf<CounterInput, number>([
        ["a", add(3), 0],
        ["b", add(10), unknown],
        ["a", add(100), failed],
        ["a", final, read],
      ]);
    expect(checkCounter(steps(3))).toMatchObject({
      verdict: "valid",
      acceptable: [
        [3, 3],
        [13, 13],
      ],
    });
    expect(checkCounter(steps(13)).verdict).toBe("valid");
    for (const wrong of [0, 4, 10, 103, 113]) expect(checkCounter(steps(wrong)).verdict).toBe("invalid");
  });

  test("neighbouring sums make ranges, also below zero", () => {
    const history = historyOf<CounterInput, number>([
      ["a", add(1), unknown],
      ["b", add(-1), unknown],
      ["a", final, -1],
    ]);
    expect(checkCounter(history)).toMatchObject({ verdict: "valid", acceptable: [[-1, 1]] });
  });

  test("an early read may be behind; the last one decides", () => {
    const history = historyOf<CounterInput, number>([
      ["a", add(5), 0],
      ["b", early, 0],
      ["b", final, 0],
    ]);
    expect(checkCounter(history)).toMatchObject({ verdict: "invalid", problems: [{ rule: "final-sum" }] });
  });

  test("a counter that only grows never shows more than was asked for, and never goes back", () => {
    const tooMuch = historyOf<CounterInput, number>([
      ["a", add(5), 0],
      ["b", early, 6],
      ["b", final, 5],
    ]);
    const problems = (history: typeof tooMuch) =>
      checkCounter(history, { growsOnly: true }).problems.map(({ rule }) => rule);
    expect(problems(tooMuch)).toEqual(["read-of-too-much", "went-back"]);
    const back = historyOf<CounterInput, number>([
      ["a", add(5), 0],
      ["b", early, 5],
      ["b", early, 4],
      ["b", final, 5],
    ]);
    expect(problems(back)).toEqual(["went-back"]);
    expect(checkCounter(back).verdict).toBe("valid");
  });

  test("text in place of a number is wrong; no final read, no verdict", () => {
    expect(checkCounter(historyOf<CounterInput, number>([["a", final, "5" as never]])).verdict).toBe(
      "invalid",
    );
    expect(checkCounter(historyOf<CounterInput, number>([["a", add(5), 0]])).verdict).toBe("unknown");
  });

  test("more unknown additions than can be tried out one by one: a wrong sum is still wrong, a right one is open", () => {
    const adds = Array.from({ length: 40 }, (_, bit): Step<CounterInput, number> => [
      "a",
      add(2 ** bit),
      unknown,
    ]);
    expect(checkCounter(historyOf([...adds, ["a", final, 77] as const])).verdict).toBe("unknown");
    expect(checkCounter(historyOf([...adds, ["a", final, -1] as const])).verdict).toBe("invalid");
  });
});

describe("sets", () => {
  const add = (element: unknown): SetInput<unknown> => ({ kind: "add", element });
  const read: SetInput<unknown> = { kind: "read" };
  const check = (...steps: readonly Step<SetInput<unknown>, SetOutput<unknown>>[]) =>
    checkSet(historyOf(steps));

  test("what was added is there, at once or after a while", () => {
    const result = check(["a", add(1), []], ["b", read, []], ["b", read, []], ["b", read, [1]]);
    expect(result).toMatchObject({ verdict: "valid", stableCount: 1, staleCount: 1, lostCount: 0 });
    // Known at 0.5 ms, last missing in the read that began at 2 ms.
    expect(result.stableLatenciesMs?.max).toBe(1.5);
  });

  test("seen, then gone for good: lost", () => {
    expect(check(["a", add(1), []], ["b", read, [1]], ["b", read, []])).toMatchObject({
      verdict: "invalid",
      lost: [1],
    });
  });

  test("acknowledged, and never seen: lost", () => {
    expect(check(["a", add(1), []], ["b", read, []])).toMatchObject({ verdict: "invalid", lostCount: 1 });
  });

  test("of unknown outcome: never seen is no loss, seen and gone is", () => {
    expect(check(["a", add(1), unknown], ["b", read, []])).toMatchObject({
      verdict: "unknown",
      neverReadCount: 1,
    });
    expect(check(["a", add(1), unknown], ["b", read, [1]], ["b", read, []]).verdict).toBe("invalid");
  });

  test("an element twice in one read, one that nobody added, one that is only added later, one whose addition failed", () => {
    expect(check(["a", add(1), []], ["b", read, [1, 1]])).toMatchObject({
      verdict: "invalid",
      duplicated: [1],
    });
    expect(check(["a", add(1), []], ["b", read, [1, 2]])).toMatchObject({
      verdict: "invalid",
      invented: [2],
    });
    expect(check(["b", read, [1]], ["a", add(1), []], ["b", read, [1]])).toMatchObject({ invented: [1] });
    expect(check(["a", add(1), failed], ["b", read, [1]])).toMatchObject({
      verdict: "invalid",
      invented: [1],
    });
  });

  test("the number 1 and the text 1 are two elements", () => {
    expect(check(["a", add(1), []], ["b", read, ["1"]])).toMatchObject({ invented: ["1"], lost: [1] });
  });
});

describe("a log by key", () => {
  const send = (message: number, key = "k"): KafkaInput => ({ kind: "send", key, message });
  const sent = (offset: number): KafkaOutput => ({ kind: "sent", offset });
  const poll: KafkaInput = { kind: "poll" };
  const polled = (...pairs: readonly (readonly [number, number])[]): KafkaOutput => {
    return { kind: "polled", messages: { k: pairs } };
  };
  type KafkaStep = Step<KafkaInput, KafkaOutput>;
  const check = (...steps: readonly KafkaStep[]) => checkKafkaLog(historyOf(steps));
  const found = (...steps: readonly KafkaStep[]): readonly string[] =>
    Object.keys(check(...steps).counts).toSorted();

  test("offsets may have gaps; clients go on where they were", () => {
    const steps: readonly KafkaStep[] = [
      ["a", send(1), sent(0)],
      ["a", send(2), sent(5)],
      ["b", poll, polled([0, 1])],
      ["b", poll, polled()],
      ["b", poll, polled([5, 2])],
      ["c", poll, polled([0, 1], [5, 2])],
    ];
    expect(check(...steps)).toMatchObject({ verdict: "valid", sendCount: 2, readCount: 4, problems: [] });
  });

  test.for<readonly [string, readonly KafkaStep[]]>([
    [
      "inconsistent-offsets",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), unknown],
        ["b", poll, polled([0, 1])],
        ["c", poll, polled([0, 2])],
      ],
    ],
    [
      "duplicate",
      [
        ["a", send(1), sent(0)],
        ["b", poll, polled([0, 1], [1, 1])],
      ],
    ],
    [
      "lost-write",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), sent(1)],
        ["b", poll, polled([1, 2])],
      ],
    ],
    [
      "unseen",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), sent(1)],
        ["b", poll, polled([0, 1])],
      ],
    ],
    [
      "aborted-read",
      [
        ["a", send(1), failed],
        ["b", poll, polled([0, 1])],
      ],
    ],
    [
      "invented-read",
      [
        ["b", poll, polled([0, 1])],
        ["a", send(1), sent(0)],
      ],
    ],
    [
      "invented-read",
      [
        ["a", send(1), sent(0)],
        ["b", poll, polled([0, 1], [1, 9])],
      ],
    ],
    [
      "int-poll-skip",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), sent(1)],
        ["a", send(3), sent(2)],
        ["b", poll, polled([0, 1], [2, 3])],
      ],
    ],
    [
      "poll-skip",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), sent(1)],
        ["a", send(3), sent(2)],
        ["b", poll, polled([0, 1])],
        ["b", poll, polled([2, 3])],
      ],
    ],
    [
      "int-nonmonotonic-poll",
      [
        ["a", send(1), sent(0)],
        ["a", send(2), sent(1)],
        ["b", poll, polled([1, 2], [0, 1])],
      ],
    ],
    [
      "nonmonotonic-poll",
      [
        ["a", send(1), sent(0)],
        ["b", poll, polled([0, 1])],
        ["b", poll, polled([0, 1])],
      ],
    ],
    [
      "nonmonotonic-send",
      [
        ["a", send(1), sent(1)],
        ["a", send(2), sent(0)],
        ["b", poll, polled([0, 2], [1, 1])],
      ],
    ],
  ])("%s is found", ([anomaly, steps]) => {
    expect(found(...steps)).toContain(anomaly);
    expect(check(...steps).verdict).toBe("invalid");
  });

  test("a message that was read by another client is not lost when one skips it", () => {
    const steps: readonly KafkaStep[] = [
      ["a", send(1), sent(0)],
      ["a", send(2), sent(1)],
      ["a", send(3), sent(2)],
      ["b", poll, polled([0, 1])],
      ["b", poll, polled([2, 3])],
      ["c", poll, polled([0, 1], [1, 2], [2, 3])],
    ];
    expect(found(...steps)).toEqual(["poll-skip"]);
  });

  test("a client that assigns anew keeps its place in the keys that it keeps, and no other", () => {
    const assign = (keys: readonly string[], fromStart = false): KafkaInput => ({
      kind: "assign",
      keys,
      fromStart,
    });
    const begin: readonly KafkaStep[] = [
      ["a", send(1), sent(0)],
      ["b", poll, polled([0, 1])],
    ];
    const again: KafkaStep = ["b", poll, polled([0, 1])];
    const done = { kind: "done" } as const;
    expect(found(...begin, ["b", assign(["k"]), done], again)).toEqual(["nonmonotonic-poll"]);
    expect(found(...begin, ["b", assign(["k"], true), done], again)).toEqual([]);
    expect(found(...begin, ["b", assign(["other"]), done], ["b", assign(["k"]), done], again)).toEqual([]);
  });

  test("committed offsets do not go back, and are some that somebody asked for", () => {
    const list: KafkaInput = { kind: "list-committed", keys: ["k"] };
    const committed = (offsets: Record<string, number>): KafkaOutput => ({ kind: "committed", offsets });
    const commit = (offset: number, ending: KafkaStep[2] = { kind: "done" }): KafkaStep => {
      return ["a", { kind: "commit", offsets: { k: offset } }, ending];
    };
    const read: readonly KafkaStep[] = [
      ["a", send(1), sent(0)],
      ["b", poll, polled([0, 1])],
    ];
    expect(found(...read, commit(3), ["b", list, committed({ k: 3 })])).toEqual([]);
    expect(found(...read, commit(2), commit(3), ["b", list, committed({ k: 2 })])).toEqual([
      "commit-regression",
    ]);
    expect(found(...read, commit(3), ["b", list, committed({})])).toEqual(["commit-regression"]);
    // Of a commit in doubt nobody knows: it may be reported, or not; but once it was, it stays.
    const inDoubt: readonly KafkaStep[] = [commit(1, unknown), commit(2, unknown)];
    expect(found(...read, ...inDoubt, ["b", list, committed({})])).toEqual([]);
    expect(
      found(...read, ...inDoubt, ["b", list, committed({ k: 2 })], ["c", list, committed({ k: 1 })]),
    ).toEqual(["commit-regression"]);
    expect(found(...read, ["b", list, committed({ k: 1_000_000 })])).toEqual(["invented-commit"]);
  });

  test("a commit that goes with a poll counts from the poll's end on, when it was acknowledged", () => {
    const assign: KafkaInput = { kind: "assign", keys: ["k"] };
    const none: KafkaOutput = { kind: "committed", offsets: {} };
    const pollAndCommit = (isCommitted: boolean): readonly KafkaStep[] => [
      ["a", send(1), sent(0)],
      ["b", poll, { kind: "polled", messages: { k: [[0, 1]] }, isCommitted }],
    ];
    expect(found(...pollAndCommit(true), ["c", assign, none])).toEqual(["commit-regression"]);
    expect(found(...pollAndCommit(false), ["c", assign, none])).toEqual([]);
    expect(found(...pollAndCommit(false), ["c", assign, { kind: "committed", offsets: { k: 0 } }])).toEqual(
      [],
    );
  });

  test("nothing sent or nothing read: no verdict, and no crash over keys without messages", () => {
    expect(check(["b", poll, { kind: "polled", messages: { k: [] } }]).verdict).toBe("unknown");
    expect(check().verdict).toBe("unknown");
  });
});

test("quantiles take the value at n times q, and the last one at 1", () => {
  expect(quantilesOf([])).toBeUndefined();
  expect(quantilesOf([5, 1, 4, 2, 3])).toEqual({ min: 1, median: 3, p95: 5, p99: 5, max: 5 });
});
