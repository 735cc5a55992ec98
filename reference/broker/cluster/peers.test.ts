/** What a node makes of strangers, and of nodes that are broken: they cost their own requests and nothing else. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Message } from "../../raft/messages.ts";
import type { RequestOf } from "../../protocol/messages.ts";
import { frameSizeMax, SmallCluster } from "../../testing/cluster/small-cluster.ts";
import type { TestClient } from "../../testing/test-broker.ts";
import type { Cluster } from "./cluster.ts";
import { putGroupMessage } from "./frame-codec.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";
import { metadataGroup } from "./group-id.ts";
import { encodePartitionSnapshot, emptyPartition } from "./partition-snapshot.ts";
import { batchEntry } from "./test-partition.ts";

let cluster: SmallCluster;
let clusterId: string;

beforeEach(async () => {
  cluster = await SmallCluster.open(["n1", "n2", "n3"], { joining: ["n4"] });
  await cluster.createTopic("orders");
  ({ clusterId } = cluster.leader!.cluster.state());
});

/** Nodes that gave up, bugs, and records that nobody takes any more; nothing, when all is well. */
async function harm(): Promise<unknown[]> {
  await cluster.clock.advanceAsync(300);
  const harmed: unknown[] = [...cluster.bugs];
  for (const { halted } of cluster.nodes.values()) if (halted !== undefined) harmed.push(halted);
  const leads = (name: string): boolean => cluster.node(name).cluster.state().partitions[0]?.leader === name;
  const find = (): string | undefined => [...cluster.nodes.keys()].find(leads);
  await cluster.until(() => find() !== undefined);
  const { value } = await cluster.wait(cluster.connect(find()!).produce("orders", ["still there"]));
  return value.kind === "error" ? [...harmed, value] : harmed;
}

const hello = (client: TestClient, change: Partial<RequestOf<"PeerHello">> = {}) => {
  const node = change.node ?? "n2";
  const folder = cluster.nodes.get(node)?.identity.folder ?? "0123456789abcdef";
  return client.ask("PeerHello", { clusterId, node, folder, target: "n1", frameSizeMax, ...change });
};

describe("a stranger", () => {
  const refused = { kind: "error", name: "not-a-member" };

  test("may not send what only nodes may send", async () => {
    const client = cluster.connect("n1");
    const fetch = { topic: "orders", incarnation: 1, partition: 0, offset: 0, bytesMax: 100 };
    expect(await client.ask("PeerState", {})).toMatchObject(refused);
    expect(await client.ask("PeerFetch", fetch)).toMatchObject(refused);
    expect(await client.ask("Raft", { message: frameOf(metadataGroup, coup("n2", 99)) })).toMatchObject(
      refused,
    );
    await cluster.clock.advanceAsync(100);
    expect(cluster.leader!.cluster.state().term).toBeLessThan(99);
  });

  test.each([
    ["of another cluster", { clusterId: "0123456789abcdef" }, "belongs to cluster"],
    ["that names no cluster", { clusterId: "" }, "belongs to cluster"],
    ["that looks for another node", { target: "n3" }, "this is node n1, not n3"],
    ["of whom nobody has heard", { node: "n7" }, "n7 is not among the nodes that n1 knows"],
    ["without a name", { node: "" }, "is not among the nodes"],
    ["with another folder in its name than it shows", { node: "n2#0f" }, "n2#0f does not name its folder"],
    ["that takes smaller frames", { frameSizeMax: 4096 }, "need the same --frame-size-max"],
    [
      "that takes larger frames",
      { frameSizeMax: 2 ** 30 },
      "n1 takes frames of 2097152 bytes, n2 of 1073741824",
    ],
  ])("%s is refused with one line, and stays a stranger", async (_, change, said) => {
    const client = cluster.connect("n1");
    const reply = await hello(client, change);
    expect(reply).toMatchObject({ ...refused, message: expect.stringContaining(said) });
    expect(await client.ask("PeerState", {})).toMatchObject(refused);
  });

  test.each([
    ["under its name", "n2"],
    ["as one that waits to be added, while the other one is still a member", "n2#00000000deadbeef"],
  ])("with the folder of nobody, %s, is told what to do", async (_, node) => {
    const client = cluster.connect("n1");
    const reply = await hello(client, { node, folder: "00000000deadbeef" });
    const cure = "oz cluster remove n2, start n2 again, oz cluster add n2=n2";
    expect(reply).toMatchObject({
      kind: "error",
      name: "other-folder",
      message: expect.stringContaining(cure),
    });
    expect(await client.ask("PeerState", {})).toMatchObject(refused);
  });

  test("cannot talk a node that joins into a cluster that is none", async () => {
    for (const id of ["", "mine", "0123456789ABCDEF", "x".repeat(100_000)]) {
      const client = cluster.connect("n4");
      expect(await hello(client, { clusterId: id, target: "n4" })).toMatchObject(refused);
    }
    expect(cluster.node("n4").cluster.state().clusterId).toBe("");
    expect(await hello(cluster.connect("n4"), { node: "n7", target: "n4" })).toMatchObject(refused);
    expect(cluster.node("n4").cluster.state().clusterId).toBe("");
    expect(await hello(cluster.connect("n4"), { target: "n4" })).toMatchObject({ kind: "reply" });
    expect(cluster.node("n4").cluster.state().clusterId).toBe(clusterId);
    // The word counts for good.
    const other = { clusterId: "0123456789abcdef", target: "n4" };
    expect(await hello(cluster.connect("n4"), other)).toMatchObject(refused);
  });
});

