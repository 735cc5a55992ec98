/** Wrong counters, exercise 5.4. */
import { counterOn, carefulCounter, type Mutant } from "./parts.ts";
import type { MakeProgram, Program } from "#reference/maelstrom/node.ts";

export const countingMutants: readonly Mutant[] = [
  {
    id: "5.4-02",
    why: "a compare-and-swap that failed is tried again with the same expected value, and then given up",
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 3, rate: 200, latencyMs: 10, concurrency: 6 },
    program: counterOn("lin-kv", async (node, delta, read) => {
      const from = (await read()) ?? 0;
      for (let attempt = 0; attempt < 3; attempt++) {
        const body = { type: "cas", key: "sum", from, to: from + delta, create_if_not_exists: true };
        if ((await node.call("lin-kv", body)).kind === "reply") return;
      }
    }),
  },
  {
    id: "5.4-04",
    why: "a read of seq-kv is taken for the newest value",
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 3, rate: 200, latencyMs: 5, concurrency: 6 },
    program: swapUntilWonOn("seq-kv"),
  },
  {
    id: "5.4-06",
    why: "nobody makes the key, so the first addition fails, and all others",
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 2 },
    program: counterOn("lin-kv", async (node, delta, read) => {
      const from = (await read()) ?? 0;
      await node.call("lin-kv", { type: "cas", key: "sum", from, to: from + delta });
    }),
  },
  {
    id: "5.4-07",
    why: "an addition is acknowledged before the store has it",
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 2, lossChance: 0.1 },
    program: (node) => {
      const program: Program = carefulCounter(node);
      return {
        ...program,
        add: (body, from) => {
          Promise.resolve(program["add"]!(body, from)).catch(() => undefined);
          return { type: "add_ok" };
        },
      };
    },
  },
  {
    id: "5.4-08",
    why: "all nodes swap one key, again and again until they win",
    workload: "g-counter",
    settings: { nodeCount: 10, concurrency: 20, rate: 100, latencyMs: 20 },
    budget: 8,
    program: swapUntilWonOn("lin-kv"),
  },
  {
    id: "5.4-09",
    why: "an older state of a node's count takes the place of a newer one",
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 3, latencyMs: 100, latencyKind: "exponential", rate: 100 },
    program: (node) => {
      const counts = new Map<string, number>();
      const sum = (): number => [...counts.values()].reduce((total, count) => total + count, 0);
      return {
        add: ({ delta }) => {
          counts.set(node.id, (counts.get(node.id) ?? 0) + (delta as number));
          for (const peer of node.peers) node.send(peer, { type: "count", count: counts.get(node.id)! });
          return { type: "add_ok" };
        },
        count: ({ count }, from) => void counts.set(from, count as number),
        read: () => ({ type: "read_ok", value: sum() }),
      };
    },
  },
  {
    id: "5.4-11",
    why: "one number for both directions, merged by taking the larger one",
    says: /in the end, which must be/,
    workload: "pn-counter",
    settings: { nodeCount: 3 },
    program: (node) => {
      const counts = new Map<string, number>();
      const sum = (): number => [...counts.values()].reduce((total, count) => total + count, 0);
      return {
        add: ({ delta }) => {
          counts.set(node.id, (counts.get(node.id) ?? 0) + (delta as number));
          for (const peer of node.peers) node.send(peer, { type: "count", count: counts.get(node.id)! });
          return { type: "add_ok" };
        },
        count: ({ count }, from) => void counts.set(from, Math.max(counts.get(from) ?? 0, count as number)),
        read: () => ({ type: "read_ok", value: sum() }),
      };
    },
  },
  {
    id: "5.4-12",
    why: "additions are passed on one by one, and counted twice when the message is doubled",
    says: /in the end, which must be/,
    workload: "pn-counter",
    settings: { duplicateChance: 0.2, latencyMs: 5 },
    program: ({ peers, send }) => {
      let value = 0;
      return {
        add: ({ delta }) => {
          value += delta as number;
          for (const peer of peers) send(peer, { type: "other", delta: delta! });
          return { type: "add_ok" };
        },
        other: ({ delta }) => void (value += delta as number),
        read: () => ({ type: "read_ok", value }),
      };
    },
  },
];

/** A counter in one key of a service: reads it and swaps it until nobody was faster. */
function swapUntilWonOn(service: string): MakeProgram {
  return counterOn(service, async (node, delta, read) => {
    for (;;) {
      const from = (await read()) ?? 0;
      const body = { type: "cas", key: "sum", from, to: from + delta, create_if_not_exists: true };
      if ((await node.call(service, body)).kind === "reply") return;
    }
  });
}
