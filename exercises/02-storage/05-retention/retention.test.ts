/**
 * The suite of E2.5: roll, retention and truncation. Decisions are held against plain models. For what changes the disk
 * there is a small log below, made of the reference's parts and the subject's decisions, that the suite reads, cuts, stops
 * by a crash and opens again.
 */
import { describe, test } from "vitest";
import { crc32 } from "#reference/base/crc32.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import type { DiskFile } from "#reference/ports.ts";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import { AppendBuffers } from "#reference/storage/append-buffers.ts";
import { FilePool } from "#reference/storage/file-pool.ts";
import { LogStateFile } from "#reference/storage/log-state.ts";
import { recordCountAt } from "#reference/storage/record-batch.ts";
import { recoverLog } from "#reference/storage/recovery.ts";
import { Segment } from "#reference/storage/segment.ts";
import { SegmentSet } from "#reference/storage/segment-set.ts";
import { SparseIndex, segmentOffsetsMax } from "#reference/storage/sparse-index.ts";
import { expectEqual, expectThat, fail, formatValue, run } from "#exercises/lib/check.ts";
import { seed } from "#exercises/lib/seed.ts";
import { batchOf, recordsIn, textOf } from "#exercises/lib/storage-batch.ts";
import { diskFiles, ioTimeline, quiet, settles, surviveEveryCrash } from "#exercises/lib/storage-disk.ts";
import { advanceStart, classifyOffset, planRetention, shouldRoll, truncateSuffix } from "./retention.ts";
import type { RetentionLimits, RollLimits, TruncateResult } from "./retention.ts";

const directory = "topics/a/0";

// ---------------------------------------------------------------------------------------------------------------
// Segments for decisions, and a small log for the rest

/** A segment as it is in memory; nothing of it is on a disk. */
function segmentOf(baseOffset: number, endOffset: number, endPosition: number, idMilliseconds = 0): Segment {
  const file = { path: `segment ${baseOffset}` } as DiskFile;
  const state = { endOffset, endPosition, index: new SparseIndex(baseOffset), idMilliseconds };
  return new Segment(file, baseOffset, { checksum: crc32, buffers: new AppendBuffers() }, state);
}

/** How a small log is opened. */
interface SmallOptions {
  readonly segmentBytesMax?: number;
  readonly recycledMax?: number;
}

/** A log with just enough to try retention on: every append is written and synced before the next one. */
class SmallLog {
  readonly disk: SimulatedDisk;
  readonly set: SegmentSet;
  readonly state: LogStateFile;
  readonly findings: readonly string[];
  /** The wall clock, and with it the ids of new records. */
  nowMs = 1000;
  readonly #limits: RollLimits;

  static async open(disk: SimulatedDisk, options: SmallOptions = {}): Promise<SmallLog> {
    const { segmentBytesMax = 420, recycledMax = 0 } = options;
    const shared = { disk, directory, checksum: crc32, indexIntervalBytes: 200 };
    const recovered = await recoverLog(shared);
    const parts = {
      files: new FilePool(disk),
      buffers: new AppendBuffers(),
      recycledMax,
      recycledBytesMin: 1,
    };
    const set = await SegmentSet.open({ ...shared, ...parts }, recovered);
    const state = new LogStateFile(disk, directory, crc32, recovered.state);
    const log = new SmallLog(disk, set, state, recovered.findings.map(formatValue), segmentBytesMax);
    // As the real log does: finishes a removal that a crash interrupted.
    await advanceStart(set, state, state.value.startOffset);
    return log;
  }

  private constructor(
    disk: SimulatedDisk,
    set: SegmentSet,
    state: LogStateFile,
    findings: readonly string[],
    segmentBytesMax: number,
  ) {
    this.disk = disk;
    this.set = set;
    this.state = state;
    this.findings = findings;
    this.#limits = { segmentBytesMax, segmentAgeMsMax: 1_000_000 };
  }

  get startOffset(): number {
    return this.state.value.startOffset;
  }

  get endOffset(): number {
    return this.set.active.endOffset;
  }

