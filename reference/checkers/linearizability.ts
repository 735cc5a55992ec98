/**
 * Linearizability (Herlihy and Wing, 1990): is there an order of the operations, each at one instant between its
 * beginning and its end, in which a system that does one thing after the other would have given the same answers?
 *
 * The search is that of Wing and Gong with Lowe's cache ("Testing for linearizability", 2017, section 4): try as next
 * every operation that nobody had to wait for, go on from the state that it leaves, and never look twice at the same
 * set of operations with the same state. In the worst case that is exponential, so it has a budget; without an answer
 * within it the verdict is `unknown`, which is not `valid`.
 *
 * Three things keep it fast. Keys are independent, so each is judged alone (the property is local: theorem 1 of the
 * paper). An operation whose outcome is unknown may be left out altogether, so the search is over when all that were
 * answered are placed. And of several unknown operations that ask for the same, only the earliest is tried: whatever a
 * later one could explain, the earlier one explains as well.
 */
import { assert } from "#reference/base/assert.ts";
import type { Operation } from "./history.ts";
import { worstOf, type Verdict } from "./verdict.ts";

/** What the system does when it does one thing at a time. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /** Pure: the state that `input` leaves, and its answer. */
  apply(state: State, input: Input): { readonly state: State; readonly output: Output };
  isSameOutput(expected: Output, actual: Output): boolean;
  /** Equal exactly for states that behave alike. */
  keyOfState(state: State): string;
  /** Equal only for inputs that do the same. */
  keyOfInput(input: Input): string;
}

export interface LinearizabilityOptions<Input> {
  /** Which part an operation belongs to; operations of different parts must not influence each other. */
  readonly partOf?: (input: Input) => string;
  /** How many placements may be tried in all before the verdict is `unknown`. */
  readonly stepsMax?: number;
}

export const stepsMaxDefault = 1_000_000;

export interface LinearizabilityResult<Input, Output> {
  readonly verdict: Verdict;
  /** How many placements were tried. */
  readonly steps: number;
  /** Of the first part that is wrong, or that was given up. */
  readonly problem?: LinearizabilityProblem<Input, Output>;
}

export interface LinearizabilityProblem<Input, Output> {
  readonly part: string;
  /** The longest order that explains what it holds. */
  readonly explained: readonly Operation<Input, Output>[];
  /** Operations that could have come next, none of which fits: the contradiction is between them. */
  readonly stuck: readonly Operation<Input, Output>[];
}

/** Judges a history, part by part. */
export function checkLinearizability<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
  options: LinearizabilityOptions<Input> = {},
): LinearizabilityResult<Input, Output> {
  const { partOf = () => "", stepsMax = stepsMaxDefault } = options;
  // The small ones first: they are decided at once, and one that takes all steps hides none of them.
  const parts = [...Map.groupBy(operations, ({ input }) => partOf(input))].sort(
    ([, one], [, other]) => one.length - other.length,
  );
  const verdicts: Verdict[] = [];
  let steps = 0;
  let problem: LinearizabilityProblem<Input, Output> | undefined;
  for (const [part, own] of parts) {
    const search = new Search(own, model, stepsMax - steps);
    const verdict = search.run();
    steps += search.steps;
    verdicts.push(verdict);
    const isWorse = verdict === "invalid" || (verdict === "unknown" && problem === undefined);
    if (isWorse) problem = { part, ...search.longest };
    if (verdict === "invalid") break;
  }
  return { verdict: worstOf(verdicts), steps, ...(problem === undefined ? {} : { problem }) };
}

/** An operation, in the two lists of what has not been placed yet. */
interface Entry<Input, Output> {
  readonly index: number;
  readonly operation: Operation<Input, Output>;
  readonly isAnswered: boolean;
  /** Unknown operations that ask for the same have the same number. */
  readonly alike: number;
}

/** A decision of the search: this entry came next, and before it the state was that one. */
interface Placement<State, Input, Output> {
  readonly entry: Entry<Input, Output>;
  readonly stateBefore: State;
  /** Where in the list of candidates the search goes on when this turns out to be wrong. */
  readonly resumeAt: number;
}

/** The search over one part. */
class Search<State, Input, Output> {
  steps = 0;
  longest: Omit<LinearizabilityProblem<Input, Output>, "part"> = { explained: [], stuck: [] };

  readonly #model: SequentialModel<State, Input, Output>;
  readonly #stepsMax: number;
  /** By their beginnings. Failed operations are out: they have no effect, and nothing to explain. */
  readonly #entries: readonly Entry<Input, Output>[];
  /**
   * The entries that are not placed, as a doubly linked list in the order of their beginnings. An entry that is taken
   * out keeps its neighbours, so it can be put back, as long as that happens in the opposite order.
   */
  readonly #after: Int32Array;
  readonly #before: Int32Array;
  /** Sets of placed operations, with states, from which the search has already come back empty-handed. */
  readonly #seen = new Set<string>();
  readonly #placed: PlacedSet;
  #unanswered: number;

