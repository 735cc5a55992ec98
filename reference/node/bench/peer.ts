/** Another broker that a benchmark is run against, at equal durability, in alternation with ours. */

/** What a peer is asked to do. */
export interface PeerWork {
  readonly kind: "produce" | "consume" | "rtt";
  readonly recordBytes: number;
  readonly seconds: number;
  /** For peers that take batches: the rest of the load that ours is under. */
  readonly batch: number;
  readonly connections: number;
  readonly outstanding: number;
}

/** A peer's server, started for the benchmark. */
export interface PeerServer {
  /** Records a second, for each way in which the peer was driven. */
  measure(work: PeerWork): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

/** How a peer is started. */
export interface PeerOptions {
  readonly fsync: "always" | "everysec" | "never";
  /** Where its data goes; the system's folder for temporary files when absent. */
  readonly folder?: string;
  /** How many copies are kept, each by a server of its own; 1 when absent. */
  readonly copies?: number;
}

/** A kind of peer. */
export interface Peer {
  readonly name: string;
  start(options: PeerOptions): Promise<PeerServer>;
}