  /** Appends one batch, durably. */
  async append(...texts: string[]): Promise<void> {
    const bytes = batchOf(texts);
    const count = recordCountAt(bytes, 0);
    const { active: before } = this.set;
    const rolls = run("shouldRoll", () => shouldRoll(before, bytes.length, count, 0, this.#limits));
    const active = rolls ? this.set.add(before.endOffset) : before;
    const context = {
      epoch: this.state.value.epoch,
      idMilliseconds: this.nowMs,
      idSequence: this.endOffset,
      durableEnd: this.endOffset,
    };
    active.append(bytes, 0, bytes.length, context);
    await this.set.create(active);
    await active.write();
    await active.file.sync();
    if (!rolls) return;
    await this.set.seal(before);
    await this.state.update({ recoveryOffset: before.endOffset });
  }

  /** Appends one record a batch, with the texts of these offsets. */
  async appendTexts(count: number): Promise<void> {
    for (let end = this.endOffset + count; this.endOffset < end;) await this.append(textOf(this.endOffset));
  }

  advance(startOffset: number): Promise<number> {
    return advanceStart(this.set, this.state, startOffset);
  }

  retain(limits: RetentionLimits): Promise<number> {
    const { segments } = this.set;
    const { startOffset, endOffset, nowMs } = this;
    const planned = run("planRetention", () =>
      planRetention(segments, startOffset, endOffset, nowMs, limits),
    );
    return this.advance(planned);
  }

  truncate(offset: number, highWatermark: number, epoch: number): Promise<TruncateResult> {
    return truncateSuffix(this.set, this.state, offset, highWatermark, epoch);
  }

  /** Every record that a reader finds from the start on, as `7 text`, or what stands in its way. */
  async records(): Promise<string[]> {
    const lines: string[] = [];
    for (let offset = this.startOffset; offset < this.endOffset;) {
      const segment = this.set.segmentOf(offset);
      if (segment.baseOffset > offset) return [...lines, `! no segment holds offset ${offset}`];
      const read = await segment.read(offset, 10_000, this.endOffset);
      if (read.kind !== "batches")
        return [...lines, `! ${read.kind} at position ${read.position}, offset ${offset}`];
      if (read.bytes.length === 0)
        return [...lines, `! nothing to read at offset ${offset} of ${this.endOffset}`];
      lines.push(...recordsIn(read.bytes, offset));
      offset = read.nextOffset;
    }
    return lines;
  }

  /** Leaves the log as a start that has nothing to scan expects it. */
  async close(): Promise<void> {
    await this.set.seal(this.set.active);
    await this.state.update({ recoveryOffset: this.endOffset });
    await this.set.close();
  }
}

/** Runs what the subject is part of; a hang or an exception is explained with the disk's timeline. */
async function on<Value>(
  what: string,
  log: { readonly disk: SimulatedDisk },
  work: Promise<Value>,
): Promise<Value> {
  return settles(what, work, log.disk);
}

async function open(disk: SimulatedDisk, options: SmallOptions = {}): Promise<SmallLog> {
  return settles("opening the log", SmallLog.open(disk, options), disk);
}

/** A log with so many records, about three in a segment. */
async function logOf(records: number, options: SmallOptions = {}): Promise<SmallLog> {
  const log = await open(new SimulatedDisk(), options);
  await on("appending", log, log.appendTexts(records));
  log.disk.replan({});
  return log;
}

function linesOf(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `${from + index} ${textOf(from + index)}`);
}

function whereOf(log: { readonly disk: SimulatedDisk }): { where: string } {
  return { where: `${ioTimeline(log.disk.trace)}\nthe files\n${diskFiles(log.disk)}` };
}

/** What recovery says of damage: a crash may leave a tail to cut, and no more. */
function damageIn(log: SmallLog): string[] {
  return log.findings.filter((each) => each.includes("damaged"));
}

/** The bases of the segments on the disk. */
function basesOnDisk(disk: SimulatedDisk): number[] {
  const names = disk.paths().filter((path) => path.endsWith(".log"));
  return names.map((path) => Number(path.slice(-24, -4)));
}

function filesOf(disk: SimulatedDisk): string {
  return disk
    .paths()
    .map((path) => `${path}: ${formatValue(disk.peek(path))}`)
    .join("\n");
}

/** The log, opened once more after the power has failed, shows these records and nothing that is wrong. */
async function expectAfterRestart(what: string, log: SmallLog, lines: readonly string[]): Promise<SmallLog> {
  const again = await open(log.disk.restart({ kind: "nothing" }));
  const where = {
    where: `before the restart\n${ioTimeline(log.disk.trace)}\nthe files\n${diskFiles(again.disk)}`,
  };
  expectEqual(`${what}, then a restart: what recovery finds`, again.findings, [], where);
  expectEqual(`${what}, then a restart: records`, await on("reading", again, again.records()), lines, where);
  return again;
}

// ---------------------------------------------------------------------------------------------------------------

const hour = 3_600_000;
const rollLimits: RollLimits = { segmentBytesMax: 1000, segmentAgeMsMax: hour };

function rolls(segment: Segment, bytes: number, count = 1, ageMs = 0): boolean {
  return run("shouldRoll", () => shouldRoll(segment, bytes, count, ageMs, rollLimits));
}

describe("rolling", () => {
  test("a segment may reach its size, and not exceed it", () => {
    for (const [endPosition, bytes, expected] of [
      [900, 99, false],
      [900, 100, false],
      [900, 101, true],
      [999, 1, false],
      [1000, 1, true],
      [1, 999, false],
      [1, 1000, true],
      [1200, 80, true],
    ] as const) {
      const what = `a segment of ${endPosition} bytes, a batch of ${bytes}, a limit of 1000: a new segment`;
      expectEqual(what, rolls(segmentOf(0, 10, endPosition), bytes), expected);
    }
    // What was appended and waits to be written is in the segment as well.
    const waiting = segmentOf(0, 0, 0);
    const bytes = batchOf(["x".repeat(800)]);
    waiting.append(bytes, 0, bytes.length, { epoch: 0, idMilliseconds: 1, idSequence: 0, durableEnd: 0 });
    const rest = rollLimits.segmentBytesMax - waiting.endPosition;
    const fits = [rolls(waiting, rest), rolls(waiting, rest + 1)];
    expectEqual("a segment whose batch waits to be written: a batch that fits, and one that does not", fits, [
      false,
      true,
    ]);
  });

  test("an empty segment takes any batch: the next one would be as empty", async () => {
    for (const bytes of [1, 1000, 1001, 50_000]) {
      expectEqual(`an empty segment, a batch of ${bytes} bytes`, rolls(segmentOf(7, 7, 0), bytes), false);
    }
    expectEqual("an empty segment that is old", rolls(segmentOf(7, 7, 0), 50, 1, 10 * hour), false);
    const log = await logOf(1);
    await on("appending a batch larger than a segment", log, log.append("x".repeat(2000)));
    await on("appending behind it", log, log.append("small"));
    expectEqual("bases of the segments", basesOnDisk(log.disk), [0, 1, 2], whereOf(log));
    const sizes = (await on("reading", log, log.records())).map((line) => line.length);
    expectEqual("lengths of the records", sizes, [11, 2002, 7], whereOf(log));
  });

  test("offsets that an index cannot hold begin a new segment", () => {
    for (const [room, count, expected] of [
      [5, 4, false],
      [5, 5, false],
      [5, 6, true],
      [0, 1, true],
    ] as const) {
      const base = 2 ** 33;
      const full = segmentOf(base, base + segmentOffsetsMax - room, 100);
      expectEqual(
        `room for ${room} offsets, a batch of ${count}: a new segment`,
        rolls(full, 10, count),
        expected,
      );
    }
  });

  test("a segment that is old enough is closed at the next append", () => {
    for (const [ageMs, expected] of [
      [0, false],
      [hour - 1, false],
      [hour, true],
      [2 * hour, true],
      [-hour, false],
    ] as const) {
      expectEqual(
        `an age of ${ageMs} ms, a limit of ${hour}`,
        rolls(segmentOf(0, 3, 100), 10, 1, ageMs),
        expected,
      );
    }
  });

  test("whatever the sizes, no segment is too large without need, and none is empty but the last", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 12; round++) {
      const log = await logOf(0);
      for (let batch = 0; batch < 12; batch++) {
        await on("appending", log, log.append("x".repeat(random.nextBetween(0, 500))));
      }
      for (const segment of log.set.segments) {
        const { endPosition, baseOffset, endOffset } = segment;
        expectThat(endPosition > 0, `the segment at ${baseOffset} is empty`, whereOf(log));
        const isOneBatch = endOffset === baseOffset + 1;
        expectThat(
          endPosition <= 420 || isOneBatch,
          `the segment at ${baseOffset} is larger than the limit`,
          {
            expected: "at most 420 bytes, or a single batch",
            actual: `${endPosition} bytes in ${endOffset - baseOffset} batches`,
          },
        );
      }
    }
  });
});

