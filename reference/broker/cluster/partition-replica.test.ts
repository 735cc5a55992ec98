/** A node's copy of a partition: what becomes of it as leaders, snapshots and wishes come and go. */
import { expect, test } from "vitest";
import type { SmallClusterOptions, SmallNode } from "../../testing/cluster/small-cluster.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { Partition } from "../partition.ts";

const names = ["n1", "n2", "n3"] as const;
/** Each batch of a kilobyte is followed by a snapshot. */
const manySnapshots = { all: 500, max: 500, min: 500, metadata: 2 ** 20 };

async function open(options: SmallClusterOptions = {}): Promise<SmallCluster> {
  const cluster = await SmallCluster.open(names, options);
  await cluster.createTopic("orders");
  await cluster.until(() => leaderOf(cluster) !== undefined);
  return cluster;
}

/** The node that leads the partition and may answer. */
function leaderOf(cluster: SmallCluster): SmallNode | undefined {
  return [...cluster.nodes.values()].find(({ name, cluster: node }) => {
    return node.state().partitions[0]?.leader === name;
  });
}

const partitionOf = ({ broker }: SmallNode): Partition => broker.topics.get("orders")!.partitions[0]!;

/** Sends a record of a kilobyte to whoever leads; resolves to its offset. */
async function produce(cluster: SmallCluster): Promise<number> {
  const client = cluster.connect(leaderOf(cluster)!.name);
  const { value } = await cluster.wait(client.produce("orders", ["x".repeat(1000)]));
  if (value.kind === "error") throw new Error(value.message);
  return value.value.baseOffset;
}

/** Has another node lead, as an operator wishes. */
async function moveTo(cluster: SmallCluster, name: string): Promise<void> {
  const connection = { state: {} } as Parameters<SmallNode["cluster"]["change"]>[1];
  const { cluster: node } = cluster.leader!;
  await cluster.wait(node.change({ action: "transfer", node: name, address: "" }, connection));
  await cluster.until(() => leaderOf(cluster)?.name === name);
}

const othersThan = (name: string): string[] => names.filter((other) => other !== name);

test("numbers go on behind snapshots, whoever leads next and however many there were", async () => {
  const cluster = await open({ entryBytes: manySnapshots });
  for (let offset = 0; offset < 9; offset++) {
    expect(await produce(cluster)).toBe(offset);
    await cluster.clock.advanceAsync(300);
    if (offset % 3 === 2) await moveTo(cluster, othersThan(leaderOf(cluster)!.name)[0]!);
  }
  expect([...cluster.nodes.values()].map(({ halted }) => halted)).toEqual([undefined, undefined, undefined]);
});

test("a node that was passed over by an operator does not take the lead back for a minute", async () => {
  const cluster = await open();
  const preferred = leaderOf(cluster)!.name;
  const chosen = othersThan(preferred)[0]!;
  await moveTo(cluster, chosen);
  await cluster.clock.advanceAsync(50_000);
  expect(leaderOf(cluster)?.name).toBe(chosen);
  await cluster.until(() => leaderOf(cluster)?.name === preferred, 20_000);
});

test("a node that hands over because it stops gets the lead back seconds after its return, once and for good", async () => {
  const cluster = await open();
  const { name: preferred, cluster: stopping } = leaderOf(cluster)!;
  const [one = "", other = ""] = othersThan(preferred);
  await cluster.wait(stopping.stop());
  await cluster.until(() => [one, other].includes(leaderOf(cluster)?.name ?? ""));
  await cluster.clock.advanceAsync(3000);
  await cluster.restart(preferred);
  await cluster.clock.advanceAsync(4000);
  // It has to keep up for a while first.
  expect(leaderOf(cluster)?.name).not.toBe(preferred);
  await cluster.until(() => leaderOf(cluster)?.name === preferred, 6000);
  const term = (): number => cluster.node(preferred).cluster.state().partitions[0]!.term;
  const before = term();
  await cluster.clock.advanceAsync(70_000);
  expect([leaderOf(cluster)?.name, term()]).toEqual([preferred, before]);
});

test("whoever waits for records is told when somebody else leads", async () => {
  const cluster = await open();
  const { name } = leaderOf(cluster)!;
  const client = cluster.connect(name);
  const ask = { topic: "orders", partition: 0, offset: 0, bytesMax: 1000, waitMs: 20_000 };
  const id = client.send("Fetch", ask);
  await cluster.clock.advanceAsync(500);
  let response = client.received(id);
  expect(response).toBeUndefined();
  await moveTo(cluster, othersThan(name)[0]!);
  await cluster.until(() => (response ??= client.received(id)) !== undefined, 500);
  expect(client.read("Fetch", response!)).toMatchObject({ name: "not-leader" });
});

