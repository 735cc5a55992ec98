/**
 * Produce requests on their way through a partition's group: numbered and proposed by the leader, then waiting for
 * the nodes that they want to have them.
 *
 * All batches of one loop turn are proposed together: one write, one message to each follower. The leader gives
 * offsets and ids, and what travels is the batch as it will lie in every log.
 */
import { assert } from "#reference/base/assert.ts";
import type { Checksum } from "../../ports.ts";
import type { Acks } from "../../protocol/acks.ts";
import { recordCountAt, stampBatch } from "../../storage/record-batch.ts";
import type { RecordId } from "../../storage/record-id.ts";
import { RecordIdSource } from "../../storage/record-id.ts";
import type { Broker } from "../broker.ts";
import type { BrokerConnection } from "../connection.ts";
import { replyError, replyProduced } from "../connection.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import type { RememberedBatch, SequenceVerdict } from "../producer-table.ts";
import { BatchCopies } from "./batch-copies.ts";
import type { Group } from "./group.ts";
import { notLeader, unknownOutcome } from "./group.ts";
import type { PendingProducers } from "./pending-producers.ts";

/** What the queue stands on. */
export interface ProduceQueueOptions {
  readonly partition: Partition;
  readonly broker: Broker;
  readonly checksum: Checksum;
  readonly producers: PendingProducers;
  readonly group: () => Group;
  readonly proposed: ProposedBytes;
  /** When to propose what came in this turn. */
  readonly schedule: (run: () => void) => void;
}

/** Whom to answer. */
interface Request {
  readonly connection: BrokerConnection;
  readonly idHigh: number;
  readonly idLow: number;
  readonly acks: Acks;
}

/** A request whose batch has its place. */
interface Waiting extends Request {
  readonly openedAtMs: number;
  /** The request is answered when everything before this offset is where it shall be. */
  readonly endOffset: number;
  readonly baseOffset: number;
  readonly idMilliseconds: number;
  readonly idSequence: number;
}

/** When a partition's entries take more, batches are refused until what waits is agreed on. */
const uncommittedBytesMax = 64 * 2 ** 20;
/** The most bytes of batches that wait to be agreed on, of all the partitions together that a node leads. */
export const proposedBytesMax: number = 128 * 2 ** 20;

/** Bytes of batches, of all partitions of a node, that it has proposed and that are not agreed on. */
export interface ProposedBytes {
  bytes: number;
  readonly bytesMax: number;
}
const retryAfterMs = 100;

/** The requests of one partition at its leader. */
export class ProduceQueue {
  readonly #options: ProduceQueueOptions;
  #incoming: { readonly request: Request; readonly batch: Uint8Array }[] = [];
  readonly #waiting: { readonly quorum: Waiting[]; readonly leader: Waiting[] } = { quorum: [], leader: [] };
  readonly #copies = new BatchCopies();
  /** What this queue has a share of `proposed` for: how many bytes, until the log is agreed on so far. */
  readonly #shares: { readonly endOffset: number; readonly bytes: number }[] = [];
  #ids = new RecordIdSource();
  #nextOffset = 0;
  /** Takes nothing: the leadership is about to be handed over. */
  isHeld = false;

  constructor(options: ProduceQueueOptions) {
    this.#options = options;
  }

  /** This node leads from now on: batches go on behind `endOffset`, ids behind `lastId`. */
  lead(endOffset: number, lastId: RecordId): void {
    this.#nextOffset = endOffset;
    this.#ids = new RecordIdSource(lastId);
  }

  /** Whether nobody waits for the nodes. */
  get isIdle(): boolean {
    return this.#waiting.quorum.length === 0;
  }

  /** Takes a checked batch, which is overwritten after the call. */
  add(request: Request, batch: Uint8Array): void {
    this.#incoming.push({ request, batch: this.#copies.of(batch) });
    if (this.#incoming.length === 1) this.#options.schedule(() => this.#proposeAll());
  }

  /** More is agreed on, or stored here. */
  advanced(): void {
    const { log } = this.#options.partition;
    this.#giveBack(log.committedEnd);
    this.#answer(this.#waiting.quorum, log.committedEnd);
    this.#answer(this.#waiting.leader, log.storedEnd);
  }

  /** This node leads no more: nobody here will know what becomes of the batches. */
  abandon(): void {
    const { quorum, leader } = this.#waiting;
    this.#giveBack(Infinity);
    for (const waiting of [...quorum.splice(0), ...leader.splice(0)])
      this.#refuseLate(waiting, unknownOutcome());
  }

  #proposeAll(): void {
    const incoming = this.#incoming;
    this.#incoming = [];
    const { broker, producers, partition } = this.#options;
    const group = this.#options.group();
    const problem = this.#problemOf(group, incoming.length);
    const openedAtMs = broker.observer?.now() ?? 0;
    const batches: Uint8Array[] = [];
    let bytes = 0;
    for (const { request, batch } of incoming) {
      const verdict = problem === undefined ? producers.judge(batch) : undefined;
      const refusal = problem ?? (verdict === undefined ? undefined : refusalOf(verdict));
      if (refusal !== undefined) this.#refuse(request, refusal);
      else if (verdict?.kind === "repeated") this.#await(request, verdict.batch, openedAtMs);
      else {
        const place = this.#number(batch, group.state.term);
        producers.proposed(batch);
        batches.push(batch);
        bytes += batch.length;
        broker.appended(partition, batch.length, place.count);
        this.#await(request, place, openedAtMs);
      }
    }
    if (batches.length === 0) return this.advanced();
    this.#shares.push({ endOffset: this.#nextOffset, bytes });
    this.#options.proposed.bytes += bytes;
    const { kind } = group.propose(batches);
    assert(kind === "accepted", "a leader that could propose a moment ago does not");
    // Some may have been waiting for what is there already.
    this.advanced();
  }

