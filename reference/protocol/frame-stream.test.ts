import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { encodeRequest, type FrameFault } from "./frame.ts";
import { forEachFrame, FrameStream, type FrameSink } from "./frame-stream.ts";

function request(payloadBytes: number, requestId: number): Uint8Array {
  const payload = new Uint8Array(payloadBytes).fill(requestId);
  return encodeRequest({
    requestId: BigInt(requestId),
    type: 1,
    version: 1,
    flags: 0,
    payload,
  }) as Uint8Array;
}

interface Recorder extends FrameSink {
  readonly frames: Uint8Array[];
  readonly faults: FrameFault[];
}

function recorder(): Recorder {
  const frames: Uint8Array[] = [];
  const faults: FrameFault[] = [];
  return {
    frames,
    faults,
    frame: (bytes, _view, start, end) => void frames.push(bytes.slice(start, end)),
    fault: (fault) => void faults.push(fault),
  };
}

/** The stream cut into the given sizes, over and over until it is used up. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!;
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

describe("chunks", () => {
  test("any cut gives the same frames, at most three copies of each byte and room for what has arrived", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 6 });
    const payloads = fc.array(fc.constantFrom(0, 1, 100, 236, 237, 1000, 5000), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(payloads, sizes, (payloadSizes, chunkSizes) => {
        const frames = payloadSizes.map((size, index) => request(size, index));
        const bytes = concatBytes(frames);
        const stream = new FrameStream("request", { checksum: crc32 });
        const sink = recorder();
        for (const chunk of cut(bytes, chunkSizes)) {
          stream.receive(chunk, sink);
          chunk.fill(0xee);
          expect(stream.reservedBytes).toBeLessThanOrEqual(Math.max(256, 2 * stream.bufferedBytes));
        }
        stream.end(sink);
        expect(sink.frames).toEqual(frames);
        expect(sink.faults).toEqual([]);
        expect(stream.copiedBytes).toBeLessThanOrEqual(3 * bytes.length);
      }),
    );
  });

  test("room grows to the frame limit and no further", () => {
    const stream = new FrameStream("request", { frameSizeMax: 1000 });
    const [frame, sink] = [request(1000 - 20, 1), recorder()];
    for (let at = 0; at < frame.length - 1; at++) {
      stream.receive(frame.subarray(at, at + 1), sink);
      expect(stream.reservedBytes).toBeLessThanOrEqual(1004);
    }
    stream.receive(frame.subarray(-1), sink);
    expect(sink.frames).toEqual([frame]);
  });

  test("an idle stream holds no more than the least room, whatever it carried before", () => {
    const stream = new FrameStream("request");
    const sink = recorder();
    const long = request(100_000, 1);
    stream.receive(long.subarray(0, 60_000), sink);
    expect(stream.reservedBytes).toBeGreaterThanOrEqual(60_000);
    stream.receive(concatBytes([long.subarray(60_000), request(9, 2).subarray(0, 5)]), sink);
    expect(stream.bufferedBytes).toBe(5);
    expect(stream.reservedBytes).toBeLessThanOrEqual(256);
  });
});

describe("faults", () => {
  const bad = request(8, 2);
  bad[20]! ^= 1;

  test("poison the stream for good, once", () => {
    const stream = new FrameStream("request");
    const sink = recorder();
    for (const chunk of cut(concatBytes([request(1, 1), bad, request(2, 3)]), [10]))
      stream.receive(chunk, sink);
    stream.end(sink);
    expect(sink.frames).toEqual([request(1, 1)]);
    expect(sink.faults.map(({ code }) => code)).toEqual([4]);
    expect([stream.isPoisoned, stream.bufferedBytes, stream.reservedBytes]).toEqual([true, 0, 0]);
  });

  test("an exception of the sink passes through and poisons the stream", () => {
    const stream = new FrameStream("request");
    let calls = 0;
    const sink: FrameSink = {
      frame: () => {
        calls++;
        throw new Error("no room");
      },
      fault: () => expect.fail("a fault was reported"),
    };
    expect(() => stream.receive(concatBytes([request(1, 1), request(1, 2)]), sink)).toThrow("no room");
    stream.receive(request(1, 3), sink);
    stream.end(sink);
    expect(calls).toBe(1);
    expect(stream.isPoisoned).toBe(true);
  });

  test("an end inside a frame says how far the frame had come", () => {
    const stream = new FrameStream("request");
    const sink = recorder();
    stream.receive(request(1, 1).subarray(0, 3), sink);
    stream.end(sink);
    expect(sink.faults).toEqual([{ code: 10, message: "stream ended 3 bytes into a frame" }]);
  });

  test("bytes after a clean end are a bug", () => {
    const stream = new FrameStream("request");
    stream.end(recorder());
    expect(() => stream.receive(request(1, 1), recorder())).toThrow("bytes after the end");
  });
});

describe("frame by frame", () => {
  async function* source(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }

  test("handlers run one after the other, and the frames before a fault are handled", async () => {
    const running: string[] = [];
    const bytes = concatBytes([request(0, 1), request(0, 2), Uint8Array.of(0, 0, 0, 1)]);
    const fault = await forEachFrame(source(cut(bytes, [7])), "request", async (frame) => {
      running.push(`start ${frame[11]}`);
      await Promise.resolve();
      running.push(`end ${frame[11]}`);
    });
    expect(running).toEqual(["start 1", "end 1", "start 2", "end 2"]);
    expect(fault?.code).toBe(9);
  });

  test("a clean end resolves to nothing, a handler's error rejects", async () => {
    expect(await forEachFrame(source([request(0, 1)]), "request", async () => {})).toBeUndefined();
    const failing = forEachFrame(source([request(0, 1)]), "request", () => Promise.reject(new Error("disk")));
    await expect(failing).rejects.toThrow("disk");
  });
});
