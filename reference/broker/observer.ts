/**
 * What the broker tells about itself: counters for each kind of request, and one wide event for each request.
 *
 * The busy path is counted a commit group at a time: one clock reading for all requests that the same commit answers.
 * Whether a request gets a line in the log is decided before anything is put together for it.
 */
import type { BrokerMetrics, RequestMetrics, TopicMetrics } from "../observability/broker-metrics.ts";
import type { Counter } from "../observability/metrics.ts";
import type {
  Outcome as EventOutcome,
  RequestEvent,
  RequestFields,
  WideEvents,
} from "../observability/wide-events.ts";
import type { SpanSink } from "../observability/spans.ts";
import type { Clock } from "../ports.ts";
import type { ErrorName } from "../protocol/errors.ts";
import type { MessageName } from "../protocol/messages.ts";
import { messages } from "../protocol/messages.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import type { BrokerConnection } from "./connection.ts";
import { forgetTrace } from "./connection-state.ts";
import type { Outcome as AnyRequestOutcome } from "./outcome.ts";
import type { Partition } from "./partition.ts";

/** A request that is being handled. */
export interface ObservedRequest {
  readonly name: MessageName;
  readonly receivedAtMs: number;
  readonly event: RequestEvent;
  readonly trace: TraceContext | undefined;
}

/** Where a request belongs, for its event. */
type TraceIds = Partial<Pick<TraceContext, "traceId" | "spanId">>;

function idsOf(trace: TraceContext | undefined): TraceIds {
  return trace === undefined ? {} : { traceId: trace.traceId, spanId: trace.spanId };
}

/** Counts and logs what happens. */
export class BrokerObserver {
  readonly metrics: BrokerMetrics;
  readonly #events: WideEvents;
  readonly #clock: Clock;
  /** Takes the spans of traced requests; undefined when nobody collects them. */
  readonly #spans: SpanSink | undefined;
  readonly #requests: Readonly<Record<MessageName, RequestMetrics>>;
  readonly #unknown: RequestMetrics;
  readonly #rejections = new Map<ErrorName, Counter>();
  readonly #topics = new Map<string, TopicMetrics>();

  constructor(options: {
    readonly metrics: BrokerMetrics;
    readonly events: WideEvents;
    readonly clock: Clock;
    readonly spans?: SpanSink | undefined;
  }) {
    this.metrics = options.metrics;
    this.#events = options.events;
    this.#clock = options.clock;
    this.#spans = options.spans;
    const names = Object.keys(messages) as MessageName[];
    const entries = names.map((name) => [name, this.metrics.request(name)] as const);
    this.#requests = Object.fromEntries(entries) as Record<MessageName, RequestMetrics>;
    this.#unknown = this.metrics.request("unknown");
  }

  /** Now, on the clock that durations are measured with. */
  now(): number {
    return this.#clock.monotonicTimeMs();
  }

  /** A request that is not Produce begins. */
  begin(
    name: MessageName,
    connection: BrokerConnection,
    requestIdLow: number,
    trace?: TraceContext,
  ): ObservedRequest {
    const receivedAtMs = this.now();
    const { clientName } = connection.state;
    const identity = {
      requestType: name,
      requestId: requestIdLow,
      connectionId: connection.id,
      receivedAtMs,
      ...idsOf(trace),
    };
    const event = this.#events.begin({ ...identity, ...(clientName !== "" && { clientName }) });
    event.started();
    return { name, receivedAtMs, event, trace };
  }

  /** It ends: with an error when `error` is given. */
  end(
    { name, receivedAtMs, event, trace }: ObservedRequest,
    isOpen: boolean,
    fields: RequestFields,
    error?: ErrorName,
  ): void {
    event.set(fields);
    if (fields.topic !== undefined && fields.bytesOut !== undefined) {
      this.topic(fields.topic).fetchedBytes.add(fields.bytesOut);
    }
    event.end(isOpen ? (error === undefined ? "success" : "error") : "connection-lost", error);
    const durationMs = this.now() - receivedAtMs;
    this.#count(this.#requests[name], durationMs / 1000, 1, error);
    this.#span(name, trace, durationMs, fields, error);
  }

  /** A Produce request was refused before anything was stored, or a request of any kind at the gate. */
  refused(
    type: number,
    name: MessageName | undefined,
    connection: BrokerConnection,
    idLow: number,
    error: ErrorName,
    trace?: TraceContext,
  ): void {
    this.#count(name === undefined ? this.#unknown : this.#requests[name], 0, 1, error);
    const requestType = name ?? `type ${type}`;
    const context = trace ?? forgetTrace(connection.state, idLow);
    this.#span(requestType, context, 0, {}, error);
    this.#emit(requestType, connection, idLow, "error", 0, idsOf(context), error);
  }

