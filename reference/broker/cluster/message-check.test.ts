/** What a group takes of the messages that other nodes send it. */
import { describe, expect, test } from "vitest";
import type { Entry } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import type { Raft } from "../../raft/state.ts";
import {
  isMetadataMessage,
  isPartitionMessage,
  isPossibleAnswer,
  snapshotBytesMax,
} from "./message-check.ts";
import { Metadata } from "./metadata.ts";
import { encodeTrim } from "./partition-entry.ts";
import { emptyPartition, encodePartitionSnapshot } from "./partition-snapshot.ts";
import { batchEntry, noOp } from "./test-partition.ts";

const head = { from: "n2", to: "n1", term: 3, round: 0, sentAtMs: 0 } as const;

/** A server whose log has four entries of term 2, behind which its records end at 10. */
function stateOf(change: Partial<Raft> = {}): Raft {
  const log = { termAt: (index: number) => (index <= 4 ? 2 : undefined), lastIndex: 4 };
  return { role: "follower", term: 3, round: 5, log, incoming: undefined, ...change } as unknown as Raft;
}

const offsetBehind = (index: number): number => (index === 4 ? 10 : -1);

function takes(entries: readonly Entry[], previousIndex = 4, previousTerm = 2): boolean {
  const message = {
    kind: "append-request",
    ...head,
    previousIndex,
    previousTerm,
    commitIndex: 0,
    entries,
  } as const;
  return isPartitionMessage(message, stateOf(), offsetBehind);
}

const command = (index: number, data: Uint8Array, term = 2): Entry => ({
  kind: "command",
  index,
  term,
  data,
});
const batch = batchEntry(5, 2, 10);

test("batches follow on the log's end, one behind the other", () => {
  expect(takes([])).toBe(true);
  expect(takes([batch])).toBe(true);
  expect(takes([batch, noOp(6, 3), batchEntry(7, 3, 11), command(8, encodeTrim(3), 3)])).toBe(true);
  expect(takes([batchEntry(5, 2, 9)])).toBe(false);
  expect(takes([batchEntry(5, 2, 11)])).toBe(false);
  expect(takes([batch, batchEntry(6, 2, 12)])).toBe(false);
  expect(takes([batch, noOp(6, 3), batchEntry(7, 3, 10)])).toBe(false);
});

test("where the entry before them is not known, batches still follow on each other", () => {
  for (const [index, term] of [
    [7, 2],
    [4, 1],
  ] as const) {
    expect(takes([batchEntry(8, 2, 50), batchEntry(9, 2, 51)], index, term)).toBe(true);
    expect(takes([batchEntry(8, 2, 50), batchEntry(9, 2, 52)], index, term)).toBe(false);
  }
});

test.each<[string, Entry]>([
  ["is of another term", { ...batchEntry(5, 1, 10), term: 2 }],
  ["is cut off", command(5, batch.data.subarray(0, -1))],
  ["is longer than it says", command(5, new Uint8Array([...batch.data, 0]))],
  ["is a head without a body", command(5, batch.data.subarray(0, 20))],
  ["is nothing", command(5, new Uint8Array(0))],
  ["is less than a trim", command(5, encodeTrim(3).subarray(0, 11))],
  ["is more than a trim", command(5, new Uint8Array(13))],
])("a command that %s is not taken", (_, entry) => {
  expect(takes([entry])).toBe(false);
});

describe("a snapshot", () => {
  const good = encodePartitionSnapshot(emptyPartition);
  const configuration = { voters: ["n2"], oldVoters: [], learners: [] };
  const piece = (offset: number, data: Uint8Array, isLast: boolean): Message => {
    return { kind: "snapshot-request", ...head, index: 9, lastTerm: 2, configuration, offset, data, isLast };
  };
  const isTaken = (message: Message, state = stateOf()): boolean =>
    isPartitionMessage(message, state, offsetBehind);
  const begun = (key: string, data: Uint8Array): Raft =>
    stateOf({ incoming: { key, parts: [data], bytes: data.length } });
  const key = "3/n2/9";

  test("is looked at when it is whole, in however many pieces it came", () => {
    expect(isTaken(piece(0, good, true))).toBe(true);
    expect(isTaken(piece(0, good.subarray(1), true))).toBe(false);
    expect(isTaken(piece(0, good.subarray(0, 5), false))).toBe(true);
    expect(isTaken(piece(5, good.subarray(5), true), begun(key, good.subarray(0, 5)))).toBe(true);
    expect(isTaken(piece(5, good.subarray(4), true), begun(key, good.subarray(0, 5)))).toBe(false);
  });

  test("is not looked at when pieces are missing, or are another's: Raft does not take it then", () => {
    for (const state of [stateOf(), begun(key, good.subarray(0, 6)), begun("3/n3/9", good.subarray(0, 5))]) {
      expect(isTaken(piece(5, good.subarray(4), true), state)).toBe(true);
    }
  });

  test("has so many bytes and no more, in however many pieces", () => {
    for (const judge of [isTaken, (message: Message) => isMetadataMessage(message, stateOf())]) {
      expect(judge(piece(snapshotBytesMax - 1, new Uint8Array(1), false))).toBe(true);
      expect(judge(piece(snapshotBytesMax - 1, new Uint8Array(2), false))).toBe(false);
    }
  });

  test("of the metadata is the metadata's", () => {
    const saved = new Metadata({} as never).save();
    expect(isMetadataMessage(piece(0, saved, true), stateOf())).toBe(true);
    for (const other of [good, saved.subarray(1), new TextEncoder().encode("{}")]) {
      expect(isMetadataMessage(piece(0, other, true), stateOf())).toBe(false);
    }
  });
});

const matched = (matchIndex: number, round = 5): Message => {
  return { kind: "append-reply", ...head, round, outcome: { kind: "matched", matchIndex } };
};
const conflict = (previousIndex: number): Message => {
  const outcome = { kind: "conflict", previousIndex, conflictTerm: undefined, conflictIndex: 1 } as const;
  return { kind: "append-reply", ...head, outcome };
};
const stale = (round: number): Message => ({
  kind: "append-reply",
  ...head,
  round,
  outcome: { kind: "stale" },
});
const installed = (index: number, round = 5): Message => {
  return { kind: "snapshot-reply", ...head, round, index, offset: 0, isInstalled: true };
};

test.each<[Message, boolean]>([
  [matched(4), true],
  [matched(5), false],
  [matched(4, 6), false],
  [conflict(4), true],
  [conflict(5), false],
  [stale(5), true],
  [stale(6), false],
  [installed(4), true],
  [installed(5), false],
  [installed(4, 6), false],
])("a leader takes answers about what it has asked and has: %j", (message, isTaken) => {
  expect(isPossibleAnswer(message, stateOf({ role: "leader" }))).toBe(isTaken);
  // To all others they say nothing, and they do not look.
  expect(isPossibleAnswer(message, stateOf())).toBe(true);
  expect(isPossibleAnswer(message, stateOf({ role: "leader", term: 4 }))).toBe(true);
});
