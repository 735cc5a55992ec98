/**
 * The suite of E1.3: a stream of frames. The model looks at the whole byte sequence at once and writes down what must
 * happen, and after which byte. However the sequence is cut, the subject must do the same things at the same bytes.
 */
import { describe, test } from "vitest";
import { BufferLike } from "#exercises/lib/buffer-like.ts";
import { concatBytes, toHex, viewOf } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { errorCodeOf, errorNameOf } from "#reference/protocol/errors.ts";
import {
  encodeRequest,
  encodeResponse,
  frameFaultOf,
  frameIncomplete,
  inspectFrame,
} from "#reference/protocol/frame.ts";
import type { FrameFault, FrameKind, FrameOptions } from "#reference/protocol/frame.ts";
import {
  explained,
  expectBytes,
  expectEqual,
  expectThat,
  fail,
  formatValue,
  run,
} from "#exercises/lib/check.ts";
import { cutAt, cutAtRandom, cutEvery } from "#exercises/lib/chunks.ts";
import { Explanation } from "#exercises/lib/explain.ts";
import { hexDump } from "#exercises/lib/hex-dump.ts";
import { measure } from "#exercises/lib/meter.ts";
import { seed } from "#exercises/lib/seed.ts";
import { TodoError } from "#exercises/lib/todo.ts";
import { forEachFrame, FrameStream } from "./frame-stream.ts";
import type { FrameSink } from "./frame-stream.ts";

/** Something that the stream must do as soon as byte `after` has arrived. */
interface Expected {
  readonly after: number;
  readonly event: string;
}

/** What must happen on `bytes`, found with everything in one piece. */
function modelEvents(bytes: Uint8Array, kind: FrameKind, options: FrameOptions = {}): Expected[] {
  const view = viewOf(bytes);
  const events: Expected[] = [];
  let start = 0;
  while (start < bytes.length) {
    const size = inspectFrame(bytes, view, start, bytes.length, kind, options);
    if (size === frameIncomplete) break;
    if (size < 0) {
      const isWhole = -size === errorCodeOf("corrupt-message");
      const after = isWhole ? start + 4 + view.getUint32(start) : start + 4;
      events.push({ after, event: faultEvent(frameFaultOf(-size, view.getUint32(start), kind, options)) });
      break;
    }
    events.push({ after: start + size, event: frameEvent(bytes.subarray(start, start + size)) });
    start += size;
  }
  return events;
}

function frameEvent(frame: Uint8Array): string {
  return `frame of ${frame.length} ${formatValue(frame)}`;
}

function faultEvent(fault: FrameFault): string {
  return `fault ${fault.code} (${errorNameOf(fault.code) ?? "no such code"})`;
}

/** Writes down what a stream does, looking at the bytes while it may. */
class Recorder implements FrameSink {
  readonly events: string[] = [];

  frame(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    this.events.push(frameEvent(bytes.slice(start, end)));
    const isSame =
      view.byteLength >= end &&
      view.getUint8(start) === bytes[start] &&
      view.getUint8(end - 1) === bytes[end - 1];
    expectThat(isSame, "the view handed out with a frame does not cover the same array as its bytes");
  }

  fault(fault: FrameFault): void {
    expectThat(typeof fault.message === "string" && fault.message !== "", "a fault has no message");
    this.events.push(faultEvent(fault));
  }
}

