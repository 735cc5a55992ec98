import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { DiskError } from "../../ports.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { settled } from "../../testing/clock.ts";
import { readWhole } from "../../storage/file-io.ts";
import type { GroupRecord, JournalRecord } from "./journal-codec.ts";
import { decodeJournalRecord, encodeJournalRecord } from "./journal-codec.ts";
import { RaftJournal } from "./journal.ts";
import { JournalState } from "./journal-state.ts";

const path = "cluster/journal";
const metadata = { incarnation: 0, partition: 0 };
const orders = { incarnation: 7, partition: 1 };

function write(group: GroupRecord["group"], term: number, change: Partial<GroupRecord> = {}): GroupRecord {
  const nothing = { votedFor: undefined, snapshot: undefined, replaceFrom: undefined, entries: [] };
  return { kind: "write", group, term, ...nothing, catchUpFrom: undefined, ...change };
}

const configuration = { voters: ["n1", "n2"], oldVoters: [], learners: ["n3"] };
const snapshot = { index: 3, term: 2, configuration, data: Uint8Array.of(1, 2) };
const records: readonly JournalRecord[] = [
  write(metadata, 1, { votedFor: "n1" }),
  write(orders, 1, { replaceFrom: 1, entries: [{ kind: "no-op", index: 1, term: 1 }] }),
  // The entries in between are batches, which lie elsewhere.
  write(orders, 2, { replaceFrom: 9, entries: [{ kind: "no-op", index: 12, term: 2 }] }),
  write(metadata, 1, {
    replaceFrom: 1,
    entries: [{ kind: "command", index: 1, term: 1, data: Uint8Array.of(5) }],
  }),
  write(orders, 3, { replaceFrom: 12, entries: [{ kind: "no-op", index: 12, term: 3 }] }),
  write(orders, 3, { snapshot, catchUpFrom: 40 }),
];

function stateOf(all: readonly JournalRecord[]): JournalState {
  const state = new JournalState();
  for (const record of all) state.apply(record);
  return state;
}

async function open(disk: MemoryDisk | SimulatedDisk, rewriteBytesMin?: number): Promise<RaftJournal> {
  await disk.makeDirectory("cluster");
  await disk.syncDirectory("");
  const opened = await RaftJournal.open(disk, path, crc32, rewriteBytesMin);
  if (opened.kind !== "open") throw new Error(opened.problem);
  return opened.journal;
}

/** Writes records, each with a sync of its own. */
async function store(disk: MemoryDisk, all: readonly JournalRecord[]): Promise<void> {
  const journal = await open(disk);
  for (const record of all) await journal.store(record);
  await journal.close();
}

async function bytesOf(disk: MemoryDisk): Promise<Uint8Array> {
  return (await readWhole(disk, path)) ?? new Uint8Array(0);
}

async function diskWith(bytes: Uint8Array): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory("cluster");
  const file = await disk.open(path, "create");
  await file.write(bytes, 0);
  await file.close();
  return disk;
}

test("what all groups said comes back, whether it was written together or one by one", async () => {
  const apart = new MemoryDisk();
  await store(apart, records);
  const together = new MemoryDisk();
  const journal = await open(together);
  await Promise.all(records.map((record) => journal.store(record)));
  await journal.close();
  for (const disk of [apart, together]) expect((await open(disk)).state).toEqual(stateOf(records));
});

test("entries give way to those that replace them, and to a snapshot, and leave no others out", () => {
  const { groups } = stateOf(records.slice(0, 5));
  expect(groups.get("7/1")?.entries.map(({ index, term }) => [index, term])).toEqual([
    [1, 1],
    [12, 3],
  ]);
  const after = stateOf(records).groups.get("7/1");
  expect(after).toMatchObject({ term: 3, snapshot: { index: 3 }, catchUpFrom: 40 });
  expect(after?.entries.map(({ index }) => index)).toEqual([12]);
});

