/**
 * Spans: what a traced request did here, for the tracing system of whoever sent it.
 *
 * A request that brings a trace context says that somebody records the larger operation it belongs to. Our part of it
 * is one span, whose parent is the step that sent the request. Spans are collected here, and sent in batches by
 * whoever owns a network, as OTLP in JSON (OpenTelemetry's protocol, version 1):
 *
 *     { resourceSpans: [ { resource: who we are, scopeSpans: [ { scope: which library, spans: [ … ] } ] } ] }
 *
 * Tracing is never worth a request. So recording is one step without waiting, the queue has a bound beyond which spans
 * are dropped and counted, and a collector that fails is tried again later and later, with the queue as it is.
 */
import type { Clock, Random } from "../ports.ts";

/** A request that has ended, and belongs to a trace that is recorded. */
export interface TracedRequest {
  /** Its trace, and the span that it came from. */
  readonly trace: { readonly traceId: string; readonly spanId: string };
  /** `Produce`, `Fetch`, …. */
  readonly requestType: string;
  readonly durationMs: number;
  /** By the names of OpenTelemetry's conventions where there is one. */
  readonly attributes: Readonly<Record<string, string | number>>;
  /** A name of the error table. */
  readonly errorCode?: string;
}

/** Takes what ended; the observer's view of this file. */
export interface SpanSink {
  record(request: TracedRequest): void;
}

/** One span as OTLP writes it in JSON: ids in hexadecimal digits, 64-bit numbers as text. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly OtlpAttribute[];
  readonly status: { readonly code: number; readonly message?: string };
}

/** A named value; whole numbers travel as text, because JSON's lose digits beyond 2^53. */
export interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue: string } | { readonly intValue: string };
}

/** What became of a batch: `retry` when the same batch may be taken later, `rejected` when it never will. */
export type SendOutcome = "sent" | "retry" | "rejected";

/** How spans are collected. */
export interface SpanQueueOptions {
  readonly clock: Clock;
  /** Draws span ids. */
  readonly random: Random;
  /** Sends a batch; rejects never. */
  readonly send: (spans: readonly OtlpSpan[]) => Promise<SendOutcome>;
  /** Spans that may wait; more are dropped. */
  readonly queueMax?: number;
  readonly batchMax?: number;
  /** How long a span waits for company. */
  readonly delayMs?: number;
  /** The longest pause after failures; the first is `delayMs`, and each further one twice as long. */
  readonly pauseMsMax?: number;
}

/** What became of all spans so far. */
export interface SpanCounts {
  readonly sent: number;
  /** The queue was full. */
  readonly dropped: number;
  /** The collector did not want them. */
  readonly rejected: number;
}

/** OTLP's numbers for the kind "server" and for the two states that we tell. */
const serverKind = 2;
const statusUnset = 0;
const statusError = 2;

/** Collects spans and sends them in batches, one batch at a time. */
export class SpanQueue implements SpanSink {
  readonly #options: Required<SpanQueueOptions>;
  #waiting: OtlpSpan[] = [];
  readonly #counts = { sent: 0, dropped: 0, rejected: 0 };
  #cancelTimer: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #pauseMs: number;
  #isClosed = false;

  constructor(options: SpanQueueOptions) {
    this.#options = { queueMax: 2048, batchMax: 512, delayMs: 1000, pauseMsMax: 60_000, ...options };
    this.#pauseMs = this.#options.delayMs;
  }

  /** Keeps a span for the next batch, or drops it. Never waits. */
  record(request: TracedRequest): void {
    if (this.#isClosed || this.#waiting.length >= this.#options.queueMax) {
      this.#counts.dropped++;
      return;
    }
    this.#waiting.push(spanOf(request, this.#options.clock.wallTimeMs(), this.#options.random));
    this.#startTimer(this.#options.delayMs);
  }

  counts(): SpanCounts {
    return { ...this.#counts };
  }

  /** Sends what waits, as far as the collector takes it at the first try, and takes no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    await this.#sending;
    // Whoever has just failed is not asked again: a shutdown must not wait for it.
    if (this.#pauseMs === this.#options.delayMs) {
      while (this.#waiting.length > 0 && (await this.#sendBatch()));
    }
    this.#counts.dropped += this.#waiting.length;
    this.#waiting = [];
  }

  #startTimer(delayMs: number): void {
    if (this.#cancelTimer !== undefined || this.#sending !== undefined || this.#isClosed) return;
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#sending = this.#sendAll().finally(() => (this.#sending = undefined));
    });
  }

  /** Sends batch after batch until nothing waits, or one fails: then it comes again after a pause. */
  async #sendAll(): Promise<void> {
    const { delayMs, pauseMsMax, clock } = this.#options;
    while (this.#waiting.length > 0) {
      if (await this.#sendBatch()) {
        this.#pauseMs = delayMs;
        continue;
      }
      if (this.#isClosed) return;
      const cancel = clock.after(this.#pauseMs, () => {
        this.#cancelTimer = undefined;
        this.#sending = this.#sendAll().finally(() => (this.#sending = undefined));
      });
      this.#cancelTimer = cancel;
      this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMsMax);
      return;
    }
  }

  /** Sends the oldest spans; false when they have to wait. */
  async #sendBatch(): Promise<boolean> {
    const batch = this.#waiting.slice(0, this.#options.batchMax);
    const outcome = await this.#options.send(batch);
    if (outcome === "retry") return false;
    this.#waiting.splice(0, batch.length);
    this.#counts[outcome] += batch.length;
    return true;
  }
}

/** The body of a request to a collector's `/v1/traces`. */
export function otlpBody(
  spans: readonly OtlpSpan[],
  resource: Readonly<Record<string, string>>,
  version: string,
): string {
  const scope = { name: "offset-zero", version };
  const resourceSpans = [
    { resource: { attributes: attributesOf(resource) }, scopeSpans: [{ scope, spans }] },
  ];
  return JSON.stringify({ resourceSpans });
}

function spanOf(
  { trace, requestType, durationMs, attributes, errorCode }: TracedRequest,
  endMs: number,
  random: Random,
): OtlpSpan {
  return {
    traceId: trace.traceId,
    spanId: newSpanId(random),
    parentSpanId: trace.spanId,
    name: requestType,
    kind: serverKind,
    startTimeUnixNano: nanoseconds(endMs - durationMs),
    endTimeUnixNano: nanoseconds(endMs),
    attributes: attributesOf(
      errorCode === undefined ? attributes : { ...attributes, "error.type": errorCode },
    ),
    status: errorCode === undefined ? { code: statusUnset } : { code: statusError, message: errorCode },
  };
}

function attributesOf(values: Readonly<Record<string, string | number>>): OtlpAttribute[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === "string" ? { stringValue: value } : { intValue: String(value) },
  }));
}

/** 16 hexadecimal digits; all zeros would mean that there is none. */
function newSpanId(random: Random): string {
  const high = random.nextUint32().toString(16).padStart(8, "0");
  return high + (random.nextUint32() || 1).toString(16).padStart(8, "0");
}

/** Milliseconds with a fraction as nanoseconds in text; microseconds are as fine as a clock of ours is. */
function nanoseconds(milliseconds: number): string {
  return `${Math.round(milliseconds * 1000)}000`;
}