test("a node that asks for records that there cannot be gets none, or a line", async () => {
  const client = cluster.connect("n1");
  expect(await hello(client)).toMatchObject({ kind: "reply" });
  const { incarnation = 0 } = cluster.node("n1").broker.topics.get("orders")!.config;
  const whole = { topic: "orders", incarnation, partition: 0, offset: 0, bytesMax: 1000 };
  const wrong = [
    { incarnation: incarnation + 1 },
    { incarnation: 0 },
    { partition: 7 },
    { partition: 2 ** 31 - 1 },
    { offset: 1 },
    { offset: Number.MAX_SAFE_INTEGER },
    { bytesMax: 0 },
    { bytesMax: 2 ** 31 - 1 },
    { topic: "" },
  ];
  for (const change of wrong) {
    const { value } = await cluster.wait(client.ask("PeerFetch", { ...whole, ...change }));
    if (value.kind === "reply") expect(value.value.batches).toEqual(new Uint8Array(0));
    else expect(value.message).not.toBe("");
  }
  expect(await harm()).toEqual([]);
});

test.each([
  ["", "d:4"],
  ["n 4", "d:4"],
  ["n4=", "d:4"],
  ["x".repeat(65), "d:4"],
  ["n4", ""],
  ["n4", "d:4,e:5"],
  ["n4", "d:4;e"],
  ["n4", `${"x".repeat(300)}:1`],
])("a node %j at %j cannot be added", async (node, address) => {
  const connection = { state: {} } as Parameters<Cluster["change"]>[1];
  const before = cluster.leader!.cluster.state().commitIndex;
  const change = cluster.leader!.cluster.change({ action: "add", node, address }, connection);
  expect((await cluster.wait(change)).value).toMatchObject({ name: "invalid-request" });
  expect(cluster.leader!.cluster.state().commitIndex).toBe(before);
});

test("a node that was removed is told so when it comes back, until it is added again", async () => {
  const [gone, asked] = ["n1", "n2", "n3"].filter((name) => name !== cluster.leader!.name);
  const change = async (action: string): Promise<void> => {
    const request = { action, node: gone!, address: gone! };
    const connection = { state: {} } as Parameters<Cluster["change"]>[1];
    const { value } = await cluster.wait(cluster.leader!.cluster.change(request, connection));
    expect(value).toBeUndefined();
  };
  await change("remove");
  await cluster.until(() => !cluster.node(asked!).cluster.members.has(gone!));
  const fields = { node: gone!, target: asked! };
  expect(await hello(cluster.connect(asked!), fields)).toMatchObject({
    name: "not-a-member",
    message: expect.stringContaining(`${gone!} was removed from this cluster`),
  });
  await change("add");
  expect(await hello(cluster.connect(asked!), fields)).toMatchObject({ kind: "reply" });
});

function frameOf(group: GroupId, message: Message): Uint8Array {
  const to = new FrameWriter();
  putGroupMessage(to, group, message);
  return to.written().slice();
}

/** Somebody who says that it leads a later term. */
function coup(from: string, term: number): Message {
  const place = { previousIndex: 0, previousTerm: 0, commitIndex: 0 };
  return { kind: "append-request", from, to: "n1", term, round: 0, sentAtMs: 0, ...place, entries: [] };
}

