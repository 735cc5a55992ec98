/**
 * Following the leader: which server of a cluster to talk to.
 *
 * Only one node of a cluster answers requests, and it changes. A client learns the nodes' addresses when it connects, so
 * that it can go on when the one it was told of is gone; and when a node says that it does not lead, it asks that node
 * who does. A server that is alone says nothing of a cluster, and then nothing of this costs anything.
 */
import { clusterAddresses } from "../protocol/messages-cluster.ts";
import { call } from "./calls.ts";
import type { PoolOptions, PooledSession } from "./pool.ts";
import { ServerPool } from "./pool.ts";
import { ProtocolError } from "./protocol-error.ts";

/** The servers that a client knows, and which of them it talks to. */
export class Servers {
  readonly #options: PoolOptions;
  readonly #pools: ServerPool[];
  /** The server that answered last; when it cannot be reached, the next one is tried. */
  #current = 0;
  #isCluster = false;

  constructor(addresses: readonly string[], options: PoolOptions) {
    this.#options = options;
    this.#pools = addresses.map((address) => new ServerPool(address, options));
  }

  /** Whether the servers are nodes of a cluster, as far as one of them has said. */
  get isCluster(): boolean {
    return this.#isCluster;
  }

  /** The pool of the server that answered last. */
  get current(): ServerPool | undefined {
    return this.#pools[this.#current];
  }

  get all(): readonly ServerPool[] {
    return this.#pools;
  }

  /** A connection to the server that answered last, or to the next one that can be reached. */
  async acquire(connection?: number): Promise<PooledSession> {
    let failure: unknown;
    for (let tried = 0; tried < this.#pools.length; tried++) {
      try {
        const pool = this.#pools[this.#current]!;
        const pooled = await pool.acquire(connection ?? pool.next());
        this.#learn(pooled);
        return pooled;
      } catch (error) {
        failure = error;
        if (!(error instanceof ProtocolError) || error.name !== "connection-failed") throw error;
        this.#current = (this.#current + 1) % this.#pools.length;
      }
    }
    throw failure;
  }

  /** A connection to the node that leads, as far as one of them knows. */
  async acquireLeader(): Promise<PooledSession> {
    const pooled = await this.acquire();
    if (!this.#isCluster || !(await this.#follow(pooled))) return pooled;
    return this.acquire();
  }

  /** A request has failed: turns to the leader when that is the reason. Never rejects. */
  async turn(error: unknown): Promise<void> {
    if (!(error instanceof ProtocolError)) return;
    if (error.name !== "not-leader" && error.name !== "shutting-down") return;
    try {
      await this.#follow(await this.acquire());
    } catch {
      // Whoever asked first will try again, and then look for a server anew.
    }
  }

  /** Asks a node who leads; returns whether it is another one. */
  async #follow({ session }: PooledSession): Promise<boolean> {
    const { leader, node, members } = await call(session, "ClusterState", {}, { timeoutMs: 2000 });
    if (leader === node) return false;
    const address = members.find((member) => member.node === leader)?.address;
    // Nobody knows yet: another node may know sooner.
    if (address === undefined) this.#current = (this.#current + 1) % this.#pools.length;
    else this.#current = this.#add(address);
    return true;
  }

  #learn({ limits }: PooledSession): void {
    const addresses = clusterAddresses(limits.tagged);
    if (addresses === undefined) return;
    this.#isCluster = true;
    for (const address of addresses) this.#add(address);
  }

  #add(address: string): number {
    const known = this.#pools.findIndex((pool) => pool.address === address);
    return known >= 0 ? known : this.#pools.push(new ServerPool(address, this.#options)) - 1;
  }
}
