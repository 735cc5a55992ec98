/**
 * Gives the lead of a partition to the node that shall have it, when nothing speaks against it.
 *
 * After a node was away the others lead what it led. It gets that back, not at once, but when it has had everything
 * for a while; and not while somebody has asked for another leader a short time ago. A node that hands over and then
 * falls silent was asked for nothing: it was stopped, most often to be started again, and that is no wish.
 */
import type { Clock } from "../../ports.ts";
import type { PartitionReplica } from "./partition-replica.ts";
import { transferTo } from "./transfer.ts";

/** How long the preferred node must have kept up. */
const steadyMs = 5000;
/** How long an operator's wish holds. */
const wishMs = 60_000;
/** A node that lacks no more than this keeps up. */
const behindEntriesMax = 100;
/** A node that has not answered for so long does not. */
const silentMsMax = 1000;

/** Looks after the lead of one partition; called now and then at every node. */
export class Balance {
  /** Since when the preferred node has kept up. */
  readonly #sinceMs = new WeakMap<PartitionReplica, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  look(replica: PartitionReplica, nowMs: number): void {
    const { group } = replica;
    if (!group.isReady) return void this.#sinceMs.delete(replica);
    const { preferred, handedOverBy } = replica;
    const { id, progress, log, transfer } = group.state;
    const giverHeardAtMs = progress.get(handedOverBy ?? id)?.heardAtMs ?? nowMs;
    if (nowMs - giverHeardAtMs > silentMsMax) replica.handedOverAtMs = -Infinity;
    const other = preferred === undefined || preferred === id ? undefined : progress.get(preferred);
    const keepsUp =
      other !== undefined &&
      log.lastIndex - other.matchIndex <= behindEntriesMax &&
      nowMs - other.heardAtMs <= silentMsMax;
    if (!keepsUp || preferred === undefined) return void this.#sinceMs.delete(replica);
    const sinceMs = this.#sinceMs.get(replica) ?? nowMs;
    this.#sinceMs.set(replica, sinceMs);
    if (transfer !== undefined || nowMs - sinceMs < steadyMs || nowMs - replica.handedOverAtMs < wishMs)
      return;
    this.#sinceMs.delete(replica);
    void transferTo(replica, this.#clock, preferred);
  }
}
