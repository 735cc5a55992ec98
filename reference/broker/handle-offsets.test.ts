/** Positions at a node of a cluster, which may know less of a partition than the node that leads it. */
import { beforeEach, expect, test } from "vitest";
import { errorNameOf } from "../protocol/errors.ts";
import { TestBroker, TestClient } from "../testing/test-broker.ts";
import type { PartitionSize, Replication } from "./cluster/replication.ts";
import { LocalGroups } from "./consumer-groups.ts";
import type { StoredOffset } from "./offset-store.ts";
import { refuse } from "./outcome.ts";
import type { Partition } from "./partition.ts";

/** What the leaders say of where their partitions end, by partition; those that cannot be asked are not here. */
let ends: Map<number, number>;
/** Partitions that this node leads. */
let led: Set<number>;
/** Positions that were committed, and those that the log found to be the member's no more. */
let committed: StoredOffset[];
let fenced: number[];
let client: TestClient;

beforeEach(async () => {
  [ends, led, committed, fenced] = [new Map(), new Set(), [], []];
  const { broker, hub } = await TestBroker.open();
  await broker.topics.create("t", { partitions: 4, retentionMs: 0, retentionBytes: 0, isCompacted: false });
  const size = (endOffset: number): PartitionSize => ({ startOffset: 0, endOffset, sizeBytes: 0 });
  broker.takePart({
    memberships: new LocalGroups(() => 4),
    refusal: () => undefined,
    current: async () => undefined,
    refusalOf: ({ number }: Partition) => (led.has(number) ? undefined : refuse("not-leader", "elsewhere")),
    sizesOf: async (partitions: readonly Partition[]) =>
      new Map(
        partitions.flatMap((partition) => {
          const end = ends.get(partition.number);
          return end === undefined ? [] : [[partition, size(end)] as const];
        }),
      ),
    offsets: {
      commit: async (_group: string, positions: readonly StoredOffset[]) => {
        committed.push(...positions);
        return positions.filter(({ partition }) => fenced.includes(partition));
      },
      fetch: (_group: string, _topic: string, partition: number) =>
        committed.find((at) => at.partition === partition)?.offset,
      list: () => committed,
    },
  } as unknown as Replication);
  client = new TestClient(hub);
});

const at = (partition: number, offset: number): StoredOffset => ({ topic: "t", partition, offset });

/** Commits by hand; resolves to what became of each. */
async function commit(...offsets: readonly StoredOffset[]) {
  const reply = await client.ask("CommitOffset", { group: "g", memberId: "", generation: 0, offsets });
  return reply.kind === "error" ? reply.name : reply.value.errorCodes.map(errorNameOf);
}

test("a position beyond what is known here counts when the leader has that much", async () => {
  ends.set(0, 5).set(1, 5);
  expect(await commit(at(0, 5), at(1, 6))).toEqual(["none", "offset-out-of-range"]);
  expect(committed).toEqual([at(0, 5)]);
});

test("where the leader cannot be asked, nobody knows; where this node leads, it does", async () => {
  led.add(1);
  expect(await commit(at(0, 5), at(1, 5), at(2, 0))).toEqual(["not-leader", "offset-out-of-range", "none"]);
  expect(committed).toEqual([at(2, 0)]);
});

test("what the log found to be the member's no more is said of that position, and of no other", async () => {
  fenced = [2];
  expect(await commit(at(0, 0), at(1, 1), at(2, 0), at(3, 0))).toEqual([
    "none",
    "not-leader",
    "fenced-member",
    "none",
  ]);
});

test("a position may be ahead of what is known here, but not where this node leads", async () => {
  ends.set(0, 5).set(1, 5);
  await commit(at(0, 5), at(1, 5));
  led.add(1);
  const reply = await client.ask("FetchOffset", { group: "g", partitions: [] });
  const offsets = reply.kind === "error" ? [] : reply.value.offsets;
  expect(offsets.map(({ partition, offset }) => [partition, offset])).toEqual([
    [0, 5],
    [1, 0],
  ]);
});
