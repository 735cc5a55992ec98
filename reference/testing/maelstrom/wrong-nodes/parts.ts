/** What wrong nodes of chapter 05 are made of: simple designs, with a place for one mistake. */
import { codeOf, RequestError } from "#reference/maelstrom/errors.ts";
import type { Body, Json } from "#reference/maelstrom/message.ts";
import type { MakeProgram, NodeContext, Program } from "#reference/maelstrom/node.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import type { JsonMachine } from "#reference/maelstrom/replicated.ts";
import type { Runtime } from "../bench.ts";
import type { MaelstromTest } from "#reference/simulator/maelstrom/test-run.ts";
import type { WorkloadName } from "#reference/simulator/maelstrom/workload.ts";

/** A wrong node, and how it is found. */
export type Mutant = {
  /** Its number in the course, with a letter when there are several. */
  readonly id: string;
  readonly why: string;
  readonly program: MakeProgram;
  /** What it runs on, when that is where the mistake is; else our runtime. */
  readonly runtime?: Runtime;
} & (FoundByRun | FoundByExchange);

/** A run of a workload finds it within a few seeds. */
export interface FoundByRun {
  readonly workload: WorkloadName;
  readonly settings?: Partial<MaelstromTest>;
  /** What the report says, when the verdict is what finds it. */
  readonly says?: RegExp;
  /** The most messages between nodes for each operation, where the offence is waste. */
  readonly budget?: number;
}

/** Only messages made by hand show it. */
export interface FoundByExchange {
  readonly exchange: string;
}

/** Values that every node floods to all others, as `change` says. */
export const flooding =
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
export const counterOn =
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

/** A counter that is right, if slow: each node swaps a key of its own in `lin-kv`, and says so when it does not know. */
export const carefulCounter: MakeProgram = ({ id, nodeIds, call }) => {
  const read = async (key: string): Promise<number> => {
    const result = await call("lin-kv", { type: "read", key });
    if (result.kind === "reply") return Number(result.body["value"] ?? 0);
    if (result.kind === "error" && result.code === codeOf("key-does-not-exist")) return 0;
    throw new RequestError("temporarily-unavailable", "nothing was done");
  };
  return {
    add: async ({ delta }) => {
      const from = await read(id);
      const to = from + (delta as number);
      const result = await call("lin-kv", { type: "cas", key: id, from, to, create_if_not_exists: true });
      if (result.kind === "error") throw new RequestError(result.code, result.text);
      if (result.kind === "timeout") throw new RequestError("timeout", "it may be there, or not");
      return { type: "add_ok" };
    },
    read: async () => {
      const counts = await Promise.all(nodeIds.map(read));
      return { type: "read_ok", value: counts.reduce((sum, count) => sum + count, 0) };
    },
  };
};

/** Of how many writes one is in trouble, and how long a slow one takes. */
const troubleEvery = 8;
const slowMs = 300;

/**
 * Logs on one node that give an offset first and write the message after it. Some writes fail, or are slow; `readable`
 * says how much of a log with holes polls may see.
 */
export const reservingLog =
  (
    trouble: "fails" | "is slow",
    readable: (log: readonly (number | undefined)[]) => readonly (number | undefined)[],
  ): MakeProgram =>
  ({ clock }) => {
    const logs = new Map<string, (number | undefined)[]>();
    const committed = new Map<string, number>();
    let sendCount = 0;
    return {
      send: async ({ key, msg }) => {
        const log = logs.get(key as string) ?? [];
        logs.set(key as string, log);
        const offset = log.push(undefined) - 1;
        const isInTrouble = ++sendCount % troubleEvery === 0;
        if (isInTrouble && trouble === "fails") throw new RequestError("abort", "could not be written");
        if (isInTrouble) await new Promise<void>((resolve) => void clock.after(slowMs, resolve));
        log[offset] = msg as number;
        return { type: "send_ok", offset };
      },
      poll: ({ offsets }) => {
        const msgs = Object.entries(offsets as Record<string, number>).map(([key, from]) => {
          const pairs = readable(logs.get(key) ?? []).flatMap((message, offset) =>
            offset >= from && message !== undefined ? [[offset, message] as const] : [],
          );
          return [key, pairs] as const;
        });
        return { type: "poll_ok", msgs: Object.fromEntries(msgs) };
      },
      commit_offsets: ({ offsets }) => {
        for (const [key, offset] of Object.entries(offsets as Record<string, number>)) {
          committed.set(key, Math.max(offset, committed.get(key) ?? -1));
        }
        return { type: "commit_offsets_ok" };
      },
      list_committed_offsets: () => {
        return { type: "list_committed_offsets_ok", offsets: Object.fromEntries(committed) };
      },
    };
  };

/** A machine on the first node, to which all others forward: no replication, and one place for bugs. */
export const onFirstNode =
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

/** The store's requests, over whoever carries them out. */
export const keyValueHandlers = (
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

/** The log's requests, over whoever carries them out. */
export const kafkaHandlers = (
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
export const registers =
  (
    cas: (values: Map<unknown, unknown>, body: Body, node: NodeContext) => Body | Promise<Body>,
  ): MakeProgram =>
  (node) => {
    const values = new Map<unknown, unknown>();
    const first = node.nodeIds[0]!;
    if (node.id !== first) {
      const ask = async ({ msg_id: _number, ...body }: Body): Promise<Body> => {
        const result = await node.call(first, body);
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

/** One of our programs with some of its handlers exchanged. */
export const replace = (
  name: keyof typeof programs,
  change: (program: Program, node: NodeContext) => Program,
): MakeProgram => {
  return (node) => {
    const program: Program = programs[name](node);
    return { ...program, ...change(program, node) };
  };
};
