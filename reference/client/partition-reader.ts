/**
 * Readers of one partition: two ways to get its records, with one face.
 *
 * - *Pull*: fetch, hand over, fetch on from there. The next request is under way while the caller is busy with what the
 *   last one brought, so that the line is not idle. At the end of the log the server holds the request until there is
 *   something ("long polling").
 * - *Push*: subscribe once, and the server sends as records come. It may send as much as it has credit for; credit is
 *   given back when the caller has taken what was sent. A caller that stops taking stops the server, not just itself.
 */
import type { Clock, Random } from "../ports.ts";
import { messages } from "../protocol/messages.ts";
import { payloadOf, replyReader, withTrace } from "./calls.ts";
import type { CancelSignal } from "./cancel.ts";
import type { BrokerClient } from "./client.ts";
import { FetchedRecords } from "./records.ts";
import { retry, retryPolicyDefault } from "./retry.ts";
import type { Session } from "./session.ts";

/** What a reader is told, and whom it tells. */
export interface ReaderOptions {
  readonly client: BrokerClient & { readonly clock: Clock; readonly random: Random };
  readonly topic: string;
  readonly partition: number;
  /** The first offset wanted. */
  readonly offset: number;
  /** The most that one block holds; one batch comes whole even when it is larger. */
  readonly bytesMax: number;
  /** Blocks that may wait for the caller. */
  readonly prefetch: number;
  /** How long the server may hold a fetch at the end of the log. */
  readonly waitMs: number;
  readonly signal: CancelSignal;
  /** The trace that its requests are part of. */
  readonly traceparent: string | undefined;
  /** Takes a block of records; call `taken` on the reader when it has been dealt with. */
  readonly onRecords: (records: FetchedRecords) => void;
  /** Called at most once: the reader has given up. */
  readonly onError: (error: unknown) => void;
}

/** One partition's reader. It runs from the start until its signal fires. */
export interface PartitionReader {
  /** A block was dealt with: there is room for another. */
  taken(records: FetchedRecords): void;
}

/** More patient than a single request: a reader gives up after half a minute of failures in a row. */
const readPolicy = { ...retryPolicyDefault, attemptsMax: 21 };

/**
 * Reads on, attempt after attempt, until one ends by itself. A failure that may pass is waited out: the server
 * restarts, or another node takes over. Each time that something came, the patience is as long as at first.
 */
function keepReading(options: ReaderOptions, attempt: (progressed: () => void) => Promise<void>): void {
  const { client, signal, onError } = options;
  const { clock, random } = client;
  retry(attempt, { clock, random, policy: readPolicy, isIdempotent: true, signal }).catch(
    (error: unknown) => {
      if (!signal.aborted) onError(error);
    },
  );
}

/** Starts a reader that fetches. */
export function startPulling(options: ReaderOptions): PartitionReader {
  const { client, topic, partition, bytesMax, waitMs, signal, traceparent } = options;
  const trace = traceparent === undefined ? {} : { traceparent };
  // One try: whoever keeps reading has more patience than a single request.
  const fetchOptions = { partition, bytesMax, waitMs, signal, attemptsMax: 1, ...trace };
  let { offset } = options;
  let waiting = 0;
  let makeRoom = (): void => {};
  signal.addEventListener("abort", () => makeRoom());
  keepReading(options, async (progressed) => {
    while (!signal.aborted) {
      if (waiting >= options.prefetch) await new Promise<void>((resolve) => void (makeRoom = resolve));
      if (signal.aborted) return;
      const records = await client.fetch(topic, offset, fetchOptions);
      progressed();
      if (records.isEmpty) continue;
      offset = records.nextOffset;
      waiting++;
      options.onRecords(records);
    }
  });
  return {
    taken() {
      waiting--;
      makeRoom();
    },
  };
}

/** `kind` of a subscription's replies. */
const replyKind = { subscribed: 0, delivery: 1, ended: 2 } as const;

/** Starts a reader that subscribes, and subscribes again when its connection is lost or the partition moves. */
export function startPushing(options: ReaderOptions): PartitionReader {
  const { client, topic, partition, signal } = options;
  const creditBytes = options.bytesMax * options.prefetch;
  let { offset } = options;
  let session: Session | undefined;
  let subscriptionId = 0n;
  /** What was delivered and not taken, whichever subscription brought it; and what was taken since the last credit. */
  let heldBytes = 0;
  let owedBytes = 0;
  /** One subscription, from its request to its last reply; rejects with what broke it. */
  const runOnce = async (progressed: () => void): Promise<void> => {
    const pooled = await client.session(options);
    const connected = pooled.session;
    session = connected;
    owedBytes = 0;
    const read = replyReader("Subscribe");
    const credit = { creditBytes: Math.max(0, creditBytes - heldBytes) };
    const request = payloadOf("Subscribe", { topic, partition, offset, ...credit });
    const traced = withTrace(options.traceparent, request, { signal });
    await new Promise<void>((resolve, reject) => {
      const reply = (bytes: Uint8Array, view: DataView, start: number, end: number): boolean => {
        const value = read(bytes, view, start, end, 0);
        if (value === undefined || "then" in value) throw new Error("reply to Subscribe cannot be read");
        progressed();
        if (value.kind === replyKind.ended) resolve();
        else if (value.kind === replyKind.delivery)
          deliver(new FetchedRecords({ topic, partition, offset }, value));
        return value.kind === replyKind.ended;
      };
      const failed = (error: unknown): void => {
        client.failed(error, pooled, options);
        reject(error);
      };
      subscriptionId = BigInt(
        connected.stream(messages.Subscribe.type, traced.payload, { reply, failed }, traced.options),
      );
    });
  };
  const deliver = (records: FetchedRecords): void => {
    offset = records.nextOffset;
    heldBytes += records.bytes.length;
    options.onRecords(records);
  };
  signal.addEventListener("abort", () => {
    const payload = payloadOf("Unsubscribe", { subscriptionId });
    if (session?.isOpen !== true) return;
    session.request(messages.Unsubscribe.type, payload, replyReader("Unsubscribe")).catch(() => {});
  });
  keepReading(options, runOnce);
  return {
    taken(records) {
      heldBytes -= records.bytes.length;
      owedBytes += records.bytes.length;
      // Credit is given back in large pieces: one small request for many deliveries.
      if (owedBytes < creditBytes / 2 || session?.isOpen !== true) return;
      session.send(messages.Credit.type, payloadOf("Credit", { subscriptionId, creditBytes: owedBytes }));
      owedBytes = 0;
    },
  };
}
