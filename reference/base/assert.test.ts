import { expect, test } from "vitest";
import { assert, AssertionError, unreachable } from "./assert.ts";

test("an assertion that holds does not even put its message together", () => {
  let calls = 0;
  assert(true, () => `called ${++calls} times`);
  expect(calls).toBe(0);
});

test("an assertion that fails throws with its message, given or made", () => {
  expect(() => assert(false, "offset 3 is below 5")).toThrow(AssertionError);
  expect(() => assert(false, "offset 3 is below 5")).toThrow("offset 3 is below 5");
  expect(() => assert(false, () => `offset ${1 + 2}`)).toThrow("offset 3");
});

test("the end of an exhaustive switch names what came", () => {
  expect(() => unreachable({ kind: "other" } as never, "effect")).toThrow(
    'unexpected effect: {"kind":"other"}',
  );
});
