import { expect, test } from "vitest";
import { SeededRandom } from "./prng.ts";

const draw = (seed: number, count: number): number[] => {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => random.nextUint32());
};

test("the same seed gives the same numbers, on every platform and for ever", () => {
  expect(draw(1, 20)).toEqual(draw(1, 20));
  expect(draw(1, 4)).toMatchInlineSnapshot(`
    [
      393288148,
      2174103013,
      3814759091,
      2092745082,
    ]
  `);
});

test("neighbouring seeds, and seeds that differ above 32 bits, give other numbers", () => {
  expect(new Set([0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1].map((seed) => draw(seed, 4).join())).size).toBe(6);
});

test("draws stay in their range and reach its ends", () => {
  const random = new SeededRandom(7);
  const seen = new Set<number>();
  for (let round = 0; round < 500; round++) {
    const value = random.nextBetween(-2, 3);
    expect(Number.isInteger(value)).toBe(true);
    seen.add(value);
    const float = random.nextFloat();
    expect(float >= 0 && float < 1).toBe(true);
  }
  expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3]);
  expect(random.nextChance(0)).toBe(false);
  expect(random.nextChance(1)).toBe(true);
  expect(["a", "b"]).toContain(random.pick(["a", "b"]));
});

test("the numbers look uniform: each of 16 buckets gets its share", () => {
  const random = new SeededRandom(3);
  const buckets = Array.from({ length: 16 }, () => 0);
  for (let round = 0; round < 16_000; round++) buckets[random.nextUint32() >>> 28]!++;
  for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(160);
});

test("a fork draws numbers of its own", () => {
  const random = new SeededRandom(5);
  const fork = random.fork();
  const before = fork.nextUint32();
  expect(before).not.toBe(random.nextUint32());
});

test("a seed that is no whole number, an empty range and an empty list are bugs", () => {
  expect(() => new SeededRandom(0.5)).toThrow("whole number");
  expect(() => new SeededRandom(1).nextBetween(2, 1)).toThrow("empty range");
  expect(() => new SeededRandom(1).pick([])).toThrow("empty list");
});
