import { expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import type { Message } from "../../raft/messages.ts";
import { decodeGroupFrame, encodeGroupFrame, putGroupMessage } from "./frame-codec.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";
import { decodeMessage } from "./raft-codec.ts";

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

const vote: Message = { kind: "vote-reply", from: "n1", to: "n2", term: 4, isGranted: true };
const messages = [
  { group: { incarnation: 17, partition: 1 }, message: heartbeat },
  { group: { incarnation: 0, partition: 0 }, message: vote },
];

function encode(sent: readonly { readonly group: GroupId; readonly message: Message }[]): Uint8Array {
  const frame = new FrameWriter();
  for (const { group, message } of sent) putGroupMessage(frame, group, message);
  return frame.written();
}

function decode(frame: Uint8Array) {
  return decodeGroupFrame(frame)?.map(({ group, bytes }) => {
    return { group, message: decodeMessage(bytes, "n1", "n2") };
  });
}

test("messages of several groups share a frame, byte for byte", () => {
  const bytes = fromHex(golden) ?? new Uint8Array(0);
  expect(encode(messages)).toEqual(bytes);
  expect(encodeGroupFrame(decodeGroupFrame(bytes) ?? [])).toEqual(bytes);
  expect(decode(bytes)).toEqual(messages);
});

test("a frame that is cut off is none, except between messages", () => {
  const bytes = encode(messages);
  const whole = [0, encode(messages.slice(0, 1)).length];
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeGroupFrame(bytes.subarray(0, length)) !== undefined).toBe(whole.includes(length));
  }
});

test("a message does not change with the bytes that it was read from", () => {
  const data = [5, 70_000, 0].map((length) => new Uint8Array(length).fill(7));
  const entries = data.map((each, at) => ({ kind: "command" as const, index: 9 + at, term: 3, data: each }));
  const append = { ...heartbeat, entries };
  const frame = encode([{ group: { incarnation: 17, partition: 1 }, message: append }]);
  const decoded = decode(frame);
  frame.fill(0);
  expect(decoded?.[0]?.message).toEqual(append);
});

test("a writer's room is used again, and what was written first can be taken out", () => {
  const frame = new FrameWriter();
  frame.bytes(new Uint8Array(10_000));
  frame.clear();
  frame.uint8(1);
  frame.text("ä");
  frame.dropUntil(1);
  expect(frame.written()).toEqual(Uint8Array.of(0, 0, 0, 2, 0xc3, 0xa4));
});

test("room that a rare, large frame needed is given back", () => {
  const frame = new FrameWriter();
  const roomFor = (size: number): number => {
    frame.clear();
    frame.bytes(new Uint8Array(size));
    frame.clear();
    return frame.written().buffer.byteLength;
  };
  const usual = 2 * 2 ** 20 - 4;
  expect(roomFor(usual)).toBe(usual + 4);
  expect(roomFor(usual + 1)).toBeLessThan(10_000);
});
