/**
 * The suite of E2.4: recovery. It builds files piece by piece, so it knows what each byte of them is, and it reads what
 * recovery left behind with a walk of its own. The logs that are stopped by a crash are written by the reference.
 */
import { describe, test } from "vitest";
import { concatBytes } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError, type DiskFile } from "#reference/ports.ts";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import { exploreCrashPoints } from "#reference/simulator/disk-explore.ts";
import { encodeState, emptyState, type LogState } from "#reference/storage/log-state.ts";
import { Log } from "#reference/storage/log.ts";
import { batchBytesAt, batchHeaderBytes, batchLayout, stampBatch } from "#reference/storage/record-batch.ts";
import {
  scanFromBase,
  type RecoveredLog,
  type RecoveryPlan,
  type ScanStart,
  type SegmentScan,
} from "#reference/storage/recovered-log.ts";
import { indexPath, segmentPath } from "#reference/storage/segment-files.ts";
import { locateBatch, SparseIndex, type DamagedRange } from "#reference/storage/sparse-index.ts";
import { stillClock } from "#reference/storage/test-log.ts";
import { expectEqual, expectThat, explained, fail, formatValue, run } from "#exercises/lib/check.ts";
import { hexDump } from "#exercises/lib/hex-dump.ts";
import { seed } from "#exercises/lib/seed.ts";
import { batchOf, batchTimestampMs, recordsIn, textOf } from "#exercises/lib/storage-batch.ts";
import { diskFiles, ioTimeline, settles, surviveEveryCrash } from "#exercises/lib/storage-disk.ts";
import { decideRecovery, recoverLog, scanSegment } from "./recovery.ts";

const directory = "topics/a/0";

/** A whole number from 0 to `count` - 1. */
function below(random: SeededRandom, count: number): number {
  return random.nextBetween(0, count - 1);
}

const intervalBytes = 200;

// ---------------------------------------------------------------------------------------------------------------
// Files, piece by piece

/** What the log stamps on a batch; the rest is the number of its records. */
interface BatchPlan {
  readonly offset: number;
  readonly count?: number;
  readonly epoch?: number;
  /** How many offsets before the batch were not synced when it was written. */
  readonly unsynced?: number;
  /** Bytes of its one record, when it is to be long. */
  readonly bytes?: number;
}

function batch({ offset, count = 1, epoch = 0, unsynced = 0, bytes }: BatchPlan): Uint8Array {
  const texts = Array.from({ length: count }, (_, index) => textOf(offset + index));
  const stored = batchOf(bytes === undefined ? texts : ["y".repeat(bytes)]);
  const stamp = { baseOffset: offset, epoch, lastOffsetDelta: count - 1, unsyncedBefore: unsynced };
  stampBatch(stored, 0, { ...stamp, idMilliseconds: 1000 + offset, idSequence: offset * 2 }, crc32);
  return stored;
}

/** A piece of a file, and what it is. */
type Piece =
  | { readonly kind: "batch" | "bad-body" | "bad-header"; readonly plan: BatchPlan }
  | { readonly kind: "noise" | "zeros"; readonly bytes: number };

/** A batch of the log, from its offset on. */
function good(offset: number, count = 1, rest: Partial<BatchPlan> = {}): Piece {
  return { kind: "batch", plan: { offset, count, ...rest } };
}

function bytesOf(piece: Piece, number: number): Uint8Array {
  if (!("plan" in piece)) {
    if (piece.kind === "zeros") return new Uint8Array(piece.bytes);
    // No byte is 0, so nothing in it can be taken for the start of an offset.
    if (piece.bytes > 4096) return new Uint8Array(piece.bytes).fill(0x55);
    return Uint8Array.from({ length: piece.bytes }, (_, index) => 1 + ((index * 37 + number * 11) % 255));
  }
  const bytes = batch(piece.plan);
  if (piece.kind === "bad-body") bytes[batchHeaderBytes + 2]! ^= 1;
  if (piece.kind === "bad-header") bytes[batchLayout.headerCrc + 1]! ^= 1;
  return bytes;
}

/** A file of pieces, of which the last may be cut, and where each of them begins. */
class PiecedFile {
  readonly bytes: Uint8Array;
  readonly positions: readonly number[];
  readonly pieces: readonly Piece[];

  constructor(pieces: readonly Piece[], length?: number) {
    this.pieces = pieces;
    const all = pieces.map(bytesOf);
    let end = 0;
    this.positions = all.map((each) => (end += each.length) - each.length);
    this.bytes = concatBytes(all).subarray(0, length ?? end);
  }

  /** The pieces, one on each line. */
  describe(): string {
    const lines = this.pieces.map((piece, number) => {
      const position = String(this.positions[number]).padStart(6);
      if (!("plan" in piece)) return `${position}  ${piece.bytes} bytes of ${piece.kind}`;
      const { offset, count = 1, epoch = 0, unsynced = 0 } = piece.plan;
      const offsets = count === 1 ? `offset ${offset}` : `offsets ${offset} to ${offset + count - 1}`;
      const what = { batch: "batch", "bad-body": "damaged body", "bad-header": "damaged header" }[piece.kind];
      return `${position}  ${what}, ${offsets}, epoch ${epoch}, ${unsynced} unsynced before it`;
    });
    return [
      "the file, from position to position",
      ...lines,
      `${String(this.bytes.length).padStart(6)}  end`,
    ].join("\n");
  }
}

/** An open file in memory; `readMax` makes reads short, `reads` counts the bytes that were asked for. */
class MemoryFile implements DiskFile {
  readonly path = "segment";
  reads = { calls: 0, bytes: 0 };
  readonly #bytes: Uint8Array;
  readonly #readMax: number;

