import { expect, test } from "vitest";
import { happened, verdictOf } from "./cluster-news.js";

const member = (node: string, isReached = true, behind: number | null = 0, role = "voter") => {
  return { node, address: `${node}:7420`, role, isReached, behind, partitionsLed: 0 };
};
const partition = (number: number, leader: string, behind = 0) => {
  return { topic: "orders", partition: number, leader, term: 1, behind };
};
const well = {
  clusterId: "c",
  node: "n1",
  term: 3,
  leader: "n2",
  members: [member("n1"), member("n2"), member("n3")],
  partitions: [partition(0, "n1"), partition(1, "n2"), partition(2, "n3")],
};
const without = {
  ...well,
  term: 4,
  leader: "n1",
  members: [member("n1"), member("n2", false, 2), member("n3")],
  partitions: [partition(0, "n1", 1), partition(1, "n1"), partition(2, "n3", 1)],
};
const texts = (...views: Parameters<typeof happened>) => happened(...views).map(({ text }) => text);

test("one line says how the cluster is, the worst first", () => {
  expect(verdictOf(well)).toEqual({
    text: "n2 leads, term 3; every node is here and has all records",
    state: "good",
  });
  expect(verdictOf(without)).toEqual({
    text: "n1 leads, term 4; n2 is away; a node lacks records of 2 partitions",
    state: "warn",
  });
  const leaderless = { ...without, partitions: [partition(0, ""), partition(1, "n1", 1)] };
  expect(verdictOf(leaderless)).toEqual({ text: "1 partition without a leader", state: "bad" });
  expect(verdictOf({ ...leaderless, leader: "" })).toEqual({
    text: "nobody leads: too few nodes can reach each other",
    state: "bad",
  });
});

test("a node that goes and comes back is told with all that follows, and what stays is not", () => {
  expect(texts(well, well)).toEqual([]);
  expect(texts(well, without)).toEqual([
    "n2 is away",
    "n1 leads the cluster, term 4",
    "n1 leads orders/1",
    "a node lacks records of 2 partitions",
  ]);
  expect(texts(without, { ...well, term: 4, leader: "n1" })).toEqual([
    "n2 is back",
    "n2 has all of the cluster's own log again",
    "n2 leads orders/1",
    "all nodes have all records",
  ]);
});

test("too few nodes, those that join and leave, and many partitions at once are told in few words", () => {
  const many = (leader: string) => Array.from({ length: 9 }, (_, number) => partition(number, leader));
  const [before, now] = ["n1", ""].map((leader) => ({ ...well, leader, partitions: many(leader) }));
  expect(texts(before!, now!)).toEqual(["nobody leads the cluster", "9 partitions have no leader"]);
  const grown = { ...well, members: [member("n1"), member("n2"), member("n4", true, 5, "learner")] };
  expect(texts(well, grown)).toEqual(["n4 joins as learner", "n3 has left the cluster"]);
});
