/**
 * A seeded random generator: the same seed gives the same numbers, on every platform, for ever.
 *
 * The algorithm is xoshiro128** 1.1 of Blackman and Vigna (public domain, https://prng.di.unimi.it/), seeded through
 * splitmix32 so that neighbouring seeds do not give similar streams. It is fast and passes statistical tests, and it is
 * predictable: never use it for secrets.
 */
import type { Random } from "../ports.ts";
import { assert } from "./assert.ts";

/** A generator with a few draws that tests and simulations need beside the bare 32 bits. */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `seed` is any whole number; its low 53 bits count. */
  constructor(seed: number) {
    assert(Number.isSafeInteger(seed), `seed ${seed} is not a whole number`);
    let state = (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9);
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() || 1;
  }

  nextUint32(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotateLeft(this.#d, 11);
    return scrambled;
  }

  /** A number in [0, 1) with 32 random bits. */
  nextFloat(): number {
    return this.nextUint32() / 2 ** 32;
  }

  /** A whole number in [low, high], both included; the range may hold at most 2^32 numbers. */
  nextBetween(low: number, high: number): number {
    assert(low <= high, `empty range ${low} to ${high}`);
    return low + Math.floor(this.nextFloat() * (high - low + 1));
  }

  /** True with the given probability. */
  nextChance(probability: number): boolean {
    return this.nextFloat() < probability;
  }

  /** One of the items; the list must not be empty. */
  pick<Item>(items: readonly Item[]): Item {
    assert(items.length > 0, "pick from an empty list");
    return items[this.nextBetween(0, items.length - 1)] as Item;
  }

  /** A generator of its own for one part of a simulation, so that one part's draws do not shift another's. */
  fork(): SeededRandom {
    return new SeededRandom(this.nextUint32());
  }
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
