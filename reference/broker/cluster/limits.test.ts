/** Each limit that a node of a cluster has, reached. */
import { expect, test, vi } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import type { Effect } from "../../raft/effects.ts";
import type { Message } from "../../raft/messages.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import { VirtualClock, settled } from "../../testing/clock.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { Balance } from "./balance.ts";
import { encodeClusterCommand } from "./commands.ts";
import type { GroupMachine } from "./group.ts";
import { Group } from "./group.ts";
import { openIdentity } from "./identity.ts";
import { commandBytesMax } from "./metadata-group.ts";
import type { PartitionReplica } from "./partition-replica.ts";

/** A group of one, whose storage keeps nothing and never makes it wait. */
function groupOfOne(options: { readonly logBytesMax?: number } = {}) {
  const snapshots: number[] = [];
  const machine: GroupMachine = {
    restore: () => {},
    apply: () => {},
    applied: () => {},
    settled: () => Promise.resolve(),
    save: () => new Uint8Array(1),
    wantsSnapshot: false,
    abandon: () => {},
  };
  type Persist = Extract<Effect, { kind: "persist" }>["write"];
  const storage = {
    persist: ({ snapshot }: Persist, onDurable: () => void): void => {
      if (snapshot !== undefined) snapshots.push(snapshot.index);
      void Promise.resolve().then(onDurable);
    },
  };
  const clock = new VirtualClock();
  const group = new Group({
    raft: {
      id: "n1",
      random: new SeededRandom(1),
      bootstrap: { voters: ["n1"], oldVoters: [], learners: [] },
    },
    storage,
    machine,
    nowMs: () => clock.monotonicTimeMs(),
    send: (_message: Message) => {},
    logBytesMax: () => options.logBytesMax ?? Infinity,
    mayCompact: () => true,
    onHalt: (error) => {
      throw error;
    },
    onChange: () => {},
  });
  return { group, clock, snapshots };
}

async function lead({ group, clock }: ReturnType<typeof groupOfOne>): Promise<void> {
  await group.start();
  clock.advance(1000);
  group.tick();
  await settled();
  expect(group.isReady).toBe(true);
}

test("a log of 20,000 entries is replaced by a snapshot, however small they are", async () => {
  const one = groupOfOne();
  await lead(one);
  const commands = Array.from({ length: 5000 }, () => new Uint8Array(1));
  for (let times = 0; times < 4; times++) {
    expect(one.snapshots).toEqual([]);
    expect(one.group.propose(commands)).toMatchObject({ kind: "accepted" });
    await settled();
  }
  expect(one.snapshots).toEqual([20_001]);
});

test("a log that is longer than its share is replaced by a snapshot", async () => {
  const one = groupOfOne({ logBytesMax: 4000 });
  await lead(one);
  one.group.propose([new Uint8Array(3000)]);
  await settled();
  expect(one.snapshots).toEqual([]);
  one.group.propose([new Uint8Array(3000)]);
  await settled();
  expect(one.snapshots).toEqual([3]);
});

test("partitions share the memory for entries, down to what each may have", async () => {
  const entryBytes = { all: 12_000, max: 6000, min: 2000, metadata: 2 ** 20 };
  const cluster = await SmallCluster.open(["n1"], { entryBytes });
  const node = cluster.node("n1");
  /** The most that a partition of a topic took while records came in. */
  const fill = async (topic: string, partitions: number): Promise<number> => {
    await cluster.createTopic(topic, partitions);
    const before = node.cluster.report().entryBytes;
    const client = cluster.connect("n1");
    let most = 0;
    for (let times = 0; times < 12; times++) {
      const sent = Array.from({ length: partitions }, (_, partition) =>
        client.produce(topic, ["x".repeat(900)], { partition }),
      );
      await cluster.wait(Promise.all(sent));
      most = Math.max(most, node.cluster.report().entryBytes - before);
    }
    return most / partitions;
  };
  // Alone it may have 6000. Of twelve each would get 1000, which is less than the least.
  const alone = await fill("a", 1);
  expect(alone).toBeGreaterThan(4500);
  expect(alone).toBeLessThanOrEqual(6000);
  const crowded = await fill("b", 11);
  expect(crowded).toBeGreaterThan(900);
  expect(crowded).toBeLessThanOrEqual(2000);
});

