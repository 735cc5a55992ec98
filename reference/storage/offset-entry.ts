/**
 * The entries of the consumer offsets file: one for each change, appended, the last one of a key counts.
 *
 * ```
 * 0        4       8      9       13       21          25            27        29
 * | length | crc32 | kind | fence | offset | partition | groupLength | topicLength | group … | topic … |
 * ```
 *
 * `length` counts the bytes after itself, `crc32` covers everything after itself. Kind 1 sets an offset, 2 removes it.
 */
import type { Checksum } from "../ports.ts";
import { assert } from "../base/assert.ts";
import { getUint16, getUint32, getUint53, setUint16, setUint32, setUint53, uint32Max } from "./integers.ts";

/** Whose position in what. */
export interface OffsetKey {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
}

/** One change. */
export interface OffsetEntry extends OffsetKey {
  /** The offset of the next record to read, or undefined when the position is removed. */
  readonly offset: number | undefined;
  /** Commits with a smaller fence come from an owner that has been replaced. */
  readonly fence: number;
}

/** The most bytes of a group's or a topic's name. */
export const offsetNameBytesMax = 1024;

const fixedBytes = 29;
const kindSet = 1;
const kindRemove = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A text that no other key has. */
export function keyText({ group, topic, partition }: OffsetKey): string {
  return `${partition}/${topic.length}/${topic}${group}`;
}

/** The entry as bytes. Names are at most `offsetNameBytesMax` bytes. */
export function encodeOffsetEntry(entry: OffsetEntry, checksum: Checksum): Uint8Array {
  const group = encoder.encode(entry.group);
  const topic = encoder.encode(entry.topic);
  assert(
    Math.max(group.length, topic.length) <= offsetNameBytesMax,
    "a name is too long for an offset entry",
  );
  assert(entry.fence >= 0 && entry.fence <= uint32Max, `fence ${entry.fence} is outside 32 bits`);
  const bytes = new Uint8Array(fixedBytes + group.length + topic.length);
  setUint32(bytes, 0, bytes.length - 4);
  bytes[8] = entry.offset === undefined ? kindRemove : kindSet;
  setUint32(bytes, 9, entry.fence);
  setUint53(bytes, 13, entry.offset ?? 0);
  setUint32(bytes, 21, entry.partition);
  setUint16(bytes, 25, group.length);
  setUint16(bytes, 27, topic.length);
  bytes.set(group, fixedBytes);
  bytes.set(topic, fixedBytes + group.length);
  setUint32(bytes, 4, checksum(bytes, 8, bytes.length));
  return bytes;
}

/** The entry at `at` and where it ends; undefined when there is none. Never throws, whatever the bytes are. */
export function decodeOffsetEntry(
  bytes: Uint8Array,
  at: number,
  checksum: Checksum,
): { entry: OffsetEntry; end: number } | undefined {
  if (bytes.length - at < fixedBytes) return undefined;
  const end = at + 4 + getUint32(bytes, at);
  const groupEnd = at + fixedBytes + getUint16(bytes, at + 25);
  if (end > bytes.length || end !== groupEnd + getUint16(bytes, at + 27)) return undefined;
  if (checksum(bytes, at + 8, end) !== getUint32(bytes, at + 4)) return undefined;
  const kind = bytes[at + 8]!;
  const offset = getUint53(bytes, at + 13);
  if ((kind !== kindSet && kind !== kindRemove) || offset < 0) return undefined;
  try {
    const entry = {
      group: decoder.decode(bytes.subarray(at + fixedBytes, groupEnd)),
      topic: decoder.decode(bytes.subarray(groupEnd, end)),
      partition: getUint32(bytes, at + 21),
      offset: kind === kindSet ? offset : undefined,
      fence: getUint32(bytes, at + 9),
    };
    return { entry, end };
  } catch {
    // Not UTF-8, under a checksum that matches: nothing that this code wrote.
    return undefined;
  }
}
