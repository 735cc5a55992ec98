import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import { Log } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { readAll, stillClock } from "../../storage/test-log.ts";
import { TopicRegistry } from "../registry.ts";
import type { CatchUpSource } from "./catch-up.ts";
import { catchUp } from "./catch-up.ts";
import type { ClusterCommand } from "./commands.ts";
import { decodeClusterCommand, encodeClusterCommand } from "./commands.ts";
import { ClusterMachine } from "./machine.ts";

const noLimit = { retentionMs: 0, retentionBytes: 0, isCompacted: false };
const create: ClusterCommand = {
  kind: "create-topic",
  topic: "orders",
  config: { partitions: 1, ...noLimit },
};

function append(text: string, sequence: number, producerId = 7, timeMs = 1000): ClusterCommand {
  const records = [{ value: new TextEncoder().encode(text) }];
  const batch = encodeRecordBatch(records, { producerId, producerEpoch: 0, baseSequence: sequence });
  return { kind: "append", topic: "orders", incarnation: 1, partition: 0, timeMs, batch };
}

/** One node's disk, and what a start makes of it. The nodes' clocks differ. */
async function start(disk: MemoryDisk, wallTimeMs = 5) {
  const clock = { ...stillClock, wallTimeMs: () => wallTimeMs };
  const registry = new TopicRegistry(disk, (directory) =>
    Log.open({ disk, directory, clock, fsync: "never" }),
  );
  await registry.load();
  const machine = new ClusterMachine(registry);
  const run = async (commands: readonly ClusterCommand[], from = 1) => {
    const results = [];
    for (const [place, command] of commands.entries()) {
      results.push(await machine.apply(from + place, decodeClusterCommand(encodeClusterCommand(command))));
    }
    await machine.settled();
    return results;
  };
  const stored = async (): Promise<string[]> => {
    const log = registry.get("orders")?.partitions[0]?.log;
    return log === undefined ? [] : [...(await readAll(log)).values()];
  };
  return { registry, machine, run, stored };
}

test("a batch that comes again, from another leader or after a snapshot, is answered and not stored", async () => {
  const disk = new MemoryDisk();
  const first = await start(disk);
  const [, one, again] = await first.run([create, append("a", 0), append("a", 0)]);
  expect(one).toMatchObject({ kind: "appended", baseOffset: 0 });
  expect(again).toEqual(one);
  const snapshot = first.machine.save();
  await first.machine.sync();

  const second = await start(disk);
  expect(second.machine.load(snapshot)).toBeUndefined();
  const [afterSnapshot, next, gap] = await second.run([append("a", 0), append("b", 1), append("d", 3)], 4);
  expect(afterSnapshot).toEqual(one);
  expect(next).toMatchObject({ kind: "appended", baseOffset: 1 });
  expect(gap).toMatchObject({ kind: "error", name: "sequence-gap" });
  expect(await second.stored()).toEqual(["a", "b"]);
});

test("commands that are applied again after a restart store nothing twice, whatever is on disk already", async () => {
  const commands = [create, append("a", 0), append("b", 1), append("c", 2)];
  for (let reached = 0; reached <= commands.length; reached++) {
    const disk = new MemoryDisk();
    await (await start(disk)).run(commands.slice(0, reached));
    const node = await start(disk);
    await node.run(commands);
    expect(await node.stored(), `${reached} applied before`).toEqual(["a", "b", "c"]);
  }
});

test("a topic that was deleted and made anew does not get the records of the one before it", async () => {
  const gone: ClusterCommand = { kind: "delete-topic", topic: "orders" };
  const anew = { ...append("new", 0), incarnation: 4 } as ClusterCommand;
  const commands = [create, append("old", 0), gone, create, append("late", 1), anew];
  for (let reached = 0; reached <= commands.length; reached++) {
    const disk = new MemoryDisk();
    await (await start(disk)).run(commands.slice(0, reached));
    const node = await start(disk);
    const results = await node.run(commands);
    expect(results[4]).toMatchObject({ kind: "error", name: "topic-not-found" });
    expect(await node.stored(), `${reached} applied before`).toEqual(["new"]);
  }
});

test("nodes with different clocks give a record the same id, and keep the same positions", async () => {
  const commit: ClusterCommand = {
    kind: "commit-offsets",
    group: "billing",
    positions: [{ topic: "orders", partition: 0, offset: 1 }],
  };
  const commands = [create, append("a", 0), append("b", 1, 7, 900), commit];
  const [one, other] = [await start(new MemoryDisk(), 5), await start(new MemoryDisk(), 9e9)];
  expect(await one.run(commands)).toEqual(await other.run(commands));
  expect(one.machine.save()).toEqual(other.machine.save());
  expect(other.machine.positionsOf("billing")).toEqual([{ topic: "orders", partition: 0, offset: 1 }]);
  const bytesOf = async ({ registry }: typeof one) => {
    const read = await registry.get("orders")?.partitions[0]?.log.read(0, 10_000);
    return read?.kind === "records" ? read.bytes.slice() : undefined;
  };
  expect(await bytesOf(one)).toEqual(await bytesOf(other));
});

test("a node whose disk lacks records that the snapshot covers says so", async () => {
  const full = await start(new MemoryDisk());
  await full.run([create, append("a", 0), append("b", 1)]);
  const disk = new MemoryDisk();
  await (await start(disk)).run([create, append("a", 0)]);
  const short = await start(disk);
  expect(short.machine.load(full.machine.save())).toBe(
    "orders/0 ends at offset 1, and the snapshot says 2: records are missing",
  );
});

test("a node that is far behind takes over what another one holds, from where retention has left it", async () => {
  const full = await start(new MemoryDisk());
  const rest = Array.from({ length: 9 }, (_, number) => append(`record ${number}`, number));
  await full.run([create, ...rest]);
  const trim = { kind: "trim", topic: "orders", incarnation: 1, partition: 0, beforeOffset: 4 } as const;
  const log = full.registry.get("orders")!.partitions[0]!.log;
  const source: CatchUpSource = {
    state: async () => ({
      topics: [
        {
          topic: "orders",
          incarnation: 1,
          retentionMs: 0,
          retentionBytes: 0,
          partitions: [{ startOffset: log.startOffset, endOffset: log.committedEnd }],
        },
      ],
    }),
    fetch: async ({ offset }) => {
      const read = await log.read(offset, 100);
      if (read.kind !== "records") throw new Error(read.kind);
      return { batches: read.bytes.slice() };
    },
  };
  // One with the beginning goes on with it; one whose records are all older than what is kept begins anew.
  for (const [trimmed, held, expected] of [
    [false, 3, 9],
    [true, 6, 5],
    [true, 2, 5],
    [true, 0, 5],
  ] as const) {
    if (trimmed) await full.run([trim], 20);
    const disk = new MemoryDisk();
    const behind = await start(disk);
    await behind.run(held === 0 ? [] : [create, ...rest.slice(0, held)]);
    await catchUp(behind.registry, source, disk, crc32);
    const { machine, stored } = await start(disk);
    expect(machine.load(full.machine.save())).toBeUndefined();
    expect(await stored(), `${held} held`).toEqual((await full.stored()).slice(-expected));
  }
});
