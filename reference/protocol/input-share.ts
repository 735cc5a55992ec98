/**
 * A bound on unfinished requests, over all connections of a server.
 *
 * One connection holds at most one frame that is not whole, and the frame limit bounds that. A thousand connections
 * that each send half of a large frame hold a thousand times as much, so their sum has a bound of its own.
 */

import { RoomPool } from "./room-pool.ts";

/** What all connections together hold. */
export class InputMeter {
  heldBytes = 0;
  /** Where connections keep what they hold. */
  readonly rooms = new RoomPool();
  readonly #bytesMax: number;

  /** 0 is no limit. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get isExceeded(): boolean {
    return this.#bytesMax > 0 && this.heldBytes > this.#bytesMax;
  }
}

/** One connection's part of it. */
export class InputShare {
  readonly #meter: InputMeter;
  #bytes = 0;

  constructor(meter: InputMeter) {
    this.#meter = meter;
  }

  /** The connection holds so many bytes now. False when it took more, and that was too much for the server. */
  hold(bytes: number): boolean {
    const gained = bytes - this.#bytes;
    this.#meter.heldBytes += gained;
    this.#bytes = bytes;
    return gained <= 0 || !this.#meter.isExceeded;
  }
}
