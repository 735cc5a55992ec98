import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { Client } from "./client.ts";
import { TestCluster } from "./test-cluster.ts";
import { leaderOf } from "./test-faults.ts";
import { OzProcesses } from "./test-processes.ts";

const processes = new OzProcesses();
const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) cluster.close();
  await processes.cleanUp();
});

const partitions = [0, 1];
const lookMs = 50;

/** Bytes of the records that a node keeps of the topic. */
async function sizeOn(data: string): Promise<number> {
  let bytes = 0;
  for (const partition of partitions) {
    const folder = join(data, "topics", "latest", String(partition));
    for (const name of await readdir(folder).catch(() => [])) {
      // A file may go while it is looked at.
      if (name.endsWith(".log")) bytes += (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size;
    }
  }
  return bytes;
}

test("a cluster compacts: after kills and a replaced node each leader has the newest of every key", async () => {
  const often = ["--compaction-interval", "200ms", "--compaction-growth", "0", "--tombstone-time", "100ms"];
  const cluster = await TestCluster.start(processes, {
    count: 3,
    flags: ["--segment-size", "1MiB", ...often],
  });
  clusters.push(cluster);
  const oz = async (...argv: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await processes.run([...argv, "--server", cluster.addresses.join(",")]);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    return stdout.toString();
  };
  await oz("topics", "create", "latest", "--compact", "--partitions", String(partitions.length));
  expect(await oz("topics", "describe", "latest")).toContain("last record of each key");

  const client = await Client.connect(cluster.addresses);
  const producer = client.producer("latest");
  const newest = new Map<string, string>();
  const padding = "x".repeat(1000);
  let sentBytes = 0;
  let round = 0;
  const change = async (rounds: number): Promise<void> => {
    for (const end = round + rounds; round < end; round++) {
      const changes: [string, string | null][] = [];
      for (let key = 0; key < 20; key++) changes.push([`key ${key}`, `${round}`]);
      // Guests come for one round and never return.
      changes.push([`guest ${round}`, "here"], [`guest ${round - 1}`, null]);
      await Promise.all(
        changes.map(([key, value]) => producer.send({ key, value: value && value + padding })),
      );
      for (const [key, value] of changes) {
        if (value === null) newest.delete(key);
        else newest.set(key, value);
        sentBytes += value === null ? 0 : padding.length;
      }
    }
  };
  /** Until all that run have let go of a third. What is no older than the last snapshot stays, and its segment. */
  const compacted = async (): Promise<void> => {
    for (const { data } of cluster.running) {
      while ((await sizeOn(data)) > (sentBytes * 2) / 3) await sleep(lookMs);
    }
  };

  await change(300);
  const killed = await leaderOf(cluster, "latest", 0);
  const changing = change(300);
  await cluster.kill(killed);
  await changing;
  await compacted();
  await cluster.serve(killed);
  await change(50);

  // One goes for good, and one with an empty folder takes its place.
  const { name: lost } = cluster.nodes.find(({ name }) => name !== killed)!;
  await cluster.kill(lost);
  await oz("cluster", "remove", lost);
  await cluster.forget(lost);
  const { name: replacement, address } = await cluster.join();
  await oz("cluster", "add", `${replacement}=${address}`);
  await change(50);
  await producer.close();
  client.destroy();
  await compacted();

  for (const { name } of cluster.nodes) {
    const leaders = async (): Promise<string[]> => {
      return Promise.all(partitions.map((partition) => leaderOf(cluster, "latest", partition)));
    };
    while ((await leaders()).some((leader) => leader !== name)) {
      await oz("cluster", "transfer", name);
      await sleep(lookMs);
    }
    const found = new Map<string, string>();
    for (const line of (await oz("consume", "latest", "--json")).trimEnd().split("\n")) {
      const { key, value } = JSON.parse(line) as { key: string; value: string | null };
      if (value === null) found.delete(key);
      else found.set(key, value.replace(padding, ""));
    }
    expect([name, Object.fromEntries(found)]).toEqual([name, Object.fromEntries(newest)]);
  }
  expect(cluster.surprises).toEqual([]);
});
