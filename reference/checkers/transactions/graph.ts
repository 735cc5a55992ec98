/**
 * The graph of transactions: an edge says that one must have come before the other. A cycle says that there is no such
 * order, and the kinds of its edges say which isolation level forbids it (Adya, "Weak Consistency", 1999, section 4.2).
 */

/**
 * Why one transaction comes before another. `ww`: the second overwrote what the first wrote; `wr`: the second read it;
 * `rw`: the first read what the second overwrote; `process`: one client did one after the other; `realtime`: the first
 * had ended when the second began.
 */
export type EdgeKind = "ww" | "wr" | "rw" | "process" | "realtime";

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly kind: EdgeKind;
  /** What was written and read, to explain the edge. */
  readonly reason: string;
}

/** Transactions by number, and what is known of their order. */
export class TransactionGraph {
  readonly size: number;
  readonly #edges: Edge[][];

  constructor(size: number) {
    this.size = size;
    this.#edges = Array.from({ length: size }, () => []);
  }

  /** Adds an edge; a transaction does not come before itself, and the same edge counts once. */
  add(from: number, to: number, kind: EdgeKind, reason: string): void {
    if (from === to) return;
    const own = this.#edges[from]!;
    if (own.some((edge) => edge.to === to && edge.kind === kind)) return;
    own.push({ from, to, kind, reason });
  }

  edgesFrom(transaction: number): readonly Edge[] {
    return this.#edges[transaction]!;
  }

  /**
   * The strongly connected components of more than one transaction, over edges of `kinds` only: every cycle lies in
   * one. Tarjan's algorithm (1972), with a stack of its own, since a history is deeper than the call stack.
   */
  components(kinds: ReadonlySet<EdgeKind>): readonly (readonly number[])[] {
    const found: number[][] = [];
    const order = new Int32Array(this.size).fill(-1);
    const low = new Int32Array(this.size);
    const isOnStack = new Uint8Array(this.size);
    const stack: number[] = [];
    let next = 0;
    const enter = (node: number): { node: number; edge: number } => {
      order[node] = low[node] = next++;
      stack.push(node);
      isOnStack[node] = 1;
      return { node, edge: 0 };
    };
    for (let root = 0; root < this.size; root++) {
      if (order[root] !== -1) continue;
      const path = [enter(root)];
      while (path.length > 0) {
        const frame = path.at(-1)!;
        const { node } = frame;
        const edge = this.#edges[node]![frame.edge++];
        if (edge !== undefined) {
          if (!kinds.has(edge.kind)) continue;
          if (order[edge.to] === -1) path.push(enter(edge.to));
          else if (isOnStack[edge.to] === 1) low[node] = Math.min(low[node]!, order[edge.to]!);
          continue;
        }
        path.pop();
        const parent = path.at(-1)?.node;
        if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[node]!);
        if (low[node] !== order[node]) continue;
        const component: number[] = [];
        let member: number;
        do {
          member = stack.pop()!;
          isOnStack[member] = 0;
          component.push(member);
        } while (member !== node);
        if (component.length > 1) found.push(component.sort((one, other) => one - other));
      }
    }
    return found;
  }

  /**
   * The shortest walk from the end of `first` back to its start that makes a cycle which `rule` accepts, or nothing.
   * The rule is a small automaton over the edges: it says in which state each edge leaves it, or that it may not come.
   * `budget.steps` is counted down by the edges looked at; at 0 the search ends without an answer.
   */
  shortestCycle(
    first: Edge,
    members: ReadonlySet<number>,
    rule: CycleRule,
    budget: { steps: number },
  ): readonly Edge[] | undefined {
    const start = rule.next(rule.start, first);
    if (start === undefined) return undefined;
    const reached = new Map<string, { readonly edge: Edge; readonly before: string | undefined }>();
    const key = (node: number, state: number): string => `${node}/${state}`;
    reached.set(key(first.to, start), { edge: first, before: undefined });
    let frontier: readonly (readonly [number, number])[] = [[first.to, start]];
    while (frontier.length > 0) {
      const coming: (readonly [number, number])[] = [];
      for (const [node, state] of frontier) {
        if (node === first.from && rule.isDone(state, first)) return walkBack(reached, key(node, state));
        // Once back at the start, going on would only make a longer cycle.
        if (node === first.from && node !== first.to) continue;
        for (const edge of this.#edges[node]!) {
          if (--budget.steps < 0) return undefined;
          if (!members.has(edge.to)) continue;
          const after = rule.next(state, edge);
          if (after === undefined || reached.has(key(edge.to, after))) continue;
          reached.set(key(edge.to, after), { edge, before: key(node, state) });
          coming.push([edge.to, after]);
        }
      }
      frontier = coming;
    }
    return undefined;
  }
}

/** Which cycles are looked for. */
export interface CycleRule {
  readonly start: number;
  /** The state after an edge; `undefined` when the edge may not come in this one. */
  next(state: number, edge: Edge): number | undefined;
  /** Whether the cycle may close in this state; `first` comes next. */
  isDone(state: number, first: Edge): boolean;
}

function walkBack(
  reached: ReadonlyMap<string, { readonly edge: Edge; readonly before: string | undefined }>,
  end: string,
): readonly Edge[] {
  const edges: Edge[] = [];
  for (let at: string | undefined = end; at !== undefined;) {
    const step: { readonly edge: Edge; readonly before: string | undefined } = reached.get(at)!;
    edges.push(step.edge);
    at = step.before;
  }
  return edges.reverse();
}
