/**
 * The suite of E2.1: one segment. The model is an array of batches; every byte of the file and every read must be what
 * the array says, whatever the disk does in between.
 */
import { describe, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { viewOf } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError } from "#reference/ports.ts";
import { SimulatedDisk, type DiskPlan } from "#reference/simulator/disk.ts";
import { AppendBuffers, largeChunkBytes, smallChunkBytes } from "#reference/storage/append-buffers.ts";
import {
  batchBytesAt,
  batchHeaderBytes,
  batchLayout,
  inspectBatch,
} from "#reference/storage/record-batch.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  expectThrows,
  fail,
  formatValue,
  run,
} from "#exercises/lib/check.ts";
import { seed } from "#exercises/lib/seed.ts";
import {
  batchFields,
  batchOf,
  batchTimestampMs,
  recordsIn,
  textOf,
  whereBatch,
} from "#exercises/lib/storage-batch.ts";
import {
  diskFiles,
  ioTimeline,
  quiet,
  settles,
  surviveEveryCrash,
  watch,
} from "#exercises/lib/storage-disk.ts";
import { TodoError } from "#exercises/lib/todo.ts";
import { offsetMax, Segment } from "./segment.ts";
import type { AppendContext, SegmentRead } from "./segment.ts";

/** A batch that was appended: what the model knows of it. */
interface Appended {
  readonly baseOffset: number;
  readonly position: number;
  /** The bytes as they must lie in the file. */
  readonly bytes: Uint8Array;
  readonly texts: readonly string[];
}

interface RigOptions {
  readonly baseOffset?: number;
  readonly plan?: DiskPlan;
  readonly buffers?: AppendBuffers;
  readonly indexIntervalBytes?: number;
  /** What the file holds already: a recycled one has old batches. */
  readonly before?: Uint8Array;
  readonly disk?: SimulatedDisk;
}

/** A segment on a simulated disk, with the model beside it. Call 0 of the plan is the first after opening the file. */
class Rig {
  readonly disk: SimulatedDisk;
  readonly segment: Segment;
  readonly buffers: AppendBuffers;
  readonly model: Appended[] = [];
  readonly context: AppendContext;

  private constructor(disk: SimulatedDisk, segment: Segment, buffers: AppendBuffers) {
    this.disk = disk;
    this.segment = segment;
    this.buffers = buffers;
    this.context = { epoch: 3, idMilliseconds: 5000, idSequence: 7, durableEnd: segment.baseOffset };
  }

  static async make(options: RigOptions = {}): Promise<Rig> {
    const { baseOffset = 0, plan = {}, buffers = new AppendBuffers(), indexIntervalBytes = 200 } = options;
    const disk = options.disk ?? new SimulatedDisk();
    if (options.before !== undefined) disk.poke("segment", options.before);
    const file = await disk.open("segment", "create");
    if (options.disk === undefined) disk.replan(plan);
    const segment = new Segment(file, baseOffset, { checksum: crc32, buffers, indexIntervalBytes });
    return new Rig(disk, segment, buffers);
  }

  get endOffset(): number {
    const last = this.model.at(-1);
    return last === undefined ? this.segment.baseOffset : last.baseOffset + last.texts.length;
  }

  get endPosition(): number {
    const last = this.model.at(-1);
    return last === undefined ? 0 : last.position + last.bytes.length;
  }

