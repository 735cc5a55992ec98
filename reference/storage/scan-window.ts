/**
 * A window that slides over a file, for code that walks through it from front to back: it reads ahead in large pieces
 * and shows any stretch that is asked for as one run of bytes.
 */
import type { DiskFile } from "../ports.ts";
import { readFully } from "./file-io.ts";

/** How much is read at once, unless more is asked for. */
export const windowBytes = 1024 * 1024;

/** The part of a file that is in memory now. */
export class ScanWindow {
  /** The bytes in memory; the first of them is the file's byte number `start`. Valid until the next `load`. */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;

  readonly #file: DiskFile;
  readonly #fileLength: number;
  #buffer: Uint8Array;

  constructor(file: DiskFile, fileLength: number) {
    this.#file = file;
    this.#fileLength = fileLength;
    this.#buffer = new Uint8Array(Math.min(windowBytes, fileLength));
  }

  /**
   * Brings `length` bytes from `position` into memory, or as many as the file has, and returns where they start in
   * `bytes`. What is there already is kept, not read again.
   */
  async load(position: number, length: number): Promise<number> {
    const end = Math.min(position + length, this.#fileLength);
    const loadedEnd = this.start + this.bytes.length;
    if (position >= this.start && end <= loadedEnd) return position - this.start;
    const wanted = Math.max(end - position, Math.min(windowBytes, this.#fileLength - position));
    const kept =
      position >= this.start && position < loadedEnd ? this.bytes.subarray(position - this.start) : undefined;
    const buffer = wanted > this.#buffer.length ? new Uint8Array(wanted) : this.#buffer;
    if (kept !== undefined) {
      if (buffer === this.#buffer) buffer.copyWithin(0, kept.byteOffset, kept.byteOffset + kept.length);
      else buffer.set(kept);
    }
    const keptBytes = kept?.length ?? 0;
    const filled = await readFully(this.#file, buffer.subarray(keptBytes, wanted), position + keptBytes);
    this.#buffer = buffer;
    this.bytes = buffer.subarray(0, keptBytes + filled);
    this.start = position;
    return 0;
  }
}
