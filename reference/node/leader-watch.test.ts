import { expect, test } from "vitest";
import { LeaderWatch } from "./leader-watch.ts";

const none = "no leader is known: too few nodes of the cluster can be reached";

test("ten seconds without a leader are told once, and its end", () => {
  const watch = new LeaderWatch();
  const lines = Array.from({ length: 20 }, (_, second) => watch.look(second * 1000, none));
  expect(lines.filter((line) => line !== undefined)).toEqual([`${none} (for 10 s)`]);
  expect(watch.look(21_000, undefined)).toBe("everything has a leader again");
  expect(watch.look(22_000, undefined)).toBeUndefined();
});

test("an election is nothing to tell", () => {
  const watch = new LeaderWatch();
  for (let second = 0; second < 9; second++) expect(watch.look(second * 1000, none)).toBeUndefined();
  expect(watch.look(9000, undefined)).toBeUndefined();
  expect(watch.look(12_000, none)).toBeUndefined();
});

test("of many partitions the first is told, and then that nobody leads at all", () => {
  const watch = new LeaderWatch();
  const lines = [0, 10_000, 11_000].map((atMs, number) =>
    watch.look(atMs, `no leader is known for t/${number}`),
  );
  expect(lines.map((line) => line?.slice(0, 26))).toEqual([
    undefined,
    "no leader is known for t/1",
    undefined,
  ]);
  expect(watch.look(12_000, none)).toContain("too few nodes");
});