  /** Appends, holds the offset to the model, and gives the caller's bytes to somebody else at once. */
  append(texts: readonly string[], timestampsMs: readonly number[] = [], hasRoom = true): number {
    const batch = batchOf(texts, timestampsMs);
    const [baseOffset, position] = [this.endOffset, this.endPosition];
    const source = new Uint8Array(batch.length + 33).fill(0xaa).subarray(13);
    source.set(batch, 7);
    const name = `appending a batch of ${texts.length} records at offset ${baseOffset}`;
    const offset = run(
      name,
      () => this.segment.append(source, 7, 7 + batch.length, this.context),
      () => ({ where: this.#state() }),
    );
    source.fill(0xee);
    if (offset === -1 && !hasRoom) return -1;
    expectThat(offset === baseOffset, `${name} returned something else`, {
      expected: `${baseOffset}, the offset of its first record`,
      actual: formatValue(offset),
      where: this.#state(),
    });
    const bytes = modelStored(batch, baseOffset, texts.length, this.context);
    this.model.push({ baseOffset, position, bytes, texts });
    return offset;
  }

  write(): Promise<void> {
    return settles("write", this.segment.write(), this.disk);
  }

  /** All texts of the model with their offsets, as `recordsIn` shows them, from one offset up to another. */
  lines(from: number, to = this.endOffset): string[] {
    return this.model
      .flatMap(({ baseOffset, texts }) => texts.map((text, index) => ({ offset: baseOffset + index, text })))
      .filter(({ offset }) => offset >= from && offset < to)
      .map(({ offset, text }) => `${offset} ${text}`);
  }

  async read(
    offset: number,
    maxBytes = 1e6,
    visibleEnd = Infinity,
    target?: Uint8Array,
  ): Promise<SegmentRead> {
    return settles(
      `reading ${maxBytes} bytes at offset ${offset}`,
      this.segment.read(offset, maxBytes, visibleEnd, target),
      this.disk,
    );
  }

  /** A read that must bring batches, held to the model. Returns them. */
  async expectRead(
    offset: number,
    maxBytes = 1e6,
    visibleEnd = Infinity,
  ): Promise<SegmentRead & { kind: "batches" }> {
    const result = await this.read(offset, maxBytes, visibleEnd);
    const name = `a read of ${maxBytes} bytes at offset ${offset}${visibleEnd === Infinity ? "" : `, visible up to ${visibleEnd}`}`;
    if (result.kind !== "batches")
      fail(`${name} found damage where there is none`, { actual: formatValue(result), where: this.#state() });
    this.expectRun(name, result, offset);
    return result;
  }

  /** The bytes must be whole batches of the model, the first of which holds `offset`. */
  expectRun(name: string, { bytes, nextOffset }: SegmentRead & { kind: "batches" }, offset: number): void {
    if (bytes.length === 0) {
      expectEqual(`${name}, which brought nothing: its next offset`, nextOffset, offset);
      return;
    }
    const first = this.model.findIndex((batch) => batch.baseOffset + batch.texts.length > offset);
    let at = 0;
    let index = first;
    for (; at < bytes.length && index < this.model.length; index++) {
      const expected = this.model[index]!.bytes;
      expectBytes(
        `${name}: batch ${index}, at byte ${at} of the result`,
        bytes.slice(at, at + expected.length),
        expected,
        batchFields,
      );
      at += expected.length;
    }
    expectThat(at === bytes.length, `${name} brought more than there is`, {
      expected: `${at} bytes`,
      actual: `${bytes.length} bytes`,
      where: whereBatch(bytes, at, "left over"),
    });
    const last = this.model[index - 1]!;
    expectEqual(`${name}: its next offset`, nextOffset, last.baseOffset + last.texts.length);
  }

  /** The ends of the segment, which must be those of the model; `written` says how many batches are in the file. */
  expectEnds(when: string, written: number): void {
    const last = this.model[written - 1];
    const expected = {
      endOffset: this.endOffset,
      endPosition: this.endPosition,
      writtenOffset: last === undefined ? this.segment.baseOffset : last.baseOffset + last.texts.length,
      writtenPosition: last === undefined ? 0 : last.position + last.bytes.length,
    };
    const { endOffset, endPosition, writtenOffset, writtenPosition } = this.segment;
    const actual = { endOffset, endPosition, writtenOffset, writtenPosition };
    expectEqual(`the ends ${when}`, actual, expected, { where: ioTimeline(this.disk.trace) });
  }

  /** The file must be the first `count` batches, back to back. */
  expectFile(when: string, count = this.model.length): void {
    const file = this.disk.peek("segment")!;
    for (const { position, bytes, baseOffset } of this.model.slice(0, count)) {
      const actual = file.slice(position, position + bytes.length);
      expectBytes(
        `the file ${when}: the batch of offset ${baseOffset}, from position ${position}`,
        actual,
        bytes,
        batchFields,
      );
    }
  }

  #state(): string {
    const { endOffset, endPosition, writtenOffset, writtenPosition } = this.segment;
    const ends = `ends: offset ${endOffset} at ${endPosition}; written: offset ${writtenOffset} at ${writtenPosition}`;
    return `${ends}\n${ioTimeline(this.disk.trace)}\n${diskFiles(this.disk)}`;
  }
}

/** The bytes of a batch as the log stores them: the stamp in front, the producer's part as it came. */
function modelStored(
  batch: Uint8Array,
  baseOffset: number,
  count: number,
  context: AppendContext,
): Uint8Array {
  const bytes = batch.slice();
  const view = viewOf(bytes);
  view.setBigUint64(batchLayout.baseOffset, BigInt(baseOffset));
  view.setUint32(batchLayout.epoch, context.epoch);
  view.setBigUint64(batchLayout.idMilliseconds, BigInt(context.idMilliseconds));
  view.setUint32(batchLayout.idSequence, context.idSequence);
  view.setUint32(batchLayout.lastOffsetDelta, count - 1);
  view.setUint32(batchLayout.unsyncedBefore, baseOffset - context.durableEnd);
  view.setUint32(batchLayout.headerCrc, crc32(bytes, 0, batchLayout.headerCrc));
  return bytes;
}

/** Batches of random sizes. */
function randomTexts(random: SeededRandom, first: number): string[] {
  return Array.from({ length: random.nextBetween(1, 5) }, (_, index) => textOf(first + index));
}

/** The error that a promise rejects with; it must. */
async function rejection(what: string, promise: Promise<unknown>, disk: SimulatedDisk): Promise<DiskError> {
  const result = await settles(
    what,
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
    disk,
  );
  if ("value" in result)
    fail(`${what} succeeded although the disk failed`, {
      expected: "a rejection with the disk's error",
      where: ioTimeline(disk.trace),
    });
  if (result.error instanceof TodoError) throw result.error;
  if (!(result.error instanceof DiskError))
    fail(`${what} rejected with something else than the disk's error`, {
      expected: "the DiskError",
      actual: formatValue(result.error),
    });
  return result.error;
}

describe("appending", () => {
  test("each batch begins at the offset where the one before it ended", async () => {
    for (const baseOffset of [0, 1, 100, 2 ** 32 - 1]) {
      const rig = await Rig.make({ baseOffset });
      rig.append(["a"]);
      rig.append(["b", "c"]);
      rig.append(["d", "e", "f", "g", "h"]);
      rig.append(["i"]);
      rig.expectEnds("after batches of 1, 2, 5 and 1 records that nobody has written", 0);
    }
  });

  test("the first 44 bytes are stamped, and what the producer summed stays as it was", async () => {
    const rig = await Rig.make({ baseOffset: 100 });
    rig.append(["hello"]);
    rig.context.idMilliseconds = 2 ** 47;
    rig.context.idSequence = 9;
    rig.append(["a", "b", "c"]);
    rig.context.epoch = 4;
    rig.context.durableEnd = 101;
    rig.append(["d"]);
    await rig.write();
    rig.expectFile("after three appends and a write");
    expectEqual("the length of the file", rig.disk.peek("segment")!.length, rig.endPosition);
  });

  test("offsets are exact up to the last one, and then there are none", async () => {
    const rig = await Rig.make({ baseOffset: offsetMax - 3 });
    rig.append(["a", "b"]);
    rig.append(["c"]);
    rig.append(["d"]);
    await rig.write();
    rig.expectFile("with the last offsets that there are");
    for (let offset = offsetMax - 3; offset <= offsetMax; offset++) {
      const { bytes } = await rig.expectRead(offset, 1);
      expectEqual(
        `the records from offset ${offset} on`,
        recordsIn(bytes, offset),
        rig.lines(offset, offset < offsetMax - 1 ? offsetMax - 1 : offset + 1),
      );
    }
    const batch = batchOf(["e"]);
    expectThrows("a batch got an offset beyond the last one", () =>
      rig.segment.append(batch, 0, batch.length, rig.context),
    );
    rig.expectEnds("after a batch that was refused", 3);
  });

  test("without a buffer the batch is refused with -1, and nothing has changed", async () => {
    const rig = await Rig.make({ buffers: new AppendBuffers(smallChunkBytes) });
    const big = "x".repeat(40_000);
    rig.append([big]);
    const { maxTimestamp } = rig.segment;
    rig.context.idMilliseconds = 6000;
    expectEqual("the result of an append without room", rig.append([big], [batchTimestampMs + 5], false), -1);
    rig.expectEnds("after a batch that was refused", 0);
    expectEqual(
      "the largest timestamp and the entries of the index after a batch that was refused",
      [rig.segment.maxTimestamp, rig.segment.index.count, rig.segment.idMilliseconds],
      [maxTimestamp, 1, 5000],
    );
    await rig.write();
    rig.append([big]);
    await rig.write();
    rig.expectFile("when there was room again");
    const far = new Uint8Array(2 * smallChunkBytes);
    const batch = batchOf(["far"]);
    far.set(batch, far.length - batch.length);
    const offset = rig.segment.append(far, far.length - batch.length, far.length, rig.context);
    expectEqual("the offset of a small batch at the end of a large array", offset, 2);
  });

  test("every batch is noted in the index with its offset, its position and its largest timestamp", async () => {
    const rig = await Rig.make({ baseOffset: 50, indexIntervalBytes: 1 });
    expectEqual("the largest timestamp of an empty segment", rig.segment.maxTimestamp, -1);
    rig.append(["a", "b", "c"], [500, 900, 300]);
    expectEqual("the largest timestamp of records of 500, 900 and 300", rig.segment.maxTimestamp, 900);
    rig.append(["d"], [700]);
    expectEqual("the largest timestamp after a batch of 700", rig.segment.maxTimestamp, 900);
    rig.append(["e", "f"], [950, 100]);
    expectEqual("the largest timestamp after a batch of 950 and 100", rig.segment.maxTimestamp, 950);
    const { index } = rig.segment;
    const entries = Array.from({ length: index.count }, (_, entry) => [
      index.offsetAt(entry),
      index.positionAt(entry),
    ]);
    expectEqual(
      "offsets and positions in the index",
      entries,
      rig.model.map(({ baseOffset, position }) => [baseOffset, position]),
    );
    expectEqual("the time of the last append", rig.segment.idMilliseconds, 5000);
  });
});

describe("writing", () => {
  test("append moves the ends, and only a write that is done moves the written ends", async () => {
    const rig = await Rig.make({ baseOffset: 10 });
    rig.append(["a", "b"]);
    rig.expectEnds("after an append", 0);
    expectEqual("the calls to the disk after an append", rig.disk.calls, 0);
    await rig.write();
    rig.expectEnds("after the write", 1);
    rig.append(["c"]);
    rig.append(["d"]);
    rig.expectEnds("after two more appends", 1);
    expectEqual("gatheredBytes", rig.segment.gatheredBytes, rig.endPosition - rig.model[0]!.bytes.length);
    await rig.write();
    rig.expectEnds("after the second write", 3);
    rig.expectFile("after the second write");
  });

  test("many batches take one call, and a write of nothing takes none", async () => {
    const rig = await Rig.make();
    await rig.write();
    for (let number = 0; number < 100; number++) rig.append(["x"]);
    await rig.write();
    await rig.write();
    expectEqual("calls of write for 100 small batches", rig.disk.counts["write"], 1, {
      where: ioTimeline(rig.disk.trace),
    });
    expectEqual("calls in all", rig.disk.calls, 1, { where: ioTimeline(rig.disk.trace) });
    rig.expectFile("after one write of 100 batches");
  });

  test("a batch is never split over two calls, and each call goes on where the last one ended", async () => {
    const rig = await Rig.make();
    const sizes = [
      30_000,
      30_000,
      30_000,
      400_000,
      500_000,
      400_000,
      10,
      1_500_000,
      10,
      smallChunkBytes,
      largeChunkBytes,
    ];
    for (const size of sizes) rig.append(["x".repeat(size)]);
    await rig.write();
    rig.expectFile("after batches of many sizes");
    rig.expectEnds("after batches of many sizes", sizes.length);
    const starts = new Set(rig.model.map(({ position }) => position));
    let end = 0;
    for (const line of rig.disk.trace) {
      const call = /write segment (\d+) bytes at (\d+)/.exec(line);
      if (call === null) continue;
      const [bytes, position] = [Number(call[1]), Number(call[2])];
      expectThat(
        starts.has(position) && position === end,
        `a call of write does not begin where a batch begins: ${line}`,
        { where: ioTimeline(rig.disk.trace) },
      );
      end = position + bytes;
    }
    expectEqual("buffers held after the write", rig.buffers.heldBytes, 0);
  });

  test("a write that the disk cuts short is continued", async () => {
    for (const bytes of [1, 7, 44, 100, 300]) {
      const faults = [0, 1, 2].map((call) => ({ call, kind: "short", bytes }) as const);
      const rig = await Rig.make({ plan: { faults } });
      rig.append(["hello", "world"]);
      rig.append(["x".repeat(700)]);
      await rig.write();
      rig.expectFile(`after three writes of at most ${bytes} bytes each`);
      rig.expectEnds("after short writes", 2);
      expectEqual("the records", recordsIn((await rig.expectRead(0)).bytes), rig.lines(0));
    }
  });

  test("what is appended during a write waits for the next one, and does not count as written", async () => {
    for (const held of [0, 1]) {
      let release = (): void => {};
      const gate = new Promise<void>((resolve) => (release = resolve));
      const rig = await Rig.make({ plan: { gate: ({ number }) => (number === held ? gate : undefined) } });
      rig.append(["a"]);
      if (held === 1) await rig.write();
      if (held === 1) rig.append(["b", "c"]);
      const inFlight = rig.segment.write();
      await quiet();
      rig.append(["late"]);
      for (let number = 0; number < 6; number++) rig.append(["later".repeat(200)]);
      const second = rig.segment.write();
      const secondState = watch(second);
      rig.expectEnds("while the write is in flight", held);
      release();
      await settles("the first write", inFlight, rig.disk);
      const first = rig.model[held]!;
      expectThat(
        rig.segment.writtenOffset >= first.baseOffset + first.texts.length,
        "the write is done and its batches do not count as written",
        { where: ioTimeline(rig.disk.trace) },
      );
      await settles("the write that was asked for meanwhile", second, rig.disk);
      expectEqual("the second write", secondState.state(), "settled");
      rig.expectEnds("after the second write", held + 8);
      rig.expectFile("after the second write");
      expectEqual("the records", recordsIn((await rig.expectRead(0, 1e8)).bytes), rig.lines(0));
    }
  });

  test("a write that was asked for during another one covers all that was appended before it", async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const rig = await Rig.make({ plan: { gate: ({ number }) => (number === 1 ? gate : undefined) } });
    rig.append(["a"]);
    const first = rig.segment.write();
    await quiet(1);
    rig.append(["b"]);
    const second = rig.segment.write();
    const third = rig.segment.write();
    const states = [watch(second), watch(third)];
    await settles("the first write", first, rig.disk);
    await quiet();
    expectEqual(
      "the writes whose batch the disk still holds back",
      states.map(({ state }) => state()),
      ["pending", "pending"],
      { where: ioTimeline(rig.disk.trace) },
    );
    release();
    await settles("the second write", second, rig.disk);
    await settles("the third write", third, rig.disk);
    rig.expectEnds("after all writes", 2);
    expectEqual("calls of write", rig.disk.counts["write"], 2, { where: ioTimeline(rig.disk.trace) });
  });

  test("50 appends with writes between them, none waited for, end up in order and whole", async () => {
    for (let timing = 0; timing < 8; timing++) {
      const rig = await Rig.make({ plan: { timingSeed: seed + timing } });
      const random = new SeededRandom(seed + timing);
      const writes: Promise<void>[] = [];
      for (let number = 0; number < 50; number++) {
        rig.append([textOf(number), ...(number % 3 === 0 ? ["more"] : [])]);
        if (random.nextChance(0.7)) writes.push(rig.segment.write());
        for (let turn = random.nextBetween(0, 9); turn > 0; turn--) await Promise.resolve();
      }
      writes.push(rig.segment.write());
      for (const write of writes) await settles("a write", write, rig.disk);
      rig.expectEnds("after all writes", 50);
      rig.expectFile("after 50 appends with writes between them");
      expectEqual("buffers held", rig.buffers.heldBytes, 0);
    }
  });

  test("a failed write keeps what is left, and a second try writes it once", async () => {
    for (const code of ["no-space", "input-output"] as const) {
      // Two chunks: the first goes through, the second fails.
      const rig = await Rig.make({ plan: { faults: [{ call: 1, kind: "fail", code }] } });
      rig.append(["x".repeat(50_000)]);
      rig.append(["y".repeat(50_000), "z"]);
      const writing = rig.segment.write();
      rig.append(["meanwhile"]);
      const asked = rig.segment.write().then(
        () => "resolved" as const,
        () => "rejected" as const,
      );
      const error = await rejection("the write", writing, rig.disk);
      // Whoever asked meanwhile may be refused too, or tried again for; but not told that all is well when it is not.
      const answer = await settles("the write that was asked for during a failed one", asked, rig.disk);
      if (answer === "resolved") {
        rig.expectEnds("when a write has resolved that was asked for during a failed one", 3);
        continue;
      }
      expectEqual("the code of the error", error.code, code);
      rig.expectEnds("after the second of two calls has failed", 1);
      rig.append(["later"]);
      rig.expectEnds("after one more append", 1);
      await rig.write();
      rig.expectEnds("after a second try", 4);
      rig.expectFile("after a second try");
      expectEqual("buffers held", rig.buffers.heldBytes, 0);
    }
  });

  test("after a failed write and a discard, the offsets are given out again", async () => {
    const rig = await Rig.make();
    rig.append(["kept"]);
    await rig.write();
    const mark = rig.segment.mark();
    rig.append(["lost", "lost too"]);
    rig.disk.replan({ faults: [{ call: 0, kind: "fail", code: "no-space" }] });
    await rejection("the write", rig.segment.write(), rig.disk);
    const discarded = rig.segment.discard(mark);
    rig.model.pop();
    rig.append(["next"]);
    await settles("the discard", discarded, rig.disk);
    await rig.write();
    rig.expectEnds("after the discard and another append", 2);
    expectEqual("the records", recordsIn((await rig.expectRead(0)).bytes), ["0 kept", "1 next"]);
    expectEqual("buffers held", rig.buffers.heldBytes, 0);
  });

  test("a crash at any call leaves whole batches in order, and all that were synced", async () => {
    const texts = [["a"], ["b".repeat(700), "c"], ["d"], ["e".repeat(1200)], ["f", "g", "h"], ["i"]];
    const model: Appended[] = [];
    await surviveEveryCrash(
      {
        makeNotes: () => ({ safe: 0 }),
        run: async (disk, notes) => {
          const rig = await Rig.make({ disk });
          await disk.syncDirectory("");
          for (const [index, batch] of texts.entries()) {
            rig.append(batch);
            if (index % 2 === 0) continue;
            await rig.segment.write();
            await rig.segment.file.sync();
            notes.safe = index + 1;
            disk.note(`batches 0 to ${index} are synced`);
          }
          model.splice(0, model.length, ...rig.model);
        },
        check: async (disk, { safe }) => {
          const file = disk.peek("segment") ?? new Uint8Array(0);
          let [count, at] = [0, 0];
          for (; count < model.length; count++) {
            const found = inspectBatch(file, at, file.length, crc32);
            if (found.kind !== "intact") break;
            const { bytes } = model[count]!;
            expectBytes(
              `batch ${count}, which is whole,`,
              file.slice(at, at + bytes.length),
              bytes,
              batchFields,
            );
            at += bytes.length;
          }
          expectThat(count >= safe, `batch ${count} was synced and is not there`, {
            expected: `${safe} whole batches`,
            actual: `${count} whole batches, up to position ${at}`,
            where: whereBatch(file, at, `batch ${count} should begin here`),
          });
        },
      },
      { outcomes: 6 },
    );
  });
});

describe("reading", () => {
  test("every offset reads as the model says, for batches and reads of any size", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 12; round++) {
      const baseOffset = random.pick([0, 50, 2 ** 40]);
      const rig = await Rig.make({
        baseOffset,
        plan: { timingSeed: round },
        indexIntervalBytes: random.pick([1, 200, 1000]),
      });
      for (let batch = 0; batch < 20; batch++) {
        rig.append(randomTexts(random, rig.endOffset - baseOffset));
        if (random.nextChance(0.5)) await rig.write();
      }
      await rig.write();
      const offsets = Array.from({ length: rig.endOffset - baseOffset }, (_, index) => baseOffset + index);
      for (const offset of round % 2 === 0 ? offsets : offsets.toReversed()) {
        const maxBytes = random.pick([0, 1, 79, 80, 100, 500, 5000]);
        const { bytes } = await rig.expectRead(offset, maxBytes);
        expectThat(bytes.length > 0, `a read of ${maxBytes} bytes at offset ${offset} brought nothing`, {
          where: ioTimeline(rig.disk.trace),
        });
      }
    }
  });

  test("at the end there is nothing, and the next offset is the one asked for", async () => {
    const rig = await Rig.make({ baseOffset: 5 });
    await rig.expectRead(5);
    rig.append(["a"]);
    await rig.write();
    const { bytes } = await rig.expectRead(6);
    expectEqual("bytes at the end", bytes.length, 0);
    expectEqual("bytes beyond the end", (await rig.expectRead(9)).bytes.length, 0);
    const refused = await settles(
      "a read before the first offset of the segment",
      rig.segment.read(4, 10, Infinity).then(
        () => undefined,
        (error: unknown) => ({ error }),
      ),
    );
    if (refused?.error instanceof TodoError) throw refused.error;
    expectThat(refused !== undefined, "a read before the first offset of the segment was answered", {
      expected: "an AssertionError: the log asked the wrong segment",
    });
  });

  test("nothing is shown that is not in the file, however the write goes", async () => {
    const rig = await Rig.make();
    rig.append(["a", "b"]);
    expectEqual("bytes before the first write", (await rig.expectRead(0)).bytes.length, 0);
    expectEqual(
      "bytes in the middle of a batch that is not written",
      (await rig.expectRead(1)).bytes.length,
      0,
    );
    await rig.write();
    rig.append(["c"]);
    expectEqual("the records while c is not written", recordsIn((await rig.expectRead(0)).bytes), [
      "0 a",
      "1 b",
    ]);
    for (let timing = 0; timing < 20; timing++) await readDuringWrites(seed + timing);
  });

  test("nothing is shown past the visible end, and no batch that goes beyond it", async () => {
    const rig = await Rig.make({ baseOffset: 10 });
    rig.append(["a"]);
    rig.append(["b", "c", "d"]);
    rig.append(["e"]);
    await rig.write();
    for (const [visibleEnd, offset, expected] of [
      [11, 10, ["10 a"]],
      [14, 10, ["10 a", "11 b", "12 c", "13 d"]],
      [14, 12, ["12 c", "13 d"]],
      [15, 11, ["11 b", "12 c", "13 d", "14 e"]],
      [11, 11, []],
      [11, 14, []],
      [14, 14, []],
      [10, 10, []],
    ] as const) {
      const { bytes } = await rig.expectRead(offset, 1e6, visibleEnd);
      expectEqual(
        `the records from ${offset} on, visible up to ${visibleEnd}`,
        recordsIn(bytes, offset),
        expected,
      );
      expectEqual(
        `the records from ${offset} on when all is visible again`,
        recordsIn((await rig.expectRead(offset)).bytes, offset),
        rig.lines(offset),
      );
    }
    for (const visibleEnd of [12, 13]) {
      const { bytes } = await rig.expectRead(10, 1e6, visibleEnd);
      expectEqual(
        `the records from 10 on, visible up to ${visibleEnd}, inside a batch`,
        recordsIn(bytes, 10),
        ["10 a"],
      );
    }
  });

  test("a read brings at least one batch and otherwise no more than was asked for", async () => {
    const rig = await Rig.make({ baseOffset: 2 ** 40, indexIntervalBytes: 100_000 });
    for (const size of [5000, 10, 10, 3000, 10]) rig.append(["x".repeat(size)]);
    await rig.write();
    for (const { baseOffset, bytes: batch } of rig.model) {
      for (const maxBytes of [
        0,
        1,
        40,
        79,
        80,
        batch.length - 1,
        batch.length,
        batch.length + 1,
        batch.length + 200,
        6000,
      ]) {
        const { bytes } = await rig.expectRead(baseOffset, maxBytes);
        const lengths = rig.model
          .filter((each) => each.baseOffset >= baseOffset)
          .map((each) => each.bytes.length);
        let expected = lengths[0]!;
        for (const length of lengths.slice(1)) {
          if (expected + length > maxBytes) break;
          expected += length;
        }
        expectThat(bytes.length === expected, `a read of ${maxBytes} bytes at offset ${baseOffset}`, {
          expected: `${expected} bytes: as many whole batches as fit, and at least one`,
          actual: `${bytes.length} bytes`,
        });
      }
    }
  });

  test("old batches behind the end of a recycled file are never shown", async () => {
    const old = await Rig.make();
    for (let number = 0; number < 12; number++) old.append([textOf(number)]);
    await old.write();
    const before = old.disk.peek("segment")!;
    const rig = await Rig.make({ before });
    expectEqual("bytes before the first write", (await rig.expectRead(0)).bytes.length, 0);
    // The same offsets and the same sizes: only the end tells the new from the old.
    for (let number = 0; number < 5; number++) {
      rig.append([textOf(number)]);
      expectEqual(
        `bytes at offset ${number}, which is not written yet`,
        (await rig.expectRead(number)).bytes.length,
        0,
      );
      await rig.write();
      expectEqual("the records", recordsIn((await rig.expectRead(0)).bytes), rig.lines(0));
      expectEqual("bytes behind the end", (await rig.expectRead(number + 1)).bytes.length, 0);
    }
  });

  test("damage is reported, not returned, and what is good before it is still shown", async () => {
    for (const [field, at] of [
      ["length", 0],
      ["length", 2],
      ["baseOffset", 11],
      ["lastOffsetDelta", 31],
      ["headerCrc", 41],
    ] as const) {
      const rig = await Rig.make({ indexIntervalBytes: 100_000 });
      for (let number = 0; number < 4; number++) rig.append([textOf(number)]);
      await rig.write();
      rig.disk.flipBit("segment", rig.model[2]!.position + at, at === 0 ? 7 : 1);
      const good = await rig.expectRead(0);
      expectEqual(
        `the records before a batch whose ${field} is damaged`,
        recordsIn(good.bytes),
        rig.lines(0, 2),
      );
      for (const maxBytes of [10, 1e6]) {
        const result = await rig.read(2, maxBytes);
        expectBoundedReads(rig);
        expectThat(result.kind === "broken", `a read of the batch whose ${field} is damaged`, {
          expected: "kind broken",
          actual: formatValue(result),
          where: whereBatch(rig.disk.peek("segment")!, rig.model[2]!.position, "this batch"),
        });
      }
      const behind = await rig.read(3);
      expectEqual(`a read past the batch whose ${field} is damaged`, behind.kind, "broken");
    }
    await expectSwappedIsBroken();
    const rig = await Rig.make();
    for (let number = 0; number < 3; number++) rig.append([textOf(number)]);
    await rig.write();
    // Batches that are whole and stand at the wrong place: the third one twice.
    const third = rig.model[2]!;
    const file = await rig.disk.open("segment", "read-write");
    await file.write(third.bytes, rig.model[1]!.position);
    expectEqual(
      "the records before a batch that stands at the wrong place",
      recordsIn((await rig.expectRead(0)).bytes),
      rig.lines(0, 1),
    );
  });

  test("a file that has lost its end is reported", async () => {
    for (const lost of [1, 30, 80]) {
      const rig = await Rig.make();
      rig.append(["a"]);
      rig.append(["b"]);
      await rig.write();
      const file = await rig.disk.open("segment", "read-write");
      await file.truncate(rig.endPosition - lost);
      expectEqual("the records before the end that is lost", recordsIn((await rig.expectRead(0)).bytes), [
        "0 a",
      ]);
      const result = await rig.read(1);
      expectEqual(`a read of the batch of which ${lost} bytes are lost`, result.kind, "broken", {
        where: ioTimeline(rig.disk.trace),
      });
    }
  });

  test("a read that the disk cuts short is continued", async () => {
    const rig = await Rig.make();
    for (let number = 0; number < 6; number++) rig.append([textOf(number)]);
    await rig.write();
    for (const bytes of [1, 40, 80, 200]) {
      rig.disk.replan({ faults: Array.from({ length: 12 }, (_, call) => ({ call, kind: "short", bytes })) });
      expectEqual(
        `the records, read with at most ${bytes} bytes a call`,
        recordsIn((await rig.expectRead(0, 1e6)).bytes),
        rig.lines(0),
      );
      rig.disk.replan({ faults: Array.from({ length: 12 }, (_, call) => ({ call, kind: "short", bytes })) });
      expectThat((await rig.expectRead(3, 50)).bytes.length > 0, "a short read brought nothing");
    }
  });

  test("the bytes are in the caller's buffer when it is large enough, and otherwise the caller's own", async () => {
    const rig = await Rig.make();
    for (let number = 0; number < 6; number++) rig.append([textOf(number)]);
    await rig.write();
    const target = new Uint8Array(1050).fill(0xbb).subarray(20, 1020);
    for (const offset of [0, 3]) {
      const result = await rig.read(offset, 1000, Infinity, target);
      if (result.kind !== "batches") fail("a read into a buffer", { actual: formatValue(result) });
      rig.expectRun("a read into a buffer", result, offset);
      expectThat(
        result.bytes.buffer === target.buffer,
        "a read of at most 1000 bytes with a buffer of 1000 made room of its own",
        { expected: "a view of the buffer", actual: "other memory" },
      );
    }
    const around = new Uint8Array(target.buffer);
    const isKept = [...around.subarray(0, 20), ...around.subarray(1020)].every((byte) => byte === 0xbb);
    expectThat(isKept, "a read wrote outside the caller's buffer, which is a window on a larger one");
    const small = await rig.read(0, 1000, Infinity, new Uint8Array(10));
    if (small.kind !== "batches")
      fail("a read with a buffer that is too small", { actual: formatValue(small) });
    rig.expectRun("a read with a buffer that is too small", small, 0);
    const first = await rig.expectRead(0, 200);
    const kept = first.bytes.slice();
    await rig.expectRead(2, 200);
    expectBytes("the bytes of a read after another read", first.bytes, kept);
  });

  test("a consumer that reads on needs one call for each read", async () => {
    const rig = await Rig.make({ indexIntervalBytes: 16_384 });
    for (let number = 0; number < 60; number++) rig.append([textOf(number)]);
    await rig.write();
    const before = rig.disk.counts["read"] ?? 0;
    let reads = 0;
    for (let offset = 0; offset < 60; reads++) {
      const { bytes, nextOffset } = await rig.expectRead(offset, 400);
      expectThat(bytes.length > 0, `nothing to read at offset ${offset}`);
      offset = nextOffset;
    }
    const calls = (rig.disk.counts["read"] ?? 0) - before;
    expectThat(calls <= reads + 1, `${reads} reads, each where the last one ended, took ${calls} calls`, {
      expected: `at most ${reads + 1}: the position is known`,
      actual: `${calls}`,
      where: ioTimeline(rig.disk.trace),
    });
    // Elsewhere: the look-up and the batches, and for a batch larger than the read one more each.
    const readAt = async (offset: number, maxBytes: number): Promise<number> => {
      const start = rig.disk.counts["read"] ?? 0;
      await rig.expectRead(offset, maxBytes);
      return (rig.disk.counts["read"] ?? 0) - start;
    };
    const far = await readAt(31, 400);
    expectThat(far <= 4, "a read at an offset that nobody has read", {
      expected: "at most 4 calls",
      actual: `${far} calls`,
      where: ioTimeline(rig.disk.trace),
    });
  });
});

