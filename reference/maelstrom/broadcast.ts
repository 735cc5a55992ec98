/**
 * Broadcast: a value that is given to one node is soon known at all of them, whatever happens to the network.
 *
 * The `topology` that the test sends is advice. It is a grid, along which a value takes up to eight hops; the gossip
 * here takes two, through a hub, and survives without it.
 */
import { valueField } from "./fields.ts";
import { Gossip, type GossipOptions } from "./gossip.ts";
import type { Body, Json } from "./message.ts";
import type { NodeContext, Program } from "./node.ts";
import { OriginLog } from "./origin-log.ts";

/** A set of JSON values, told apart by what they are: 1 and "1" are two. */
export class ValueSet {
  readonly #values = new Map<Json, Json>();

  /** False when it was there already. */
  add(value: Json): boolean {
    const key = typeof value === "object" && value !== null ? JSON.stringify(value) : value;
    // A text cannot be taken for an object's: that one begins with a bracket, and is quoted here.
    const ownKey = typeof key === "string" && key === value ? JSON.stringify(key) : key;
    if (this.#values.has(ownKey)) return false;
    this.#values.set(ownKey, value);
    return true;
  }

  list(): readonly Json[] {
    return [...this.#values.values()];
  }
}

// #region broadcast
/** `broadcast {message}` adds, `read` shows all, `topology` is taken note of and not followed. */
export function makeBroadcast(node: NodeContext, options: Partial<GossipOptions> = {}): Program {
  const { add, list, gossip } = makeSharedSet(node, options);
  return {
    topology: () => ({ type: "topology_ok" }),
    broadcast: (body) => {
      add(valueField(body, "message"));
      return { type: "broadcast_ok" };
    },
    read: () => ({ type: "read_ok", messages: list() }),
    gossip,
  };
}
// #endregion broadcast

// #region g-set
/** The grow-only set is the same under other names: `add {element}`, `read` → `value`. */
export function makeGrowOnlySet(node: NodeContext, options: Partial<GossipOptions> = {}): Program {
  const { add, list, gossip } = makeSharedSet(node, options);
  return {
    add: (body) => {
      add(valueField(body, "element"));
      return { type: "add_ok" };
    },
    read: () => ({ type: "read_ok", value: list() }),
    gossip,
  };
}
// #endregion g-set

interface SharedSet {
  readonly add: (value: Json) => void;
  readonly list: () => readonly Json[];
  readonly gossip: (body: Body, from: string) => undefined;
}

function makeSharedSet(node: NodeContext, options: Partial<GossipOptions>): SharedSet {
  const values = new ValueSet();
  const log = new OriginLog<Json>(node.id, (value) => values.add(value));
  const gossip = new Gossip(node, log, options);
  const known = new ValueSet();
  return {
    add: (value) => {
      // Somebody may send the same again, because they did not hear our answer: it is one value.
      if (!known.add(value)) return;
      log.append(value);
      gossip.changed();
    },
    list: () => values.list(),
    gossip: (body, from) => gossip.receive(body, from),
  };
}