  constructor(bytes: Uint8Array, readMax = Number.POSITIVE_INFINITY) {
    this.#bytes = bytes;
    this.#readMax = readMax;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const count = Math.max(0, Math.min(target.length, this.#bytes.length - position, this.#readMax));
    this.reads.calls++;
    this.reads.bytes += target.length;
    target.set(this.#bytes.subarray(position, position + count));
    return count;
  }

  length(): Promise<number> {
    return Promise.resolve(this.#bytes.length);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  write(): Promise<number> {
    return fail("scanSegment writes to the file", { expected: "a walk that only reads" });
  }

  truncate(): Promise<void> {
    return fail("scanSegment truncates the file", { expected: "a walk that decides nothing" });
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }
}

/** What a walk must show, and in words that do not depend on how its ranges are cut. */
interface Shown {
  endOffset: number;
  endPosition: number;
  tail: SegmentScan["tail"];
  damage: string[];
  durableOffset: number;
  epoch: number;
}

/** Ranges that touch are one. */
function describeDamage(damage: readonly DamagedRange[]): string[] {
  const merged: { from: number; to: number; position: number; endPosition: number }[] = [];
  for (const range of damage) {
    const last = merged.at(-1);
    if (last?.to === range.from && last.endPosition === range.position) {
      last.to = range.to;
      last.endPosition = range.endPosition;
    } else merged.push({ ...range });
  }
  return merged.map(
    ({ from, to, position, endPosition }) =>
      `offsets ${from} to ${to - 1} in bytes ${position} to ${endPosition}`,
  );
}

function shownOf(scan: SegmentScan): Shown {
  const { endOffset, endPosition, tail, durableOffset, epoch } = scan;
  return { endOffset, endPosition, tail, damage: describeDamage(scan.damage), durableOffset, epoch };
}

/** The same, from the pieces: a walk that knows what it walks over. */
function modelOf(file: PiecedFile, base: number): Shown {
  let [offset, epoch, durableOffset] = [base, 0, 0];
  const damage: DamagedRange[] = [];
  let gap: { position: number; isStale: boolean } | undefined;
  for (const [number, piece] of file.pieces.entries()) {
    const position = file.positions[number]!;
    const endPosition = position + bytesOf(piece, number).length;
    if (!("plan" in piece) || piece.kind === "bad-header" || endPosition > file.bytes.length) {
      gap ??= { position, isStale: false };
      continue;
    }
    const { offset: first, count = 1, epoch: own = 0, unsynced = 0 } = piece.plan;
    const isTooFar = first > offset + 2 ** 32 - 1;
    if (first < offset || isTooFar || own < epoch || (gap !== undefined && first <= offset)) {
      gap ??= { position, isStale: true };
      gap.isStale = true;
      continue;
    }
    if (first > offset)
      damage.push({ from: offset, to: first, position: gap?.position ?? position, endPosition: position });
    gap = undefined;
    if (piece.kind === "bad-body") damage.push({ from: first, to: first + count, position, endPosition });
    offset = first + count;
    epoch = own;
    durableOffset = Math.max(durableOffset, first - unsynced);
  }
  const endPosition = gap?.position ?? file.bytes.length;
  const rest = file.bytes.subarray(endPosition);
  const isZeros = rest.every((byte) => byte === 0);
  const tail = rest.length === 0 ? "none" : gap?.isStale === true ? "stale" : isZeros ? "zeros" : "torn";
  return { endOffset: offset, endPosition, tail, damage: describeDamage(damage), durableOffset, epoch };
}

/** Walks over a file in memory with the subject. */
function walk(file: PiecedFile, base: number, memory = new MemoryFile(file.bytes)): Promise<SegmentScan> {
  return scan(memory, scanFromBase(base, intervalBytes), file);
}

async function scan(memory: MemoryFile, start: ScanStart, file: PiecedFile): Promise<SegmentScan> {
  try {
    return await settles("scanSegment", scanSegment(memory, start, crc32));
  } catch (error) {
    throw explained("scanSegment", error, { where: file.describe() });
  }
}

/** The walk shows what the pieces are. */
async function expectWalk(what: string, file: PiecedFile, base: number): Promise<SegmentScan> {
  const found = await walk(file, base);
  expectEqual(what, shownOf(found), modelOf(file, base), { where: file.describe() });
  return found;
}

const four = [good(50), good(51, 3), good(54, 1), good(55, 2)];

describe("walking over a segment", () => {
  test("whole batches are taken, one after the other", async () => {
    for (const pieces of [[], four.slice(0, 1), four, [good(50, 7), good(57), good(58, 2)]]) {
      const file = new PiecedFile(pieces);
      const found = await expectWalk(`a segment of ${pieces.length} batches`, file, 50);
      expectEqual("baseOffset", found.baseOffset, 50);
      expectEqual("fileLength", found.fileLength, file.bytes.length);
      expectEqual("isScanned", found.isScanned, true);
    }
    await expectWalk("a segment that begins at 0", new PiecedFile([good(0, 2), good(2)]), 0);
  });

  test("the last id, the epoch and the durable offset are those that the batches prove", async () => {
    const epochs = [0, 0, 3, 3, 8];
    const unsynced = [0, 51, 1, 4, 2];
    const pieces = [50, 51, 52, 53, 54].map((offset, index) =>
      good(offset, 1, { epoch: epochs[index]!, unsynced: unsynced[index]! }),
    );
    for (let length = 1; length <= 5; length++) {
      const file = new PiecedFile(pieces.slice(0, length));
      const found = await expectWalk(`${length} batches`, file, 50);
      const last = 49 + length;
      expectEqual("the last id", [found.idMilliseconds, found.idSequence], [1000 + last, last * 2]);
    }
    const many = await walk(new PiecedFile([good(50), good(51, 4)]), 50);
    expectEqual(
      "the last id of a batch of four records",
      [many.idMilliseconds, many.idSequence],
      [1051, 105],
    );
    const start = { ...scanFromBase(50, intervalBytes), idMilliseconds: 77 };
    const none = await scan(new MemoryFile(new Uint8Array(0)), start, new PiecedFile([]));
    expectEqual("the last id of an empty file", [none.idMilliseconds, none.idSequence], [77, 0]);
  });

  test("a walk can begin behind a part that is known to be whole", async () => {
    const file = new PiecedFile([...four, { kind: "bad-body", plan: { offset: 57 } }, good(58)]);
    const known = { from: 50, to: 51, position: 0, endPosition: file.positions[1]! };
    const index = new SparseIndex(50, intervalBytes);
    index.note(50, 0, 1);
    const position = file.positions[2]!;
    const start = { baseOffset: 50, offset: 54, position, index, damage: [known] };
    // What is known needs no second look: it might as well be gone.
    const rest = file.bytes.slice();
    rest.fill(0, 0, position);
    const found = await scan(new MemoryFile(rest), { ...start, idMilliseconds: 9 }, file);
    const [from, to] = [file.positions[4]!, file.positions[5]!];
    const damage = [known, { from: 57, to: 58, position: from, endPosition: to }];
    expectEqual("endOffset", found.endOffset, 59);
    expectEqual("the damage, known and new", describeDamage(found.damage), describeDamage(damage));
    expectEqual("ranges in the list that was handed in", start.damage.length, 1);
  });

  test("a batch that is cut anywhere ends the log behind the batch before it", async () => {
    const whole = new PiecedFile(four);
    const last = whole.positions[3]!;
    for (let length = last; length < whole.bytes.length; length++) {
      const file = new PiecedFile(four, length);
      await expectWalk(`a file that ends ${length - last} bytes into its last batch`, file, 50);
    }
    for (let length = 0; length < batchHeaderBytes + 8; length++) {
      await expectWalk(`a file of ${length} bytes`, new PiecedFile(four.slice(0, 1), length), 50);
    }
  });

  test("zeros behind the last batch are no records, however many there are", async () => {
    for (const bytes of [1, 3, 4, 43, 44, 79, 80, 81, 84, 512, 4096]) {
      await expectWalk(
        `${bytes} zeros behind the batches`,
        new PiecedFile([...four, { kind: "zeros", bytes }]),
        50,
      );
      await expectWalk(`a file of ${bytes} zeros`, new PiecedFile([{ kind: "zeros", bytes }]), 50);
    }
    const mixed = new PiecedFile([...four, { kind: "zeros", bytes: 600 }, { kind: "noise", bytes: 1 }]);
    await expectWalk("zeros and one byte that is none", mixed, 50);
  });

  test("older batches behind the last one are no records: the file was written over", async () => {
    const files: Record<string, Piece[]> = {
      "offsets of the file's earlier life": [...four, good(7), good(8)],
      "the same offsets again": [...four, good(55, 2)],
      "the last offset again": [...four, good(56)],
      "an offset that no segment reaches": [...four, { kind: "noise", bytes: 9 }, good(50 + 2 ** 33)],
      "a part of a batch, and then an old one": [...four, { kind: "noise", bytes: 33 }, good(9)],
      "an older epoch with the next offset": [good(50, 1, { epoch: 4 }), good(51, 1, { epoch: 3 })],
      "an older epoch with a later offset": [good(50, 1, { epoch: 4 }), good(60, 1, { epoch: 3 })],
      "noise, and then an older epoch": [
        good(50, 1, { epoch: 4 }),
        { kind: "noise", bytes: 90 },
        good(60, 1, { epoch: 3 }),
      ],
      "only old batches": [good(3), good(4)],
      "an old batch with damaged records": [...four, { kind: "bad-body", plan: { offset: 7 } }],
    };
    for (const [what, pieces] of Object.entries(files)) await expectWalk(what, new PiecedFile(pieces), 50);
  });

  test("damaged records are named, and the walk goes on behind them", async () => {
    for (const damaged of [[0], [1], [2], [3], [1, 2], [0, 1, 2, 3], [0, 3]]) {
      const pieces = four.map((piece, number) =>
        damaged.includes(number) && "plan" in piece ? { ...piece, kind: "bad-body" as const } : piece,
      );
      await expectWalk(`damage in the records of batches ${damaged.join(", ")}`, new PiecedFile(pieces), 50);
    }
  });

  test("behind a damaged header the walk looks for the next batch of this log", async () => {
    for (const damaged of [[0], [1], [2], [1, 2], [0, 1, 2], [3], [2, 3]]) {
      const pieces = four.map((piece, number) =>
        damaged.includes(number) && "plan" in piece ? { ...piece, kind: "bad-header" as const } : piece,
      );
      await expectWalk(`damage in the headers of batches ${damaged.join(", ")}`, new PiecedFile(pieces), 50);
    }
    const holes: Record<string, Piece[]> = {
      "noise where a batch was": [good(50), { kind: "noise", bytes: 131 }, good(52), good(53)],
      "zeros where a batch was": [good(50), { kind: "zeros", bytes: 131 }, good(52), good(53)],
      "an old batch in a hole": [good(50), good(7), { kind: "noise", bytes: 20 }, good(52), good(53)],
      "a batch that is not there": [good(50), good(53), good(54)],
      "a file that begins too late": [good(52), good(53)],
      "a hole, and then damaged records": [
        { kind: "bad-header", plan: { offset: 50 } },
        { kind: "bad-body", plan: { offset: 51 } },
        good(52),
      ],
      "a newer epoch behind a hole": [good(50), { kind: "noise", bytes: 50 }, good(60, 1, { epoch: 2 })],
      "a hole, a batch, and a torn end": [
        good(50),
        { kind: "noise", bytes: 70 },
        good(55),
        { kind: "noise", bytes: 9 },
      ],
    };
    for (const [what, pieces] of Object.entries(holes)) await expectWalk(what, new PiecedFile(pieces), 50);
  });

  test("whichever bit of a batch flips, its offsets are named and nothing else is lost", async () => {
    const file = new PiecedFile([good(50), good(51, 3), good(54)]);
    const [from, to] = [file.positions[1]!, file.positions[2]!];
    const random = new SeededRandom(seed);
    for (let at = from; at < to; at++) {
      const bit = below(random, 8);
      const flipped = file.bytes.slice();
      flipped[at]! ^= 1 << bit;
      const found = await scan(new MemoryFile(flipped), scanFromBase(50, intervalBytes), file);
      expectEqual(
        `bit ${bit} of byte ${at - from} of the batch with offsets 51 to 53 has flipped`,
        { endOffset: found.endOffset, damage: describeDamage(found.damage) },
        { endOffset: 55, damage: [`offsets 51 to 53 in bytes ${from} to ${to}`] },
        {
          where: hexDump(flipped.subarray(from, to), [
            { start: at - from, end: at - from + 1, note: "flipped" },
          ]),
        },
      );
    }
  });

  test("a record that holds a whole batch is still one record", async () => {
    // The bytes of a stamped batch, inside the body of another: put there after encoding, with the checksum made anew.
    const body = batch({ offset: 90 });
    const host = batch({ offset: 50, bytes: body.length + 40 });
    host.set(body, batchHeaderBytes + 20);
    const crc = crc32(host, batchLayout.version, host.length);
    new DataView(host.buffer, host.byteOffset).setUint32(batchLayout.bodyCrc, crc);
    const stamp = { baseOffset: 50, epoch: 0, lastOffsetDelta: 0, unsyncedBefore: 0 };
    stampBatch(host, 0, { ...stamp, idMilliseconds: 1, idSequence: 0 }, crc32);
    const bytes = concatBytes([host, batch({ offset: 51 })]);
    const file = new PiecedFile([]);
    const found = await scan(new MemoryFile(bytes), scanFromBase(50, intervalBytes), file);
    expectEqual("endOffset", found.endOffset, 52);
    expectEqual("damage", describeDamage(found.damage), []);
  });

  test("the index leads to every batch, also behind damage", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 12; round++) {
      const pieces: Piece[] = [];
      for (let offset = 50; offset < 62;) {
        const count = 1 + below(random, 3);
        const kind = below(random, 5) === 0 ? (below(random, 2) === 0 ? "bad-body" : "bad-header") : "batch";
        pieces.push({ kind, plan: { offset, count } });
        offset += count;
      }
      const file = new PiecedFile([...pieces, { kind: "noise", bytes: 30 }]);
      const memory = new MemoryFile(file.bytes);
      const found = await scan(memory, scanFromBase(50, 1000), file);
      expectEqual("damage in some batches", shownOf(found), modelOf(file, 50), { where: file.describe() });
      for (const [number, piece] of pieces.entries()) {
        if (piece.kind !== "batch") continue;
        const { offset, count = 1 } = piece.plan;
        const located = await locateBatch(memory, found.index, offset + count - 1, found.endPosition, crc32);
        expectEqual(
          `where the index finds offset ${offset + count - 1}`,
          [located.kind, located.position],
          ["found", file.positions[number]!],
          { where: file.describe() },
        );
      }
      const late =
        found.index.count > 0 && found.index.positionAt(found.index.count - 1) >= found.endPosition;
      expectThat(!late, "the index has an entry behind the last batch", { where: file.describe() });
    }
    // Nothing that stands in a damaged body is believed, the latest timestamp neither.
    const file = new PiecedFile([good(50), good(51), good(52)]);
    const bytes = file.bytes.slice();
    bytes[file.positions[1]! + batchLayout.maxTimestamp + 3]! ^= 0x40;
    const found = await scan(new MemoryFile(bytes), scanFromBase(50, intervalBytes), file);
    expectEqual("the latest timestamp in the index", found.index.maxTimestamp, batchTimestampMs);
  });

  test("reads that bring less than was asked for change nothing", async () => {
    const file = new PiecedFile([
      good(50),
      good(51, 3),
      { kind: "noise", bytes: 40 },
      good(60),
      { kind: "zeros", bytes: 30 },
    ]);
    for (const readMax of [1, 7, 100]) {
      const found = await walk(file, 50, new MemoryFile(file.bytes, readMax));
      expectEqual(`reads of at most ${readMax} bytes`, shownOf(found), modelOf(file, 50), {
        where: file.describe(),
      });
    }
  });

  test("files of all kinds end as values, never as exceptions", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 150; round++) {
      const file = randomFile(random);
      await expectWalk(`file ${round} of seed ${seed}`, file, 50);
    }
  });

  test("a header is found wherever it lies, and the file is read once", async () => {
    const files = [1, 43, 79, 80].map((distance) => {
      return new PiecedFile([{ kind: "noise", bytes: 1024 * 1024 - distance }, good(60), good(61)]);
    });
    files.push(new PiecedFile(Array.from({ length: 200 }, (_, index) => good(50 + index))));
    for (const file of files) {
      const memory = new MemoryFile(file.bytes);
      const found = await scan(memory, scanFromBase(50, intervalBytes), file);
      const what = `a walk over ${file.pieces.length} pieces, the first with ${file.positions[1]} bytes`;
      expectEqual(what, shownOf(found), modelOf(file, 50), { where: file.describe().slice(0, 400) });
      const allowed = 3 * file.bytes.length;
      expectThat(memory.reads.bytes <= allowed, "the file was read again and again", {
        expected: `at most ${allowed} bytes asked for, of a file of ${file.bytes.length}`,
        actual: `${memory.reads.bytes} bytes in ${memory.reads.calls} reads`,
      });
    }
  });
});

