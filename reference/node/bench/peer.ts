/** Another broker that a benchmark is run against, at equal durability, in alternation with ours. */

/** What a peer is asked to do. */
export interface PeerWork {
  readonly kind: "produce" | "consume" | "rtt";
  readonly recordBytes: number;
  readonly seconds: number;
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
}

/** A kind of peer. */
export interface Peer {
  readonly name: string;
  start(options: PeerOptions): Promise<PeerServer>;
}
