/** What goes through the codecs of a cluster comes out again, and what was never sent or stored is refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesEqual } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { MemoryDisk } from "../../browser/memory-disk.ts";
import type { Configuration, Entry } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import { readWhole } from "../../storage/file-io.ts";
import { decodeGroupFrame, putGroupMessage } from "./frame-codec.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";
import type { JournalRecord } from "./journal-codec.ts";
import { decodeJournalRecord, encodeJournalRecord } from "./journal-codec.ts";
import { RaftJournal } from "./journal.ts";
import { JournalState } from "./journal-state.ts";
import { encodeTrim, isBatch, trimOffset } from "./partition-entry.ts";
import type { PartitionSnapshot } from "./partition-snapshot.ts";
import { decodePartitionSnapshot, encodePartitionSnapshot } from "./partition-snapshot.ts";
import { decodeMessage, listMax, placeMax, putMessage } from "./raft-codec.ts";

const seed = 20_261_121;
const journalPath = "cluster/journal";
const configuration: Configuration = { voters: ["n1", "n2"], oldVoters: [], learners: ["n3"] };

interface Sent {
  readonly group: GroupId;
  readonly message: Message;
}

function encodeMessage(message: Message): Uint8Array {
  const to = new FrameWriter();
  putMessage(to, message);
  return to.written().slice();
}

function encodeFrame(sent: readonly Sent[]): Uint8Array {
  const to = new FrameWriter();
  for (const { group, message } of sent) putGroupMessage(to, group, message);
  return to.written().slice();
}

/** The messages in a frame; undefined when one of them is none. */
function decodeFrame(frame: Uint8Array): Sent[] | undefined {
  const sent: Sent[] = [];
  const messages = decodeGroupFrame(frame);
  if (messages === undefined) return undefined;
  for (const { group, bytes } of messages) {
    const message = decodeMessage(bytes, "n1", "n2");
    if (message === undefined) return undefined;
    sent.push({ group, message });
  }
  return sent;
}

function stateOf(all: readonly JournalRecord[]): JournalState {
  const state = new JournalState();
  for (const record of all) state.apply(record);
  return state;
}

const name = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
const count = fc.nat();
/** Up to the largest number that has a place. */
const number = fc.oneof(fc.nat(), fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER - 1));
const bytes = fc.uint8Array({ maxLength: 40 });
const names = fc.array(name, { maxLength: 4 });
const anyConfiguration = fc.record({
  voters: fc.array(name, { minLength: 1, maxLength: 5 }),
  oldVoters: names,
  learners: names,
});
const place = { index: number, term: number };
const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant("command" as const), ...place, data: bytes }),
  fc.record({ kind: fc.constant("no-op" as const), ...place }),
  fc.record({ kind: fc.constant("configuration" as const), ...place, configuration: anyConfiguration }),
);
const anySnapshot = fc.record({ ...place, configuration: anyConfiguration, data: bytes });
const anyRecord: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    group: fc.record({ incarnation: number, partition: count }),
    term: number,
    votedFor: fc.option(name, { nil: undefined }),
    snapshot: fc.option(anySnapshot, { nil: undefined }),
    replaceFrom: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
    entries: fc.array(anyEntry, { maxLength: 4 }),
    catchUpFrom: fc.option(number, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("forget" as const), incarnation: number, metadataIndex: number }),
);
const anyPartition: fc.Arbitrary<PartitionSnapshot> = fc.record({
  endOffset: number,
  trimmedTo: number,
  lastId: fc.record({ milliseconds: number, sequence: count }),
  producers: fc.array(
    fc.record({
      id: number,
      epoch: fc.integer({ min: 0, max: 65_535 }),
      nextSequence: count,
      batches: fc.array(
        fc.record({
          sequence: count,
          count,
          baseOffset: number,
          idMilliseconds: number,
          idSequence: count,
        }),
        { maxLength: 8 },
      ),
    }),
    { maxLength: 3 },
  ),
});

/** Entries as a leader of `term` sends them behind a place. */
const row = fc
  .record({ previousIndex: fc.nat(100), steps: fc.array(fc.tuple(anyEntry, fc.nat(2)), { maxLength: 4 }) })
  .map(({ previousIndex, steps }) => {
    const previousTerm = previousIndex === 0 ? 0 : 5;
    let term = Math.max(1, previousTerm);
    const entries = steps.map(([entry, more], at) => {
      term += more;
      return { ...entry, index: previousIndex + 1 + at, term };
    });
    return { previousIndex, previousTerm, entries, term };
  });
