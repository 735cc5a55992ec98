import { expect, test } from "vitest";
import { memberLines } from "./cluster-status.ts";
import type { ClusterState } from "./cluster-view.ts";
import { mergeStates, viewCluster } from "./cluster-view.ts";

const nodes = ["n1", "n2", "n3"];
const never = (): Promise<void> => new Promise(() => {});

/** What `node` says: who leads the metadata and partitions 0, 1, …, and how many copies lack records there. */
function stateOf(
  node: string,
  term: number,
  leader: string,
  leaders: readonly string[],
  behind: readonly number[] = [],
): ClusterState {
  const members = nodes.map((name) => {
    const matchIndex = leader === node ? (name === "n3" ? 6 : 9) : 0;
    return { node: name, address: `${name}:7420`, role: "voter", matchIndex, partitionsLed: 0 };
  });
  const partitions = leaders.map((name, partition) => {
    const lacking = name === node ? (behind[partition] ?? 0) : 0;
    return { topic: "orders", partition, leader: name, term, endOffset: 5, behind: lacking };
  });
  return { clusterId: "c", node, term, leader, commitIndex: 9, appliedIndex: 9, members, partitions };
}

const missing = (view: ReturnType<typeof mergeStates>) =>
  view.partitions.map(({ leader, behind }) => `${leader} ${behind}`);

test("what is missing of a partition is taken from the node that leads it, whoever is asked", () => {
  const leaders = ["n1", "n2", "n2"];
  const states = ["n1", "n2"].map((node) => stateOf(node, 4, "n2", leaders, [1, 0, 2]));
  for (const [asked, other] of [states, states.toReversed()]) {
    const view = mergeStates(asked!, [other]);
    expect(missing(view)).toEqual(["n1 1", "n2 0", "n2 2"]);
    expect(view).toMatchObject({ node: asked!.node, leader: "n2", term: 4 });
    expect(memberLines(view)).toEqual([
      "n1  n1:7420  voter    leads 1 partition    up to date",
      "n2  n2:7420  leader   leads 2 partitions   up to date",
      "n3  n3:7420  voter    leads 0 partitions   away, 3 entries behind",
    ]);
  }
});

test("a leader that does not answer is named as long as nobody knows better; one that answers must say so", () => {
  const asked = stateOf("n1", 4, "n3", ["n3", "n2"]);
  const other = stateOf("n2", 4, "n3", ["n3", "n1"]);
  const view = mergeStates(asked, [other, undefined]);
  expect(view.leader).toBe("n3");
  expect(missing(view)).toEqual(["n3 0", " 0"]);
  expect(view.members.map(({ behind }) => behind)).toEqual([null, null, null]);
  expect(mergeStates(asked, [stateOf("n3", 4, "", ["", ""])]).leader).toBe("");
});

test("of two leaders the one of the later term counts", () => {
  const old = stateOf("n1", 4, "n1", ["n1"], [2]);
  const view = mergeStates(old, [stateOf("n2", 5, "n2", ["n2"], [1])]);
  expect([view.leader, view.term, ...missing(view)]).toEqual(["n2", 5, "n2 1"]);
});

test("another cluster at a member's address has nothing to say", () => {
  const stranger = { ...stateOf("n2", 9, "n2", ["n2"]), clusterId: "other" };
  const view = mergeStates(stateOf("n1", 4, "n1", ["n1"]), [stranger]);
  expect([view.leader, view.members[1]?.isReached]).toEqual(["n1", false]);
});

test("a node that is silent or fails is away, and nobody waits for it longer than for the others", async () => {
  const ask = async (node: string): Promise<ClusterState> => {
    if (node === "n2") await never();
    throw new Error(`no way to ${node}`);
  };
  const waits: number[] = [];
  const wait = async (durationMs: number): Promise<void> => void waits.push(durationMs);
  const view = await viewCluster(stateOf("n1", 4, "n1", ["n1"]), ask, wait);
  expect(view.members.map(({ isReached }) => isReached)).toEqual([true, false, false]);
  expect(waits).toEqual([1000]);
});
