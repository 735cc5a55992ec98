/**
 * Ids that nobody else hands out, without asking anybody: time, node and sequence side by side in 64 bits, the layout
 * that Twitter called Snowflake.
 *
 * ```
 *  63                        22 21      12 11         0
 * +----------------------------+----------+------------+
 * |  milliseconds since 1970   |   node   |  sequence  |
 * +----------------------------+----------+------------+
 *            42 bits              10 bits     12 bits
 * ```
 *
 * Three things break the simple version, all of which happen. The clock steps back: then time must not, so the largest
 * one used stays. More than 4,096 ids are wanted in one millisecond: the next millisecond is borrowed. And a number of
 * 64 bits does not survive JSON, where numbers are exact up to 2^53: the id is sent as text.
 *
 * The design note hashes the node's name into its ten bits. Two names may hash alike, and with 25 nodes they do in one
 * cluster of four; the place in the list of nodes, which everybody agrees on, cannot.
 */
import { assert } from "#reference/base/assert.ts";
import type { Clock } from "#reference/ports.ts";
import type { NodeContext, Program } from "./node.ts";

export const timeBits = 42n;
export const nodeBits = 10n;
export const sequenceBits = 12n;
/** The most nodes that have numbers of their own. */
export const nodesMax = 2 ** Number(nodeBits);

// #region snowflake
/** Makes ids that rise, for one node. */
export class IdGenerator {
  readonly #node: bigint;
  readonly #clock: Clock;
  #timeMs = -1;
  #sequence = 0;

  /** `node` is the node's number, from 0 to below `nodesMax`, and nobody else's. */
  constructor(node: number, clock: Clock) {
    assert(node >= 0 && node < nodesMax, () => `node ${node} of at most ${nodesMax}`);
    this.#node = BigInt(node);
    this.#clock = clock;
  }

  next(): bigint {
    const nowMs = this.#clock.wallTimeMs();
    // 1. A new millisecond begins at sequence 0.
    if (nowMs > this.#timeMs) {
      this.#timeMs = nowMs;
      this.#sequence = 0;
    } else if (++this.#sequence === 2 ** Number(sequenceBits)) {
      // 2. Within the same one, or after the clock has stepped back, the sequence goes on; when it is used up, the
      //    next millisecond is borrowed.
      this.#timeMs++;
      this.#sequence = 0;
    }
    // 3. Side by side, no part reaching into another.
    const time = BigInt.asUintN(Number(timeBits), BigInt(this.#timeMs));
    return (time << (nodeBits + sequenceBits)) | (this.#node << sequenceBits) | BigInt(this.#sequence);
  }
}
// #endregion snowflake

// #region unique-ids
/** `generate` is answered with `generate_ok {id}`, a decimal number as text. */
export function makeUniqueIds({ id, nodeIds, clock }: NodeContext): Program {
  const generator = new IdGenerator(nodeIds.indexOf(id), clock);
  return {
    generate: () => ({ type: "generate_ok", id: String(generator.next()) }),
  };
}
// #endregion unique-ids