test("the metadata's log is replaced by a snapshot when it takes its share", async () => {
  const entryBytes = { all: 2 ** 20, max: 2 ** 20, min: 2 ** 20, metadata: 20_000 };
  const cluster = await SmallCluster.open(["n1"], { entryBytes });
  const { cluster: node } = cluster.node("n1");
  for (let times = 0; times < 9; times++) {
    await cluster.wait(node.deleteTopic("x".repeat(2000)));
    expect(node.report().entryBytes).toBeGreaterThan(2000 * (times + 1));
  }
  const before = node.state().commitIndex;
  await cluster.wait(node.deleteTopic("x".repeat(2000)));
  await cluster.until(() => node.report().entryBytes < 100);
  expect(node.state().commitIndex).toBe(before + 1);
});

test("a leader takes 64 MiB that nobody has confirmed, and then no more", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  await cluster.createTopic("orders");
  const led = (name: string): boolean => cluster.node(name).cluster.state().partitions[0]?.leader === name;
  await cluster.until(() => [...cluster.nodes.keys()].some(led));
  const name = [...cluster.nodes.keys()].find(led)!;
  for (const other of cluster.nodes.keys()) cluster.cut.add(`${name}>${other}`).add(`${other}>${name}`);
  const client = cluster.connect(name);
  const value = new Uint8Array(2 ** 20 - 1000);
  const batch = encodeRecordBatch([{ value }]);
  const ids: bigint[] = [];
  for (let times = 0; times < 70; times++) {
    ids.push(client.send("Produce", { topic: "orders", partition: 0, batch }));
    await cluster.clock.advanceAsync(0);
  }
  const answers = ids.map((id) => client.received(id));
  const refused = answers.flatMap((answer) => (answer === undefined ? [] : [client.read("Produce", answer)]));
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(10);
  for (const answer of refused) expect(answer).toMatchObject({ kind: "error", name: "overloaded" });
});

test("an identity of more than 64 KiB is none", async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory("cluster");
  const file = await disk.open("cluster/identity.json", "create");
  await file.write(new Uint8Array(64 * 1024 + 1), 0);
  await file.close();
  const random = new SeededRandom(1);
  const options = { node: "n1", members: new Map(), isJoining: false, checksum: crc32, random };
  await expect(openIdentity(disk, options)).rejects.toThrow("65537 bytes exceed 65536");
});

/** A partition that this node leads and another one should, as far as `Balance` looks. */
function ledBy(behind: number, silentMs: number, handedOverAtMs = -Infinity) {
  const progress = new Map([["n2", { matchIndex: 1000 - behind, heardAtMs: 100_000 - silentMs }]]);
  const transfer = vi.fn<() => object>(() => ({ kind: "refused", reason: "" }));
  const state = {
    role: "leader",
    id: "n1",
    term: 1,
    progress,
    log: { lastIndex: 1000 },
    transfer: undefined,
  };
  const group = { isReady: true, state, command: transfer };
  const drain = (): Promise<void> => Promise.resolve();
  const replica = { group, preferred: "n2", handedOverAtMs, drain, release: () => {} };
  return { replica: replica as unknown as PartitionReplica, transfer };
}

test.each([
  ["keeps up", 100, 1000, -Infinity, true],
  ["lacks more than 100 entries", 101, 0, -Infinity, false],
  ["has been silent for more than a second", 0, 1001, -Infinity, false],
  ["was passed over by an operator less than a minute ago", 0, 0, 45_001, false],
  ["was passed over by an operator a minute ago", 0, 0, 44_000, true],
] as const)(
  "the node that should lead and %s: gets the lead or not",
  async (_, behind, silentMs, wish, gets) => {
    const balance = new Balance(new VirtualClock());
    const { replica, transfer } = ledBy(behind, silentMs, wish);
    const other = replica.group.state.progress.get("n2")!;
    // It must have kept up for 5 s.
    for (const passedMs of [0, 4999]) {
      other.heardAtMs += passedMs;
      balance.look(replica, 100_000 + passedMs);
      await settled();
    }
    expect(transfer).not.toHaveBeenCalled();
    other.heardAtMs += 1;
    balance.look(replica, 105_000);
    await settled();
    expect(transfer.mock.calls.length > 0).toBe(gets);
  },
);

test("a change that would not fit into a frame between nodes is refused", async () => {
  const cluster = await SmallCluster.open(["n1"]);
  const { cluster: node } = cluster.node("n1");
  const before = node.state().commitIndex;
  const { value } = await cluster.wait(node.deleteTopic("x".repeat(commandBytesMax)));
  expect(value).toMatchObject({ name: "record-too-large" });
  expect(node.state().commitIndex).toBe(before);
  const around = encodeClusterCommand({ kind: "delete-topic", topic: "" }).length;
  const largest = await cluster.wait(node.deleteTopic("x".repeat(commandBytesMax - around)));
  expect(largest.value).toMatchObject({ name: "topic-not-found" });
});
