/** Whose a data folder is, and which cluster a node that joins takes over. */
import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { settled } from "../../testing/clock.ts";
import type { Identity } from "./identity.ts";
import { openIdentity, writtenMembersMax } from "./identity.ts";

const three = { n1: "a:1", n2: "b:2", n3: "c:3" };
const id = "0123456789abcdef";

async function open(
  disk: SimulatedDisk,
  members: Readonly<Record<string, string>>,
  node = "n1",
  isJoining = false,
) {
  const random = new SeededRandom(disk.calls);
  return openIdentity(disk, {
    node,
    members: new Map(Object.entries(members)),
    isJoining,
    checksum: crc32,
    random,
  });
}

async function stored(
  disk: SimulatedDisk,
  members: Readonly<Record<string, string>>,
  isJoining = false,
): Promise<Identity> {
  const opened = await open(disk, members, "n1", isJoining);
  if (opened.kind === "refused") throw new Error(opened.problem);
  await opened.identity.store();
  return opened.identity;
}

test("the first nodes of a cluster come to the same id, in whatever order they are named", async () => {
  const one = await stored(new SimulatedDisk(), three);
  const other = await open(new SimulatedDisk(), { n3: "c:3", n1: "a:1", n2: "b:2" }, "n2");
  expect(other).toMatchObject({ kind: "identity", isNew: true, identity: { clusterId: one.clusterId } });
  const elsewhere = await open(new SimulatedDisk(), { ...three, n3: "c:4" });
  expect(elsewhere).not.toMatchObject({ identity: { clusterId: one.clusterId } });
  expect(one.first).toEqual(["n1", "n2", "n3"]);
});

test.each<[string, Readonly<Record<string, string>>, string, string | undefined]>([
  ["as before", three, "n1", undefined],
  ["with a node more", { ...three, n4: "d:4" }, "n1", undefined],
  ["with one node of before", { n1: "a:1", n2: "b:2", n9: "x:9" }, "n1", undefined],
  ["at another address of its own", { ...three, n1: "z:1" }, "n1", undefined],
  ["alone", { n1: "a:1" }, "n1", undefined],
  ["under another name", three, "n2", "it is the data of node n1, not of n2"],
  ["with others altogether", { n1: "a:1", n2: "x:2", n3: "y:3" }, "n1", "it is the data of another cluster"],
])("a folder opens again %s, or says whose it is", async (_, members, node, problem) => {
  const disk = new SimulatedDisk();
  const { clusterId } = await stored(disk, three);
  const again = await open(disk, members, node);
  if (problem === undefined) {
    expect(again).toMatchObject({
      kind: "identity",
      isNew: false,
      identity: { clusterId, first: ["n1", "n2", "n3"] },
    });
  } else {
    expect(again).toMatchObject({ kind: "refused", problem: expect.stringContaining(problem) });
  }
});

test("nodes that were named at any start count as known ones", async () => {
  const disk = new SimulatedDisk();
  await stored(disk, three);
  await stored(disk, { ...three, n4: "d:4" });
  expect(await open(disk, { n1: "a:1", n4: "d:4" })).toMatchObject({ kind: "identity" });
});

test("nodes that the cluster has got since count as known ones, when all the first ones have been replaced", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, three);
  const replaced = { n1: "a:1", n4: "d:4", n5: "e:5" };
  expect(await open(disk, replaced)).toMatchObject({ kind: "refused" });
  // Twice at once, as when two nodes come one after the other.
  const notes = [{ ...three, n4: "d:4" }, replaced].map((members) => {
    return identity.remember(new Map(Object.entries(members)));
  });
  await Promise.all(notes);
  expect(await open(disk.restart({ kind: "nothing" }), replaced)).toMatchObject({ kind: "identity" });
  const { calls } = disk;
  await identity.remember(new Map(Object.entries(three)));
  expect(disk.calls).toBe(calls);
});

test("of the members that were replaced the last ones are written down, however often and whatever they are called", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, three);
  const member = (number: number): [string, string] => [`m${number}`, `${"x".repeat(250)}:${number}`];
  const last = 3 * writtenMembersMax;
  for (let number = 0; number <= last; number++) {
    await identity.remember(new Map([["n1", "a:1"], member(number)]));
  }
  const knows = async (members: Readonly<Record<string, string>>): Promise<boolean> =>
    (await open(disk, members)).kind === "identity";
  const known = [last, last - 90, last - writtenMembersMax, 0].map((number) =>
    knows({ n1: "a:1", ...Object.fromEntries([member(number)]) }),
  );
  expect(await Promise.all(known)).toEqual([true, true, false, false]);
});

