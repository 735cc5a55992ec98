import { describe, expect, test } from "vitest";
import { captureConsole } from "./console.ts";
import { rawErrorOf } from "./raw-error.ts";
import { framesOf, stackFramesMax } from "./stack.ts";

const pathOf = (location: string): string | undefined =>
  location.startsWith("file:///run/") ? location.slice("file:///run/".length) : undefined;

describe("frames", () => {
  test("are those in project files, with the names that the reader wrote", () => {
    const stack = [
      "RangeError: at the limit (file:///run/no.ts)",
      "    at new Reader (file:///run/exercises/a.ts:1:2)",
      "    at Object.encode [as run] (file:///run/exercises/a.ts:4:2)",
      "    at async Counter.later (file:///run/exercises/a.ts?vitest=12:5:2)",
      "    at file:///run/exercises/a.test.ts:6:7",
      "    at todo (file:///run/exercises/lib/todo.ts:9:1)",
      "    at Array.map (<anonymous>)",
      "    at runTest (file:///elsewhere/vitest/run.js:10:1)",
    ].join("\n");
    expect(framesOf(stack, pathOf)).toEqual([
      { file: "exercises/a.ts", line: 1, method: "Reader" },
      { file: "exercises/a.ts", line: 4, method: "encode" },
      { file: "exercises/a.ts", line: 5, method: "later" },
      { file: "exercises/a.test.ts", line: 6, method: "" },
    ]);
  });

  test("of Firefox and WebKit say the same", () => {
    const stack =
      "encode@file:///run/exercises/a.ts:4:2\nasync*later@file:///run/exercises/a.ts:5:1\n@file:///run/b.ts:1:1";
    expect(framesOf(stack, pathOf).map(({ line, method }) => `${method}:${line}`)).toEqual([
      "encode:4",
      "later:5",
      ":1",
    ]);
  });

  test("are few, also after endless recursion", () => {
    const stack = Array.from({ length: 50 }, () => "    at f (file:///run/exercises/a.ts:1:2)").join("\n");
    expect(framesOf(stack, pathOf)).toHaveLength(stackFramesMax);
  });
});

describe("an error", () => {
  test("loses its colours and keeps what an explanation adds", () => {
    const thrown = {
      name: "Explanation",
      message: "\u001b[31mred\u001b[39m",
      where: "^",
      seed: 4,
      diff: "-1",
      extra: 1,
    };
    expect(rawErrorOf(thrown, pathOf)).toEqual({
      name: "Explanation",
      message: "red",
      where: "^",
      seed: 4,
      stack: [],
    });
  });

  test("may be anything that can be thrown", () => {
    expect(rawErrorOf("oops", pathOf)).toEqual({ name: "Error", message: "thrown: oops", stack: [] });
    expect(rawErrorOf(undefined, pathOf).message).toBe("thrown: undefined");
    expect(rawErrorOf({ message: 5, stack: 6, seed: "x" }, pathOf)).toEqual({
      name: "Error",
      message: "",
      stack: [],
    });
  });

  test("is cut where it would be too long to show", () => {
    expect(rawErrorOf(new Error("x".repeat(100_000)), pathOf).message.length).toBeLessThan(9_000);
  });
});

test("console calls become texts, and the console is given back", () => {
  const texts: string[] = [];
  const before = console.log;
  const release = captureConsole(
    (value) => `<${typeof value}>`,
    (text) => texts.push(text),
  );
  console.log("a", 1, "%s", { b: 2 });
  console.warn("careful");
  release();
  expect(texts).toEqual(["a <number> %s <object>", "careful"]);
  expect(console.log).toBe(before);
});
