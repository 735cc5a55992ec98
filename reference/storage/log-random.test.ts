/**
 * One log through thousands of deaths. Each life does random work under random timing and ends at a random call to the
 * disk, by a kill of the process or by a power loss that keeps any part of what was not synced. The next life must
 * find everything that was acknowledged, unchanged, and goes on from there. Now and then a call fails instead.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError } from "../ports.ts";
import { SimulatedDisk, type DiskFault } from "../simulator/disk.ts";
import type { FsyncPolicy, Log } from "./log.ts";
import { batchOf, openTestLog, readAll } from "./test-log.ts";

/** What is known about the log from outside. */
interface Model {
  /** Texts by offset. Of those that were not promised, any prefix may survive a crash. */
  texts: Map<number, string>;
  endOffset: number;
  /** Promised against the end of the process, and against a power loss. With `always` these are the same. */
  committedEnd: number;
  durableEnd: number;
  /** The start is one of these: a trim that was asked for may have happened before the crash. */
  startsPossible: Set<number>;
  startOffset: number;
}

class Life {
  readonly #random: SeededRandom;
  readonly #model: Model;
  readonly #log: Log;
  readonly #label: string;
  readonly #disk: SimulatedDisk;

  readonly #policy: FsyncPolicy;

  constructor(
    disk: SimulatedDisk,
    log: Log,
    model: Model,
    random: SeededRandom,
    label: string,
    policy: FsyncPolicy,
  ) {
    this.#policy = policy;
    this.#disk = disk;
    this.#log = log;
    this.#model = model;
    this.#random = random;
    this.#label = label;
    // After a full disk: what failed must never be seen again.
    log.onTakenBack = (end) => {
      if (disk.isCrashed) return;
      for (let offset = end; offset < model.endOffset; offset++) model.texts.delete(offset);
      model.endOffset = end;
    };
  }

  /** Work until the machine stops, or long enough. */
  async work(): Promise<void> {
    for (let step = 0; step < 30; step++) {
      const draw = this.#random.nextBetween(0, 99);
      if (this.#log.failure !== undefined) break;
      this.#model.durableEnd = Math.max(this.#model.durableEnd, this.#log.durableEnd);
      if (draw < 60) this.#append();
      else if (draw < 85) await this.#commit();
      else if (draw < 93) await this.#read();
      else if (draw < 96) await this.#trim();
      else await this.#retain();
    }
    await this.#alive(this.#log.close());
  }

  /** A process that has ended does nothing more, although its code here could. */
  async #alive<Value>(work: Promise<Value>): Promise<Value> {
    const value = await work;
    return this.#disk.isCrashed ? new Promise(() => undefined) : value;
  }

  #append(): void {
    const model = this.#model;
    const count = this.#random.nextBetween(1, 4);
    const texts = Array.from({ length: count }, (_, index) => {
      return `${this.#label} ${model.endOffset + index} ${"y".repeat(this.#random.nextBetween(0, 120))}`;
    });
    const result = this.#log.append(batchOf(...texts));
    if (result.kind === "refused" && result.reason === "failed") return;
    if (result.kind !== "appended") throw new Error(`refused: ${result.detail}`);
    if (result.baseOffset !== model.endOffset)
      throw new Error(`offset ${result.baseOffset}, not ${model.endOffset}`);
    for (const [index, text] of texts.entries()) model.texts.set(model.endOffset + index, text);
    model.endOffset += count;
  }

  async #commit(): Promise<void> {
    const model = this.#model;
    const end = model.endOffset;
    const result = await this.#alive(this.#log.committed());
    // What failed was taken back, or may or may not be there after an error that is final.
    if (result.kind === "failed") return;
    if (result.endOffset < end) throw new Error(`committed to ${result.endOffset}, not to ${end}`);
    model.committedEnd = Math.max(model.committedEnd, end);
    if (this.#policy === "always") model.durableEnd = model.committedEnd;
  }

  async #read(): Promise<void> {
    const { startOffset, committedEnd } = this.#log;
    if (startOffset === committedEnd) return;
    const offset = this.#random.nextBetween(startOffset, committedEnd - 1);
    const result = await this.#alive(this.#log.read(offset, this.#random.nextBetween(1, 2000)));
    if (result.kind === "out-of-range" && offset < result.startOffset) return;
    if (result.kind === "failed") return;
    if (result.kind !== "records" || result.nextOffset <= offset)
      throw new Error(`read: ${JSON.stringify(result)}`);
  }

  async #trim(): Promise<void> {
    const before = this.#random.nextBetween(this.#log.startOffset, this.#log.committedEnd);
    this.#model.startsPossible.add(before);
    this.#model.startOffset = await this.#alive(this.#log.trim(before).catch(() => this.#model.startOffset));
  }

  async #retain(): Promise<void> {
    const { startsPossible } = this.#model;
    for (let offset = this.#log.startOffset; offset <= this.#log.endOffset; offset++)
      startsPossible.add(offset);
    this.#model.startOffset = await this.#log.applyRetention({
      retentionBytes: this.#random.nextBetween(0, 5000),
    });
  }
}