function randomFile(random: SeededRandom): PiecedFile {
  const pieces: Piece[] = [];
  let [offset, epoch] = [50, 0];
  const length = below(random, 7);
  for (let number = 0; number < length; number++) {
    const count = 1 + below(random, 3);
    if (below(random, 6) === 0) epoch++;
    const plan = { offset, count, epoch, unsynced: below(random, 60) };
    const what = below(random, 12);
    if (what < 7) pieces.push({ kind: "batch", plan });
    else if (what === 7) pieces.push({ kind: "bad-body", plan });
    else if (what === 8) pieces.push({ kind: "bad-header", plan });
    else if (what === 9) pieces.push({ kind: "noise", bytes: 1 + below(random, 200) });
    else if (what === 10) pieces.push({ kind: "zeros", bytes: 1 + below(random, 200) });
    else pieces.push(good(below(random, 50), 1, { epoch: below(random, epoch + 1) }));
    if (what !== 11) offset += count;
  }
  const all = new PiecedFile(pieces);
  const last = all.positions.at(-1) ?? 0;
  const isCut = below(random, 2) === 0;
  return isCut ? new PiecedFile(pieces, random.nextBetween(last, all.bytes.length)) : all;
}

// ---------------------------------------------------------------------------------------------------------------
// Deciding

