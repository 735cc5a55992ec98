/** Wrong ids, broadcasts and counters, by their numbers in the course. */
import { RequestError } from "#reference/maelstrom/errors.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { Program } from "#reference/maelstrom/node.ts";
import { counterOn, flooding, replace, type Mutant } from "./parts.ts";

let shared = 0;

/** Exercises 5.2 to 5.4. */
export const spreadingMutants: readonly Mutant[] = [
  {
    id: "5.2-01",
    why: "the clock alone: two ids in one millisecond are one",
    workload: "unique-ids",
    settings: { nodeCount: 1, rate: 2000, timeLimitMs: 2000, concurrency: 8 },
    program: ({ clock }) => ({ generate: () => ({ type: "generate_ok", id: clock.wallTimeMs() }) }),
  },
  {
    id: "5.2-04",
    why: "the node's name is cut to a prefix: n1, n10 and n11 are one",
    workload: "unique-ids",
    settings: { nodeCount: 12 },
    program: ({ id }) => {
      let count = 0;
      return { generate: () => ({ type: "generate_ok", id: `${id.slice(0, 2)}-${count++}` }) };
    },
  },
  {
    id: "5.2-06",
    why: "the same random numbers on every node",
    workload: "unique-ids",
    settings: { nodeCount: 3 },
    program: () => {
      let state = 42;
      const next = (): number => (state = Math.imul(state, 1_664_525) + 1_013_904_223);
      return { generate: () => ({ type: "generate_ok", id: next() }) };
    },
  },
  {
    id: "5.2-07",
    why: "ids beyond 2^53 as JSON numbers are rounded",
    workload: "unique-ids",
    settings: { nodeCount: 1 },
    program: () => ({ generate: () => ({ type: "generate_ok", id: 2 ** 60 + shared++ }) }),
  },
  {
    id: "5.2-08",
    why: "a peer is asked, who cannot be reached in a partition",
    workload: "unique-ids",
    settings: { nodeCount: 3, nemesis: ["partition"], nemesisIntervalMs: 1000, availability: 1 },
    program: ({ id, nodeIds, call }) => {
      let count = 0;
      return {
        ticket: () => ({ type: "ticket_ok", number: count++ }),
        generate: async () => {
          if (id === nodeIds[0]) return { type: "generate_ok", id: count++ };
          const result = await call(nodeIds[0]!, { type: "ticket" });
          if (result.kind !== "reply") throw new RequestError("temporarily-unavailable", "no ticket");
          return { type: "generate_ok", id: result.body["number"]! };
        },
      };
    },
  },
  {
    id: "5.2-11",
    why: "name and number side by side: n1 with 12 is n11 with 2",
    workload: "unique-ids",
    settings: { nodeCount: 12, rate: 500 },
    program: ({ id }) => {
      let count = 0;
      return { generate: () => ({ type: "generate_ok", id: `${id}${count++}` }) };
    },
  },
  {
    id: "5.3-01",
    why: "values go to neighbours only once, and what a partition eats is gone",
    workload: "broadcast",
    settings: { nodeCount: 5, nemesis: ["partition"], nemesisIntervalMs: 1500 },
    program: flooding((_value, _from, { peers }, isNew) => (isNew ? peers : [])),
  },
  {
    id: "5.3-02",
    why: "everything is sent again and again, acknowledged or not",
    workload: "broadcast",
    settings: { nodeCount: 10, latencyMs: 50 },
    budget: 8,
    program: (node) => {
      const program: Program = flooding((_value, _from, { peers }, isNew) => (isNew ? peers : []))(node);
      const known: Json[] = [];
      node.every(
        () => 200,
        () => {
          for (const peer of node.peers) for (const value of known) node.send(peer, { type: "flood", value });
        },
      );
      return {
        ...program,
        broadcast: (body, from) => {
          known.push(body["message"]!);
          return program["broadcast"]!(body, from);
        },
      };
    },
  },
  {
    id: "5.3-03",
    why: "news is sent back to whoever brought it",
    workload: "broadcast",
    settings: { nodeCount: 25, latencyMs: 100, rate: 100 },
    budget: 8,
    program: flooding((_value, _from, { id, nodeIds }, isNew) => {
      const at = nodeIds.indexOf(id);
      const near = [at - 5, at + 5, at - 1, at + 1].flatMap((place) => nodeIds[place] ?? []);
      return isNew ? near : [];
    }),
  },
  {
    id: "5.3-09",
    why: "a batch that is lost on the way is not sent again",
    workload: "broadcast",
    settings: { nodeCount: 5, lossChance: 0.1 },
    program: (node) => {
      const values = new Set<Json>();
      let batch: Json[] = [];
      node.every(
        () => 100,
        () => {
          if (batch.length > 0) for (const peer of node.peers) node.send(peer, { type: "batch", batch });
          batch = [];
        },
      );
      return {
        topology: () => ({ type: "topology_ok" }),
        broadcast: ({ message }) => {
          values.add(message!);
          batch.push(message!);
          return { type: "broadcast_ok" };
        },
        batch: (body) => {
          for (const value of body["batch"] as readonly Json[]) values.add(value);
          return undefined;
        },
        read: () => ({ type: "read_ok", messages: [...values] }),
      };
    },
  },
  {
    id: "5.3-10",
    why: "the timer of the batch is set once, and what comes after it waits for ever",
    workload: "broadcast",
    settings: { nodeCount: 3 },
    program: (node) => {
      const values = new Set<Json>();
      let batch: Json[] = [];
      let isArmed = false;
      return {
        topology: () => ({ type: "topology_ok" }),
        broadcast: ({ message }) => {
          values.add(message!);
          batch.push(message!);
          if (!isArmed) {
            isArmed = true;
            node.clock.after(100, () => {
              for (const peer of node.peers) node.send(peer, { type: "batch", batch });
              batch = [];
            });
          }
          return { type: "broadcast_ok" };
        },
        batch: (body) => {
          for (const value of body["batch"] as readonly Json[]) values.add(value);
          return undefined;
        },
        read: () => ({ type: "read_ok", messages: [...values] }),
      };
    },
  },
  {
    id: "5.3-12",
    why: "values become text on the way",
    workload: "broadcast",
    settings: { nodeCount: 3 },
    program: replace("broadcast", ({ broadcast }) => ({
      broadcast: (body, from) => broadcast!({ ...body, message: `${body["message"] as number}` }, from),
    })),
  },
  {
    id: "5.4-02",
    why: "a compare-and-swap that failed is tried again with the same expected value, and then given up",
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
    workload: "g-counter",
    settings: { nodeCount: 3, rate: 200, latencyMs: 5, concurrency: 6 },
    program: counterOn("seq-kv", async (node, delta, read) => {
      for (;;) {
        const from = (await read()) ?? 0;
        const body = { type: "cas", key: "sum", from, to: from + delta, create_if_not_exists: true };
        if ((await node.call("seq-kv", body)).kind === "reply") return;
      }
    }),
  },
  {
    id: "5.4-06",
    why: "nobody makes the key, so the first addition fails, and all others",
    workload: "g-counter",
    settings: { nodeCount: 2 },
    program: counterOn("lin-kv", async (node, delta, read) => {
      const from = (await read()) ?? 0;
      await node.call("lin-kv", { type: "cas", key: "sum", from, to: from + delta });
    }),
  },
  {
    id: "5.4-09",
    why: "an older state of a node's count takes the place of a newer one",
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
];
