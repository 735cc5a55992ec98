/** What a node of a cluster answers, to whom, and what it must know before it does. */
import { expect, test } from "vitest";
import { DiskError } from "../../ports.ts";
import type { MessageName, RequestOf } from "../../protocol/messages.ts";
import { messages } from "../../protocol/messages.ts";
import type { SmallNode } from "../../testing/cluster/small-cluster.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { TestClient } from "../../testing/test-broker.ts";
import type { BrokerConnection } from "../connection.ts";
import { memberTimeoutMs } from "../group-coordinator.ts";

const names = ["n1", "n2", "n3"] as const;

const connectionOf = (peer: string | undefined): BrokerConnection =>
  ({ state: { peer } }) as unknown as BrokerConnection;

/** Cuts a node off from the others, or lets it hear and be heard again. */
function isolate({ cut, nodes }: SmallCluster, name: string, isCut: boolean): void {
  for (const other of nodes.keys()) {
    for (const link of [`${name}>${other}`, `${other}>${name}`]) {
      if (isCut) cut.add(link);
      else cut.delete(link);
    }
  }
}

/** Asks, and lets time pass until there is an answer. */
async function ask<Name extends MessageName>(
  cluster: SmallCluster,
  client: TestClient,
  name: Name,
  request: RequestOf<Name>,
) {
  const id = client.send(name, request);
  let response = client.received(id);
  await cluster.until(() => (response ??= client.received(id)) !== undefined);
  return client.read(name, response!);
}

/** Has another node lead the metadata. */
async function moveTo(cluster: SmallCluster, name: string): Promise<void> {
  const moving = cluster.leader!.cluster.change(
    { action: "transfer", node: name, address: "" },
    connectionOf("n1"),
  );
  await cluster.wait(moving);
  await cluster.until(() => cluster.leader?.name === name);
}

test("what only nodes may ask is refused to all others, and what the leader answers to all but that", async () => {
  const cluster = await SmallCluster.open(names);
  const leader = cluster.leader!;
  const follower = [...cluster.nodes.values()].find((node) => node !== leader)!;
  const refusal = ({ cluster: node }: SmallNode, name: MessageName, peer?: string) =>
    node.refusal(messages[name].type, connectionOf(peer))?.name;
  for (const name of ["Raft", "PeerState", "PeerFetch"] as const) {
    expect([refusal(leader, name), refusal(leader, name, "n2")], name).toEqual(["not-a-member", undefined]);
  }
  for (const name of ["CreateTopic", "ListTopics", "JoinGroup", "CommitOffset"] as const) {
    expect([refusal(leader, name), refusal(follower, name)], name).toEqual([undefined, "not-leader"]);
  }
  // Whoever leads partitions may be asked to hand them over, and judges for itself what else is asked.
  expect([refusal(follower, "ChangeCluster"), refusal(follower, "ClusterState")]).toEqual([
    undefined,
    undefined,
  ]);
  for (const action of ["add", "remove"]) {
    const asked = follower.cluster.change({ action, node: "n3", address: "n3" }, connectionOf(undefined));
    expect((await cluster.wait(asked)).value, action).toMatchObject({ name: "not-leader" });
  }
});

test("a node is current when those who lead say so: of topics the metadata's leader, of records the partition's", async () => {
  const cluster = await SmallCluster.open(names);
  await cluster.createTopic("orders", 6);
  const leader = cluster.leader!;
  const elsewhere = leader.cluster.state().partitions.find((of) => of.leader !== leader.name)!;
  const other = cluster.node(elsewhere.leader);
  const partitionAt = ({ broker }: SmallNode) => broker.topics.get("orders")?.partitions[elsewhere.partition];
  expect((await cluster.wait(leader.cluster.current())).value).toBeUndefined();
  expect((await cluster.wait(other.cluster.current())).value).toMatchObject({ name: "not-leader" });
  expect((await cluster.wait(other.cluster.current(partitionAt(other)))).value).toBeUndefined();
  expect((await cluster.wait(leader.cluster.current(partitionAt(leader)))).value).toMatchObject({
    name: "not-leader",
    message: `this node does not lead: ${other.name} leads`,
  });
  // A leader that nobody hears does not know whether it still is one.
  isolate(cluster, leader.name, true);
  const answers: unknown[] = [];
  void leader.cluster.current().then((problem) => answers.push(problem?.name));
  await cluster.clock.advanceAsync(100);
  expect(answers).toEqual([]);
  await cluster.until(() => answers.length > 0);
  expect(answers).toEqual(["not-leader"]);
});

