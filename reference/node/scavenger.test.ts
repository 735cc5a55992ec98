import { expect, test } from "vitest";
import { Scavenger } from "./scavenger.ts";

test("collects once for each round of bytes, however they come", () => {
  let rounds = 0;
  const scavenger = new Scavenger(100, () => rounds++);
  for (let count = 0; count < 99; count++) scavenger.note(1);
  expect(rounds).toBe(0);
  scavenger.note(1);
  scavenger.note(500);
  scavenger.note(99);
  expect(rounds).toBe(2);
});

test("buffers that nobody holds are freed before the heap asks for it", () => {
  const scavenger = new Scavenger(2 ** 20);
  let largest = 0;
  for (let count = 0; count < 2000; count++) {
    const chunk = new Uint8Array(2 ** 16);
    scavenger.note(chunk.length);
    if (count % 100 === 0) largest = Math.max(largest, process.memoryUsage().arrayBuffers);
  }
  expect(largest).toBeLessThan(64 * 2 ** 20);
});
