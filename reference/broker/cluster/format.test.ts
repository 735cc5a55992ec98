/** What a node of a cluster keeps, held to bytes that people can read; and what a changed byte comes to. */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import type { Configuration } from "../../raft/entry.ts";
import { readWhole } from "../../storage/file-io.ts";
import { openIdentity } from "./identity.ts";
import type { JournalRecord } from "./journal-codec.ts";
import { RaftJournal } from "./journal.ts";
import { JournalState } from "./journal-state.ts";
import { encodeTrim } from "./partition-entry.ts";
import type { PartitionSnapshot } from "./partition-snapshot.ts";
import { decodePartitionSnapshot, encodePartitionSnapshot } from "./partition-snapshot.ts";

const journalPath = "cluster/journal";
const identityPath = "cluster/identity.json";

function textOf(name: string): string {
  return fs.readFileSync(path.join(import.meta.dirname, `../../testing/golden/${name}.hex`), "utf8");
}

function golden(name: string): Uint8Array<ArrayBuffer> {
  return fromHex(textOf(name))!;
}

const configuration: Configuration = { voters: ["n1", "n2"], oldVoters: [], learners: ["n3"] };
const nothing = { votedFor: undefined, snapshot: undefined, replaceFrom: undefined, entries: [] };

/** The records of the golden journal: the first two in one round, then one after the other. */
const records: readonly JournalRecord[] = [
  {
    kind: "write",
    group: { incarnation: 0, partition: 0 },
    term: 3,
    ...nothing,
    votedFor: "n1",
    catchUpFrom: undefined,
  },
  {
    kind: "write",
    group: { incarnation: 7, partition: 1 },
    term: 3,
    ...nothing,
    replaceFrom: 12,
    entries: [
      { kind: "no-op", index: 12, term: 3 },
      { kind: "configuration", index: 14, term: 3, configuration },
      { kind: "command", index: 15, term: 3, data: encodeTrim(5) },
    ],
    catchUpFrom: undefined,
  },
  {
    kind: "write",
    group: { incarnation: 7, partition: 0 },
    term: 3,
    ...nothing,
    snapshot: { index: 20, term: 3, configuration, data: Uint8Array.of(1, 2, 3) },
    catchUpFrom: 40,
  },
  { kind: "forget", incarnation: 7, metadataIndex: 23 },
];

const partitionSnapshot: PartitionSnapshot = {
  endOffset: 4711,
  trimmedTo: 4000,
  lastId: { milliseconds: 1_700_000_000_000, sequence: 9 },
  producers: [
    {
      id: 77,
      epoch: 2,
      nextSequence: 30,
      batches: [
        { sequence: 20, count: 10, baseOffset: 4701, idMilliseconds: 1_700_000_000_000, idSequence: 0 },
      ],
    },
  ],
};

const members = new Map([
  ["n1", "10.0.0.1:7420"],
  ["n2", "10.0.0.2:7420"],
]);

function stateOf(all: readonly JournalRecord[]): JournalState {
  const state = new JournalState();
  for (const record of all) state.apply(record);
  return state;
}

async function diskWith(file: string, bytes: Uint8Array): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory("cluster");
  const opened = await disk.open(file, "create");
  await opened.write(bytes, 0);
  await opened.close();
  return disk;
}

const identityOptions = {
  node: "n1",
  members,
  isJoining: false,
  checksum: crc32,
  random: { nextUint32: () => 0x7a0d15e6 },
};

/** The bytes of an identity that has been stored. */
async function identityBytes(): Promise<Uint8Array> {
  const disk = new MemoryDisk();
  const opened = await openIdentity(disk, identityOptions);
  if (opened.kind !== "identity") throw new Error(opened.problem);
  const { identity } = opened;
  await identity.meet("n2", "c4e19b07d2a85f36");
  await identity.begin();
  return (await readWhole(disk, identityPath)) ?? new Uint8Array(0);
}

describe("golden bytes", () => {
  test("of a journal", async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory("cluster");
    const opened = await RaftJournal.open(disk, journalPath, crc32);
    if (opened.kind !== "open") throw new Error(opened.problem);
    const { journal } = opened;
    await Promise.all(records.slice(0, 2).map((record) => journal.store(record)));
    for (const record of records.slice(2)) await journal.store(record);
    await journal.close();
    const bytes = (await readWhole(disk, journalPath)) ?? new Uint8Array(0);
    expect(toHex(bytes)).toBe(toHex(golden("raft-journal")));
    const read = await RaftJournal.open(
      await diskWith(journalPath, golden("raft-journal")),
      journalPath,
      crc32,
    );
    expect(read).toMatchObject({ kind: "open", journal: { state: stateOf(records) } });
  });

  test("of a partition's snapshot", () => {
    expect(toHex(encodePartitionSnapshot(partitionSnapshot))).toBe(toHex(golden("partition-snapshot")));
    expect(decodePartitionSnapshot(golden("partition-snapshot"))).toEqual(partitionSnapshot);
  });

  test("of a node's identity", async () => {
    expect(new TextDecoder().decode(await identityBytes())).toBe(
      '{"version":2,"clusterId":"167d18fb85b231e8","node":"n1","folder":"7a0d15e67a0d15e6",' +
        '"members":["n1=10.0.0.1:7420","n2=10.0.0.2:7420"],"first":["n1","n2"],"met":["n2=c4e19b07d2a85f36"],' +
        '"hasBegun":true,"crc32":"4ef47058"}\n',
    );
    const text = fs.readFileSync(path.join(import.meta.dirname, "FORMAT.md"), "utf8");
    expect(text).toContain(new TextDecoder().decode(await identityBytes()).trimEnd());
  });

  test.each(["raft-journal", "partition-snapshot"])("of %s stand in FORMAT.md", (name) => {
    const text = fs.readFileSync(path.join(import.meta.dirname, "FORMAT.md"), "utf8");
    expect(text).toContain(textOf(name).trimEnd());
  });
});

describe("one changed byte", () => {
  test("in a journal is refused, or cuts off what nobody vouches for, and is never taken for something else", async () => {
    const whole = golden("raft-journal");
    // Where each record begins, from the golden file's own lengths.
    const starts = [20];
    for (let at = 20; at < whole.length;)
      starts.push((at += 8 + (whole[at + 3] ?? 0) + 256 * (whole[at + 2] ?? 0)));
    const last = starts.at(-2) ?? 0;
    for (let at = 0; at < whole.length; at++) {
      for (const bit of [0x01, 0x80]) {
        const changed = whole.slice();
        changed[at] = (changed[at] ?? 0) ^ bit;
        const opened = await RaftJournal.open(await diskWith(journalPath, changed), journalPath, crc32);
        // The last record says that all before it was safe. Of itself nobody says so.
        if (at < last) expect(opened.kind, `byte ${at}`).toBe("damaged");
        else
          expect(opened, `byte ${at}`).toMatchObject({ journal: { state: stateOf(records.slice(0, -1)) } });
      }
    }
  });

  test("in an identity is refused", async () => {
    const whole = await identityBytes();
    for (let at = 0; at < whole.length; at++) {
      for (const bit of [0x01, 0x20]) {
        const changed = whole.slice();
        changed[at] = (changed[at] ?? 0) ^ bit;
        const opened = await openIdentity(await diskWith(identityPath, changed), identityOptions);
        expect(opened.kind, `byte ${at}`).toBe("refused");
      }
    }
  });
});