/** A scan, as far as a decision needs it. */
function scanOf(baseOffset: number, endOffset: number, rest: Partial<SegmentScan> = {}): SegmentScan {
  const bytes = (endOffset - baseOffset) * 100;
  return {
    baseOffset,
    endOffset,
    endPosition: bytes,
    index: new SparseIndex(baseOffset, intervalBytes),
    damage: [],
    idMilliseconds: 0,
    idSequence: 0,
    isScanned: true,
    fileLength: bytes,
    tail: "none",
    durableOffset: 0,
    epoch: 0,
    ...rest,
  };
}

/** A range of damage in a segment with batches of one record and a hundred bytes. */
function range(baseOffset: number, from: number, to: number): DamagedRange {
  return { from, to, position: (from - baseOffset) * 100, endPosition: (to - baseOffset) * 100 };
}

function decide(scans: readonly SegmentScan[], state: Partial<LogState> = {}): RecoveryPlan {
  return run("decideRecovery", () => decideRecovery(scans, { ...emptyState, ...state }));
}

/** A plan in short: where the log ends, and of each segment what is left. */
function planShown({ durableOffset, endOffset, segments, removed }: RecoveryPlan): unknown {
  return {
    durableOffset,
    endOffset,
    segments: segments.map(
      (segment) =>
        `${segment.baseOffset} to ${segment.endOffset} in ${segment.endPosition} bytes` +
        segment.damage.map(({ from, to }) => `, ${from} to ${to - 1} damaged`).join(""),
    ),
    removed: removed.map(({ baseOffset }) => baseOffset),
  };
}

const three = (damage: Partial<Record<0 | 10 | 20, DamagedRange[]>>, durable: number): SegmentScan[] => [
  scanOf(0, 10, { damage: damage[0] ?? [] }),
  scanOf(10, 20, { damage: damage[10] ?? [] }),
  scanOf(20, 30, { damage: damage[20] ?? [], durableOffset: durable }),
];

describe("deciding", () => {
  test("a log without damage stays as it is", () => {
    expectEqual("the plan for three whole segments", planShown(decide(three({}, 30))), {
      durableOffset: 30,
      endOffset: 30,
      segments: ["0 to 10 in 1000 bytes", "10 to 20 in 1000 bytes", "20 to 30 in 1000 bytes"],
      removed: [],
    });
    expectEqual("the plan with nothing known to be durable", planShown(decide(three({}, 0))), {
      durableOffset: 0,
      endOffset: 30,
      segments: ["0 to 10 in 1000 bytes", "10 to 20 in 1000 bytes", "20 to 30 in 1000 bytes"],
      removed: [],
    });
    expectEqual("the plan for no segment", planShown(decide([], { startOffset: 7 })), {
      durableOffset: 7,
      endOffset: 7,
      segments: [],
      removed: [],
    });
  });

  test("the durable offset is the largest that anything proves", () => {
    const cases: [readonly number[], Partial<LogState>, number][] = [
      [[0, 0, 0], { recoveryOffset: 12 }, 12],
      [[0, 0, 0], { startOffset: 9 }, 9],
      [[0, 0, 0], { startOffset: 9, recoveryOffset: 5 }, 9],
      [[5, 2, 3], { recoveryOffset: 4 }, 5],
      [[5, 12, 3], { recoveryOffset: 4 }, 12],
      [[5, 12, 25], { recoveryOffset: 4 }, 25],
      [[5, 12, 25], { recoveryOffset: 27 }, 27],
    ];
    for (const [durable, state, expected] of cases) {
      const scans = three({}, 0).map((scan, index) => ({ ...scan, durableOffset: durable[index]! }));
      const plan = decide(scans, state);
      const what = `the durable offset, with ${formatValue(state)} and batches that prove ${durable.join(", ")}`;
      expectEqual(what, plan.durableOffset, expected);
    }
  });

  test("damage from the durable offset on ends the log there, and the segments behind it go", () => {
    const cases: [string, SegmentScan[], unknown][] = [
      [
        "damage in the last segment",
        three({ 20: [range(20, 25, 27)] }, 22),
        { durableOffset: 22, endOffset: 25, end: "20 to 25 in 500 bytes", kept: 3, removed: [] },
      ],
      [
        "damage exactly at the durable offset",
        three({ 10: [range(10, 15, 16)] }, 15),
        { durableOffset: 15, endOffset: 15, end: "10 to 15 in 500 bytes", kept: 2, removed: [20] },
      ],
      [
        "damage in the first segment, nothing durable",
        three({ 0: [range(0, 0, 2)] }, 0),
        { durableOffset: 0, endOffset: 0, end: "0 to 0 in 0 bytes", kept: 1, removed: [10, 20] },
      ],
      [
        "two ranges: the first one counts",
        three({ 20: [range(20, 23, 24), range(20, 27, 28)] }, 22),
        { durableOffset: 22, endOffset: 23, end: "20 to 23 in 300 bytes", kept: 3, removed: [] },
      ],
    ];
    for (const [what, scans, expected] of cases) {
      const plan = decide(scans);
      const shown = planShown(plan) as { segments: string[]; removed: number[] };
      const { durableOffset, endOffset } = plan;
      const end = shown.segments.at(-1);
      expectEqual(
        what,
        { durableOffset, endOffset, end, kept: shown.segments.length, removed: shown.removed },
        expected,
      );
    }
  });

  test("damage before the durable offset takes nothing with it", () => {
    const plan = decide(three({ 0: [range(0, 3, 5)], 10: [range(10, 10, 11), range(10, 19, 20)] }, 30));
    expectEqual("the plan", planShown(plan), {
      durableOffset: 30,
      endOffset: 30,
      segments: [
        "0 to 10 in 1000 bytes, 3 to 4 damaged",
        "10 to 20 in 1000 bytes, 10 to 10 damaged, 19 to 19 damaged",
        "20 to 30 in 1000 bytes",
      ],
      removed: [],
    });
    const both = decide(three({ 10: [range(10, 12, 13), range(10, 17, 18)] }, 15));
    expectEqual("damage on both sides of the durable offset", planShown(both), {
      durableOffset: 15,
      endOffset: 17,
      segments: ["0 to 10 in 1000 bytes", "10 to 17 in 700 bytes, 12 to 12 damaged"],
      removed: [20],
    });
    const across = decide(three({ 10: [range(10, 12, 18)] }, 15));
    expectThat(across.endOffset >= 15, "the log ends before what was durable", {
      expected: "an end at or behind the durable offset 15: offsets 12 to 14 were stored, and are damaged",
      actual: `an end at ${across.endOffset}`,
    });
    const first = across.segments[1]?.damage[0]?.from;
    expectEqual("the first damaged offset of a range across the durable offset", first, 12);
  });

  test("a segment that ends too early is damage between two files", () => {
    const scans = (durableOffset: number): SegmentScan[] => [
      scanOf(0, 7),
      scanOf(10, 20),
      scanOf(20, 30, { durableOffset }),
    ];
    expectEqual("the gap lies before the durable offset", planShown(decide(scans(25))), {
      durableOffset: 25,
      endOffset: 30,
      segments: ["0 to 7 in 700 bytes, 7 to 9 damaged", "10 to 20 in 1000 bytes", "20 to 30 in 1000 bytes"],
      removed: [],
    });
    for (const durable of [0, 7]) {
      expectEqual(`the gap begins at 7, durable is ${durable}`, planShown(decide(scans(durable))), {
        durableOffset: durable,
        endOffset: 7,
        segments: ["0 to 7 in 700 bytes"],
        removed: [10, 20],
      });
    }
  });

  test("an offset that was durable is never given out again, even when its record is lost", () => {
    const plan = decide([scanOf(0, 10), scanOf(10, 17)], { recoveryOffset: 20 });
    expectEqual("the plan for a log whose end is lost", planShown(plan), {
      durableOffset: 20,
      endOffset: 20,
      segments: ["0 to 10 in 1000 bytes", "10 to 17 in 700 bytes, 17 to 19 damaged"],
      removed: [],
    });
    const trimmed = decide([scanOf(0, 7), scanOf(10, 17)], { startOffset: 12, recoveryOffset: 17 });
    expectEqual("what was trimmed is not missed", planShown(trimmed), {
      durableOffset: 17,
      endOffset: 17,
      segments: ["0 to 7 in 700 bytes", "10 to 17 in 700 bytes"],
      removed: [],
    });
  });

  test("nothing that it is given is changed", () => {
    const scans = three({ 10: [range(10, 12, 13), range(10, 17, 18)] }, 15);
    const before = formatValue(scans);
    decide(scans);
    expectEqual("the scans after the decision", formatValue(scans), before);
  });
});