test("who trims is answered when the records are gone here", async () => {
  const cluster = await open({ segmentBytesMax: 1200 });
  for (let offset = 0; offset < 6; offset++) await produce(cluster);
  const leader = leaderOf(cluster)!;
  const trimming = leader.cluster.trim(partitionOf(leader), 4);
  expect((await cluster.wait(trimming)).value).toBeUndefined();
  expect(partitionOf(leader).log.startOffset).toBe(4);
  await cluster.until(() =>
    [...cluster.nodes.values()].every((node) => partitionOf(node).log.startOffset === 4),
  );
});

test("a trim waits for a leader whose disk is slower than the others', and is in doubt when it leads no more", async () => {
  const cluster = await open({ segmentBytesMax: 1200 });
  for (let offset = 0; offset < 6; offset++) await produce(cluster);
  const leader = leaderOf(cluster)!;
  const [one = "", other = ""] = othersThan(leader.name);
  // Of the others one has it, and without this node that is no majority.
  cluster.cut.add(`${leader.name}>${other}`).add(`${other}>${leader.name}`);
  const { promise, resolve } = Promise.withResolvers<void>();
  leader.onDisk = ({ operation, path }) =>
    operation === "sync" && path.includes("journal") ? promise : undefined;
  const answers: unknown[] = [];
  void leader.cluster.trim(partitionOf(leader), 4).then((problem) => answers.push(problem));
  await cluster.clock.advanceAsync(300);
  expect(answers).toEqual([]);
  resolve();
  await cluster.until(() => answers.length > 0, 300);
  expect([answers, partitionOf(leader).log.startOffset]).toEqual([[undefined], 4]);
  cluster.cut.add(`${leader.name}>${one}`).add(`${one}>${leader.name}`);
  const { value } = await cluster.wait(leader.cluster.trim(partitionOf(leader), 5));
  expect(value).toMatchObject({ name: "request-timeout" });
});

test("tombstones go as far as every member has what they say for good, and stay while one is silent", async () => {
  const cluster = await open({ entryBytes: manySnapshots });
  for (let offset = 0; offset < 5; offset++) await produce(cluster);
  await cluster.clock.advanceAsync(1000);
  const leader = leaderOf(cluster)!;
  const before = async (): Promise<number | undefined> =>
    (await cluster.wait(Promise.resolve(partitionOf(leader).tombstonesBefore?.()))).value;
  expect(await before()).toBe(5);
  const [silent = ""] = othersThan(leader.name);
  cluster.cut.add(`${leader.name}>${silent}`).add(`${silent}>${leader.name}`);
  await produce(cluster);
  await cluster.clock.advanceAsync(200);
  expect(await before()).toBe(0);
});

/** What a node that is far behind gets from whoever leads. */
async function fetched(cluster: SmallCluster, offset: number, bytesMax: number) {
  const leader = leaderOf(cluster)!;
  const { incarnation = 0 } = leader.broker.topics.get("orders")!.config;
  const request = { topic: "orders", incarnation, partition: 0, offset, bytesMax };
  const { value } = await cluster.wait(leader.cluster.peerFetch(request));
  if ("kind" in value) throw new Error(value.message);
  return value;
}

test("however much a node asks for, it gets what fits into a frame, and at least a batch", async () => {
  const cluster = await open();
  const { name, broker } = leaderOf(cluster)!;
  const client = cluster.connect(name);
  for (let times = 0; times < 4; times++) {
    await cluster.wait(client.produce("orders", ["x".repeat(900_000)]));
  }
  const { batches } = await fetched(cluster, 0, 2 ** 31 - 1);
  expect(batches.length).toBeGreaterThan(900_000);
  expect(batches.length).toBeLessThanOrEqual(broker.fetchBytesMax);
  expect((await fetched(cluster, 0, 1)).batches.length).toBeGreaterThan(900_000);
});

test("a batch in whose middle the log begins is still whole for a node that asks for it", async () => {
  const cluster = await open({ entryBytes: manySnapshots, segmentBytesMax: 1200 });
  const { name } = leaderOf(cluster)!;
  const client = cluster.connect(name);
  for (let times = 0; times < 3; times++) {
    const { value } = await cluster.wait(client.produce("orders", ["a", "b", "x".repeat(1000)]));
    expect(value.kind).toBe("reply");
  }
  const leader = leaderOf(cluster)!;
  await cluster.wait(leader.cluster.trim(partitionOf(leader), 4));
  expect(partitionOf(leader).log.startOffset).toBe(4);
  const whole = await fetched(cluster, 3, 10_000);
  expect([whole.startOffset, whole.batches.length > 1000]).toEqual([3, true]);
  const gone = await fetched(cluster, 0, 10_000);
  expect([gone.startOffset, gone.batches.length]).toEqual([3, 0]);
});