test("a node that joins takes over one cluster, for good, and answers when that is on disk", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, { ...three, n1: "q:1" }, true);
  expect([identity.clusterId, identity.first]).toEqual(["", []]);
  for (const none of ["", "x", id.toUpperCase(), `${id}0`]) expect(await identity.admits(none)).toBe(false);
  const { promise, resolve } = Promise.withResolvers<void>();
  disk.replan({ gate: ({ operation }) => (operation === "sync" ? promise : undefined) });
  const answers: boolean[] = [];
  // Two nodes introduce themselves at once, and one of another cluster.
  for (const one of [id, id, "fedcba9876543210"])
    void identity.admits(one).then((is) => void answers.push(is));
  await settled();
  expect(answers).toEqual([]);
  resolve();
  for (let turn = 0; turn < 10; turn++) await settled();
  expect(answers).toEqual([true, true, false]);
  expect(await open(disk.restart({ kind: "nothing" }), three)).toMatchObject({
    identity: { clusterId: id, first: [] },
  });
});

test.each([
  ["has version 1, this program reads 2", (text: string) => text.replace('"version":2', '"version":1')],
  ["is damaged", (text: string) => text.replace('"n3"', '"n4"')],
  ["is damaged", (text: string) => text.replace('"crc32"', '"sum"')],
  ["is damaged", (text: string) => text.slice(0, -1)],
  ["is damaged", () => ""],
  ["is damaged", () => "null\n"],
  ["is damaged", (text: string) => text.replace('"hasBegun":false', '"hasBegun":true')],
  ["is damaged", () => '{"version":2}\n'],
])("a file that %s is refused", async (problem, change) => {
  const disk = new SimulatedDisk();
  await stored(disk, three);
  const text = new TextDecoder().decode(disk.peek("cluster/identity.json"));
  disk.poke("cluster/identity.json", new TextEncoder().encode(change(text)));
  expect(await open(disk, three)).toEqual({ kind: "refused", problem: `cluster/identity.json ${problem}` });
});

test("a folder has an id of its own, and keeps it", async () => {
  const disk = new SimulatedDisk();
  const one = await stored(disk, three);
  const other = await stored(new SimulatedDisk(), three, true);
  const again = await stored(disk.restart({ kind: "nothing" }), three);
  expect(one.folder).toMatch(/^[0-9a-f]{16}$/);
  expect(again.folder).toBe(one.folder);
  expect([one.member, other.member]).toEqual(["n1", `n1#${other.folder}`]);
});

test("the folder that was shown first under a name is the one that is believed, when it is on disk", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, three);
  const { promise, resolve } = Promise.withResolvers<void>();
  disk.replan({ gate: ({ operation }) => (operation === "sync" ? promise : undefined) });
  const answers: boolean[] = [];
  for (const folder of [id, "fedcba9876543210", "x"])
    void identity.meet("n2", folder).then((is) => void answers.push(is));
  for (let turn = 0; turn < 10; turn++) await settled();
  // What looks like no folder at all is refused at once.
  expect(answers).toEqual([false]);
  resolve();
  for (let turn = 0; turn < 10; turn++) await settled();
  expect(answers).toEqual([false, true, false]);
  const again = await stored(disk.restart({ kind: "nothing" }), three);
  expect([await again.meet("n2", id), await again.meet("n2", "fedcba9876543210")]).toEqual([true, false]);
  // What the log says counts, whoever came first.
  again.agreedFolder = () => "fedcba9876543210";
  expect([await again.meet("n2", id), await again.meet("n2", "fedcba9876543210")]).toEqual([false, true]);
});

test("a first member takes part when all others have met its folder, and a node that is alone or joins at once", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, three);
  expect([identity.hasBegun, identity.awaited, identity.firstFolders]).toEqual([
    false,
    ["n2", "n3"],
    undefined,
  ]);
  identity.metBy("n2");
  expect(identity.awaited).toEqual(["n3"]);
  // After a start all are asked again: the folder is the same, and they have not forgotten it.
  const later = disk.restart({ kind: "nothing" });
  const again = await stored(later, three);
  expect([again.hasBegun, again.awaited]).toEqual([false, ["n2", "n3"]]);
  for (const name of ["n2", "n3"]) await again.meet(name, id).then(() => again.metBy(name));
  expect([again.awaited, again.hasBegun]).toEqual([[], false]);
  await again.begin();
  expect(again.firstFolders).toEqual([
    ["n1", again.folder],
    ["n2", id],
    ["n3", id],
  ]);
  expect((await stored(later.restart({ kind: "nothing" }), three)).hasBegun).toBe(true);
  expect((await stored(new SimulatedDisk(), { n1: "a:1" })).hasBegun).toBe(true);
  expect((await stored(new SimulatedDisk(), three, true)).hasBegun).toBe(true);
});

test("a folder that stands back is somebody new at the next start", async () => {
  const disk = new SimulatedDisk();
  const identity = await stored(disk, three);
  await identity.standBack();
  const again = await stored(disk.restart({ kind: "nothing" }), three);
  expect(again).toMatchObject({
    hasBegun: true,
    first: [],
    clusterId: identity.clusterId,
    member: `n1#${identity.folder}`,
  });
});