// ---------------------------------------------------------------------------------------------------------------
// Whole logs on a disk

/** A log's files, made by hand and durable: the segments by their base, and the state. */
async function diskOf(
  segments: Readonly<Record<number, readonly Piece[] | PiecedFile>>,
  state: Partial<LogState> = {},
): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await disk.makeDirectory(directory);
  for (const above of ["", "topics", "topics/a"]) await disk.syncDirectory(above);
  disk.poke(`${directory}/state`, encodeState({ ...emptyState, ...state }, crc32));
  for (const [base, pieces] of Object.entries(segments)) {
    const file = pieces instanceof PiecedFile ? pieces : new PiecedFile(pieces);
    disk.poke(segmentPath(directory, Number(base)), file.bytes);
  }
  disk.replan({});
  disk.trace.length = 0;
  return disk;
}

/** Recovers with the subject; nothing may be left open. */
async function recover(
  disk: SimulatedDisk,
  scanning: "unsynced" | "all" = "unsynced",
): Promise<RecoveredLog> {
  const options = { disk, directory, checksum: crc32, indexIntervalBytes: intervalBytes, scan: scanning };
  const recovered = await settles("recoverLog", recoverLog(options), disk);
  expectEqual("files that recovery leaves open", disk.openFiles, 0, { where: ioTimeline(disk.trace) });
  return recovered;
}

/**
 * Every record of a recovered log, as `7 text`, read by a walk of the suite's own: what is not damaged must be whole
 * batches, one behind the other, from the first byte of each file to its last.
 */
function recordsOf(disk: SimulatedDisk, { segments }: RecoveredLog): string[] {
  const lines: string[] = [];
  const where = (): { where: string } => ({ where: `${ioTimeline(disk.trace)}\n${diskFiles(disk)}` });
  for (const segment of segments) {
    const path = segmentPath(directory, segment.baseOffset);
    const bytes = disk.peek(path) ?? fail(`the log has a segment without a file: ${path}`, where());
    let [at, offset] = [0, segment.baseOffset];
    const isLost = segment.damage.at(-1)?.position === segment.endPosition;
    const end = { from: segment.endOffset, to: segment.endOffset, position: segment.endPosition };
    const ranges = isLost ? segment.damage : [...segment.damage, { ...end, endPosition: end.position }];
    for (const { from, to, position, endPosition } of ranges) {
      const found = recordsIn(bytes.subarray(at, position), offset);
      const isRun =
        found.length === from - offset && found.every((line, index) => line.startsWith(`${offset + index} `));
      if (!isRun) {
        fail(
          `${path}: the bytes ${at} to ${position} are not the batches of offsets ${offset} to ${from - 1}`,
          {
            expected: `records ${offset} to ${from - 1}, and nothing else`,
            actual: found.length === 0 ? "no record" : found.join(", "),
            ...where(),
          },
        );
      }
      lines.push(...found);
      [at, offset] = [endPosition, to];
    }
    if (bytes.length > segment.endPosition && !isLost) {
      fail(
        `${path}: ${bytes.length - segment.endPosition} bytes that no batch claims are still in the file`,
        {
          expected: `a file of ${segment.endPosition} bytes: the next append lands behind the last whole batch`,
          actual: `${bytes.length} bytes`,
          ...where(),
        },
      );
    }
  }
  return lines;
}

/** Later than every id of the batches here: a state that says it knows of records that are gone. */
const storedIdMilliseconds = 9000;

/** What a recovered log is, in words that can be compared. */
function logShown(disk: SimulatedDisk, recovered: RecoveredLog): unknown {
  return {
    endOffset: recovered.endOffset,
    records: recordsOf(disk, recovered).map((line) => line.slice(0, 24)),
    damage: recovered.damage.map(({ from, to }) => `${from} to ${to - 1}`),
    start: recovered.state.startOffset,
    epoch: recovered.state.epoch,
    // The ids of records that go may be forgotten with them; one that the state tells of may not.
    hasStoredId: recovered.state.idMilliseconds >= storedIdMilliseconds,
  };
}

/** Lines of `recordsIn` for these offsets. */
function linesOf(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `${from + index} ${textOf(from + index)}`);
}

/** Appends one batch to the last segment, durably, as a log would: behind what recovery says is its end. */
async function appendBehind(disk: SimulatedDisk, { segments, endOffset }: RecoveredLog): Promise<void> {
  const last = segments.at(-1);
  if (last?.endOffset !== endOffset) return;
  const file = await disk.open(segmentPath(directory, last.baseOffset), "read-write");
  await file.write(batch({ offset: endOffset, epoch: 9 }), last.endPosition);
  await file.sync();
  await file.close();
}

/** The files of the log: names and bytes. */
function filesOf(disk: SimulatedDisk): string {
  return disk
    .paths()
    .map((path) => `${path}: ${formatValue(disk.peek(path))}`)
    .join("\n");
}

/** A log that the reference wrote, about three batches a segment, and closed in order. */
async function writtenLog(records: number): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const log = await openLog(disk);
  for (let number = 0; number < records; number++) {
    log.append(batchOf([textOf(number)]));
    await log.committed();
  }
  await log.close();
  const left = disk.restart({ kind: "nothing" });
  left.replan({});
  return left;
}

function openLog(disk: SimulatedDisk): Promise<Log> {
  const limits = { segmentBytesMax: 420, indexIntervalBytes: intervalBytes };
  return Log.open({ disk, directory, clock: stillClock, fsync: "always", ...limits });
}

const tails: Readonly<Record<string, readonly [readonly Piece[], "torn" | "zeros" | "stale"]>> = {
  "a torn batch": [[{ kind: "noise", bytes: 61 }], "torn"],
  zeros: [[{ kind: "zeros", bytes: 700 }], "zeros"],
  "a batch of the file's earlier life": [[good(1)], "stale"],
  "a header with damaged records": [[{ kind: "bad-body", plan: { offset: 6 } }], "torn"],
};

