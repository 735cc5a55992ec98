import { afterEach, expect, test } from "vitest";
import type { Consumer } from "../client/consumer.ts";
import { Client } from "./client.ts";
import { TestCluster } from "./test-cluster.ts";
import { OzProcesses } from "./test-processes.ts";

const processes = new OzProcesses();
const clients: Client[] = [];
const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const cluster of clusters.splice(0)) cluster.close();
  await processes.cleanUp();
});

async function connect(cluster: TestCluster): Promise<Client> {
  const client = await Client.connect(cluster.addresses);
  clients.push(client);
  return client;
}

/** A member of a group that never commits by itself: had it to begin anew, it would read everything again. */
class Member {
  readonly consumer: Consumer;
  readonly got: string[] = [];
  /** Why the loop ended: "closed", or an error. */
  readonly ended: Promise<unknown>;
  #progressed = (): void => {};

  constructor(client: Client) {
    this.consumer = client.consumer("orders", { group: "billing", autoCommitMs: 0, waitMs: 200 });
    this.ended = this.#run().catch((error: unknown) => error);
  }

  async #run(): Promise<string> {
    for await (const record of this.consumer) {
      this.got.push(record.text());
      this.#progressed();
    }
    return "closed";
  }

  /** Resolves when it has got so many records. */
  async has(count: number): Promise<void> {
    while (this.got.length < count) await new Promise<void>((resolve) => (this.#progressed = resolve));
  }
}

test("the node that answers for a group is killed and another one stops: members read on as they were", async () => {
  const cluster = await TestCluster.start(processes, { count: 3 });
  clusters.push(cluster);
  const writer = await connect(cluster);
  await writer.createTopic("orders", { partitions: 2 });
  const members: Member[] = [];
  for (let number = 0; number < 2; number++) members.push(new Member(await connect(cluster)));
  const produce = async (value: string): Promise<void> => {
    const producer = writer.producer("orders");
    await Promise.all([0, 1].map((partition) => producer.send(value, { partition })));
    await producer.close();
  };
  const group = async () => (await writer.call("ListGroups", {})).groups;
  // Each reads one partition when the first has given up the one that is the second's.
  await produce("first");
  while (
    (await group())[0]?.members.length !== 2 ||
    members.some(({ consumer }) => consumer.positions.size !== 1)
  );
  for (const { consumer } of members) await consumer.commit();
  const before = await group();
  const counts = members.map(({ got }) => got.length);

  await cluster.kill(await cluster.leader());
  await produce("second");
  await Promise.all(members.map((member, at) => member.has((counts[at] ?? 0) + 1)));
  expect(await group()).toEqual(before);

  // The next one goes in order: it hands over, and says goodbye to its connections.
  const [dead] = cluster.nodes.filter(({ process }) => process === undefined);
  await cluster.serve(dead?.name ?? "");
  await cluster.caughtUp();
  await cluster.kill(await cluster.leader(), "SIGTERM");
  await produce("third");
  await Promise.all(members.map((member, at) => member.has((counts[at] ?? 0) + 2)));
  expect(await group()).toEqual(before);

  // A commit goes to whoever answers by now, and it is the same member that commits.
  for (const { consumer } of members) await consumer.commit();
  expect((await writer.fetchOffsets("billing")).map(({ offset }) => offset)).toEqual([3, 3]);
  expect(members.map(({ got }, at) => got.slice(counts[at]))).toEqual([
    ["second", "third"],
    ["second", "third"],
  ]);
  await Promise.all(members.map(({ consumer }) => consumer.close()));
  expect(await Promise.all(members.map(({ ended }) => ended))).toEqual(["closed", "closed"]);
  expect(await group()).toEqual([]);
});
