/**
 * Frame output: where the frames of one connection are written before they are sent, together, in one write.
 *
 * A system call costs as much as encoding dozens of small frames, so both sides of a connection collect what one turn
 * of the event loop brings forth and hand it over at its end. Frames are encoded straight into a slab; nothing is
 * copied. Bytes that were handed over are not written again while a socket may still be reading them: the next frames
 * go behind them, and when the slab is used up, into another one. When all has been sent, all slabs begin afresh.
 *
 * Whoever writes a frame calls `reserve` with its size, writes at the position that it returns, and calls `commit`.
 */
import { assert } from "#reference/base/assert.ts";

/** The first slab of a connection: an idle connection should not hold more. */
const slabBytesMin = 512;

/** Slabs double up to this size; a frame that is larger gets a slab of its own. */
const slabBytesMax = 64 * 1024;

/** What is larger than this, or more than this in all, is not used again: a rush should not cost memory for ever. */
const slabBytesKeptMax = 4 * 1024 * 1024;

/** Smaller ones are only the beginning of a conversation. */
const slabBytesReusedMin = slabBytesMax;

/** Stands for "no slab", shared by all: an idle connection costs nothing here. */
const noBytes = new Uint8Array(0);
const noView = new DataView(noBytes.buffer);
const noSlabs: Uint8Array<ArrayBuffer>[] = [];

/** The frames of one connection that are not sent yet. */
export class FrameOutput {
  /** The slab that the current frame goes into. It changes with `reserve`, so read it after that. */
  bytes: Uint8Array<ArrayBuffer> = noBytes;
  /** A view over the whole of `bytes`. */
  view: DataView = noView;

  /** `bytes[#start..#end)` holds whole frames that are not sent. */
  #start = 0;
  #end = 0;
  /** Ends of older slabs that filled up before they were sent, oldest first. */
  #full: Uint8Array[] | undefined = undefined;
  #fullBytes = 0;
  #slabBytes = slabBytesMin;
  /** Slabs before this one that were handed over since all was sent, and those that are free. */
  #used: Uint8Array<ArrayBuffer>[] = noSlabs;
  #free: Uint8Array<ArrayBuffer>[] = noSlabs;

  /** Bytes of whole frames that are not sent. */
  get pendingBytes(): number {
    return this.#fullBytes + this.#end - this.#start;
  }

  /** Makes room for a frame of up to `size` bytes; returns the position in `bytes` where it starts. */
  reserve(size: number): number {
    if (this.#end + size > this.bytes.length) {
      if (this.#end > this.#start) {
        (this.#full ??= []).push(this.bytes.subarray(this.#start, this.#end));
        this.#fullBytes += this.#end - this.#start;
      }
      this.#nextSlab(size);
    }
    return this.#end;
  }

  /** The frame that was reserved last ends at `end`, as `sealFrame` returned it. */
  commit(end: number): void {
    assert(end >= this.#end && end <= this.bytes.length, () => `frame end ${end} lies outside the slab`);
    this.#end = end;
  }

  /** Hands everything to `write`, until it says false; returns false when it did. */
  writeTo(write: (bytes: Uint8Array) => boolean): boolean {
    for (let oldest = this.#full?.shift(); oldest !== undefined; oldest = this.#full?.shift()) {
      this.#fullBytes -= oldest.length;
      if (!write(oldest)) return false;
    }
    this.#full = undefined;
    if (this.#end === this.#start) return true;
    const ready = this.bytes.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return write(ready);
  }

  /**
   * Begins again at the start of the slab, if all of it has been handed over. Only for a connection that has sent what
   * it was handed: then a steady conversation needs one slab and no garbage.
   */
  recycle(): void {
    if (this.pendingBytes > 0) return;
    if (this.#used.length > 0) this.#freeUsed();
    if (this.bytes.length > slabBytesKeptMax) return;
    this.#start = 0;
    this.#end = 0;
  }

  /** Drops what is not sent, and the slab: for a connection that is gone, or one that has long been silent. */
  release(): void {
    this.bytes = noBytes;
    this.view = noView;
    this.#start = 0;
    this.#end = 0;
    this.#full = undefined;
    this.#fullBytes = 0;
    this.#slabBytes = slabBytesMin;
    this.#used = noSlabs;
    this.#free = noSlabs;
  }

  /** Goes on in a slab that is free and large enough, or in a new one. */
  #nextSlab(size: number): void {
    if (this.bytes.length >= slabBytesReusedMin) {
      if (this.#used === noSlabs) this.#used = [];
      this.#used.push(this.bytes);
    }
    let free = this.#free.pop();
    // Frames of a conversation are much alike: one that is too small now will be too small again.
    while (free !== undefined && free.length < size) free = this.#free.pop();
    this.bytes = free ?? new Uint8Array(Math.max(size, this.#slabBytes));
    this.view = new DataView(this.bytes.buffer);
    this.#slabBytes = Math.min(this.#slabBytes * 2, slabBytesMax);
    this.#start = 0;
    this.#end = 0;
  }

  #freeUsed(): void {
    let keptBytes = this.bytes.length;
    for (const slab of this.#free) keptBytes += slab.length;
    if (this.#free === noSlabs) this.#free = [];
    for (const slab of this.#used) {
      keptBytes += slab.length;
      if (keptBytes <= slabBytesKeptMax) this.#free.push(slab);
    }
    this.#used.length = 0;
  }
}

/** Calls `flush` once on each of those that were added in this turn of the event loop, at its end. */
export class EndOfTurn {
  #added: { flush(): void }[] = [];

  add(target: { flush(): void }): void {
    if (this.#added.push(target) > 1) return;
    void Promise.resolve().then(() => {
      const added = this.#added;
      this.#added = [];
      for (const each of added) each.flush();
    });
  }
}