describe("recovering a log", () => {
  test("what no batch claims is cut off the file, and told", async () => {
    const closed = await diskOf({ 0: [good(0, 3), { kind: "zeros", bytes: 99 }], 3: [good(3)] });
    const { segments } = await recover(closed);
    const length = closed.peek(segmentPath(directory, 0))?.length;
    expectEqual("the length of a closed segment with zeros behind it", length, segments[0]?.endPosition);
    for (const [what, [tail, kind]] of Object.entries(tails)) {
      const pieces = [good(3), good(4, 2)];
      const end = new PiecedFile(pieces).bytes.length;
      const file = new PiecedFile([...pieces, ...tail]);
      const disk = await diskOf({ 0: [good(0, 3)], 3: file }, { recoveryOffset: 3 });
      const recovered = await recover(disk);
      const where = `${file.describe()}\n${ioTimeline(disk.trace)}`;
      const segment = segmentPath(directory, 3);
      expectEqual(`${what} behind the last batch: the length of the file`, disk.peek(segment)?.length, end, {
        where,
      });
      expectEqual(`${what}: records`, recordsOf(disk, recovered), linesOf(0, 6), { where });
      expectEqual(`${what}: the end of the log`, recovered.endOffset, 6, { where });
      const bytes = file.bytes.length - end;
      const finding = { kind: "tail-cut", tail: kind, segment, position: end, bytes, offset: 6 };
      expectEqual(`${what}: findings`, recovered.findings, [finding], { where });
      expectEqual(`${what}: what later recoveries know to be durable`, recovered.state.recoveryOffset, 6);
    }
  });

  test("the next append lands behind the last whole batch", async () => {
    for (const [what, [tail]] of Object.entries(tails)) {
      const disk = await diskOf({ 0: [good(0, 3), good(3), good(4, 2), ...tail] });
      const first = await recover(disk);
      await appendBehind(disk, first);
      const again = await recover(disk.restart({ kind: "nothing" }, {}));
      expectEqual(`${what}, then an append: findings`, again.findings, [], { where: ioTimeline(disk.trace) });
      expectEqual(`${what}, then an append: the end of the log`, again.endOffset, 7);
    }
  });

  test("the index describes the file as it is after the cut", async () => {
    const whole: Piece[] = [good(0, 2), good(2), good(3, 3), good(6)];
    const lost: Piece[] = [
      { kind: "bad-body", plan: { offset: 7, bytes: 300 } },
      good(8, 1, { bytes: 300, unsynced: 1 }),
      good(9, 1, { unsynced: 2 }),
    ];
    const disk = await diskOf({ 0: [...whole, ...lost] });
    const [segment] = (await recover(disk)).segments;
    if (segment === undefined) return fail("the log has no segment");
    const { index, endPosition } = segment;
    const end = new PiecedFile(whole).bytes.length;
    expectEqual("endPosition", endPosition, end);
    const memory = new MemoryFile(disk.peek(segmentPath(directory, 0))!);
    for (let offset = 0; offset < 7; offset++) {
      const located = await locateBatch(memory, index, offset, endPosition, crc32);
      expectEqual(`a look-up of offset ${offset} after the cut`, located.kind, "found");
    }
    const floor = index.floor(1000);
    expectThat(
      index.count === 0 || index.positionAt(floor) < end,
      "the index leads behind the end of the file",
      {
        expected: `positions below ${end}`,
        actual: `an entry for offset ${index.offsetAt(floor)} at position ${index.positionAt(floor)}`,
      },
    );
    // What is appended from now on is noted behind the last entry that is really there.
    index.note(7, end, 1, true);
    expectEqual("where the next batch is found", index.positionAt(index.floor(7)), end);
  });

  test("damage to what was stored is told, and nothing else is touched", async () => {
    for (const kind of ["bad-body", "bad-header"] as const) {
      const middle = [good(3), { kind, plan: { offset: 4, count: 2 } }, good(6)] as const;
      const segments = { 0: [good(0, 3)], 3: middle, 7: [good(7, 2, { unsynced: 0 }), good(9)] };
      const disk = await diskOf(segments);
      const before = disk.peek(segmentPath(directory, 3));
      const recovered = await recover(disk);
      const where = ioTimeline(disk.trace);
      const records = [...linesOf(0, 4), ...linesOf(6, 10)];
      expectEqual(`${kind} in segment 2 of 3: records`, recordsOf(disk, recovered), records, { where });
      expectEqual(`${kind}: the end of the log`, recovered.endOffset, 10, { where });
      const [position, endPosition] = [1, 2].map((piece) => new PiecedFile(middle).positions[piece]!);
      const range = { from: 4, to: 6, position, endPosition };
      expectEqual(`${kind}: damage`, recovered.damage, [range], { where });
      const finding = { kind: "damaged", segment: segmentPath(directory, 3), ...range };
      expectEqual(`${kind}: findings`, recovered.findings, [finding], { where });
      expectEqual(`${kind}: the bytes of the file`, disk.peek(segmentPath(directory, 3)), before, { where });
      const again = await recover(disk.restart({ kind: "nothing" }, {}));
      expectEqual(`${kind}, recovered once more: damage`, again.damage, [range]);
    }
    const twice: Piece[] = [
      { kind: "bad-body", plan: { offset: 0 } },
      good(1),
      { kind: "noise", bytes: 9 },
      good(4),
    ];
    const { damage, findings } = await recover(await diskOf({ 0: twice }));
    const told = findings.flatMap((each) => (each.kind === "damaged" ? [[each.from, each.to]] : []));
    expectEqual(
      "two damaged ranges: findings",
      told,
      damage.map(({ from, to }) => [from, to]),
    );
    expectEqual("two damaged ranges", told, [
      [0, 1],
      [2, 4],
    ]);
    const written = await writtenLog(9);
    written.flipBit(
      written.paths().find((path) => path.endsWith(".log"))!,
      batchHeaderBytes + 3,
    );
    const checked = await recover(written, "all");
    expectEqual("damage that is found when every batch is checked", describeDamage(checked.damage).length, 1);
  });

  test("segments behind a cut go, with their indexes", async () => {
    const torn = new PiecedFile([good(3), good(4, 2, { unsynced: 1 })], 190);
    const disk = await diskOf({
      0: [good(0, 3)],
      3: torn,
      6: [good(6, 1, { unsynced: 3 })],
      7: [good(7, 1, { unsynced: 4 })],
    });
    for (const base of [6, 7]) disk.poke(indexPath(directory, base), Uint8Array.of(1, 2, 3));
    const recovered = await recover(disk);
    const where = ioTimeline(disk.trace);
    expectEqual("records", recordsOf(disk, recovered), linesOf(0, 4), { where });
    const left = disk.paths().map((path) => path.slice(directory.length + 1));
    const expected = [segmentPath("", 0), segmentPath("", 3), "state"];
    expectEqual("files", left, expected, { where });
    const removed = recovered.findings.flatMap((each) =>
      each.kind === "segment-removed" ? [each.offset] : [],
    );
    expectEqual(
      "segments that are told to be removed",
      removed.toSorted((one, other) => one - other),
      [6, 7],
      { where },
    );
  });

  test("offsets that were durable and are lost are told, and what may be left of them stays", async () => {
    const pieces: Piece[] = [good(0, 3), good(3), { kind: "noise", bytes: 50 }];
    const disk = await diskOf({ 0: pieces }, { recoveryOffset: 6 });
    const before = disk.peek(segmentPath(directory, 0));
    const recovered = await recover(disk);
    const where = ioTimeline(disk.trace);
    expectEqual("the end of the log", recovered.endOffset, 6, { where });
    expectEqual(
      "damage",
      recovered.damage.map(({ from, to }) => [from, to]),
      [[4, 6]],
      { where },
    );
    expectEqual("the bytes of the file", disk.peek(segmentPath(directory, 0)), before, { where });
    const gone = await recover(await diskOf({ 5: [good(5)] }, { startOffset: 3 }));
    expectEqual(
      "a first segment that is missing",
      gone.damage.map(({ from, to }) => [from, to]),
      [[3, 5]],
    );
    const trimmed = await recover(await diskOf({ 0: [good(0, 3)], 3: [good(3, 4)] }, { startOffset: 5 }));
    expectEqual("records before the start are not missed", trimmed.damage, []);
    expectEqual("the start", trimmed.state.startOffset, 5);
    const early: Piece[] = [{ kind: "bad-body", plan: { offset: 0 } }, good(1), good(2)];
    const before3 = await recover(await diskOf({ 0: early }, { startOffset: 1 }));
    expectEqual("damage before the start is nobody's loss", before3.damage, []);
  });

  test("a log that was closed in order is opened without reading its records, and is not changed", async () => {
    const disk = await writtenLog(9);
    const before = filesOf(disk);
    const recovered = await recover(disk);
    const where = ioTimeline(disk.trace);
    expectEqual("findings", recovered.findings, [], { where });
    expectEqual("records", recordsOf(disk, recovered), linesOf(0, 9), { where });
    expectEqual("the last id", recovered.state.idMilliseconds, stillClock.wallTimeMs());
    const reads = disk.trace.filter((line) => /^\d+ read \S+\.log /.test(line));
    expectEqual("reads of records", reads, [], { where });
    expectThat(filesOf(disk) === before, "opening a log that is as it should be has changed its files", {
      where,
    });
    disk.poke(`${directory}/notes.txt`, Uint8Array.of(1));
    const other = (await recover(disk)).findings;
    expectEqual("a file of another name", other, [{ kind: "unknown-file", path: `${directory}/notes.txt` }]);
    expectEqual("its bytes", disk.peek(`${directory}/notes.txt`), Uint8Array.of(1));
    await disk.remove(`${directory}/notes.txt`);
    const all = await recover(disk, "all");
    expectEqual("records, when every batch is checked", recordsOf(disk, all), linesOf(0, 9), { where });
    expectEqual("findings, when every batch is checked", all.findings, []);
  });

  test("an index file is believed only as far as it goes", async () => {
    const written = await writtenLog(9);
    const indexes = written.paths().filter((path) => path.endsWith(".index"));
    expectThat(indexes.length >= 3, "the suite's own log has too few indexes");
    const spoil: Record<string, (disk: SimulatedDisk, path: string) => Promise<void>> = {
      missing: (disk, path) => disk.remove(path),
      "damaged in one bit": async (disk, path) => disk.flipBit(path, 20),
      empty: async (disk, path) => disk.poke(path, new Uint8Array(0)),
      "that of another segment": async (disk, path) =>
        disk.poke(path, disk.peek(indexes.find((each) => each !== path)!)!),
    };
    for (const [what, damage] of Object.entries(spoil)) {
      const disk = written.clone();
      for (const path of indexes) await damage(disk, path);
      const recovered = await recover(disk);
      expectEqual(`indexes that are ${what}: records`, recordsOf(disk, recovered), linesOf(0, 9));
      expectEqual(`indexes that are ${what}: damage`, recovered.damage, []);
    }
    // An index that goes further than what is known to be durable describes a file that may have been torn since.
    const torn = written.clone();
    torn.poke(`${directory}/state`, encodeState({ ...emptyState, recoveryOffset: 3 }, crc32));
    const last = torn.paths().findLast((each) => each.endsWith(".log"))!;
    torn.flipBit(last, torn.peek(last)!.length - 1);
    expectEqual(
      "the end of a log whose last batch is damaged, and was not known to be durable",
      (await recover(torn)).endOffset,
      8,
    );
    // The file ends before the place that its index tells of: what was durable is lost, and that is told.
    const disk = written.clone();
    const path = disk.paths().find((each) => each.endsWith(".log"))!;
    disk.poke(path, disk.peek(path)!.subarray(0, 150));
    const { endOffset, damage } = await recover(disk);
    expectEqual("the end of the log with a segment that is too short", endOffset, 9);
    expectThat(damage.length > 0, "the records that the segment has lost are not told");
  });

  test("a lost state is made again from the segments, with an epoch that none of them has seen", async () => {
    const segments = { 4: [good(4, 3, { epoch: 2 })], 7: [good(7, 1, { epoch: 5 })] };
    const disk = await diskOf(segments);
    await disk.remove(`${directory}/state`);
    const { state, endOffset, findings } = await recover(disk);
    const second = await recover(disk.restart({ kind: "nothing" }));
    expectEqual("what is found once more", [second.findings, second.state.epoch], [[], state.epoch]);
    expectEqual("start and end", [state.startOffset, endOffset], [4, 8]);
    expectThat(state.epoch > 5, "the epoch of new batches is one that was used", {
      expected: "more than 5",
      actual: String(state.epoch),
    });
    expectEqual(
      "the finding",
      findings.map(({ kind }) => kind),
      ["state-rebuilt"],
    );
    const fresh = await recover(new SimulatedDisk());
    expectEqual("a new log", [fresh.state.startOffset, fresh.endOffset, fresh.findings], [0, 0, []]);
    const later = await diskOf(segments, { epoch: 3, idMilliseconds: 5000, idSequence: 3 });
    const kept = (await recover(later)).state;
    expectEqual("epoch and last id", [kept.epoch, kept.idMilliseconds, kept.idSequence], [5, 5000, 3]);
    for (const [idSequence, newest] of [
      [3, 14],
      [99, 99],
    ] as const) {
      const same = await recover(await diskOf(segments, { idMilliseconds: 1007, idSequence }));
      expectEqual("the last id when the milliseconds are the same", same.state.idSequence, newest);
    }
  });

  test("an error of the disk reaches the caller, and spoils nothing", async () => {
    const make = (): Promise<SimulatedDisk> =>
      diskOf({
        0: [good(0, 3)],
        3: new PiecedFile([good(3), good(4)], 160),
        6: [good(6, 1, { unsynced: 3 })],
      });
    const whole = await make();
    const expected = logShown(whole, await recover(whole));
    for (let call = 0; call < whole.calls; call++) {
      const disk = await make();
      disk.replan({ faults: [{ call, kind: "fail", code: "input-output" }] });
      const options = { disk, directory, checksum: crc32, indexIntervalBytes: intervalBytes };
      const outcome = await settles(
        "recoverLog",
        recoverLog(options).then(
          () => "recovered",
          (error: unknown) => error,
        ),
        disk,
      );
      const where = ioTimeline(disk.trace);
      const [, operation] = /^\d+ (\w+)/.exec(disk.trace[call] ?? "") ?? [];
      if (!(outcome instanceof DiskError) && operation !== "close") {
        fail(`call ${call} (${operation}) of the recovery fails, and nobody is told`, {
          expected: "the disk's error",
          actual: formatValue(outcome),
          where,
        });
      }
      expectEqual("files left open after the error", disk.openFiles, 0, { where });
      disk.replan({});
      const next = disk.restart({ kind: "nothing" });
      expectEqual(`the log after an error of call ${call}`, logShown(next, await recover(next)), expected, {
        where,
      });
    }
  });
});