/** A length in damaged bytes is a claim: no call may ask for more than the file holds. */
function expectBoundedReads(rig: Rig): void {
  for (const line of rig.disk.trace) {
    const call = /read segment (\d+) bytes/.exec(line);
    if (call === null || Number(call[1]) <= Math.max(rig.endPosition, batchHeaderBytes)) continue;
    fail(`a damaged length was believed: ${line}`, {
      expected: `at most ${rig.endPosition} bytes, which is all that was written`,
      where: ioTimeline(rig.disk.trace),
    });
  }
}

/** Batches that are whole and stand where the index says that another one is. */
async function expectSwappedIsBroken(): Promise<void> {
  for (const source of [0, 2]) {
    const rig = await Rig.make({ indexIntervalBytes: 1 });
    for (const text of ["a", "b", "c"]) rig.append([text]);
    await rig.write();
    const file = await rig.disk.open("segment", "read-write");
    await file.write(rig.model[source]!.bytes, rig.model[1]!.position);
    const result = await rig.read(1, 10);
    expectThat(result.kind === "broken", `a read at offset 1, where the batch of offset ${source} lies`, {
      expected: "kind broken",
      actual: formatValue(result),
      where: whereBatch(
        rig.disk.peek("segment")!,
        rig.model[1]!.position,
        "the batch of offset 1 should be here",
      ),
    });
  }
}