describe("where an offset lies", () => {
  test("below the start, in range, or above the end; the end itself is in range", () => {
    for (const [start, end] of [
      [0, 0],
      [0, 5],
      [3, 3],
      [3, 9],
    ] as const) {
      for (let offset = 0; offset < 12; offset++) {
        const expected = offset < start ? "below-start" : offset <= end ? "in-range" : "above-end";
        const what = `offset ${offset} of a log from ${start} to ${end}`;
        expectEqual(
          what,
          run("classifyOffset", () => classifyOffset(offset, start, end)),
          expected,
        );
      }
    }
  });

  test("a consumer that was away while its records were removed is told so", async () => {
    const log = await logOf(11);
    await on("removing", log, log.retain({ retentionBytes: 300 }));
    const { startOffset, endOffset } = log;
    expectThat(startOffset > 0, "retention by size has removed nothing", whereOf(log));
    const place = (offset: number): string => classifyOffset(offset, startOffset, endOffset);
    expectEqual("offset 0, after retention", place(0), "below-start");
    expectEqual("the last offset that was removed", place(startOffset - 1), "below-start");
    expectEqual("the first offset that stayed", place(startOffset), "in-range");
    expectEqual("records", await on("reading", log, log.records()), linesOf(startOffset, 11), whereOf(log));
  });
});

/** Four segments of a hundred bytes and ten records; the last one is the active one. */
const quarter = (): Segment[] => [
  segmentOf(0, 10, 100, 1000),
  segmentOf(10, 20, 100, 2000),
  segmentOf(20, 30, 100, 500),
  segmentOf(30, 40, 100, 4000),
];

interface Plan {
  readonly limits: RetentionLimits;
  readonly committedEnd?: number;
  readonly nowMs?: number;
  readonly start?: number;
}

function plan(
  segments: readonly Segment[],
  { limits, committedEnd = 40, nowMs = 5000, start = 0 }: Plan,
): number {
  return run("planRetention", () => planRetention(segments, start, committedEnd, nowMs, limits));
}

function expectPlans(cases: readonly (readonly [string, Plan, number])[]): void {
  for (const [what, wanted, expected] of cases) {
    const where =
      "segments 0-9, 10-19, 20-29 and 30-39 of 100 bytes; last appends at 1000, 2000, 500 and 4000 ms";
    expectEqual(`${what}: the planned start, for ${formatValue(wanted)}`, plan(quarter(), wanted), expected, {
      where,
    });
  }
}

