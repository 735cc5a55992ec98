import { expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import type { Message } from "../../raft/messages.ts";
import { decodeGroupFrame, encodeGroupFrame } from "./frame-codec.ts";
import { decodeMessage, encodeMessage } from "./raft-codec.ts";

const heartbeat: Message = {
  kind: "append-request",
  from: "n1",
  to: "n2",
  term: 3,
  round: 0,
  sentAtMs: 1000,
  previousIndex: 8,
  previousTerm: 3,
  commitIndex: 8,
  entries: [],
};

/** Two groups' messages for one node: a heartbeat of partition 1 of topic 17, and a vote in the metadata's group. */
const golden = `
00 00 00 00 00 00 00 12  # incarnation 17: numbers are kept one higher, so that -1 has a place
00 00 00 01              # partition 1
00 00 00 35              # 53 bytes follow
04                       # append-request
00 00 00 00 00 00 00 04  # term 3
00 00 00 00 00 00 00 01  # round 0
00 00 00 00 00 00 03 e9  # sent at 1000 ms
00 00 00 00 00 00 00 09  # behind entry 8
00 00 00 00 00 00 00 04  # of term 3
00 00 00 00 00 00 00 09  # committed to 8
00 00 00 00              # no entries
00 00 00 00 00 00 00 01  # incarnation 0
00 00 00 00              # partition 0: the metadata
00 00 00 0a              # 10 bytes follow
03                       # vote-reply
00 00 00 00 00 00 00 05  # term 4
01                       # granted
`;

const messages = [
  { group: { incarnation: 17, partition: 1 }, bytes: encodeMessage(heartbeat) },
  {
    group: { incarnation: 0, partition: 0 },
    bytes: encodeMessage({ kind: "vote-reply", from: "n1", to: "n2", term: 4, isGranted: true }),
  },
];

test("messages of several groups share a frame, byte for byte", () => {
  const bytes = fromHex(golden) ?? new Uint8Array(0);
  expect(encodeGroupFrame(messages)).toEqual(bytes);
  expect(decodeGroupFrame(bytes)).toEqual(messages);
  expect(decodeMessage(messages[0]?.bytes ?? new Uint8Array(0), "n1", "n2")).toEqual(heartbeat);
});

test("a frame that is cut off is none, except between messages", () => {
  const bytes = encodeGroupFrame(messages);
  const [first] = messages;
  const whole = [0, encodeGroupFrame(first === undefined ? [] : [first]).length];
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeGroupFrame(bytes.subarray(0, length)) !== undefined).toBe(whole.includes(length));
  }
});
