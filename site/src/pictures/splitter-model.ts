/**
 * The stream splitter without its face: three frames in a row, cut into chunks wherever the reader likes, and what the
 * broker's own `FrameStream` makes of each chunk.
 */
import { concatBytes } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { errorNameOf } from "#reference/protocol/errors.ts";
import {
  checksumBytes,
  decodeRequest,
  encodeRequest,
  requestHeaderBytes,
} from "#reference/protocol/frame.ts";
import { FrameStream } from "#reference/protocol/frame-stream.ts";

/** Texts of the frames' payloads: short, empty, a little longer. */
const payloads = ["hi", "", "one more"];

/** The bytes of the stream, and where its frames lie. */
export interface Stream {
  readonly bytes: Uint8Array;
  readonly frames: readonly { readonly start: number; readonly end: number }[];
}

/** One chunk, and what came of it. */
export interface ChunkStep {
  readonly start: number;
  readonly end: number;
  /** Numbers of the frames that it completed, from 1, with their payloads as text. */
  readonly frames: readonly { readonly number: number; readonly payload: string }[];
  /** Bytes that wait for the rest of their frame afterwards. */
  readonly buffered: number;
  /** Bytes copied so far, because a border cut a frame. */
  readonly copied: number;
  readonly fault: string | undefined;
  /** Whether the stream was beyond use before this chunk. */
  readonly isIgnored: boolean;
}

/** The stream that every reader starts with. */
export function makeStream(): Stream {
  const parts = payloads.map((payload, index) => {
    const frame = encodeRequest({
      requestId: BigInt(index + 1),
      type: 15,
      version: 1,
      flags: 0,
      payload: new TextEncoder().encode(payload),
    });
    return frame instanceof Uint8Array ? frame : new Uint8Array(0);
  });
  let end = 0;
  const frames = parts.map(({ length }) => ({ start: end, end: (end += length) }));
  return { bytes: concatBytes(parts), frames };
}

/** The stream with one bit of its second frame changed on the way. */
export function damaged(stream: Stream): Stream {
  const bytes = stream.bytes.slice();
  const at = stream.frames[1]!.start + 4;
  bytes[at] = bytes[at]! ^ 1;
  return { ...stream, bytes };
}

/** Runs the stream, cut before each of these positions, through a decoder. */
export function play({ bytes }: Stream, cuts: ReadonlySet<number>): ChunkStep[] {
  const stream = new FrameStream("request");
  const borders = [
    0,
    ...[...cuts].filter((at) => at > 0 && at < bytes.length).toSorted((a, b) => a - b),
    bytes.length,
  ];
  let number = 0;
  return borders.slice(1).map((end, index) => {
    const start = borders[index]!;
    const isIgnored = stream.isPoisoned;
    const frames: { number: number; payload: string }[] = [];
    let fault: string | undefined;
    stream.receive(bytes.slice(start, end), {
      frame(from, _view, first, last) {
        const payload = from.subarray(first + requestHeaderBytes, last - checksumBytes);
        frames.push({ number: ++number, payload: new TextDecoder().decode(payload) });
      },
      fault: ({ code, message }) => void (fault = `${errorNameOf(code) ?? code}: ${message}`),
    });
    return {
      start,
      end,
      frames,
      buffered: stream.bufferedBytes,
      copied: stream.copiedBytes,
      fault,
      isIgnored,
    };
  });
}

/** Ways to cut that are worth seeing. */
export const presets = {
  "One chunk": () => [],
  "At every frame": ({ frames }: Stream) => frames.slice(1).map(({ start }) => start),
  "Inside a length": ({ frames }: Stream) => frames.map(({ start }) => start + 2),
  "Every byte": ({ bytes }: Stream) => Array.from(bytes, (_, at) => at).slice(1),
} as const satisfies Record<string, (stream: Stream) => number[]>;

/** Cuts as a network might make them: any number, anywhere. */
export function randomCuts({ bytes }: Stream, seed: number): number[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: random.nextBetween(1, 6) }, () => random.nextBetween(1, bytes.length));
}

/** What a byte is, for its label. */
export function nameOfByte(stream: Stream, at: number): string {
  const index = stream.frames.findIndex(({ start, end }) => at >= start && at < end);
  const frame = stream.frames[index]!;
  const within = at - frame.start;
  const names: readonly (readonly [end: number, name: string])[] = [
    [4, "length"],
    [12, "request id"],
    [13, "type"],
    [14, "version"],
    [16, "flags"],
    [frame.end - frame.start - checksumBytes, "payload"],
  ];
  const name = names.find(([end]) => within < end)?.[1] ?? "checksum";
  return `${name} of frame ${index + 1}`;
}

/** One step as a sentence. */
export function describeStep(step: ChunkStep): string {
  if (step.isIgnored) return "ignored: after a fault nobody knows where a frame begins.";
  const parts = step.frames.map(
    ({ number, payload }) => `frame ${number} ${JSON.stringify(payload)} is whole`,
  );
  if (step.fault !== undefined) parts.push(`refused, ${step.fault}; the stream is at its end`);
  else if (step.buffered > 0)
    parts.push(`${step.buffered} byte${step.buffered === 1 ? " is" : "s are"} kept for later`);
  return parts.length === 0 ? "nothing to hand out, nothing to keep." : `${parts.join("; ")}.`;
}

/** All that the picture shows, as text. */
export function describePlay(steps: readonly ChunkStep[]): string {
  const lines = steps.map(
    (step, index) => `Chunk ${index + 1}, bytes ${step.start} to ${step.end - 1}: ${describeStep(step)}`,
  );
  return [...lines, `Copied in all: ${steps.at(-1)?.copied ?? 0} bytes.`].join("\n");
}

/** A whole frame, for a test of the labels: the decoder agrees with what the picture says. */
export function isWholeFrame(bytes: Uint8Array): boolean {
  return decodeRequest(bytes).kind === "frame";
}