describe("planning retention", () => {
  test("without limits nothing goes", () => {
    expectPlans([
      ["no limits", { limits: {} }, 0],
      ["limits that are undefined", { limits: { retentionMs: undefined, retentionBytes: undefined } }, 0],
      ["no limits, and a start within a segment", { limits: {}, start: 15 }, 15],
    ]);
    expectEqual("a log of one segment", plan([segmentOf(0, 10, 100)], { limits: { retentionBytes: 0 } }), 0);
  });

  test("by time: a segment goes when its last record is older than the limit", () => {
    expectPlans([
      ["the first is too old", { limits: { retentionMs: 3500 } }, 10],
      ["exactly as old as allowed", { limits: { retentionMs: 4000 } }, 0],
      ["one more than allowed", { limits: { retentionMs: 3999 } }, 10],
      ["two are too old, and a third", { limits: { retentionMs: 2000 } }, 30],
      ["a limit of nothing", { limits: { retentionMs: 0 } }, 30],
    ]);
  });

  test("by size: a segment goes as long as what is left fills the limit", () => {
    expectPlans([
      ["what is left is less than the limit", { limits: { retentionBytes: 301 } }, 0],
      ["what is left fills the limit exactly", { limits: { retentionBytes: 300 } }, 10],
      ["room for two and a half", { limits: { retentionBytes: 250 } }, 10],
      ["room for two", { limits: { retentionBytes: 200 } }, 20],
      ["more than there is", { limits: { retentionBytes: 1000 } }, 0],
    ]);
    const sizes = [
      segmentOf(0, 10, 50),
      segmentOf(10, 20, 400),
      segmentOf(20, 30, 70),
      segmentOf(30, 40, 30),
    ];
    for (const [retentionBytes, expected] of [
      [500, 10],
      [501, 0],
      [100, 20],
      [101, 10],
      [30, 30],
    ] as const) {
      const what = `segments of 50, 400, 70 and 30 bytes, a limit of ${retentionBytes}`;
      expectEqual(what, plan(sizes, { limits: { retentionBytes } }), expected);
    }
  });

  test("the active segment never goes", () => {
    expectPlans([
      ["all are too old", { limits: { retentionMs: 1 }, nowMs: 1e9 }, 30],
      ["a size of nothing", { limits: { retentionBytes: 0 } }, 30],
      ["both", { limits: { retentionMs: 0, retentionBytes: 0 }, nowMs: 1e9 }, 30],
    ]);
    expectEqual(
      "one segment, all too old",
      plan([segmentOf(5, 9, 100)], { limits: { retentionMs: 1 }, start: 5 }),
      5,
    );
    expectEqual(
      "no segment's worth to remove",
      plan([segmentOf(5, 5, 0)], { limits: { retentionMs: 1 }, start: 5 }),
      5,
    );
  });

  test("retention stops at the first segment that stays: a log has no holes", () => {
    expectPlans([
      ["an old segment behind a young one", { limits: { retentionMs: 3001 } }, 10],
      ["the first is young, the third is old", { limits: { retentionMs: 4100 } }, 0],
    ]);
  });

  test("a clock that is behind removes nothing", () => {
    expectPlans([
      ["the clock says 0", { limits: { retentionMs: 1 }, nowMs: 0 }, 0],
      ["the clock is behind the first segment", { limits: { retentionMs: 1 }, nowMs: 999 }, 0],
      ["size counts all the same", { limits: { retentionMs: 1, retentionBytes: 300 }, nowMs: 0 }, 10],
    ]);
  });

  test("a segment goes when one of the two limits asks for it", () => {
    expectPlans([
      ["each limit asks for another one", { limits: { retentionMs: 3500, retentionBytes: 200 } }, 30],
      ["time says one, size says none", { limits: { retentionMs: 3500, retentionBytes: 1000 } }, 10],
      ["time says none, size says one", { limits: { retentionMs: 1e6, retentionBytes: 300 } }, 10],
    ]);
  });

  test("nothing that is not committed goes", () => {
    expectPlans([
      ["committed to 25", { limits: { retentionBytes: 0 }, committedEnd: 25 }, 20],
      ["committed to 20", { limits: { retentionBytes: 0 }, committedEnd: 20 }, 20],
      ["committed to 19", { limits: { retentionBytes: 0 }, committedEnd: 19 }, 10],
      ["nothing is committed", { limits: { retentionBytes: 0 }, committedEnd: 0 }, 0],
    ]);
  });

  test("the start never moves back", () => {
    expectPlans([
      ["a start within a segment", { limits: { retentionBytes: 300 }, start: 15 }, 15],
      ["a start behind what would go", { limits: { retentionMs: 3500 }, start: 25 }, 25],
      ["a start before what goes", { limits: { retentionBytes: 100 }, start: 5 }, 30],
    ]);
  });

  test("every small log has the plan of the model, and none is changed by it", () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 400; round++) {
      const count = random.nextBetween(1, 5);
      const segments = Array.from({ length: count }, (_, number) =>
        segmentOf(
          number * 10,
          number * 10 + 10,
          random.nextBetween(1, 4) * 100,
          random.nextBetween(0, 5) * 1000,
        ),
      );
      const limits: RetentionLimits = {
        ...(random.nextChance(0.7) ? { retentionMs: random.nextBetween(0, 6) * 1000 } : {}),
        ...(random.nextChance(0.7) ? { retentionBytes: random.nextBetween(0, 12) * 100 } : {}),
      };
      const start = random.nextBetween(0, count * 10);
      const wanted = {
        limits,
        committedEnd: random.nextBetween(0, count * 10),
        nowMs: random.nextBetween(0, 6) * 1000,
        start,
      };
      const describe = segments.map(
        (segment) =>
          `${segment.baseOffset}: ${segment.endPosition} bytes, last append at ${segment.idMilliseconds} ms`,
      );
      const before = formatValue(describe);
      const where = { where: describe.join("\n") };
      const planned = plan(Object.freeze(segments), wanted);
      expectEqual(
        `the planned start, for ${formatValue(wanted)}`,
        planned,
        modelPlan(segments, wanted),
        where,
      );
      expectEqual(
        "the segments after planning",
        formatValue(
          segments.map(
            (segment) =>
              `${segment.baseOffset}: ${segment.endPosition} bytes, last append at ${segment.idMilliseconds} ms`,
          ),
        ),
        before,
      );
    }
  });
});