// ---------------------------------------------------------------------------------------------------------------
// Crashes

/** Three segments, of which nothing from `synced` on was synced; every name is durable. */
async function unsyncedLog(synced: number): Promise<SimulatedDisk> {
  const files: Record<number, Piece[]> = { 0: [], 5: [], 10: [] };
  for (let offset = 0; offset < 15; offset++) {
    files[offset < 5 ? 0 : offset < 10 ? 5 : 10]!.push(
      good(offset, 1, { unsynced: Math.max(0, offset - synced), bytes: 140 }),
    );
  }
  const disk = await diskOf({ 0: [], 5: [], 10: [] });
  for (const [base, pieces] of Object.entries(files)) {
    const file = await disk.open(segmentPath(directory, Number(base)), "read-write");
    const { bytes, positions } = new PiecedFile(pieces);
    const until = synced - Number(base);
    const position = until >= pieces.length ? bytes.length : until <= 0 ? 0 : positions[until]!;
    await file.write(bytes.subarray(0, position), 0);
    await file.sync();
    await file.write(bytes.subarray(position), position);
    await file.close();
  }
  disk.replan({});
  disk.trace.length = 0;
  return disk;
}

/** The log is the first so many records, at least `least` of them, and nothing of it is damaged. */
function expectPrefix(disk: SimulatedDisk, recovered: RecoveredLog, least: number): void {
  const offsets = recordsOf(disk, recovered).map((line) => Number.parseInt(line, 10));
  const where = ioTimeline(disk.trace);
  expectEqual(
    "offsets of the log",
    offsets,
    offsets.map((_, index) => index),
    { where },
  );
  expectEqual("damage in a log that only a crash has touched", recovered.damage, [], { where });
  if (recovered.endOffset < least) {
    fail("acknowledged records are gone", {
      expected: `all records before offset ${least}, which were synced and acknowledged`,
      actual: `the log ends at ${recovered.endOffset}`,
      where,
    });
  }
}

