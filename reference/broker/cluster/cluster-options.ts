/** What a node of a cluster is made of, and how it reaches the others. */
import type { Checksum, Clock, Random } from "../../ports.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import type { Configuration } from "../../raft/entry.ts";
import type { RaftOptions } from "../../raft/options.ts";
import type { Broker } from "../broker.ts";
import type { ErrorOutcome } from "../outcome.ts";
import type { CatchUpSource } from "./catch-up.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { EntryBytes } from "./groups.ts";
import type { Identity } from "./identity.ts";
import type { RaftJournal } from "./journal.ts";

/** A node that can be asked. */
export interface PeerSource extends CatchUpSource {
  state(): Promise<ReplyOf<"PeerState">>;
  /** The members of the cluster as it knows them. */
  members(): Promise<ReplyOf<"ClusterState">["members"]>;
  /** Has it hand over all that it leads. */
  transfer(target: string): Promise<ErrorOutcome | undefined>;
}

/** How a node reaches the others. */
export interface Peers {
  /** Sends a frame, good until this returns, if the node can be reached now; Raft does without it otherwise. */
  send(node: string, frame: Uint8Array): void;
  /** The whole membership: connections to nodes that are not in it end. */
  update(addresses: ReadonlyMap<string, string>): void;
  source(node: string): PeerSource;
  /** Introduces this node at an address; resolves to who is there. Rejects when nobody answers, or refuses. */
  identify(name: string, address: string): Promise<ReplyOf<"PeerHello">>;
}

/** What a node is made of. */
export interface ClusterOptions {
  readonly broker: Broker;
  readonly identity: Identity;
  /** Addresses from the command line; those in the log win. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly journal: RaftJournal;
  /** The first members; undefined for a node that joins a cluster that is there already. */
  readonly bootstrap: Configuration | undefined;
  readonly peers: Peers;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly random: Random;
  readonly raft?: Partial<RaftOptions>;
  /** Counts what the groups do. */
  readonly metrics?: ClusterMetrics;
  /** The most partitions of all topics together. */
  readonly partitionsMax?: number;
  /** The most bytes of batches that this node has proposed and that are not agreed on. */
  readonly proposedBytesMax?: number;
  /** Memory for entries that no snapshot has taken the place of yet. */
  readonly entryBytes?: EntryBytes;
  readonly schedule: (run: () => void) => void;
  /** Something that an operator should know, in one line. */
  readonly onNotice?: (line: string) => void;
  readonly onHalt: (error: unknown) => void;
}