/** The plan, from the definition: the longest run of segments from the first on, each of which may go. */
function modelPlan(segments: readonly Segment[], wanted: Required<Plan>): number {
  const { limits, committedEnd, nowMs, start } = wanted;
  const mayGo = (number: number): boolean => {
    const segment = segments[number]!;
    const left = segments.slice(number + 1).reduce((sum, each) => sum + each.endPosition, 0);
    const isOld = limits.retentionMs !== undefined && nowMs - segment.idMilliseconds > limits.retentionMs;
    const isSurplus = limits.retentionBytes !== undefined && left >= limits.retentionBytes;
    return segment.endOffset <= committedEnd && (isOld || isSurplus);
  };
  let count = 0;
  while (count < segments.length - 1 && mayGo(count)) count++;
  return Math.max(start, count === 0 ? 0 : segments[count]!.baseOffset);
}

describe("removing from the front", () => {
  test("segments that lie wholly before the start go, with their indexes", async () => {
    for (const [start, left, removed] of [
      [1, [0, 3, 6, 8], 0],
      [3, [3, 6, 8], 1],
      [5, [3, 6, 8], 1],
      [6, [6, 8], 2],
      [7, [6, 8], 2],
      [8, [8], 3],
      [10, [8], 3],
    ] as const) {
      const log = await logOf(11);
      expectEqual("segments of the suite's log", basesOnDisk(log.disk), [0, 3, 6, 8]);
      const count = await on("advanceStart", log, log.advance(start));
      expectEqual(`a start of ${start}: segments that are told to be removed`, count, removed, whereOf(log));
      expectEqual(`a start of ${start}: segments on disk`, basesOnDisk(log.disk), left, whereOf(log));
      expectEqual(
        "segments in the list",
        log.set.segments.map(({ baseOffset }) => baseOffset),
        left,
      );
      const indexes = log.disk.paths().filter((path) => path.endsWith(".index"));
      const stale = indexes.filter((path) => !left.some((base) => path.endsWith(`${base}.index`)));
      expectEqual("indexes of removed segments", stale, [], whereOf(log));
      expectEqual("records", await on("reading", log, log.records()), linesOf(start, 11), whereOf(log));
    }
  });

  test("the start survives a restart", async () => {
    for (const start of [1, 3, 7, 11]) {
      const log = await logOf(11);
      const before = log.state.value;
      await on("advanceStart", log, log.advance(start));
      const expected = { ...before, startOffset: start };
      expectEqual(
        `a start of ${start}: the state, of which only the start changes`,
        log.state.value,
        expected,
      );
      const again = await expectAfterRestart(`a start of ${start}`, log, linesOf(start, 11));
      expectEqual("the start after a restart", again.startOffset, start, whereOf(log));
    }
  });

  test("the active segment stays, also when everything in it has been removed", async () => {
    const log = await logOf(11);
    const active = log.set.active;
    await on("advanceStart", log, log.advance(11));
    expectEqual("segments on disk", basesOnDisk(log.disk), [8], whereOf(log));
    expectThat(log.set.active === active, "the active segment is another one", whereOf(log));
    await on("appending", log, log.appendTexts(1));
    await expectAfterRestart("everything removed, and one more appended", log, linesOf(11, 12));
  });

  test("the start never moves back, and nothing is done when there is nothing to do", async () => {
    const log = await logOf(11);
    await on("advanceStart", log, log.advance(7));
    log.disk.replan({});
    for (const start of [0, 3, 7]) {
      const count = await on("advanceStart", log, log.advance(start));
      expectEqual(`from 7 to ${start}: segments removed`, count, 0);
      expectEqual(`from 7 to ${start}: the start`, log.startOffset, 7);
      expectEqual(`from 7 to ${start}: calls to the disk`, log.disk.calls, 0, whereOf(log));
    }
  });

  test("a removal that a crash interrupted is finished at the next start", async () => {
    const log = await logOf(11);
    await on("saving the start", log, log.state.update({ startOffset: 7 }));
    const count = await on("advanceStart", log, log.advance(7));
    expectEqual("segments removed, with a start that is already saved", count, 2, whereOf(log));
    expectEqual("segments on disk", basesOnDisk(log.disk), [6, 8], whereOf(log));
  });

  test("a crash at any call leaves no log that claims what it has not got", async () => {
    const start = await logOf(11);
    await on("closing", start, start.close());
    await surviveEveryCrash(
      {
        start: start.disk.restart({ kind: "nothing" }),
        makeNotes: () => ({ start: 0 }),
        run: async (disk, notes) => {
          const log = await SmallLog.open(disk);
          await log.advance(7);
          notes.start = 7;
          disk.note("the start is 7");
        },
        check: async (disk, notes) => {
          const log = await SmallLog.open(disk);
          const where = whereOf(log);
          expectEqual("what recovery finds: a crash is no damage", damageIn(log), [], where);
          const isPossible = log.startOffset === 7 || (log.startOffset === 0 && notes.start === 0);
          if (!isPossible) {
            fail("the start is not what it was, and not what it was to be", {
              expected: notes.start === 7 ? "7, for advanceStart had resolved" : "0 or 7",
              actual: String(log.startOffset),
              ...where,
            });
          }
          expectEqual("records", await log.records(), linesOf(log.startOffset, 11), where);
        },
      },
      { outcomes: 1, exhaustiveCallsMax: 100 },
    );
  });

  test("no new reader finds a segment whose file is going, and one that reads it finishes", async () => {
    for (let turns = 0; turns < 12; turns++) {
      const log = await logOf(11);
      let release = (): void => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      log.disk.replan({ gate: ({ operation }) => (operation === "remove" ? gate : undefined) });
      const first = log.set.segments[0]!;
      const reading = first.read(0, 10_000, 11);
      await quiet(turns);
      const advancing = log.advance(7);
      advancing.catch(() => undefined);
      await quiet();
      // One by one or all together: what is being removed now must not be found any more.
      const going = log.disk.trace.flatMap((line) => {
        const [, base] = / remove \S*(\d{20})\.\w+$/.exec(line) ?? [];
        return base === undefined ? [] : [Number(base)];
      });
      const found = log.set.segments.map(({ baseOffset }) => baseOffset);
      const gone = found.filter((base) => going.includes(base));
      expectEqual("segments that readers find while their files are removed", gone, [], whereOf(log));
      release();
      await on("advanceStart", log, advancing);
      const read = await on("a read that had begun before", log, reading);
      expectEqual("the read that had begun before", read.kind, "batches", whereOf(log));
      if (read.kind === "batches")
        expectEqual("its records", recordsIn(read.bytes).slice(0, 1), linesOf(0, 1));
    }
  });

  test("no file stays open, and files are kept for another use when that is wanted", async () => {
    for (const recycledMax of [0, 1, 2]) {
      const log = await logOf(11, { recycledMax });
      await on("reading", log, log.records());
      await on("advanceStart", log, log.advance(8));
      const recycled = log.disk.paths().filter((path) => path.includes("recycled")).length;
      expectEqual(
        `files kept for another use, of at most ${recycledMax}`,
        recycled,
        recycledMax,
        whereOf(log),
      );
      await on("appending", log, log.appendTexts(6));
      expectEqual("records", await on("reading", log, log.records()), linesOf(8, 17), whereOf(log));
      await on("closing", log, log.close());
      expectEqual("files left open", log.disk.openFiles, 0, whereOf(log));
    }
  });

  test("damage that went with its records is forgotten, and other damage is not", async () => {
    const log = await logOf(11);
    const range = (from: number, to: number) => ({ from, to, position: 0, endPosition: 1 });
    log.set.damage = [range(1, 2), range(3, 6), range(5, 8), range(9, 10)];
    await on("advanceStart", log, log.advance(6));
    expectEqual(
      "damage from the start on",
      log.set.damage.map(({ from, to }) => [from, to]),
      [
        [5, 8],
        [9, 10],
      ],
    );
  });

  test("when the start cannot be saved, nothing is removed", async () => {
    const log = await logOf(11);
    log.disk.replan({ faults: [{ call: 1, kind: "fail", code: "no-space" }] });
    const outcome = await on(
      "advanceStart",
      log,
      log.advance(7).then(
        () => "resolved",
        () => "rejected",
      ),
    );
    expectEqual("what the caller hears", outcome, "rejected", whereOf(log));
    expectEqual("segments on disk", basesOnDisk(log.disk), [0, 3, 6, 8], whereOf(log));
    expectEqual(
      "segments in the list",
      log.set.segments.map(({ baseOffset }) => baseOffset),
      [0, 3, 6, 8],
    );
    expectEqual("records", await on("reading", log, log.records()), linesOf(0, 11), whereOf(log));
  });
});

