/**
 * Peers that were turned away at the door. They get an answer that says why, and a while to read it; who stays longer
 * is dropped. They take no place among the connections, or a crowd at the door would keep everybody out.
 */
import type { Checksum, Clock, Connection } from "../ports.ts";
import type { ErrorName } from "./errors.ts";
import { putErrorReply } from "./handshake.ts";
import { FrameOutput } from "./output.ts";

/** So many may linger, or the crowd would use up the sockets: of more, the one that came first is dropped. */
export const refusedPeersMax = 1000;

/** The peers that were turned away and have not gone yet. */
export class RefusedPeers {
  readonly #clock: Clock;
  readonly #checksum: Checksum;
  readonly #onGone: () => void;
  /** With the time of the refusal. */
  readonly #peers = new Map<Connection, number>();

  /** `onGone` is called whenever one of them has gone. */
  constructor(clock: Clock, checksum: Checksum, onGone: () => void) {
    this.#clock = clock;
    this.#checksum = checksum;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Answers request 0, which stands for the connection itself, and ends the stream. */
  add(connection: Connection, name: ErrorName, message: string): undefined {
    const output = new FrameOutput();
    putErrorReply(output, this.#checksum, 0, 0, name, message);
    for (const first of this.#peers.keys()) {
      if (this.#peers.size < refusedPeersMax) break;
      this.#dropOne(first);
    }
    this.#peers.set(connection, this.#clock.monotonicTimeMs());
    connection.onData = () => {};
    connection.onClose = () => {
      if (this.#peers.delete(connection)) this.#onGone();
    };
    output.writeTo((bytes) => connection.write(bytes));
    connection.end();
    return undefined;
  }

  /** Drops those that were refused at or before `beforeMs` and are still there. */
  drop(beforeMs: number): void {
    for (const [connection, sinceMs] of this.#peers) {
      if (sinceMs > beforeMs) continue;
      this.#dropOne(connection);
    }
  }

  #dropOne(connection: Connection): void {
    this.#peers.delete(connection);
    connection.destroy();
    this.#onGone();
  }
}
