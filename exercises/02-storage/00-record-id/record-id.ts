// Generated from reference/storage/record-id.ts (stub 6ddedf07).
// Write your solution here; `npx oz reset 02-storage/00-record-id` starts again.
/**
 * Record ids: `<milliseconds>-<sequence>`, strictly increasing within a partition whatever the clock does.
 *
 * An id says when a record was accepted and is a position at the same time, so a reader can ask for a span of time
 * without a second index. Redis Streams has the same idea. Two parts, because many records fall into one millisecond.
 *
 * The text form is padded with zeros: `000001718000000-0000000042`. So ids sort as text, in a shell or in a database,
 * exactly as they sort as numbers. The binary form is 12 bytes, big-endian, for the same reason.
 *
 * The clock is only a hint. It may stand still, jump ahead, and go back by hours; the source never goes back with it,
 * and runs ahead of it rather than repeat an id.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";
import { getUint32, getUint53, setUint32, setUint53, uint32Max } from "#reference/storage/integers.ts";

/** One id. Compare with `compareRecordIds`. */
export interface RecordId {
  readonly milliseconds: number;
  readonly sequence: number;
}

/** The largest milliseconds: 48 bits, 15 digits, the year 10889. */
export const idMillisecondsMax = 2 ** 48 - 1;
/** The largest sequence: 32 bits, 10 digits. */
export const idSequenceMax: number = uint32Max;
/** Before every id that is ever given out. */
export const recordIdZero: RecordId = { milliseconds: 0, sequence: 0 };
/** The last id that there can be. */
export const recordIdLast: RecordId = { milliseconds: idMillisecondsMax, sequence: idSequenceMax };
/** Bytes of the binary form. */
export const recordIdBytes = 12;

const millisecondDigits = 15;
const sequenceDigits = 10;

/** What a producer asks for: `*`, `<ms>-*`, or an id of its own. */
export type IdRequest =
  | { readonly kind: "automatic" }
  | { readonly kind: "partial"; readonly milliseconds: number }
  | { readonly kind: "explicit"; readonly id: RecordId };

/** What it gets. */
export type IdResult =
  | { readonly kind: "id"; readonly id: RecordId }
  /** The id asked for is not larger than the last one. */
  | { readonly kind: "too-small"; readonly last: RecordId }
  /** There is no larger id that fits the request. */
  | { readonly kind: "exhausted"; readonly last: RecordId };

/** Both ends belong to the range; it is empty when the first id comes after the last. */
export interface RecordIdRange {
  readonly first: RecordId;
  readonly last: RecordId;
}

// #region compare
/** Negative, zero or positive, as for `sort`. */
export function compareRecordIds(left: RecordId, right: RecordId): number {
  // 1. The milliseconds decide; the sequence counts only within one of them.
  todo("compare");
}
// #endregion compare

// #region format
/** The padded text form. */
export function formatRecordId(id: RecordId): string {
  // 1. Give both parts their full number of digits, zeros in front: then text sorts as the numbers do.
  todo("format");
}
// #endregion format

// #region parse
/** An id from its text form, padded or not; undefined for anything else. */
export function parseRecordId(text: string): RecordId | undefined {
  // 1. Two runs of digits and nothing else. 2. Both must fit.
  todo("parse");
}

/** What `*`, `<ms>-*` or `<ms>-<seq>` asks for; undefined for anything else. */
export function parseIdRequest(text: string): IdRequest | undefined {
  // 1. A star alone leaves everything to the source.
  // 2. A star behind the milliseconds leaves the sequence to it.
  // 3. Otherwise it is an id of the producer's own.
  todo("parse");
}

/**
 * A range from its two bounds: `-` is the first id, `+` the last, `(` in front of a bound leaves that id out, and a
 * bound of milliseconds alone means the whole millisecond. Undefined when a bound is none of these.
 */
export function parseIdRange(first: string, last: string): RecordIdRange | undefined {
  // 1. A bound of milliseconds alone is the least id of them at the start and the largest at the end.
  // 2. An exclusive bound is the neighbouring id. Past the ends of all ids lies nothing: an empty range.
  todo("parse");
}

/** One bound. Milliseconds alone get `sequence`: the least one at the start of a range, the largest one at its end. */
function parseBound(text: string, sequence: number): { id: RecordId; isExclusive: boolean } | undefined {
  // 1. The ends of everything.
  // 2. An exclusive millisecond leaves all of it out: from the start it is left at its end, and the other way round.
  todo("parse");
}
// #endregion parse

// #region binary
/** Writes the 12 bytes of an id at `at`. */
export function encodeRecordId(id: RecordId, target: Uint8Array, at: number): void {
  // 1. Eight bytes of milliseconds, four of sequence, big-endian: then bytes sort as the numbers do.
  todo("binary");
}

/** The id in the 12 bytes at `at`; undefined when its milliseconds are none. */
export function decodeRecordId(bytes: Uint8Array, at: number): RecordId | undefined {
  todo("binary");
}
// #endregion binary

/** Gives out ids. Owns the last one; whoever makes a source after a restart hands it in. */
export class RecordIdSource {
  /** The last id given out, as two numbers so that the hot path allocates nothing. */
  lastMilliseconds: number;
  lastSequence: number;

  constructor(last: RecordId = recordIdZero) {
    this.lastMilliseconds = last.milliseconds;
    this.lastSequence = last.sequence;
  }

  /** The last id given out; 0-0 before the first. */
  get last(): RecordId {
    return { milliseconds: this.lastMilliseconds, sequence: this.lastSequence };
  }

  /** Takes over `count` ids that another source gave out, from `first` on. */
  follow(first: RecordId, count: number): void {
    this.lastMilliseconds = first.milliseconds;
    this.lastSequence = first.sequence + count - 1;
  }

  // #region next
  /**
   * Reserves `count` ids in a row, within one millisecond: the last becomes `last`, and the first is `count - 1`
   * before it. False, with nothing changed, when there are no more.
   */
  reserve(wallTimeMs: number, count: number): boolean {
    // 1. Never behind the last id, wherever the clock is.
    // 2. Go on within its millisecond, or begin a new one at 0; 0-0 is not an id.
    // 3. When the sequence would overflow, borrow the next millisecond from the future.
    todo("next");
  }

  /** Answers one request at the time `wallTimeMs`. */
  next(request: IdRequest, wallTimeMs: number): IdResult {
    // 1. Within the last id's millisecond the sequence goes on; it begins at 0 only in a later one.
    todo("next");
  }

  #accept(id: RecordId, last: RecordId): IdResult {
    // 1. Larger than the last one, not equal to it: an id names one record. 2. Then it is the last one.
    todo("next");
  }
  // #endregion next
}

function idOf(milliseconds: number, sequence: number): RecordId | undefined {
  const isInRange = milliseconds >= 0 && milliseconds <= idMillisecondsMax && sequence <= idSequenceMax;
  return isInRange ? { milliseconds, sequence } : undefined;
}

function idAfter({ milliseconds, sequence }: RecordId): RecordId | undefined {
  return sequence < idSequenceMax ? { milliseconds, sequence: sequence + 1 } : idOf(milliseconds + 1, 0);
}

function idBefore({ milliseconds, sequence }: RecordId): RecordId | undefined {
  return sequence > 0 ? { milliseconds, sequence: sequence - 1 } : idOf(milliseconds - 1, idSequenceMax);
}
