import { beforeEach, expect, test } from "vitest";
import { VirtualClock, passUntil } from "../testing/clock.ts";
import { Leaders, knownTopicsMax, metadata } from "./leaders.ts";
import { protocolError } from "./protocol-error.ts";

let clock: VirtualClock;
/** The topics that were asked for, with how often that was lately. */
let questions: string[];
/** What is answered; a topic that is not here is none. */
let answers: Map<string, readonly string[]>;
let leaders: Leaders;
let failure: Error | undefined;

beforeEach(() => {
  clock = new VirtualClock();
  questions = [];
  answers = new Map([
    ["", ["m"]],
    ["t", ["a", "b", ""]],
  ]);
  failure = undefined;
  leaders = new Leaders(clock, async (topic, asked) => {
    questions.push(`${topic}#${asked}`);
    await Promise.resolve();
    if (failure !== undefined) throw failure;
    return answers.get(topic) ?? [];
  });
});

const place = (partition: number, topic = "t") => ({ topic, partition });

/** Waits in virtual time. */
const run = <Value>(promise: Promise<Value>): Promise<Value> => passUntil(clock, promise);

test("what is known is not asked again, and who waits for the same topic shares a question", async () => {
  const found = await run(
    Promise.all([leaders.find(place(0)), leaders.find(place(1)), leaders.find(place(0))]),
  );
  expect(found).toEqual(["a", "b", "a"]);
  expect(await leaders.find(place(1))).toBe("b");
  expect(questions).toEqual(["t#0"]);
  expect(leaders.known("t", 1)).toBe("b");
});

test("what has no leader now is not found, and is asked for again", async () => {
  expect(await run(leaders.find(place(2)))).toBeUndefined();
  answers.set("t", ["a", "b", "c"]);
  expect(await run(leaders.find(place(2)))).toBe("c");
  expect(questions).toEqual(["t#0", "t#1"]);
});

test("a topic that is not there, and a partition that it has not, are the metadata leader's affair", async () => {
  expect(await run(leaders.find(place(0, "none")))).toBe("m");
  expect(await run(leaders.find(place(7)))).toBe("m");
  leaders.forget(place(0, "none"), "m");
  expect(leaders.known(metadata.topic, 0)).toBeUndefined();
});

test("only what failed is forgotten, and an old answer does not replace what works", async () => {
  await run(leaders.find(place(0)));
  leaders.forget(place(0), "a");
  expect([leaders.known("t", 0), leaders.known("t", 1)]).toEqual([undefined, "b"]);
  answers.set("t", ["c", "old", ""]);
  expect(await run(leaders.find(place(0)))).toBe("c");
  expect(leaders.known("t", 1)).toBe("b");
});

test("a request that was sent before the answer changed does not make it forgotten", async () => {
  await run(leaders.find(place(0)));
  leaders.forget(place(0), "a");
  answers.set("t", ["c", "b", ""]);
  await run(leaders.find(place(0)));
  for (let late = 0; late < 100; late++) leaders.forget(place(0), "a");
  expect(leaders.known("t", 0)).toBe("c");
});

test("the more often it was asked lately, the longer the next question waits", async () => {
  answers.set("t", [""]);
  const askedAtMs: number[] = [];
  let seen = 0;
  void (async () => {
    while (clock.monotonicTimeMs() < 10_000) {
      await leaders.find(place(0));
      if (questions.length > seen) askedAtMs.push(clock.monotonicTimeMs());
      seen = questions.length;
    }
  })();
  await clock.advanceAsync(10_000);
  const pauses = askedAtMs.slice(1).map((atMs, index) => atMs - (askedAtMs[index] ?? 0));
  expect(pauses.slice(0, 8)).toEqual([25, 50, 100, 200, 400, 800, 1000, 1000]);
  expect(questions.length).toBeLessThan(20);
  await clock.advanceAsync(10_000);
  answers.set("t", ["a"]);
  const before = questions.length;
  expect(await leaders.find(place(0))).toBe("a");
  expect(questions.slice(before)).toEqual(["t#0"]);
});

test("a question that fails is everybody's failure, and the next one is asked anew", async () => {
  failure = protocolError("connection-failed", "nobody there");
  const failed = await run(Promise.allSettled([leaders.find(place(0)), leaders.find(place(1))]));
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(questions).toHaveLength(1);
  failure = undefined;
  expect(await run(leaders.find(place(0)))).toBe("a");
});

test("so many topics are known and no more; one that is forgotten is asked for again", async () => {
  const name = (number: number): string => `topic ${number}`;
  for (let number = 0; number <= knownTopicsMax; number++) answers.set(name(number), ["a"]);
  for (let number = 0; number < knownTopicsMax; number++) await leaders.find(place(0, name(number)));
  expect(leaders.known(name(0), 0)).toBe("a");
  await leaders.find(place(0, name(knownTopicsMax)));
  const known = [0, 1, knownTopicsMax].map((number) => leaders.known(name(number), 0));
  expect(known).toEqual([undefined, "a", "a"]);
  expect(await leaders.find(place(0, name(0)))).toBe("a");
  expect(questions).toHaveLength(knownTopicsMax + 2);
});

test("of a name that is no topic's nothing is kept", async () => {
  for (let times = 0; times < 3; times++) await run(leaders.find(place(0, "none")));
  expect(questions.filter((question) => question.startsWith("none"))).toEqual(["none#0", "none#0", "none#0"]);
});
