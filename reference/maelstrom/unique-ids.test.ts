/** Ids under unlucky clocks. */
import { describe, expect, test } from "vitest";
import type { Clock } from "#reference/ports.ts";
import { settled } from "#reference/testing/clock.ts";
import type { Json } from "./message.ts";
import type { Journal, Program } from "./node.ts";
import { IdGenerator, makeUniqueIds, nodesMax, reserveMs } from "./unique-ids.ts";

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

describe("a node that is killed", () => {
  /** What is on its disk, and what is on its way there. */
  function disk() {
    const records: Json[] = [];
    const pending: { readonly record: Json; readonly onDurable: () => void }[] = [];
    const journal: Journal = {
      load: () => [...records],
      append: (record, onDurable) => void pending.push({ record, onDurable }),
    };
    const sync = (): void => {
      for (const { record, onDurable } of pending.splice(0)) {
        records.splice(0, records.length, record);
        onDurable();
      }
    };
    const kill = (): void => void pending.splice(0);
    return { records, journal, sync, kill };
  }
  const program = (clock: Clock, journal?: Journal): Program =>
    makeUniqueIds({ id: "n0", nodeIds: ["n0"], clock, journal });
  /** Asks for some; those that are answered come in their order. */
  const idsOf = async (
    node: Program,
    count: number,
    sync = (): void => undefined,
  ): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (let index = 0; index < count; index++) {
      void Promise.resolve(node["generate"]!({ type: "generate" }, "c1")).then((body) =>
        ids.push(body!["id"] as string),
      );
      await settled();
      sync();
      await settled();
    }
    return ids;
  };

  test("hands out none again, though the clock stepped back meanwhile", async () => {
    const { journal, sync, kill } = disk();
    const clock = settableClock(1_000_000);
    const before = await idsOf(program(clock, journal), 20, sync);
    kill();
    clock.nowMs = 999_999;
    const after = await idsOf(program(clock, journal), 20, sync);
    expect(new Set([...before, ...after]).size).toBe(40);
    expect(after.every((id) => BigInt(id) > BigInt(before.at(-1)!))).toBe(true);
  });

  test("without a journal does hand them out again: that is what the journal is for", async () => {
    const clock = settableClock(1_000_000);
    const before = await idsOf(program(clock), 3);
    expect(await idsOf(program(clock), 3)).toEqual(before);
  });

  test("answers nothing before its promise is on disk", async () => {
    const { journal, sync, records } = disk();
    const node = program(settableClock(1_000_000), journal);
    expect(await idsOf(node, 3)).toEqual([]);
    expect(records).toEqual([]);
    expect(await idsOf(node, 1, sync)).toHaveLength(1);
    expect(records).toEqual([1_000_000 + reserveMs]);
  });

  test("promises more in time, so that nobody waits for the disk again", async () => {
    const { journal, sync } = disk();
    const clock = settableClock(0);
    const node = program(clock, journal);
    await idsOf(node, 1, sync);
    clock.nowMs = reserveMs / 2 + 1;
    expect(await idsOf(node, 1)).toHaveLength(1);
    // The new promise is not on disk: up to the old one ids go out all the same, and behind it none does.
    clock.nowMs = reserveMs;
    expect(await idsOf(node, 1)).toHaveLength(1);
    clock.nowMs = reserveMs + 1;
    expect(await idsOf(node, 1)).toHaveLength(0);
    expect(await idsOf(node, 1, sync)).toHaveLength(1);
  });
});
