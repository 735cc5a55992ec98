/**
 * Subscriptions: batches are sent as they are committed, without being asked for each time, within the credit that the
 * client has given.
 *
 * Credit is what keeps push from drowning a slow reader: each delivery uses some up, and the client grants more as it
 * gets through what it has. A subscription is one request with many replies, so it keeps its request open: the
 * connection counts it as in flight until it ends.
 *
 * One read is under way at a time, and the offset moves only past what was written to an open connection.
 */
import type { Clock } from "../ports.ts";
import { encodeReplyPayload } from "../protocol/messages-codec.ts";
import type { RequestOf } from "../protocol/messages.ts";
import type { Broker } from "./broker.ts";
import type { Call, Handler } from "./call.ts";
import { requestIdOf } from "./call.ts";
import type { Replication } from "./cluster/replication.ts";
import type { BrokerConnection } from "./connection.ts";
import { pushPayload, replyError, replyPayload } from "./connection.ts";
import { onConnectionEnding } from "./connection-state.ts";
import type { ReadMemory } from "./read-memory.ts";
import { readPartition } from "./fetch.ts";
import { ledPartition } from "./led-partition.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse, reply, silent } from "./outcome.ts";
import type { Partition } from "./partition.ts";

/** The most that one delivery carries: other replies of the connection want a turn too. */
const deliveryBytesMax = 256 * 1024;

/** The most subscriptions of one connection. */
const subscriptionsMax = 1000;

/** The `kind` field of a subscription's replies. */
const subscribed = 0;
const delivery = 1;
const ended = 2;

const nothing = new Uint8Array(0);

