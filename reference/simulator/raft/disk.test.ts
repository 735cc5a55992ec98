/**
 * The simulated disk of a Raft server: writes become bytes, crashes tear them, and a start finds what was reported.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry } from "#reference/raft/entry.ts";
import { applyWrite, emptyState, type DurableState } from "#reference/raft/persistence.ts";
import { Scheduler, usPerMs } from "../scheduler.ts";
import { RaftDisk, unsyncedFates, type Found, type UnsyncedFate } from "./disk.ts";

const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: ["n4"] };
const rewriteBytesMin = 3000;

/** Writes of a log that grows, is cut and is compacted; many records are larger than a sector, so that they tear. */
function drawWrites(random: SeededRandom, count: number): Write[] {
  const writes: Write[] = [];
  let [term, last, snapshotIndex] = [1, 0, 0];
  for (let number = 1; number <= count; number++) {
    if (random.nextChance(0.2)) term++;
    const votedFor = random.pick([undefined, "n1", "n2"]);
    const nothing = { number, term, votedFor, snapshot: undefined, replaceFrom: undefined, entries: [] };
    if (random.nextChance(0.2) && last > snapshotIndex) {
      snapshotIndex = random.nextBetween(snapshotIndex + 1, last);
      const data = new Uint8Array(random.nextBetween(0, 900)).fill(number);
      writes.push({ ...nothing, snapshot: { index: snapshotIndex, term: 1, configuration, data } });
    } else if (random.nextChance(0.3)) {
      writes.push(nothing);
    } else {
      const replaceFrom = random.nextBetween(Math.max(snapshotIndex + 1, last - 2), last + 1);
      const size = random.nextBetween(1, 3);
      const entries = Array.from({ length: size }, (_, place): Entry => {
        const data = new Uint8Array(random.pick([3, 40, 700])).fill(number);
        return { kind: "command", index: replaceFrom + place, term, data };
      });
      last = replaceFrom + size - 1;
      writes.push({ ...nothing, replaceFrom, entries });
    }
  }
  return writes;
}

/** One disk with what it said. */
class Bench {
  readonly scheduler = new Scheduler();
  readonly disk: RaftDisk;
  reported = 0;
  errors = 0;
  opened: { readonly state: DurableState; readonly found: Found } | undefined;

  constructor(seed: number, unsynced: UnsyncedFate) {
    const latency = { kind: "uniform", minMs: 0.2, maxMs: 3 } as const;
    this.disk = new RaftDisk(this.scheduler, new SeededRandom(seed), { latency, unsynced, rewriteBytesMin });
  }

  open(): void {
    this.opened = undefined;
    this.disk.open({
      onOpen: (state, found) => (this.opened = { state, found }),
      onDurable: (number) => (this.reported = number),
      onError: () => this.errors++,
    });
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + Math.round(ms * usPerMs));
  }

  /** Starts, and returns what the server is told. */
  start(): DurableState {
    this.open();
    this.run(50);
    this.disk.durable.adopt(this.opened!.state);
    return this.opened!.state;
  }
}

function statesAfter(before: DurableState, writes: readonly Write[]): DurableState[] {
  const states = [before];
  for (const write of writes) states.push(applyWrite(states.at(-1)!, write));
  return states;
}

describe("the disk of a simulated server", () => {
  test("holds what applyWrite says, in memory and in bytes", () => {
    const writes = drawWrites(new SeededRandom(1), 60);
    const states = statesAfter(emptyState, writes);
    const bench = new Bench(1, "lost");
    expect(bench.start()).toEqual(emptyState);
    for (const [place, write] of writes.entries()) {
      bench.disk.write(write);
      bench.run(20);
      expect(bench.reported).toBe(write.number);
      expect(bench.disk.durable.state).toEqual(states[place + 1]);
    }
    bench.disk.crash();
    expect(bench.start()).toEqual(states.at(-1));
  });

  test.each(unsyncedFates)(
    "whenever it crashes, a start finds all that was reported, and no mixture (%s)",
    (fate) => {
      let [torn, more] = [0, 0];
      for (let seed = 1; seed <= 150; seed++) {
        const random = new SeededRandom(seed);
        const bench = new Bench(seed, fate);
        let state = bench.start();
        // Several lives, one after the other: what one has left is what the next one stands on.
        for (let life = 0; life < 3; life++) {
          const first = life === 0 ? drawWrites(random, 12) : [];
          bench.reported = 0;
          for (const write of first) {
            bench.disk.write(write);
            bench.run(random.pick([0, 0.1, 1, 4]));
          }
          bench.run(random.nextBetween(0, 4));
          const possible = statesAfter(state, first).slice(bench.reported);
          bench.disk.crash();
          bench.opened = undefined;
          // The power may go while the start is still busy, too.
          if (random.nextChance(0.5)) {
            bench.open();
            bench.run(random.nextFloat() * 4);
            if (bench.opened === undefined) bench.disk.crash();
            else bench.run(50);
          }
          if (bench.opened === undefined || random.nextChance(0.5)) {
            bench.disk.crash();
            bench.start();
          }
          state = bench.opened!.state;
          expect(possible, `seed ${seed}`).toContainEqual(state);
          torn += Number(bench.opened!.found.tornBytes > 0);
          more += Number(possible.length > 1 && JSON.stringify(state) !== JSON.stringify(possible[0]));
          bench.disk.durable.adopt(state);
        }
      }
      if (fate === "lost") expect([torn, more]).toEqual([0, 0]);
      else expect(Math.min(torn, more)).toBeGreaterThan(10);
    },
  );

  test("a sync that fails ends all writing, and what it gave up on is written anew by the next start", () => {
    const [write] = drawWrites(new SeededRandom(2), 1);
    const bench = new Bench(1, "kept");
    bench.start();
    bench.disk.isFailing = true;
    bench.disk.write(write!);
    bench.run(20);
    expect([bench.errors, bench.reported, bench.disk.isFailing]).toEqual([1, 0, false]);
    bench.disk.write(write!);
    bench.run(20);
    expect(bench.reported).toBe(0);
    bench.disk.crash();
    const found = bench.start();
    expect([emptyState, applyWrite(emptyState, write!)]).toContainEqual(found);
    bench.disk.crash();
    expect(bench.start()).toEqual(found);
  });

  test("a full disk takes a part of a write at most, and then no start; with room again nothing is lost", () => {
    const writes = drawWrites(new SeededRandom(3), 4);
    const bench = new Bench(4, "kept");
    bench.start();
    for (const write of writes.slice(0, 3)) bench.disk.write(write);
    bench.run(50);
    bench.disk.isFull = true;
    bench.disk.write(writes[3]!);
    expect([bench.errors, bench.reported]).toEqual([1, 3]);
    bench.disk.crash();
    bench.open();
    bench.run(50);
    expect([bench.errors, bench.opened]).toEqual([2, undefined]);
    bench.disk.isFull = false;
    bench.disk.crash();
    expect(bench.start()).toEqual(statesAfter(emptyState, writes)[3]);
  });

  test("a slow disk that recovers does not let what was begun before wait", () => {
    const bench = new Bench(1, "lost");
    bench.start();
    bench.disk.slowness = 1000;
    bench.disk.write(drawWrites(new SeededRandom(2), 1)[0]!);
    bench.run(100);
    expect(bench.reported).toBe(0);
    bench.disk.slowness = 1;
    bench.run(5);
    expect(bench.reported).toBe(1);
  });
});
