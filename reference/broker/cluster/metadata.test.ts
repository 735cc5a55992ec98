/** What a committed command does to the state that all nodes share. */
import { beforeEach, expect, test } from "vitest";
import type { Entry, Snapshot } from "../../raft/entry.ts";
import type { TopicConfig } from "../topic.ts";
import type { ClusterCommand } from "./commands.ts";
import { encodeClusterCommand } from "./commands.ts";
import type { Applied } from "./metadata.ts";
import { Metadata, goneNodesMax } from "./metadata.ts";

const config: TopicConfig = { partitions: 2, retentionMs: 0, retentionBytes: 0, isCompacted: false };
const position = (partition: number, offset: number) => ({ topic: "t", partition, offset });

let metadata: Metadata;
let index: number;

beforeEach(async () => {
  metadata = newMetadata();
  index = 0;
  await carryOut({ kind: "create-topic", topic: "t", config });
});

const positionsMax = 50;

function newMetadata(): Metadata {
  const local = { create: async () => {}, delete: async () => {}, list: () => new Map<string, number>() };
  return new Metadata(local, positionsMax);
}

/** Commits a command; resolves to what it came to. */
async function carryOut(command: ClusterCommand, to = metadata): Promise<Applied> {
  const entry: Entry = { kind: "command", index: ++index, term: 1, data: encodeClusterCommand(command) };
  let came: Applied | undefined;
  to.onApplied = (_entry, applied) => void (came = applied);
  await to.apply(entry);
  if (came === undefined) throw new Error("nobody was told");
  return came;
}

const join = (memberId: string, owned: readonly number[] = []) =>
  carryOut({
    kind: "join-group",
    group: "g",
    memberId,
    topics: ["t"],
    owned: owned.map((partition) => ({ topic: "t", partition })),
  });

test("a member is taken in, and told what the others' members let go of", async () => {
  expect(await join("m")).toMatchObject({
    kind: "joined",
    membership: { generation: 1, assigned: { length: 2 } },
  });
  expect(await join("n")).toMatchObject({ membership: { generation: 2, assigned: [] } });
  expect(await join("m", [0])).toMatchObject({ membership: { assigned: [{ partition: 0 }] } });
  expect(await join("n")).toMatchObject({ membership: { assigned: [{ partition: 1 }] } });
  expect(await carryOut({ kind: "leave-group", group: "g", memberIds: ["m", "x"] })).toEqual({
    kind: "left",
    wasMember: true,
  });
  expect(await carryOut({ kind: "leave-group", group: "g", memberIds: ["m"] })).toMatchObject({
    wasMember: false,
  });
  expect(await join("n", [1])).toMatchObject({ membership: { assigned: { length: 2 } } });
});

// A leader judges a commit before it proposes it, and much can stand in the log between the two.
test("a commit is judged where it stands in the log, and not when it was sent", async () => {
  await join("m");
  const commit = (positions: readonly ReturnType<typeof position>[]) =>
    carryOut({ kind: "commit-offsets", group: "g", positions, by: { memberId: "m", generation: 1 } });
  expect(await commit([position(0, 5), position(1, 6)])).toEqual({ kind: "committed", fenced: [] });
  await join("n");
  await join("m", [0]);
  await join("n");
  expect(await commit([position(0, 7), position(1, 8)])).toEqual({ kind: "committed", fenced: [1] });
  expect(metadata.position("g", "t", 0)).toBe(7);
  expect(metadata.position("g", "t", 1)).toBe(6);
  await carryOut({ kind: "leave-group", group: "g", memberIds: ["m"] });
  expect(await commit([position(0, 9)])).toEqual({ kind: "committed", fenced: [0] });
  expect(metadata.position("g", "t", 0)).toBe(7);
});

