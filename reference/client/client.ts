/**
 * The client: everything that a broker offers, as methods.
 *
 * This class is pure. A shell hands it a network, a clock and randomness: node/client.ts for Node, browser/client.ts
 * for a page.
 */
import type { Checksum, Clock, Random } from "../ports.ts";
import { leaderAcksFlag } from "../protocol/acks.ts";
import { answeredBy } from "../protocol/answered-by.ts";
import type { MessageName, ReplyOf, RequestOf } from "../protocol/messages.ts";
import { call } from "./calls.ts";
import type { CancelSignal } from "./cancel.ts";
import { unlessAborted } from "./cancel.ts";
import type {
  CallOptions,
  ClientOptions,
  ClientPorts,
  FetchOptions,
  ProduceOptions,
  TopicOptions,
  TopicState,
} from "./client-options.ts";
import type { ServerLimits } from "./handshake-call.ts";
import { throwIfRefused } from "./commit-refusal.ts";
import { Consumer } from "./consumer.ts";
import type { ConsumerOptions } from "./consumer.ts";
import { metadata } from "./leaders.ts";
import type { Place } from "./leaders.ts";
import type { PooledSession } from "./pool.ts";
import { ProduceTarget, noOptions } from "./produce-target.ts";
import type { ProducedBatch } from "./produce-target.ts";
import { protocolError } from "./protocol-error.ts";
import { BatchEncoder, FetchedRecords } from "./records.ts";
import type { RecordLike } from "./records.ts";
import type { RequestOptions } from "./request.ts";
import { retry, retryPolicyDefault } from "./retry.ts";
import type { RetryPolicy } from "./retry.ts";
import { Servers } from "./servers.ts";
import type { Session } from "./session.ts";
import { TopicProducer } from "./topic-producer.ts";
import type { TopicProducerOptions } from "./topic-producer.ts";

const fetchBytesMaxDefault = 1024 * 1024;

/** Requests that change something each time they are carried out. */
const notIdempotent: ReadonlySet<MessageName> = new Set([
  "Produce",
  "CreateTopic",
  "DeleteTopic",
  "ChangeCluster",
]);

/** A broker, or a cluster of them, from the outside. */
export class BrokerClient {
  readonly clientName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum: Checksum | undefined;
  readonly #servers: Servers;
  /** Requests that wait for their connection. */
  readonly #waiting = new Set<Promise<unknown>>();
  readonly #retryPolicy: RetryPolicy;
  readonly #requestTimeoutMs: number;
  readonly #encoder: BatchEncoder;
  readonly #traceparent: (() => string | undefined) | undefined;
  /** By topic, then by partition. */
  readonly #targets = new Map<string, ProduceTarget[]>();

  /** `servers` are addresses of one broker or of members of one cluster. Connects when first used. */
  constructor(servers: readonly string[], ports: ClientPorts, options: ClientOptions = {}) {
    const { clientName = "offset-zero", connections = 1, requestTimeoutMs = 30_000 } = options;
    if (servers.length === 0) throw protocolError("connection-failed", "no server address given");
    this.clientName = clientName;
    this.clock = ports.clock;
    this.random = ports.random;
    this.checksum = ports.checksum;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#retryPolicy = { ...retryPolicyDefault, ...options.retry };
    this.#encoder = new BatchEncoder(ports);
    this.#traceparent = options.traceparent;
    const session = {
      clock: ports.clock,
      requestTimeoutMs,
      ...(ports.checksum && { checksum: ports.checksum }),
      ...(options.bufferBytesMax !== undefined && { bufferBytesMax: options.bufferBytesMax }),
    };
    const { credentials, traceparent } = options;
    const introduction = { clientName, credentials, sign: ports.sign, traceparent };
    const pool = { network: ports.network, session, introduction, size: connections };
    this.#servers = new Servers(servers, pool);
  }