describe("cutting the end", () => {
  test("everything from the offset on goes, and the offset is given out again under the new epoch", async () => {
    for (let cut = 0; cut <= 11; cut++) {
      const log = await logOf(11);
      const result = await on("truncateSuffix", log, log.truncate(cut, 0, 3));
      expectEqual(`a cut at ${cut}`, result, { kind: "truncated", endOffset: cut, epoch: 3 }, whereOf(log));
      expectEqual(`a cut at ${cut}: the end of the log`, log.endOffset, cut, whereOf(log));
      expectEqual(
        `a cut at ${cut}: records`,
        await on("reading", log, log.records()),
        linesOf(0, cut),
        whereOf(log),
      );
      await on("appending", log, log.append("new"));
      const again = await expectAfterRestart(`a cut at ${cut}, and one append`, log, [
        ...linesOf(0, cut),
        `${cut} new`,
      ]);
      expectEqual("the epoch after a restart", again.state.value.epoch, 3, whereOf(log));
    }
  });

  test("a cut that may not be is refused with a reason, and nothing changes", async () => {
    const log = await logOf(9);
    await on("appending", log, log.append("nine", "ten", "eleven"));
    for (const sign of "yz") await on("appending", log, log.append(sign.repeat(200)));
    expectThat(
      log.set.active.baseOffset > 11,
      "the suite's own batch is not in a closed segment",
      whereOf(log),
    );
    await on("advanceStart", log, log.advance(4));
    await on("saving an epoch", log, log.state.update({ epoch: 2 }));
    const [files, before] = [filesOf(log.disk), formatValue(log.state.value)];
    for (const [what, offset, highWatermark, epoch] of [
      ["below the high watermark", 6, 7, 3],
      ["far below the high watermark", 5, 12, 3],
      ["below the start", 3, 0, 3],
      ["inside a batch", 10, 0, 3],
      ["inside a batch, at its last record", 11, 0, 3],
      ["under the epoch of the log", 6, 0, 2],
      ["under an older epoch", 6, 0, 1],
    ] as const) {
      const result = await on("truncateSuffix", log, log.truncate(offset, highWatermark, epoch));
      expectEqual(`a cut ${what}`, result.kind, "refused", whereOf(log));
      expectThat(
        result.kind === "refused" && result.reason.length > 0,
        `a cut ${what} is refused without a reason`,
      );
      expectEqual(`a cut ${what}: the state`, formatValue(log.state.value), before);
      expectThat(
        filesOf(log.disk) === files,
        `a cut ${what} was refused and has changed files`,
        whereOf(log),
      );
      expectEqual(`a cut ${what}: the end`, log.endOffset, 14);
    }
    for (const [what, offset, highWatermark] of [
      ["at the high watermark", 9, 9],
      ["at the start", 4, 4],
    ] as const) {
      const result = await on("truncateSuffix", log, log.truncate(offset, highWatermark, 10 - offset + 2));
      expectEqual(`a cut ${what}`, result.kind, "truncated", whereOf(log));
    }
  });

  test("a cut at the end removes nothing, and still begins the new epoch", async () => {
    const log = await logOf(5);
    const { recoveryOffset } = log.state.value;
    const result = await on("truncateSuffix", log, log.truncate(5, 5, 1));
    expectEqual(
      "what is known to be durable, which a cut does not raise",
      log.state.value.recoveryOffset,
      recoveryOffset,
    );
    expectEqual("a cut at the end", result, { kind: "truncated", endOffset: 5, epoch: 1 }, whereOf(log));
    expectEqual("records", await on("reading", log, log.records()), linesOf(0, 5), whereOf(log));
    expectEqual("the epoch", log.state.value.epoch, 1);
  });

  test("look-ups after a cut know nothing of what was cut", async () => {
    const log = await logOf(11);
    await on("truncateSuffix", log, log.truncate(5, 0, 1));
    const left = log.disk.restart({ kind: "nothing" });
    const stale = left.paths().filter((path) => {
      const [, base] = /(\d{20})\.index$/.exec(path) ?? [];
      if (base === undefined || Number(base) < 3) return false;
      // An index that was made anew is as good as none.
      const index = SparseIndex.decode(left.peek(path)!, Number(base), 200, crc32);
      return Number(base) > 3 || index === undefined || index.log.endOffset > 5;
    });
    expectEqual("indexes that describe what was cut", stale, [], whereOf(log));
    const again = await open(log.disk.restart({ kind: "everything" }));
    const texts = Array.from(
      { length: 12 },
      (_, number) => `other ${number} ${"z".repeat((number * 53) % 110)}`,
    );
    for (const text of texts) await on("appending", again, again.append(text));
    const lines = [...linesOf(0, 5), ...texts.map((text, index) => `${5 + index} ${text}`)];
    for (let offset = 16; offset >= 0; offset--) {
      const read = await on("reading", again, again.set.segmentOf(offset).read(offset, 1, 17));
      const found = read.kind === "batches" ? recordsIn(read.bytes, offset) : [`! ${read.kind}`];
      expectEqual(
        `offset ${offset} after a cut at 5 and other records`,
        found,
        [lines[offset]],
        whereOf(again),
      );
    }
    await on("closing", again, again.close());
    await expectAfterRestart("a cut, and other records", again, lines);
  });

  test("what was durable and is cut is not missed by recovery", async () => {
    for (const cut of [0, 2, 6, 10]) {
      const log = await logOf(11);
      await on("closing", log, log.close());
      const reopened = await open(log.disk.restart({ kind: "nothing" }));
      const before = reopened.state.value;
      await on("truncateSuffix", reopened, reopened.truncate(cut, 0, 1));
      const known = { ...before, epoch: 1, recoveryOffset: Math.min(before.recoveryOffset, cut) };
      expectEqual(
        `a closed log, cut at ${cut}: the state; what is left is durable as before`,
        reopened.state.value,
        known,
      );
      const again = await expectAfterRestart(`a closed log, cut at ${cut}`, reopened, linesOf(0, cut));
      expectEqual("the end of the log after a restart", again.endOffset, cut);
    }
  });

  test("a crash at any call leaves the log before the cut or after it, and no offset twice under one epoch", async () => {
    const start = await logOf(11);
    await on("closing", start, start.close());
    await surviveEveryCrash(
      {
        start: start.disk.restart({ kind: "nothing" }),
        makeNotes: () => ({ isCut: false, isAppended: false }),
        run: async (disk, notes) => {
          const log = await SmallLog.open(disk);
          await log.truncate(4, 4, 7);
          notes.isCut = true;
          disk.note("cut at offset 4, under epoch 7");
          await log.append("new");
          notes.isAppended = true;
          disk.note("appended: 4 new");
        },
        check: async (disk, { isCut, isAppended }) => {
          const log = await SmallLog.open(disk);
          const where = whereOf(log);
          const records = await log.records();
          expectEqual("what recovery finds: a crash is no damage", damageIn(log), [], where);
          const isNew = records[4] === "4 new";
          const expected = isNew ? [...linesOf(0, 4), "4 new"] : linesOf(0, records.length);
          expectEqual(
            "records: the old ones, or those before the cut and the new one",
            records,
            expected,
            where,
          );
          expectThat(records.length >= 4, "what lies before the cut is gone", where);
          expectThat(!isAppended || isNew, "a record that was appended after the cut is gone", where);
          expectThat(!isCut || records.length <= 5, "what was cut has come back", where);
          const { epoch } = log.state.value;
          if (records.length < 11 && epoch !== 7) {
            fail("offsets were cut, and would be given out again under an epoch that they had before", {
              expected: "epoch 7",
              actual: `epoch ${epoch}, and the log ends at ${records.length}`,
              ...where,
            });
          }
        },
      },
      { outcomes: 1, exhaustiveCallsMax: 120 },
    );
  });

  test("files of what was cut are not used again: the same offsets will be written", async () => {
    const log = await logOf(11, { recycledMax: 3 });
    await on("truncateSuffix", log, log.truncate(1, 0, 1));
    const recycled = log.disk.paths().filter((path) => path.includes("recycled"));
    expectEqual("files kept for another use", recycled, [], whereOf(log));
    expectEqual("segments on disk", basesOnDisk(log.disk), [0], whereOf(log));
    await on("closing", log, log.close());
    expectEqual("files left open", log.disk.openFiles, 0, whereOf(log));
  });

  test("nothing is appended behind damage, also after a cut", async () => {
    const log = await logOf(11);
    log.set.damage = [{ from: 4, to: 5, position: 100, endPosition: 200 }];
    await on("truncateSuffix", log, log.truncate(6, 0, 1));
    expectEqual("the end of the log", log.endOffset, 6);
    expectEqual("where the next record goes", log.set.active.baseOffset, 6, whereOf(log));
  });
});

