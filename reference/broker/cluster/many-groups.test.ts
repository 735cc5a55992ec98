/** Many partitions on few nodes: what they cost while nothing happens, and what wakes them. */
import { expect, test } from "vitest";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { SmallNode } from "../../testing/cluster/small-cluster.ts";
import type { Group } from "./group.ts";
import { Groups } from "./groups.ts";
import type { NodeContext } from "./node-context.ts";

const names = ["n1", "n2", "n3"] as const;
const partitions = 60;

/** A cluster in which every partition is led by the node that shall lead it. */
async function settled(): Promise<SmallCluster> {
  const cluster = await SmallCluster.open(names);
  await cluster.createTopic("many", partitions);
  await cluster.until(() => namesOfLeaders(cluster.node("n1")).every((name) => name !== ""));
  await cluster.clock.advanceAsync(2000);
  return cluster;
}

function namesOfLeaders({ cluster }: SmallNode): string[] {
  return cluster.state().partitions.map(({ leader }) => leader);
}

/** Who leads each partition, as whoever leads it says. */
function led(cluster: SmallCluster, among: readonly string[]): Map<number, { name: string; term: number }> {
  const found = new Map<number, { name: string; term: number }>();
  for (const name of among) {
    for (const { partition, leader, term } of cluster.node(name).cluster.state().partitions) {
      if (leader === name) found.set(partition, { name, term });
    }
  }
  return found;
}

test("groups with nothing to do share a frame for each beat, and its answer, in few bytes", async () => {
  const cluster = await settled();
  for (const { heard } of cluster.nodes.values()) heard.length = 0;
  await cluster.clock.advanceAsync(1000);
  const groups = partitions + 1;
  let frames = 0;
  let bytes = 0;
  for (const { heard } of cluster.nodes.values()) {
    frames += heard.length;
    bytes += heard.reduce((sum, { frame }) => sum + frame.length, 0);
    // Ten beats a second of each of the two others, and as many answers.
    expect(heard.length).toBeLessThanOrEqual(2 * 20 + 2);
  }
  // Each group has two followers, and is heard of.
  expect(bytes).toBeGreaterThan(groups * 2 * 10 * 10);
  expect(bytes / (groups * 2 * 10), "bytes of a heartbeat and its answer").toBeLessThan(32);
  expect(frames).toBeGreaterThan(0);
  const terms = led(cluster, names);
  await cluster.clock.advanceAsync(20_000);
  expect(led(cluster, names), "nobody loses patience").toEqual(terms);
});

test("when a node falls silent others lead all that it led, and nothing else changes", async () => {
  const cluster = await settled();
  const before = led(cluster, names);
  const lost = [...before].filter(([, { name }]) => name === "n1").map(([partition]) => partition);
  expect(lost.length).toBeGreaterThan(partitions / 4);
  for (const other of ["n2", "n3"]) cluster.cut.add(`n1>${other}`).add(`${other}>n1`);
  const isLed = (): boolean => led(cluster, ["n2", "n3"]).size === partitions;
  await cluster.until(isLed, 2500);
  const after = led(cluster, ["n2", "n3"]);
  for (const [partition, place] of before) {
    if (!lost.includes(partition)) expect(after.get(partition), `partition ${partition}`).toEqual(place);
  }
  // And the one that was cut off does not go on as if it led.
  await cluster.until(() => led(cluster, ["n1"]).size === 0, 2000);
});

test("a cluster has so many partitions and no more", async () => {
  const cluster = await SmallCluster.open(names, { partitionsMax: 5 });
  const config = { retentionMs: 0, retentionBytes: 0, isCompacted: false };
  const make = (topic: string, count: number) =>
    cluster.leader!.cluster.createTopic(topic, { ...config, partitions: count });
  // Two at once do not get together what neither would get after the other.
  const first = make("a", 3);
  const second = make("b", 3);
  expect((await cluster.wait(first)).value).toBeUndefined();
  expect((await cluster.wait(second)).value).toMatchObject({
    name: "invalid-request",
    message: "a cluster has at most 5 partitions: there are 3, and 3 more are too many",
  });
  expect((await cluster.wait(make("b", 2))).value).toBeUndefined();
  expect((await cluster.wait(make("c", 1))).value).toMatchObject({ name: "invalid-request" });
  // What is deleted makes room.
  expect((await cluster.wait(cluster.leader!.cluster.deleteTopic("a"))).value).toBeUndefined();
  expect((await cluster.wait(make("c", 3))).value).toBeUndefined();
});

test("a node that has been asleep reads what was sent to it before it loses patience", () => {
  let nowMs = 1000;
  let timer: (() => void) | undefined;
  const scheduled: (() => void)[] = [];
  const clock = { after: (_delayMs: number, run: () => void) => ((timer = run), () => {}) };
  const schedule = (run: () => void): void => void scheduled.push(run);
  const context = { clock, schedule, nowMs: () => nowMs, raft: {} } as unknown as NodeContext;
  let ticks = 0;
  const metadata = { state: { role: "follower" }, nextTickMs: 0, tick: () => ticks++ } as unknown as Group;
  new Groups().start(context, metadata, 100);
  nowMs = 1025;
  timer?.();
  expect([ticks, scheduled.length], "on time").toEqual([1, 0]);
  nowMs = 1800;
  timer?.();
  expect([ticks, scheduled.length], "late").toEqual([1, 1]);
  scheduled[0]?.();
  expect(ticks).toBe(2);
});
