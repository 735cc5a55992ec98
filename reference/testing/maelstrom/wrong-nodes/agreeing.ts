/** Wrong stores that should agree, exercise 5.7. */
import { codeOf, RequestError } from "#reference/maelstrom/errors.ts";
import { KeyValueMachine, makeKeyValueStore } from "#reference/maelstrom/lin-kv.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import { replace, onFirstNode, keyValueHandlers, registers, type Mutant } from "./parts.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { NodeContext, Program } from "#reference/maelstrom/node.ts";
import { referenceRules } from "#reference/raft/rules.ts";

/** Long enough for a leader to be deposed, often enough for somebody to ask it just then. */
const frequentCuts = { nemesis: ["partition"], nemesisIntervalMs: 1500, timeLimitMs: 20_000 } as const;

export const agreeingMutants: readonly Mutant[] = [
  {
    id: "5.7-01",
    why: "the leader counts acknowledgements, and not who they are from",
    exchange: "doubled-acknowledgement",
    program: (node) => {
      const counts = new Map<number, number>();
      const { replication } = referenceRules;
      const onAppendReply: typeof replication.onAppendReply = (raft, reply) => {
        replication.onAppendReply(raft, reply);
        if (raft.role !== "leader" || reply.outcome.kind !== "matched") return;
        const { matchIndex: index } = reply.outcome;
        const count = (counts.get(index) ?? 0) + 1;
        counts.set(index, count);
        if (count + 1 <= node.nodeIds.length / 2 || index <= raft.commitIndex) return;
        raft.rules.commit.followCommit(raft, index, index);
        raft.rules.clients.onCommit(raft);
      };
      const rules = { ...referenceRules, replication: { ...replication, onAppendReply } };
      return makeKeyValueStore(node, rules);
    },
  },
  {
    id: "5.7-02",
    why: "a leader answers reads without asking whether it still leads",
    says: /can be put in order/,
    workload: "lin-kv",
    settings: { seed: 7, concurrency: 12, rate: 200, latencyMs: 5, ...frequentCuts },
    program: (node) => {
      const { clients } = referenceRules;
      const read: typeof clients.read = (raft, id) => {
        if (raft.role !== "leader") clients.read(raft, id);
        else raft.effects.push({ kind: "read", id, index: raft.commitIndex });
      };
      return makeKeyValueStore(node, { ...referenceRules, clients: { ...clients, read } });
    },
  },
  {
    id: "5.7-02b",
    why: "each node answers reads from its own copy, whoever leads",
    says: /can be put in order/,
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
    says: /can be put in order/,
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
    says: /can be put in order/,
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
    says: /can be put in order/,
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
    says: /can be put in order/,
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
  {
    id: "5.7-07",
    why: "a request whose leader was deposed is answered as if it had been carried out",
    says: /can be put in order/,
    workload: "lin-kv",
    settings: {
      nodeCount: 3,
      concurrency: 6,
      latencyMs: 20,
      nemesis: ["partition"],
      nemesisIntervalMs: 1000,
    },
    program: replace("lin-kv", ({ write, cas }) => {
      const answered =
        (handler: Program[string], type: string): Program[string] =>
        async (body, from) => {
          try {
            return await handler(body, from);
          } catch (error) {
            if (error instanceof RequestError && error.code === codeOf("crash")) return { type };
            throw error;
          }
        };
      return { write: answered(write!, "write_ok"), cas: answered(cas!, "cas_ok") };
    }),
  },
  {
    id: "5.7-09",
    why: "create_if_not_exists is not looked at",
    exchange: "create-if-not-exists",
    program: replace("lin-kv", ({ cas }) => ({
      cas: ({ create_if_not_exists: _ignored, ...body }, from) => cas!(body, from),
    })),
  },
  {
    id: "5.7-12",
    why: "who comes first is who was heard from first, which is another one on each node",
    says: /can be put in order/,
    workload: "lin-kv",
    settings: { nodeCount: 3, concurrency: 6, latencyMs: 20, latencyKind: "exponential" },
    program: (node) => {
      const order: string[] = [];
      for (const peer of node.peers) node.send(peer, { type: "hello" });
      const machine = new KeyValueMachine();
      let store: Program | undefined;
      const onStore =
        (type: string): Program[string] =>
        (body, from) => {
          store ??= onFirstNode(() => machine, keyValueHandlers)({ ...node, nodeIds: [order[0] ?? node.id] });
          return store[type]!(body, from);
        };
      const types = ["read", "write", "cas", "there"];
      return {
        ...Object.fromEntries(types.map((type) => [type, onStore(type)])),
        hello: (_body, from) => void order.push(from),
      };
    },
  },
];