/** Appends, writes and reads at once: what a read shows must have been in the file when it was shown. */
async function readDuringWrites(timingSeed: number): Promise<void> {
  const rig = await Rig.make({ plan: { timingSeed } });
  const random = new SeededRandom(timingSeed);
  const pending: Promise<unknown>[] = [];
  for (let step = 0; step < 25; step++) {
    if (random.nextChance(0.6)) rig.append(randomTexts(random, rig.endOffset));
    if (random.nextChance(0.5)) pending.push(rig.segment.write());
    const offset = random.nextBetween(0, Math.max(0, rig.endOffset - 1));
    const done = rig.segment.read(offset, random.pick([0, 150, 2000]), Infinity).then((result) => {
      const { writtenOffset } = rig.segment;
      if (result.kind !== "batches")
        fail(`a read at offset ${offset} during a write`, {
          expected: "batches, or nothing",
          actual: formatValue(result),
          where: ioTimeline(rig.disk.trace),
        });
      rig.expectRun(`a read at offset ${offset} during a write`, result, offset);
      expectThat(
        result.bytes.length === 0 || result.nextOffset <= writtenOffset,
        "a read showed what is not in the file yet",
        { expected: `at most up to offset ${writtenOffset}`, actual: `up to ${result.nextOffset}` },
      );
    });
    pending.push(done);
    for (let turn = random.nextBetween(0, 6); turn > 0; turn--) await Promise.resolve();
  }
  for (const promise of pending) await settles("a read or a write", promise, rig.disk);
}
