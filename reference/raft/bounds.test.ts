/** The bounds of a server's options, reached on the bench. */
import { expect, test } from "vitest";
import { append, Bench } from "#reference/testing/raft/bench.ts";
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

test("a leader says that it is there as often as the heartbeat says, and no more often", () => {
  const bench = new Bench({ rules });
  bench.lead();
  bench.acknowledge();
  bench.sent = [];
  let count = 0;
  for (let round = 0; round < 100; round++) {
    bench.nowMs += 5;
    bench.run((node, nowMs) => node.tick(nowMs));
    count += bench.take("append-request").length;
    bench.acknowledge();
  }
  // Ten heartbeats, to two others each.
  expect(count).toBe(20);
});

test("a leader knows nothing of what others had when it led before, and owes its old proposals nothing", () => {
  const bench = new Bench({ rules, options: { proposalsMax: 3 } });
  bench.lead();
  expect(bench.propose(1, 1, 1)).toBe(true);
  bench.acknowledge(bench.state.log.lastIndex, ["n2"]);
  expect(bench.propose(1, 1, 1)).toBe(true);
  const { term } = bench.state;
  bench.step(append({ term: term + 1, previousIndex: 1, previousTerm: term }));
  expect(bench.state.role).toBe("follower");
  bench.stand();
  expect(bench.state.leader).toBeUndefined();
  bench.step({ kind: "vote-reply", from: "n3", to: "n1", term: bench.state.term, isGranted: true });
  expect(bench.state.role).toBe("leader");
  expect([...bench.state.progress.values()].map(({ matchIndex }) => matchIndex)).toEqual([0, 0]);
  expect(bench.propose(1, 1, 1)).toBe(true);
});

test("empty pieces of a snapshot are signs of life, and take no room", () => {
  const bench = new Bench({ rules });
  const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };
  const place = { index: 9, lastTerm: 1, configuration, round: 0, sentAtMs: 0 };
  const piece = (offset: number, bytes: number): void =>
    bench.step({
      kind: "snapshot-request",
      from: "n2",
      to: "n1",
      term: 1,
      ...place,
      offset,
      data: new Uint8Array(bytes),
      isLast: false,
    });
  piece(0, 3);
  for (let times = 0; times < 100; times++) piece(3, 0);
  piece(3, 2);
  expect(bench.state.incoming).toMatchObject({ bytes: 5, parts: { length: 2 } });
});
