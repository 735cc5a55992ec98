/**
 * Transactions over registers that any node answers by itself, whoever it can reach: totally available.
 *
 * What that costs is isolation. Two nodes that cannot hear each other cannot agree on an order, so no read is
 * promised to be the latest. What can be promised all the same is read committed: a transaction's writes show
 * all at once or not at all, none of them before it ends, none that it has itself written over, and never in
 * two orders.
 *
 * The last point is where the reviewed solution went wrong. Its versions were local counters: two nodes both made a
 * version 1, and whichever arrived later won, which was the one here and the other there. A version has to be
 * comparable everywhere: the pair (logical time, node), compared in that order, where logical time is Lamport's
 * (1978): larger than all that its node has seen. Then every node keeps the same winner, in whatever order they come.
 */
import { RequestError } from "./errors.ts";
import { listField } from "./fields.ts";
import { Gossip, type GossipOptions } from "./gossip.ts";
import type { Json } from "./message.ts";
import type { NodeContext, Program } from "./node.ts";
import { OriginLog } from "./origin-log.ts";

/** A committed transaction as it is passed on: its logical time, and the last write to each key. */
export type CommittedWrites = readonly [time: number, writes: readonly (readonly [key: Json, value: Json])[]];

interface Register {
  readonly value: Json;
  readonly time: number;
  readonly node: string;
}

// #region registers
/** The registers of one node. */
export class Registers {
  readonly #registers = new Map<string, Register>();
  /** Lamport's clock: at least as large as every time that was seen here. */
  #time = 0;

  read(key: Json): Json {
    return this.#registers.get(JSON.stringify(key))?.value ?? null;
  }

  /** A time for a transaction of this node: later than all that it can have seen. */
  nextTime(): number {
    return this.#time + 1;
  }

  /** Takes in a transaction's writes, all together. For each key the largest pair of time and node wins. */
  apply([time, writes]: CommittedWrites, node: string): void {
    this.#time = Math.max(this.#time, time);
    for (const [key, value] of writes) {
      const name = JSON.stringify(key);
      const current = this.#registers.get(name);
      const isLater =
        current === undefined || time > current.time || (time === current.time && node > current.node);
      if (isLater) this.#registers.set(name, { value, time, node });
    }
  }
}
// #endregion registers

// #region txn
/**
 * `txn {txn}` carries out a list of `["r", key, null]` and `["w", key, value]` and answers with the reads
 * filled in.
 */
export function makeTransactions(node: NodeContext, options: Partial<GossipOptions> = {}): Program {
  const registers = new Registers();
  const log = new OriginLog<CommittedWrites>(node.id, (writes, origin) => registers.apply(writes, origin));
  const gossip = new Gossip(node, log, options);
  return {
    txn: (body) => {
      const steps = listField(body, "txn").map(stepOf);
      // 1. Nothing awaits in here, so nobody sees half of it, and it sees one state throughout.
      const written = new Map<string, readonly [Json, Json]>();
      const done = steps.map(([kind, key, value]): Json => {
        const name = JSON.stringify(key);
        if (kind === "r") return ["r", key, written.has(name) ? written.get(name)![1] : registers.read(key)];
        written.set(name, [key, value]);
        return ["w", key, value];
      });
      // 2. Only the last write to each key leaves the transaction.
      if (written.size > 0) {
        log.append([registers.nextTime(), [...written.values()]]);
        gossip.changed();
      }
      return { type: "txn_ok", txn: done };
    },
    gossip: (body, from) => gossip.receive(body, from),
  };
}
// #endregion txn

/** One step, or a refusal: a transaction of which one step cannot be read is not begun. */
function stepOf(step: Json): readonly ["r" | "w", Json, Json] {
  if (Array.isArray(step) && step.length === 3 && (step[0] === "r" || step[0] === "w")) {
    return [step[0], step[1] as Json, step[2] as Json];
  }
  throw new RequestError("malformed-request", `no step of a transaction: ${JSON.stringify(step)}`);
}
