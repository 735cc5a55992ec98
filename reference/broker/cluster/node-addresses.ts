/**
 * Where each node is reached: as the cluster has agreed, as other nodes say, and as the command line did.
 *
 * A node that was away may come back to a leader of which it has never heard: the entry that says where that one is
 * reached would have to come from there. So a node that knows no leader asks the nodes that it does know.
 */
import type { Peers } from "./cluster-options.ts";
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

  constructor(given: ReadonlyMap<string, string>, metadata: Metadata) {
    this.#given = given;
    this.#metadata = metadata;
  }

  /** Every node that may belong to the cluster, as far as this one knows. */
  get all(): ReadonlyMap<string, string> {
    const { addresses, gone } = this.#metadata;
    const all = new Map([...this.#given, ...addresses]);
    for (const node of gone) all.delete(node);
    for (const [node, address] of this.#told) if (!all.has(node)) all.set(node, address);
    return all;
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
