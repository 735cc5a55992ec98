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
 * Four things break the simple version, all of which happen. The clock steps back: then time must not, so the largest
 * one used stays. More than 4,096 ids are wanted in one millisecond: the next millisecond is borrowed. A number of
 * 64 bits does not survive JSON, where numbers are exact up to 2^53: the id is sent as text. And the node is killed,
 * the clock steps back, and the node starts again with no memory of the times that it has used: so it writes down,
 * ahead, up to which time it will go, and begins behind that when it comes back.
 *
 * The design note hashes the node's name into its ten bits. Two names may hash alike, and with 25 nodes they do in one
 * cluster of four; the place in the list of nodes, which everybody agrees on, cannot.
 */
import { assert } from "#reference/base/assert.ts";
import type { Clock } from "#reference/ports.ts";
import type { Journal, NodeContext, Program } from "./node.ts";

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
  #timeMs: number;
  /** As if all of that millisecond were used up: the first id is of a later one. */
  #sequence = 2 ** Number(sequenceBits) - 1;

  /**
   * `node` is the node's number, from 0 to below `nodesMax`, and nobody else's. Times up to `usedMs` are never used:
   * an earlier life of the node may have used them.
   */
  constructor(node: number, clock: Clock, usedMs = -1) {
    assert(node >= 0 && node < nodesMax, () => `node ${node} of at most ${nodesMax}`);
    this.#node = BigInt(node);
    this.#clock = clock;
    this.#timeMs = usedMs;
  }

  /** The time in the last id. */
  get timeMs(): number {
    return this.#timeMs;
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

/** How far ahead of the last id times are reserved. A kill wastes that much of 139 years. */
export const reserveMs = 10_000;

// #region reservation
/** What a node has promised its journal: to use no time later than this before it has promised more. */
export class Reservation {
  readonly #journal: Journal;
  #durableMs: number;
  #askedMs: number;
  #waiting: { readonly timeMs: number; readonly resolve: () => void }[] = [];

  constructor(journal: Journal) {
    this.#journal = journal;
    const last = journal.load().at(-1) ?? -1;
    assert(Number.isSafeInteger(last), () => `${JSON.stringify(last)} in the journal is no time`);
    this.#durableMs = last as number;
    this.#askedMs = this.#durableMs;
  }

  /** An earlier life of the node may have used all times up to this. Ask before the first `cover`. */
  get usedMs(): number {
    return this.#durableMs;
  }

  /** Resolves when ids of this time may be handed out. Almost always that is at once: it is asked for well ahead. */
  async cover(timeMs: number): Promise<void> {
    // 1. Half of it is used: reserve more, while ids go on being handed out.
    if (timeMs + reserveMs / 2 > this.#askedMs) this.#reserve(timeMs + reserveMs);
    // 2. Not on disk yet: an id that goes out now could go out again after a kill.
    if (timeMs <= this.#durableMs) return;
    await new Promise<void>((resolve) => this.#waiting.push({ timeMs, resolve }));
  }

  #reserve(untilMs: number): void {
    this.#askedMs = untilMs;
    const onDurable = (): void => {
      this.#durableMs = untilMs;
      const covered = this.#waiting.filter(({ timeMs }) => timeMs <= untilMs);
      this.#waiting = this.#waiting.filter(({ timeMs }) => timeMs > untilMs);
      for (const { resolve } of covered) resolve();
    };
    // Only the last promise counts: it takes the place of those before it.
    this.#journal.append(untilMs, onDurable, true);
  }
}
// #endregion reservation

// #region unique-ids
/** `generate` is answered with `generate_ok {id}`, a decimal number as text. */
export function makeUniqueIds({
  id,
  nodeIds,
  clock,
  journal,
}: Pick<NodeContext, "id" | "nodeIds" | "clock" | "journal">): Program {
  // Without a journal ids are unique as long as the clock does not step back while the node is down.
  const reservation = journal === undefined ? undefined : new Reservation(journal);
  const generator = new IdGenerator(nodeIds.indexOf(id), clock, reservation?.usedMs);
  return {
    generate: async () => {
      const next = generator.next();
      await reservation?.cover(generator.timeMs);
      return { type: "generate_ok", id: String(next) };
    },
  };
}
// #endregion unique-ids
