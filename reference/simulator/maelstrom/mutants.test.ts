/**
 * The wrong nodes of chapter 05, by their numbers: each must be found by the workbench within a few seeds, by
 * its verdict or by a budget that the challenge sets. What only hand-made messages to one node can show is not
 * here; it is the business of the exercise's own suite.
 */
import { describe, expect, test } from "vitest";
import { codeOf, RequestError } from "#reference/maelstrom/errors.ts";
import { KeyValueMachine } from "#reference/maelstrom/lin-kv.ts";
import { KafkaMachine } from "#reference/maelstrom/kafka.ts";
import type { Body, Json } from "#reference/maelstrom/message.ts";
import type { MakeProgram, NodeContext, Program } from "#reference/maelstrom/node.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import type { JsonMachine } from "#reference/maelstrom/replicated.ts";
import { runMaelstromTest, type MaelstromTest } from "./test-run.ts";
import type { WorkloadName } from "./workload.ts";
import { ProgramHost } from "./world.ts";

interface Mutant {
  readonly id: string;
  readonly why: string;
  readonly workload: WorkloadName;
  readonly settings?: Partial<MaelstromTest>;
  readonly program: MakeProgram;
  /** The most messages between nodes for each operation, where the offence is waste. */
  readonly budget?: number;
}

/** A seed that finds it must come soon. */
const seedsMax = 6;

/** Values that every node floods to all others, as `change` says. */
const flooding =
  (
    change: (value: Json, from: string, node: NodeContext, isNew: boolean) => readonly string[],
  ): MakeProgram =>
  (node) => {
    const values = new Set<Json>();
    const take = (value: Json, from: string): void => {
      const isNew = !values.has(value);
      values.add(value);
      for (const peer of change(value, from, node, isNew)) node.send(peer, { type: "flood", value });
    };
    return {
      topology: () => ({ type: "topology_ok" }),
      broadcast: ({ message }, from) => {
        take(message!, from);
        return { type: "broadcast_ok" };
      },
      flood: ({ value }, from) => {
        take(value!, from);
        return undefined;
      },
      read: () => ({ type: "read_ok", messages: [...values] }),
    };
  };

/** A counter kept under one key of a service. */
const counterOn =
  (
    service: string,
    add: (node: NodeContext, delta: number, read: () => Promise<number | undefined>) => Promise<void>,
  ): MakeProgram =>
  (node) => {
    const read = async (): Promise<number | undefined> => {
      const result = await node.call(service, { type: "read", key: "sum" });
      return result.kind === "reply" ? (result.body["value"] as number) : undefined;
    };
    return {
      add: async ({ delta }) => {
        await add(node, delta as number, read);
        return { type: "add_ok" };
      },
      read: async () => ({ type: "read_ok", value: (await read()) ?? 0 }),
    };
  };

/** A machine on the first node, to which all others forward: no replication, and one place for bugs. */
const onFirstNode =
  (
    machine: () => JsonMachine,
    handlers: (run: (command: Json) => Promise<Json>, read: (query: Json) => Promise<Json>) => Program,
  ): MakeProgram =>
  (node) => {
    const own = machine();
    const first = node.nodeIds[0]!;
    const here = (kind: string, payload: Json): Body => {
      const answer = kind === "run" ? own.apply(payload) : own.read(payload);
      if (answer.kind === "refused") throw new RequestError(answer.error, answer.text);
      return { type: "there_ok", value: answer.value };
    };
    const ask = async (kind: string, payload: Json): Promise<Json> => {
      if (node.id === first) return here(kind, payload)["value"]!;
      const result = await node.call(first, { type: "there", kind, payload }, 4000);
      if (result.kind === "reply") return result.body["value"]!;
      if (result.kind === "error") throw new RequestError(result.code, result.text);
      throw new RequestError("crash", "no answer");
    };
    const there = ({ kind, payload }: Body): Body => here(kind as string, payload!);
    return {
      ...handlers(
        (command) => ask("run", command),
        (query) => ask("read", query),
      ),
      there,
    };
  };

const textOf = (key: Json | undefined): string => JSON.stringify(key);

const keyValueHandlers = (
  run: (command: Json) => Promise<Json>,
  read: (query: Json) => Promise<Json>,
): Program => ({
  read: async ({ key }) => ({ type: "read_ok", value: await read(textOf(key)) }),
  write: async ({ key, value }) => {
    await run(["write", textOf(key), value!]);
    return { type: "write_ok" };
  },
  cas: async ({ key, from, to }) => {
    await run(["cas", textOf(key), from!, to!, false]);
    return { type: "cas_ok" };
  },
});

const kafkaHandlers = (
  run: (command: Json) => Promise<Json>,
  read: (query: Json) => Promise<Json>,
): Program => ({
  send: async ({ key, msg }) => ({ type: "send_ok", offset: await run(["send", key!, msg!]) }),
  poll: async ({ offsets }) => ({ type: "poll_ok", msgs: await read(["poll", offsets!]) }),
  commit_offsets: async ({ offsets }) => {
    await run(["commit", offsets!]);
    return { type: "commit_offsets_ok" };
  },
  list_committed_offsets: async ({ keys }) => {
    return { type: "list_committed_offsets_ok", offsets: await read(["committed", keys!]) };
  },
});

/** A store on the first node, which answers compare-and-swap by `cas`; the others ask it. */
const registers =
  (
    cas: (values: Map<unknown, unknown>, body: Body, node: NodeContext) => Body | Promise<Body>,
  ): MakeProgram =>
  (node) => {
    const values = new Map<unknown, unknown>();
    const first = node.nodeIds[0]!;
    if (node.id !== first) {
      const ask = async ({ msg_id: _number, ...body }: Body): Promise<Body> => {
        const result = await node.call(first, body as Body);
        if (result.kind === "reply") return { ...result.body };
        throw new RequestError(result.kind === "error" ? result.code : "crash", "not here");
      };
      return { read: ask, write: ask, cas: ask };
    }
    return {
      read: ({ key }) => {
        if (!values.has(key)) throw new RequestError("key-does-not-exist", "nothing there");
        return { type: "read_ok", value: values.get(key) as Json };
      },
      write: ({ key, value }) => {
        values.set(key, value);
        return { type: "write_ok" };
      },
      cas: (body) => cas(values, body, node),
    };
  };

const replace = (
  name: keyof typeof programs,
  change: (program: Program, node: NodeContext) => Program,
): MakeProgram => {
  return (node) => {
    const program: Program = programs[name](node);
    return { ...program, ...change(program, node) };
  };
};

let shared = 0;

const mutants: readonly Mutant[] = [
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

describe("wrong nodes of chapter 05", () => {
  test.for(mutants.map((mutant) => [mutant.id, mutant.why, mutant] as const))(
    "%s: %s",
    async ([, , { workload, settings, program, budget = Infinity }]) => {
      const found: string[] = [];
      for (let seed = 1; seed <= seedsMax && found.length === 0; seed++) {
        const result = await runMaelstromTest({
          workload,
          seed,
          nodeCount: 3,
          rate: 50,
          timeLimitMs: 8000,
          makeHost: () => new ProgramHost(program),
          ...settings,
        });
        if (result.verdict === "invalid") found.push(...result.workload.problems, result.verdict);
        if (result.net.serverMessagesPerOperation > budget) found.push("budget");
      }
      expect(found).not.toEqual([]);
    },
  );
});
