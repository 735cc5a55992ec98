// Generated from reference/protocol/primitives.ts (stub d0bcdaa8).
// Write your solution here; `npx oz reset 01-protocol/01-primitives` starts again.
/**
 * Primitive codec: integers, text, byte strings and arrays, to bytes and back.
 *
 * Everything on the wire is made of these. Integers are big-endian, the order in which people write digits, so a hex
 * dump can be read aloud. 64-bit integers are `bigint`, because a JavaScript number is exact only up to 2^53 - 1.
 *
 * | type        | bytes                                                                    |
 * |-------------|--------------------------------------------------------------------------|
 * | int8…int64  | two's complement, big-endian                                             |
 * | uvarint     | 7 bits a byte, lowest first, high bit set on all but the last; 1 to 8    |
 * | text        | int32 length in bytes, then that many bytes of UTF-8; length -1 is null  |
 * | bytes       | int32 length, then the bytes; length -1 is null                          |
 * | array       | int32 count, then the items; count -1 is null                            |
 *
 * Both directions use a *sticky failure*. Bad input is expected here, so it is a value and not an exception, but a
 * result to check after each of twenty fields would bury the code. So the first failure is kept, every later read
 * gives a zero or null and every later write does nothing, and the caller looks once, at the end.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";

/** Why reading stopped. `at` is the position of the field that could not be read. */
export type ReadFailure =
  /** The input ends too early: `neededBytes` more are known to be needed by what has been read so far. */
  | { readonly kind: "truncated"; readonly at: number; readonly neededBytes: number }
  /** No continuation could make this input right. */
  | { readonly kind: "malformed"; readonly at: number; readonly reason: string };

/** Why writing stopped: a value that its field cannot hold, or a target that is too small. */
export type WriteFailure =
  | { readonly kind: "out-of-range"; readonly at: number; readonly reason: string }
  | { readonly kind: "too-large"; readonly at: number; readonly limitBytes: number };

/** The largest value of a uvarint: the largest number that JavaScript counts exactly. */
export const uvarintMax = Number.MAX_SAFE_INTEGER;

/** The most bytes that a uvarint takes: 53 bits, seven to the byte. */
export const uvarintBytesMax = 8;

/** The longest text or byte string and the longest array: what an int32 can count. */
export const lengthMax = 2 ** 31 - 1;

const textEncoder = new TextEncoder();
// `fatal` turns bad UTF-8 into an error; `ignoreBOM` keeps a leading U+FEFF, which is part of the text.
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads fields one after the other from `bytes[start..end)`, which it does not own and never changes. */
export class ByteReader {
  /** Set once, by the first read that could not be done. While it is undefined, all values read are good. */
  failure: ReadFailure | undefined = undefined;
  /** Where the next field starts, in `bytes`; after a failure, where the field that failed starts (`failure.at`). */
  position: number;

  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    const isInside = 0 <= start && start <= end && end <= bytes.length;
    assert(isInside, () => `${start} to ${end} of ${bytes.length} bytes`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.position;
  }

  // #region read-integers
  uint8(): number {
    todo("read-integers");
  }

  uint16(): number {
    todo("read-integers");
  }

  uint32(): number {
    todo("read-integers");
  }

  uint64(): bigint {
    todo("read-integers");
  }

  int8(): number {
    todo("read-integers");
  }

  int16(): number {
    todo("read-integers");
  }

  int32(): number {
    todo("read-integers");
  }

  int64(): bigint {
    todo("read-integers");
  }
  // #endregion read-integers

  // #region read-uvarint
  /** A uvarint in its only accepted form: no more bytes than needed, no value above `uvarintMax`, at most 8 bytes. */
  uvarint(): number {
    // 1. Add seven bits a byte. Multiply: shifts are 32 bits wide in JavaScript.
    // 2. The last byte ends the number. A zero there, after other bytes, says nothing: one value, one form.
    // 3. Refuse what a number cannot hold exactly.
    todo("read-uvarint");
  }
  // #endregion read-uvarint

  // #region read-bytes
  /** A copy of a byte string, also when the input is a Node Buffer, whose `slice` is a window; null for length -1. */
  bytes(): Uint8Array<ArrayBuffer> | null {
    todo("read-bytes");
  }

  /** A byte string as a window on the input, for whoever is done with it before the input changes. */
  bytesView(): Uint8Array | null {
    // 1. A length is a claim of the peer: believe it only as far as there are bytes.
    // 2. Take exactly that many.
    todo("read-bytes");
  }

  /** Text; null for length -1. Bytes that are not UTF-8 are malformed, never replaced by U+FFFD. */
  text(): string | null {
    todo("read-bytes");
  }
  // #endregion read-bytes