  /** Connects now, to learn at once whether there is a server; resolves to what it says about itself. */
  async connect(signal?: CancelSignal): Promise<ServerLimits> {
    return (await unlessAborted(this.#servers.acquireAny(), signal)).limits;
  }

  /** Whether the servers are nodes of a cluster, as far as one of them has said. */
  get isCluster(): boolean {
    return this.#servers.isCluster;
  }

  /** Any request by its name: for what has no method of its own. Tried again where that is safe. */
  async call<Name extends MessageName>(
    name: Name,
    fields: RequestOf<Name>,
    options: CallOptions = {},
  ): Promise<ReplyOf<Name>> {
    // Asked before anything is awaited: afterwards it could be somebody else's work that is going on.
    const traced = this.#traced(options);
    const place = placeOf(name, fields);
    const once = (): Promise<ReplyOf<Name>> =>
      this.#at(place, (session) => call(session, name, fields, traced));
    const { clock, random } = this;
    const isIdempotent = !notIdempotent.has(name);
    const { signal, attemptsMax = this.#retryPolicy.attemptsMax } = options;
    const policy = { ...this.#retryPolicy, attemptsMax };
    return retry(once, { clock, random, policy, isIdempotent, ...(signal && { signal }) });
  }

  /** Makes a topic with one partition, or as many as `options` say. */
  async createTopic(topic: string, options: TopicOptions = {}): Promise<void> {
    const { partitions = 1, retentionMs = 0, retentionBytes = 0, isCompacted = false } = options;
    await this.call("CreateTopic", { topic, partitions, retentionMs, retentionBytes, isCompacted }, options);
  }

  /** Removes a topic, its records and its committed offsets. */
  async deleteTopic(topic: string, options: CallOptions = {}): Promise<void> {
    await this.call("DeleteTopic", { topic }, options);
  }

  /** All topics with the state of each partition. */
  async listTopics(options: CallOptions = {}): Promise<readonly TopicState[]> {
    return (await this.call("ListTopics", { topics: [] }, options)).topics;
  }

  /** One topic; rejects with `topic-not-found`. */
  async describeTopic(topic: string, options: CallOptions = {}): Promise<TopicState> {
    const { topics } = await this.call("ListTopics", { topics: [topic] }, options);
    const [state] = topics;
    if (state === undefined) throw protocolError("topic-not-found", `no topic ${topic}`);
    return state;
  }

  /** Whether the server accepts writes, asked once. */
  async healthCheck(options: CallOptions = {}): Promise<ReplyOf<"HealthCheck">> {
    const { session } = await this.#servers.acquireAny();
    return call(session, "HealthCheck", {}, this.#traced(options));
  }

  /** Where a partition starts and ends, and the first offset at or after `timeMs`. */
  getOffset(
    topic: string,
    partition = 0,
    options: CallOptions & { readonly timeMs?: number } = {},
  ): Promise<ReplyOf<"GetOffset">> {
    return this.call("GetOffset", { topic, partition, timeMs: options.timeMs ?? 0 }, options);
  }

  /** Gives up the records before `beforeOffset`; resolves to where the partition starts now. */
  async trim(
    topic: string,
    partition: number,
    beforeOffset: number,
    options: CallOptions = {},
  ): Promise<number> {
    return (await this.call("Trim", { topic, partition, beforeOffset }, options)).startOffset;
  }

  /**
   * Appends records as one batch: all of them or none. Sent once; a `Producer` gathers, retries and never doubles.
   * Resolves when the batch is as durable as the server's policy says.
   */
  produce(
    topic: string,
    records: readonly RecordLike[],
    options: ProduceOptions = noOptions,
  ): Promise<ProducedBatch> {
    let batch: Uint8Array;
    try {
      batch = this.#encoder.encode(records);
    } catch (error) {
      return Promise.reject(error);
    }
    const { partition = 0 } = options;
    const pooled = this.#servers.isCluster
      ? undefined
      : this.#servers.ready(topic, partition, options.connection);
    // The encoder's bytes are good until its next batch; a session copies them before it returns.
    if (pooled === undefined) return this.#held(this.#produceRouted(topic, batch.slice(), options));
    const crc = this.#encoder.crcOf(batch);
    return this.#target(topic, partition).send(pooled.session, batch, this.#requestOptions(options), crc);
  }

  /** A node that does not lead has done nothing with the batch: it may go to the next one. */
  async #produceRouted(topic: string, batch: Uint8Array, options: ProduceOptions): Promise<ProducedBatch> {
    const once = (): Promise<ProducedBatch> => this.produceBatch(topic, batch, options);
    // Only when a connection is there is it known whether the server is a node of a cluster.
    await this.#servers.acquireAny(options.connection);
    if (!this.#servers.isCluster) return once();
    const { clock, random } = this;
    return retry(once, { clock, random, policy: this.#retryPolicy, isIdempotent: false });
  }

  /** As `produce`, with a record batch that is encoded already. The batch must stay as it is until it is sent. */
  produceBatch(topic: string, batch: Uint8Array, options: ProduceOptions = {}): Promise<ProducedBatch> {
    const { partition = 0, connection } = options;
    const target = this.#target(topic, partition);
    const asked = this.#requestOptions(options);
    const pooled = this.#servers.ready(topic, partition, connection);
    if (pooled === undefined)
      return this.#at(target, (session) => target.send(session, batch, asked), connection);
    const sent = target.send(pooled.session, batch, asked);
    return this.#servers.isCluster ? this.#routed(target, pooled, sent) : sent;
  }

  /** Reads whole batches from `offset` on. Records are taken out of them only as they are asked for. */
  async fetch(topic: string, offset: number, options: FetchOptions = {}): Promise<FetchedRecords> {
    const { partition = 0, bytesMax = fetchBytesMaxDefault, waitMs = 0 } = options;
    const timeoutMs = waitMs + (options.timeoutMs ?? this.#requestTimeoutMs);
    const fields = { topic, partition, offset, bytesMax, waitMs };
    const reply = await this.call("Fetch", fields, { ...options, timeoutMs });
    return new FetchedRecords({ topic, partition, offset }, reply);
  }

  /** Stores a group's positions by hand: offsets of the next record to read. Any direction is allowed. */
  async commitOffsets(
    group: string,
    offsets: RequestOf<"CommitOffset">["offsets"],
    options: CallOptions & { readonly memberId?: string; readonly generation?: number } = {},
  ): Promise<void> {
    const { memberId = "", generation = 0 } = options;
    const fields = { group, memberId, generation, offsets };
    throwIfRefused(fields, await this.call("CommitOffset", fields, options));
  }

  /** A group's stored positions; of all its partitions when none is named. */
  async fetchOffsets(
    group: string,
    partitions: RequestOf<"FetchOffset">["partitions"] = [],
    options: CallOptions = {},
  ): Promise<ReplyOf<"FetchOffset">["offsets"]> {
    return (await this.call("FetchOffset", { group, partitions }, options)).offsets;
  }

  /** A producer for one topic: gathers records, retries, and stores each once. */
  producer(topic: string, options: TopicProducerOptions = {}): TopicProducer {
    return new TopicProducer(this, topic, options);
  }

  /** The records of a topic as an async iterator. */
  consumer(topic: string, options: ConsumerOptions = {}): Consumer {
    return new Consumer(this, topic, options);
  }

  /** A connection to whoever leads there, for whoever has to stay on it; tell `failed` when a request fails. */
  session(place: Place = metadata): Promise<PooledSession> {
    return this.#servers.acquire(place);
  }

  /** A request of a connection from `session` failed: if somebody else leads there, the next one goes to that node. */
  failed(error: unknown, { address }: PooledSession, place: Place = metadata): void {
    this.#servers.failed(place, address, error);
  }

  /** Takes no more requests and ends the connections once the open ones have settled. */
  async close(): Promise<void> {
    // Who waits for a connection has asked already, though no session knows of it yet.
    await Promise.allSettled(this.#waiting);
    await this.#servers.close();
  }

  /** Drops everything at once. */
  destroy(): void {
    this.#servers.destroy();
  }

  /** Remembers a request until it has ended, so that `close` can wait for it. */
  async #held<Reply>(request: Promise<Reply>): Promise<Reply> {
    this.#waiting.add(request);
    try {
      return await request;
    } finally {
      this.#waiting.delete(request);
    }
  }

  /** The trace of the work that is going on at this moment, if there is one. */
  currentTrace(): string | undefined {
    return this.#traceparent?.();
  }

  /** The options with the trace of the work that is going on, unless they name one. */
  #traced<Options extends CallOptions>(options: Options): Options {
    if (this.#traceparent === undefined || options.traceparent !== undefined) return options;
    const traceparent = this.currentTrace();
    return traceparent === undefined ? options : { ...options, traceparent };
  }

  /** The options of a Produce as its request has them. */
  #requestOptions(options: ProduceOptions): RequestOptions {
    const traced = this.#traced(options);
    return options.acks === "leader" ? { ...traced, flags: leaderAcksFlag } : traced;
  }

  /** Runs `work` on a connection to whoever answers there: any server when nobody in particular does. */
  async #at<Value>(
    place: Place | undefined,
    work: (session: Session) => Promise<Value>,
    connection?: number,
  ): Promise<Value> {
    const pooled = await (place === undefined
      ? this.#servers.acquireAny(connection)
      : this.#servers.acquire(place, connection));
    await pooled.session.writable();
    return this.#routed(place ?? metadata, pooled, work(pooled.session));
  }

  /** The same promise, and what its failure says about who leads. */
  async #routed<Value>(place: Place, pooled: PooledSession, sent: Promise<Value>): Promise<Value> {
    try {
      return await sent;
    } catch (error) {
      this.failed(error, pooled, place);
      throw error;
    }
  }

  #target(topic: string, partition: number): ProduceTarget {
    const known = this.#targets.get(topic);
    const target = known?.[partition];
    if (target !== undefined) return target;
    const made = new ProduceTarget(topic, partition);
    const targets = known ?? [];
    targets[partition] = made;
    this.#targets.set(topic, targets);
    return made;
  }
}

/** Where a request goes: to the node that leads a partition, to the one that leads all else, or to any. */
function placeOf(name: MessageName, fields: object): Place | undefined {
  const by = answeredBy[name];
  if (by === "partition" && isPlace(fields)) return fields;
  return by === "leader" ? metadata : undefined;
}

function isPlace(fields: object): fields is Place {
  return "topic" in fields && "partition" in fields;
}
