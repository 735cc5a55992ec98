// Generated from reference/protocol/frame-stream.ts (stub 30893e81).
// Write your solution here; `npx oz reset 01-protocol/03-frame-stream` starts again.
/**
 * The frame stream: from chunks, which end wherever the network happened to cut, to whole frames.
 *
 * TCP promises the order of the bytes and nothing about their grouping. Three frames may come in one chunk, one frame
 * in a thousand, and a chunk may end inside a length field. The same bytes, cut in any way, must give the same frames.
 *
 * - A frame that lies whole in a chunk is handed out where it lies, with no copy.
 * - The piece at the end of a chunk is copied, once, and completed by the next chunk.
 * - Memory follows what has arrived, never what a length field promises, and ends at the frame limit.
 * - A length field that breaks a limit is a fault as soon as its four bytes are there.
 * - After a fault nothing more is handed out. A length field that lied, or a corrupt frame, means that nobody knows
 *   where the next frame starts; to look for one would be to read payload bytes as commands.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";
import { viewOf } from "#reference/base/bytes.ts";
import { errorCodeOf } from "#reference/protocol/errors.ts";
import type { FrameFault, FrameKind, FrameOptions } from "#reference/protocol/frame.ts";
import { frameFaultOf, frameIncomplete, inspectFrame, lengthFieldBytes } from "#reference/protocol/frame.ts";
import { frameSizeMaxDefault } from "#reference/protocol/limits.ts";
import type { RoomPool } from "#reference/protocol/room-pool.ts";

/** Where a stream hands its results. A sink must not call the stream it listens to. */
export interface FrameSink {
  /** An intact frame at `bytes[start..end)`; `view` covers the same array, and both are good only until it returns. */
  frame(bytes: Uint8Array, view: DataView, start: number, end: number): void;
  /** The stream is beyond use; called at most once, and nothing is called after it. */
  fault(fault: FrameFault): void;
}

/** The least room for a partial frame: most frames are small, and most partial ones smaller. */
const partialBytesMin = 256;
/** Stands for no room at all, in every stream that holds none: most connections are idle most of the time. */
const noBytes = new Uint8Array(0);
const noView = new DataView(noBytes.buffer);

/** One direction of one connection. */
export class FrameStream {
  /** Bytes copied since the start: the price of chunk borders. At most three times the bytes received. */
  copiedBytes = 0;

  readonly #kind: FrameKind;
  readonly #options: FrameOptions;
  readonly #frameSizeMax: number;
  /** Where room comes from and goes to; without it, room is made and dropped. */
  readonly #rooms: RoomPool | undefined;
  /** The start of a frame whose rest has not come yet: `#partial[0..#partialLength)`. */
  #partial: Uint8Array<ArrayBuffer> = noBytes;
  #partialView: DataView = noView;
  #partialLength = 0;
  #state: "open" | "ended" | "poisoned" = "open";

  constructor(kind: FrameKind, options: FrameOptions = {}, rooms?: RoomPool) {
    this.#kind = kind;
    this.#rooms = rooms;
    this.#options = options;
    this.#frameSizeMax = options.frameSizeMax ?? frameSizeMaxDefault;
  }

  /** Bytes of a frame whose rest has not come yet. Never above the frame limit plus the length field. */
  get bufferedBytes(): number {
    return this.#partialLength;
  }

  /**
   * Room held for a partial frame: never more than twice `bufferedBytes`, or 256 when that is less. Room from a pool may
   * be twice that.
   */
  get reservedBytes(): number {
    return this.#partial.length;
  }

  /** Whether a fault ended this stream. */
  get isPoisoned(): boolean {
    return this.#state === "poisoned";
  }

  // #region receive
  /**
   * Takes a chunk and hands out every frame that it completes, in order and before it returns. The chunk is not kept.
   * Bad bytes are reported to the sink, never thrown. An exception of the sink goes to the caller, and the stream is
   * poisoned.
   */
  receive(chunk: Uint8Array, sink: FrameSink): void {
    todo("receive");
  }
  // #endregion receive

  // #region end
  /**
   * The peer will send no more. Between two frames that is a clean end, and nothing is called; in the middle of one it
   * is the fault `truncated-frame`. After a fault, or a second time, it does nothing.
   */
  end(sink: FrameSink): void {
    todo("end");
  }
  // #endregion end

  // #region complete-partial
  /**
   * Adds as much of `chunk` to the partial frame as that frame needs, and hands it out when it is whole. Returns how
   * much of the chunk was used: all of it when the frame is still not whole, -1 after a fault.
   */
  #completePartial(chunk: Uint8Array, sink: FrameSink): number {
    todo("complete-partial");
  }
  // #endregion complete-partial

  // #region keep
  /** Copies `chunk[start..end)` behind the partial frame, growing its room by doubling. */
  #keep(chunk: Uint8Array, start: number, end: number): void {
    todo("keep");
  }
  // #endregion keep

  /** Hands a frame out. A sink that throws leaves the stream in mid-chunk, so nothing more may come from it. */
  #deliver(bytes: Uint8Array, view: DataView, start: number, end: number, sink: FrameSink): void {
    try {
      sink.frame(bytes, view, start, end);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #inspectPartial(): number {
    const length = this.#partialLength;
    return inspectFrame(this.#partial, this.#partialView, 0, length, this.#kind, this.#options);
  }

  #poisonPartial(code: number, sink: FrameSink): -1 {
    this.#poison(frameFaultOf(code, this.#partialView.getUint32(0), this.#kind, this.#options), sink);
    return -1;
  }

  #poison(fault: FrameFault, sink: FrameSink): void {
    this.#close();
    sink.fault(fault);
  }

  #close(): void {
    this.#state = "poisoned";
    this.#partialLength = 0;
    this.#release();
  }

  #roomFor(bytes: number): Uint8Array<ArrayBuffer> {
    return this.#rooms?.take(bytes) ?? new Uint8Array(bytes);
  }

  /** Gives the room back: a connection that is idle between two frames should cost next to nothing. */
  #release(): void {
    this.#rooms?.give(this.#partial);
    this.#partial = noBytes;
    this.#partialView = noView;
  }
}

// #region for-each-frame
/**
 * Runs `handle` for every frame of `chunks`, one after the other: the next frame waits until the promise of the one
 * before it has settled, so that effects happen in the order of the stream. Resolves to the fault that ended the
 * stream, or undefined at a clean end. Each frame is handed over as a copy, since it outlives its chunk; a chunk may be
 * a Node Buffer, whose `slice` is a window and no copy.
 */
export async function forEachFrame(
  chunks: AsyncIterable<Uint8Array>,
  kind: FrameKind,
  handle: (frame: Uint8Array) => Promise<void>,
  options: FrameOptions = {},
): Promise<FrameFault | undefined> {
  todo("for-each-frame");
}
// #endregion for-each-frame
