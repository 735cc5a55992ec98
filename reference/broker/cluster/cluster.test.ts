/** What a node does when its disk fails, and what operators are told. */
import { expect, test } from "vitest";
import { DiskError } from "../../ports.ts";
import type { Cluster } from "./cluster.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";

test("a node whose disk is full stops at once: it has nothing left to hand over", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  await cluster.createTopic("orders", 3);
  const node = cluster.leader!;
  const client = cluster.connect(node.name);
  node.onDisk = ({ operation, path }) => {
    return operation === "write" ? Promise.reject(new DiskError("no-space", operation, path)) : undefined;
  };
  void client.produce("orders", ["a"], { partition: 0 }).catch(() => {});
  void client.produce("orders", ["b"], { partition: 1 }).catch(() => {});
  void client.produce("orders", ["c"], { partition: 2 }).catch(() => {});
  const open = node.cluster.deleteTopic("none");
  await cluster.until(() => node.halted !== undefined);
  expect(node.halted).toMatchObject({ code: "no-space" });
  // Whoever waits for a change is not left waiting.
  expect((await cluster.wait(open)).value).toMatchObject({ kind: "error" });
  const { tookMs } = await cluster.wait(node.cluster.stop());
  expect(tookMs).toBeLessThan(20);
  // The others go on.
  await cluster.until(() => cluster.leader !== undefined && cluster.leader !== node);
  expect(cluster.bugs).toEqual([]);
});

test("a node that stops hands over to one that is there, and does not wait for one that is gone", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  await cluster.createTopic("orders", 3);
  const first = cluster.leader!;
  const [gone, heir] = [...cluster.nodes.values()].filter((node) => node !== first);
  const silence = (name: string): void => {
    for (const other of cluster.nodes.keys()) cluster.cut.add(`${name}>${other}`).add(`${other}>${name}`);
  };
  silence(gone!.name);
  await cluster.until(() => first.cluster.state().partitions.every(({ leader }) => leader !== gone!.name));
  await cluster.clock.advanceAsync(1500);
  const { tookMs } = await cluster.wait(first.cluster.stop());
  expect(tookMs).toBeLessThan(200);
  await cluster.until(() => cluster.leader === heir, 400);
});

/** Cuts a node off from all others, or lets it hear and be heard again. */
function isolate(cluster: SmallCluster, name: string, isCut: boolean): void {
  for (const other of cluster.nodes.keys()) {
    for (const link of [`${name}>${other}`, `${other}>${name}`]) {
      if (isCut) cluster.cut.add(link);
      else cluster.cut.delete(link);
    }
  }
}

/** Asks for a change of the members as `oz cluster` does; resolves to what is refused. */
async function change(cluster: SmallCluster, action: string, node: string, address = node) {
  const client = cluster.connect(cluster.leader!.name);
  const id = client.send("ChangeCluster", { action, node, address });
  let response = client.received(id);
  await cluster.until(() => (response ??= client.received(id)) !== undefined, 90_000);
  const reply = client.read("ChangeCluster", response!);
  return reply.kind === "error" ? reply.message : "done";
}

const votersOf = (cluster: SmallCluster): string[] =>
  cluster
    .leader!.cluster.state()
    .members.filter(({ role }) => role === "voter")
    .map(({ node }) => node);

test("a node that was away finds a leader of which it has never heard", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"], { joining: ["n4"] });
  await cluster.createTopic("orders");
  const away = [...cluster.nodes.keys()].find((name) => name !== cluster.leader!.name && name !== "n4")!;
  isolate(cluster, away, true);
  expect(await change(cluster, "add", "n4")).toBe("done");
  expect(await change(cluster, "transfer", "n4")).toBe("done");
  await cluster.until(() => cluster.leader?.name === "n4");
  const { cluster: left } = cluster.node(away);
  expect(left.members.has("n4")).toBe(false);
  isolate(cluster, away, false);
  await cluster.until(() => left.state().members.length === 4 && left.state().leader === "n4", 10_000);
  expect(cluster.leader?.name).toBe("n4");
});

