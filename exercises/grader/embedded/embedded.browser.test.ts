/**
 * The embedded backend in a real browser: a static page under a strict policy, with the network cut off once the page
 * and the runner are there.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RawError, RunEvent } from "../backend.ts";
import { consoleCallsMax } from "../runner/console.ts";
import { hungTooOften, neverLoaded, stoppedByUser } from "../runner/limits.ts";
import type { PageOptions, PageRun } from "./test/page.ts";
import {
  bundleOf,
  goodRing,
  isolationHeaders,
  openTestPage,
  ringBundle,
  strictPolicyHeaders,
  type TestPage,
} from "./test/harness.ts";

let page: TestPage;

beforeAll(async () => {
  page = await openTestPage();
  for (const options of [{}, quick]) await run(goodRing, options);
  await page.context.setOffline(true);
});

afterAll(async () => {
  await page.close();
});

/** For runs that must hang: no need to wait long. */
const quick: PageOptions = { hangAfterMs: 500 };

/** Runs the fixture's suite on `submission`. */
function run(submission: string, options?: PageOptions): Promise<PageRun> {
  return page.run({ bundle: ringBundle, submission, seed: 1 }, options);
}

/** Runs a suite of its own: `tests` after the imports, against the good solution. */
function runSuite(tests: string, options?: PageOptions): Promise<PageRun> {
  const imports = 'import { expect, test } from "vitest";\nimport { Ring } from "./ring.ts";\n';
  return page.run({ bundle: bundleOf(imports + tests), submission: goodRing, seed: 1 }, options);
}

/** A solution that differs from the good one by an edit. */
function edited(find: string, replace: string): string {
  expect(goodRing.split(find)).toHaveLength(2);
  return goodRing.replace(find, replace);
}

/** The line of the good solution, or of another text, that holds `part`. */
function lineOf(part: string, text = goodRing): number {
  return text.split("\n").findIndex((line) => line.includes(part)) + 1;
}

/** Each test's result by its title: `pass`, `fail`, `skip` or `timeout`. */
function results({ events }: PageRun): Record<string, string> {
  const ends = events.flatMap((event) => {
    if (event.kind === "finished") return [[event.name, event.state]];
    return event.kind === "timed-out" ? [[event.name, "timeout"]] : [];
  });
  return Object.fromEntries(ends) as Record<string, string>;
}

function failures({ events }: PageRun): Record<string, readonly RawError[]> {
  const failed = events.flatMap((event) => {
    return event.kind === "finished" && event.state === "fail" ? [[event.name, event.errors]] : [];
  });
  return Object.fromEntries(failed) as Record<string, readonly RawError[]>;
}

function of<Kind extends RunEvent["kind"]>(
  { events }: PageRun,
  kind: Kind,
): Extract<RunEvent, { readonly kind: Kind }>[] {
  return events.filter((event) => event.kind === kind) as Extract<RunEvent, { readonly kind: Kind }>[];
}

/** The errors of a submission that could not be loaded, as `line: message`. */
function refusals({ end }: PageRun): string[] {
  if (end.kind !== "unloadable")
    throw new Error(`expected an unloadable submission, got ${JSON.stringify(end)}`);
  return end.errors.map(({ message, stack }) => {
    expect(stack[0]?.file).toBe(ringBundle.editable);
    return `${stack[0]?.line}: ${message}`;
  });
}

describe("a good solution", () => {
  test("passes every test, with the network cut off and without a complaint of the browser", async () => {
    const good = await run(goodRing);
    expect(good.end).toEqual({ kind: "completed" });
    const { "sum > is skipped": skipped, ...others } = results(good);
    expect(skipped).toBe("skip");
    expect(Object.keys(others)).toHaveLength(24);
    expect(new Set(Object.values(others))).toEqual(new Set(["pass"]));
    expect(of(good, "collected")[0]?.names).toHaveLength(25);
    expect(page.complaints).toEqual([]);
  });

  test("is run from the seed that was asked for, and what it prints is caught", async () => {
    const seeded = await page.run({ bundle: ringBundle, submission: goodRing, seed: 77 });
    expect(of(seeded, "console").map(({ text }) => text)).toEqual(["suite starts { seed: 77 }"]);
  });

  test("is run by the tests that were asked for only", async () => {
    const only = ["sum > adds", "Ring > push > appends at the end"];
    const some = await page.run({ bundle: ringBundle, submission: goodRing, seed: 1, only });
    expect(results(some)).toEqual({ "Ring > push > appends at the end": "pass", "sum > adds": "pass" });
  });

  test("leaves nothing behind for the next run", async () => {
    const dirty = await runSuite(
      'test("once", () => { expect(globalThis.seen).toBe(undefined); globalThis.seen = 1; });',
    );
    const clean = await runSuite(
      'test("once", () => { expect(globalThis.seen).toBe(undefined); globalThis.seen = 1; });',
    );
    expect([results(dirty), results(clean)]).toEqual([{ once: "pass" }, { once: "pass" }]);
  });
});

