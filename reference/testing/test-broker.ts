/** A broker on a simulated disk, with scripted clients and virtual time: everything but the processes. */
import { SeededRandom } from "#reference/base/prng.ts";
import { Broker } from "../broker/broker.ts";
import type { BrokerOptions } from "../broker/broker-options.ts";
import type { ConnectionState } from "../broker/connection-state.ts";
import { newConnectionState } from "../broker/connection-state.ts";
import { OffsetStore } from "../broker/offset-store.ts";
import { ConnectionHub } from "../protocol/connection.ts";
import { errorNameOf } from "../protocol/errors.ts";
import type { ResponseFrame } from "../protocol/frame.ts";
import { decodeErrorReply, decodeReplyPayload, encodeRequestPayload } from "../protocol/messages-codec.ts";
import type { MessageName, ReplyOf, RequestOf } from "../protocol/messages.ts";
import { messages } from "../protocol/messages.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { ConsumerOffsets } from "../storage/consumer-offsets.ts";
import { Log } from "../storage/log.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import type { BatchOptions } from "../storage/record-batch-builder.ts";
import { RecordCursor } from "../storage/record-cursor.ts";
import { VirtualClock } from "./clock.ts";
import { ScriptedConnection } from "./scripted-connection.ts";

/** What came back: the reply, or the error. */
export type TestReply<Name extends MessageName> =
  | { readonly kind: "reply"; readonly status: number; readonly value: ReplyOf<Name> }
  | {
      readonly kind: "error";
      readonly name: string;
      readonly message: string;
      readonly retryAfterMs: number;
    };

/** A broker and what it stands on. */
export class TestBroker {
  readonly broker: Broker;
  readonly disk: SimulatedDisk;
  readonly clock: VirtualClock;
  readonly hub: ConnectionHub<ConnectionState>;
  readonly bugs: unknown[];

  private constructor(broker: Broker, disk: SimulatedDisk, clock: VirtualClock, bugs: unknown[]) {
    this.broker = broker;
    this.disk = disk;
    this.clock = clock;
    this.bugs = bugs;
    this.hub = new ConnectionHub<ConnectionState>({
      clock,
      handler: {
        opened: newConnectionState,
        request: (connection, bytes, view, start, end) => broker.request(connection, bytes, view, start, end),
        crashed: (_connection, error) => void bugs.push(error),
        closed: (connection) => broker.closed(connection),
      },
    });
  }

  /** Opens a broker on a disk, `always` syncing. */
  static async open(options: Partial<BrokerOptions> = {}, disk = new SimulatedDisk()): Promise<TestBroker> {
    const clock = new VirtualClock();
    const bugs: unknown[] = [];
    const openLog = (directory: string): Promise<Log> =>
      Log.open({ disk, directory, clock, fsync: "always" });
    const broker = await Broker.open({
      offsets: new OffsetStore(await ConsumerOffsets.open({ disk, path: "offsets/positions", clock })),
      disk,
      clock,
      random: new SeededRandom(1),
      openLog,
      limits: { frameSizeMax: 2 ** 20, recordSizeMax: 2 ** 20, inFlightMax: 100, idleTimeoutMs: 60_000 },
      autoCreatePartitions: 1,
      onBug: (error) => void bugs.push(error),
      ...options,
    });
    return new TestBroker(broker, disk, clock, bugs);
  }

  connect(): TestClient {
    return new TestClient(this.hub);
  }
}

/** A client that speaks frames. */
export class TestClient {
  readonly connection = new ScriptedConnection();
  /** Responses by request id, in the order in which they came. */
  readonly #responses = new Map<bigint, ResponseFrame[]>();
  #nextId = 1n;

  constructor(hub: ConnectionHub<ConnectionState>) {
    hub.accept(this.connection);
  }

  /** Sends a request; returns its id. */
  send<Name extends MessageName>(name: Name, request: RequestOf<Name>): bigint {
    const requestId = this.#nextId++;
    const payload = encodeRequestPayload(name, request);
    this.connection.deliverRequest({ requestId, type: messages[name].type, payload });
    return requestId;
  }

  /** The oldest response to a request that was not taken yet; waits for it as long as the broker does something. */
  async response(requestId: bigint): Promise<ResponseFrame> {
    for (let turns = 0; turns < 2000; turns++) {
      const found = this.received(requestId);
      if (found !== undefined) return found;
      await Promise.resolve();
    }
    throw new Error(`no response to request ${requestId}`);
  }

  /** The oldest response that is here already. */
  received(requestId: bigint): ResponseFrame | undefined {
    for (const frame of this.connection.takeResponses()) {
      const frames = this.#responses.get(frame.requestId) ?? [];
      frames.push(frame);
      this.#responses.set(frame.requestId, frames);
    }
    return this.#responses.get(requestId)?.shift();
  }

  /** Sends a request and reads its answer. */
  async ask<Name extends MessageName>(name: Name, request: RequestOf<Name>): Promise<TestReply<Name>> {
    return this.read(name, await this.response(this.send(name, request)));
  }

  read<Name extends MessageName>(name: Name, frame: ResponseFrame): TestReply<Name> {
    if (frame.status === 1) {
      const { code, message, retryAfterMs } = decodeErrorReply(frame);
      return { kind: "error", name: errorNameOf(code) ?? String(code), message, retryAfterMs };
    }
    const decoded = decodeReplyPayload(name, frame.payload);
    if (decoded.kind === "fault") throw new Error(decoded.fault.message);
    return { kind: "reply", status: frame.status, value: decoded.value };
  }

  /** Produces text records in one batch. */
  produce(topic: string, values: readonly string[], options: BatchOptions & { partition?: number } = {}) {
    const records = values.map((value) => ({ value: new TextEncoder().encode(value) }));
    const batch = encodeRecordBatch(records, options);
    return this.ask("Produce", { topic, partition: options.partition ?? 0, batch });
  }

  /** The text records from an offset on. */
  async fetch(topic: string, offset: number, waitMs = 0): Promise<string[]> {
    const reply = await this.ask("Fetch", { topic, partition: 0, offset, bytesMax: 2 ** 19, waitMs });
    if (reply.kind === "error") throw new Error(`${reply.name}: ${reply.message}`);
    return textsIn(reply.value.batches, offset);
  }
}

/** The values in some batches, from an offset on. */
export function textsIn(batches: Uint8Array, fromOffset: number): string[] {
  const cursor = new RecordCursor(batches, { fromOffset });
  const texts: string[] = [];
  while (cursor.next())
    texts.push(new TextDecoder().decode(batches.subarray(cursor.valueStart, cursor.valueEnd)));
  return texts;
}
