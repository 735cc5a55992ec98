/** What all groups of one node share. */
import type { Checksum, Clock, Random } from "../../ports.ts";
import type { Message } from "../../raft/messages.ts";
import type { RaftOptions } from "../../raft/options.ts";
import type { Broker } from "../broker.ts";
import type { CatchUpSource } from "./catch-up.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { GroupId } from "./group-id.ts";
import type { RaftJournal } from "./journal.ts";
import type { ProposedBytes } from "./produce-queue.ts";

export interface NodeContext {
  /** This node's name. */
  readonly node: string;
  readonly broker: Broker;
  readonly journal: RaftJournal;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly random: Random;
  readonly raft: Partial<RaftOptions>;
  /** Counts what the groups do; undefined where nobody looks. */
  readonly metrics: ClusterMetrics | undefined;
  /** The monotonic clock in whole milliseconds. */
  readonly nowMs: () => number;
  /** Runs something at the end of this turn, when all that came in it is there. */
  readonly schedule: (run: () => void) => void;
  /** What all partitions that this node leads have proposed. */
  readonly proposed: ProposedBytes;
  readonly send: (group: GroupId, message: Message) => void;
  readonly source: (node: string) => CatchUpSource;
  /** A group's share of the memory that entries may take. */
  readonly logBytesMax: () => number;
  /** The node can do no more. */
  readonly onHalt: (error: unknown) => void;
}