/** Holds a log that was opened after a crash against the model, and makes it the model. */
async function adopt(disk: SimulatedDisk, log: Log, model: Model): Promise<void> {
  const { startOffset, endOffset } = log;
  const must = (isTrue: boolean, promise: string): void => {
    if (!isTrue)
      throw new Error(`${promise}: log from ${startOffset} to ${endOffset}, ${JSON.stringify(log.findings)}`);
  };
  must(log.damage.length === 0, "a crash is no damage");
  must(
    startOffset >= model.startOffset && model.startsPossible.has(startOffset),
    `start was ${model.startOffset}`,
  );
  must(endOffset >= model.committedEnd, `all before ${model.committedEnd} was promised`);
  must(endOffset <= model.endOffset, `nothing was appended after ${model.endOffset}`);
  const records = await readAll(log, 700);
  if (disk.isCrashed) return;
  must(records.size === endOffset - startOffset, "no offset is missing");
  for (const [offset, text] of records)
    must(text === model.texts.get(offset), `record ${offset} is another one`);
  model.texts = records;
  model.endOffset = model.committedEnd = model.durableEnd = endOffset;
  model.startOffset = startOffset;
  model.startsPossible = new Set([startOffset]);
}

/** Resolves to the number of records that were promised and kept, over all lives. */
async function liveAndDie(seed: number, lives: number): Promise<number> {
  const random = new SeededRandom(seed);
  const model: Model = {
    texts: new Map(),
    endOffset: 0,
    committedEnd: 0,
    durableEnd: 0,
    startsPossible: new Set([0]),
    startOffset: 0,
  };
  let disk = new SimulatedDisk();
  for (let life = 0; life < lives; life++) {
    const when = random.pick(["before", "after"] as const);
    const faults: DiskFault[] = [{ call: random.nextBetween(0, 600), kind: "crash", when }];
    if (random.nextChance(0.3)) {
      const code = random.pick(["no-space", "no-space", "input-output"] as const);
      faults.unshift({ call: random.nextBetween(0, 300), kind: "fail", code });
    }
    disk.replan({ faults, timingSeed: random.nextUint32() });
    const policy = random.pick(["always", "always", "everysec", "never"] as const);
    const options = {
      fsync: policy,
      segmentBytesMax: random.pick([600, 1500]),
      indexIntervalBytes: 300,
      recycledMax: 2,
    };
    const dying = disk;
    const living = openTestLog(disk, options).then(async (log) => {
      await adopt(dying, log, model);
      if (dying.isCrashed) return;
      await new Life(dying, log, model, random.fork(), `life ${life}`, policy).work();
    });
    try {
      await Promise.race([disk.crashed, living]);
    } catch (error) {
      // The disk may fail while the log is being opened or read: then that was all of this life.
      if (!(error instanceof DiskError)) {
        const trace = disk.trace.slice(-20).join("\n");
        throw new Error(`life ${life} of seed ${seed}: ${String(error)}\n${trace}`, { cause: error });
      }
    }
    const isPowerLoss = random.nextChance(0.7);
    if (isPowerLoss) model.committedEnd = model.durableEnd;
    disk = disk.restart(isPowerLoss ? { kind: "random", seed: random.nextUint32() } : { kind: "everything" });
  }
  return model.committedEnd;
}

describe("a log that dies at random moments", () => {
  // The last three: a sync fails, the process starts again, and only then the power is lost.
  test.each([1, 2, 3, 4, 5, 1000, 1015, 1040, 1118, 1120, 1128])(
    "loses nothing that was acknowledged, over 400 deaths, seed %i",
    async (seed) => {
      expect(await liveAndDie(seed, 400)).toBeGreaterThan(400);
    },
  );
});