test("a file that has been overtaken begins anew, and says the same in less", async () => {
  const disk = new MemoryDisk();
  const journal = await open(disk, 600);
  for (let term = 3; term < 60; term++) await journal.store(write(metadata, term));
  for (const record of records.slice(1)) await journal.store(record);
  await journal.close();
  expect((await bytesOf(disk)).length).toBeLessThan(1300);
  expect((await open(disk)).state.groups).toEqual(stateOf([write(metadata, 59), ...records.slice(1)]).groups);
});

test("a file that begins anew still knows which topics are gone", async () => {
  const disk = new MemoryDisk();
  const journal = await open(disk, 400);
  await journal.store(write(orders, 1));
  await journal.store({ kind: "forget", incarnation: 7, metadataIndex: 20 });
  for (let term = 1; term < 30; term++) await journal.store(write(metadata, term));
  await journal.close();
  expect((await bytesOf(disk)).length).toBeLessThan(500);
  const { forgotten, groups } = (await open(disk)).state;
  expect([[...forgotten], [...groups.keys()]]).toEqual([[[7, 20]], ["0/0"]]);
});

test("a snapshot takes the place of the entries up to its own, and of no other", () => {
  const entries = [2, 3, 4].map((index) => ({ kind: "no-op" as const, index, term: 1 }));
  const { groups } = stateOf([write(orders, 1, { replaceFrom: 2, entries }), write(orders, 2, { snapshot })]);
  expect(groups.get("7/1")?.entries.map(({ index }) => index)).toEqual([4]);
});

/** A journal with a record on its way to the disk and one behind it, and what becomes of them. */
async function busy() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const disk = new SimulatedDisk();
  const journal = await open(disk);
  disk.replan({ gate: ({ operation }) => (operation === "sync" ? promise : undefined) });
  const came: string[] = [];
  for (const [place, name] of ["first", "second"].entries()) {
    const note = (how: string) => () => void came.push(`${name} ${how}`);
    journal.store(write(orders, place + 1)).then(note("stored"), note("lost"));
    await settled();
  }
  const quiet = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await settled();
  };
  return { journal, came, resolve, reject, quiet };
}

test("closing waits for what is being written, and for what waits", async () => {
  const { journal, came, resolve, quiet } = await busy();
  let isClosed = false;
  const closing = journal.close().then(() => (isClosed = true));
  await quiet();
  expect([isClosed, came]).toEqual([false, []]);
  resolve();
  await closing;
  expect(came).toEqual(["first stored", "second stored"]);
});

test("a disk that fails tells all who wait", async () => {
  const { came, reject, quiet } = await busy();
  reject(new DiskError("input-output", "sync", path));
  await quiet();
  expect(came).toEqual(["first lost", "second lost"]);
});

test("a deleted topic takes its groups along for good, until the metadata's snapshot covers its end", () => {
  const forget = { kind: "forget", incarnation: 7, metadataIndex: 20 } as const;
  const state = stateOf([...records, forget, write(orders, 9)]);
  expect([...state.groups.keys()]).toEqual(["0/0"]);
  expect([...state.forgotten]).toEqual([[7, 20]]);
  // The indexes of another group are others.
  state.apply(write({ incarnation: 8, partition: 0 }, 3, { snapshot: { ...snapshot, index: 90 } }));
  state.apply(write(metadata, 3, { snapshot: { ...snapshot, index: 19 } }));
  expect(state.forgotten.size).toBe(1);
  state.apply(write(metadata, 3, { snapshot: { ...snapshot, index: 20 } }));
  expect(state.forgotten.size).toBe(0);
});

