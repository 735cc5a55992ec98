/** Ids under unlucky clocks. */
import { describe, expect, test } from "vitest";
import type { Clock } from "#reference/ports.ts";
import { IdGenerator, nodesMax } from "./unique-ids.ts";

/** A clock that shows what it is told. */
function settableClock(startMs: number): Clock & { nowMs: number } {
  const clock = {
    nowMs: startMs,
    wallTimeMs: () => clock.nowMs,
    monotonicTimeMs: () => clock.nowMs,
    after: () => () => undefined,
  };
  return clock;
}

const fieldsOf = (id: bigint): readonly number[] => [
  Number(id >> 22n),
  Number((id >> 12n) & 0x3ffn),
  Number(id & 0xfffn),
];

describe("an id", () => {
  test("has the time, the node and the sequence side by side", () => {
    const clock = settableClock(1_700_000_000_000);
    const generator = new IdGenerator(5, clock);
    expect(fieldsOf(generator.next())).toEqual([1_700_000_000_000, 5, 0]);
    expect(fieldsOf(generator.next())).toEqual([1_700_000_000_000, 5, 1]);
    clock.nowMs++;
    expect(fieldsOf(generator.next())).toEqual([1_700_000_000_001, 5, 0]);
  });

  test("golden: as text it is the number that everybody else computes", () => {
    const generator = new IdGenerator(1023, settableClock(1_700_000_000_000));
    expect(String(generator.next())).toBe(String((1_700_000_000_000n << 22n) | (1023n << 12n)));
  });

  test("rises when the clock steps back, and does not wait for it to catch up", () => {
    const clock = settableClock(1_000_000);
    const generator = new IdGenerator(0, clock);
    let last = generator.next();
    for (const nowMs of [999_000, 0, 1_000_000, 500, 1_000_001]) {
      clock.nowMs = nowMs;
      for (let count = 0; count < 5000; count++) {
        const id = generator.next();
        expect(id > last).toBe(true);
        last = id;
      }
    }
  });

  test("5,000 in one millisecond borrow from the next one", () => {
    const generator = new IdGenerator(3, settableClock(7));
    const ids = Array.from({ length: 5000 }, () => generator.next());
    expect(new Set(ids).size).toBe(5000);
    expect(fieldsOf(ids[4095]!)).toEqual([7, 3, 4095]);
    expect(fieldsOf(ids[4096]!)).toEqual([8, 3, 0]);
  });

  test("of one node is never another node's, whatever their clocks and sequences", () => {
    const ids = [0, 1, 10, 11, nodesMax - 1].flatMap((node) => {
      const generator = new IdGenerator(node, settableClock(42));
      return Array.from({ length: 4200 }, () => generator.next());
    });
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("is refused to a node without a number of its own", () => {
    expect(() => new IdGenerator(nodesMax, settableClock(0))).toThrow(
      `node ${nodesMax} of at most ${nodesMax}`,
    );
    expect(() => new IdGenerator(-1, settableClock(0))).toThrow("node -1");
  });
});
