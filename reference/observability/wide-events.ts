/**
 * Wide events: one log line for each request, with everything that is known about it.
 *
 * Ten lines on ten steps of a request are ten things to put together again while the house is on fire. One line with
 * many fields can be filtered, grouped and counted: "slow produces of this client, by topic". For that it must be
 * exactly one: a request that throws, is aborted, times out or loses its connection has its line too, and whichever of
 * these comes first is the outcome; what comes after it is too late.
 *
 * - *No context but the argument.* The event is handed to the handler, so two requests that take turns at
 *   `await` cannot write into each other's line, as they would with a variable for "the current request".
 * - *No secrets.* Fields are a closed list, without payload, token or error message (which quotes payload, one day).
 *   What is not on the list is dropped, whoever passes it.
 * - *No waiting.* The line goes into a bounded queue. A slow sink fills it, a failing one empties it, and neither is
 *   noticed by a request; what was lost is counted.
 * - *Sampling keeps what matters.* Of the quick successes a share is kept, and says so; errors and slow requests all.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Random } from "../ports.ts";

/** How a request ended. */
export type Outcome = "success" | "error" | "aborted" | "timed-out" | "connection-lost";

/** What is known when a request arrives. */
export interface RequestIdentity {
  readonly requestType: string;
  readonly requestId: number;
  readonly connectionId: number;
  readonly clientName?: string;
  /** On the monotonic clock, when its last byte came in. Absent: now. */
  readonly receivedAtMs?: number;
  readonly traceId?: string;
  readonly spanId?: string;
}

/** What is found out on the way. A closed list: see the file comment. */
export interface RequestFields {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly group?: string;
  readonly records?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  /** Where the records of a read were found. */
  readonly source?: "memory" | "disk";
}

/** The finished line. */
export interface WideEvent extends Omit<RequestIdentity, "receivedAtMs">, RequestFields {
  /** Wall clock, at the end: for people. Durations come from the monotonic clock. */
  readonly timeMs: number;
  readonly level: "info" | "warn" | "error";
  readonly outcome: Outcome;
  /** A name of the error table. */
  readonly errorCode?: string;
  /** From arrival to the start of the handler. */
  readonly queueMs: number;
  /** From arrival to the end. */
  readonly durationMs: number;
  /** The share of requests like this one that is kept: count each line as 1 / sampleRate requests. */
  readonly sampleRate: number;
}

/** Where lines go. It may be slow, and it may fail. */
export interface EventSink {
  write(event: WideEvent): void | Promise<void>;
}

/** Options. */
export interface WideEventsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly sink: EventSink;
  /** The share of quick successes that is kept, from 0 to 1. */
  readonly sampleRate: number;
  /** From this duration on, a success is kept like an error. */
  readonly slowMs: number;
  /** The most lines that wait for the sink. */
  readonly queueMax: number;
}

/** Text from a client may be long; a line may not. */
const textLengthMax = 200;

const fieldNames = [
  "topic",
  "partition",
  "offset",
  "group",
  "records",
  "bytesIn",
  "bytesOut",
  "source",
] as const;

/** What became of the lines; for metrics. */
export interface EventCounts {
  readonly keptCount: number;
  readonly sampledOutCount: number;
  /** Dropped because the queue was full. */
  readonly droppedCount: number;
  /** Refused by the sink. */
  readonly failedCount: number;
}

/** The line of one request while the request is on its way. */
export class RequestEvent {
  readonly #log: WideEvents;
  readonly #identity: RequestIdentity;
  readonly #receivedAtMs: number;
  #startedAtMs: number | undefined;
  #fields: Record<string, string | number> = {};
  #isEnded = false;

  constructor(log: WideEvents, identity: RequestIdentity) {
    this.#log = log;
    this.#identity = identity;
    this.#receivedAtMs = identity.receivedAtMs ?? log.clock.monotonicTimeMs();
  }

  /** The wait in the queue ends here. */
  started(): void {
    this.#startedAtMs ??= this.#log.clock.monotonicTimeMs();
  }

  // #region set
  /** Adds what was found out. Later values replace earlier ones. */
  set(fields: RequestFields): void {
    // 1. Take the fields of the list and no others: types do not hold back what a library passes along.
    for (const name of fieldNames) {
      const value = fields[name];
      if (value === undefined) continue;
      // 2. Cut long text: a topic's name may come from a client.
      this.#fields[name] = typeof value === "string" ? value.slice(0, textLengthMax) : value;
    }
  }
  // #endregion set