test("cut anywhere in its last record, the file loses that record and no other", async () => {
  const disk = new MemoryDisk();
  await store(disk, records.slice(0, -1));
  const journal = await open(disk);
  const kept = (await bytesOf(disk)).length;
  for (const record of records.slice(-1)) await journal.store(record);
  await journal.close();
  const whole = await bytesOf(disk);
  expect(whole.length).toBeGreaterThan(kept);
  for (let length = kept; length < whole.length; length++) {
    const torn = await diskWith(whole.subarray(0, length));
    expect((await open(torn)).state, `${length} bytes`).toEqual(stateOf(records.slice(0, -1)));
    expect((await bytesOf(torn)).length).toBe(kept);
  }
});

test("any changed byte that a later record vouches for is found, and the node does not start", async () => {
  const disk = new MemoryDisk();
  await store(disk, records.slice(0, -1));
  const journal = await open(disk);
  const vouched = (await bytesOf(disk)).length;
  for (const record of records.slice(-1)) await journal.store(record);
  await journal.close();
  const whole = await bytesOf(disk);
  for (let at = 0; at < vouched; at++) {
    const changed = whole.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x40;
    const opened = await RaftJournal.open(await diskWith(changed), path, crc32);
    expect(opened.kind, `byte ${at}`).toBe("damaged");
  }
});

test("records of the file at another place, or of a file that had its name before, are none", async () => {
  const disk = new MemoryDisk();
  const journal = await open(disk);
  const ends = [];
  for (let term = 1; term <= 3; term++) {
    await journal.store(write(metadata, term));
    ends.push((await bytesOf(disk)).length);
  }
  await journal.close();
  const [first = 0, second = 0] = ends;
  const before = await bytesOf(disk);
  const termOf = async (...parts: Uint8Array[]): Promise<number | undefined> => {
    const bytes = new Uint8Array(parts.flatMap((part) => [...part]));
    return (await open(await diskWith(bytes))).state.groups.get("0/0")?.term;
  };
  // The file has grown, and its new sectors show what was there before.
  expect(await termOf(before, before.subarray(first, second))).toBe(3);
  // A start begins the file anew, and so its end is where another record stood.
  await (await open(disk)).close();
  const after = await bytesOf(disk);
  expect(after.length).toBe(first);
  expect(await termOf(after, before.subarray(first))).toBe(3);
  expect(await termOf(before.subarray(0, first), before.subarray(first, second))).toBe(2);
});

test("after a power loss at any call every record that was reported is there, and none is half there", async () => {
  const all = [...records, ...records.slice(1, 5).map((record) => ({ ...record, term: 4 }))];
  for (let call = 0; call < 60; call++) {
    for (const when of ["before", "after"] as const) {
      const disk = new SimulatedDisk({ faults: [{ call, kind: "crash", when }] });
      let reported = 0;
      const work = (async () => {
        const journal = await open(disk, 300);
        // Two at a time share a sync.
        for (let at = 0; at < all.length; at += 2) {
          const pair = all.slice(at, at + 2);
          await Promise.all(pair.map((record) => journal.store(record).then(() => reported++)));
        }
      })();
      await Promise.race([work, disk.crashed]);
      const next = disk.restart({ kind: "random", seed: call });
      const { groups } = (await open(next)).state;
      const possible = Array.from({ length: all.length - reported + 1 }, (_, more) => {
        return stateOf(all.slice(0, reported + more)).groups;
      });
      expect(possible, `call ${call}, ${when}`).toContainEqual(groups);
    }
  }
});

test("a record goes through bytes and back; other bytes are none", () => {
  const forget = { kind: "forget", incarnation: 7, metadataIndex: 20 } as const;
  for (const record of [...records, forget]) {
    const bytes = encodeJournalRecord(record);
    expect(decodeJournalRecord(bytes)).toEqual(record);
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeJournalRecord(bytes.subarray(0, length))).toBeUndefined();
    }
  }
});

