/**
 * Sends batches to one partition, in order, each stored exactly once, across lost connections and restarts.
 *
 * Several batches are under way at once. When one fails in a way that may pass, the sender waits until the answers of
 * the others are in, and sends everything again from the first one that was not acknowledged. The server knows the
 * batches that it has by their sequence numbers and answers them as it did the first time.
 */
import { protocolErrors } from "../protocol/errors.ts";
import type { Acks } from "../protocol/acks.ts";
import { ProtocolError } from "../client/protocol-error.ts";
import type { Client } from "./client.ts";

/** Batches under way at once: as many as a server remembers for a producer, so that each can be told again. */
const windowBatches = 8;

const delayMsFirst = 50;
const delayMsMax = 1000;

/** A batch that is not acknowledged. */
interface SentBatch {
  readonly bytes: Uint8Array;
  readonly records: number;
}

/** How a sender is set up. */
export interface SenderOptions {
  readonly client: Client;
  readonly topic: string;
  readonly partition: number;
  readonly acks: Acks;
  /** Give up when nothing was acknowledged for so long. */
  readonly patienceMs: number;
  /** Told whenever records were acknowledged. */
  readonly acknowledged: (records: number) => void;
  /** Told of each failure that is being retried. */
  readonly retrying: (error: ProtocolError) => void;
  /** Told when nothing more can be sent; `send` and `finish` say why. */
  readonly failed: () => void;
  readonly signal: AbortSignal;
}

/** One partition's sender. */
export class PartitionSender {
  readonly #options: SenderOptions;
  /** Sent or to be sent, oldest first. */
  readonly #unacknowledged: SentBatch[] = [];
  /** How many of them, from the front, are under way. */
  #underWay = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  #lastProgressMs = performance.now();
  #isRunning = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Records whose fate is not known. */
  get recordsInDoubt(): number {
    return this.#unacknowledged.reduce((sum, batch) => sum + batch.records, 0);
  }

  /** Takes a batch, which must not change any more; resolves when there is room for the next. Rejects for good. */
  async send(bytes: Uint8Array, records: number): Promise<void> {
    if (this.#unacknowledged.length === 0) this.#lastProgressMs = performance.now();
    this.#unacknowledged.push({ bytes, records });
    if (!this.#isRunning) void this.#run();
    while (this.#unacknowledged.length >= windowBatches && this.#failure === undefined) await this.#changed();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when everything is acknowledged. */
  async finish(): Promise<void> {
    while (this.#unacknowledged.length > 0 && this.#failure === undefined) await this.#changed();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Sends until everything is acknowledged or has failed for good. What only a bug throws is a failure too. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      await this.#sendAll();
    } catch (error) {
      this.#failure = error;
    }
    this.#isRunning = false;
    this.#wake?.();
    if (this.#failure !== undefined) this.#options.failed();
  }

  async #sendAll(): Promise<void> {
    let failures = 0;
    while (this.#unacknowledged.length > 0 && this.#failure === undefined) {
      const before = this.#unacknowledged.length;
      const error = await this.#sendWindow();
      if (error === undefined) continue;
      failures = this.#unacknowledged.length < before ? 1 : failures + 1;
      if (!this.#mayRetry(error)) this.#failure = error;
      else {
        this.#options.retrying(error);
        await this.#pause(Math.max(error.retryAfterMs, Math.min(delayMsMax, delayMsFirst * 2 ** failures)));
        if (this.#options.signal.aborted) this.#failure = error;
      }
    }
  }

  /** Keeps the window full until a batch fails; then waits for the others. Resolves to the first failure. */
  async #sendWindow(): Promise<ProtocolError | undefined> {
    const failed: unknown[] = [];
    const answers: Promise<void>[] = [];
    const { client, topic, partition, acks } = this.#options;
    this.#underWay = 0;
    while (failed.length === 0 && (this.#underWay < this.#unacknowledged.length || answers.length > 0)) {
      const batch = this.#unacknowledged[this.#underWay];
      if (batch === undefined || this.#underWay >= windowBatches) {
        await answers.shift();
        continue;
      }
      this.#underWay++;
      answers.push(
        client.produceBatch(topic, batch.bytes, { partition, acks }).then(
          () => this.#acknowledge(batch),
          (error: unknown) => {
            failed.push(error);
            // What the server has refused for good is not stored: nobody needs to be in doubt about it.
            if (error instanceof ProtocolError && !error.isRetriable && !isGap(error)) this.#drop(batch);
          },
        ),
      );
    }
    await Promise.all(answers);
    const bug = failed.find((error) => !(error instanceof ProtocolError));
    if (bug !== undefined) throw bug;
    return failed[0] as ProtocolError | undefined;
  }

  #drop(batch: SentBatch): void {
    // Answers may overtake each other, but one commit never covers a later batch without an earlier one.
    const index = this.#unacknowledged.indexOf(batch);
    this.#unacknowledged.splice(index, 1);
    this.#underWay--;
  }

  #acknowledge(batch: SentBatch): void {
    this.#drop(batch);
    this.#lastProgressMs = performance.now();
    this.#options.acknowledged(batch.records);
    this.#wake?.();
  }

  #mayRetry(error: ProtocolError): boolean {
    const isOvertaken = isGap(error) && this.#unacknowledged.length > 1;
    if (!error.isRetriable && !isOvertaken) return false;
    return performance.now() - this.#lastProgressMs < this.#options.patienceMs;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#options;
      const timer = setTimeout(finish, ms);
      function finish(): void {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        resolve();
      }
      signal.addEventListener("abort", finish);
      if (signal.aborted) finish();
    });
  }
}

/** A batch came before one that had to be sent again. */
function isGap(error: ProtocolError): boolean {
  return error.code === protocolErrors["sequence-gap"].code;
}
