import { expect, test } from "vitest";
import { FrameStream } from "./frame-stream.ts";
import { encodeRequest } from "./frame.ts";
import { RoomPool } from "./room-pool.ts";

test("a room is large enough, less than twice too large, and comes again once it was given back", () => {
  const pool = new RoomPool();
  for (const bytes of [4096, 4097, 65_536, 100_000, 1024 * 1024]) {
    const room = pool.take(bytes);
    expect(room.length).toBeGreaterThanOrEqual(bytes);
    expect(room.length).toBeLessThan(2 * bytes);
    expect(pool.take(bytes)).not.toBe(room);
    pool.give(room);
    expect(pool.take(bytes)).toBe(room);
  }
  expect(pool.keptBytes).toBe(0);
});

test("what is kept is bounded: two rooms of each size, and none that is small or huge", () => {
  const pool = new RoomPool();
  for (let count = 0; count < 5; count++) pool.give(new Uint8Array(8192));
  for (const bytes of [0, 256, 5000, 2 * 1024 * 1024]) pool.give(new Uint8Array(bytes));
  expect(pool.keptBytes).toBe(2 * 8192);
});

test("streams that share a pool keep their frames apart, and give their room back when they are done", () => {
  const pool = new RoomPool();
  const frames = [1, 2, 3].map((byte) => {
    const payload = new Uint8Array(50_000).fill(byte);
    return encodeRequest({ requestId: 1n, type: 1, version: 1, flags: 0, payload }) as Uint8Array;
  });
  const streams = frames.map(() => new FrameStream("request", {}, pool));
  const got: Uint8Array[][] = frames.map(() => []);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < frames[0]!.length; at += 9000) {
      for (const [index, stream] of streams.entries()) {
        stream.receive(frames[index]!.subarray(at, at + 9000), {
          frame: (bytes, _view, start, end) => void got[index]!.push(bytes.slice(start, end)),
          fault: ({ message }) => expect.unreachable(message),
        });
      }
    }
  }
  expect(got).toEqual(frames.map((frame) => [frame, frame, frame]));
  expect(streams.map(({ reservedBytes }) => reservedBytes)).toEqual([0, 0, 0]);
  expect(pool.keptBytes).toBeGreaterThan(0);
});
