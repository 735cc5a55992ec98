/**
 * A counter that every node can add to without asking anybody: each node counts its own additions, and the value is the
 * sum over the nodes.
 *
 * Merging takes, for each node, the later of two states of *its* count. So it does not matter how often or in
 * which order states come: nothing is counted twice. Additions and subtractions are kept apart, since a sum of
 * both does not say which of two states is the later one; a version number does, and lets gossip send only what
 * has changed.
 */
import { integerField } from "./fields.ts";
import { Gossip, type Digest, type GossipOptions, type Replica } from "./gossip.ts";
import { RequestError } from "./errors.ts";
import type { NodeContext, Program } from "./node.ts";

/** One node's count: its version, and the sums of what was added and taken away there. */
export type CountPart = readonly [origin: string, version: number, plus: number, minus: number];

// #region counts
/** Counts by node. A node that has added nothing has no entry: it counts as 0, and costs no message. */
export class Counts implements Replica<CountPart> {
  readonly #counts = new Map<string, { version: number; plus: number; minus: number }>();

  get value(): number {
    return [...this.#counts.values()].reduce((sum, { plus, minus }) => sum + plus - minus, 0);
  }

  /** Adds at a node: only that node itself may. */
  add(own: string, delta: number): void {
    const count = this.#counts.get(own) ?? { version: 0, plus: 0, minus: 0 };
    this.#counts.set(own, {
      version: count.version + 1,
      plus: count.plus + Math.max(delta, 0),
      minus: count.minus + Math.max(-delta, 0),
    });
  }

  digest(): Digest {
    return Object.fromEntries([...this.#counts].map(([origin, { version }]) => [origin, version]));
  }

  since(known: Digest): { readonly parts: readonly CountPart[]; readonly reached: Digest } {
    const parts = [...this.#counts]
      .filter(([origin, { version }]) => version > (known[origin] ?? 0))
      .map(([origin, { version, plus, minus }]): CountPart => [origin, version, plus, minus]);
    return { parts, reached: Object.fromEntries(parts.map(([origin, version]) => [origin, version])) };
  }

  merge(parts: readonly CountPart[]): boolean {
    let isNew = false;
    for (const [origin, version, plus, minus] of parts) {
      const isWhole = typeof origin === "string" && [version, plus, minus].every(Number.isSafeInteger);
      if (!isWhole || version <= (this.#counts.get(origin)?.version ?? 0)) continue;
      this.#counts.set(origin, { version, plus, minus });
      isNew = true;
    }
    return isNew;
  }

  confirmed(): void {
    // One number for each node is all that is kept: there is nothing to let go.
  }
}
// #endregion counts

// #region counter
/** `add {delta}` adds, `read` → `value`. A counter that `growsOnly` refuses to take away. */
export function makeCounter(
  node: NodeContext,
  { growsOnly = false, ...options }: { readonly growsOnly?: boolean } & Partial<GossipOptions> = {},
): Program {
  const counts = new Counts();
  const gossip = new Gossip(node, counts, options);
  return {
    add: (body) => {
      const delta = integerField(body, "delta");
      if (growsOnly && delta < 0) throw new RequestError("malformed-request", `delta ${delta} is negative`);
      if (delta !== 0) {
        counts.add(node.id, delta);
        gossip.changed();
      }
      return { type: "add_ok" };
    },
    read: () => ({ type: "read_ok", value: counts.value }),
    gossip: (body, from) => gossip.receive(body, from),
  };
}
// #endregion counter
