import { expect, test } from "vitest";
import type { AppendChunk } from "../storage/append-buffers.ts";
import { largeChunkBytes } from "../storage/append-buffers.ts";
import { openMemory } from "./server-memory.ts";

const mebibyte = 2 ** 20;
const settings = { memory: 64 * mebibyte, frameSizeMax: mebibyte };

test("before the disk's queue is full: tails go, then sockets stop, then batches are refused; and back", () => {
  const memory = openMemory(settings);
  const { buffers, backPressure, accounts } = memory;
  const chunks: AppendChunk[] = [];
  const events: string[] = [];
  for (;;) {
    const chunk = buffers.acquire(largeChunkBytes, false);
    if (chunk !== undefined) chunks.push(chunk);
    if (backPressure.isOn && !events.includes("stopped")) events.push("stopped");
    if (chunk === undefined) break;
  }
  events.push("refused");
  expect(events).toEqual(["stopped", "refused"]);
  expect(chunks.length * largeChunkBytes).toBeGreaterThan(settings.memory / 16);
  expect(chunks.length * largeChunkBytes).toBeLessThanOrEqual(settings.memory / 8);
  expect(memory.report()).toMatchObject({ isPaused: true, pauseCount: 1 });
  // Readers, replication and health have room all the while.
  for (const account of [accounts.fetch, accounts.replication, accounts.control])
    expect(account.roomBytes).toBeGreaterThan(mebibyte / 2);
  while (backPressure.isOn) buffers.release(chunks.pop()!);
  expect(chunks.length * largeChunkBytes).toBeLessThanOrEqual(settings.memory / 64);
  expect(memory.report().isPaused).toBe(false);
  expect(buffers.acquire(largeChunkBytes, false)).toBeDefined();
});

test("tails give way to batches that wait, at once and as much as is asked for", () => {
  const memory = openMemory(settings);
  const { store } = memory.tails;
  const stream = store.open("t/0", 0, 0)!;
  let offset = 0;
  while (memory.tails.account.roomBytes > largeChunkBytes) {
    store.append(stream, offset, ++offset, new Uint8Array(200_000));
    store.confirm(stream, offset);
  }
  const before = memory.tails.account.reservedBytes;
  expect(before).toBeGreaterThan(10 * mebibyte);
  const chunks: AppendChunk[] = [];
  for (let chunk = memory.buffers.acquire(1, false); chunk !== undefined;) {
    chunks.push(chunk);
    chunk = memory.buffers.acquire(1, false);
  }
  expect(chunks.length).toBeGreaterThan(5);
  expect(memory.tails.account.reservedBytes).toBeLessThan(before - 3 * mebibyte);
  expect(memory.report().offloadedChunkCount).toBeGreaterThan(0);
});

test.each([16, 24, 64, 256, 1024])("a budget of %i MiB has room for its parts", (mebibytes) => {
  const memory = openMemory({ memory: mebibytes * mebibyte, frameSizeMax: 16 * mebibyte });
  expect(memory.buffers.acquire(1, true)).toBeDefined();
  expect(memory.accounts.budget.root.reservedBytes).toBeLessThanOrEqual(mebibytes * mebibyte);
});