test("a node writes down who has joined its cluster, to know it again", async () => {
  const cluster = await SmallCluster.open(["n1", "n2"], { joining: ["n4"] });
  expect(await change(cluster, "add", "n4")).toBe("done");
  const written = (name: string): string => {
    return new TextDecoder().decode(cluster.node(name).disk.peek("cluster/identity.json"));
  };
  await cluster.until(() => ["n1", "n2"].every((name) => written(name).includes("n4=n4")));
  expect(votersOf(cluster)).toEqual(["n1", "n2", "n4"]);
});

test("a node that does not answer is not added, and soon said so", async () => {
  const cluster = await SmallCluster.open(["n1", "n2"]);
  const startMs = cluster.clock.monotonicTimeMs();
  expect(await change(cluster, "add", "n9")).toContain("no node n9 that joins answers at n9");
  expect(cluster.clock.monotonicTimeMs() - startMs).toBeLessThan(6000);
  expect(votersOf(cluster)).toEqual(["n1", "n2"]);
});

test("a node that is removed while it is being added is not added again", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"], { joining: ["n4"] });
  await cluster.createTopic("orders");
  const { name } = cluster.leader!;
  const adding = cluster.leader!.cluster.change({ action: "add", node: "n4", address: "n4" }, {
    state: {},
  } as Parameters<Cluster["change"]>[1]);
  await cluster.until(() => cluster.leader!.cluster.state().members.length === 4);
  // Now it falls silent, before it has everything.
  isolate(cluster, "n4", true);
  expect(await change(cluster, "remove", "n4")).toBe("done");
  const { value } = await cluster.wait(adding);
  expect(value?.message).toContain("n4 is being removed");
  await cluster.clock.advanceAsync(2000);
  expect(votersOf(cluster)).toEqual(["n1", "n2", "n3"]);
  expect(cluster.leader!.name).toBe(name);
});

test("operators are told what cannot be", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  const leader = cluster.leader!.name;
  const [first, second] = ["n1", "n2", "n3"].filter((name) => name !== leader);
  expect(await change(cluster, "transfer", "n9")).toBe("the cluster has no node n9 that could lead");
  expect(await change(cluster, "remove", "n9")).toBe("the cluster has no node n9");
  expect(await change(cluster, "remove", leader)).toContain("transfer the leadership first");
  expect(await change(cluster, "frob", leader)).toContain("frob is not add, remove or transfer");
  expect(await change(cluster, "add", "n9", first!)).toBe(`${first!} is the address of ${first!}`);
  expect(await change(cluster, "add", first!, "elsewhere")).toContain("a node of this cluster already");
  expect(await change(cluster, "remove", first!)).toBe("done");
  expect(await change(cluster, "remove", second!)).toBe("done");
  expect(await change(cluster, "remove", leader)).toContain("is the last node");
  expect(votersOf(cluster)).toEqual([leader]);
});

test("a change that another leader's entries have overtaken is refused, and one that waits at the end is in doubt", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  const first = cluster.leader!;
  isolate(cluster, first.name, true);
  const overtaken = first.cluster.deleteTopic("nothing");
  await cluster.until(() => cluster.leader !== undefined && cluster.leader !== first);
  const second = cluster.leader!;
  expect((await cluster.wait(second.cluster.deleteTopic("other"))).value).toMatchObject({
    name: "topic-not-found",
  });
  isolate(cluster, first.name, false);
  // It was told when its leader learned that it leads no more; whatever stands there now is another change.
  expect((await cluster.wait(overtaken)).value?.name).not.toBe("topic-not-found");
  isolate(cluster, second.name, true);
  const open = second.cluster.deleteTopic("third");
  await cluster.clock.advanceAsync(10);
  second.cluster.stop().catch(() => {});
  expect((await cluster.wait(open)).value).toMatchObject({ name: "request-timeout" });
});

test("a topic is made when each of its partitions is led, and one word moves them all", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  const config = { partitions: 9, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  await cluster.wait(cluster.leader!.cluster.createTopic("orders", config));
  const leaders = (): Set<string> =>
    new Set(cluster.leader!.cluster.leadersOf("orders", 9).map(({ node }) => node));
  expect([...leaders()].toSorted()).toEqual(["n1", "n2", "n3"]);
  const target = ["n1", "n2", "n3"].find((name) => name !== cluster.leader!.name)!;
  expect(await change(cluster, "transfer", target)).toBe("done");
  await cluster.until(() => cluster.leader?.name === target, 1000);
  await cluster.until(() => leaders().size === 1 && leaders().has(target), 1000);
});
