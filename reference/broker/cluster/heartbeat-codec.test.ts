import { expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import type { Message } from "../../raft/messages.ts";
import type { GroupId } from "./group-id.ts";
import { hearHeartbeats } from "./heartbeats.ts";
import { HeartbeatFrame, HeartbeatReader, heartbeatBytesMax, holdsHeartbeats } from "./heartbeat-codec.ts";

const heartbeat: Message = {
  kind: "append-request",
  from: "n1",
  to: "n2",
  term: 3,
  round: 200,
  sentAtMs: 1000,
  previousIndex: 8,
  previousTerm: 2,
  commitIndex: 7,
  entries: [],
};
const answer: Message = {
  kind: "append-reply",
  from: "n1",
  to: "n2",
  term: 3,
  round: 0,
  sentAtMs: 1000,
  outcome: { kind: "matched", matchIndex: 8 },
};
const messages: readonly (readonly [GroupId, Message])[] = [
  [{ incarnation: 17, partition: 300 }, heartbeat],
  [{ incarnation: 0, partition: 0 }, answer],
];

const golden = `
ff        # heartbeats
00        # a heartbeat
11        # incarnation 17
ac 02     # partition 300
03        # term 3
c8 01     # round 200
e8 07     # sent at 1000 ms
08 02 07  # behind entry 8 of term 2, committed to 7
01        # an answer
00 00     # of the metadata's group
03        # term 3
00        # round 0
e8 07     # to what was sent at 1000 ms
08        # the logs match up to 8
`;

function frameOf(list: readonly (readonly [GroupId, Message])[]): Uint8Array {
  const frame = new HeartbeatFrame();
  for (const [group, message] of list) expect(frame.maybePut(group, message)).toBe(true);
  return frame.take();
}

function read(frame: Uint8Array): [GroupId, Message][] {
  const record = new HeartbeatReader(frame);
  const found: [GroupId, Message][] = [];
  while (record.next()) {
    const { incarnation, partition } = record;
    found.push([{ incarnation, partition }, record.message("n1", "n2")]);
  }
  return found;
}

test("heartbeats of many groups share a frame, byte for byte", () => {
  const bytes = fromHex(golden) ?? new Uint8Array(0);
  expect(frameOf(messages)).toEqual(bytes);
  expect(holdsHeartbeats(bytes)).toBe(true);
  expect(read(bytes)).toEqual(messages);
});

test("the answer to a heartbeat repeats what it answers", () => {
  const record = new HeartbeatReader(frameOf(messages));
  expect(record.next()).toBe(true);
  const frame = new HeartbeatFrame();
  frame.putAnswer(record);
  const { round, sentAtMs, term } = heartbeat;
  const outcome = { kind: "matched", matchIndex: 8 };
  expect(read(frame.take())).toEqual([
    [
      { incarnation: 17, partition: 300 },
      { kind: "append-reply", from: "n1", to: "n2", term, round, sentAtMs, outcome },
    ],
  ]);
});

test("only what says no more than that somebody is there is a heartbeat", () => {
  const frame = new HeartbeatFrame();
  const group = { incarnation: 1, partition: 0 };
  const envelope = { from: "n1", to: "n2", term: 3 };
  const others: Message[] = [
    { ...heartbeat, entries: [{ kind: "no-op", index: 9, term: 3 }] } as Message,
    { ...answer, outcome: { kind: "stale" } } as Message,
    { kind: "vote-reply", ...envelope, isGranted: true },
    { kind: "timeout-now", ...envelope },
  ];
  for (const message of others) expect(frame.maybePut(group, message)).toBe(false);
  expect(frame.isEmpty).toBe(true);
});

test("of a frame that is cut off or unsound, what comes before the fault is heard", () => {
  const bytes = frameOf(messages);
  const first = frameOf(messages.slice(0, 1)).length;
  for (let length = 1; length < bytes.length; length++) {
    const expected = length >= first ? messages.slice(0, 1) : [];
    expect(read(bytes.subarray(0, length)), `${length} bytes`).toEqual(expected);
  }
  const places: Partial<Message>[] = [
    // Entry 0 is of term 0, no other is, and no entry is of a term to come.
    { previousIndex: 0 },
    { previousTerm: 0 },
    { previousTerm: 4 },
    // Nor can be written down what is one higher.
    { term: 2 ** 52 + 1 },
    { previousIndex: 2 ** 52 + 1 },
    { round: 2 ** 52 + 1 },
    { sentAtMs: 2 ** 52 + 1 },
  ];
  for (const wrong of places) {
    const group = { incarnation: 1, partition: 0 };
    expect(read(frameOf([...messages, [group, { ...heartbeat, ...wrong } as Message]]))).toEqual(messages);
  }
  for (const wrong of [{ term: 2 ** 52 + 1 }, { round: 2 ** 52 + 1 }, { sentAtMs: 2 ** 52 + 1 }]) {
    const group = { incarnation: 1, partition: 0 };
    expect(read(frameOf([...messages, [group, { ...answer, ...wrong } as Message]]))).toEqual(messages);
  }
  expect(read(Uint8Array.of(...bytes, 2, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual(messages);
});

test("a record has a length that it never exceeds", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const group = { incarnation: most, partition: most };
  const numbers = { term: most, round: most, sentAtMs: most, previousIndex: most, previousTerm: most };
  const frame = frameOf([[group, { ...heartbeat, ...numbers, commitIndex: most } as Message]]);
  expect(frame.length - 1).toBe(heartbeatBytesMax);
});

/** What becomes of a frame at a node whose groups are partitions 0 and 2, and hear nothing new but from 2. */
function hear(list: readonly (readonly [GroupId, Message])[]): string[] {
  const done: string[] = [];
  hearHeartbeats(frameOf(list), "n1", {
    node: "n2",
    groupOf: ({ partition }) => {
      if (partition === 1) return undefined;
      return {
        maybeFollow: () => partition === 0,
        maybeNoteHeard: () => partition === 0 && done.push(`${partition} noted`) > 0,
        receive: ({ kind, from, to }) => void done.push(`${partition} ${kind} ${from}>${to}`),
      };
    },
    answer: (to, { partition }) => void done.push(`${partition} answered ${to}`),
  });
  return done;
}

const at = (partition: number): GroupId => ({ incarnation: 1, partition });

test("a heartbeat that is no news is answered at once, and one that is becomes a message", () => {
  expect(
    hear([
      [at(0), heartbeat],
      [at(1), heartbeat],
      [at(2), heartbeat],
    ]),
  ).toEqual(["0 answered n1", "2 append-request n1>n2"]);
});

test("of the answers in a frame one is measured, and of the others those are messages that are news", () => {
  expect(
    hear([
      [at(1), answer],
      [at(0), answer],
      [at(0), answer],
      [at(2), answer],
      [at(0), answer],
    ]),
  ).toEqual(["0 append-reply n1>n2", "0 noted", "2 append-reply n1>n2", "0 noted"]);
});