test("a commit of which nothing is stored leaves no trace of its group", async () => {
  const before = metadata.save();
  const by = { memberId: "nobody", generation: 0 };
  const commit = carryOut({ kind: "commit-offsets", group: "g", positions: [position(0, 1)], by });
  expect(await commit).toEqual({ kind: "committed", fenced: [0] });
  expect(metadata.save()).toEqual(before);
});

test("a commit by hand goes in any direction", async () => {
  for (const offset of [5, 2]) {
    await carryOut({ kind: "commit-offsets", group: "g", positions: [position(0, offset)] });
    expect(metadata.position("g", "t", 0)).toBe(offset);
  }
});

test("all nodes keep so many positions and no more, and those that there are can still move", async () => {
  const commit = (group: string, from: number, count: number, offset = 1) => {
    const positions = Array.from({ length: count }, (_, place) => position(from + place, offset));
    return carryOut({ kind: "commit-offsets", group, positions });
  };
  const stored = { kind: "committed", fenced: [] };
  expect(await commit("g", 0, 48)).toEqual(stored);
  const message = "there are 50 positions of groups, as many as can be";
  expect(await commit("h", 0, 3)).toMatchObject({ name: "invalid-request", message });
  expect(metadata.positionsOf("h")).toEqual([]);
  // One that is named twice is one.
  const twice = [position(0, 1), position(0, 2)];
  expect(await carryOut({ kind: "commit-offsets", group: "h", positions: twice })).toEqual(stored);
  expect(await commit("h", 0, 2)).toEqual(stored);
  expect(await commit("h", 1, 2)).toMatchObject({ message });
  expect(await commit("g", 0, 2, 9)).toEqual(stored);
  expect(metadata.position("g", "t", 1)).toBe(9);
  const copy = newMetadata();
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  await copy.restore({ index, term: 1, configuration, data: metadata.save() });
  const oneMore = { kind: "commit-offsets", group: "i", positions: [position(0, 1)] } as const;
  expect(await carryOut(oneMore, copy)).toMatchObject({ message });
  await carryOut({ kind: "delete-topic", topic: "t" }, copy);
  expect(await carryOut(oneMore, copy)).toEqual(stored);
});

test("of the nodes that have left the last thousand are remembered", async () => {
  const leave = (node: string) => carryOut({ kind: "left", node });
  for (let left = 0; left < goneNodesMax; left++) await leave(`n${left}`);
  await leave("n5");
  expect([metadata.gone.size, metadata.gone.has("n0")]).toEqual([1000, true]);
  await leave("one more");
  expect([metadata.gone.size, metadata.gone.has("n0"), metadata.gone.has("one more")]).toEqual([
    1000,
    false,
    true,
  ]);
});

test("a snapshot holds groups, members and positions, and goes on from there", async () => {
  await join("m");
  await join("n");
  await carryOut({ kind: "commit-offsets", group: "g", positions: [position(0, 5)] });
  const copy = newMetadata();
  const configuration = { voters: ["n1"], oldVoters: [], learners: [] };
  const snapshot: Snapshot = { index, term: 1, configuration, data: metadata.save() };
  await copy.restore(snapshot);
  expect(copy.save()).toEqual(metadata.save());
  expect(copy.position("g", "t", 0)).toBe(5);
  const release = {
    kind: "join-group",
    group: "g",
    memberId: "m",
    topics: ["t"],
    owned: [{ topic: "t", partition: 1 }],
  } as const;
  expect(await carryOut(release, copy)).toEqual(await carryOut(release));
  expect(copy.save()).toEqual(metadata.save());
});

test("with a topic go its positions; its members share out what is left", async () => {
  await carryOut({ kind: "create-topic", topic: "u", config });
  await join("m");
  await carryOut({ kind: "commit-offsets", group: "g", positions: [position(0, 5)] });
  await carryOut({ kind: "delete-topic", topic: "t" });
  expect(metadata.positionsOf("g")).toEqual([]);
  expect(await join("m", [0, 1])).toMatchObject({ membership: { generation: 2, assigned: [] } });
});