const envelope = { from: fc.constant("n1"), to: fc.constant("n2") };
const heard = { round: number, sentAtMs: number };
const kindOf = <Kind extends Message["kind"]>(kind: Kind) => ({
  kind: fc.constant(kind),
  ...envelope,
  term: fc.integer({ min: 0, max: placeMax }),
});
const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ ...kindOf("pre-vote-request"), lastIndex: number, lastTerm: number }),
  fc.record({ ...kindOf("vote-request"), lastIndex: number, lastTerm: number, isTransfer: fc.boolean() }),
  fc.record({ ...kindOf("pre-vote-reply"), isGranted: fc.boolean() }),
  fc.record({ ...kindOf("vote-reply"), isGranted: fc.boolean() }),
  fc
    .tuple(row, number, fc.record({ ...kindOf("append-request"), ...heard }))
    .map(([of, commitIndex, rest]) => {
      return { ...rest, ...of, commitIndex };
    }),
  fc.record({
    ...kindOf("append-reply"),
    ...heard,
    outcome: fc.oneof(
      fc.record({ kind: fc.constant("matched" as const), matchIndex: number }),
      fc.record({
        kind: fc.constant("conflict" as const),
        previousIndex: number,
        conflictTerm: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
        conflictIndex: number,
      }),
      fc.constant({ kind: "stale" as const }),
    ),
  }),
  fc.record({
    ...kindOf("snapshot-request"),
    ...heard,
    term: fc.integer({ min: 9 }),
    index: fc.integer({ min: 1 }),
    lastTerm: fc.integer({ min: 1, max: 9 }),
    offset: number,
    isLast: fc.boolean(),
    configuration: anyConfiguration,
    data: bytes,
  }),
  fc.record({
    ...kindOf("snapshot-reply"),
    ...heard,
    index: number,
    offset: number,
    isInstalled: fc.boolean(),
  }),
  fc.record(kindOf("timeout-now")),
);

describe("any value", () => {
  const settings = { seed, numRuns: 300 };

  test("goes through bytes and back", () => {
    /** A value that does not; null when all do. */
    const changed = <Value>(
      values: fc.Arbitrary<Value>,
      encode: (value: Value) => Uint8Array,
      decode: (bytes: Uint8Array) => Value | undefined,
    ): unknown => {
      const property = fc.property(values, (value) => {
        expect(decode(encode(value))).toEqual(value);
      });
      return fc.check(property, settings).counterexample;
    };
    expect(changed(anyRecord, encodeJournalRecord, decodeJournalRecord)).toBeNull();
    expect(changed(anyPartition, encodePartitionSnapshot, decodePartitionSnapshot)).toBeNull();
    expect(changed(anyMessage, encodeMessage, (of) => decodeMessage(of, "n1", "n2"))).toBeNull();
    expect(changed(number, encodeTrim, trimOffset)).toBeNull();
    expect(isBatch(encodeTrim(Number.MAX_SAFE_INTEGER))).toBe(false);
  });

  test("of a journal comes back from the file, and what stands before a cut comes back from what is left", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { minLength: 1, maxLength: 5 }), fc.nat(), async (all, cut) => {
        const disk = new MemoryDisk();
        await disk.makeDirectory("cluster");
        const opened = await RaftJournal.open(disk, journalPath, crc32);
        if (opened.kind !== "open") throw new Error(opened.problem);
        const ends = [20];
        for (const record of all) {
          await opened.journal.store(record);
          ends.push((await readWhole(disk, journalPath))?.length ?? 0);
        }
        await opened.journal.close();
        const whole = (await readWhole(disk, journalPath)) ?? new Uint8Array(0);
        const length = 20 + (cut % (whole.length - 19));
        const file = await disk.open(journalPath, "read-write");
        await file.truncate(length);
        const again = await RaftJournal.open(disk, journalPath, crc32);
        const kept = ends.filter((end) => end <= length).length - 1;
        expect(again).toMatchObject({ kind: "open", journal: { state: stateOf(all.slice(0, kept)) } });
      }),
      { seed, numRuns: 60 },
    );
  });
});

/** Bytes that nobody has written, and such as differ from honest ones in a few places. */
function damaged(honest: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
  const changed = fc
    .tuple(honest, fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(3))
    .map(([whole, changes, more]) => {
      const altered = new Uint8Array(whole.length + more);
      altered.set(whole);
      for (const [at, value] of changes) altered[at % altered.length] = value;
      return altered;
    });
  return fc.oneof(fc.uint8Array({ maxLength: 80 }), changed);
}