describe("any order of work", () => {
  test("on one log, with restarts in between, leaves what the model says", async () => {
    for (let round = 0; round < 8; round++) {
      const random = new SeededRandom(seed * 100 + round);
      let log = await logOf(0, { recycledMax: round % 3 });
      let model = new Map<number, string>();
      const given = new Map<string, string>();
      let [start, end, epoch] = [0, 0, 0];
      const done: string[] = [];
      const where = (): { where: string } => ({
        where: `what was done: ${done.join(", ")}\n${whereOf(log).where}`,
      });
      for (let step = 0; step < 30; step++) {
        const draw = random.nextBetween(0, 9);
        if (draw < 5) {
          const text = `${round}/${step} ${"q".repeat(random.nextBetween(0, 150))}`;
          const name = `offset ${end} of epoch ${epoch}`;
          done.push(`append ${end}`);
          if (given.has(name)) fail(`${name} was given out twice`, where());
          given.set(name, text);
          await on("appending", log, log.append(text));
          model.set(end++, text);
        } else if (draw === 5) {
          start = random.nextBetween(start, end);
          done.push(`start ${start}`);
          await on("advanceStart", log, log.advance(start));
        } else if (draw === 6) {
          const cut = random.nextBetween(start, end);
          done.push(`cut ${cut}`);
          const result = await on("truncateSuffix", log, log.truncate(cut, start, ++epoch));
          expectEqual(`a cut at ${cut}`, result, { kind: "truncated", endOffset: cut, epoch }, where());
          end = cut;
        } else if (draw === 7) {
          const retentionBytes = random.nextBetween(0, 2000);
          done.push(`keep ${retentionBytes} bytes`);
          await on("retention", log, log.retain({ retentionBytes }));
          expectThat(log.startOffset >= start, "retention has moved the start back", where());
          start = log.startOffset;
        } else {
          const kind = draw === 8 ? "nothing" : "everything";
          done.push(`restart, ${kind} unsynced is left`);
          if (random.nextChance(0.5)) await on("closing", log, log.close());
          log = await open(log.disk.restart({ kind }), { recycledMax: round % 3 });
          // Behind the last batch of a file that is used again there are older ones, which recovery cuts.
          expectEqual("damage", damageIn(log), [], where());
        }
        model = new Map([...model].filter(([offset]) => offset >= start && offset < end));
        expectEqual(
          "start, end and epoch",
          [log.startOffset, log.endOffset, log.state.value.epoch],
          [start, end, epoch],
          where(),
        );
        const lines = [...model].map(([offset, text]) => `${offset} ${text}`);
        expectEqual("records", await on("reading", log, log.records()), lines, where());
      }
    }
  });
});