/** Feeds the chunks and holds the stream to the model after every one of them. Returns the stream and its events. */
function play(
  chunks: readonly Uint8Array[],
  kind: FrameKind = "request",
  options: FrameOptions = {},
): { readonly stream: FrameStream; readonly recorder: Recorder } {
  const whole = concatBytes(chunks);
  const expected = modelEvents(whole, kind, options);
  const stream = new FrameStream(kind, options);
  const recorder = new Recorder();
  let received = 0;
  let [due, checked] = [0, 0];
  for (const [index, chunk] of chunks.entries()) {
    const place = (): string =>
      `chunk ${index + 1} of ${chunks.length}, bytes ${received} to ${received + chunk.length}`;
    run(
      () => `receiving ${place()}`,
      () => stream.receive(chunk, recorder),
      () => ({ where: whereCut(whole, chunks, received) }),
    );
    received += chunk.length;
    while (due < expected.length && expected[due]!.after <= received) due++;
    while (checked < due && recorder.events[checked] === expected[checked]!.event) checked++;
    if (recorder.events.length === due && checked === due) continue;
    fail(
      `after ${received} bytes, in ${describeChunks(chunks.slice(0, index + 1))}, the wrong things have happened`,
      {
        expected: list(expected.slice(0, due).map(({ event }) => event)),
        actual: list(recorder.events),
        where: whereCut(whole, chunks, received),
      },
    );
  }
  return { stream, recorder };
}

function list(events: readonly string[]): string {
  const shown = events.slice(-6).map((event) => (event.length > 100 ? `${event.slice(0, 100)} …` : event));
  if (events.length > shown.length) shown.unshift(`(${events.length - shown.length} earlier)`);
  return shown.length === 0 ? "nothing" : shown.join("\n");
}

function describeChunks(chunks: readonly Uint8Array[]): string {
  const sizes = chunks.map(({ length }) => length);
  const shown = sizes.length > 12 ? `… ${sizes.slice(-8).join(", ")}` : sizes.join(", ");
  return `${chunks.length} chunk${chunks.length === 1 ? "" : "s"} of ${shown} bytes`;
}

/** A dump of the stream with a caret at the last cut, and where its frames start. */
function whereCut(whole: Uint8Array, chunks: readonly Uint8Array[], received: number): string {
  const marks = [{ start: received, end: received + 1, note: `cut: ${received} bytes have arrived` }];
  return `${describeChunks(chunks)}\n${hexDump(whole.subarray(0, 512), received < 512 ? marks : [])}`;
}

function request(payloadSize: number, requestId: number): Uint8Array<ArrayBuffer> {
  const payload = Uint8Array.from({ length: payloadSize }, (_, index) => (index * 13 + requestId) & 0xff);
  const frame = encodeRequest({ requestId: BigInt(requestId), type: 1, version: 1, flags: 0, payload });
  return frame instanceof Uint8Array ? frame : fail(frame.message);
}

/** The same frame with one bit of its payload changed, or of its checksum when it has none. */
function corrupted(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  copy[Math.min(16, copy.length - 1)]! ^= 0x20;
  return copy;
}

