import { expect, test } from "vitest";
import { chunkCost, ChunkRecycler } from "./chunk.ts";

test("freed chunks are used again, the oldest give way, and what is kept is bounded", () => {
  const recycler = new ChunkRecycler(2 * chunkCost(64, 0), false);
  const freed = [1, 2, 3, 4].map(() => recycler.take(64));
  for (const memory of freed) recycler.give(memory);
  const taken = [1, 2, 3].map(() => recycler.take(64));
  expect(taken.map((memory) => freed.indexOf(memory))).toEqual([2, 3, -1]);
});

test("a size that nobody wants any more goes away, and room comes back with each chunk that is taken", () => {
  const recycler = new ChunkRecycler(2 * chunkCost(64, 0), false);
  const [odd, first, second] = [recycler.take(32), recycler.take(64), recycler.take(64)];
  for (const memory of [odd, first, second]) recycler.give(memory);
  expect(recycler.take(32)).not.toBe(odd);
  expect(recycler.take(64)).toBe(first);
  recycler.give(first);
  expect([recycler.take(64), recycler.take(64)]).toEqual([second, first]);
});