const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };

/** A piece of a snapshot of a leader to come, which is the last one. */
function piece(data: Uint8Array, offset = 0): Message {
  const place = { index: 1000, lastTerm: 50, offset, isLast: true };
  const heard = { round: 0, sentAtMs: 0 };
  return {
    kind: "snapshot-request",
    from: "n2",
    to: "n1",
    term: 50,
    ...heard,
    ...place,
    configuration,
    data,
  };
}

describe("a node that is broken", () => {
  let orders: GroupId;

  beforeEach(() => {
    const { broker } = cluster.node("n1");
    orders = { incarnation: broker.topics.get("orders")!.config.incarnation!, partition: 0 };
  });

  test("says things that are no messages", async () => {
    const random = new SeededRandom(5);
    const { cluster: node, heard } = cluster.node("n1");
    const real = heard.slice(-200).map(({ frame }) => frame);
    for (const frame of real) {
      for (let times = 0; times < 5; times++) {
        const altered = frame.slice();
        for (let bytes = random.nextBetween(1, 3); bytes > 0; bytes--)
          altered[random.nextBetween(0, altered.length - 1)] = random.nextBetween(0, 255);
        // What is left may be a message of a term that has not come: that one is believed. Here it is another group's.
        altered[7] = 200;
        node.receive("n2", altered);
      }
      node.receive("n2", frame.subarray(0, random.nextBetween(0, frame.length - 1)));
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => node.receive("n2", bytes)),
      { seed: 1, numRuns: 500 },
    );
    expect(await harm()).toEqual([]);
  });

  test.each<[string, () => Message]>([
    ["nothing", () => piece(new Uint8Array(0))],
    ["garbage", () => piece(Uint8Array.of(1, 2, 3, 4, 5, 6, 7))],
    [
      "a log that ends before it begins",
      () => piece(encodePartitionSnapshot({ ...emptyPartition, endOffset: -1 })),
    ],
    [
      "a cut state",
      () => piece(encodePartitionSnapshot({ ...emptyPartition, endOffset: 9 }).subarray(0, -1)),
    ],
  ])("sends a partition's snapshot of %s", async (_, message) => {
    cluster.node("n1").cluster.receive("n2", frameOf(orders, message()));
    expect(await harm()).toEqual([]);
    expect(cluster.node("n1").broker.topics.get("orders")!.partitions[0]!.log.endOffset).toBeLessThan(2);
  });

  test.each([
    ["nothing", ""],
    ["garbage", "{"],
    ["null", "null"],
    ["other things", '{"topics":3}'],
    ["no list of nodes", '{"topics":[],"positions":[],"groups":[],"leaving":[],"gone":[],"addresses":7}'],
  ])("sends a snapshot of the metadata with %s in it", async (_, text) => {
    const data = new TextEncoder().encode(text);
    cluster.node("n1").cluster.receive("n2", frameOf(metadataGroup, piece(data)));
    expect(await harm()).toEqual([]);
    expect(cluster.node("n1").cluster.state().appliedIndex).toBeLessThan(1000);
  });

  test.each<[string, () => Uint8Array]>([
    ["nothing", () => new Uint8Array(0)],
    ["three bytes", () => Uint8Array.of(0, 0, 1)],
    ["a trim that is too long", () => new Uint8Array(13)],
    ["a trim to nowhere", () => new Uint8Array(12).fill(255, 4)],
    ["a batch that is cut", () => batchEntry(9, 50, 0).data.subarray(0, -1)],
    ["a header and no more", () => batchEntry(9, 50, 0).data.subarray(0, 40)],
    ["a batch of another term", () => batchEntry(9, 49, 0).data],
    ["a batch from further on", () => batchEntry(9, 50, 7).data],
  ])("has an entry of a partition that is %s", async (_, data) => {
    const replica = cluster.node("n1");
    // The first entry is the no-op of the first leader.
    const previous = { previousIndex: 1, previousTerm: 1, commitIndex: 2 };
    const entries = [{ kind: "command" as const, index: 2, term: 50, data: data() }];
    const message = { ...coup("n2", 50), ...previous, entries } as Message;
    replica.cluster.receive("n2", frameOf(orders, message));
    expect(await harm()).toEqual([]);
    expect(replica.broker.topics.get("orders")!.partitions[0]!.log.endOffset).toBeLessThan(2);
  });
});