  // #region read-array
  /**
   * An array; null for count -1. `itemBytesMin` is the least that one item takes, so that a count that cannot be true
   * is refused before anything is allocated for it. A failure inside an item is the failure of that item's field.
   */
  array<Item>(readItem: (reader: ByteReader) => Item, itemBytesMin = 1): Item[] | null {
    // 1. Check the count against what the remaining bytes can hold.
    // 2. Read item by item, and stop at the first that fails.
    todo("read-array");
  }
  // #endregion read-array

  /** Records a failure that the caller found in a value that it read; the first failure stays. */
  reject(at: number, reason: string): void {
    this.#malformed(at, reason);
  }

  // #region reader-bounds
  /** Whether `count` more bytes are there; if not, that is the failure of the field that started at `at`. */
  #has(count: number, at = this.position): boolean {
    todo("reader-bounds");
  }

  /** An int32 that counts something: -1 for null (or after a failure), else 0 or more. */
  #length(what: string): number {
    todo("reader-bounds");
  }
  // #endregion reader-bounds

  #advance(count: number): number {
    const from = this.position;
    this.position += count;
    return from;
  }

  #truncated(at: number, neededBytes: number): 0 {
    return this.#fail({ kind: "truncated", at, neededBytes });
  }

  #malformed(at: number, reason: string): 0 {
    return this.#fail({ kind: "malformed", at, reason });
  }

  #fail(failure: ReadFailure): 0 {
    if (this.failure === undefined) {
      this.failure = failure;
      this.position = failure.at;
    }
    return 0;
  }
}

/**
 * Writes fields one after the other into a buffer of its own, which grows as needed up to a limit. A field that cannot
 * be written is not written in part: `length` stays where that field would have started.
 */
export class ByteWriter {
  /** Set once, by the first write that could not be done. While it is undefined, all that was asked for is written. */
  failure: WriteFailure | undefined = undefined;
  /** Bytes written so far. */
  length = 0;

  readonly #limitBytes: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;

  constructor(limitBytes = lengthMax, initialBytes = 64) {
    this.#limitBytes = Math.min(limitBytes, lengthMax);
    this.#bytes = new Uint8Array(Math.min(initialBytes, this.#limitBytes));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** A copy of what was written: writing on does not change it. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }

  // #region write-integers
  uint8(value: number): void {
    todo("write-integers");
  }

  uint16(value: number): void {
    todo("write-integers");
  }

  uint32(value: number): void {
    todo("write-integers");
  }

  uint64(value: bigint): void {
    todo("write-integers");
  }

  int8(value: number): void {
    todo("write-integers");
  }

  int16(value: number): void {
    todo("write-integers");
  }

  int32(value: number): void {
    todo("write-integers");
  }

  int64(value: bigint): void {
    todo("write-integers");
  }
  // #endregion write-integers

  // #region write-uvarint
  uvarint(value: number): void {
    // 1. Seven bits at a time, lowest first, marked as not the last.
    // 2. What is left is below 128, so its high bit is clear and marks the end.
    todo("write-uvarint");
  }
  // #endregion write-uvarint

  // #region write-bytes
  bytes(value: Uint8Array | null): void {
    // 1. Null and empty are different values, and must look different.
    todo("write-bytes");
  }

  /** Text as UTF-8. A lone surrogate is no character and has no UTF-8 form: it is refused. */
  text(value: string | null): void {
    // 2. UTF-8 is never shorter than the text: one that is too long is refused before it is encoded.
    todo("write-bytes");
  }

  array<Item>(items: readonly Item[] | null, writeItem: (writer: ByteWriter, item: Item) => void): void {
    todo("write-bytes");
  }
  // #endregion write-bytes

  // #region writer-bounds
  /** Whether `value` is a whole number in the range; a value that does not fit must never wrap around. */
  #fits(value: number, low: number, high: number): boolean {
    todo("writer-bounds");
  }

  #fitsBig(value: bigint, low: bigint, high: bigint): boolean {
    todo("writer-bounds");
  }

  /** Makes room for `count` more bytes by doubling, so that n bytes cost O(n) copying; false at the limit. */
  #reserve(count: number): boolean {
    todo("writer-bounds");
  }
  // #endregion writer-bounds

  #advance(count: number): number {
    const from = this.length;
    this.length += count;
    return from;
  }

  #outOfRange(reason: string): void {
    this.failure ??= { kind: "out-of-range", at: this.length, reason };
  }
}

// #region sizes
/** The bytes that a uvarint of this value takes; the value must be one that a uvarint can hold. */
export function uvarintSize(value: number): number {
  todo("sizes");
}

/** The bytes that a text field takes, its length prefix included. */
export function textSize(value: string | null): number {
  todo("sizes");
}

/** The bytes that a byte string field takes, its length prefix included. */
export function bytesSize(value: Uint8Array | null): number {
  todo("sizes");
}
// #endregion sizes
