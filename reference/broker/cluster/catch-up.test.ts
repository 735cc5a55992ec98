import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import { RaftLog } from "../../raft/log.ts";
import type { SnapshotRequest } from "../../raft/messages.ts";
import type { Raft } from "../../raft/state.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import type { Log } from "../../storage/log.ts";
import { baseOffsetAt } from "../../storage/record-batch.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { RecordCursor } from "../../storage/record-cursor.ts";
import { openTestLog, stillClock } from "../../storage/test-log.ts";
import { CatchUp } from "./catch-up.ts";
import type { PartitionStorage } from "./group-storage.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const options = { segmentBytesMax: 300, indexIntervalBytes: 200 };

/** Appends one batch for each change: `a=1` sets a key, `a` removes it. */
async function append(log: Log, ...changes: readonly string[]): Promise<void> {
  for (const change of changes) {
    const [key = "", value] = change.split("=");
    const record = { key: encoder.encode(key), value: value === undefined ? null : encoder.encode(value) };
    expect(log.append(encodeRecordBatch([record])).kind).toBe("appended");
    await log.committed();
  }
}

/** Enough to close the segments before it. */
const fillers: readonly string[] = Array.from({ length: 3 }, () => `filler=${"x".repeat(200)}`);

async function logOf(...changes: readonly string[]): Promise<Log> {
  const log = await openTestLog(new SimulatedDisk(), options);
  await append(log, ...changes);
  return log;
}

/** `offset key=value` of all records but fillers. */
async function contents(log: Log): Promise<string[]> {
  const found: string[] = [];
  for (let offset = log.startOffset; offset < log.endOffset;) {
    const read = await log.read(offset, 2 ** 20);
    if (read.kind !== "records") throw new Error(JSON.stringify(read));
    const cursor = new RecordCursor(read.bytes, { fromOffset: offset });
    while (cursor.next()) {
      const { key, value } = cursor.record();
      if (decoder.decode(key) === "filler") continue;
      found.push(
        `${cursor.offset} ${decoder.decode(key)}${value === null ? "" : `=${decoder.decode(value)}`}`,
      );
    }
    offset = read.nextOffset;
  }
  return found;
}

/** What a node says of its records: a batch at a time, so that things can happen in between. */
async function answer(log: Log, offset: number): Promise<ReplyOf<"PeerFetch">> {
  const { goneTo: tombstonesGoneTo, rounds: tombstoneRounds } = log.tombstones;
  const read = await log.read(offset, 1);
  if (read.kind !== "records") throw new Error(JSON.stringify(read));
  const { startOffset } = log;
  return { startOffset, safeEnd: 0, tombstonesGoneTo, tombstoneRounds, batches: read.bytes };
}

/** A follower whose log is agreed on to `ownEnd`, and the nodes that it may ask. */
function follower(
  log: Log,
  ownEnd: number,
  sources: Record<string, (offset: number) => Promise<Log>>,
  alter: (batches: Uint8Array) => Uint8Array = (batches) => batches,
) {
  const failures: Error[] = [];
  /** Where the snapshot ended each time that the group's own entries were put back. */
  const putBack: number[] = [];
  const asked: string[] = [];
  const raft: Partial<Raft> = { log: new RaftLog(), term: 1, commitIndex: 0, incoming: undefined };
  const catchUp = new CatchUp({
    log,
    clock: stillClock,
    checksum: crc32,
    storage: {
      beginCatchUp: () => Promise.resolve(),
      abandonLog: () => Promise.resolve(),
      endCatchUp: async (_, snapshotEnd) => void putBack.push(snapshotEnd),
    } as Partial<PartitionStorage> as PartitionStorage,
    state: () => raft as Raft,
    offsetBehind: () => ownEnd,
    source: (node) => ({
      fetch: async ({ offset }) => {
        asked.push(`${node} ${offset}`);
        const said = await answer(await sources[node]!(offset), offset);
        return { ...said, batches: alter(said.batches) };
      },
    }),
    name: { topic: "latest", incarnation: 1, partition: 0 },
    onFailed: (error) => void failures.push(error),
  });
  /** A leader offers its snapshot until it is taken, as Raft does, or until this has no end. */
  const offer = async (from: string, endOffset: number): Promise<"taken" | "held back"> => {
    const data = encodePartitionSnapshot({ ...emptyPartition, endOffset });
    const piece = {
      kind: "snapshot-request",
      from,
      to: "f",
      term: 1,
      index: endOffset,
      lastTerm: 1,
    } as const;
    const rest = { configuration: { voters: [], oldVoters: [], learners: [] }, round: 1, offset: 0 };
    const message = { ...piece, ...rest, data, isLast: true } as Partial<SnapshotRequest> as SnapshotRequest;
    for (let turn = 0; turn < 20; turn++) {
      const admitted = catchUp.admit(message);
      if (admitted?.isLast === true) return "taken";
      for (let step = 0; step < 500; step++) await Promise.resolve();
    }
    return "held back";
  };
  return { offer, failures, asked, putBack, catchUp };
}

test("a log with gaps is taken over, of stand-ins what lies between the log's end and the snapshot's", async () => {
  const changes = ["a=1", "a=2", "a=3", "a=4", "a=5", "b=1", "a=6", ...fillers];
  const leader = await logOf(...changes);
  await leader.compact();
  const first = await leader.read(0, 1);
  expect(first.kind === "records" && baseOffsetAt(first.bytes, 0)).toBe(0);
  const log = await logOf(...changes.slice(0, 1));
  const { offer } = follower(log, 1, { l: () => Promise.resolve(leader) });
  expect(await offer("l", 2)).toBe("taken");
  expect(log.endOffset).toBe(2);
  expect(await contents(log)).toEqual(["0 a=1"]);
  expect(await offer("l", 7)).toBe("taken");
  expect(await contents(log)).toEqual(["0 a=1", "5 b=1", "6 a=6"]);
});

