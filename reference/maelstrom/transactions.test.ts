/** Two writers that cannot hear each other: whatever arrives first, every node keeps the same winner. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Registers, type CommittedWrites } from "./transactions.ts";

/** Committed transactions of some nodes, in any order, some of them twice. */
const deliveries = fc
  .uniqueArray(fc.record({ node: fc.constantFrom("n0", "n1", "n2"), time: fc.integer({ min: 1, max: 4 }) }), {
    selector: ({ node, time }) => `${node} ${time}`,
    minLength: 2,
  })
  .chain((versions) => {
    const writes = versions.map(({ node, time }, index): readonly [CommittedWrites, string] => [
      [time, [["x", index]]],
      node,
    ]);
    const anyOrder = fc.shuffledSubarray([...writes, ...writes], { minLength: writes.length });
    return fc.tuple(fc.constant(writes), anyOrder);
  });

test("writes of the same and of other times end alike in whatever order they come, and however often", () => {
  fc.assert(
    fc.property(deliveries, ([writes, extra]) => {
      const [one, other] = [new Registers(), new Registers()];
      for (const [committed, node] of writes) one.apply(committed, node);
      for (const [committed, node] of [...extra, ...writes.toReversed()]) other.apply(committed, node);
      expect(other.read("x")).toBe(one.read("x"));
      const [[[time], node]] = writes.toSorted(([[a], m], [[b], n]) => b - a || (m < n ? 1 : -1)) as [
        (typeof writes)[number],
      ];
      const [winner] = writes.filter(([[at], by]) => at === time && by === node);
      expect(one.read("x")).toBe(winner![0][1][0]![1]);
    }),
  );
});

test("a transaction of a node is later than all that it has seen", () => {
  const registers = new Registers();
  registers.apply([41, [["x", 1]]], "n9");
  expect(registers.nextTime()).toBe(42);
});
