import { describe, expect, test } from "vitest";
import { SeededRandom } from "../base/prng.ts";
import {
  BufferPool,
  PooledStreams,
  type BufferPoolOptions,
  type ExhaustionPolicy,
  type Loan,
} from "./buffer-pool.ts";
import { Budget } from "./budget.ts";
import { demandOf, policies, starvedBy, starvingSeed, starvationPool } from "./starvation.ts";
import { StreamStore } from "./stream-store.ts";

const shape: BufferPoolOptions = {
  blockCount: 2,
  blockBytes: 64,
  partsPerBlock: 4,
  policy: { kind: "refuse" },
};

function taken(pool: BufferPool, size: number): Loan {
  const outcome = pool.take(size);
  if (outcome.kind !== "loan") throw new Error(outcome.kind);
  return outcome.loan;
}

describe("one owner", () => {
  test("no buffer is lent twice at a time", () => {
    const pool = new BufferPool(shape);
    const first = taken(pool, 64);
    const second = taken(pool, 64);
    first.bytes.fill(1);
    second.bytes.fill(2);
    expect(first.bytes.every((byte) => byte === 1)).toBe(true);
  });

  test("a second release is refused, and the next two owners get different buffers", () => {
    const pool = new BufferPool(shape);
    const loan = taken(pool, 64);
    expect([loan.release(), loan.release()]).toEqual([true, false]);
    const [first, second] = [taken(pool, 64), taken(pool, 64)];
    expect(first.bytes.buffer).not.toBe(second.bytes.buffer);
    expect(pool.take(64)).toEqual({ kind: "refused", reason: "exhausted" });
  });

  test("a write through an old reference does not reach the next owner, whole or part", () => {
    for (const size of [64, 16]) {
      const pool = new BufferPool({ ...shape, blockCount: 1 });
      const loan = taken(pool, size);
      const stale = loan.bytes;
      loan.release();
      const next = taken(pool, size);
      next.bytes.fill(7);
      stale[0] = 9;
      expect(() => stale.fill(9)).toThrow(/detached/);
      expect(next.bytes.every((byte) => byte === 7)).toBe(true);
    }
  });

  test("a part that came back is not lent again while its neighbours are out", () => {
    const pool = new BufferPool({ ...shape, blockCount: 1 });
    const loans = [1, 2, 3, 4].map(() => taken(pool, 16));
    const stale = loans[1]!.bytes;
    loans[1]!.release();
    expect(pool.take(16).kind).toBe("refused");
    stale.fill(9);
    expect(loans[2]!.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test("asking a released loan for its bytes is a bug that is found", () => {
    const loan = taken(new BufferPool(shape), 64);
    loan.release();
    expect(() => loan.bytes).toThrow(/after its release/);
  });
});

describe("nothing is lost", () => {
  test("a split block is joined again when its parts are back, in any order, also if some were never taken", () => {
    for (const order of [
      [0, 1, 2, 3],
      [3, 1, 0, 2],
      [1, 0],
    ]) {
      const pool = new BufferPool({ ...shape, blockCount: 1 });
      const loans = order.map(() => taken(pool, 16));
      for (const index of order) loans[index]?.release();
      expect(taken(pool, 64).size).toBe(64);
    }
  });

  test("after any takes and releases the pool has what it had", () => {
    const random = new SeededRandom(1);
    const pool = new BufferPool({ ...shape, blockCount: 5 });
    const loans: Loan[] = [];
    for (let step = 0; step < 2000; step++) {
      if (random.nextChance(0.5)) {
        const outcome = pool.take(random.pick([1, 16, 17, 64]));
        if (outcome.kind === "loan") loans.push(outcome.loan);
      } else if (loans.length > 0) loans.splice(random.nextBetween(0, loans.length - 1), 1)[0]?.release();
      const lent = loans.reduce((sum, { size }) => sum + size, 0);
      expect(pool.freeBytes + lent).toBeLessThanOrEqual(pool.totalBytes);
    }
    for (const loan of loans) loan.release();
    expect(pool.freeBytes).toBe(5 * 64);
  });

  test("trimming and deleting give buffers back", () => {
    const pool = new BufferPool(shape);
    const streams = new PooledStreams(pool);
    for (let round = 0; round < 10; round++) {
      expect(streams.append("a", new Uint8Array(64).fill(round))).toBe("stored");
      expect(streams.append("b", new Uint8Array(64))).toBe("stored");
      streams.trim("a", 0);
      streams.delete("b");
    }
    expect(pool.freeBytes).toBe(pool.totalBytes);
  });

  test("trim keeps the newest", () => {
    const streams = new PooledStreams(new BufferPool(shape));
    for (const byte of [1, 2, 3]) streams.append("a", Uint8Array.of(byte));
    streams.trim("a", 2);
    expect(streams.records("a")).toEqual([Uint8Array.of(2), Uint8Array.of(3)]);
  });
});

describe("exhaustion", () => {
  test("refuse: says so, and that what exceeds a block will never fit", () => {
    const pool = new BufferPool({ ...shape, blockCount: 1 });
    taken(pool, 64);
    expect(pool.take(1)).toEqual({ kind: "refused", reason: "exhausted" });
    expect(pool.take(65)).toEqual({ kind: "refused", reason: "too-large" });
  });

  test("grow: only up to the limit", () => {
    const pool = new BufferPool({ ...shape, policy: { kind: "grow", blockCountMax: 3 } });
    const outcomes = [1, 2, 3, 4].map(() => pool.take(64).kind);
    expect(outcomes).toEqual(["loan", "loan", "loan", "refused"]);
    expect(pool.totalBytes).toBe(3 * 64);
  });

  test("wait: served in order when a buffer comes back; a cancelled one is passed over; the queue is bounded", () => {
    const pool = new BufferPool({ ...shape, blockCount: 1, policy: { kind: "wait", waitersMax: 3 } });
    const loan = taken(pool, 64);
    const served: string[] = [];
    const ask = (name: string, size: number) => pool.take(size, () => served.push(name));
    const outcomes = [ask("a", 16), ask("b", 64), ask("c", 16), ask("d", 16)];
    expect(outcomes.map(({ kind }) => kind)).toEqual(["waiting", "waiting", "waiting", "refused"]);
    loan.release();
    expect(served).toEqual(["a"]);
    const second = outcomes[1]!;
    expect([
      second.kind === "waiting" && second.cancel(),
      second.kind === "waiting" && second.cancel(),
    ]).toEqual([true, false]);
    expect(pool.waitingCount).toBe(1);
  });
});

describe("the lesson", () => {
  test("some workload starves the pool under every policy", () => {
    const seed = starvingSeed();
    expect(seed).toBeDefined();
    const steps = demandOf(seed ?? 0);
    expect(policies.map((policy: ExhaustionPolicy) => starvedBy(policy, steps) > 0)).toEqual([
      true,
      true,
      true,
    ]);
  });

  test("a store with no more memory takes all of it in, because it can let go of what the disk has", () => {
    const { blockCount, blockBytes } = starvationPool;
    const account = new Budget(blockCount * blockBytes).root.open({ name: "records" });
    const store = new StreamStore({
      account,
      chunkBytesMin: 128,
      chunkBytesMax: 1024,
      sparesBytesMax: 0,
      retryAfterMs: 1,
    });
    const stream = store.open("records", 0, 0)!;
    for (const step of demandOf(starvingSeed() ?? 0)) {
      if (step.kind === "trim") store.trim(stream, stream.startOffset + 1);
      else {
        const { endOffset } = stream;
        expect(store.append(stream, endOffset, endOffset + 1, new Uint8Array(step.bytes))).toBeInstanceOf(
          Uint8Array,
        );
        store.confirm(stream, endOffset + 1);
      }
    }
    expect(account.reservedBytes).toBeLessThanOrEqual(blockCount * blockBytes);
  });
});
