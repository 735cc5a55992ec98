/** Wrong logs, transactions and stores, by their numbers in the course. */
import { codeOf, RequestError } from "#reference/maelstrom/errors.ts";
import { KafkaMachine } from "#reference/maelstrom/kafka.ts";
import { KeyValueMachine } from "#reference/maelstrom/lin-kv.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { NodeContext, Program } from "#reference/maelstrom/node.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import { kafkaHandlers, keyValueHandlers, onFirstNode, registers, replace, type Mutant } from "./parts.ts";

/** Exercises 5.5 to 5.7. */
export const agreeingMutants: readonly Mutant[] = [
  {
    id: "5.5-02",
    why: "each node gives offsets of its own, as after a change of leaders without a log",
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 4 },
    program: (node) => ({
      ...onFirstNode(() => new KafkaMachine(), kafkaHandlers)({ ...node, nodeIds: [node.id] }),
    }),
  },
  {
    id: "5.5-03",
    why: "a send is acknowledged before the message is anywhere but in the air",
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.1 },
    program: (node) => {
      const program: Program = onFirstNode(() => new KafkaMachine(), kafkaHandlers)(node);
      const next = new Map<unknown, number>();
      return {
        ...program,
        send: ({ key, msg }) => {
          const offset = next.get(key) ?? 0;
          next.set(key, offset + 1);
          const body = { type: "send", key: key!, msg: msg! };
          Promise.resolve(program["send"]!(body, "c1")).catch(() => undefined);
          return { type: "send_ok", offset };
        },
      };
    },
  },
  {
    id: "5.5-05",
    why: "a poll leaves out what is still being written, and shows what comes behind it",
    workload: "kafka",
    settings: { nodeCount: 1, concurrency: 6, rate: 200, writesPerKeyMax: 64 },
    program: ({ clock }) => {
      const logs = new Map<string, (number | undefined)[]>();
      let sends = 0;
      return {
        send: async ({ key, msg }) => {
          const log = logs.get(key as string) ?? [];
          logs.set(key as string, log);
          const offset = log.push(undefined) - 1;
          // Every third write is slow.
          if (++sends % 3 === 0) await new Promise<void>((resolve) => void clock.after(300, resolve));
          log[offset] = msg as number;
          return { type: "send_ok", offset };
        },
        poll: ({ offsets }) => {
          const msgs = Object.entries(offsets as Record<string, number>).map(([key, from]) => {
            const log = logs.get(key) ?? [];
            const pairs = log.flatMap((message, offset) =>
              offset >= from && message !== undefined ? [[offset, message] as const] : [],
            );
            return [key, pairs] as const;
          });
          return { type: "poll_ok", msgs: Object.fromEntries(msgs) };
        },
        commit_offsets: () => ({ type: "commit_offsets_ok" }),
        list_committed_offsets: () => ({ type: "list_committed_offsets_ok", offsets: {} }),
      };
    },
  },
  {
    id: "5.5-10",
    why: "a forwarded send that got no answer is sent again, and stands twice in the log",
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.15 },
    program: (node) => {
      const again: NodeContext["call"] = async (dest, body, timeoutMs) => {
        const result = await node.call(dest, body, 200);
        return result.kind === "timeout" ? node.call(dest, body, timeoutMs) : result;
      };
      return onFirstNode(() => new KafkaMachine(), kafkaHandlers)({ ...node, call: again });
    },
  },
  {
    id: "5.6-01",
    why: "of two versions the one that arrives later wins, which is another one on each node",
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
    id: "5.6-03",
    why: "nodes that never speak to each other, which the real Maelstrom lets pass",
    workload: "txn-rw-register",
    settings: { nodeCount: 2, concurrency: 4, consistencyModel: "read-committed" },
    program: replace("txn-rw-register", () => ({ gossip: () => undefined })),
  },
  {
    id: "5.6-04",
    why: "a transaction that is given up has left its writes behind",
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
    id: "5.6-11",
    why: "every transaction asks all peers first, and stands still in a partition",
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
    workload: "txn-rw-register",
    settings: { nodeCount: 1 },
    program: replace("txn-rw-register", ({ txn }) => ({
      txn: async (body, from) => {
        const answer = await txn!(body, from);
        return { type: "txn_ok", txn: (answer!["txn"] as readonly Json[]).toReversed() };
      },
    })),
  },
  {
    id: "5.7-02",
    why: "each node answers reads from its own copy, whoever leads",
    workload: "lin-kv",
    settings: { nodeCount: 3, concurrency: 6, latencyMs: 20 },
    program: (node) => {
      const copy = new Map<unknown, Json>();
      const program: Program = programs["lin-kv"](node);
      const note = (key: Json, value: Json): void => {
        copy.set(key, value);
        for (const peer of node.peers) node.send(peer, { type: "note", key, value });
      };
      return {
        ...program,
        note: ({ key, value }) => void copy.set(key, value!),
        read: ({ key }) => {
          if (!copy.has(key)) throw new RequestError("key-does-not-exist", "nothing there");
          return { type: "read_ok", value: copy.get(key)! };
        },
        write: async (body, from) => {
          const answer = await program["write"]!(body, from);
          note(body["key"]!, body["value"]!);
          return answer;
        },
        cas: async (body, from) => {
          const answer = await program["cas"]!(body, from);
          note(body["key"]!, body["to"]!);
          return answer;
        },
      };
    },
  },
  {
    id: "5.7-03",
    why: "a swap that found another value says that there was none",
    workload: "lin-kv",
    settings: { nodeCount: 1, concurrency: 2 },
    program: registers((values, { key, from, to }) => {
      if (values.get(key) !== from) throw new RequestError("key-does-not-exist", "not that one");
      values.set(key, to);
      return { type: "cas_ok" };
    }),
  },
  {
    id: "5.7-04",
    why: "a swap is decided when it is asked for, and carried out later",
    workload: "lin-kv",
    settings: { nodeCount: 3, concurrency: 12, rate: 200 },
    program: registers(async (values, { key, from, to }, { clock }) => {
      if (!values.has(key)) throw new RequestError("key-does-not-exist", "nothing there");
      const isRight = values.get(key) === from;
      await new Promise<void>((resolve) => void clock.after(20, resolve));
      if (!isRight) throw new RequestError("precondition-failed", "another value");
      values.set(key, to);
      return { type: "cas_ok" };
    }),
  },
  {
    id: "5.7-05",
    why: "a forwarded request that got no answer is reported as failed for certain",
    workload: "lin-kv",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.2 },
    program: (node) => {
      const impatient: NodeContext["call"] = async (dest, body) => {
        const result = await node.call(dest, body, 200);
        if (result.kind !== "timeout") return result;
        return { kind: "error", code: codeOf("abort"), text: "no answer", isDefinite: true };
      };
      return onFirstNode(() => new KeyValueMachine(), keyValueHandlers)({ ...node, call: impatient });
    },
  },
  {
    id: "5.7-06",
    why: "a forwarded swap that got no answer is sent again and carried out twice",
    workload: "lin-kv",
    settings: { nodeCount: 2, concurrency: 8, rate: 200, lossChance: 0.25 },
    program: (node) => {
      const again: NodeContext["call"] = async (dest, body, timeoutMs) => {
        const result = await node.call(dest, body, 100);
        return result.kind === "timeout" ? node.call(dest, body, timeoutMs) : result;
      };
      return onFirstNode(() => new KeyValueMachine(), keyValueHandlers)({ ...node, call: again });
    },
  },
];
