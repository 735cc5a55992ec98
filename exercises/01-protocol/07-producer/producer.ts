// Generated from reference/client/producer.ts (stub 11254477).
// Write your solution here; `npx oz reset 01-protocol/07-producer` starts again.
/**
 * A batching producer: many small sends become few large requests, and each record is stored once, in order.
 *
 * A request costs about the same for one record as for a hundred. So records for a partition are gathered for a moment
 * (`lingerMs`) or up to a size (`batchBytesMax`), whichever comes first, and travel as one batch.
 *
 * What makes it hard is the lost answer. The request timed out: was the batch stored or not? Sending it again may store
 * it twice, not sending it may lose it. So each batch bears a producer id and a sequence number, the server remembers
 * both, and answers a batch that it has already with the answer of the first time. The same numbers keep the order: the
 * server refuses a batch when one before it is missing (`sequence-gap`), so several can be under way at once.
 *
 * After a failure that may pass, nothing new is sent for that partition until everything under way has an answer. Then
 * all that is not acknowledged goes out again, from the first. (Kafka's idempotent producer does the same.)
 *
 * Every record settles once: with its offset, or with the error that ended its batch.
 */
import { todo } from "#exercises/lib/todo.ts";
import { assert } from "#reference/base/assert.ts";
import type { Checksum } from "#reference/ports.ts";
import { RecordBatchBuilder } from "#reference/storage/record-batch-builder.ts";
import { ProtocolError, protocolError } from "#reference/client/protocol-error.ts";
import { producerOptionsDefault } from "#reference/client/producer-types.ts";
import type { OutgoingRecord, ProducerOptions, ProducerPorts, ProducerSettings } from "#reference/client/producer-types.ts";
import { retryDelayMs } from "#reference/client/retry.ts";

/** Records that travel together. */
interface Batch {
  readonly builder: RecordBatchBuilder;
  /** One pair for each record, in their order. */
  readonly settlers: { resolve: (offset: number) => void; reject: (error: unknown) => void }[];
  /** Called when all of them have settled. */
  readonly waiters: (() => void)[];
  /** When its first record came, on the monotonic clock. */
  readonly sinceMs: number;
  /** The number of its first record; undefined until it is sent for the first time. */
  sequence: number | undefined;
}

/** One partition's line of batches. */
interface Lane {
  readonly topic: string;
  readonly partition: number;
  /** What the builders of this lane stamp on their batches. `producerId` 0 means that none was asked for yet. */
  readonly identity: { producerId: number; readonly batchBytesMax: number; readonly checksum?: Checksum };
  nextSequence: number;
  /** The batch that is being gathered. */
  open: Batch | undefined;
  cancelLinger: (() => void) | undefined;
  /** Full or due, not acknowledged, oldest first. The first `sentCount` have been sent since the last failure. */
  readonly sealed: Batch[];
  sentCount: number;
  /** Requests that have no answer yet. */
  underWay: number;
  /** Failures in a row; the lane sends nothing while `isBroken`, until it starts over. */
  failures: number;
  isBroken: boolean;
  lastError: ProtocolError | undefined;
  cancelRetry: (() => void) | undefined;
}

/** A batch counts its producer's records in 32 bits; after this many, sequences begin again at 0. */
const sequenceCount = 2 ** 32;

/** Gathers, sends, retries. */
export class Producer {
  readonly #ports: ProducerPorts;
  readonly #options: ProducerSettings;
  readonly #lanes = new Map<string, Lane>();
  /** Bytes of all batches that have not settled. */
  #bufferedBytes = 0;
  #isClosed = false;
  #writableWaiters: (() => void)[] = [];

  constructor(ports: ProducerPorts, options: ProducerOptions = {}) {
    this.#ports = ports;
    this.#options = { ...producerOptionsDefault, ...options.retry, ...options };
  }

  /** Bytes of records that have not settled. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  // #region send
  /** Takes one record; resolves to its offset when the server has stored it. */
  send(record: OutgoingRecord): Promise<number> {
    // 1. Memory has a limit, and the caller is told when it is reached.
    // 2. A record that would make the batch too large begins the next one.
    // 3. Full is full: no need to wait.
    todo("send");
  }

