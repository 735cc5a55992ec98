/**
 * The servers that a client knows: one that is alone, or the nodes of a cluster.
 *
 * A client learns the nodes' addresses when it connects, so that it can go on when the one it was told of is gone. From
 * then on each request goes to the node that leads what it is about. A server that is alone says nothing of a cluster,
 * and then nothing of this costs anything.
 */
import { clusterAddresses } from "../protocol/messages-cluster.ts";
import { call } from "./calls.ts";
import { Leaders, metadata } from "./leaders.ts";
import type { Place } from "./leaders.ts";
import type { PoolOptions, PooledSession } from "./pool.ts";
import { ServerPool } from "./pool.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";

/** Errors after which a request for the same place should go to whoever leads it by then. */
const movedErrors: ReadonlySet<string> = new Set([
  "not-leader",
  "shutting-down",
  "connection-failed",
  "connection-closed",
  "request-timeout",
]);

/** A node that does not answer this question soon is not worth waiting for: another one will. */
const askTimeoutMs = 1000;

/**
 * The most servers that are known at once. Nodes come and go while a client lives: of those that it has been told of,
 * one to which there is no connection is forgotten first.
 */
export const serversMax = 100;

/** The servers, and the way to each. */
export class Servers {
  readonly #options: PoolOptions;
  readonly #pools: ServerPool[];
  /** So many of these were given; they stay. */
  readonly #givenCount: number;
  /** The server that is asked what any of them may answer; when it cannot be reached, the next one is. */
  #current = 0;
  /** Undefined until one of them has said that it is a node of a cluster. */
  #leaders: Leaders | undefined = undefined;
  #isClosed = false;
  readonly #learned = new WeakSet<PooledSession>();

  constructor(addresses: readonly string[], options: PoolOptions) {
    this.#options = options;
    this.#pools = addresses.map((address) => new ServerPool(address, options));
    this.#givenCount = addresses.length;
  }

  /** Whether the servers are nodes of a cluster, as far as one of them has said. */
  get isCluster(): boolean {
    return this.#leaders !== undefined;
  }

  /** Ends all connections once their open requests have settled. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#pools.map((pool) => pool.close()));
  }

  /** Drops all connections at once. */
  destroy(): void {
    this.#isClosed = true;
    for (const pool of this.#pools) pool.destroy();
  }

  /** The connection for a partition that is ready and takes data: the way without waiting. */
  ready(topic: string, partition: number, connection: number | undefined): PooledSession | undefined {
    let pool = this.#pools[this.#current];
    if (this.#leaders !== undefined) {
      const address = this.#leaders.known(topic, partition);
      pool = address === undefined ? undefined : this.#poolOf(address);
    }
    const pooled = pool?.ready(connection ?? pool.next());
    return pooled?.session.isWritable ? pooled : undefined;
  }

  /** A connection to whichever server answers. */
  async acquireAny(connection?: number): Promise<PooledSession> {
    let failure: unknown;
    for (let tried = 0; tried < this.#pools.length; tried++) {
      const pool = this.#pools[this.#current]!;
      try {
        return await this.#connect(pool, connection);
      } catch (error) {
        failure = error;
        if (!(error instanceof ProtocolError) || error.name !== "connection-failed") throw error;
        // Others may have gone on meanwhile: one failure is one step.
        if (this.#pools[this.#current] === pool) this.#current = (this.#current + 1) % this.#pools.length;
      }
    }
    throw failure;
  }

  /** A connection to the server that answers for a place. */
  async acquire(place: Place, connection?: number): Promise<PooledSession> {
    if (this.#leaders === undefined) {
      const pooled = await this.acquireAny(connection);
      if (this.#leaders === undefined) return pooled;
    }
    const address = await this.#leaders.find(place);
    if (address === undefined)
      throw protocolError("not-leader", `no node is known to lead ${nameOf(place)} now`);
    try {
      return await this.#connect(this.#poolOf(address), connection);
    } catch (error) {
      this.failed(place, address, error);
      throw error;
    }
  }

  /** A request for this place failed at this server: the next one looks who leads there, if that may be why. */
  failed(place: Place, address: string, error: unknown): void {
    if (error instanceof ProtocolError && movedErrors.has(error.name)) this.#leaders?.forget(place, address);
  }

  async #connect(pool: ServerPool, connection: number | undefined): Promise<PooledSession> {
    const pooled = await pool.acquire(connection ?? pool.next());
    if (this.#learned.has(pooled)) return pooled;
    this.#learned.add(pooled);
    const addresses = clusterAddresses(pooled.limits.tagged);
    if (addresses === undefined) return pooled;
    const { clock } = this.#options.session;
    this.#leaders ??= new Leaders(clock, (topic, asked) => this.#ask(topic, asked));
    for (const address of addresses) this.#poolOf(address);
    return pooled;
  }

  /**
   * Asks one node after the other until one knows. Each question begins with another node, so that one that knows less
   * than the others does not mislead for ever.
   */
  async #ask(topic: string, asked: number): Promise<readonly string[]> {
    const first = this.#current + asked;
    const pools = this.#pools.map((_, index) => this.#pools[(first + index) % this.#pools.length]!);
    // Whoever is connected answers at once; to connect to one that is gone can take long.
    const [near, far] = [pools.filter((pool) => pool.isReady), pools.filter((pool) => !pool.isReady)];
    let failure: ProtocolError | undefined;
    let known: readonly string[] | undefined;
    for (const pool of [...near, ...far]) {
      try {
        known = await this.#askOne(pool, topic);
        if (!known.includes("")) return known;
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        failure = error;
      }
    }
    if (known !== undefined || failure === undefined) return known ?? [];
    if (!movedErrors.has(failure.name)) throw failure;
    // The request itself has not been sent, whatever became of the question: that must not look like a lost answer.
    const name = failure.name === "connection-failed" ? "connection-failed" : "not-leader";
    throw protocolError(name, failure.message, failure);
  }

  /** What one node knows. */
  async #askOne(pool: ServerPool, topic: string): Promise<readonly string[]> {
    const { session } = await this.#connect(pool, undefined);
    const limited = { timeoutMs: askTimeoutMs };
    if (topic !== metadata.topic) {
      try {
        const { leaders } = await call(session, "Leaders", { topic }, limited);
        return leaders.map(({ address }) => address);
      } catch (error) {
        if (error instanceof ProtocolError && error.name === "topic-not-found") return [];
        throw error;
      }
    }
    const { leader, members } = await call(session, "ClusterState", {}, limited);
    const address = members.find(({ node }) => node === leader)?.address ?? "";
    if (address !== "") this.#current = this.#pools.indexOf(this.#poolOf(address));
    return [address];
  }

  #poolOf(address: string): ServerPool {
    const known = this.#pools.find((pool) => pool.address === address);
    if (known !== undefined) return known;
    const pool = new ServerPool(address, this.#options);
    if (this.#isClosed) pool.destroy();
    if (this.#pools.length >= serversMax && this.#pools.length > this.#givenCount) this.#forgetOne();
    this.#pools.push(pool);
    return pool;
  }

  #forgetOne(): void {
    const told = this.#pools.slice(this.#givenCount);
    const one = told.find((pool) => pool.isIdle) ?? told[0]!;
    const current = this.#pools[this.#current];
    this.#pools.splice(this.#pools.indexOf(one), 1);
    this.#current = Math.max(0, this.#pools.indexOf(current!));
    // What is on its way there ends by itself.
    void one.close();
  }
}

function nameOf({ topic, partition }: Place): string {
  return topic === metadata.topic ? "the cluster" : `${topic}/${partition}`;
}
