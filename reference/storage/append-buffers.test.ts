import { expect, test } from "vitest";
import { AppendBuffers, largeChunkBytes, smallChunkBytes, type AppendChunk } from "./append-buffers.ts";

/** A budget of so many bytes, and what of it is taken. */
function budgetOf(totalBytes: number): {
  reserve(bytes: number): { release(): void } | undefined;
  taken: number;
} {
  const budget = {
    taken: 0,
    reserve(bytes: number) {
      if (budget.taken + bytes > totalBytes) return undefined;
      budget.taken += bytes;
      return { release: () => void (budget.taken -= bytes) };
    },
  };
  return budget;
}

function acquired(buffers: AppendBuffers, bytes: number, isFirst = false): AppendChunk {
  const chunk = buffers.acquire(bytes, isFirst);
  if (chunk === undefined) throw new Error(`no chunk for ${bytes} bytes`);
  return chunk;
}

test("a round begins with a small chunk and goes on with large ones; a large batch gets one of its size", () => {
  const buffers = new AppendBuffers();
  const sizes = [
    acquired(buffers, 100, true),
    acquired(buffers, 100),
    acquired(buffers, smallChunkBytes + 1, true),
    acquired(buffers, 2 * largeChunkBytes + 1),
  ].map(({ bytes }) => bytes.length);
  expect(sizes).toEqual([smallChunkBytes, largeChunkBytes, largeChunkBytes, 2 * largeChunkBytes + 1]);
  expect(buffers.heldBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
});

test("chunks are used again, and what is out and what is free stay within the bound together", () => {
  const buffers = new AppendBuffers(3 * largeChunkBytes);
  const chunks = [acquired(buffers, 1), acquired(buffers, 1), acquired(buffers, 1)];
  expect(buffers.acquire(1, false)).toBeUndefined();
  expect(buffers.acquire(1, true)).toBeUndefined();
  for (const chunk of chunks) buffers.release(chunk);
  expect([buffers.heldBytes, buffers.freeBytes]).toEqual([0, 3 * largeChunkBytes]);
  const known = new Set(chunks.map(({ bytes }) => bytes));
  expect(known.has(acquired(buffers, 1).bytes)).toBe(true);
  // A chunk of another size takes the place of free ones.
  acquired(buffers, largeChunkBytes + 1);
  expect([buffers.heldBytes, buffers.freeBytes]).toEqual([2 * largeChunkBytes + 1, 0]);
});

test("free chunks are paid for until they are given up", () => {
  const budget = budgetOf(2 * largeChunkBytes);
  const buffers = new AppendBuffers(8 * largeChunkBytes, budget);
  const chunks = [acquired(buffers, 1), acquired(buffers, 1)];
  expect(buffers.acquire(1, false)).toBeUndefined();
  for (const chunk of chunks) buffers.release(chunk);
  expect(budget.taken).toBe(2 * largeChunkBytes);
  expect(buffers.dropFree(1)).toBe(largeChunkBytes);
  expect(budget.taken).toBe(largeChunkBytes);
  expect(buffers.dropFree(10 * largeChunkBytes)).toBe(largeChunkBytes);
  expect([budget.taken, buffers.freeBytes, buffers.dropFree(1)]).toEqual([0, 0, 0]);
});

test("a chunk of an odd size goes back to the budget at once", () => {
  const budget = budgetOf(9 * largeChunkBytes);
  const buffers = new AppendBuffers(8 * largeChunkBytes, budget);
  buffers.release(acquired(buffers, 5 * largeChunkBytes));
  expect([budget.taken, buffers.freeBytes, buffers.heldBytes]).toEqual([0, 0, 0]);
});

test("whoever watches hears of every change of what is out", () => {
  const buffers = new AppendBuffers();
  const heard: number[] = [];
  buffers.onHeld = (bytes) => heard.push(bytes);
  const chunk = acquired(buffers, 1, true);
  buffers.release(acquired(buffers, 1));
  buffers.release(chunk);
  expect(heard).toEqual([smallChunkBytes, smallChunkBytes + largeChunkBytes, smallChunkBytes, 0]);
});

test("a refused producer is told to come back when a quarter of what waits will be written, within limits", () => {
  const clock = { nowMs: 5_000 };
  const buffers = new AppendBuffers(64 * largeChunkBytes, undefined, () => clock.nowMs);
  const chunks = Array.from({ length: 50 }, () => acquired(buffers, 1));
  expect(buffers.retryAfterMs).toBe(20);
  // Nothing comes back for a while: who knows how long that will go on?
  clock.nowMs += 300;
  expect(buffers.retryAfterMs).toBe(300);
  // 10 chunks in 500 ms, 40 wait: a quarter of them takes as long again.
  clock.nowMs += 200;
  for (const chunk of chunks.splice(0, 10)) buffers.release(chunk);
  expect(buffers.retryAfterMs).toBe(500);
  // The disk is quick again: the new speed counts for more than the old.
  clock.nowMs += 500;
  for (const chunk of chunks.splice(0, 20)) buffers.release(chunk);
  for (let index = 0; index < 20; index++) chunks.push(acquired(buffers, 1));
  expect(buffers.retryAfterMs).toBeLessThan(350);
  // It hangs: there is a limit to what a producer is asked to wait.
  clock.nowMs += 60_000;
  expect(buffers.retryAfterMs).toBe(2_000);
});