  // #region end
  /** Ends the request. The first end counts; returns whether this was it. */
  end(outcome: Outcome, errorCode?: string): boolean {
    // 1. Exactly one line: reply, time-out and disconnect may all come, and the first of them is what happened.
    if (this.#isEnded) return false;
    this.#isEnded = true;
    // 2. Durations from the monotonic clock; a request that never started has waited until now.
    const { clock } = this.#log;
    const endedAtMs = clock.monotonicTimeMs();
    const durationMs = endedAtMs - this.#receivedAtMs;
    const queueMs = (this.#startedAtMs ?? endedAtMs) - this.#receivedAtMs;
    // 3. Decide whether it is kept before putting it together.
    if (!this.#log.keeps(outcome, durationMs)) return true;
    const { requestType, requestId, connectionId, clientName, traceId, spanId } = this.#identity;
    this.#log.emit({
      timeMs: clock.wallTimeMs(),
      level: levelOf(outcome),
      requestType,
      requestId,
      connectionId,
      ...(clientName === undefined ? {} : { clientName: clientName.slice(0, textLengthMax) }),
      ...(traceId === undefined ? {} : { traceId }),
      ...(spanId === undefined ? {} : { spanId }),
      ...this.#fields,
      ...(errorCode === undefined ? {} : { errorCode }),
      outcome,
      queueMs,
      durationMs,
      sampleRate: this.#log.sampleRateOf(outcome, durationMs),
    });
    return true;
  }
  // #endregion end
}

/** The log of wide events of one process. */
export class WideEvents {
  readonly clock: Clock;
  readonly #options: WideEventsOptions;
  readonly #queue: WideEvent[] = [];
  #isDraining = false;
  #keptCount = 0;
  #sampledOutCount = 0;
  #droppedCount = 0;
  #failedCount = 0;

  constructor(options: WideEventsOptions) {
    assert(options.sampleRate >= 0 && options.sampleRate <= 1, `sample rate ${options.sampleRate}`);
    this.#options = options;
    this.clock = options.clock;
  }

  /** A request has arrived. Whoever begins an event sees to it that it ends; `observe` does. */
  begin(identity: RequestIdentity): RequestEvent {
    return new RequestEvent(this, identity);
  }

  // #region observe
  /** Runs a handler and ends its event, however the handler ends. What it throws is passed on. */
  async observe<Reply>(
    identity: RequestIdentity,
    handler: (event: RequestEvent) => Promise<Reply>,
  ): Promise<Reply> {
    // 1. The event belongs to this call alone: it is handed on as an argument.
    const event = this.begin(identity);
    event.started();
    try {
      const reply = await handler(event);
      // 2. A handler that ended it with an error code has the word; this one comes second and is ignored.
      event.end("success");
      return reply;
    } catch (error) {
      // 3. A throwing handler is a request too. Of the error only its code: a message may quote the payload.
      event.end("error", codeOf(error));
      throw error;
    }
  }
  // #endregion observe

  // #region sampling
  /** Whether the line is kept. A busy path asks before it puts anything together. */
  keeps(outcome: Outcome, durationMs: number): boolean {
    // 1. Every error and every slow request; of the rest a share.
    const rate = this.sampleRateOf(outcome, durationMs);
    const isKept = rate === 1 || this.#options.random.nextUint32() < rate * 2 ** 32;
    if (!isKept) this.#sampledOutCount++;
    return isKept;
  }

  /** The share of requests like this one that is kept. */
  sampleRateOf(outcome: Outcome, durationMs: number): number {
    // 1. What somebody will look for is never left to chance.
    return outcome !== "success" || durationMs >= this.#options.slowMs ? 1 : this.#options.sampleRate;
  }
  // #endregion sampling

  // #region emit
  /** Queues a line for the sink, and returns at once, whatever the sink does. */
  emit(event: WideEvent): void {
    this.#keptCount++;
    // 1. The queue has a limit. When it is reached, quick successes go before errors, old ones before new ones.
    if (this.#queue.length >= this.#options.queueMax) {
      const successAt = this.#queue.findIndex(({ outcome }) => outcome === "success");
      this.#queue.splice(Math.max(0, successAt), 1);
      this.#droppedCount++;
    }
    this.#queue.push(event);
    // 2. Start writing, and do not wait for it.
    if (!this.#isDraining) void this.#drain();
  }

  /** Writes what is queued, one line after the other. */
  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      // 1. Wait for a slow sink here, where no request waits. A sink that answers at once costs no turn.
      try {
        const written = this.#options.sink.write(event);
        if (written !== undefined) await written;
      } catch {
        // 2. A failing sink loses this line; it is counted, and the next one is tried.
        this.#failedCount++;
      }
    }
    this.#isDraining = false;
  }
  // #endregion emit

  /** Lines that wait for the sink; a shutdown waits until there are none, within a bound of its own. */
  get queuedCount(): number {
    return this.#queue.length;
  }

  counts(): EventCounts {
    return {
      keptCount: this.#keptCount,
      sampledOutCount: this.#sampledOutCount,
      droppedCount: this.#droppedCount,
      failedCount: this.#failedCount,
    };
  }
}

/** A client's mistake or bad luck is a warning; what an operator must look at is an error. */
function levelOf(outcome: Outcome): WideEvent["level"] {
  if (outcome === "success") return "info";
  return outcome === "error" || outcome === "timed-out" ? "error" : "warn";
}

/** The stable code of an error; `internal` when it has none. */
function codeOf(error: unknown): string {
  const code: unknown =
    typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(code) ? code : "internal";
}
