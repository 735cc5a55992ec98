/** The steps by which groups come to have the members that are wished for. */
import { expect, test } from "vitest";
import type { Configuration } from "../../raft/entry.ts";
import type { MemberChange } from "../../raft/membership.ts";
import type { ClusterCommand } from "./commands.ts";
import type { Group } from "./group.ts";
import type { Groups } from "./groups.ts";
import { clusterNodesMax, finishLeaving, judgeAddress, reconcile, wishedVoters } from "./membership.ts";
import type { MetadataGroup } from "./metadata-group.ts";

interface Shape extends Partial<Configuration> {
  readonly id?: string;
  readonly isReady?: boolean;
  /** Whether the configuration is not agreed on yet. */
  readonly isOpen?: boolean;
  readonly isHandingOver?: boolean;
}

/** A group as it is looked at, and what is asked of its core. */
function groupOf({ id = "n1", isReady = true, isOpen = false, isHandingOver = false, ...members }: Shape) {
  const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [], ...members };
  const asked: (MemberChange | string)[] = [];
  const core = {
    changeMembers: (change: MemberChange) => void asked.push(change),
    transfer: (heir: string) => void asked.push(`transfer to ${heir}`),
  };
  const state = {
    id,
    commitIndex: 5,
    configurations: [{ index: isOpen ? 6 : 5, configuration }],
    transfer: isHandingOver ? {} : undefined,
  };
  const command = (call: (raft: typeof core, nowMs: number) => void): void => call(core, 0);
  return { group: { isReady, state, command } as unknown as Group, asked };
}

test.each<[string, Shape, readonly string[], readonly (MemberChange | string)[]]>([
  ["has them", {}, ["n1", "n2", "n3"], []],
  [
    "lacks one: it first receives everything",
    {},
    ["n1", "n2", "n4"],
    [{ voters: ["n1", "n2", "n3"], learners: ["n4"] }],
  ],
  [
    "has one that receives: it votes before another one goes",
    { learners: ["n4"] },
    ["n1", "n2", "n4"],
    [{ voters: ["n1", "n2", "n3", "n4"] }],
  ],
  [
    "has one too many",
    { voters: ["n1", "n2", "n3", "n4"] },
    ["n1", "n2", "n4"],
    [{ voters: ["n1", "n2", "n4"] }],
  ],
  [
    "has a learner that nobody wants",
    { learners: ["n9"] },
    ["n1", "n2", "n3"],
    [{ voters: ["n1", "n2", "n3"] }],
  ],
  ["is led by one that goes", { id: "n3" }, ["n1", "n2"], ["transfer to n1"]],
  ["is being handed over by one that goes", { id: "n3", isHandingOver: true }, ["n1", "n2"], []],
  [
    "is led by one that goes, and lacks another",
    { id: "n3" },
    ["n2", "n4"],
    [{ voters: ["n1", "n2", "n3"], learners: ["n4"] }],
  ],
  ["is in the middle of a change", { oldVoters: ["n1"] }, ["n1", "n2"], []],
  ["has not agreed on the last change", { isOpen: true }, ["n1", "n2"], []],
  ["is led elsewhere", { isReady: false }, ["n1", "n2"], []],
  ["is wished away", {}, [], []],
])("a group that %s", (_, shape, wish, expected) => {
  const { group, asked } = groupOf(shape);
  reconcile(group, wish);
  expect(asked).toEqual(expected);
});

/** The metadata with a node that is leaving, and some partitions. */
function leaving(node: string, metadata: Shape, partitions: readonly Shape[]) {
  const { group, asked } = groupOf(metadata);
  const proposed: ClusterCommand[] = [];
  const propose = (command: ClusterCommand) => Promise.resolve(void proposed.push(command));
  const machine = { leaving: new Set([node]), gone: new Set() };
  const groups = { all: partitions.map(groupOf) } as unknown as Groups;
  return { metadata: { group, machine, propose } as unknown as MetadataGroup, groups, asked, proposed };
}

const without3: Shape = { voters: ["n1", "n2"] };

test.each<[string, Shape, readonly Shape[], readonly MemberChange[]]>([
  ["no partition has it", {}, [without3, without3], [{ voters: ["n1", "n2"] }]],
  ["a partition has it", {}, [without3, {}], []],
  ["a partition still feeds it", {}, [without3, { ...without3, learners: ["n3"] }], []],
  ["a partition is half done with it", {}, [{ ...without3, oldVoters: ["n3"] }], []],
  ["a partition has not agreed to do without it", {}, [{ ...without3, isOpen: true }], []],
  ["it leads the metadata", { id: "n3" }, [without3], []],
  ["another change is under way", { isOpen: true }, [without3], []],
  ["this node does not lead", { isReady: false }, [without3], []],
])("a node leaves the metadata last: %s", (_, metadata, partitions, expected) => {
  const { metadata: group, groups, asked, proposed } = leaving("n3", metadata, partitions);
  finishLeaving(group, groups);
  expect(asked).toEqual(expected);
  expect(proposed).toEqual([]);
});

test("a node that is a member no more has left, and that is written down", () => {
  const { metadata, groups, asked, proposed } = leaving("n3", without3, [without3]);
  finishLeaving(metadata, groups);
  expect(asked).toEqual([]);
  expect(proposed).toEqual([{ kind: "left", node: "n3" }]);
});

test("the wish is the metadata's voters, but for those that leave, and none while that changes", () => {
  expect(wishedVoters(leaving("n3", {}, []).metadata)).toEqual(["n1", "n2"]);
  expect(wishedVoters(leaving("n9", { learners: ["n4"] }, []).metadata)).toEqual(["n1", "n2", "n3"]);
  expect(wishedVoters(leaving("n3", { isOpen: true }, []).metadata)).toBeUndefined();
  expect(wishedVoters(leaving("n3", { oldVoters: ["n4"] }, []).metadata)).toBeUndefined();
});

test("a cluster has so many nodes and no more", () => {
  const voters = Array.from({ length: clusterNodesMax - 1 }, (_, number) => `n${number + 1}`);
  const addresses = new Map(voters.map((name) => [name, `${name}:1`]));
  const judge = (members: Partial<Configuration>, name: string, address: string) =>
    judgeAddress(leaving("n99", members, []).metadata, addresses, name, address)?.message;
  expect(judge({ voters }, "one-more", "x:1")).toBeUndefined();
  const full = { voters, learners: ["l"] };
  expect(judge(full, "one-more", "x:1")).toBe("the cluster has 32 nodes, as many as it takes");
  // Whoever is there may be named again.
  expect(judge(full, "l", "l:1")).toBeUndefined();
});
