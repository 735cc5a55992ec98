/**
 * Membership in a consumer group: which partitions are ours, for as long as we say that we are alive.
 *
 * The member says what it reads and is told what it should read. What it should give up, it gives up first (and commits
 * how far it got), and only the next heartbeat tells the server, which then gives the partition to somebody else. So a
 * partition never has two readers, and nobody else has to stop for the change.
 *
 * The server binds the membership to a connection. When that is lost, so is the membership; the member joins again.
 */
import type { Clock } from "../ports.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import { call } from "./calls.ts";
import type { BrokerClient } from "./client.ts";
import { throwIfRefused } from "./commit-refusal.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";
import type { PooledSession } from "./pool.ts";
import { retryDelayMs, retryPolicyDefault } from "./retry.ts";

/** A partition by name. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** Where a group goes on in one partition. */
export interface GroupOffset extends PartitionName {
  readonly offset: number;
}

/** What a membership needs, and whom it tells. */
export interface MembershipOptions {
  readonly client: BrokerClient & { readonly clock: Clock };
  readonly group: string;
  readonly topics: readonly string[];
  /** The trace that its requests are part of. */
  readonly trace: { readonly traceparent?: string };
  /** Begin reading these, each from what the group has committed. */
  readonly onAssigned: (partitions: ReplyOf<"FetchOffset">["offsets"]) => void;
  /** Stop reading these; resolves to how far each got. */
  readonly onRevoked: (partitions: readonly PartitionName[]) => readonly GroupOffset[];
  /** Called at most once: the membership is over for good. */
  readonly onError: (error: unknown) => void;
}

/** Heartbeats fail this often in a row before the member gives up. */
const failuresMax = 20;

/** One member of one group. */
export class GroupMembership {
  readonly #options: MembershipOptions;
  /** The connection that the membership belongs to. */
  #pooled: PooledSession | undefined = undefined;
  #memberId = "";
  #generation = 0;
  #owned: readonly PartitionName[] = [];
  #failures = 0;
  #isOver = false;
  #cancelHeartbeat: (() => void) | undefined = undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** The id that the server gave; empty before the first answer. */
  get memberId(): string {
    return this.#memberId;
  }

  /** Joins, and stays until `leave`. */
  start(): void {
    void this.#beat();
  }

  /** Commits positions in the name of this member. Rejects with `fenced-member` when the partition is not ours. */
  async commit(offsets: readonly GroupOffset[]): Promise<void> {
    if (this.#pooled === undefined) throw protocolError("fenced-member", "not joined yet");
    const { session } = this.#pooled;
    const { group } = this.#options;
    const fields = { group, memberId: this.#memberId, generation: this.#generation, offsets };
    throwIfRefused(fields, await call(session, "CommitOffset", fields, this.#options.trace));
  }

  /** Commits the last positions and leaves at once, so that the others need not wait for a time-out. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelHeartbeat?.();
    const offsets = this.#options.onRevoked(this.#owned);
    this.#owned = [];
    const session = this.#pooled?.session;
    if (session?.isOpen !== true) return;
    const { group, trace } = this.#options;
    // Leaving is a courtesy: whatever goes wrong with it, the connection's end says the same.
    if (offsets.length > 0) await this.commit(offsets).catch(() => {});
    await call(session, "LeaveGroup", { group, memberId: this.#memberId }, trace).catch(() => {});
  }

  async #beat(): Promise<void> {
    let delayMs: number;
    try {
      delayMs = await this.#join();
      this.#failures = 0;
    } catch (error) {
      if (this.#pooled !== undefined) this.#options.client.failed(error, this.#pooled);
      this.#loseConnection();
      const isLasting =
        !(error instanceof ProtocolError) || (!error.isRetriable && error.name !== "fenced-member");
      if (this.#isOver) return;
      if (isLasting || ++this.#failures > failuresMax) {
        this.#isOver = true;
        this.#options.onError(error);
        return;
      }
      delayMs = retryDelayMs(this.#failures, retryPolicyDefault, this.#options.client.random);
    }
    if (this.#isOver) return;
    this.#cancelHeartbeat = this.#options.client.clock.after(delayMs, () => void this.#beat());
  }

  /** One round: say what we read, give up what we should, begin what we may. Resolves to when the next is due. */
  async #join(): Promise<number> {
    const { client, group, topics, trace } = this.#options;
    if (this.#pooled?.session.isOpen !== true) {
      this.#loseConnection();
      this.#pooled = await client.session();
    }
    const { session } = this.#pooled;
    const fields = { group, memberId: this.#memberId, topics, owned: this.#owned };
    const reply = await call(session, "JoinGroup", fields, trace);
    if (this.#isOver) return 0;
    this.#memberId = reply.memberId;
    this.#generation = reply.generation;
    const isIn = (list: readonly PartitionName[], { topic, partition }: PartitionName): boolean =>
      list.some((other) => other.topic === topic && other.partition === partition);
    const revoked = this.#owned.filter((name) => !isIn(reply.assigned, name));
    const added = reply.assigned.filter((name) => !isIn(this.#owned, name));
    this.#owned = reply.assigned;
    if (revoked.length > 0) {
      // The server still counts these as ours, until the next round says that we let go.
      const offsets = this.#options.onRevoked(revoked);
      if (offsets.length > 0) await this.commit(offsets);
    }
    if (added.length > 0) {
      const { offsets } = await call(session, "FetchOffset", { group, partitions: added }, trace);
      if (!this.#isOver) this.#options.onAssigned(offsets);
    }
    return revoked.length > 0 ? 0 : reply.heartbeatMs;
  }

  /** Without the connection nothing is ours any more; what was not committed comes again, to whoever reads next. */
  #loseConnection(): void {
    if (this.#owned.length > 0) this.#options.onRevoked(this.#owned);
    this.#owned = [];
    this.#pooled = undefined;
  }
}