  constructor(
    operations: readonly Operation<Input, Output>[],
    model: SequentialModel<State, Input, Output>,
    stepsMax: number,
  ) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    const alike = new Map<string, number>();
    this.#entries = operations
      .filter(({ outcome }) => outcome.kind !== "failed")
      .toSorted((one, other) => one.invokedAt - other.invokedAt)
      .map((operation, index) => {
        const isAnswered = operation.outcome.kind === "ok";
        const key = isAnswered ? "" : model.keyOfInput(operation.input);
        if (!isAnswered && !alike.has(key)) alike.set(key, alike.size);
        return { index, operation, isAnswered, alike: alike.get(key) ?? -1 };
      });
    // The list's head, which is no entry, stands behind the last: its neighbours are the last entry and the first.
    const head = this.#entries.length;
    this.#after = Int32Array.from({ length: head + 1 }, (_, index) => (index === head ? 0 : index + 1));
    this.#before = Int32Array.from({ length: head + 1 }, (_, index) => (index === 0 ? head : index - 1));
    this.#placed = new PlacedSet(this.#entries.length);
    this.#unanswered = this.#entries.filter(({ isAnswered }) => isAnswered).length;
  }

  run(): Verdict {
    const path: Placement<State, Input, Output>[] = [];
    let state = this.#model.initial;
    let from = 0;
    while (this.#unanswered > 0) {
      const next = this.#nextFrom(state, from);
      if (next === "exhausted") return "unknown";
      if (next !== undefined) {
        path.push({ entry: next.entry, stateBefore: state, resumeAt: next.entry.index + 1 });
        state = next.state;
        from = 0;
        continue;
      }
      this.#noteStuck(path);
      const last = path.pop();
      if (last === undefined) return "invalid";
      this.#take(last.entry);
      state = last.stateBefore;
      from = last.resumeAt;
    }
    return "valid";
  }

  /** The next operation that may come now and fits; it is placed. Candidates before `from` have been tried. */
  #nextFrom(
    state: State,
    from: number,
  ): { entry: Entry<Input, Output>; state: State } | undefined | "exhausted" {
    for (const entry of this.#candidates()) {
      if (entry.index < from) continue;
      if (++this.steps > this.#stepsMax) return "exhausted";
      const { outcome, input } = entry.operation;
      const after = this.#model.apply(state, input);
      if (outcome.kind === "ok" && !this.#model.isSameOutput(after.output, outcome.output)) continue;
      // Left out, an unknown operation that changes nothing explains just as much.
      const keyAfter = this.#model.keyOfState(after.state);
      if (!entry.isAnswered && keyAfter === this.#model.keyOfState(state)) continue;
      this.#put(entry);
      const key = `${this.#placed.key()}|${keyAfter}`;
      if (this.#seen.has(key)) {
        this.#take(entry);
        continue;
      }
      this.#seen.add(key);
      return { entry, state: after.state };
    }
    return undefined;
  }

  /** What may come next: operations that began before any that is still to be placed has ended. */
  *#candidates(): Generator<Entry<Input, Output>> {
    const head = this.#entries.length;
    let earliestEnd = Infinity;
    const tried = new Set<number>();
    for (let index = this.#after[head]!; index !== head; index = this.#after[index]!) {
      const entry = this.#entries[index]!;
      if (entry.operation.invokedAt > earliestEnd) return;
      earliestEnd = Math.min(earliestEnd, entry.operation.completedAt);
      if (!entry.isAnswered) {
        if (tried.has(entry.alike)) continue;
        tried.add(entry.alike);
      }
      yield entry;
    }
  }

  #put(entry: Entry<Input, Output>): void {
    const [before, after] = [this.#before[entry.index]!, this.#after[entry.index]!];
    assert(this.#after[before] === entry.index, () => `operation ${entry.index} is placed twice`);
    this.#after[before] = after;
    this.#before[after] = before;
    this.#placed.flip(entry.index);
    if (entry.isAnswered) this.#unanswered--;
  }

  #take(entry: Entry<Input, Output>): void {
    this.#after[this.#before[entry.index]!] = entry.index;
    this.#before[this.#after[entry.index]!] = entry.index;
    this.#placed.flip(entry.index);
    if (entry.isAnswered) this.#unanswered++;
  }

  #noteStuck(path: readonly Placement<State, Input, Output>[]): void {
    if (path.length < this.longest.explained.length) return;
    if (path.length === this.longest.explained.length && this.longest.stuck.length > 0) return;
    this.longest = {
      explained: path.map(({ entry }) => entry.operation),
      stuck: [...this.#candidates()].map(({ operation }) => operation),
    };
  }
}

/**
 * Which operations are placed, as bits, with a key for the cache that leaves out the long run of placed
 * ones in front.
 */
class PlacedSet {
  readonly #words: Uint32Array;

  constructor(size: number) {
    this.#words = new Uint32Array((size >>> 5) + 1);
  }

  flip(index: number): void {
    this.#words[index >>> 5]! ^= 1 << (index & 31);
  }

  key(): string {
    const words = this.#words;
    let first = 0;
    let end = words.length;
    while (first < end && words[first] === 0xffff_ffff) first++;
    while (end > first && words[end - 1] === 0) end--;
    let key = `${first}`;
    for (let index = first; index < end; index++) key += `,${words[index]!.toString(36)}`;
    return key;
  }
}
