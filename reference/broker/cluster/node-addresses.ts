/**
 * Where each node is reached: as the cluster has agreed, as other nodes say, and as the command line did.
 *
 * A node that was away may come back to a leader of which it has never heard: the entry that says where that one is
 * reached would have to come from there. So a node that knows no leader asks the nodes that it does know.
 */
import type { Peers } from "./cluster-options.ts";
import { memberCalled, nameOf } from "./member-id.ts";
import type { Metadata } from "./metadata.ts";

/** The most nodes that are believed to be there because others say so: more would be no cluster. */
export const toldNodesMax = 100;
/** How long a node knows no leader before it asks, and how often it asks again. */
const askMs = 1000;

/** The addresses as one node knows them. */
export class NodeAddresses {
  readonly #given: ReadonlyMap<string, string>;
  readonly #metadata: Metadata;
  /** What others said of nodes of which this one's own log says nothing yet. */
  readonly #told = new Map<string, string>();
  #askAtMs = Infinity;

  /** `given` are names, as on the command line, and `self` is this node as Raft knows it. */
  constructor(given: ReadonlyMap<string, string>, self: string, metadata: Metadata) {
    const own = given.get(nameOf(self));
    const others = [...given].filter(([name]) => name !== nameOf(self));
    this.#given = new Map(own === undefined ? others : [...others, [self, own]]);
    this.#metadata = metadata;
  }

  /** Every node that may belong to the cluster, as far as this one knows. */
  get all(): ReadonlyMap<string, string> {
    const { addresses, gone } = this.#metadata;
    const known = new Map([...this.#told, ...addresses]);
    for (const node of gone) if (!this.#told.has(node)) known.delete(node);
    // The command line knows names. One whose folder has been replaced is in the log under another id.
    const isMeant = (name: string): boolean =>
      !gone.has(name) && (memberCalled(name, known.keys()) ?? name) === name;
    return new Map([...[...this.#given].filter(([name]) => isMeant(name)), ...known]);
  }

  /** Where a node is expected that this one does not know by its id, if its name is known. */
  expected(node: string): string | undefined {
    const known = memberCalled(nameOf(node), this.all.keys());
    return known === undefined ? this.#given.get(nameOf(node)) : this.all.get(known);
  }

  /** Another node has said of itself that it is here. */
  tell(node: string, address: string): void {
    // One of each name: whoever comes again and again with new folders takes no more room.
    for (const known of this.#told.keys()) if (nameOf(known) === nameOf(node)) this.#told.delete(known);
    this.#told.set(node, address);
  }

  /** Whether the node was removed from the cluster, and nothing says that it is back. */
  isGone(node: string): boolean {
    return this.#metadata.gone.has(node) && !this.#told.has(node);
  }

  /** Called now and then: asks the others while no leader is known. */
  lookAfter(leader: string | undefined, self: string, peers: Peers, nowMs: number): void {
    const { addresses, gone } = this.#metadata;
    for (const node of this.#told.keys()) {
      if (addresses.has(node) && !gone.has(node)) this.#told.delete(node);
    }
    if (leader !== undefined) this.#askAtMs = Infinity;
    else if (this.#askAtMs === Infinity) this.#askAtMs = nowMs + askMs;
    if (nowMs < this.#askAtMs) return;
    this.#askAtMs = nowMs + askMs;
    for (const node of this.all.keys()) if (node !== self) void this.#ask(node, peers);
  }

  async #ask(node: string, peers: Peers): Promise<void> {
    const members = await peers
      .source(node)
      .members()
      .catch(() => []);
    for (const { node: name, address } of members) {
      const isKnown = this.#metadata.addresses.has(name) && !this.#metadata.gone.has(name);
      if (address === "" || isKnown || this.#given.has(name)) continue;
      if (this.#told.has(name) || this.#told.size < toldNodesMax) this.#told.set(name, address);
    }
  }
}