/** A key that came and went, then the rest: at first only the former is compacted. */
async function compactedOnce(...changes: readonly string[]): Promise<Log> {
  const log = await logOf("x=1", "x", ...fillers);
  log.keptFrom = log.endOffset;
  await append(log, ...changes, ...fillers);
  await log.compact({ tombstoneKeepMs: -1 });
  expect(log.tombstones).toMatchObject({ goneTo: 2, rounds: 1 });
  return log;
}

/** All the rest is compacted too. */
async function compactWhole(log: Log): Promise<void> {
  log.keptFrom = log.endOffset;
  await log.compact({ tombstoneKeepMs: -1 });
}

test("a node without records copies them from one node, as it is at one time", async () => {
  const first = await compactedOnce("a=1", "b=1", "a", "c=1");
  const second = await logOf("x=1", "x", ...fillers, "a=1", "b=1", "a", "c=1", ...fillers);
  await second.compact({ tombstoneKeepMs: -1 });
  second.tombstones.rounds = first.tombstones.rounds;
  const log = await logOf();
  let isReachable = true;
  const { offer, asked } = follower(log, 0, {
    first: (offset) => {
      isReachable &&= offset < 7;
      return isReachable ? Promise.resolve(first) : Promise.reject(new Error("not reachable"));
    },
    second: () => Promise.resolve(second),
  });
  expect(await offer("first", 9)).toBe("held back");
  expect(await contents(log)).toEqual(["5 a=1", "6 b=1"]);
  // In the second log neither the key is left nor what removed it.
  expect(await offer("second", 9)).toBe("taken");
  expect(await contents(log)).toEqual(["6 b=1", "8 c=1"]);
  expect(asked).toContain("second 0");
  // Whoever copies from this log must know as well.
  expect(log.tombstones.goneTo).toBe(8);
});

test("a copy begins again when tombstones go under way", async () => {
  const leader = await compactedOnce("a=1", "b=1", "a", "c=1");
  const log = await logOf();
  const { offer, asked } = follower(log, 0, {
    l: async (offset) => {
      if (offset === 7) await compactWhole(leader);
      return leader;
    },
  });
  expect(await offer("l", 9)).toBe("taken");
  expect(await contents(log)).toEqual(["6 b=1", "8 c=1"]);
  expect(asked.filter((one) => one === "l 0")).toHaveLength(2);
});

test("a member's records go on where they end: tombstones that are gone are its own", async () => {
  const leader = await logOf("a=1", "a", "b=1", "c=1", ...fillers);
  await leader.compact({ tombstoneKeepMs: -1, tombstonesBefore: 2 });
  const log = await logOf("a=1", "a");
  const { offer, asked } = follower(log, 2, { l: () => Promise.resolve(leader) });
  expect(await offer("l", 4)).toBe("taken");
  expect(await contents(log)).toEqual(["0 a=1", "1 a", "2 b=1", "3 c=1"]);
  expect(asked[0]).toBe("l 2");
});

test("records that may have been removed meanwhile are no good, and the node says so", async () => {
  const leader = await logOf("a=1", "b=1", "a", "c=1", ...fillers);
  await leader.compact({ tombstoneKeepMs: -1 });
  const log = await logOf("a=1", "b=1");
  const { offer, failures } = follower(log, 2, { l: () => Promise.resolve(leader) });
  expect(await offer("l", 4)).toBe("held back");
  expect(failures[0]?.message).toMatch(/^latest\/0 may hold keys that were removed/);
  expect(await contents(log)).toEqual(["0 a=1", "1 b=1"]);
});

test("records that are damaged where they are fetched from are not taken", async () => {
  const source = await logOf("a=1", "b=2", "c=3");
  const faults: ((batches: Uint8Array) => Uint8Array)[] = [
    (batches) => batches.subarray(0, -1),
    (batches) => batches.subarray(0, 50),
    (batches) => batches.subarray(0, 3),
    (batches) => new Uint8Array(batches.length),
    (batches) => Uint8Array.of(...batches, 1, 2, 3),
  ];
  for (let at = 0; at < 120; at += 7) {
    faults.push((batches) => {
      const changed = batches.slice();
      changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 0x10;
      return changed;
    });
  }
  for (const fault of faults) {
    const log = await logOf();
    // The first answers are damaged; later ones are not.
    let count = 0;
    const { offer, failures } = follower(log, 0, { n1: () => Promise.resolve(source) }, (batches) =>
      ++count <= 3 ? fault(batches) : batches,
    );
    expect(await offer("n1", 3)).toBe("taken");
    expect(failures).toEqual([]);
    expect(await contents(log)).toEqual(["0 a=1", "1 b=2", "2 c=3"]);
  }
});

test("when another leader has the entries, the group's own are put back before it is over", async () => {
  const source = await logOf("a=1", "b=2");
  const { promise, resolve } = Promise.withResolvers<Log>();
  const { offer, putBack, catchUp, failures } = follower(await logOf(), 0, { n1: () => promise });
  expect(await offer("n1", 2)).toBe("held back");
  expect(catchUp.isActive).toBe(true);
  catchUp.giveUp();
  catchUp.giveUp();
  await Promise.resolve();
  // What was asked for may come yet, and must not come behind the group's own.
  expect([catchUp.isActive, putBack]).toEqual([true, []]);
  resolve(source);
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
  expect([catchUp.isActive, putBack]).toEqual([false, [0]]);
  expect(failures).toEqual([]);
});
