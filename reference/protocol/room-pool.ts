/**
 * Room for frames that arrive in parts, used again and again.
 *
 * A stream of large frames is cut in the middle of one at nearly every read. A buffer made for each such frame and
 * dropped after it is a gigabyte of garbage for every few gigabytes of traffic, and the collector stops everything to
 * get rid of it (measured with 1 KB records: a third of a server's time). So all streams of a server take their room
 * here and give it back with the last byte of the frame: as much is kept as a few busy streams need at a time.
 */

/** Smaller rooms cost less to make than to look for. */
const roomBytesMin = 4096;
/** Larger ones are not kept: one huge frame should not cost memory for ever. */
const roomBytesMax = 1024 * 1024;
/** Rooms of each size that are kept: two of each are 4 MiB in all. */
const roomsPerSizeMax = 2;

/** Gives out rooms whose sizes are powers of two. Whoever takes one is its only owner until it is given back. */
export class RoomPool {
  /** Bytes of all rooms that wait to be taken. */
  keptBytes = 0;
  /** By the exponent of their size. */
  readonly #kept: Uint8Array<ArrayBuffer>[][] = Array.from({ length: 32 }, () => []);

  /** A room of at least `bytes`, and of less than twice as much; what is in it means nothing. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes < roomBytesMin || bytes > roomBytesMax) return new Uint8Array(bytes);
    const exponent = exponentOf(bytes);
    const kept = this.#kept[exponent]?.pop();
    if (kept === undefined) return new Uint8Array(2 ** exponent);
    this.keptBytes -= kept.length;
    return kept;
  }

  /** Takes a room back. Its old owner must not touch it any more. */
  give(room: Uint8Array<ArrayBuffer>): void {
    if (room.length < roomBytesMin || room.length > roomBytesMax) return;
    const exponent = exponentOf(room.length);
    const kept = this.#kept[exponent];
    if (room.length !== 2 ** exponent || kept === undefined || kept.length >= roomsPerSizeMax) return;
    kept.push(room);
    this.keptBytes += room.length;
  }
}

/** The least exponent whose power of two is not below `bytes`. */
function exponentOf(bytes: number): number {
  return 32 - Math.clz32(bytes - 1);
}