test("a topic is everywhere as soon as it is agreed on, and not with the next heartbeat", async () => {
  const cluster = await SmallCluster.open(names);
  const config = { partitions: 1, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  let mostMs = 0;
  for (let times = 0; times < 5; times++) {
    const topic = `t${times}`;
    void cluster.leader!.cluster.createTopic(topic, config);
    const startMs = cluster.clock.monotonicTimeMs();
    const isThere = ({ broker }: SmallNode): boolean => broker.topics.get(topic) !== undefined;
    await cluster.until(() => [...cluster.nodes.values()].every(isThere));
    mostMs = Math.max(mostMs, cluster.clock.monotonicTimeMs() - startMs);
    await cluster.clock.advanceAsync(137);
  }
  expect(mostMs).toBeLessThan(30);
});

test("a node that has halted says so, and has nothing more to say to the others", async () => {
  const cluster = await SmallCluster.open(names);
  await cluster.createTopic("orders", 6);
  const node = cluster.leader!;
  expect(node.cluster.problem()).toBeUndefined();
  node.onDisk = ({ operation, path }) =>
    operation === "write" ? Promise.reject(new DiskError("no-space", operation, path)) : undefined;
  void node.cluster.deleteTopic("none");
  await cluster.until(() => node.halted !== undefined);
  expect(node.cluster.problem()).toBe("the node has stopped taking part");
  await cluster.clock.advanceAsync(100);
  for (const { heard } of cluster.nodes.values()) heard.length = 0;
  await cluster.clock.advanceAsync(5000);
  const heard = [...cluster.nodes.values()].flatMap((other) => other.heard);
  expect(heard.filter(({ from }) => from === node.name)).toEqual([]);
  expect(heard.length).toBeGreaterThan(0);
});

test("a member that falls silent is dropped though nobody asks", async () => {
  const cluster = await SmallCluster.open(names);
  const { name, cluster: node } = cluster.leader!;
  const join = { group: "g", memberId: "m", topics: [], owned: [] };
  await ask(cluster, cluster.connect(name), "JoinGroup", join);
  const members = (): readonly string[] => node.memberships.groups.get("g")?.memberIds ?? [];
  await cluster.clock.advanceAsync(memberTimeoutMs - 1000);
  expect(members()).toEqual(["m"]);
  await cluster.clock.advanceAsync(2500);
  expect(members()).toEqual([]);
});

test("a member that was heard elsewhere meanwhile has its whole time when the lead comes back", async () => {
  const cluster = await SmallCluster.open(names);
  const first = cluster.leader!.name;
  const second = names.find((name) => name !== first)!;
  const member = { group: "g", memberId: "m", topics: [], owned: [] };
  const join = (at: string) => ask(cluster, cluster.connect(at), "JoinGroup", member);
  await join(first);
  await moveTo(cluster, second);
  for (let heartbeats = 0; heartbeats < 5; heartbeats++) {
    await join(second);
    await cluster.clock.advanceAsync(3000);
  }
  await moveTo(cluster, first);
  const { memberships } = cluster.leader!.cluster;
  const generation = memberships.groups.get("g")?.generation;
  await cluster.clock.advanceAsync(5000);
  expect(memberships.groups.get("g")?.memberIds).toEqual(["m"]);
  expect(await join(first)).toMatchObject({ kind: "reply", value: { memberId: "m", generation } });
});

test("who says that it is a node must prove to be the machine at that node's address, before it is one", async () => {
  const cluster = await SmallCluster.open(names);
  const { cluster: node, identity } = cluster.node("n1");
  const { clusterId } = identity;
  const { folder } = cluster.node("n2").identity;
  const hello = { clusterId, node: "n2", folder, target: "n1", frameSizeMax: 2 ** 21 };
  const judged: string[] = [];
  for (const problem of ["it shows no certificate", undefined]) {
    const judgeNode = (name: string, address: string): string | undefined => {
      judged.push(`${name} at ${address}`);
      return problem;
    };
    const connection = { state: { peer: undefined, judgeNode } } as unknown as BrokerConnection;
    const { value } = await cluster.wait(node.welcome(connection, hello));
    if (problem === undefined) expect(value).toMatchObject({ node: "n1" });
    else expect(value).toMatchObject({ name: "not-a-member", message: `not proved to be n2: ${problem}` });
    expect(connection.state.peer).toBe(problem === undefined ? "n2" : undefined);
  }
  expect(judged).toEqual(["n2 at n2", "n2 at n2"]);
});