/** One subscription of one connection. */
class Subscription {
  readonly #call: Call;
  readonly #partition: Partition;
  readonly #bytesMax: number;
  #offset: number;
  #creditBytes: number;
  #isReading = false;
  #isOver = false;
  readonly #forget: () => void;
  readonly #readMemory: ReadMemory;
  readonly #clock: Clock;
  /** Stops waiting for memory. */
  #cancelRetry = (): void => {};
  readonly #onBug: (error: unknown) => void;
  readonly #replication: Replication | undefined;
  readonly #onCommit = (): boolean => {
    const misplaced = this.#replication?.refusalOf(this.#partition, this.#call.connection);
    if (misplaced === undefined) this.#pumpOn();
    else this.#fail(misplaced);
    return !this.#isOver;
  };

  constructor(broker: Broker, call: Call, partition: Partition, request: RequestOf<"Subscribe">) {
    this.#call = call;
    this.#onBug = broker.onBug;
    this.#readMemory = broker.readMemory;
    this.#clock = broker.clock;
    this.#replication = broker.replication;
    this.#partition = partition;
    this.#offset = request.offset;
    this.#creditBytes = request.creditBytes;
    this.#bytesMax = Math.min(broker.fetchBytesMax, deliveryBytesMax);
    const forgetClose = onConnectionEnding(call.connection, () => this.#connectionEnds());
    const forgetDrain = broker.draining.onDrain(() =>
      this.#fail(refuse("shutting-down", "server is draining")),
    );
    this.#forget = () => {
      forgetClose();
      forgetDrain();
    };
    partition.listen(this.#onCommit);
  }

  grant(bytes: number): void {
    this.#creditBytes += bytes;
    this.#pumpOn();
  }

  /** Ends in order: the last reply says so. */
  end(): void {
    if (this.#isOver) return;
    this.#letGo();
    const { connection, requestIdHigh, requestIdLow } = this.#call;
    replyPayload(connection, requestIdHigh, requestIdLow, this.#payload(ended, nothing));
  }

  /** A peer that reads on after its goodbye is told the end: its request is answered, and the connection can go. */
  #connectionEnds(): void {
    if (this.#call.connection.isOpen) this.end();
    else this.#letGo();
  }

  /** Sends what is there, for as long as there is credit and the peer reads. */
  async #pump(): Promise<void> {
    const { connection, requestIdHigh, requestIdLow } = this.#call;
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (!this.#isOver && this.#creditBytes > 0) {
        if (this.#offset >= this.#partition.log.committedEnd && !this.#partition.isDeleted) return;
        const lease = this.#readMemory.reserve(Math.min(this.#creditBytes, this.#bytesMax));
        if (lease.kind === "error") {
          // No memory now is no reason to end: nobody asked for an answer at once.
          // Each commit meanwhile comes here as well: there is one timer, and not one for each.
          this.#cancelRetry();
          this.#cancelRetry = this.#clock.after(lease.retryAfterMs ?? 0, () => this.#pumpOn());
          return;
        }
        const read = await readPartition(this.#partition, this.#offset, lease);
        if (this.#isOver || read.kind === "error") {
          lease.cancel();
          if (read.kind === "error") this.#fail(read);
          else read.release();
          return;
        }
        const keepsUp = pushPayload(
          connection,
          requestIdHigh,
          requestIdLow,
          this.#payload(delivery, read.bytes),
        );
        read.release();
        lease.sent(connection, read.bytes.length);
        this.#offset = read.nextOffset;
        this.#creditBytes -= read.bytes.length;
        if (!keepsUp) await connection.writable();
      }
    } catch (error) {
      this.#fail(refuse("internal-error", "the subscription failed; see the log"));
      throw error;
    } finally {
      this.#isReading = false;
    }
  }

  /** Ends with an error as the last reply. */
  #fail(error: ErrorOutcome): void {
    if (this.#isOver) return;
    this.#letGo();
    const { connection, requestIdHigh, requestIdLow } = this.#call;
    if (connection.isOpen) replyError(connection, requestIdHigh, requestIdLow, error);
  }

  /** The first reply. */
  announce(): void {
    const { connection, requestIdHigh, requestIdLow } = this.#call;
    pushPayload(connection, requestIdHigh, requestIdLow, this.#payload(subscribed, nothing));
    this.#pumpOn();
  }

  #pumpOn(): void {
    this.#pump().catch(this.#onBug);
  }

  #payload(kind: number, batches: Uint8Array): Uint8Array {
    const { startOffset, committedEnd } = this.#partition.log;
    return encodeReplyPayload("Subscribe", { kind, startOffset, endOffset: committedEnd, batches });
  }

  #letGo(): void {
    this.#isOver = true;
    this.#cancelRetry();
    this.#partition.unlisten(this.#onCommit);
    this.#forget();
    subscriptionsOf(this.#call.connection).delete(requestIdOf(this.#call));
  }
}

/** Subscriptions by connection; they go with it. */
const subscriptions = new WeakMap<BrokerConnection, Map<bigint, Subscription>>();

function subscriptionsOf(connection: BrokerConnection): Map<bigint, Subscription> {
  let found = subscriptions.get(connection);
  if (found === undefined) {
    found = new Map();
    subscriptions.set(connection, found);
  }
  return found;
}

export const subscribe: Handler<"Subscribe"> = (broker, request, call) => {
  const partition = ledPartition(broker, request.topic, request.partition, call.connection);
  if ("kind" in partition) return partition;
  const { startOffset, committedEnd } = partition.log;
  if (request.offset < startOffset || request.offset > committedEnd) {
    const message = `offset ${request.offset} lies outside ${startOffset} to ${committedEnd}`;
    return refuse("offset-out-of-range", message);
  }
  const open = subscriptionsOf(call.connection);
  const id = requestIdOf(call);
  if (open.size >= subscriptionsMax) {
    return refuse("too-many-requests", `${subscriptionsMax} subscriptions are open on this connection`);
  }
  if (open.has(id)) return refuse("invalid-request", `subscription ${id} is open already`);
  const subscription = new Subscription(broker, call, partition, request);
  open.set(id, subscription);
  subscription.announce();
  return silent;
};

export const unsubscribe: Handler<"Unsubscribe"> = (_broker, { subscriptionId }, { connection }) => {
  const subscription = subscriptionsOf(connection).get(subscriptionId);
  if (subscription === undefined) {
    return refuse("unknown-subscription", `no subscription ${subscriptionId} on this connection`);
  }
  subscription.end();
  return reply({});
};

export const credit: Handler<"Credit"> = (_broker, { subscriptionId, creditBytes }, { connection }) => {
  // Not an error: the subscription may have ended while the credit was on its way.
  subscriptionsOf(connection).get(subscriptionId)?.grant(creditBytes);
  connection.answered();
  return silent;
};
