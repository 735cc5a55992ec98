/** A node that lost its folder, and with it all promises: what becomes of it, and what it would do otherwise. */
import { expect, test } from "vitest";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { Cluster } from "./cluster.ts";

const names = ["n1", "n2", "n3"];

/**
 * The leader has a record that one other node has too, which then loses it. Nobody hears the leader any more; the one
 * that lost its folder can still introduce itself there.
 */
async function afterLoss(forgetsFolders: boolean) {
  const cluster = await SmallCluster.open(names, { forgetsFolders });
  await cluster.createTopic("orders");
  const leads = (name: string): boolean => cluster.node(name).cluster.state().partitions[0]?.leader === name;
  await cluster.until(() => names.some(leads));
  const leader = names.find(leads)!;
  const [broken, slow] = names.filter((name) => name !== leader);
  for (const other of names) cluster.cut.add(`${slow}>${other}`).add(`${other}>${slow}`);
  const sent = cluster.connect(leader).produce("orders", ["acknowledged"]);
  expect((await cluster.wait(sent)).value).toMatchObject({ kind: "reply" });
  cluster.cut.clear();
  for (const other of names) cluster.cut.add(`${leader}>${other}`);
  await cluster.loseFolder(broken!);
  await cluster.clock.advanceAsync(10_000);
  return { cluster, broken: broken!, slow: slow! };
}

/** What an operator asks for, and what is said. */
async function changed(cluster: SmallCluster, action: string, node: string): Promise<string> {
  const connection = { state: {} } as Parameters<Cluster["change"]>[1];
  const changing = cluster.leader!.cluster.change({ action, node, address: node }, connection);
  const { value } = await cluster.wait(changing, 100_000);
  return value?.message ?? "done";
}

test("without ids of folders, its vote would make a leader that lacks an acknowledged record", async () => {
  const { cluster, slow } = await afterLoss(true);
  // The two that lack the record are a majority, and another one stands in its place: it is gone for good.
  expect(cluster.node(slow).cluster.state().partitions[0]?.leader).toBe(slow);
  const sent = cluster.connect(slow).produce("orders", ["another"]);
  expect((await cluster.wait(sent)).value).toMatchObject({ kind: "reply", value: { baseOffset: 0 } });
});

test("it is refused with a line and stops, and nobody leads until the record can be had", async () => {
  const { cluster, broken, slow } = await afterLoss(false);
  expect(String(cluster.node(broken).halted)).toContain(
    `refuses this one: ${broken} is known with another data folder, which holds its promises`,
  );
  expect(cluster.node(broken).cluster.problem()).toBe("the node has stopped taking part");
  expect(cluster.node(slow).cluster.state().leader).toBe("");
  cluster.cut.clear();
  await cluster.until(() => cluster.leader !== undefined);
  const log = cluster.node(slow).broker.topics.get("orders")!.partitions[0]!.log;
  await cluster.until(() => log.committedEnd === 1);
});

test("after a new start it waits, and is let in under its name when the old one was removed", async () => {
  const { cluster, broken } = await afterLoss(false);
  cluster.cut.clear();
  await cluster.until(() => cluster.leader !== undefined);
  await cluster.restart(broken);
  const { member } = cluster.node(broken).identity;
  expect(member).toBe(`${broken}#${cluster.node(broken).identity.folder}`);
  const change = (action: string): Promise<string> => changed(cluster, action, broken);
  expect(await change("add")).toContain(`oz cluster remove ${broken}`);
  expect(await change("remove")).toBe("done");
  expect(await change("add")).toBe("done");
  const log = () => cluster.node(broken).broker.topics.get("orders")?.partitions[0]?.log;
  await cluster.until(() => log()?.committedEnd === 1);
  const state = cluster.node(broken).cluster.state();
  expect(state.members.map(({ node, role }) => [node, role])).toEqual(names.map((node) => [node, "voter"]));
  expect(state.node).toBe(broken);
  expect(cluster.bugs).toEqual([]);
});

test("a node that was added, and lost its folder, has no say before it is added again", async () => {
  const cluster = await SmallCluster.open(names, { joining: ["n4"] });
  await cluster.createTopic("orders");
  expect(await changed(cluster, "add", "n4")).toBe("done");
  const { member: before } = cluster.node("n4").identity;
  await cluster.loseFolder("n4");
  await cluster.clock.advanceAsync(5000);
  const { identity, broker, halted } = cluster.node("n4");
  expect([identity.member === before, halted]).toEqual([false, undefined]);
  expect(broker.topics.count).toBe(0);
  expect(await changed(cluster, "add", "n4")).toContain("oz cluster remove n4, start n4 again");
  // It takes part in nothing yet: it holds no topic, and whoever asks hears of no leader.
  expect(broker.topics.count).toBe(0);
  expect(await changed(cluster, "remove", "n4")).toBe("done");
  expect(await changed(cluster, "add", "n4")).toBe("done");
  await cluster.until(() => cluster.node("n4").cluster.leadersOf("orders", 1)[0]?.node !== "");
  const members = cluster.leader!.cluster.state().members.map(({ node, role }) => [node, role]);
  expect(members).toEqual([...names, "n4"].map((node) => [node, "voter"]));
  expect(cluster.bugs).toEqual([]);
});
