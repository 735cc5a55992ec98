/** A short run of the fuzzer for every day; `npm run fuzz` is the long one. */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { fuzz } from "./fuzz.ts";
import { nextCase } from "./fuzz-frames.ts";

test("spoiled requests break no promise of the broker", async () => {
  const result = await fuzz(1_500, 1);
  expect(result.problem).toBeUndefined();
  expect(result.cases).toBe(1_500);
  // The cases are neither all refused nor all harmless, or the run would prove nothing.
  expect(result.replies).toBeGreaterThan(500);
  expect(result.refusals).toBeGreaterThan(100);
});

test("the same seed gives the same case", () => {
  expect(nextCase(new SeededRandom(7))).toEqual(nextCase(new SeededRandom(7)));
  expect(nextCase(new SeededRandom(7))).not.toEqual(nextCase(new SeededRandom(8)));
});
