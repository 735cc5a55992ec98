/**
 * Room that the frames for other nodes, and the journal's records, are written into, one after the other, again and again.
 *
 * All records that a leader takes go through here once for each follower. A new array for each frame, doubled until the
 * frame fits and copied when it is done, is four times the bytes as garbage, and the collector stops everything to look
 * for it. So the bytes of a frame are good until the next one is begun.
 */
import type { ByteSink } from "./raft-codec.ts";

const startBytes = 4096;
/** A frame that was larger than this was a rare one, and its room is not kept. */
const keptBytesMax = 2 * 1024 * 1024;
const encoder = new TextEncoder();

/** Bytes that grow. Numbers are the caller's to check. */
export class FrameWriter implements ByteSink {
  length = 0;
  #bytes = new Uint8Array(startBytes);
  #view = new DataView(this.#bytes.buffer);

  /** Begins a new frame in the place of the last one. */
  clear(): void {
    this.length = 0;
    if (this.#bytes.length > keptBytesMax) this.#use(new Uint8Array(startBytes));
  }

  /** What was written, as a window. */
  written(end: number = this.length): Uint8Array {
    return this.#bytes.subarray(0, end);
  }

  /** What was written and the room behind it: for who changes parts of it, without a window for each. */
  get room(): Uint8Array {
    return this.#bytes;
  }

  /** Takes out what stands before `position`. */
  dropUntil(position: number): void {
    this.#bytes.copyWithin(0, position, this.length);
    this.length -= position;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.length, value);
    this.length += 4;
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  text(value: string): void {
    const start = this.length;
    this.uint32(value.length);
    this.#reserve(value.length);
    // Names, mostly: short, and a byte for each character.
    for (let place = 0; place < value.length; place++) {
      const code = value.charCodeAt(place);
      if (code > 0x7f) {
        this.length = start;
        return this.bytes(encoder.encode(value));
      }
      this.#bytes[this.length++] = code;
    }
  }

  /** Writes what `write` does, behind its length. */
  measured(write: () => void): void {
    this.uint32(0);
    const start = this.length;
    write();
    this.#view.setUint32(start - 4, this.length - start);
  }

  #reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#use(grown);
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
