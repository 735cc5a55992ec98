import { expect, test } from "vitest";
import { SyncPlace } from "./sync-place.ts";

/** Syncs that take so long, one after the other; returns for each whether it was made in place. */
function run(place: SyncPlace, count: number, tookMs: (nth: number) => number, startMs = 0): boolean[] {
  let nowMs = startMs;
  return Array.from({ length: count }, (_, nth) => {
    const { isInPlace } = place;
    const beganMs = nowMs;
    // The pool adds its way there and back.
    nowMs += tookMs(nth) + (isInPlace ? 0 : 0.05);
    if (isInPlace) place.noteInPlace(beganMs, nowMs);
    else place.notePool(beganMs, nowMs);
    return isInPlace;
  });
}

test("syncs that wait for nothing are made in place from the second on", () => {
  expect(run(new SyncPlace(), 100, () => 0.002)).toEqual([false, ...Array<boolean>(99).fill(true)]);
});

test("syncs of a slow disk stay in the pool", () => {
  expect(run(new SyncPlace(), 100, () => 1)).not.toContain(true);
});

test("a disk that is nearly fast enough is tried now and then, and costs the loop a hundredth", () => {
  const made = run(new SyncPlace(), 10_000, () => 0.1);
  const tried = made.filter((isInPlace) => isInPlace).length;
  expect(tried).toBeGreaterThan(0);
  expect(tried / made.length).toBeLessThan(0.02);
});

test("a sync that is slow for once changes nothing, and a disk that has become slow goes to the pool soon", () => {
  const place = new SyncPlace();
  run(place, 10, () => 0.002);
  expect(run(place, 1000, (nth) => (nth % 10 === 0 ? 0.5 : 0.002))).not.toContain(false);
  const slow = run(place, 1000, () => 5);
  expect(slow.filter((isInPlace) => isInPlace).length).toBeLessThan(5);
});