describe("crashes", () => {
  test("what was found in memory is durable before the log relies on it", async () => {
    const killed = (await unsyncedLog(4)).restart({ kind: "everything" });
    killed.replan({});
    const recovered = await recover(killed);
    const expected = logShown(killed, recovered);
    const trace = ioTimeline(killed.trace);
    const left = killed.restart({ kind: "nothing" });
    expectEqual(
      "the log when the power fails after the recovery",
      logShown(left, await recover(left)),
      expected,
      {
        where: `the first recovery\n${trace}`,
      },
    );
  });

  test("after a crash at any call of a writer, the log holds all that was acknowledged", async () => {
    const start = await writtenLog(3);
    await surviveEveryCrash(
      {
        start,
        makeNotes: () => ({ acknowledged: 3 }),
        run: async (disk, notes) => {
          const log = await openLog(disk);
          for (let number = 3; number < 7; number += 2) {
            log.append(batchOf([textOf(number), textOf(number + 1)]));
            await log.committed();
            notes.acknowledged = number + 2;
            disk.note(`acknowledged: the records before ${notes.acknowledged}`);
          }
        },
        check: async (disk, { acknowledged }) => {
          const recovered = await recover(disk);
          expectPrefix(disk, recovered, acknowledged);
          const lines = recordsOf(disk, recovered);
          expectEqual("records", lines, linesOf(0, recovered.endOffset), { where: ioTimeline(disk.trace) });
        },
      },
      { outcomes: 1, exhaustiveCallsMax: 80 },
    );
  });

  test("whatever survives of three segments that were not synced, the log is a prefix", async () => {
    for (const synced of [0, 3, 7, 12]) {
      const written = await unsyncedLog(synced);
      for (let outcome = 0; outcome < 15; outcome++) {
        const disk = written.clone().restart({ kind: "random", seed: seed * 1000 + outcome });
        expectPrefix(disk, await recover(disk), synced);
      }
    }
  });

  test("recovering twice gives the same log, and the second time there is nothing to do", async () => {
    for (let outcome = 0; outcome < 20; outcome++) {
      const disk = (await unsyncedLog(6)).restart({ kind: "random", seed: seed * 1000 + outcome });
      const first = await recover(disk);
      const expected = logShown(disk, first);
      const files = filesOf(disk);
      const next = disk.restart({ kind: "nothing" });
      const again = await recover(next);
      const where = ioTimeline(next.trace);
      expectEqual("the log after a second recovery", logShown(next, again), expected, { where });
      expectEqual("findings of the second recovery", again.findings, [], { where });
      expectThat(filesOf(next) === files, "the second recovery has changed files", { where });
      await appendBehind(next, again);
      const third = await recover(next.restart({ kind: "nothing" }));
      expectEqual("findings after one more append", third.findings, [], { where });
    }
  });

  test("a crash inside recovery changes nothing: the next one comes to the same log", async () => {
    // What proves that offset 3 was durable, and so must be reported and not cut, is a batch that is to be removed.
    const segments: Record<number, Piece[]> = {
      0: [good(0, 3)],
      3: [
        { kind: "bad-body", plan: { offset: 3, unsynced: 3 } },
        good(4, 1, { unsynced: 4 }),
        { kind: "bad-body", plan: { offset: 5, unsynced: 5 } },
      ],
      6: [good(6, 1, { unsynced: 1 })],
      7: [good(7, 1, { unsynced: 2 })],
    };
    const state = { startOffset: 1, epoch: 4, idMilliseconds: storedIdMilliseconds, idSequence: 2 };
    const proof = await diskOf(segments, state);
    const torn = await diskOf({
      0: [good(0, 3), { kind: "noise", bytes: 90 }],
      5: [good(5, 1, { unsynced: 5 })],
      6: [good(6, 1, { unsynced: 6 })],
    });
    for (const start of [proof, torn]) {
      const whole = start.clone();
      const expected = logShown(whole, await recover(whole));
      await surviveEveryCrash(
        {
          start,
          makeNotes: () => ({}),
          run: async (disk) =>
            void (await recoverLog({ disk, directory, checksum: crc32, indexIntervalBytes: intervalBytes })),
          check: async (disk) => {
            const recovered = await recover(disk);
            expectEqual("the log that the second recovery comes to", logShown(disk, recovered), expected, {
              where: `the second recovery\n${ioTimeline(disk.trace)}`,
            });
          },
        },
        { outcomes: 0 },
      );
    }
  });

  test("the power may fail inside a recovery that found records in memory only", async () => {
    const start = (await unsyncedLog(4)).restart({ kind: "everything" });
    start.replan({});
    const options = { directory, checksum: crc32, indexIntervalBytes: intervalBytes };
    await surviveEveryCrash(
      {
        start,
        makeNotes: () => ({}),
        run: async (disk) => void (await recoverLog({ disk, ...options })),
        check: async (disk) => expectPrefix(disk, await recover(disk), 4),
      },
      { outcomes: 1 },
    );
  });

  test("what was removed stays removed, also when the log grows up to its offsets again", async () => {
    const later = { 5: [good(5, 1, { unsynced: 3 })], 6: [good(6, 1, { unsynced: 4 })] };
    const disk = await diskOf({ 0: [], ...later });
    disk.poke(
      segmentPath(directory, 0),
      new PiecedFile([good(0, 2), good(2), { kind: "noise", bytes: 5 }]).bytes,
    );
    const recovered = await recover(disk);
    const last = recovered.segments.at(-1)!;
    expectEqual("the end of the log", [last.endOffset, recovered.endOffset], [3, 3]);
    const file = await disk.open(segmentPath(directory, 0), "read-write");
    await file.write(batch({ offset: 3, count: 2, epoch: 1 }), last.endPosition);
    await file.sync();
    await file.close();
    const left = disk.restart({ kind: "nothing" });
    const again = await recover(left);
    const where = `the first recovery and an append\n${ioTimeline(disk.trace)}`;
    expectEqual(
      "records after two offsets were given out again and the power failed",
      recordsOf(left, again),
      linesOf(0, 5),
      {
        where,
      },
    );
    expectEqual("findings", again.findings, [], { where });
  });
});