describe("a failing test says", () => {
  test("what differs, and where in the learner's file it came from", async () => {
    const submission = edited("this.#values.shift();", "throw new RangeError('full');");
    const { "Ring > push > drops the oldest when it is full": errors } = failures(await run(submission));
    expect(errors?.[0]).toMatchObject({ name: "RangeError", message: "full" });
    expect(
      errors?.[0]?.stack.map(({ file, line, method }) => [file.split("/").at(-1), line, method]),
    ).toEqual([
      ["ring.ts", lineOf("throw new RangeError('full')", submission), "push"],
      ["ring.test.ts", lineOf("for (const value of [1, 2, 3, 4])", ringBundle.files[ringBundle.suite]), ""],
    ]);
  });

  test("the difference of two values", async () => {
    const failed = failures(await run(edited("total + value, 0)", "total + value, 1)")));
    expect(failed["sum > compares whole objects"]?.[0]).toMatchObject({
      name: "AssertionError",
      diff: expect.stringMatching(/- {5}?"total": 4,\n\+ {5}?"total": 5,|-\s+"total": 4,\n\+\s+"total": 5,/),
    });
    expect(failed["sum > adds"]?.[0]).toMatchObject({ expected: "6", actual: "7" });
  });

  test("every broken soft expectation, and what an own matcher says", async () => {
    const failed = failures(await run(edited("#values: number[] = [];", "#values: number[] = [9];")));
    expect(failed["Ring > starts empty"]).toHaveLength(2);
    const { message, actual, expected } = failed["Ring > push > appends at the end"]?.[0] ?? {};
    expect({ message, actual, expected }).toMatchObject({ message: "the ring holds the wrong numbers" });
    expect(actual).toContain("9");
    expect(expected).not.toContain("9");
  });

  test("the fields of an explanation", async () => {
    const failed = failures(await run(edited("return [...this.#values];", "return [8];")));
    expect(failed["Ring > push > explains what is wrong"]?.[0]).toMatchObject({
      name: "Explanation",
      message: "the first value is wrong",
      expected: "7",
      actual: "8",
      where: "ring\n  values[0]",
      seed: 1,
    });
  });

  test("how an inline snapshot differs", async () => {
    const failed = failures(await run(edited("capacity ${capacity} is not positive", "capacity is wrong")));
    const [error] = failed["Ring > refuses a capacity of nothing, in these words"] ?? [];
    expect(error?.message).toContain("Snapshot");
    expect(error?.actual).toContain("capacity is wrong");
    expect(error?.expected).toContain("capacity 0 is not positive");
  });

  test("the same counterexample for the same seed", async () => {
    const submission = edited("total + value, 0)", "total * 2 + value, 0)");
    const [first, second] = [failures(await run(submission)), failures(await run(submission))];
    const title = "sum > is the same from both ends";
    expect(first[title]?.[0]?.message).toContain("Counterexample");
    expect(second[title]).toEqual(first[title]);
  });

  test("a rejected promise's place, across an await", async () => {
    const submission =
      edited("await Promise.resolve();", "await Promise.resolve();\n  await fail();") +
      "\nasync function fail(): Promise<void> {\n  await null;\n  throw new Error('late');\n}\n";
    const [error] = failures(await run(submission))["sum > adds beside others (a)"] ?? [];
    expect(error?.stack.map(({ method }) => method).slice(0, 2)).toEqual(["fail", "sumLater"]);
    expect(error?.stack[0]?.line).toBe(lineOf("'late'", submission));
  });
});

describe("a submission that cannot be loaded is told where", () => {
  test.each([
    ["a syntax error", edited("get size(): number {", "get size(): number {{"), /^\d+: Unexpected token/],
    ["an enum", `enum Color { red }\n${goodRing}`, /^1: an enum is not erasable/],
    ["a missing export", edited("export function later", "function later"), /^1: .* no export named later/],
    [
      "a foreign import",
      `import fs from "node:fs";\n${goodRing}`,
      /^1: "node:fs" cannot be imported: .* its exercise/,
    ],
    ["a throw while loading", `\n\nthrow new Error("at once");\n${goodRing}`, /^3: at once$/],
    ["a name that does not exist", `const early = later2;\n${goodRing}`, /^1: later2 is not defined$/],
  ])("%s", async (_title, submission, expected) => {
    const refused = await run(submission);
    expect(refusals(refused)).toEqual([expect.stringMatching(expected)]);
    expect(refused.events).toEqual([]);
  });

  test("a loop, or a promise, that loading waits for in vain", async () => {
    const loop = await run(`${goodRing}\nfor (;;);`, quick);
    expect(refusals(loop)).toEqual([expect.stringContaining(neverLoaded)]);
    const wait = await run(`${goodRing}\nawait new Promise(() => {});`, quick);
    expect(refusals(wait)).toEqual([expect.stringContaining(neverLoaded)]);
  });
});