  /** A batch was appended; its answer is still to come. */
  appended(partition: Partition, bytes: number, records: number): void {
    const metrics = this.topic(partition.topic);
    metrics.producedRecords.add(records);
    metrics.producedBytes.add(bytes);
  }

  /** One Produce of a group is answered. */
  produced(
    partition: Partition,
    connection: BrokerConnection,
    idLow: number,
    offset: number,
    durationMs: number,
    error?: ErrorName,
  ): void {
    this.#count(this.#requests.Produce, durationMs / 1000, 1, error);
    const outcome = connection.isOpen ? (error === undefined ? "success" : "error") : "connection-lost";
    const trace = forgetTrace(connection.state, idLow);
    const isKept = this.#events.keeps(outcome, durationMs);
    if (!isKept && trace === undefined) return;
    const fields = { topic: partition.topic, partition: partition.number, offset };
    this.#span("Produce", trace, durationMs, fields, error);
    if (!isKept) return;
    this.#emit("Produce", connection, idLow, outcome, durationMs, { ...idsOf(trace), ...fields }, error);
  }

  /** The handles of a topic. */
  topic(name: string): TopicMetrics {
    let found = this.#topics.get(name);
    if (found === undefined) {
      found = this.metrics.topic(name);
      this.#topics.set(name, found);
    }
    return found;
  }

  topicDeleted(name: string, partitionCount: number): void {
    this.#topics.delete(name);
    this.metrics.topicDeleted(name, partitionCount);
  }

  #count(
    { succeeded, failed, duration }: RequestMetrics,
    seconds: number,
    count: number,
    error?: ErrorName,
  ): void {
    duration.observe(seconds);
    if (error === undefined) return succeeded.add(count);
    failed.add(count);
    let rejection = this.#rejections.get(error);
    if (rejection === undefined) {
      rejection = this.metrics.rejected(error);
      this.#rejections.set(error, rejection);
    }
    rejection.add(count);
  }

  /** A span for a request of a trace that is recorded, however few requests are logged. */
  #span(
    requestType: string,
    trace: TraceContext | undefined,
    durationMs: number,
    fields: RequestFields,
    errorCode?: ErrorName,
  ): void {
    if (this.#spans === undefined || trace?.isSampled !== true) return;
    const { topic, partition, offset, group } = fields;
    const attributes = {
      "messaging.system": "offset-zero",
      "messaging.operation.name": requestType,
      ...(topic !== undefined && { "messaging.destination.name": topic }),
      ...(partition !== undefined && { "messaging.destination.partition.id": String(partition) }),
      ...(group !== undefined && { "messaging.consumer.group.name": group }),
      ...(offset !== undefined && { "oz.offset": offset }),
    };
    const error = errorCode === undefined ? {} : { errorCode };
    this.#spans.record({ trace, requestType, durationMs, attributes, ...error });
  }

  #emit(
    requestType: string,
    connection: BrokerConnection,
    requestId: number,
    outcome: EventOutcome,
    durationMs: number,
    fields: RequestFields & TraceIds,
    errorCode?: ErrorName,
  ): void {
    const { clientName } = connection.state;
    this.#events.emit({
      timeMs: this.#clock.wallTimeMs(),
      level: outcome === "success" ? "info" : "warn",
      requestType,
      requestId,
      connectionId: connection.id,
      ...(clientName !== "" && { clientName }),
      ...fields,
      ...(errorCode !== undefined && { errorCode }),
      outcome,
      queueMs: 0,
      durationMs,
      sampleRate: this.#events.sampleRateOf(outcome, durationMs),
    });
  }
}

/** What a request was about and brought, for its event: names and sizes, never payloads. */
export function fieldsOf(request: object, outcome: AnyRequestOutcome<MessageName>): RequestFields {
  const { bytesOut, source } = outcome.kind === "silent" ? outcome : {};
  return {
    ...("topic" in request && typeof request.topic === "string" && { topic: request.topic }),
    ...("partition" in request && typeof request.partition === "number" && { partition: request.partition }),
    ...("group" in request && typeof request.group === "string" && { group: request.group }),
    ...(bytesOut !== undefined && { bytesOut }),
    ...(source !== undefined && { source }),
  };
}
