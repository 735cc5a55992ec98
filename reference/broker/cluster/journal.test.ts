import * as fc from "fast-check";
import { expect, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import type { Write } from "../../raft/effects.ts";
import type { Entry } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import { applyWrite, emptyState } from "../../raft/persistence.ts";
import { readWhole } from "../../storage/file-io.ts";
import { RaftJournal } from "./journal.ts";
import { decodeMessage, decodeWrite, encodeMessage, encodeWrite } from "./raft-codec.ts";

const path = "cluster/journal";

function command(index: number, term: number, text: string): Entry {
  return { kind: "command", index, term, data: new TextEncoder().encode(text) };
}

const writes: readonly Write[] = [
  { number: 1, term: 1, votedFor: "n1", snapshot: undefined, replaceFrom: undefined, entries: [] },
  {
    number: 2,
    term: 1,
    votedFor: "n1",
    snapshot: undefined,
    replaceFrom: 1,
    entries: [{ kind: "no-op", index: 1, term: 1 }, command(2, 1, "two"), command(3, 1, "three")],
  },
  // Another leader's entries take the place of the last one.
  {
    number: 3,
    term: 2,
    votedFor: undefined,
    snapshot: undefined,
    replaceFrom: 3,
    entries: [command(3, 2, "other three"), command(4, 2, "four")],
  },
];
const expected = writes.reduce(applyWrite, emptyState);

async function store(disk: MemoryDisk, all: readonly Write[]): Promise<void> {
  await disk.makeDirectory("cluster");
  const opened = await RaftJournal.open(disk, path, crc32);
  if (opened.kind !== "open") throw new Error(opened.problem);
  const durable: number[] = [];
  for (const write of all) opened.journal.append(write, () => durable.push(write.number));
  await opened.journal.close();
  expect(durable).toEqual(all.map(({ number }) => number));
}

async function bytesOf(disk: MemoryDisk): Promise<Uint8Array> {
  return (await readWhole(disk, path)) ?? new Uint8Array(0);
}

async function put(bytes: Uint8Array): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory("cluster");
  const file = await disk.open(path, "create");
  await file.write(bytes, 0);
  await file.close();
  return disk;
}

test("what was written comes back, whether records were written together or one by one", async () => {
  const together = new MemoryDisk();
  await store(together, writes);
  const apart = new MemoryDisk();
  for (const write of writes) await store(apart, [write]);
  for (const disk of [together, apart]) {
    expect(await RaftJournal.open(disk, path, crc32)).toMatchObject({ kind: "open", state: expected });
  }
});

test("a snapshot begins the file anew, with what comes behind it", async () => {
  const disk = new MemoryDisk();
  await store(disk, writes);
  const before = (await bytesOf(disk)).length;
  const configuration = { voters: ["n1", "n2"], oldVoters: [], learners: ["n3"] };
  const snapshot = { index: 3, term: 2, configuration, data: Uint8Array.of(1) };
  const last: Write = { number: 4, term: 2, votedFor: "n2", snapshot, replaceFrom: undefined, entries: [] };
  await store(disk, [last]);
  const opened = await RaftJournal.open(disk, path, crc32);
  expect(opened).toMatchObject({ kind: "open", state: applyWrite(expected, last) });
  expect((await bytesOf(disk)).length).toBeLessThan(before + 50);
});

test("cut anywhere in its last record, the file loses that record and no other", async () => {
  const disk = new MemoryDisk();
  await store(disk, writes.slice(0, 2));
  const kept = (await bytesOf(disk)).length;
  await store(disk, writes.slice(2));
  const whole = await bytesOf(disk);
  const state = writes.slice(0, 2).reduce(applyWrite, emptyState);
  for (let length = kept; length < whole.length; length++) {
    const torn = await put(whole.subarray(0, length));
    expect(await RaftJournal.open(torn, path, crc32), `${length} bytes`).toMatchObject({
      kind: "open",
      state,
    });
    expect((await bytesOf(torn)).length).toBe(kept);
  }
});

test("any changed byte is found, and the node does not start", async () => {
  const disk = new MemoryDisk();
  await store(disk, writes);
  const whole = await bytesOf(disk);
  for (let at = 0; at < whole.length; at++) {
    const changed = whole.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x40;
    expect((await RaftJournal.open(await put(changed), path, crc32)).kind, `byte ${at}`).toBe("damaged");
  }
});

const index = fc.nat(2 ** 40);
const entries: fc.Arbitrary<readonly Entry[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("no-op" as const), index, term: index }),
    fc.record({ kind: fc.constant("command" as const), index, term: index, data: fc.uint8Array() }),
  ),
  { maxLength: 4 },
);

test("messages and records read back as what they were", () => {
  const place = { from: "n1", to: "n2" };
  fc.assert(
    fc.property(entries, index, fc.boolean(), (some, at, flag) => {
      const heard = { round: flag ? -1 : at, sentAtMs: at };
      const all: readonly Message[] = [
        { kind: "pre-vote-request", ...place, term: at, lastIndex: 1, lastTerm: at },
        { kind: "vote-request", ...place, term: at, lastIndex: at, lastTerm: 2, isTransfer: flag },
        { kind: "vote-reply", ...place, term: at, isGranted: flag },
        {
          kind: "append-request",
          ...place,
          ...heard,
          term: at,
          previousIndex: at,
          previousTerm: 3,
          commitIndex: 4,
          entries: some,
        },
        {
          kind: "append-reply",
          ...place,
          ...heard,
          term: 1,
          outcome: {
            kind: "conflict",
            previousIndex: 1,
            conflictTerm: flag ? at : undefined,
            conflictIndex: at,
          },
        },
        { kind: "append-reply", ...place, ...heard, term: 1, outcome: { kind: "matched", matchIndex: at } },
        { kind: "snapshot-reply", ...place, ...heard, term: 1, index: at, offset: 9, isInstalled: flag },
        { kind: "timeout-now", ...place, term: at },
      ];
      for (const message of all) {
        const outcome = decodeMessage(encodeMessage(message), "n1", "n2");
        expect(outcome === undefined ? undefined : normal(outcome)).toEqual(normal(message));
      }
      const write = { term: at, votedFor: flag ? "n1" : undefined, snapshot: undefined, entries: some };
      const record = { ...write, replaceFrom: some.length > 0 ? at + 1 : undefined };
      expect(decodeWrite(encodeWrite(record))).toEqual({ number: 0, ...record });
    }),
  );
});

/** A conflict without a term has whatever number there was; it means nothing. */
function normal(message: Message): unknown {
  return JSON.parse(JSON.stringify(message));
}

test("bytes that are no message are none", () => {
  const bytes = encodeMessage({ kind: "timeout-now", from: "n1", to: "n2", term: 7 });
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeMessage(bytes.subarray(0, length), "n1", "n2")).toBeUndefined();
  }
  expect(decodeMessage(Uint8Array.of(...bytes, 0), "n1", "n2")).toBeUndefined();
});
