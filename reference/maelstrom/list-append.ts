/**
 * Transactions over lists, in one order that everybody agrees on: each is one entry of a Raft log, carried out
 * as a whole when its turn comes. That is strict serializability, and it costs a majority for every
 * transaction, reads included.
 */
import { RequestError } from "./errors.ts";
import { listField } from "./fields.ts";
import type { Json } from "./message.ts";
import type { NodeContext, Program } from "./node.ts";
import { Replicated, type JsonMachine, type MachineAnswer } from "./replicated.ts";

// #region list-machine
/** Lists by key. */
export class ListMachine implements JsonMachine {
  #lists = new Map<string, readonly Json[]>();

  apply(command: Json): MachineAnswer {
    const done = (command as readonly (readonly [string, Json, Json])[]).map(([kind, key, value]): Json => {
      const name = JSON.stringify(key);
      const list = this.#lists.get(name) ?? [];
      if (kind === "r") return ["r", key, list];
      // A new list each time: answers that are still on their way hold the old one.
      this.#lists.set(name, [...list, value]);
      return ["append", key, value];
    });
    return { kind: "ok", value: done };
  }

  read(): MachineAnswer {
    return { kind: "ok", value: null };
  }

  save(): Json {
    return [...this.#lists];
  }

  load(state: Json): void {
    this.#lists = new Map(state as unknown as readonly (readonly [string, readonly Json[]])[]);
  }
}
// #endregion list-machine

// #region list-append
/** `txn {txn}` of `["r", key, null]` and `["append", key, value]`. */
export function makeListAppend(node: NodeContext): Program {
  const lists = new Replicated(node, new ListMachine());
  return {
    txn: async (body) => {
      const steps = listField(body, "txn");
      for (const step of steps) {
        const isStep = Array.isArray(step) && step.length === 3 && (step[0] === "r" || step[0] === "append");
        if (!isStep)
          throw new RequestError("malformed-request", `no step of a transaction: ${JSON.stringify(step)}`);
      }
      return { type: "txn_ok", txn: await lists.execute(steps) };
    },
    ...lists.handlers,
  };
}
// #endregion list-append