function lengthField(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

/**
 * For tests that make thousands of streams: one that wrongly makes all its room at once then takes no longer than the
 * others, and is left to the test that is about it.
 */
const smallRoom: FrameOptions = { frameSizeMax: 8192 };

/** Three frames of 20, 25 and 21 bytes. */
const three = concatBytes([request(0, 1), request(5, 2), request(1, 3)]);

describe("receiving", () => {
  test("a frame that lies whole in a chunk is handed out", () => {
    const { recorder } = play([request(5, 1)]);
    expectEqual("frames handed out", recorder.events.length, 1);
    play([request(0, 1)]);
    play([request(5, 1), request(0, 2), request(300, 3)]);
  });

  test("every frame of a chunk is handed out, in order, before receive returns", () => {
    expectEqual("frames handed out", play([three]).recorder.events.length, 3);
    const many = concatBytes(Array.from({ length: 50 }, (_, index) => request(index % 3, index)));
    expectEqual("frames handed out", play([many]).recorder.events.length, 50);
  });

  test("a frame that the last chunk left unfinished is completed by the next", () => {
    for (let cut = 1; cut < three.length; cut++) play(cutAt(three, [cut]));
  });

  test("the length field may itself be cut, and bytes may come one by one", () => {
    play(cutEvery(three, 1));
    play(cutEvery(three, 2));
    play(cutEvery(three, 3));
    for (let cut = 1; cut < 4; cut++) play(cutAt(three, [20 + cut, 45 + cut]));
  });

  test("a frame is handed out as soon as its last byte is there, not with the next chunk", () => {
    const { recorder } = play([three.subarray(0, 10), three.subarray(10, 20)]);
    expectEqual("frames handed out when the chunk ends where the frame ends", recorder.events.length, 1);
    play([three.subarray(0, 45), three.subarray(45)]);
    play([three.subarray(0, 19), three.subarray(19, 20), three.subarray(20, 44), three.subarray(44, 45)]);
  });

  test("a chunk that completes one frame may hold more frames and the start of another", () => {
    const frames = concatBytes([request(30, 1), three, request(40, 9)]);
    for (let cut = 1; cut < 50; cut++) play(cutAt(frames, [cut, frames.length - 7]));
  });

  test("empty chunks change nothing", () => {
    const empty = new Uint8Array(0);
    for (const cut of [0, 1, 3, 4, 10, 19, 20, 22, 45]) {
      play([empty, three.subarray(0, cut), empty, empty, three.subarray(cut), empty]);
    }
  });

  test("all pairs of cuts give the same frames", () => {
    for (let first = 1; first < three.length; first++) {
      for (let second = first; second < three.length; second++) {
        play(cutAt(three, [first, second]), "request", smallRoom);
      }
    }
  });

  test("random cuts of long and short frames give the same frames", () => {
    const random = new SeededRandom(seed);
    const sizes = [0, 1000, 3, 255, 256, 257, 0, 4096, 12, 700];
    const stream = concatBytes(sizes.map((size, index) => request(size, index)));
    for (const sizeMax of [3, 40, 300, 600, 2000]) {
      for (let round = 0; round < 4; round++) {
        play(cutAtRandom(stream, sizeMax, random.nextUint32()), "request", smallRoom);
      }
    }
  });

  test("responses have a smaller least length than requests", () => {
    const response = encodeResponse({
      requestId: 1n,
      status: 0,
      errorCode: 0,
      payload: new Uint8Array(0),
    }) as Uint8Array;
    const both = concatBytes([response, response]);
    for (let cut = 1; cut < both.length; cut++) play(cutAt(both, [cut]), "response");
    for (let cut = 1; cut < both.length; cut++) play(cutAt(both, [cut]), "request");
  });

  test("a chunk is neither kept nor changed", () => {
    for (const size of [1, 7, 19, 24, 30, 50]) {
      const stream = new FrameStream("request");
      const recorder = new Recorder();
      for (const chunk of cutEvery(three, size)) {
        const before = chunk.slice();
        run("receiving a chunk", () => stream.receive(chunk, recorder));
        expectBytes("a chunk after it was received", chunk, before);
        chunk.fill(0xee);
      }
      expectEqual(
        `the frames of chunks of ${size} bytes that were overwritten after they had been received`,
        recorder.events,
        modelEvents(three, "request").map(({ event }) => event),
      );
    }
  });

  test("two streams share nothing", () => {
    const [left, right] = [new FrameStream("request"), new FrameStream("request")];
    const [leftRecorder, rightRecorder] = [new Recorder(), new Recorder()];
    const other = concatBytes([request(9, 7), request(2, 8)]);
    run("receiving on two streams in turns", () => {
      for (let at = 0; at < three.length; at += 6) {
        left.receive(three.slice(at, at + 6), leftRecorder);
        right.receive(other.slice(at, at + 6), rightRecorder);
      }
    });
    const eventsOf = (bytes: Uint8Array): string[] => modelEvents(bytes, "request").map(({ event }) => event);
    expectEqual("the frames of the first stream", leftRecorder.events, eventsOf(three));
    expectEqual("the frames of the second stream", rightRecorder.events, eventsOf(other));
  });
});

describe("faults", () => {
  test("a corrupt frame is reported to the sink, after the frames before it, and never thrown", () => {
    const bytes = concatBytes([request(3, 1), corrupted(request(5, 2))]);
    const { recorder } = play([bytes]);
    expectEqual("frames and faults", recorder.events.length, 2);
    for (let cut = 1; cut < bytes.length; cut++) play(cutAt(bytes, [cut]));
    play([corrupted(request(0, 1))]);
  });

  test("a length that breaks a limit is reported with its fourth byte", () => {
    const options = { frameSizeMax: 100 };
    for (const length of [0, 1, 15, 101, 0x7fff_ffff, 0xffff_ffff]) {
      const bytes = concatBytes([request(2, 1), lengthField(length)]);
      play([bytes], "request", options);
      play(cutEvery(bytes, 1), "request", options);
      play(cutAt(bytes, [22, 24]), "request", options);
      const { recorder } = play([bytes.subarray(22)], "request", options);
      expectEqual(`things that happened on a length field of ${length}`, recorder.events.length, 1);
    }
    // At the limit all is well.
    const longest = request(84, 1);
    for (let cut = 1; cut < longest.length; cut++) play(cutAt(longest, [cut]), "request", options);
  });

  test("after a fault everything is ignored, good frames as well", () => {
    for (const bad of [corrupted(request(5, 2)), lengthField(3), lengthField(0xffff_fff0)]) {
      const bytes = concatBytes([request(1, 1), bad, request(5, 3), request(0, 4)]);
      const { recorder } = play([bytes]);
      expectEqual("things that happened", recorder.events.length, 2);
      for (let cut = 1; cut < bytes.length; cut++) play(cutAt(bytes, [cut]));
      play([request(1, 1), bad, request(5, 3), request(0, 4)]);
      play(cutEvery(bytes, 1));
    }
  });

  test("whichever bit flips, and however the stream is cut, the same things happen", () => {
    for (let bit = 0; bit < 45 * 8; bit++) {
      const bytes = three.slice();
      bytes[bit >> 3]! ^= 0x80 >> (bit & 7);
      play(cutEvery(bytes, 1 + (bit % 29)), "request", { frameSizeMax: 1000 });
    }
  });

  test("a poisoned stream says so and holds no memory", () => {
    for (const cuts of [[], [22], [30], [41]]) {
      const bytes = concatBytes([request(1, 1), corrupted(request(5, 2)), request(9, 3)]);
      const { stream } = play(cutAt(bytes, cuts));
      expectEqual("isPoisoned", stream.isPoisoned, true);
      const held = { bufferedBytes: stream.bufferedBytes, reservedBytes: stream.reservedBytes };
      expectEqual("what a poisoned stream holds", held, { bufferedBytes: 0, reservedBytes: 0 });
    }
    expectEqual("isPoisoned of a stream without faults", play([three]).stream.isPoisoned, false);
    expectEqual("isPoisoned of a stream without faults", play(cutEvery(three, 7)).stream.isPoisoned, false);
  });

  test("an exception of the sink goes to the caller and poisons the stream", () => {
    const error = new Error("the sink's own");
    for (const chunks of [[three], cutAt(three, [30]), cutAt(three, [10, 47]), cutEvery(three, 1)]) {
      const seen: string[] = [];
      const stream = new FrameStream("request");
      const sink: FrameSink = {
        frame: (bytes, _view, start, end) => {
          seen.push(frameEvent(bytes.slice(start, end)));
          if (seen.length === 2) throw error;
        },
        fault: (fault) => void seen.push(faultEvent(fault)),
      };
      let thrown: unknown;
      for (const chunk of chunks) {
        try {
          stream.receive(chunk, sink);
        } catch (caught) {
          if (caught instanceof TodoError) throw caught;
          expectThat(thrown === undefined, "the stream threw a second time", { actual: formatValue(caught) });
          thrown = caught;
        }
      }
      run("ending the stream", () => stream.end(sink));
      expectThat(thrown === error, "the sink's exception did not reach the caller of receive", {
        actual: formatValue(thrown),
      });
      const expected = modelEvents(three, "request").slice(0, 2);
      expectEqual(
        "what the sink saw",
        seen,
        expected.map(({ event }) => event),
      );
      expectEqual("isPoisoned", stream.isPoisoned, true);
    }
  });
});

describe("the end", () => {
  test("an end between two frames is clean", () => {
    for (const chunks of [[], [new Uint8Array(0)], [three], cutEvery(three, 7)]) {
      const { stream, recorder } = play(chunks);
      const before = recorder.events.length;
      run("ending the stream", () => stream.end(recorder));
      run("ending the stream twice", () => stream.end(recorder));
      expectEqual("things that happened at a clean end", recorder.events.slice(before), []);
      expectEqual("isPoisoned after a clean end", stream.isPoisoned, false);
    }
  });

  test("an end in the middle of a frame is a fault, reported once", () => {
    const borders = new Set([0, 20, 45, 66]);
    for (let cut = 1; cut < three.length; cut++) {
      if (borders.has(cut)) continue;
      for (const chunks of [[three.slice(0, cut)], cutEvery(three.slice(0, cut), 9)]) {
        const { stream, recorder } = play(chunks);
        const before = recorder.events.length;
        run("ending the stream", () => stream.end(recorder));
        run("ending the stream twice", () => stream.end(recorder));
        const where = hexDump(three.subarray(0, cut), [
          { start: cut, end: cut + 1, note: "the stream ends here" },
        ]);
        expectEqual(
          `what happened at the end after ${cut} bytes`,
          recorder.events.slice(before),
          ["fault 10 (truncated-frame)"],
          { where },
        );
        expectEqual("isPoisoned", stream.isPoisoned, true);
      }
    }
  });

  test("after a fault the end does nothing", () => {
    for (const cuts of [[], [40], [47]]) {
      const bytes = concatBytes([request(1, 1), corrupted(request(5, 2)), request(5, 3).subarray(0, 8)]);
      const { stream, recorder } = play(cutAt(bytes, cuts));
      run("ending a poisoned stream", () => stream.end(recorder));
      expectEqual("things that happened", recorder.events.length, 2);
      expectEqual("isPoisoned", stream.isPoisoned, true);
    }
  });
});

describe("memory", () => {
  test("bufferedBytes is what is there of an unfinished frame", () => {
    const starts = [0, 20, 45, 66];
    for (let cut = 0; cut <= three.length; cut++) {
      const start = starts.findLast((each) => each <= cut)!;
      for (const chunks of [[three.slice(0, cut)], cutEvery(three.slice(0, cut), 8)]) {
        expectEqual(
          `bufferedBytes after ${cut} bytes, in ${describeChunks(chunks)}`,
          play(chunks).stream.bufferedBytes,
          cut - start,
        );
      }
    }
  });

  test("memory follows what has arrived, never what a length field promises", () => {
    const frame = request(5000, 1);
    const promising = frame.slice();
    promising.set(lengthField(16 * 1024 * 1024));
    for (const chunks of [
      [promising.slice(0, 4)],
      cutEvery(promising.slice(0, 600), 1),
      cutEvery(promising, 500),
    ]) {
      const arrived = concatBytes(chunks).length;
      const stream = new FrameStream("request");
      const recorder = new Recorder();
      measure(
        () => {
          for (const chunk of chunks) {
            stream.receive(chunk, recorder);
            const allowed = Math.max(256, 2 * stream.bufferedBytes);
            expectThat(stream.reservedBytes <= allowed, "too much room is held for a partial frame", {
              expected: `at most ${allowed} bytes for ${stream.bufferedBytes} buffered`,
              actual: `${stream.reservedBytes} bytes`,
            });
          }
        },
        { allocatedBytes: 1024 + 4 * arrived, copiedBytes: 1024 + 4 * arrived },
        ({ allocatedBytes }) =>
          new Explanation("memory was allocated for bytes that have not arrived", {
            expected: `at most ${1024 + 4 * arrived} bytes allocated for ${arrived} that arrived`,
            actual: `${allocatedBytes} bytes allocated, or more bytes copied than that`,
          }),
      );
      expectEqual("bufferedBytes", stream.bufferedBytes, arrived);
    }
  });

  test("the room of a long frame is given back when the frame is done", () => {
    const long = concatBytes([request(60_000, 1), request(60_000, 2), request(10, 3)]);
    const secondEnd = 2 * 60_020;
    for (const cuts of [
      [30_000, 60_020],
      [30_000, 60_025],
      [60_010, secondEnd - 1, secondEnd + 3],
      [100, secondEnd],
    ]) {
      const { stream } = play(cutAt(long.subarray(0, cuts.at(-1)), cuts.slice(0, -1)));
      const allowed = Math.max(256, 2 * stream.bufferedBytes);
      expectThat(stream.reservedBytes <= allowed, "the room of a finished frame is still held", {
        expected: `at most ${allowed} bytes, with ${stream.bufferedBytes} bytes buffered`,
        actual: `${stream.reservedBytes} bytes`,
      });
    }
  });

  test("a frame that lies whole in a chunk is not copied", () => {
    const stream = new FrameStream("request");
    const long = request(100_000, 1);
    const chunk = concatBytes([long, request(5, 2), request(1, 3).subarray(0, 9)]);
    let handedOut = 0;
    const sink: FrameSink = {
      frame: (bytes) => void (handedOut += bytes.buffer === chunk.buffer ? 1 : 0),
      fault: (fault) => fail("a good chunk is a fault", { actual: fault.message }),
    };
    measure(
      () => stream.receive(chunk, sink),
      { allocatedBytes: 2048, copiedBytes: 64 },
      (cost) =>
        new Explanation("a frame that lies whole in a chunk was copied", {
          expected: "at most the 9 bytes of the unfinished frame copied",
          actual: `${cost.copiedBytes} bytes copied, ${cost.allocatedBytes} allocated`,
        }),
    );
    expectEqual("frames handed out where they lie in the chunk", handedOut, 2);
    expectThat(
      stream.copiedBytes >= 9 && stream.copiedBytes <= 27,
      "copiedBytes does not tell what was copied",
      {
        expected: "the 9 bytes that had to be kept, at most three times",
        actual: String(stream.copiedBytes),
      },
    );
  });

  test("copying grows with the bytes received, not with their square", () => {
    for (const [payloadBytes, size] of [
      [1 << 12, 1],
      [1 << 17, 64],
      [1 << 20, 1],
    ] as const) {
      const frame = request(payloadBytes, 1);
      const stream = new FrameStream("request");
      let [frames, size_] = [0, 0];
      const sink: FrameSink = {
        frame: (_bytes, _view, start, end) => void ((size_ = end - start), frames++),
        fault: (fault) => fail("a good frame is a fault", { actual: fault.message }),
      };
      const budget = 4 * frame.length + 4096;
      const chunk = new Uint8Array(size);
      const feed = (): void => {
        for (let at = 0; at < frame.length; at += size) {
          const last = Math.min(size, frame.length - at);
          const piece = last === size ? chunk : new Uint8Array(last);
          for (let index = 0; index < last; index++) piece[index] = frame[at + index]!;
          stream.receive(piece, sink);
        }
      };
      const cost = measure(
        () => run(`receiving ${frame.length} bytes in chunks of ${size}`, feed),
        { allocatedBytes: budget + frame.length, copiedBytes: budget },
        ({ copiedBytes, allocatedBytes }) =>
          new Explanation(`receiving ${frame.length} bytes in chunks of ${size} copies too much`, {
            expected: `at most ${budget} bytes copied: a small number of times each`,
            actual: `${copiedBytes} bytes copied and ${allocatedBytes} allocated when the test stopped it`,
          }),
      );
      expectEqual("frames handed out", [frames, size_], [1, frame.length]);
      const least = Math.max(frame.length - size, cost.copiedBytes);
      const isTold = stream.copiedBytes >= least && stream.copiedBytes <= 3 * frame.length;
      expectThat(
        isTold,
        "copiedBytes is not the number of bytes copied, or more than three times what was received",
        {
          expected: `${least} to ${3 * frame.length}`,
          actual: `${stream.copiedBytes}, where the test counted ${cost.copiedBytes}`,
        },
      );
    }
  });

  test("many frames cut by many chunks cost no more than three copies of each byte", () => {
    const stream = concatBytes(Array.from({ length: 200 }, (_, index) => request(index % 90, index)));
    for (const size of [1, 3, 64, 100, 1000]) {
      const { stream: subject } = play(cutEvery(stream, size), "request", smallRoom);
      expectThat(subject.copiedBytes <= 3 * stream.length, "more than three copies of each byte", {
        expected: `at most ${3 * stream.length} bytes`,
        actual: `${subject.copiedBytes} bytes, in chunks of ${size}`,
      });
    }
  });
});

/** A promise that the test settles. */
function controlled(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let [resolve, reject]: [() => void, (error: Error) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((done, failed) => ([resolve, reject] = [done, failed]));
  return { promise, resolve, reject };
}

/** Lets everything run that waits for no one: virtual time that costs none. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

/** The outcome of a promise that must be settled by now. */
async function outcomeOf<Value>(what: string, promise: Promise<Value>): Promise<Value> {
  const pending = Symbol("pending");
  let outcome: Value | typeof pending = pending;
  let error: unknown;
  promise.then(
    (value) => (outcome = value),
    (reason: unknown) => (error = reason ?? new Error("rejected without a reason")),
  );
  for (let turn = 0; turn < 50 && error === undefined && (outcome as unknown) === pending; turn++)
    await settle();
  if (error !== undefined) throw error;
  if ((outcome as unknown) === pending)
    fail(`${what} has not settled although there is nothing left to wait for`);
  return outcome as Value;
}

interface SourceLog {
  closed: boolean;
  taken: number;
}

/** Remembers what was taken from it and whether it was closed; overwrites each chunk when the next is asked for. */
async function* source(chunks: readonly Uint8Array[], log: SourceLog): AsyncGenerator<Uint8Array> {
  try {
    for (const each of chunks) {
      // Like the chunks of a Node socket: `slice` is a window, so it is no way to copy.
      const chunk = new BufferLike(each);
      log.taken++;
      yield chunk;
      chunk.fill(0xee);
    }
  } finally {
    log.closed = true;
  }
}

const idOf = (frame: Uint8Array): number => Number(viewOf(frame).getBigUint64(4));

/** Starts `forEachFrame` and turns an exception that the exercise does not allow into an explanation. */
async function start(
  chunks: readonly Uint8Array[],
  handle: (frame: Uint8Array) => Promise<void>,
  log: SourceLog = { closed: false, taken: 0 },
  options: FrameOptions = {},
): Promise<FrameFault | undefined> {
  try {
    return await forEachFrame(source(chunks, log), "request", handle, options);
  } catch (error) {
    throw explained("forEachFrame", error);
  }
}

describe("frame by frame", () => {
  test("the next frame waits until the promise of the one before it has settled", async () => {
    for (const chunks of [[three], cutEvery(three, 30), cutEvery(three, 7)]) {
      const started: number[] = [];
      const waiting: (() => void)[] = [];
      const done = start(chunks, (frame) => {
        const gate = controlled();
        started.push(idOf(frame));
        waiting.push(gate.resolve);
        return gate.promise;
      });
      done.catch(() => {});
      for (let handled = 0; handled < 3; handled++) {
        await settle();
        if (started.length === 0) await outcomeOf("forEachFrame", done);
        expectEqual(
          `frames handed to the handler while ${handled} promises have settled`,
          started,
          [1, 2, 3].slice(0, handled + 1),
        );
        waiting[handled]?.();
      }
      expectEqual("the result", await outcomeOf("forEachFrame", done), undefined);
    }
  });

  test("the result waits for the last frame's promise", async () => {
    const gate = controlled();
    let isDone = false;
    const done = start([request(0, 1)], () => gate.promise).finally(() => (isDone = true));
    done.catch(() => {});
    await settle();
    if (isDone) await done;
    expectThat(!isDone, "forEachFrame has resolved before its handler was done");
    gate.resolve();
    expectEqual("the result", await outcomeOf("forEachFrame", done), undefined);
  });

  test("the frames of a chunk are handled before the next chunk is asked for", async () => {
    for (const size of [7, 25, 30, 66]) {
      const chunks = cutEvery(three, size);
      const log: SourceLog = { closed: false, taken: 0 };
      const taken: number[] = [];
      const handle = async (): Promise<void> => {
        taken.push(log.taken);
        await settle();
        expectEqual("chunks taken from the source while a frame is handled", log.taken, taken.at(-1));
      };
      expectEqual("the result", await outcomeOf("forEachFrame", start(chunks, handle, log)), undefined);
      expectEqual(
        `chunks of ${size} bytes taken from the source when each of the frames is handed over`,
        taken,
        [20, 45, 66].map((end) => Math.ceil(end / size)),
      );
    }
  });

  test("each frame is a copy that outlives its chunk", async () => {
    for (const size of [1, 15, 30, 100]) {
      const frames: Uint8Array[] = [];
      await outcomeOf(
        "forEachFrame",
        start(cutEvery(three, size), async (frame) => void frames.push(frame)),
      );
      expectBytes(
        `frames kept from chunks of ${size} bytes that were overwritten (their slice is a window, like a Buffer's)`,
        concatBytes(frames),
        three,
      );
      expectEqual("frames", frames.length, 3);
    }
  });

  test("frames before a fault are handled, then the fault is the result and the source is closed", async () => {
    const bad = concatBytes([request(0, 1), request(3, 2), corrupted(request(5, 3))]);
    const bytes = concatBytes([bad, request(0, 4), request(200, 5)]);
    for (const size of [1, 30, 50, 200]) {
      const ids: number[] = [];
      const log: SourceLog = { closed: false, taken: 0 };
      const fault = await outcomeOf(
        "forEachFrame",
        start(cutEvery(bytes, size), async (frame) => void ids.push(idOf(frame)), log),
      );
      expectEqual("frames handled", ids, [1, 2]);
      expectEqual("the result's code", fault?.code, errorCodeOf("corrupt-message"));
      expectEqual("whether the source was closed", log.closed, true);
      expectEqual(`chunks of ${size} bytes taken from the source`, log.taken, Math.ceil(bad.length / size));
    }
    const limited = await outcomeOf(
      "forEachFrame",
      start([three], async () => {}, undefined, { frameSizeMax: 20 }),
    );
    expectEqual(
      "the result's code with a frame above options.frameSizeMax",
      limited?.code,
      errorCodeOf("frame-too-large"),
    );
  });

  test("the result tells a clean end from a stream that ended in the middle of a frame", async () => {
    for (const [bytes, expected, frames] of [
      [new Uint8Array(0), undefined, 0],
      [three, undefined, 3],
      [three.subarray(0, 45), undefined, 2],
      [three.subarray(0, 44), errorCodeOf("truncated-frame"), 1],
      [three.subarray(0, 2), errorCodeOf("truncated-frame"), 0],
    ] as const) {
      let handled = 0;
      const fault = await outcomeOf(
        "forEachFrame",
        start(cutEvery(bytes, 11), async () => void handled++),
      );
      expectEqual(`the result's code after ${bytes.length} bytes`, fault?.code, expected);
      expectEqual(`frames handled of ${bytes.length} bytes`, handled, frames);
    }
  });

  test("a handler that fails stops everything, and its error is the caller's", async () => {
    const error = new Error("the handler's own");
    const ids: number[] = [];
    const log: SourceLog = { closed: false, taken: 0 };
    const handle = async (frame: Uint8Array): Promise<void> => {
      ids.push(idOf(frame));
      if (ids.length === 2) throw error;
    };
    let thrown: unknown;
    const done = forEachFrame(source([three], log), "request", handle).then(
      () => {},
      (caught: unknown) => void (thrown = caught),
    );
    await outcomeOf("forEachFrame", done);
    if (thrown instanceof TodoError) throw thrown;
    expectThat(thrown === error, "the handler's error did not reach the caller", {
      actual: formatValue(thrown),
    });
    expectEqual("frames handled", ids, [1, 2]);
    expectEqual("whether the source was closed", log.closed, true);
    expectEqual("the bytes of the source", toHex(three), toHex(three.slice()));
  });
});