describe("what never ends costs one test", () => {
  test("an endless loop: the others are run, and heard of once", async () => {
    const hung = await run(
      edited("this.#values.push(value);", "while (value === 7);\n    this.#values.push(value);"),
      quick,
    );
    expect(hung.end).toEqual({ kind: "completed" });
    const { "Ring > push > explains what is wrong": looping, ...others } = results(hung);
    expect(looping).toBe("timeout");
    expect(Object.values(others).filter((state) => state === "pass")).toHaveLength(23);
    expect(of(hung, "collected")).toHaveLength(1);
    expect(of(hung, "finished")).toHaveLength(24);
  });

  test("an endless chain of promises, which never lets a timer run", async () => {
    const hung = await runSuite(
      'test("before", () => {});\n' +
        'test("spins", async () => { for (;;) await null; });\n' +
        'test("after", async () => { await new Promise((resolve) => setTimeout(resolve, 1)); });',
      quick,
    );
    expect(results(hung)).toEqual({ before: "pass", spins: "timeout", after: "pass" });
    expect(hung.end).toEqual({ kind: "completed" });
  });

  test("a loop that allocates, and one that prints", async () => {
    const hung = await runSuite(
      'test("allocates", () => { const kept = []; for (;;) kept.push(new Uint8Array(1000)); });\n' +
        'test("prints", () => { for (;;) console.log("again"); });\n' +
        'test("after", () => {});',
      quick,
    );
    expect(results(hung)).toEqual({ allocates: "timeout", prints: "timeout", after: "pass" });
    expect(of(hung, "console")).toHaveLength(consoleCallsMax + 1);
  });

  test("a promise that never settles, ended by Vitest itself", async () => {
    const stuck = await runSuite('test("waits", () => new Promise(() => {}));\ntest("after", () => {});');
    expect(results(stuck)).toEqual({ waits: "timeout", after: "pass" });
  });

  test("up to a limit: a submission that hangs everywhere is stopped", async () => {
    const tests = [1, 2, 3, 4].map((index) => `test("loop ${index}", () => { for (;;); });`).join("\n");
    const hung = await runSuite(tests, quick);
    expect(hung.end).toEqual({ kind: "stopped", reason: hungTooOften });
    expect(results(hung)).toEqual({ "loop 1": "timeout", "loop 2": "timeout", "loop 3": "timeout" });
  });

  test("and when the stop button is pressed, everything ends at once", async () => {
    const stopped = await runSuite('test("before", () => {});\ntest("loop", () => { for (;;); });', {
      stopAt: "loop",
    });
    expect(stopped.end).toEqual({ kind: "stopped", reason: stoppedByUser });
    expect(results(stopped)).toEqual({ before: "pass" });
    const next = await runSuite('test("next", () => {});');
    expect(next.end).toEqual({ kind: "completed" });
  });
});

describe("what happens outside of any test is told", () => {
  test("a rejection that nobody handles, and a throw in a timer", async () => {
    const strayed = await runSuite(
      'test("leaks", () => { void Promise.reject(new Error("unheard")); });\n' +
        'test("later", async () => {\n' +
        '  setTimeout(() => { throw new TypeError("in a timer"); }, 0);\n' +
        "  await new Promise((resolve) => setTimeout(resolve, 20));\n" +
        "});\n" +
        'test("last", () => { void Promise.reject("text"); });',
    );
    expect(results(strayed)).toEqual({ leaks: "pass", later: "pass", last: "pass" });
    expect(
      of(strayed, "stray").map(({ error }) => [error.name, error.message, error.stack[0]?.line]),
    ).toEqual([
      ["Error", "unheard", 3],
      ["TypeError", "in a timer", 5],
      ["Error", "thrown: text", undefined],
    ]);
  });

  test("a runner that cannot be loaded", async () => {
    const broken = await run(goodRing, { runnerFolder: "nowhere/" });
    expect(broken.end).toMatchObject({
      kind: "broken",
      reason: expect.stringContaining("nowhere/compile.js"),
    });
  });
});

test("a page that was offline when it was first asked tries again", async () => {
  const fresh = await openTestPage(strictPolicyHeaders);
  try {
    await fresh.context.setOffline(true);
    const offline = await fresh.run({ bundle: ringBundle, submission: goodRing, seed: 1 });
    expect(offline.end).toMatchObject({
      kind: "broken",
      reason: expect.stringContaining("could not be loaded"),
    });
    await fresh.context.setOffline(false);
    // This page allows workers from its own server only, so each of them is loaded from there.
    for (let round = 0; round < 2; round++) {
      const online = await fresh.run({ bundle: ringBundle, submission: goodRing, seed: 1 });
      expect(online.end).toEqual({ kind: "completed" });
    }
  } finally {
    await fresh.close();
  }
});

test.each([
  ["without any header, as on the simplest host", {}, false],
  ["isolated, as a page that offers WebContainers", isolationHeaders, true],
])("a page %s runs suites as well", async (_title, headers, isIsolated) => {
  const other = await openTestPage(headers);
  try {
    expect(await other.page.evaluate(() => crossOriginIsolated)).toBe(isIsolated);
    const good = await other.run({ bundle: ringBundle, submission: goodRing, seed: 1 });
    expect(good.end).toEqual({ kind: "completed" });
    await other.context.setOffline(true);
    expect((await other.run({ bundle: ringBundle, submission: goodRing, seed: 1 })).end).toEqual(good.end);
    expect(other.complaints).toEqual([]);
  } finally {
    await other.close();
  }
});
