/**
 * A queue between whoever produces items in callbacks and whoever awaits them one by one.
 */

/** Items wait for readers, or readers for items; never both. */
export class Mailbox<Item> {
  #items: Item[] = [];
  #readers: { resolve: (item: Item | undefined) => void; reject: (error: unknown) => void }[] = [];
  #end: { readonly error: unknown } | undefined = undefined;

  /** Items that nobody has taken. */
  get length(): number {
    return this.#items.length;
  }

  /** Adds an item; after the end it is dropped. */
  push(item: Item): void {
    if (this.#end !== undefined) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#items.push(item);
    else reader.resolve(item);
  }

  /** The next item, when there is one; undefined at the end. Rejects if the end is an error. */
  next(): Promise<Item | undefined> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#readers.push({ resolve, reject });
      else if (this.#end.error === undefined) resolve(undefined);
      else reject(this.#end.error);
    });
  }

  /** Ends the queue behind the items that are in it, in order or with an error. Only the first end counts. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const reader of this.#readers.splice(0)) {
      if (error === undefined) reader.resolve(undefined);
      else reader.reject(error);
    }
  }

  /** Drops the items that fail the test. */
  keep(test: (item: Item) => boolean): void {
    this.#items = this.#items.filter(test);
  }
}
