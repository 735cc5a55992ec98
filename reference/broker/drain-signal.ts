/**
 * The news that the server is about to stop, for requests that would otherwise stay open: waiting fetches answer with
 * what they have, subscriptions end. Without it every drain would last as long as its time limit.
 */
export class DrainSignal {
  isDraining = false;
  readonly #actions = new Set<() => void>();

  /** Has `action` run when draining begins, or now if it has; the function that it returns takes that back. */
  onDrain(action: () => void): () => void {
    if (this.isDraining) {
      action();
      return () => {};
    }
    this.#actions.add(action);
    return () => void this.#actions.delete(action);
  }

  begin(): void {
    this.isDraining = true;
    const actions = [...this.#actions];
    this.#actions.clear();
    for (const action of actions) action();
  }
}
