import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PartitionName } from "./group.ts";
import { ConsumerGroup } from "./group.ts";

const six = (topic: string): number => (topic === "orders" ? 6 : 0);
const numbers = (names: readonly PartitionName[]): number[] =>
  names.map(({ partition }) => partition).sort((left, right) => left - right);

/** A client that does as it is told: reads what it was given, lets go of the rest at its next heartbeat. */
class Reader {
  reading: readonly PartitionName[] = [];
  readonly #group: ConsumerGroup;
  readonly id: string;
  constructor(group: ConsumerGroup, id: string) {
    this.#group = group;
    this.id = id;
  }
  beat(topics = ["orders"]): number[] {
    this.reading = this.#group.join(this.id, topics, this.reading).assigned;
    return numbers(this.reading);
  }
}

describe("a consumer group", () => {
  test("gives a single member everything", () => {
    expect(new Reader(new ConsumerGroup(six), "a").beat()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("moves a partition only after its owner has let go of it", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat();
    expect(b.beat()).toEqual([]);
    expect(a.beat()).toHaveLength(3);
    expect(b.beat()).toEqual([]);
    a.beat();
    expect(b.beat()).toHaveLength(3);
    expect(numbers([...a.reading, ...b.reading])).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("lets a member commit what it reads, also what it is about to give up, and nothing that it waits for", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat();
    b.beat();
    const mayCommit = ({ id }: Reader): number[] =>
      [0, 1, 2, 3, 4, 5].filter((partition) => group.mayCommit(id, 2, { topic: "orders", partition }));
    // Half of what a reads is meant for b by now, and a has not heard of it.
    expect([mayCommit(a), mayCommit(b)]).toEqual([[0, 1, 2, 3, 4, 5], []]);
    a.beat();
    a.beat();
    b.beat();
    expect([mayCommit(a), mayCommit(b)]).toEqual([numbers(a.reading), numbers(b.reading)]);
    expect(group.mayCommit("a", 3, a.reading[0]!)).toBe(false);
  });

  test("hands over at once what a member held that left", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat();
    b.beat();
    expect(group.leave("a")).toBe(true);
    expect(b.beat()).toHaveLength(6);
    expect(group.leave("b")).toBe(true);
    expect(group.leave("b")).toBe(false);
    expect(group.memberIds).toEqual([]);
  });

  test("leaves partitions where they are when a third member comes", () => {
    const group = new ConsumerGroup(six);
    const readers = ["a", "b", "c"].map((id) => new Reader(group, id));
    const [a, b] = readers as [Reader, Reader, Reader];
    for (let round = 0; round < 4; round++) for (const reader of [a, b]) reader.beat();
    const before = new Set(a.reading.map(({ partition }) => partition));
    for (let round = 0; round < 4; round++) for (const reader of readers) reader.beat();
    expect(readers.map(({ reading }) => reading.length)).toEqual([2, 2, 2]);
    expect(a.reading.every(({ partition }) => before.has(partition))).toBe(true);
  });

  test("lets a member commit only what it holds", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat();
    const old = group.generation;
    expect(group.mayCommit("a", old, { topic: "orders", partition: 5 })).toBe(true);
    for (let round = 0; round < 3; round++) for (const reader of [a, b]) reader.beat();
    const moved = b.reading[0] ?? { topic: "", partition: 0 };
    expect(group.mayCommit("a", old, moved)).toBe(false);
    expect(group.mayCommit("b", group.generation, moved)).toBe(true);
    expect(group.mayCommit("nobody", old, moved)).toBe(false);
  });

  test("gives a member's partitions to the others as soon as it leaves", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    for (let round = 0; round < 3; round++) for (const reader of [a, b]) reader.beat();
    expect(group.leave("a")).toBe(true);
    expect(b.beat()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("follows what members want, and gives a topic to those alone who want it", () => {
    const group = new ConsumerGroup(() => 2);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat(["orders"]);
    b.beat(["prices"]);
    expect(a.reading.map(({ topic }) => topic)).toEqual(["orders", "orders"]);
    expect(b.reading.map(({ topic }) => topic)).toEqual(["prices", "prices"]);
    for (let round = 0; round < 3; round++) for (const reader of [a, b]) reader.beat(["prices"]);
    expect([a, b].map(({ reading }) => reading)).toEqual([
      [{ topic: "prices", partition: expect.any(Number) }],
      [{ topic: "prices", partition: expect.any(Number) }],
    ]);
  });

  test("believes no member that it reads what it was not given", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    for (let round = 0; round < 3; round++) for (const reader of [a, b]) reader.beat();
    const stolen = a.reading[0]!;
    group.join("b", ["orders"], [...b.reading, stolen]);
    expect(group.mayCommit("b", group.generation, stolen)).toBe(false);
    group.join("c", ["orders"], [stolen]);
    expect(group.mayCommit("c", group.generation, stolen)).toBe(false);
    expect(a.beat()).toContain(stolen.partition);
  });

  test("counts a generation for each change, and none for a heartbeat; one that is yet to come commits nothing", () => {
    const group = new ConsumerGroup(six);
    const [a, b] = [new Reader(group, "a"), new Reader(group, "b")];
    a.beat();
    b.beat();
    const { generation } = group;
    for (const reader of [a, b, a, b]) reader.beat();
    expect(group.generation).toBe(generation);
    expect(group.mayCommit("a", generation, a.reading[0]!)).toBe(true);
    expect(group.mayCommit("a", generation + 1, a.reading[0]!)).toBe(false);
    group.leave("b");
    expect(group.generation).toBe(generation + 1);
  });

  test("shares out a topic that is made later", () => {
    let count = 0;
    const group = new ConsumerGroup(() => count);
    const a = new Reader(group, "a");
    expect(a.beat()).toEqual([]);
    count = 2;
    expect(a.beat()).toEqual([0, 1]);
  });

  test("never lets two members read one partition, and in the end leaves none unread", () => {
    const step = fc.record({ member: fc.nat(3), action: fc.constantFrom("beat", "beat", "beat", "leave") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const group = new ConsumerGroup(six);
        const readers = ["a", "b", "c", "d"].map((id) => new Reader(group, id));
        const check = (): void => {
          const all = readers.flatMap(({ reading }) => numbers(reading));
          expect(new Set(all).size).toBe(all.length);
        };
        for (const { member, action } of steps) {
          const reader = readers[member];
          if (reader === undefined) continue;
          if (action === "beat") reader.beat();
          else {
            group.leave(reader.id);
            reader.reading = [];
          }
          check();
        }
        for (let round = 0; round < 4; round++) for (const reader of readers) reader.beat();
        expect(numbers(readers.flatMap(({ reading }) => reading))).toEqual([0, 1, 2, 3, 4, 5]);
        for (const { reading } of readers) expect(reading.length).toBeGreaterThan(0);
      }),
    );
  });
});
