import { expect, test } from "vitest";
import { partitionLines, partitionLinesMax } from "./cluster-status.ts";

const partition = (number: number, leader: string, behind: number) => {
  return { topic: "orders", partition: number, leader, term: 3, endOffset: 5, behind };
};

test("each partition that is not well is named, and those that are well are not", () => {
  const partitions = [
    partition(0, "n1", 0),
    partition(1, "", 0),
    partition(2, "n2", 1),
    partition(3, "n2", 2),
  ];
  expect(partitionLines(partitions, false)).toEqual([
    "orders/1  has no leader",
    "orders/2  1 node lacks records",
    "orders/3  2 nodes lack records",
  ]);
});

test("of many, the first are named and all are counted", () => {
  const partitions = Array.from({ length: 1000 }, (_, number) =>
    partition(number, number < 700 ? "" : "n1", 1),
  );
  const lines = partitionLines(partitions, false);
  expect(lines).toHaveLength(partitionLinesMax + 1);
  expect(lines[0]).toBe("orders/0  has no leader");
  expect(lines.at(-1)).toBe(
    "of 1000 partitions: 700 without a leader, 1000 of which a node lacks records (--all lists them)",
  );
  expect(partitionLines(partitions, true)).toHaveLength(1700);
});
