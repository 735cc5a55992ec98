/** Wrong transactions over registers, exercise 5.6. */
import { RequestError } from "#reference/maelstrom/errors.ts";
import { replace, type Mutant } from "./parts.ts";
import type { Json } from "#reference/maelstrom/message.ts";

export const transactingMutants: readonly Mutant[] = [
  {
    id: "5.6-01",
    why: "of two versions the one that arrives later wins, which is another one on each node",
    says: /diverged/,
    workload: "txn-rw-register",
    settings: { nodeCount: 2, concurrency: 4, rate: 200, latencyMs: 5, consistencyModel: "read-uncommitted" },
    program: (node) => {
      const values = new Map<string, Json>();
      return {
        txn: ({ txn }) => {
          const done = (txn as readonly (readonly [string, Json, Json])[]).map(([kind, key, value]) => {
            const name = JSON.stringify(key);
            if (kind === "r") return [kind, key, values.get(name) ?? null] as const;
            values.set(name, value);
            for (const peer of node.peers) node.send(peer, { type: "set", key, value });
            return [kind, key, value] as const;
          });
          return { type: "txn_ok", txn: done };
        },
        set: ({ key, value }) => void values.set(JSON.stringify(key), value!),
      };
    },
  },
  {
    id: "5.6-02",
    why: "the wall clock decides which write is the later one, and it steps back",
    says: /G-single|G2|cyclic|lost-update/,
    workload: "txn-rw-register",
    settings: { nodeCount: 1, rate: 200, nemesis: ["clock"], nemesisIntervalMs: 1000 },
    program: ({ clock }) => {
      const registers = new Map<string, { readonly value: Json; readonly time: number }>();
      return {
        txn: ({ txn }) => {
          const time = clock.wallTimeMs();
          const done = (txn as readonly (readonly [string, Json, Json])[]).map(([kind, key, value]) => {
            const name = JSON.stringify(key);
            const current = registers.get(name);
            if (kind === "r") return [kind, key, current?.value ?? null] as const;
            if (current === undefined || time >= current.time) registers.set(name, { value, time });
            return [kind, key, value] as const;
          });
          return { type: "txn_ok", txn: done };
        },
      };
    },
  },
  {
    id: "5.6-03",
    why: "nodes that never speak to each other, which the real Maelstrom lets pass",
    says: /diverged/,
    workload: "txn-rw-register",
    settings: { nodeCount: 2, concurrency: 4, consistencyModel: "read-committed" },
    program: replace("txn-rw-register", () => ({ gossip: () => undefined })),
  },
  {
    id: "5.6-04",
    why: "a transaction that is given up has left its writes behind",
    says: /G1a/,
    workload: "txn-rw-register",
    settings: { nodeCount: 1, concurrency: 4, consistencyModel: "read-committed" },
    program: replace("txn-rw-register", ({ txn }) => {
      let count = 0;
      return {
        txn: (body, from) => {
          const answer = txn!(body, from);
          if (++count % 5 === 0) throw new RequestError("abort", "changed my mind");
          return answer;
        },
      };
    }),
  },
  {
    id: "5.6-05",
    why: "each write goes to the peers by itself, so they show one that its transaction has written over",
    says: /G1b/,
    workload: "txn-rw-register",
    settings: { nodeCount: 2, concurrency: 8, rate: 400, keyCount: 2, consistencyModel: "read-committed" },
    program: (node) => {
      const values = new Map<string, Json>();
      return {
        txn: async ({ txn }) => {
          const done: Json[] = [];
          for (const [kind, key, value] of txn as readonly (readonly [string, Json, Json])[]) {
            const name = JSON.stringify(key);
            if (kind === "w") {
              values.set(name, value);
              for (const peer of node.peers) node.send(peer, { type: "set", key, value });
              await new Promise<void>((resolve) => void node.clock.after(2, resolve));
            }
            done.push([kind, key, kind === "w" ? value : (values.get(name) ?? null)]);
          }
          return { type: "txn_ok", txn: done };
        },
        set: ({ key, value }) => void values.set(JSON.stringify(key), value!),
      };
    },
  },
  {
    id: "5.6-07",
    why: "a transaction waits between its operations, and others run in between",
    says: /internal|G1c|G-single|lost-update/,
    workload: "txn-rw-register",
    settings: { nodeCount: 1, concurrency: 8, rate: 500 },
    program: ({ clock }) => {
      const values = new Map<string, Json>();
      return {
        txn: async ({ txn }) => {
          const done: Json[] = [];
          const own = new Map<string, Json>();
          for (const [kind, key, value] of txn as readonly (readonly [string, Json, Json])[]) {
            const name = JSON.stringify(key);
            if (kind === "w") own.set(name, value);
            done.push([kind, key, kind === "w" ? value : (own.get(name) ?? values.get(name) ?? null)]);
            await new Promise<void>((resolve) => void clock.after(2, resolve));
          }
          for (const [name, value] of own) values.set(name, value);
          return { type: "txn_ok", txn: done };
        },
      };
    },
  },
  {
    id: "5.6-11",
    why: "every transaction asks all peers first, and stands still in a partition",
    says: /too few operations/,
    workload: "txn-rw-register",
    settings: {
      nodeCount: 2,
      nemesis: ["partition"],
      nemesisIntervalMs: 1500,
      availability: 1,
      consistencyModel: "read-committed",
    },
    program: replace("txn-rw-register", ({ txn }, { peers, call }) => ({
      ping: () => ({ type: "ping_ok" }),
      txn: async (body, from) => {
        for (const peer of peers) {
          const result = await call(peer, { type: "ping" });
          if (result.kind !== "reply") throw new RequestError("temporarily-unavailable", `${peer} is away`);
        }
        return txn!(body, from);
      },
    })),
  },
  {
    id: "5.6-12",
    why: "the answer has its operations in another order",
    says: /malformed-answer/,
    workload: "txn-rw-register",
    settings: { nodeCount: 1 },
    program: replace("txn-rw-register", ({ txn }) => ({
      txn: async (body, from) => {
        const answer = await txn!(body, from);
        return { type: "txn_ok", txn: (answer!["txn"] as readonly Json[]).toReversed() };
      },
    })),
  },
];
