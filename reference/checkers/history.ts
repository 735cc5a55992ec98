/**
 * A history: what clients asked for and what they were told, in the order in which it was seen.
 *
 * It is all that a checker may look at. What the servers believed does not count: a system is right when no client can
 * tell that it is wrong.
 *
 * An operation that ended without an answer, or with an answer that leaves the matter open, is *unknown*: it may have
 * happened, may yet happen, or may never. A checker that drops it, or counts it as failed, condemns right systems
 * (somebody reads what it wrote) or lets wrong ones pass.
 */
import { assert } from "#reference/base/assert.ts";

/** How an operation ended. Only `failed` promises that it has had, and will have, no effect. */
export type OperationOutcome<Output> =
  | { readonly kind: "ok"; readonly output: Output }
  | { readonly kind: "failed"; readonly reason?: string }
  | { readonly kind: "unknown"; readonly reason?: string };

/** One operation of one client, from its start to its end. */
export interface Operation<Input, Output> {
  /** Who asked. A client that does not know how its operation ended goes on under a new name. */
  readonly process: string;
  readonly input: Input;
  readonly outcome: OperationOutcome<Output>;
  /** Where in the history it began; each beginning and each end has a place of its own. */
  readonly invokedAt: number;
  /** Where it ended; `Infinity` when that is unknown, since it may take effect at any later time. */
  readonly completedAt: number;
  /** When it began and ended, in microseconds since the start: for latencies, never for order. */
  readonly invokedAtUs: number;
  readonly completedAtUs: number;
}

/** Collects operations while they run. Calls must come in the order of what they report. */
export class History<Input, Output> {
  readonly #open = new Map<
    number,
    { process: string; input: Input; invokedAt: number; invokedAtUs: number }
  >();
  readonly #operations = new Map<number, Operation<Input, Output>>();
  #places = 0;
  #count = 0;

  /** An operation begins; returns the name under which its end is to be reported. */
  invoke(process: string, input: Input, atUs = 0): number {
    const id = this.#count++;
    this.#open.set(id, { process, input, invokedAt: this.#places++, invokedAtUs: atUs });
    return id;
  }

  /** It ends. */
  complete(id: number, outcome: OperationOutcome<Output>, atUs = 0): void {
    const open = this.#open.get(id);
    assert(open !== undefined, () => `operation ${id} is not running`);
    this.#open.delete(id);
    const place = this.#places++;
    const completedAt = outcome.kind === "unknown" ? Infinity : place;
    this.#operations.set(id, { ...open, outcome, completedAt, completedAtUs: atUs });
  }

  /** All operations in the order of their beginnings; those still running are unknown. */
  operations(): readonly Operation<Input, Output>[] {
    return Array.from({ length: this.#count }, (_, id) => {
      const done = this.#operations.get(id);
      if (done !== undefined) return done;
      const outcome = { kind: "unknown", reason: "still running at the end" } as const;
      return { ...this.#open.get(id)!, outcome, completedAt: Infinity, completedAtUs: Infinity };
    });
  }
}

/** Whether `one` had ended before `other` began, so that everybody must agree on their order. */
export function precedes(one: Operation<unknown, unknown>, other: Operation<unknown, unknown>): boolean {
  return one.completedAt < other.invokedAt;
}
