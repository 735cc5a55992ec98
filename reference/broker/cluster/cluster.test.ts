/** What a node does when its disk fails, and what operators are told. */
import { expect, test } from "vitest";
import { DiskError } from "../../ports.ts";
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
  await cluster.until(() => node.halted !== undefined);
  expect(node.halted).toMatchObject({ code: "no-space" });
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
