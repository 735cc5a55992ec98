/**
 * The broker: requests in, replies out.
 *
 * It owns the topics and answers requests; it knows no sockets, no files and no clock but the ports that it is given.
 * So the same broker serves TCP, runs in a page and is tortured by the simulator.
 *
 * A request passes three gates in this order, and the order matters: what may be asked at all (type and version), who
 * asks (authentication), how much (the rate limit). Then Produce goes its own way in place, and everything else is
 * decoded, handled and answered.
 */
import { assert } from "#reference/base/assert.ts";
import { viewOf } from "#reference/base/bytes.ts";
import type { Clock, Random } from "../ports.ts";
import { DiskError } from "../ports.ts";
import { checksumBytes, requestHeaderBytes } from "../protocol/frame.ts";
import { refuseUnreadable, requestVersions } from "../protocol/handshake.ts";
import { decodeRequestPayload, encodeReplyPayload } from "../protocol/messages-codec.ts";
import type { MessageName } from "../protocol/messages.ts";
import { messageNameOf, messages } from "../protocol/messages.ts";
import { isTraced, takeTraceContext, traceContextBytes } from "../protocol/trace-context.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import { Authentication } from "./authentication.ts";
import type { Call, Handler } from "./call.ts";
import type { BackPressure } from "./back-pressure.ts";
import type { BrokerLimits, BrokerOptions } from "./broker-options.ts";
import type { Replication } from "./cluster/replication.ts";
import type { BrokerConnection } from "./connection.ts";
import { replyError, replyPayload } from "./connection.ts";
import { rememberTrace, runClosed } from "./connection-state.ts";
import { refusalOfDisk } from "./disk-refusal.ts";
import { makeTopic } from "./handle-topics.ts";
import { handlers } from "./handlers.ts";
import { DrainSignal } from "./drain-signal.ts";
import type { BrokerObserver, ObservedRequest } from "./observer.ts";
import { fieldsOf } from "./observer.ts";
import { LocalGroups } from "./consumer-groups.ts";
import { GroupCoordinator } from "./group-coordinator.ts";
import type { ErrorOutcome, Outcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";
import type { Partition } from "./partition.ts";
import type { GroupOffsets } from "./offset-store.ts";
import { Housekeeping } from "./housekeeping.ts";
import { loadProducers } from "./producer-loading.ts";
import type { ProduceContext } from "./produce.ts";
import { produce } from "./produce.ts";
import { ReadMemory } from "./read-memory.ts";
import { RateLimiter } from "./rate-limit.ts";
import { TopicRegistry } from "./registry.ts";

/** Bytes of a frame that a batch cannot have: the fixed fields of Produce and of Fetch's reply, and some to spare. */
export const frameBytesAroundBatch = 512;

/** One broker. */
export class Broker implements ProduceContext {
  readonly topics: TopicRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BrokerLimits;
  readonly serverName: string;
  readonly authentication: Authentication;
  /** Tells requests that wait that the server is about to stop. */
  readonly draining = new DrainSignal();
  /** Who is alive in the consumer groups. */
  groups: GroupCoordinator;
  readonly observer: BrokerObserver | undefined;
  /** Where consumer groups' positions are kept. */
  offsets: GroupOffsets | undefined;
  /** The cluster that this broker is a node of; undefined for one that is alone. */
  replication: Replication | undefined = undefined;
  /** Pays for answers on their way out. */
  readonly readMemory: ReadMemory;
  readonly #backPressure: BackPressure | undefined;
  readonly #startedAtMs: number;
  readonly #autoCreatePartitions: number;
  /** Told of what only a bug explains. */
  readonly onBug: (error: unknown) => void;
  readonly #rateLimiter: RateLimiter | undefined;
  readonly #housekeeping: Housekeeping;
  /** Topics that Produce is making, so that the requests that wait for one keep their order. */
  readonly #creating = new Map<string, Promise<ErrorOutcome | undefined>>();

  /** Opens all topics on the disk. Rejects with a DiskError that names the file. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const broker = new Broker(options);
    await broker.topics.load();
    return broker;
  }

  private constructor(options: BrokerOptions) {
    this.observer = options.observer;
    this.offsets = options.offsets;
    this.readMemory = new ReadMemory(options.fetchAccount);
    this.#backPressure = options.backPressure;
    const { observer, tails } = options;
    this.topics = new TopicRegistry(options.disk, options.openLog, {
      ...(observer !== undefined && { observer }),
      ...(tails !== undefined && { tails }),
    });
    this.clock = options.clock;
    this.random = options.random;
    this.limits = options.limits;
    this.serverName = options.serverName ?? "offset-zero";
    this.authentication = new Authentication(
      options.authentication ?? { tokens: new Map(), hmacSecrets: new Map() },
      options.random,
    );
    const groups = new LocalGroups((topic) => this.topics.get(topic)?.partitions.length ?? 0);
    this.groups = new GroupCoordinator(options.clock, options.random, groups);
    this.#startedAtMs = options.clock.monotonicTimeMs();
    this.#autoCreatePartitions = options.autoCreatePartitions ?? 0;
    this.#rateLimiter =
      options.rates === undefined ? undefined : new RateLimiter(options.rates, options.clock);
    const { retention, compaction } = options;
    this.#housekeeping = new Housekeeping(this.topics, options.clock, retention, compaction);
    this.onBug = options.onBug ?? (() => {});
  }

  /** Makes the broker a node of a cluster, which keeps groups and positions from now on. Before the first request. */
  takePart(replication: Replication): void {
    this.replication = replication;
    this.offsets = replication.offsets;
    this.groups = new GroupCoordinator(this.clock, this.random, replication.memberships);
  }

  /** The most bytes of batches in one reply. */
  get fetchBytesMax(): number {
    return this.limits.frameSizeMax - frameBytesAroundBatch;
  }

  /** Takes the intact request frame at `bytes[start..end)`, which is overwritten after the call. */
  request(connection: BrokerConnection, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const type = bytes[start + 12] ?? 0;
    const unread = refuseUnreadable(connection.output, connection.checksum, view, start, requestVersions);
    const refusal = unread === undefined ? this.#judge(connection, type, end - start) : undefined;
    const refused = unread ?? refusal?.name;
    if (refused !== undefined) {
      const idLow = view.getUint32(start + 8);
      const taken = isTraced(bytes, start)
        ? takeTraceContext(bytes, start, end, connection.checksum)
        : undefined;
      this.observer?.refused(type, messageNameOf(type), connection, idLow, refused, taken?.trace);
      if (refusal === undefined) return connection.answered();
      return replyError(connection, view.getUint32(start + 4), idLow, refusal);
    }
    if (isTraced(bytes, start)) return this.#handleTraced(connection, type, bytes, view, start, end);
    this.#handle(connection, type, bytes, view, start, end);
  }

  /** Handles a request that passed the gates. */
  #handle(
    connection: BrokerConnection,
    type: number,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    trace?: TraceContext,
  ): void {
    if (type === messages.Produce.type) {
      produce(this, connection, bytes, view, start, end);
      if (this.#backPressure?.isOn === true) this.#backPressure.hold(connection);
      return;
    }
    const name = messageNameOf(type);
    assert(name !== undefined, `request type ${type} passed the gate`);
    const ids = { requestIdHigh: view.getUint32(start + 4), requestIdLow: view.getUint32(start + 8) };
    const call: Call = { connection, ...ids };
    const payload = bytes.subarray(start + requestHeaderBytes, end - checksumBytes);
    // A handler may wait, and the chunk will not: what it gets is a copy. Raft's never waits.
    this.#dispatch(name, name === "Raft" ? payload : new Uint8Array(payload), call, trace);
  }

  /** Takes the trace off a request, so that its handler sees what an untraced client would have sent. */
  #handleTraced(
    connection: BrokerConnection,
    type: number,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): void {
    const idLow = view.getUint32(start + 8);
    const taken = takeTraceContext(bytes, start, end, connection.checksum);
    if (taken === undefined) {
      const message = `the payload has no room for the trace context of ${traceContextBytes} bytes`;
      const refusal = refuse("invalid-request", message);
      this.observer?.refused(type, messageNameOf(type), connection, idLow, refusal.name);
      return replyError(connection, view.getUint32(start + 4), idLow, refusal);
    }
    const { frame, trace } = taken;
    // Produce is answered by a commit that knows only the request's id; all others bring their trace along.
    const isKept = type === messages.Produce.type && this.observer !== undefined;
    if (isKept && trace !== undefined) rememberTrace(connection.state, idLow, trace);
    this.#handle(connection, type, frame, viewOf(frame), 0, frame.length, trace);
  }

  /** The connection is gone: nothing of it may live on. */
  closed(connection: BrokerConnection): void {
    this.#backPressure?.forget(connection);
    runClosed(connection.state);
  }

  /** Whether writes are accepted, for HealthCheck and for the admin port. */
  health(): { isReady: boolean; uptimeMs: number; detail: string } {
    const uptimeMs = Math.floor(this.clock.monotonicTimeMs() - this.#startedAtMs);
    for (const topic of this.topics.list()) {
      for (const { log, number } of topic.partitions) {
        if (log.failure === undefined) continue;
        const detail = `${topic.name}/${number} is read-only: ${log.failure.operation}: ${log.failure.code}`;
        return { isReady: false, uptimeMs, detail };
      }
    }
    const problem = this.replication?.problem();
    return { isReady: problem === undefined, uptimeMs, detail: problem ?? "ok" };
  }

  /** Requests that wait for something to happen are answered now; the connections can then be drained. */
  beginDrain(): void {
    this.draining.begin();
  }

  /** Applies retention and compacts now and then, until the broker closes. */
  startHousekeeping(): void {
    this.#housekeeping.start(this.onBug);
  }

  /** Flushes and closes all logs; false when one of them could not be made durable. */
  async close(): Promise<boolean> {
    this.#housekeeping.stop();
    await this.offsets?.close();
    const errors = await this.topics.close();
    return errors.length === 0;
  }

  appended(partition: Partition, bytes: number, records: number): void {
    this.observer?.appended(partition, bytes, records);
  }

  refuse(
    connection: BrokerConnection,
    requestIdHigh: number,
    requestIdLow: number,
    error: ErrorOutcome,
  ): void {
    this.observer?.refused(messages.Produce.type, "Produce", connection, requestIdLow, error.name);
    replyError(connection, requestIdHigh, requestIdLow, error);
  }

  defer(
    connection: BrokerConnection,
    frame: Uint8Array,
    topic: string,
    partition: Partition | undefined,
  ): void {
    const view = viewOf(frame);
    const ready = partition === undefined ? this.#createForProduce(topic) : loadProducers(partition);
    ready.then(
      (problem) => {
        if (!connection.isOpen) return;
        if (problem === undefined) return produce(this, connection, frame, view, 0, frame.length);
        this.refuse(connection, view.getUint32(4), view.getUint32(8), problem);
      },
      (error: unknown) => {
        const call = { connection, requestIdHigh: view.getUint32(4), requestIdLow: view.getUint32(8) };
        this.#failed(error, "Produce", call, undefined);
      },
    );
  }

  /** The gates behind that of types and versions. */
  #judge(connection: BrokerConnection, type: number, bytes: number): ErrorOutcome | undefined {
    if (this.authentication.isRequired && connection.state.principal === undefined && !isOpenToAll(type)) {
      const methods = this.authentication.methods.join(" or ");
      return refuse("unauthenticated", `authenticate first, with ${methods}`);
    }
    const misplaced = this.replication?.refusal(type, connection);
    if (misplaced !== undefined) return misplaced;
    const isUnlimited = isOpenToAll(type) || connection.state.peer !== undefined;
    if (this.#rateLimiter === undefined || isUnlimited) return undefined;
    const waitMs = this.#rateLimiter.take(connection, bytes);
    return waitMs === 0 ? undefined : refuse("rate-limited", "this client sends more than its share", waitMs);
  }

  #dispatch(name: MessageName, payload: Uint8Array, call: Call, trace?: TraceContext): void {
    const observed = this.observer?.begin(name, call.connection, call.requestIdLow, trace);
    const decoded = decodeRequestPayload(name, payload);
    if (decoded.kind === "fault") {
      const refusal = refuse("invalid-request", `${name}: ${decoded.fault.message}`);
      return this.#answer(name, call, refusal, observed, {});
    }
    const request = decoded.value;
    const handler = handlers[name] as Handler<MessageName>;
    try {
      const outcome = handler(this, request, call);
      if (!(outcome instanceof Promise)) return this.#answer(name, call, outcome, observed, request);
      outcome.then(
        (settled) => this.#answer(name, call, settled, observed, request),
        (error: unknown) => this.#failed(error, name, call, observed),
      );
    } catch (error) {
      this.#failed(error, name, call, observed);
    }
  }

  #answer<Name extends MessageName>(
    name: Name,
    call: Call,
    outcome: Outcome<Name>,
    observed: ObservedRequest | undefined,
    request: object,
  ): void {
    const { connection, requestIdHigh, requestIdLow } = call;
    if (observed !== undefined) {
      const error = outcome.kind === "error" || outcome.kind === "partial" ? outcome.name : undefined;
      this.observer?.end(observed, connection.isOpen, fieldsOf(request, outcome), error);
    }
    if (!connection.isOpen || outcome.kind === "silent") return;
    // Credit is never answered: its id belongs to no request that the client waits for.
    if (name === "Credit") return connection.answered();
    if (outcome.kind === "error") return replyError(connection, requestIdHigh, requestIdLow, outcome);
    const payload = encodeReplyPayload(name, outcome.value);
    const error = outcome.kind === "partial" ? outcome.name : "none";
    replyPayload(connection, requestIdHigh, requestIdLow, payload, error);
  }

  /** A handler threw: the disk failed, or there is a bug. Its request is answered, and nobody else notices. */
  #failed(error: unknown, name: MessageName, call: Call, observed: ObservedRequest | undefined): void {
    const isDisk = error instanceof DiskError;
    if (!isDisk) this.onBug(error);
    const refusal = isDisk
      ? refusalOfDisk(error)
      : refuse("internal-error", "the handler failed; see the log");
    this.#answer(name, call, refusal, observed, {});
  }

  /** Makes the topic that a Produce names, if the server is set to. */
  async #createForProduce(name: string): Promise<ErrorOutcome | undefined> {
    if (this.topics.get(name) !== undefined) return undefined;
    if (this.#autoCreatePartitions === 0) {
      return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
    }
    let creation = this.#creating.get(name);
    if (creation === undefined) {
      const config = { retentionMs: 0, retentionBytes: 0, isCompacted: false };
      creation = makeTopic(this, name, { partitions: this.#autoCreatePartitions, ...config });
      this.#creating.set(name, creation);
      void creation.finally(() => this.#creating.delete(name)).catch(() => undefined);
    }
    const made = await creation;
    // Somebody else may have made it meanwhile; whether it is there is what counts.
    return this.topics.get(name) === undefined ? made : undefined;
  }
}

/** What a client may ask before it has proved who it is. */
function isOpenToAll(type: number): boolean {
  return (
    type === messages.Hello.type ||
    type === messages.Authenticate.type ||
    type === messages.HealthCheck.type ||
    type === messages.Ping.type
  );
}