describe("garbage", () => {
  const settings = { seed, numRuns: 3000 };

  /** Bytes that are taken for what would be written otherwise; null when there are none. */
  function misread<Value>(
    honest: fc.Arbitrary<Value>,
    encode: (value: Value) => Uint8Array,
    decode: (bytes: Uint8Array) => Value | undefined,
  ): unknown {
    const property = fc.property(damaged(honest.map(encode)), (altered) => {
      const value = decode(altered);
      return value === undefined || bytesEqual(encode(value), altered);
    });
    return fc.check(property, settings).counterexample;
  }

  test("is no message, or one that would be written so", () => {
    expect(misread(anyMessage, encodeMessage, (of) => decodeMessage(of, "n1", "n2"))).toBeNull();
  });

  test("is no frame, or one that would be written so", () => {
    const group = fc.record({ incarnation: number, partition: count });
    expect(
      misread(
        fc.array(fc.record({ group, message: anyMessage }), { maxLength: 4 }),
        encodeFrame,
        decodeFrame,
      ),
    ).toBeNull();
  });

  test("is no record of a journal, or one that would be written so", () => {
    expect(misread(anyRecord, encodeJournalRecord, decodeJournalRecord)).toBeNull();
  });

  test("is no snapshot, or one that would be written so", () => {
    expect(misread(anyPartition, encodePartitionSnapshot, decodePartitionSnapshot)).toBeNull();
  });
});

describe("a message that Raft cannot have sent", () => {
  const append: Message = {
    kind: "append-request",
    from: "n1",
    to: "n2",
    term: 5,
    round: 1,
    sentAtMs: 1,
    previousIndex: 7,
    previousTerm: 4,
    commitIndex: 3,
    entries: [
      { kind: "no-op", index: 8, term: 4 },
      { kind: "no-op", index: 9, term: 5 },
    ],
  };
  const [first, second] = append.entries;
  const piece: Message = {
    kind: "snapshot-request",
    from: "n1",
    to: "n2",
    term: 5,
    round: 1,
    sentAtMs: 1,
    index: 7,
    lastTerm: 4,
    offset: 0,
    isLast: true,
    configuration,
    data: new Uint8Array(0),
  };
  const nobody = { voters: [], oldVoters: [], learners: ["n1"] };

  test.each<[string, Message]>([
    ["has a hole before its entries", { ...append, entries: [second!] }],
    ["has a hole among its entries", { ...append, entries: [first!, { ...second!, index: 10 }] }],
    ["has entries whose terms fall", { ...append, entries: [first!, { ...second!, term: 3 }] }],
    ["has entries older than what they follow", { ...append, entries: [{ ...first!, term: 3 }] }],
    ["has entries of a term to come", { ...append, entries: [first!, { ...second!, term: 6 }] }],
    ["follows on a term to come", { ...append, previousTerm: 6, entries: [] }],
    ["follows on nothing in a term", { ...append, previousIndex: 0, entries: [] }],
    ["follows on an entry of no term", { ...append, previousTerm: 0, entries: [] }],
    ["is of no term", { ...append, term: -1, previousIndex: 0, previousTerm: 0, entries: [] }],
    ["commits nothing, and less", { ...append, commitIndex: -1 }],
    ["is of a term that never comes", { ...append, term: placeMax + 1 }],
    ["follows on a place that never comes", { ...append, previousIndex: placeMax + 1, entries: [] }],
    ["brings a snapshot to a place that never comes", { ...piece, index: placeMax + 1 }],
    ["belongs to no round", { ...append, round: -1 }],
    ["was sent before time began", { ...append, sentAtMs: -1 }],
    [
      "lets nobody vote",
      { ...append, entries: [{ kind: "configuration", index: 8, term: 4, configuration: nobody }] },
    ],
    ["brings a snapshot of nothing", { ...piece, index: 0 }],
    ["brings a snapshot of a term to come", { ...piece, lastTerm: 6 }],
    ["brings a snapshot in which nobody votes", { ...piece, configuration: nobody }],
    ["brings a piece from before the start", { ...piece, offset: -1 }],
    [
      "brings a snapshot with a node without a name",
      { ...piece, configuration: { ...configuration, learners: [""] } },
    ],
  ])("%s is none", (_, message) => {
    expect(decodeMessage(encodeMessage(append), "n1", "n2")).toEqual(append);
    expect(decodeMessage(encodeMessage(piece), "n1", "n2")).toEqual(piece);
    expect(decodeMessage(encodeMessage(message), "n1", "n2")).toBeUndefined();
  });

  test("has a list longer than any honest one is none", () => {
    // The learners stand last before the data: their count, and one of them, as often as it says.
    const one = encodeMessage({ ...piece, configuration: { ...configuration, learners: ["a"] } });
    const name = Uint8Array.of(0, 0, 0, 1, 0x61);
    const end = one.length - 4;
    const withLearners = (count: number): Uint8Array => {
      const bytes = new Uint8Array(one.length + (count - 1) * name.length);
      bytes.set(one.subarray(0, end));
      for (let at = end; at < bytes.length - 4; at += name.length) bytes.set(name, at);
      new DataView(bytes.buffer).setUint32(end - name.length - 4, count);
      return bytes;
    };
    expect(decodeMessage(withLearners(3), "n1", "n2")).toMatchObject({
      configuration: { learners: ["a", "a", "a"] },
    });
    expect(decodeMessage(withLearners(listMax), "n1", "n2")).toBeDefined();
    expect(decodeMessage(withLearners(listMax + 1), "n1", "n2")).toBeUndefined();
  });
});
