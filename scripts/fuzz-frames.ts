/**
 * The fuzzer's imagination: from one seed, bytes that a peer might send.
 *
 * Random bytes die at the checksum and never reach a handler. So most cases start from a request that the broker would
 * accept, spoil one or a few things that mean something (a length, a count, a boundary number, the type), and seal the
 * frame again, so that the damage arrives where it hurts. The rest spoils the frame itself.
 */
import { viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import type { SeededRandom } from "#reference/base/prng.ts";
import { checksumBytes, encodeRequest, requestHeaderBytes, sealFrame } from "#reference/protocol/frame.ts";
import { encodeRequestPayload } from "#reference/protocol/messages-codec.ts";
import { messageSamples } from "#reference/protocol/messages-samples.ts";
import { messages } from "#reference/protocol/messages.ts";
import type { MessageName } from "#reference/protocol/messages.ts";
import { encodeRecordBatch } from "#reference/storage/record-batch-builder.ts";

/** The topic that valid requests of the fuzzer use. It exists, so that handlers get as far as they can. */
export const fuzzTopic = "fuzz";

const names = Object.keys(messages) as MessageName[];
const boundaries32 = [0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/** A request that an honest client could send. */
export function honestRequest(random: SeededRandom): Uint8Array<ArrayBuffer> {
  const name = random.pick(names);
  const request: object = { ...messageSamples[name].request, ...honestFields(name, random) };
  const payload = encodeRequestPayload(name, request as never);
  const frame = encodeRequest(
    {
      requestId: BigInt(random.nextUint32()),
      type: messages[name].type,
      version: 1,
      flags: 0,
      payload,
    },
    { checksum: crc32 },
  );
  if (!(frame instanceof Uint8Array)) throw new Error(frame.message);
  return frame;
}

function honestFields(name: MessageName, random: SeededRandom): object {
  const place = { topic: fuzzTopic, partition: random.nextBetween(0, 1) };
  if (name === "Produce") {
    const records = Array.from({ length: random.nextBetween(1, 5) }, () => ({
      value: randomBytes(random, random.nextBetween(0, 50)),
    }));
    return { ...place, batch: encodeRecordBatch(records) };
  }
  if (name === "CreateTopic" || name === "DeleteTopic") {
    return { topic: `fuzz-${random.nextBetween(0, 5)}`, partitions: random.nextBetween(0, 3) };
  }
  if (name === "Fetch" || name === "ReadRange")
    return { ...place, offset: random.nextBetween(0, 50), waitMs: 0 };
  return name === "ListTopics" ? { topics: [] } : place;
}

/** A case: bytes to send, and where to cut them into chunks. */
export interface FuzzCase {
  /** What was done to them, for whoever has to understand a failure. */
  readonly story: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly cuts: readonly number[];
}

/** One case of this seed's stream. */
export function nextCase(random: SeededRandom): FuzzCase {
  const count = random.nextBetween(1, 4);
  const stories: string[] = [];
  const frames = Array.from({ length: count }, () => {
    const [story, spoil] = random.pick(spoilers);
    stories.push(story);
    return spoil(honestRequest(random), random);
  });
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  const cuts = Array.from({ length: random.nextBetween(0, 6) }, () => random.nextBetween(0, bytes.length));
  return { story: stories.join(", "), bytes, cuts: cuts.toSorted((a, b) => a - b) };
}

type Bytes = Uint8Array<ArrayBuffer>;
type Spoiler = readonly [story: string, spoil: (frame: Bytes, random: SeededRandom) => Bytes];

const spoilers: readonly Spoiler[] = [
  ["left alone", (frame) => frame],
  ["a payload number at a boundary", (frame, random) => reseal(withBoundary(frame, random))],
  ["several payload numbers at boundaries", (frame, random) => reseal(repeat(frame, random, withBoundary))],
  ["payload bits flipped", (frame, random) => reseal(repeat(frame, random, withFlip))],
  ["payload cut short", (frame, random) => reseal(withoutTail(frame, random))],
  ["payload longer", (frame, random) => reseal(withTail(frame, random))],
  ["payload replaced", (frame, random) => reseal(withNoise(frame, random))],
  ["another type", (frame, random) => reseal(withByte(frame, 12, random.nextBetween(0, 255)))],
  ["another version", (frame, random) => reseal(withByte(frame, 13, random.nextBetween(0, 255)))],
  ["flags set", (frame, random) => reseal(withByte(frame, 14, random.nextBetween(0, 255)))],
  ["the length lies", (frame, random) => withLength(frame, random)],
  ["a bit flipped on the way", (frame, random) => withFlip(frame, random)],
  ["cut off", (frame, random) => frame.slice(0, random.nextBetween(0, frame.length))],
  ["noise", (frame, random) => randomBytes(random, frame.length)],
];

/** Length and checksum made right for what is between them. */
function reseal(frame: Bytes): Bytes {
  sealFrame(frame, viewOf(frame), 0, frame.length - checksumBytes, crc32);
  return frame;
}

function repeat(
  frame: Bytes,
  random: SeededRandom,
  change: (frame: Bytes, random: SeededRandom) => Bytes,
): Bytes {
  let changed = frame;
  for (let times = random.nextBetween(2, 6); times > 0; times--) changed = change(changed, random);
  return changed;
}

function withBoundary(frame: Bytes, random: SeededRandom): Bytes {
  const last = frame.length - checksumBytes - 4;
  if (last < requestHeaderBytes) return frame;
  viewOf(frame).setUint32(random.nextBetween(requestHeaderBytes, last), random.pick(boundaries32));
  return frame;
}

function withFlip(frame: Bytes, random: SeededRandom): Bytes {
  const at = random.nextBetween(0, frame.length - 1);
  frame[at] = frame[at]! ^ (1 << random.nextBetween(0, 7));
  return frame;
}

function withByte(frame: Bytes, at: number, value: number): Bytes {
  frame[at] = value;
  return frame;
}

function withLength(frame: Bytes, random: SeededRandom): Bytes {
  viewOf(frame).setUint32(0, random.pick([...boundaries32, frame.length, frame.length - 5, 15, 16, 17]));
  return frame;
}

function withoutTail(frame: Bytes, random: SeededRandom): Bytes {
  return frame.slice(0, random.nextBetween(requestHeaderBytes + checksumBytes, frame.length));
}

function withTail(frame: Bytes, random: SeededRandom): Bytes {
  const longer = new Uint8Array(frame.length + random.nextBetween(1, 40));
  longer.set(frame);
  return longer;
}

function withNoise(frame: Bytes, random: SeededRandom): Bytes {
  frame.set(randomBytes(random, frame.length - requestHeaderBytes - checksumBytes), requestHeaderBytes);
  return frame;
}

function randomBytes(random: SeededRandom, length: number): Bytes {
  return Uint8Array.from({ length }, () => random.nextBetween(0, 255));
}