  #problemOf(group: Group, count: number): ErrorOutcome | undefined {
    const { leader, id, log } = group.state;
    if (!group.isReady) return notLeader(leader === id ? undefined : leader);
    if (this.isHeld || group.state.transfer !== undefined) return notLeader(undefined);
    const { proposed } = this.#options;
    const hasRoom = log.bytes <= uncommittedBytesMax && proposed.bytes <= proposed.bytesMax;
    if (hasRoom && group.mayPropose(count)) return undefined;
    return refuse("overloaded", "batches come faster than the nodes store them", retryAfterMs);
  }

  /** The log is agreed on up to here, or nobody will say any more how far it is. */
  #giveBack(end: number): void {
    while ((this.#shares[0]?.endOffset ?? Infinity) <= end) {
      const share = this.#shares.shift();
      if (share === undefined) return;
      this.#options.proposed.bytes -= share.bytes;
    }
  }

  /** Gives a batch its place in the log. */
  #number(batch: Uint8Array, epoch: number): Omit<RememberedBatch, "sequence"> {
    const { broker, checksum } = this.#options;
    const count = recordCountAt(batch, 0);
    const isNumbered = this.#ids.reserve(Math.floor(broker.clock.wallTimeMs()), count);
    assert(isNumbered, "no record ids are left");
    const { lastMilliseconds: idMilliseconds, lastSequence } = this.#ids;
    const idSequence = lastSequence - (count - 1);
    const baseOffset = this.#nextOffset;
    const stamp = {
      baseOffset,
      epoch,
      idMilliseconds,
      idSequence,
      lastOffsetDelta: count - 1,
      unsyncedBefore: 0,
    };
    stampBatch(batch, 0, stamp, checksum);
    this.#nextOffset += count;
    return { count, baseOffset, idMilliseconds, idSequence };
  }

  #await(request: Request, batch: Omit<RememberedBatch, "sequence">, openedAtMs: number): void {
    const { baseOffset, count, idMilliseconds, idSequence } = batch;
    const { log } = this.#options.partition;
    const queue = this.#waiting[request.acks];
    const reached = request.acks === "quorum" ? log.committedEnd : log.storedEnd;
    // The first copy of a repeated batch may still be on its way: whoever waits, waits in order.
    const isThere = baseOffset + count <= reached;
    const endOffset = isThere ? (queue[0]?.endOffset ?? 0) : this.#nextOffset;
    const waiting = { ...request, openedAtMs, endOffset, baseOffset, idMilliseconds, idSequence };
    if (isThere) this.#reply(waiting);
    else queue.push(waiting);
  }

  #answer(queue: Waiting[], end: number): void {
    let count = 0;
    while (count < queue.length && queue[count]!.endOffset <= end) count++;
    if (count === 0) return;
    for (const waiting of queue.splice(0, count)) this.#reply(waiting);
  }

  #reply({ connection, idHigh, idLow, baseOffset, idMilliseconds, idSequence, openedAtMs }: Waiting): void {
    if (connection.isOpen) replyProduced(connection, idHigh, idLow, baseOffset, idMilliseconds, idSequence);
    const { broker, partition } = this.#options;
    const { observer } = broker;
    observer?.produced(partition, connection, idLow, baseOffset, observer.now() - openedAtMs);
  }

  #refuse({ connection, idHigh, idLow }: Request, problem: ErrorOutcome): void {
    if (connection.isOpen) this.#options.broker.refuse(connection, idHigh, idLow, problem);
  }

  #refuseLate({ connection, idHigh, idLow, baseOffset, openedAtMs }: Waiting, problem: ErrorOutcome): void {
    if (connection.isOpen) replyError(connection, idHigh, idLow, problem);
    const { broker, partition } = this.#options;
    const { observer } = broker;
    observer?.produced(partition, connection, idLow, baseOffset, observer.now() - openedAtMs, problem.name);
  }
}

/** What a verdict about a producer's batch is to its sender; undefined when it is stored, now or already. */
function refusalOf(verdict: SequenceVerdict): ErrorOutcome | undefined {
  switch (verdict.kind) {
    case "new":
    case "repeated":
      return undefined;
    case "gap":
      return refuse("sequence-gap", `the producer's next sequence is ${verdict.expected}`);
    case "fenced":
      return refuse("producer-fenced", `the producer has epoch ${verdict.epoch} by now`);
  }
}
