/** Members of a group when connections break and when another node answers for the groups. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { memberTimeoutMs } from "../broker/group-coordinator.ts";
import { VirtualClock, passUntil } from "../testing/clock.ts";
import { LedCluster } from "../testing/led-cluster.ts";
import { BrokerClient } from "./client.ts";
import type { Consumer } from "./consumer.ts";
import type { ProtocolError } from "./protocol-error.ts";
import { sleep } from "./retry.ts";

/** Three nodes that all know the groups. n1 answers for them at first; n3 leads the topic's partitions. */
let cluster: LedCluster;
let network: InPageNetwork;
let clock: VirtualClock;
let clients: BrokerClient[];
let seed = 0;

const topic = "t";
const partitions = [0, 1];

beforeEach(async () => {
  network = new InPageNetwork();
  clock = new VirtualClock();
  clients = [];
  cluster = await LedCluster.open(network, ["n1", "n2", "n3"]);
  await run(connect().createTopic(topic, { partitions: partitions.length }));
  for (const partition of partitions) cluster.lead(topic, partition, "n3");
});

afterEach(() => {
  for (const client of clients) client.destroy();
  const [bug] = cluster.bugs;
  if (bug !== undefined) throw bug;
});

function connect(): BrokerClient {
  const ports = { network, clock, random: new SeededRandom(++seed) };
  const client = new BrokerClient(["n1", "n2", "n3"], ports, { clientName: `c${seed}` });
  clients.push(client);
  return client;
}

const run = <Value>(promise: Promise<Value>): Promise<Value> => passUntil(clock, promise);
const pass = (durationMs: number): Promise<void> => run(sleep(durationMs, clock));

interface Member {
  readonly consumer: Consumer;
  readonly client: BrokerClient;
  readonly got: string[];
  readonly ended: Promise<string>;
}

/** A member that notes what it gets. */
function join(): Member {
  const client = connect();
  const consumer = client.consumer(topic, { group: "g", waitMs: 500, autoCommitMs: 0 });
  const got: string[] = [];
  const loop = async (): Promise<string> => {
    for await (const record of consumer) got.push(record.text());
    return "closed";
  };
  return { consumer, client, got, ended: loop().catch((error: ProtocolError) => error.name) };
}

async function produceToAll(value: string): Promise<void> {
  const [writer] = clients;
  for (const partition of partitions)
    await run(writer!.produce(topic, [`${value}${partition}`], { partition }));
  await pass(1000);
}

/** The group as the nodes know it. */
async function group(): Promise<{ generation: number; members: readonly string[] } | undefined> {
  const [asker] = clients;
  const { groups } = await run(asker!.call("ListGroups", {}));
  return groups[0];
}

test("another node takes over: everybody reads on, and nothing is shared out anew", async () => {
  const [one, two] = [join(), join()];
  await pass(8000);
  const before = await group();
  expect(before?.members).toHaveLength(2);
  cluster.leadMeta("n2");
  cluster.take();
  await produceToAll("a");
  await pass(8000);
  expect(cluster.take("JoinGroup")).toContain("n2 JoinGroup");
  expect(await group()).toEqual(before);
  expect([one.got, two.got].map((got) => got.length)).toEqual([1, 1]);
  expect([...one.got, ...two.got].toSorted()).toEqual(["a0", "a1"]);
});

test("the node that answered dies: its members are the next one's, and keep what they read", async () => {
  const one = join();
  await pass(4000);
  const before = await group();
  await produceToAll("a");
  // A node that dies says nothing to the others: not even that its connections have ended.
  cluster.leadMeta("n2");
  await cluster.stop("n1");
  await produceToAll("b");
  await pass(8000);
  expect(await group()).toEqual(before);
  // Had it let go of its partitions, it would have read again from the beginning: nothing is committed.
  expect(one.got).toEqual(["a0", "a1", "b0", "b1"]);
});

test("a commit waits for the node that answers next", async () => {
  const one = join();
  await pass(4000);
  await produceToAll("a");
  cluster.leadMeta(undefined);
  const committing = one.consumer.commit();
  await pass(500);
  cluster.leadMeta("n3");
  await run(committing);
  expect(await run(one.client.fetchOffsets("g"))).toMatchObject([{ offset: 1 }, { offset: 1 }]);
});

test("who closes while the lead moves has committed and is gone", async () => {
  const one = join();
  await pass(4000);
  await produceToAll("a");
  cluster.leadMeta("n2");
  await run(one.consumer.close());
  expect(await one.ended).toBe("closed");
  expect(await group()).toBeUndefined();
  expect(await run(clients[0]!.fetchOffsets("g"))).toMatchObject([{ offset: 1 }, { offset: 1 }]);
});

test("a member whom the group has given up begins anew, and behind whoever read meanwhile", async () => {
  const one = join();
  await pass(4000);
  await produceToAll("a");
  // Its time is over, and a second member has read and committed before it says its next word.
  const answering = cluster.node("n1").server;
  answering.clock.advance(memberTimeoutMs);
  const positions = partitions.map((partition) => ({ topic, partition, offset: 1 }));
  await run(clients[0]!.commitOffsets("g", positions));
  expect(await group()).toBeUndefined();
  await pass(4000);
  await produceToAll("b");
  expect(one.got).toEqual(["a0", "a1", "b0", "b1"]);
  expect((await group())?.members).toHaveLength(1);
});

test("a member that cannot be heard lets go before the group gives its partitions away", async () => {
  const one = join();
  await pass(4000);
  for (const name of ["n1", "n2"]) cluster.node(name).isHung = true;
  await pass(memberTimeoutMs - 1000);
  expect(one.consumer.positions.size).toBe(0);
  for (const name of ["n1", "n2"]) cluster.node(name).isHung = false;
  await pass(8000);
  expect(one.consumer.positions.size).toBe(2);
});

test("a member has one name, however often it asks to be taken in", async () => {
  cluster.node("n1").isHung = true;
  join();
  await pass(1000);
  cluster.drop("n1");
  cluster.node("n1").isHung = false;
  await pass(40_000);
  expect((await group())?.members).toEqual([expect.stringMatching(/^c\d+-[0-9a-f]{16}$/)]);
});
