/**
 * A linearizable key-value store over Raft: reads see every write that was answered before they began, whoever
 * is asked.
 *
 * A compare-and-swap is decided when it is carried out, not when it is asked for. Between the two stand all
 * requests that came first, and any of them may have changed the value.
 */
import { codeOf } from "./errors.ts";
import { textField, valueField } from "./fields.ts";
import type { RaftRules } from "../raft/state.ts";
import type { Json } from "./message.ts";
import type { NodeContext, Program } from "./node.ts";
import { Replicated, type JsonMachine, type MachineAnswer } from "./replicated.ts";

type Command =
  | readonly ["write", key: string, value: Json]
  | readonly ["cas", key: string, from: Json, to: Json, isCreating: boolean];

// #region key-value-machine
/** The store itself. Values are compared as JSON. */
export class KeyValueMachine implements JsonMachine {
  #values = new Map<string, Json>();

  apply(command: Json): MachineAnswer {
    const [kind, key, ...rest] = command as unknown as Command;
    if (kind === "write") {
      this.#values.set(key, rest[0]);
      return { kind: "ok", value: null };
    }
    const [from, to, isCreating] = rest as readonly [Json, Json, boolean];
    const value = this.#values.get(key);
    if (value === undefined && !isCreating) return missing(key);
    if (value !== undefined && JSON.stringify(value) !== JSON.stringify(from)) {
      const text = `${JSON.stringify(value)} is there, not ${JSON.stringify(from)}`;
      return { kind: "refused", error: codeOf("precondition-failed"), text };
    }
    this.#values.set(key, to);
    return { kind: "ok", value: null };
  }

  read(key: Json): MachineAnswer {
    const value = this.#values.get(key as string);
    return value === undefined ? missing(key as string) : { kind: "ok", value };
  }

  save(): Json {
    return [...this.#values];
  }

  load(state: Json): void {
    this.#values = new Map(state as readonly (readonly [string, Json])[]);
  }
}
// #endregion key-value-machine

function missing(key: string): MachineAnswer {
  return { kind: "refused", error: codeOf("key-does-not-exist"), text: `no key ${key}` };
}

// #region lin-kv
/** `read {key}`, `write {key, value}`, `cas {key, from, to, create_if_not_exists?}`. */
export function makeKeyValueStore(node: NodeContext, rules?: RaftRules): Program {
  const store = new Replicated(node, new KeyValueMachine(), rules);
  return {
    read: async (body) => ({ type: "read_ok", value: await store.query(textField(body, "key")) }),
    write: async (body) => {
      await store.execute(["write", textField(body, "key"), valueField(body, "value")]);
      return { type: "write_ok" };
    },
    cas: async (body) => {
      const isCreating = body["create_if_not_exists"] === true;
      await store.execute([
        "cas",
        textField(body, "key"),
        valueField(body, "from"),
        valueField(body, "to"),
        isCreating,
      ]);
      return { type: "cas_ok" };
    },
    ...store.handlers,
  };
}
// #endregion lin-kv