  /** Adds the record to the lane's open batch; false when it does not fit. */
  #add(lane: Lane, record: OutgoingRecord): boolean {
    todo("send");
  }
  // #endregion send

  // #region linger
  /** The open batch is due `lingerMs` after its first record, however many follow. */
  #startLinger(lane: Lane): void {
    // 1. A timer for this batch; its sealing stops it, whatever sealed it.
    // 2. Without lingering, the records of one turn still travel together.
    todo("linger");
  }
  // #endregion linger

  // #region seal
  /** Closes the open batch, if there is one, and sends what may be sent. */
  #seal(lane: Lane): void {
    // 1. Its time is over, and must not cut the next one short.
    // 2. Into the line, behind those that wait.
    todo("seal");
  }
  // #endregion seal

  // #region pump
  /** Sends sealed batches in their order, as many as may be under way at once. */
  async #pump(lane: Lane): Promise<void> {
    // 1. Without an id, ask for one first; the answer calls this again.
    // 2. A batch keeps its number for good: that is how the server knows it again.
    todo("pump");
  }

  /** Gets a producer id for the lane. While it is asked for, the lane counts as busy. */
  async #identify(lane: Lane): Promise<void> {
    todo("pump");
  }
  // #endregion pump

  // #region acknowledged
  #acknowledged(lane: Lane, batch: Batch, baseOffset: number): void {
    // 1. An answer is a sign that the server is well again.
    todo("acknowledged");
  }
  // #endregion acknowledged

  // #region failed
  /** A batch was not acknowledged (or, without a batch, no producer id was to be had). */
  #failed(lane: Lane, batch: Batch | undefined, error: ProtocolError): void {
    // 1. A gap behind an older batch only says that the older one is missing: both go again.
    // 2. A gap before the first one: the server will never have what came before. Begin with a new name.
    // 3. Anything else would fail again, however often: tell the callers, and go on with the next.
    todo("failed");
  }

  /** Goes on: with more of the line, or, when something failed and all answers are in, from its start. */
  #next(lane: Lane): void {
    todo("failed");
  }
  // #endregion failed

  // #region start-over
  /** After a failure: waits a little, then sends everything again that is not acknowledged, from the first. */
  #startOver(lane: Lane): void {
    // 1. What has waited too long has failed, whatever became of it on the server.
    // 2. Nothing left to send: the next batch begins afresh.
    // 3. A growing, capped, random delay, and no less than the server asked for.
    todo("start-over");
  }

  #clear(lane: Lane): void {
    todo("start-over");
  }
  // #endregion start-over

  /** Resolves when less than half of `bufferBytesMax` is used. */
  writable(): Promise<void> {
    if (this.#bufferedBytes * 2 <= this.#options.bufferBytesMax) return Promise.resolve();
    return new Promise((resolve) => void this.#writableWaiters.push(resolve));
  }

  // #region close
  /** Sends what is gathered, now. Resolves when every record that was taken before has settled. */
  async flush(): Promise<void> {
    // 1. What is gathered goes into the line; what comes later does not concern this flush.
    // 2. However each of them ends.
    todo("close");
  }

  /** Takes no more records and settles those it has: their delivery time bounds how long that takes. */
  async close(): Promise<void> {
    todo("close");
  }

  /** Gives up at once: every record that has not settled fails with `reason`. */
  destroy(reason: ProtocolError = protocolError("client-closed", "the producer was given up")): void {
    todo("close");
  }
  // #endregion close

  #reject(lane: Lane, batch: Batch | undefined, error: ProtocolError | undefined): void {
    if (batch === undefined || !this.#remove(lane, batch)) return;
    for (const settler of batch.settlers) settler.reject(error);
    for (const settled of batch.waiters) settled();
  }

  /** Takes a batch out of its lane; false when it is not there any more. */
  #remove(lane: Lane, batch: Batch): boolean {
    const index = lane.sealed.indexOf(batch);
    if (index < 0) return false;
    lane.sealed.splice(index, 1);
    if (index < lane.sentCount) lane.sentCount--;
    this.#bufferedBytes -= batch.builder.sizeBytes;
    assert(this.#bufferedBytes >= 0, () => `${this.#bufferedBytes} bytes buffered`);
    if (this.#bufferedBytes * 2 <= this.#options.bufferBytesMax) {
      for (const proceed of this.#writableWaiters.splice(0)) proceed();
    }
    return true;
  }

  #lane(topic: string, partition: number): Lane {
    const key = `${partition}/${topic}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const { checksum } = this.#ports;
    const { batchBytesMax } = this.#options;
    const identity = { producerId: 0, batchBytesMax, ...(checksum && { checksum }) };
    const lane: Lane = {
      topic,
      partition,
      identity,
      nextSequence: 0,
      open: undefined,
      cancelLinger: undefined,
      sealed: [],
      sentCount: 0,
      underWay: 0,
      failures: 0,
      isBroken: false,
      lastError: undefined,
      cancelRetry: undefined,
    };
    this.#lanes.set(key, lane);
    return lane;
  }

  /** The builder reads the lane's identity when the batch is finished, so an id that comes later is not too late. */
  #newBatch(lane: Lane): Batch {
    return {
      builder: new RecordBatchBuilder(lane.identity),
      settlers: [],
      waiters: [],
      sinceMs: this.#ports.clock.monotonicTimeMs(),
      sequence: undefined,
    };
  }
}

/** What a record takes in a batch at most; the batch's own header is not counted, or counted once. */
function recordBytesMax(record: OutgoingRecord): number {
  return 128 + (record.value?.length ?? 0) + (record.key?.length ?? 0);
}

function asProtocolError(error: unknown): ProtocolError {
  return error instanceof ProtocolError ? error : protocolError("connection-closed", String(error), error);
}
