/**
 * Keys to write to: a few at a time, some far more often than others, each given up after so many writes. The values
 * of one key are 1, 2, 3 and so on, so that each names the write that it came from.
 */
import type { SeededRandom } from "#reference/base/prng.ts";

export interface KeyPoolOptions {
  readonly random: SeededRandom;
  readonly keyCount: number;
  readonly writesPerKeyMax: number;
}

export class KeyPool {
  readonly #random: SeededRandom;
  readonly #writesMax: number;
  readonly #active: { readonly key: string; writes: number }[];
  #nextKey = 0;

  constructor({ random, keyCount, writesPerKeyMax }: KeyPoolOptions) {
    this.#random = random;
    this.#writesMax = writesPerKeyMax;
    this.#active = Array.from({ length: keyCount }, () => this.#newKey());
  }

  get activeKeys(): readonly string[] {
    return this.#active.map(({ key }) => key);
  }

  /** The keys that were begun last, at most so many: those in use, and some that have been given up. */
  latestKeys(count: number): readonly string[] {
    const first = Math.max(0, this.#nextKey - count);
    return Array.from({ length: this.#nextKey - first }, (_, index) => String(first + index));
  }

  /** One of the keys: each twice as likely as the one before it. */
  pick(): string {
    return this.#active[this.#place()]!.key;
  }

  /** A key and the next value of it; a key that is used up makes way for a new one. */
  nextWrite(): readonly [key: string, value: number] {
    const place = this.#place();
    const state = this.#active[place]!;
    const value = ++state.writes;
    if (value >= this.#writesMax) this.#active[place] = this.#newKey();
    return [state.key, value];
  }

  #place(): number {
    const count = this.#active.length;
    // The last place with chance one half, the one before it with a quarter, and so on.
    let place = count - 1;
    while (place > 0 && this.#random.nextChance(0.5)) place--;
    return place;
  }

  #newKey(): { readonly key: string; writes: number } {
    return { key: String(this.#nextKey++), writes: 0 };
  }
}
