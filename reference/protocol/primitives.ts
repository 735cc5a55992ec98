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
    return this.#has(1) ? this.#view.getUint8(this.#advance(1)) : 0;
  }

  uint16(): number {
    return this.#has(2) ? this.#view.getUint16(this.#advance(2)) : 0;
  }

  uint32(): number {
    return this.#has(4) ? this.#view.getUint32(this.#advance(4)) : 0;
  }

  uint64(): bigint {
    return this.#has(8) ? this.#view.getBigUint64(this.#advance(8)) : 0n;
  }

  int8(): number {
    return this.#has(1) ? this.#view.getInt8(this.#advance(1)) : 0;
  }

  int16(): number {
    return this.#has(2) ? this.#view.getInt16(this.#advance(2)) : 0;
  }

  int32(): number {
    return this.#has(4) ? this.#view.getInt32(this.#advance(4)) : 0;
  }

  int64(): bigint {
    return this.#has(8) ? this.#view.getBigInt64(this.#advance(8)) : 0n;
  }
  // #endregion read-integers

  // #region read-uvarint
  /** A uvarint in its only accepted form: no more bytes than needed, no value above `uvarintMax`, at most 8 bytes. */
  uvarint(): number {
    const start = this.position;
    let value = 0;
    // 1. Add seven bits a byte. Multiply: shifts are 32 bits wide in JavaScript.
    for (let index = 0, scale = 1; index < uvarintBytesMax; index++, scale *= 128) {
      if (!this.#has(1, start)) return 0;
      const byte = this.#view.getUint8(this.#advance(1));
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        // 2. The last byte ends the number. A zero there, after other bytes, says nothing: one value, one form.
        if (byte === 0 && index > 0) return this.#malformed(start, "overlong uvarint");
        // 3. Refuse what a number cannot hold exactly.
        if (value > uvarintMax) return this.#malformed(start, `uvarint exceeds ${uvarintMax}`);
        return value;
      }
    }
    return this.#malformed(start, `uvarint longer than ${uvarintBytesMax} bytes`);
  }
  // #endregion read-uvarint

  // #region read-bytes
  /** A copy of a byte string, also when the input is a Node Buffer, whose `slice` is a window; null for length -1. */
  bytes(): Uint8Array<ArrayBuffer> | null {
    const view = this.bytesView();
    return view === null ? null : new Uint8Array(view);
  }

  /** A byte string as a window on the input, for whoever is done with it before the input changes. */
  bytesView(): Uint8Array | null {
    const start = this.position;
    // 1. A length is a claim of the peer: believe it only as far as there are bytes.
    const length = this.#length("length");
    if (length < 0) return null;
    if (length > this.remaining) {
      this.#truncated(start, length - this.remaining);
      return null;
    }
    // 2. Take exactly that many.
    const from = this.#advance(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Text; null for length -1. Bytes that are not UTF-8 are malformed, never replaced by U+FFFD. */
  text(): string | null {
    const start = this.position;
    const view = this.bytesView();
    if (view === null) return null;
    try {
      return textDecoder.decode(view);
    } catch {
      this.#malformed(start, "text is not valid UTF-8");
      return null;
    }
  }
  // #endregion read-bytes

  // #region read-array
  /**
   * An array; null for count -1. `itemBytesMin` is the least that one item takes, so that a count that cannot be true
   * is refused before anything is allocated for it. A failure inside an item is the failure of that item's field.
   */
  array<Item>(readItem: (reader: ByteReader) => Item, itemBytesMin = 1): Item[] | null {
    assert(itemBytesMin >= 1, "an item takes at least one byte");
    const start = this.position;
    // 1. Check the count against what the remaining bytes can hold.
    const count = this.#length("count");
    if (count < 0) return null;
    if (count * itemBytesMin > this.remaining) {
      this.#truncated(start, count * itemBytesMin - this.remaining);
      return null;
    }
    // 2. Read item by item, and stop at the first that fails.
    const items: Item[] = [];
    for (let index = 0; index < count && this.failure === undefined; index++) items.push(readItem(this));
    return this.failure === undefined ? items : null;
  }
  // #endregion read-array

  /** Records a failure that the caller found in a value that it read; the first failure stays. */
  reject(at: number, reason: string): void {
    this.#malformed(at, reason);
  }

  // #region reader-bounds
  /** Whether `count` more bytes are there; if not, that is the failure of the field that started at `at`. */
  #has(count: number, at = this.position): boolean {
    if (this.failure !== undefined) return false;
    if (this.remaining >= count) return true;
    this.#truncated(at, count - this.remaining);
    return false;
  }

  /** An int32 that counts something: -1 for null (or after a failure), else 0 or more. */
  #length(what: string): number {
    const start = this.position;
    const length = this.int32();
    if (this.failure !== undefined) return -1;
    if (length < -1) {
      this.#malformed(start, `${what} ${length} is negative`);
      return -1;
    }
    return length;
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
    if (this.#fits(value, 0, 0xff) && this.#reserve(1)) this.#view.setUint8(this.#advance(1), value);
  }

  uint16(value: number): void {
    if (this.#fits(value, 0, 0xffff) && this.#reserve(2)) this.#view.setUint16(this.#advance(2), value);
  }

  uint32(value: number): void {
    if (this.#fits(value, 0, 0xffff_ffff) && this.#reserve(4)) this.#view.setUint32(this.#advance(4), value);
  }

  uint64(value: bigint): void {
    if (this.#fitsBig(value, 0n, 2n ** 64n - 1n) && this.#reserve(8)) {
      this.#view.setBigUint64(this.#advance(8), value);
    }
  }

  int8(value: number): void {
    if (this.#fits(value, -0x80, 0x7f) && this.#reserve(1)) this.#view.setInt8(this.#advance(1), value);
  }

  int16(value: number): void {
    if (this.#fits(value, -0x8000, 0x7fff) && this.#reserve(2)) this.#view.setInt16(this.#advance(2), value);
  }

  int32(value: number): void {
    if (this.#fits(value, -(2 ** 31), 2 ** 31 - 1) && this.#reserve(4)) {
      this.#view.setInt32(this.#advance(4), value);
    }
  }

  int64(value: bigint): void {
    if (this.#fitsBig(value, -(2n ** 63n), 2n ** 63n - 1n) && this.#reserve(8)) {
      this.#view.setBigInt64(this.#advance(8), value);
    }
  }
  // #endregion write-integers

  // #region write-uvarint
  uvarint(value: number): void {
    if (!this.#fits(value, 0, uvarintMax) || !this.#reserve(uvarintSize(value))) return;
    let rest = value;
    // 1. Seven bits at a time, lowest first, marked as not the last.
    while (rest >= 0x80) {
      this.#view.setUint8(this.#advance(1), (rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    // 2. What is left is below 128, so its high bit is clear and marks the end.
    this.#view.setUint8(this.#advance(1), rest);
  }
  // #endregion write-uvarint

  // #region write-bytes
  bytes(value: Uint8Array | null): void {
    // 1. Null and empty are different values, and must look different.
    if (value === null) return this.int32(-1);
    if (!this.#reserve(4 + value.length)) return;
    this.int32(value.length);
    this.#bytes.set(value, this.#advance(value.length));
  }

  /** Text as UTF-8. A lone surrogate is no character and has no UTF-8 form: it is refused. */
  text(value: string | null): void {
    if (value === null) return this.int32(-1);
    if (!value.isWellFormed()) return this.#outOfRange("text with a lone surrogate");
    // 2. UTF-8 is never shorter than the text: one that is too long is refused before it is encoded.
    if (!this.#reserve(4 + value.length)) return;
    this.bytes(textEncoder.encode(value));
  }

  array<Item>(items: readonly Item[] | null, writeItem: (writer: ByteWriter, item: Item) => void): void {
    if (items === null) return this.int32(-1);
    this.int32(items.length);
    for (const item of items) writeItem(this, item);
  }
  // #endregion write-bytes

  // #region writer-bounds
  /** Whether `value` is a whole number in the range; a value that does not fit must never wrap around. */
  #fits(value: number, low: number, high: number): boolean {
    if (Number.isInteger(value) && value >= low && value <= high) return this.failure === undefined;
    this.#outOfRange(`${value} is not a whole number from ${low} to ${high}`);
    return false;
  }

  #fitsBig(value: bigint, low: bigint, high: bigint): boolean {
    if (value >= low && value <= high) return this.failure === undefined;
    this.#outOfRange(`${value} is not from ${low} to ${high}`);
    return false;
  }

  /** Makes room for `count` more bytes by doubling, so that n bytes cost O(n) copying; false at the limit. */
  #reserve(count: number): boolean {
    if (this.failure !== undefined) return false;
    const needed = this.length + count;
    if (needed > this.#limitBytes) {
      this.failure = { kind: "too-large", at: this.length, limitBytes: this.#limitBytes };
      return false;
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(Math.max(needed, this.#bytes.length * 2), this.#limitBytes));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return true;
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
  assert(value >= 0 && value <= uvarintMax, () => `${value} is not from 0 to ${uvarintMax}`);
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** The bytes that a text field takes, its length prefix included. */
export function textSize(value: string | null): number {
  return value === null ? 4 : 4 + textEncoder.encode(value).length;
}

/** The bytes that a byte string field takes, its length prefix included. */
export function bytesSize(value: Uint8Array | null): number {
  return value === null ? 4 : 4 + value.length;
}
// #endregion sizes
