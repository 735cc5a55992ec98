/**
 * A table of entries by ascending id, most of which live for a short time.
 *
 * A `Map` would do, and is slower than it looks: it grows a new table each time its old one is full of deleted entries,
 * and the garbage collector carries those tables and all they refer to along for a while (measured at 256 requests
 * under way: a sixth of the client's time). Here an entry lies in an array, whose length is a power of two, at the lowest
 * bits of its id; `&` takes them also of an id beyond 32 bits. Ids ascend, so an entry meets another in its place only if
 * that one is old; the old one moves to a map aside.
 */

const slotsMin = 256;
const slotsMax = 65_536;

/** Entries by id. Ids are positive whole numbers, each used once, each larger than the one before. */
export class SlotTable<Entry extends { readonly id: number }> {
  /** Entries in the table. */
  size = 0;
  #slots: (Entry | undefined)[] = Array.from({ length: slotsMin }, () => undefined);
  /** Entries that outlived a whole turn of the slots. */
  readonly #aside = new Map<number, Entry>();

  get(id: number): Entry | undefined {
    const entry = this.#slots[id & (this.#slots.length - 1)];
    if (entry !== undefined && entry.id === id) return entry;
    return this.#aside.size === 0 ? undefined : this.#aside.get(id);
  }

  add(entry: Entry): void {
    if (this.size * 2 >= this.#slots.length && this.#slots.length < slotsMax) this.#grow();
    this.size++;
    this.#place(entry);
  }

  /** Takes an entry out; false when it is not in. */
  delete(id: number): boolean {
    const index = id & (this.#slots.length - 1);
    if (this.#slots[index]?.id === id) this.#slots[index] = undefined;
    else if (!this.#aside.delete(id)) return false;
    this.size--;
    return true;
  }

  /** A copy of all entries, by ascending id: the table may change meanwhile. */
  entries(): Entry[] {
    const all = [...this.#aside.values()];
    for (const entry of this.#slots) if (entry !== undefined) all.push(entry);
    return all.sort((left, right) => left.id - right.id);
  }

  #place(entry: Entry): void {
    const index = entry.id & (this.#slots.length - 1);
    const older = this.#slots[index];
    if (older !== undefined) this.#aside.set(older.id, older);
    this.#slots[index] = entry;
  }

  #grow(): void {
    const entries = this.entries();
    this.#slots = Array.from({ length: this.#slots.length * 4 }, () => undefined);
    this.#aside.clear();
    for (const entry of entries) this.#place(entry);
  }
}
