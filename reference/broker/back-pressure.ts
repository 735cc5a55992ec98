/**
 * Back-pressure: when batches come in faster than the disk takes them, stop reading from those who send them.
 *
 * Refusing each request costs a reply, and the producer sends it again: at the limit, a broker that only refuses is
 * busy refusing. A socket that is not read fills up, and the producer's own `write` tells it to wait, which costs
 * nobody anything.
 * Only connections that send batches while the gate is closed are held, each when it does so; consumers go on.
 */
import type { BrokerConnection } from "./connection.ts";

/**
 * Where producers are held, and where they are let go again: what waits for the disk, in bytes. The gap between the two
 * keeps sockets from being stopped and started with each chunk.
 */
export interface PressureMarks {
  readonly highBytes: number;
  readonly lowBytes: number;
}

/** The producers that are held back at this moment. */
export class BackPressure {
  /** Whether the gate is closed. */
  isOn = false;
  /** How often it was closed. */
  pauseCount = 0;
  readonly #marks: PressureMarks;
  readonly #held = new Set<BrokerConnection>();

  constructor(marks: PressureMarks) {
    this.#marks = marks;
  }

  /** So much waits for the disk now. */
  update(waitingBytes: number): void {
    const { highBytes, lowBytes } = this.#marks;
    if (!this.isOn && waitingBytes >= highBytes) this.begin();
    else if (this.isOn && waitingBytes <= lowBytes) this.end();
  }

  /** The gate closes: from now on, whoever produces is held. */
  begin(): void {
    this.isOn = true;
    this.pauseCount++;
  }

  /** This connection has sent a batch while the gate was closed. */
  hold(connection: BrokerConnection): void {
    if (this.#held.has(connection)) return;
    this.#held.add(connection);
    connection.pause();
  }

  /** A connection is gone. */
  forget(connection: BrokerConnection): void {
    this.#held.delete(connection);
  }

  /** The gate opens: everyone who was held is read from again. */
  end(): void {
    this.isOn = false;
    const held = [...this.#held];
    this.#held.clear();
    for (const connection of held) {
      if (connection.isOpen) connection.resume();
    }
  }
}
