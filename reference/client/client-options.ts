/**
 * What a client is made with, and what its calls may say.
 */
import type { Checksum, Clock, Network, Random } from "../ports.ts";
import type { Acks } from "../protocol/acks.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import type { CancelSignal } from "./cancel.ts";
import type { Credentials, SignMessage } from "./handshake-call.ts";
import type { RetryPolicy } from "./retry.ts";

/** What the shell brings. */
export interface ClientPorts {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum?: Checksum;
  /** For HMAC authentication. */
  readonly sign?: SignMessage;
}

/** What a user may choose; everything has a default. */
export interface ClientOptions {
  /** Shown in the server's logs. */
  readonly clientName?: string;
  /** Connections to each server, used in turn. One carries any number of requests at once. */
  readonly connections?: number;
  /** How long a request may take that says nothing else. */
  readonly requestTimeoutMs?: number;
  /** The most bytes that wait for one connection. */
  readonly bufferBytesMax?: number;
  readonly credentials?: Credentials;
  readonly retry?: Partial<RetryPolicy>;
  /** Asked at each call that names no `traceparent` itself: the one of the work that is going on, if there is any. */
  readonly traceparent?: () => string | undefined;
  /** Gives up the first connection, in `connect`. */
  readonly signal?: CancelSignal;
}

/** How a call may be limited. */
export interface CallOptions {
  /** Tries in all, where trying again is safe and may help; the client's policy when absent. */
  readonly attemptsMax?: number;
  readonly timeoutMs?: number;
  readonly signal?: CancelSignal;
  /** The trace that the call is part of, as in HTTP's header of this name; it shows in the server's log. */
  readonly traceparent?: string;
}

/** What a topic is created with. */
export interface TopicOptions extends CallOptions {
  readonly partitions?: number;
  /** Records older than this may go; 0 keeps them. */
  readonly retentionMs?: number;
  /** The most bytes that each partition keeps; 0 is no limit. */
  readonly retentionBytes?: number;
  /** Keep only the last record of each key. */
  readonly isCompacted?: boolean;
}

/** How to produce once. */
export interface ProduceOptions extends CallOptions {
  readonly partition?: number;
  /** In a cluster, who must have the batch before it counts as stored: a majority of the nodes (`quorum`), or one. */
  readonly acks?: Acks;
  /** Which connection of the pool to use; in turn when absent. What must keep its order stays on one. */
  readonly connection?: number;
}

/** How to fetch once. */
export interface FetchOptions extends CallOptions {
  readonly partition?: number;
  /** Stop after about this much; one batch comes whole even when it is larger. */
  readonly bytesMax?: number;
  /** At the end of the log, wait this long for a record to come. */
  readonly waitMs?: number;
}

/** A topic, as ListTopics describes it. */
export type TopicState = ReplyOf<"ListTopics">["topics"][number];