test("what a start finds is safe before anybody relies on it", async () => {
  const never = new Promise<void>(() => {});
  const disk = new SimulatedDisk();
  const journal = await open(disk);
  await journal.store(write(metadata, 1));
  // The process ends while its disk is busy; the machine goes on.
  disk.replan({ gate: ({ operation }) => (operation === "sync" ? never : undefined) });
  void journal.store(write(metadata, 2, { votedFor: "n2" })).catch(() => {});
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  const next = disk.restart({ kind: "everything" });
  expect((await open(next)).state.groups.get("0/0")).toMatchObject({ term: 2, votedFor: "n2" });
  const last = next.restart({ kind: "nothing" });
  expect((await open(last)).state.groups.get("0/0")).toMatchObject({ term: 2, votedFor: "n2" });
});

test("a disk that fails is told once, to the node and to whoever waits, and nothing is written behind it", async () => {
  const disk = new SimulatedDisk();
  const journal = await open(disk);
  const failures: unknown[] = [];
  journal.onFailed = (error) => void failures.push(error);
  disk.replan({ faults: [{ call: 0, kind: "fail", code: "no-space" }] });
  const told = await Promise.all([1, 2].map((term) => journal.store(write(metadata, term)).catch(String)));
  expect(told).toEqual([expect.stringContaining("no-space"), expect.stringContaining("no-space")]);
  expect(failures).toMatchObject([{ code: "no-space" }]);
  await expect(journal.store(write(metadata, 3))).rejects.toThrow("the journal is closed");
  journal.append(write(metadata, 4), () => failures.push("durable"));
  await journal.close();
  expect(failures).toHaveLength(1);
});

test("a file that began anew grows for a while before it does so again", async () => {
  const disk = new SimulatedDisk();
  const journal = await open(disk, 2000);
  const renamed = (): number => disk.counts["rename"] ?? 0;
  while (renamed() < 2) await journal.store(write(metadata, 5));
  for (let times = 0; times < 10; times++) await journal.store(write(metadata, 6));
  expect(renamed()).toBe(2);
});

test("what a start has found outlives the power, also where a sync had failed before", async () => {
  const rehearsal = new SimulatedDisk();
  const [record] = records;
  if (record === undefined) throw new Error("no records");
  await (await open(rehearsal)).store(record);
  const failing = { call: rehearsal.calls - 1, kind: "fail", code: "input-output" } as const;
  const disk = new SimulatedDisk({ faults: [failing] });
  const journal = await open(disk);
  await expect(journal.store(record)).rejects.toThrow("sync");
  // The process ends, the machine does not: what was written can be read, and no sync will write it any more.
  const again = disk.restart({ kind: "everything" });
  expect((await open(again)).state).toEqual(stateOf([record]));
  const afterwards = again.restart({ kind: "nothing" });
  expect((await open(afterwards)).state).toEqual(stateOf([record]));
});

test("records of one round vouch for none of each other: one that is torn is no damage", async () => {
  const disk = new MemoryDisk();
  const journal = await open(disk);
  await journal.store(write(metadata, 1));
  const start = (await bytesOf(disk)).length;
  await Promise.all([journal.store(write(orders, 5)), journal.store(write(metadata, 6))]);
  await journal.close();
  const torn = (await bytesOf(disk)).slice();
  torn[start + 20] = (torn[start + 20] ?? 0) ^ 0x40;
  const { state } = await open(await diskWith(torn));
  expect(state).toEqual(stateOf([write(metadata, 1)]));
});

test("a file that cannot become shorter does not begin anew with every record", async () => {
  const disk = new SimulatedDisk();
  const journal = await open(disk, 600);
  let renames = 0;
  disk.replan({ gate: ({ operation }) => void (operation === "rename" && renames++) });
  const data = new Uint8Array(2000);
  await journal.store(
    write(orders, 1, { replaceFrom: 1, entries: [{ kind: "command", index: 1, term: 1, data }] }),
  );
  for (let term = 1; term < 30; term++) await journal.store(write(metadata, term));
  await journal.close();
  expect(renames).toBe(1);
});
