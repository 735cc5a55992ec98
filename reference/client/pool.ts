/**
 * A pool: a few connections to one server, used in turn.
 *
 * One connection carries any number of requests at once, so a pool is not needed for concurrency. It spreads the work
 * over several sockets, and when one of them breaks the others go on. A slot connects when it is first used, and again
 * after it broke; callers that come meanwhile wait for the same attempt.
 */
import type { Clock, Network } from "../ports.ts";
import { call } from "./calls.ts";
import { shakeHands } from "./handshake-call.ts";
import type { Introduction, ServerLimits } from "./handshake-call.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";
import type { SessionOptions } from "./request.ts";
import { Session } from "./session.ts";

/** What a pool needs to make connections. */
export interface PoolOptions {
  readonly network: Network;
  readonly session: SessionOptions;
  readonly introduction: Introduction;
  /** How many connections the pool keeps at most. */
  readonly size: number;
}

/** A session with what its server said about itself. */
export interface PooledSession {
  readonly address: string;
  readonly session: Session;
  readonly limits: ServerLimits;
}

/** The server cuts a silent connection; a client speaks up this many times within that time. */
const pingsPerIdleTimeout = 3;

/**
 * A handshake that ends so has reached nobody: a machine that hangs still accepts, and so does what stands in front of
 * one that is down. Whatever the connection was for has not been sent, and another server may take it.
 */
const unreachedErrors: ReadonlySet<string> = new Set(["connection-closed", "request-timeout"]);

/** The connections to one server. */
export class ServerPool {
  readonly address: string;
  readonly #options: PoolOptions;
  /** Ready sessions; undefined where a slot is not connected. */
  readonly #ready: (PooledSession | undefined)[];
  /** Attempts under way, by slot. */
  readonly #pending: (Promise<PooledSession> | undefined)[];
  #turn = 0;
  #isClosed = false;

  constructor(address: string, options: PoolOptions) {
    this.address = address;
    this.#options = options;
    this.#ready = Array.from({ length: options.size }, () => undefined);
    this.#pending = Array.from({ length: options.size }, () => undefined);
  }

  /** Whether a connection is there already. */
  get isReady(): boolean {
    return this.#ready.some((pooled) => pooled?.session.isOpen);
  }

  /** Whether nobody is connected, and nobody is about to be. */
  get isIdle(): boolean {
    return !this.isReady && this.#pending.every((pending) => pending === undefined);
  }

  /** The slot of the next connection in turn. */
  next(): number {
    const slot = this.#turn;
    this.#turn = slot + 1 === this.#ready.length ? 0 : slot + 1;
    return slot;
  }

  /** The session in a slot if it is ready: the fast way, without a promise. */
  ready(slot: number): PooledSession | undefined {
    const pooled = this.#ready[slot % this.#ready.length];
    return pooled?.session.isOpen ? pooled : undefined;
  }

  /** The session in a slot, connected if need be. Rejects with a `ProtocolError`. */
  async acquire(slot: number): Promise<PooledSession> {
    return this.ready(slot) ?? this.#connect(slot % this.#ready.length);
  }

  /** Closes every connection once its open requests have settled. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#pending.filter((pending) => pending !== undefined));
    await Promise.all(this.#ready.map(async (pooled) => pooled?.session.close()));
  }

  /** Drops every connection at once; open requests fail. */
  destroy(): void {
    this.#isClosed = true;
    for (const pooled of this.#ready) pooled?.session.destroy();
  }

  #connect(slot: number): Promise<PooledSession> {
    if (this.#isClosed) return Promise.reject(protocolError("client-closed"));
    const underWay = this.#pending[slot];
    if (underWay !== undefined) return underWay;
    const attempt = this.#open(slot).finally(() => {
      this.#pending[slot] = undefined;
    });
    this.#pending[slot] = attempt;
    return attempt;
  }

  async #open(slot: number): Promise<PooledSession> {
    const { network, session: sessionOptions, introduction } = this.#options;
    const connection = await network.connect(this.address).catch((error: unknown) => {
      throw protocolError(
        "connection-failed",
        `cannot connect to ${this.address}: ${reasonOf(error)}`,
        error,
      );
    });
    const session = new Session(connection, sessionOptions);
    try {
      const limits = await shakeHands(session, introduction);
      if (this.#isClosed) throw protocolError("client-closed");
      const stopPinging = keepAlive(session, limits.idleTimeoutMs, sessionOptions.clock);
      const pooled = { address: this.address, session, limits };
      session.onEnd = () => {
        stopPinging();
        if (this.#ready[slot] === pooled) this.#ready[slot] = undefined;
      };
      this.#ready[slot] = pooled;
      return pooled;
    } catch (error) {
      session.destroy();
      if (error instanceof ProtocolError && !unreachedErrors.has(error.name)) throw error;
      const hasEnded = error instanceof ProtocolError && error.name === "connection-closed";
      const reason = hasEnded ? "the other side ended the connection" : reasonOf(error);
      throw protocolError("connection-failed", `no handshake with ${this.address}: ${reason}`, error);
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Pings often enough that the server does not take this client for dead, and finds out when the server is. */
function keepAlive(session: Session, idleTimeoutMs: number, clock: Clock): () => void {
  if (idleTimeoutMs === 0) return () => {};
  const intervalMs = Math.max(1, Math.floor(idleTimeoutMs / pingsPerIdleTimeout));
  let isStopped = false;
  let cancel = (): void => {};
  const ping = (): void => {
    if (isStopped || !session.isOpen) return;
    call(session, "Ping", { token: 0n }, { timeoutMs: intervalMs }).catch((error: unknown) => {
      if (error instanceof ProtocolError && error.name === "request-timeout") session.destroy(error);
    });
    cancel = clock.after(intervalMs, ping);
  };
  cancel = clock.after(intervalMs, ping);
  return () => {
    isStopped = true;
    cancel();
  };
}
