/**
 * What clients are promised, held against a broker that dies over and over: at any call to the disk, by a kill that
 * leaves the page cache or by a power loss that keeps any part of what was not synced.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError } from "../ports.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { Log } from "../storage/log.ts";
import { batchOf, readAll } from "../storage/test-log.ts";
import { VirtualClock } from "../testing/clock.ts";
import { TestBroker } from "../testing/test-broker.ts";
import { Budget } from "../memory/budget.ts";
import { HotTails } from "./hot-tails.ts";

const producer = { producerId: 77, producerEpoch: 0 };
const windowMax = 4;

/** An idempotent producer: what it has sent, and how much of it was acknowledged. */
interface Producer {
  readonly random: SeededRandom;
  acknowledged: number;
  /** Records of each batch that is not acknowledged, oldest first: they are sent again as they were. */
  readonly waiting: number[];
}

const textOf = (number: number): string => `record ${number}`;

/** Sends what waits and a few batches more, and counts what is acknowledged, until the broker dies or all is sent. */
async function produceOn(rig: TestBroker, state: Producer, batches: number): Promise<void> {
  const client = rig.connect();
  const send = async (base: number, count: number): Promise<boolean> => {
    const texts = Array.from({ length: count }, (_, index) => textOf(base + index));
    const answer = await client.produce("t", texts, { ...producer, baseSequence: base });
    return answer.kind === "reply";
  };
  for (let sent = 0; sent < batches && !rig.disk.isCrashed; sent += windowMax) {
    while (state.waiting.length < windowMax) state.waiting.push(state.random.nextBetween(1, 3));
    let base = state.acknowledged;
    const answers = state.waiting.map((count) => {
      // A batch whose answer never comes is sent again in the next life; so is one that was refused.
      const answer = send(base, count).catch(() => false);
      base += count;
      return answer;
    });
    for (const answer of answers) {
      if (!(await answer) || rig.disk.isCrashed) return;
      state.acknowledged += state.waiting.shift()!;
    }
  }
}

/** Every record once, in order, none missing before what was acknowledged. */
async function checkRecords(rig: TestBroker, state: Producer): Promise<void> {
  const client = rig.connect();
  const texts: string[] = [];
  for (;;) {
    const found = await client.fetch("t", texts.length).catch((error: Error) => {
      if (error.message.startsWith("topic-not-found")) return [];
      throw error;
    });
    if (found.length === 0) break;
    texts.push(...found);
  }
  expect(texts.length).toBeGreaterThanOrEqual(state.acknowledged);
  for (const [number, text] of texts.entries())
    if (text !== textOf(number)) expect(text).toBe(textOf(number));
}

/** Resolves to how many records were acknowledged over all lives. */
async function produceThroughDeaths(seed: number, deaths: number): Promise<number> {
  const random = new SeededRandom(seed);
  const state: Producer = { random: random.fork(), acknowledged: 0, waiting: [] };
  let disk = new SimulatedDisk();
  for (let life = 0; life < deaths; life++) {
    const when = random.pick(["before", "after"] as const);
    const crash = { call: random.nextBetween(0, 120), kind: "crash", when } as const;
    disk.replan({ timingSeed: random.nextUint32(), faults: [crash] });
    const dying = disk;
    const tails = new HotTails(new Budget(20_000).root.open({ name: "tails" }));
    const living = TestBroker.open({ tails }, dying).then(async (rig) => {
      await produceOn(rig, state, 40);
      await checkRecords(rig, state);
      expect(rig.bugs).toEqual([]);
    });
    // After the crash the old process is a ghost, whose doubts nobody hears; before it, they are bugs.
    const ended = living.catch((error: unknown) => {
      if (!dying.isCrashed && !(error instanceof DiskError)) throw error;
    });
    await Promise.race([dying.crashed, ended]);
    const isPowerLoss = random.nextChance(0.7);
    disk = dying.restart(
      isPowerLoss ? { kind: "random", seed: random.nextUint32() } : { kind: "everything" },
    );
    disk.replan({});
    await checkRecords(await TestBroker.open({}, disk), state);
    disk = disk.restart({ kind: "everything" });
  }
  return state.acknowledged;
}

describe("an idempotent producer whose broker dies at random moments", () => {
  test.each([1, 2, 3, 4])(
    "has each record there once and in order, over 100 deaths, seed %i",
    async (seed) => {
      expect(await produceThroughDeaths(seed, 100)).toBeGreaterThan(500);
    },
  );
});

describe("a power loss with everysec", () => {
  test("takes at most the records of the last second, over 300 of them", async () => {
    const random = new SeededRandom(20261121);
    let lost = 0;
    for (let loss = 0; loss < 300; loss++) {
      const clock = new VirtualClock();
      const disk = new SimulatedDisk({ timingSeed: random.nextUint32() });
      const open = (on: SimulatedDisk): Promise<Log> =>
        Log.open({ disk: on, directory: "t/0", clock, fsync: "everysec", segmentBytesMax: 2000 });
      const log = await open(disk);
      /** When each record was acknowledged. */
      const times: number[] = [];
      const endMs = random.nextBetween(0, 6000);
      while (clock.monotonicTimeMs() < endMs) {
        log.append(batchOf(textOf(times.length)));
        expect((await log.committed()).kind).toBe("committed");
        times.push(clock.monotonicTimeMs());
        await clock.advanceAsync(random.nextBetween(0, 400));
      }
      const nowMs = clock.monotonicTimeMs();
      const after = await open(disk.restart({ kind: "nothing" }));
      const mustBeThere = times.filter((timeMs) => timeMs < nowMs - 1000).length;
      expect(after.endOffset).toBeGreaterThanOrEqual(mustBeThere);
      lost += times.length - after.endOffset;
      expect([...(await readAll(after)).values()]).toEqual(
        Array.from({ length: after.endOffset }, (_, number) => textOf(number)),
      );
    }
    // The bound is met by syncing in time, and not because nothing is ever lost.
    expect(lost).toBeGreaterThan(300);
  });
});
