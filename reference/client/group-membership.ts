/**
 * Membership in a consumer group: which partitions are ours, for as long as we say that we are alive.
 *
 * The member says what it reads and is told what it should read. What it should give up, it gives up first (and commits
 * how far it got), and only the next heartbeat tells the server, which then gives the partition to somebody else. So a
 * partition never has two readers, and nobody else has to stop for the change.
 *
 * A connection may break, and in a cluster another node may answer for the groups. Then the member says again who it is
 * and what it reads. If it has kept its place, it reads on as if nothing had happened; if the group has gone on without
 * it (`fenced-member`), it lets go of everything and begins anew. The same when nobody has heard it for so long that
 * the group must have given it up.
 */
import type { Clock } from "../ports.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import { call } from "./calls.ts";
import type { BrokerClient } from "./client.ts";
import { throwIfRefused } from "./commit-refusal.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";
import type { PooledSession } from "./pool.ts";
import { retry, retryDelayMs, retryPolicyDefault } from "./retry.ts";

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
/** A server takes a member that has missed this many heartbeats for dead; the member had better think so too. */
const missedHeartbeatsMax = 3;
/** Who leaves does not wait long for a server that may be gone. */
const leaveAttemptsMax = 3;

/** One member of one group. */
export class GroupMembership {
  /** Our own choice, so that asking twice to be taken in does not make two members. */
  readonly memberId: string;
  readonly #options: MembershipOptions;
  /** The connection on which the server has last heard us; undefined until it has, and when it cannot. */
  #pooled: PooledSession | undefined = undefined;
  /** 0 until we are in. */
  #generation = 0;
  #heartbeatMs = 0;
  /** What we read. */
  #owned: readonly PartitionName[] = [];
  #failures = 0;
  #lastError: unknown = undefined;
  #isOver = false;
  /** The round that is under way. */
  #beating: Promise<void> | undefined = undefined;
  #cancelHeartbeat = (): void => {};
  #cancelLease = (): void => {};

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { clientName, random } = options.client;
    const draw = (): string => random.nextUint32().toString(16).padStart(8, "0");
    this.memberId = `${clientName.slice(0, 128)}-${draw()}${draw()}`;
  }

  /** Joins, and stays until `leave`. */
  start(): void {
    void this.#beat();
  }

  /**
   * Commits positions in the name of this member; waits until a server has heard of it again, if need be. Rejects with
   * `fenced-member` when a partition is not ours.
   */
  async commit(offsets: readonly GroupOffset[]): Promise<void> {
    if (this.#generation === 0) throw protocolError("fenced-member", "not joined yet");
    const { clock, random } = this.#options.client;
    const once = async (): Promise<void> => {
      if (this.#pooled?.session.isOpen !== true) await this.#beat();
      if (this.#pooled === undefined) throw this.#lastError;
      await this.#commitOn(this.#pooled, offsets);
    };
    await retry(once, { clock, random, policy: retryPolicyDefault, isIdempotent: true });
  }

  /** Commits the last positions and leaves at once, so that the others need not wait for a time-out. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelHeartbeat();
    this.#cancelLease();
    const offsets = this.#release();
    if (this.#generation === 0) return;
    const { client, group, trace } = this.#options;
    const { memberId } = this;
    // Leaving is a courtesy: whatever goes wrong with it, the end of the connection or of the time says the same.
    if (this.#pooled?.session.isOpen === true) {
      try {
        if (offsets.length > 0) await this.#commitOn(this.#pooled, offsets);
        return void (await call(this.#pooled.session, "LeaveGroup", { group, memberId }, this.#limited()));
      } catch (error) {
        if (!(error instanceof ProtocolError) || !error.isRetriable) return;
      }
    }
    // Another node may answer for the groups now.
    if (!client.isCluster) return;
    const brief = { ...trace, attemptsMax: leaveAttemptsMax };
    const by = { memberId, generation: this.#generation };
    if (offsets.length > 0) await client.commitOffsets(group, offsets, { ...brief, ...by }).catch(() => {});
    await client.call("LeaveGroup", { group, memberId }, brief).catch(() => {});
  }

  /** A heartbeat, now; resolves when it has come to something. There is never more than one under way. */
  #beat(): Promise<void> {
    this.#cancelHeartbeat();
    this.#beating ??= this.#beatOnce().finally(() => (this.#beating = undefined));
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    let delayMs: number;
    try {
      delayMs = await this.#join();
      this.#failures = 0;
    } catch (error) {
      this.#lastError = error;
      if (this.#pooled !== undefined) this.#options.client.failed(error, this.#pooled);
      this.#pooled = undefined;
      if (this.#isOver) return;
      const isFenced = error instanceof ProtocolError && error.name === "fenced-member";
      // Somebody else may read on from where the group believes us to be: we begin anew, and from there too.
      if (isFenced) this.#release();
      const isLasting = !isFenced && !(error instanceof ProtocolError && error.isRetriable);
      if (isLasting || ++this.#failures > failuresMax) return this.#fail(error);
      delayMs = retryDelayMs(this.#failures, retryPolicyDefault, this.#options.client.random);
    }
    if (this.#isOver) return;
    this.#cancelHeartbeat = this.#options.client.clock.after(delayMs, () => void this.#beat());
  }

  /** One round: say what we read, give up what we should, begin what we may. Resolves to when the next is due. */
  async #join(): Promise<number> {
    const { client, group, topics } = this.#options;
    const pooled = this.#pooled?.session.isOpen === true ? this.#pooled : await client.session();
    this.#pooled = pooled;
    const fields = { group, memberId: this.memberId, topics, owned: this.#owned };
    const reply = await call(pooled.session, "JoinGroup", fields, this.#limited());
    if (this.#isOver) {
      // We left while this was under way, and are in again.
      call(pooled.session, "LeaveGroup", { group, memberId: this.memberId }, this.#limited()).catch(() => {});
      return 0;
    }
    this.#generation = reply.generation;
    this.#heartbeatMs = reply.heartbeatMs;
    this.#renewLease();
    const isIn = (list: readonly PartitionName[], { topic, partition }: PartitionName): boolean =>
      list.some((other) => other.topic === topic && other.partition === partition);
    const revoked = this.#owned.filter((name) => !isIn(reply.assigned, name));
    const added = reply.assigned.filter((name) => !isIn(this.#owned, name));
    this.#owned = this.#owned.filter((name) => isIn(reply.assigned, name));
    if (revoked.length > 0) {
      // The server still counts these as ours, until the next round says that we let go. What cannot be committed
      // comes again, to whoever reads next.
      const offsets = this.#options.onRevoked(revoked);
      if (offsets.length > 0) await this.#commitOn(pooled, offsets).catch(() => {});
    }
    if (added.length > 0) {
      const { offsets } = await call(
        pooled.session,
        "FetchOffset",
        { group, partitions: added },
        this.#limited(),
      );
      if (this.#isOver) return 0;
      this.#owned = reply.assigned;
      this.#options.onAssigned(offsets);
    }
    return revoked.length > 0 ? 0 : reply.heartbeatMs;
  }

  async #commitOn({ session }: PooledSession, offsets: readonly GroupOffset[]): Promise<void> {
    const { group } = this.#options;
    const fields = { group, memberId: this.memberId, generation: this.#generation, offsets };
    throwIfRefused(fields, await call(session, "CommitOffset", fields, this.#limited()));
  }

  /** A server that does not answer within a heartbeat may be dead, and another one may know us. */
  #limited(): { readonly traceparent?: string; readonly timeoutMs?: number } {
    const { trace } = this.#options;
    return this.#heartbeatMs === 0 ? trace : { ...trace, timeoutMs: this.#heartbeatMs };
  }

  /** From now on we may read for as long as the server waits for our next word. */
  #renewLease(): void {
    this.#cancelLease();
    const leaseMs = missedHeartbeatsMax * this.#heartbeatMs;
    this.#cancelLease = this.#options.client.clock.after(leaseMs, () => void this.#release());
  }

  /** Nothing is ours any more; returns how far each got. */
  #release(): readonly GroupOffset[] {
    const owned = this.#owned;
    this.#owned = [];
    return owned.length === 0 ? [] : this.#options.onRevoked(owned);
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#cancelLease();
    this.#options.onError(error);
  }
}
