/** The bounds of a server's options, reached on the bench. */
import { expect, test } from "vitest";
import { Bench } from "#reference/testing/raft/bench.ts";
import { referenceRules as rules } from "./rules.ts";

test("a leader holds so many uncommitted proposals and refuses more, a batch as a whole", () => {
  const bench = new Bench({ rules, options: { proposalsMax: 3 } });
  bench.lead();
  expect(bench.propose(1, 1, 1, 1)).toBe(false);
  expect(bench.propose(1, 1)).toBe(true);
  expect(bench.propose(1, 1)).toBe(false);
  expect(bench.propose(1)).toBe(true);
  expect(bench.node.propose([new Uint8Array(1)], bench.nowMs).result).toMatchObject({
    kind: "refused",
    reason: "too-many-proposals",
  });
  bench.acknowledge();
  expect(bench.propose(1, 1, 1)).toBe(true);
});

test("a target that does not make it has the longest election timeout, and then is given up on", () => {
  const steps: string[] = [];
  const observe = (event: { readonly kind: string; readonly step?: string }): void => {
    if (event.kind === "transfer") steps.push(String(event.step));
  };
  const bench = new Bench({ rules, observe });
  bench.lead();
  bench.propose(1);
  const acknowledged = bench.state.log.lastIndex - 1;
  bench.run((node, nowMs) => node.transfer("n2", nowMs).effects);
  for (const [passedMs, isRefused] of [
    [250, true],
    [40, true],
    [15, false],
  ] as const) {
    for (let left = passedMs; left > 0; left -= 5) {
      bench.acknowledge(acknowledged);
      bench.pass(5);
    }
    expect([bench.state.role, bench.propose(1)]).toEqual(["leader", !isRefused]);
  }
  expect(steps).toEqual(["begun", "given-up"]);
});
