import { expect, test } from "vitest";
import { sideBySide } from "./side-by-side.ts";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

test("so many at a time, begun and returned in order", async () => {
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const results = await sideBySide([5, 1, 4, 1, 2], 2, async (item) => {
    begun.push(item);
    most = Math.max(most, ++running);
    await turns(item);
    running--;
    return item * 10;
  });
  expect(results).toEqual([50, 10, 40, 10, 20]);
  expect(begun).toEqual([5, 1, 4, 1, 2]);
  expect(most).toBe(2);
  expect(await sideBySide([], 2, async () => 1)).toEqual([]);
});

test("nothing is begun after a failure", async () => {
  const begun: number[] = [];
  const work = async (item: number): Promise<void> => {
    begun.push(item);
    await turns(item);
    if (item === 1) throw new Error("no");
  };
  await expect(sideBySide([3, 1, 2, 2], 2, work)).rejects.toThrow("no");
  await turns(10);
  expect(begun).toEqual([3, 1]);
});
