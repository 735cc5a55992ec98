/**
 * Loads that produce.
 *
 * *Closed loop*: each of N requests under way is followed by the next as soon as it is answered. It measures what the
 * server can take. *Pre-encoded*: the same, but the requests were encoded once, and answers are counted by their size.
 * That is how redis-benchmark works; it takes the client's work out of the picture.
 */
import net from "node:net";
import type { ProduceOptions } from "../../client/client-options.ts";
import type { Acks } from "../../protocol/acks.ts";
import { leaderAcksFlag } from "../../protocol/acks.ts";
import { sealFrame, putRequestHeader, requestHeaderBytes } from "../../protocol/frame.ts";
import { messages } from "../../protocol/messages.ts";
import { encodeRequestPayload } from "../../protocol/messages-codec.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { LogHistogram } from "../../observability/log-histogram.ts";
import { Client } from "../client.ts";
import { fastChecksum } from "../checksum/fast-crc32.ts";
import type { NetworkOptions } from "../network.ts";
import { parseAddress } from "../network.ts";

/** What a load does. */
export interface ProduceLoad {
  readonly address: string;
  /** How to speak TLS to the servers, if they do. */
  readonly tls?: NonNullable<NetworkOptions["tls"]>;
  readonly topic: string;
  readonly recordBytes: number;
  /** Records in one request. */
  readonly batch: number;
  readonly connections: number;
  /** Requests under way on each connection. */
  readonly outstanding: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly acks?: Acks;
  /** Requests go to so many in turn; to the first only when absent. */
  readonly partitions?: number;
  readonly isPreEncoded: boolean;
  readonly onProgress?: (requests: number) => void;
}

/** What came of it. */
export interface LoadResult {
  readonly requests: number;
  readonly records: number;
  readonly seconds: number;
  /** Microseconds from sending a request to its answer. */
  readonly latencyUs: LogHistogram;
}

/** A reply to Produce: header, offset and id, checksum. */
const replyBytes = 13 + 20 + 4;
const latencyMaxUs = 60_000_000;

/** The clock of one run: warm-up, measurement, end. */
export class Measurement {
  readonly latencyUs = new LogHistogram({ valueMax: latencyMaxUs });
  requests = 0;
  isMeasuring = false;
  isOver = false;
  #startMs = 0;
  #endMs = 0;
  /** The time, asked once for the answers that come together; 0 when it has to be asked again. */
  #nowMs = 0;
  readonly #forgetNow = (): void => void (this.#nowMs = 0);

  async run(warmUpSeconds: number, seconds: number): Promise<void> {
    await sleep(warmUpSeconds * 1000);
    this.#startMs = performance.now();
    this.requests = 0;
    this.isMeasuring = true;
    await sleep(seconds * 1000);
    this.#endMs = performance.now();
    this.isMeasuring = false;
    this.isOver = true;
  }

  /** Counts answers to requests that were sent at `sinceMs`; returns what time it is. */
  answered(count: number, sinceMs: number): number {
    if (this.#nowMs === 0) {
      this.#nowMs = performance.now();
      process.nextTick(this.#forgetNow);
    }
    const nowMs = this.#nowMs;
    if (!this.isMeasuring) return nowMs;
    this.requests += count;
    this.latencyUs.record(Math.min(latencyMaxUs, Math.round((nowMs - sinceMs) * 1000)), count);
    return nowMs;
  }

  result(batch: number): LoadResult {
    const seconds = (this.#endMs - this.#startMs) / 1000;
    return { requests: this.requests, records: this.requests * batch, seconds, latencyUs: this.latencyUs };
  }
}

/** Runs the load; rejects when the server refuses a request. */
export async function produceLoad(load: ProduceLoad): Promise<LoadResult> {
  const measurement = new Measurement();
  const failed = load.isPreEncoded ? preEncoded(load, measurement) : fullClient(load, measurement);
  await Promise.race([measurement.run(load.warmUpSeconds, load.seconds), failed]);
  measurement.isOver = true;
  return measurement.result(load.batch);
}

/** The client library as a user has it: each request encoded, each answer checked, a promise for each. */
async function fullClient(load: ProduceLoad, measurement: Measurement): Promise<never> {
  const clients = await connectAll(load);
  const value = new Uint8Array(load.recordBytes).fill(0x61);
  const records = Array.from({ length: load.batch }, () => value);
  const loop = async (client: Client, turn: number): Promise<void> => {
    const options = produceOptions(load, turn);
    let sinceMs = performance.now();
    while (!measurement.isOver) {
      await client.produce(load.topic, records, options);
      // The next request leaves at once, so this answer's time is its own.
      sinceMs = measurement.answered(1, sinceMs);
    }
  };
  const loops = clients.flatMap((client, nth) =>
    Array.from({ length: load.outstanding }, (_, index) => loop(client, nth * load.outstanding + index)),
  );
  try {
    await Promise.all(loops);
  } finally {
    for (const client of clients) client.destroy();
  }
  return new Promise(() => {});
}

/** The clients of a load, each with a connection. */
export function connectAll({ address, tls, connections }: ProduceLoad): Promise<Client[]> {
  return Promise.all(
    Array.from({ length: connections }, () => Client.connect(address, { tls: tls ?? false })),
  );
}

/** How the request of this turn says what differs from what goes without saying; undefined when nothing does. */
export function produceOptions(
  { acks = "quorum", partitions = 1 }: ProduceLoad,
  turn: number,
): ProduceOptions | undefined {
  if (acks === "quorum" && partitions === 1) return undefined;
  return { acks, partition: turn % partitions };
}

/** The same request again and again, out of one block of bytes. */
function preEncoded(load: ProduceLoad, measurement: Measurement): Promise<never> {
  const block = requestBlock(load);
  return new Promise((_resolve, reject) => {
    for (let index = 0; index < load.connections; index++) runConnection(load, measurement, block, reject);
  });
}

interface RequestBlock {
  readonly bytes: Uint8Array;
  readonly requestBytes: number;
  readonly requests: number;
}

function requestBlock({ topic, recordBytes, batch, outstanding, acks }: ProduceLoad): RequestBlock {
  const value = new Uint8Array(recordBytes).fill(0x61);
  const records = Array.from({ length: batch }, () => ({ value }));
  const payload = encodeRequestPayload("Produce", {
    topic,
    partition: 0,
    batch: encodeRecordBatch(records, { timestampMs: Date.now(), checksum: fastChecksum }),
  });
  const requestBytes = requestHeaderBytes + payload.length + 4;
  const requests = Math.max(1, Math.min(outstanding, Math.floor(2 ** 20 / requestBytes)));
  const bytes = new Uint8Array(requests * requestBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < requests; index++) {
    const start = index * requestBytes;
    putRequestHeader(
      view,
      start,
      0,
      index + 1,
      messages.Produce.type,
      1,
      acks === "leader" ? leaderAcksFlag : 0,
    );
    bytes.set(payload, start + requestHeaderBytes);
    sealFrame(bytes, view, start, start + requestHeaderBytes + payload.length, fastChecksum);
  }
  return { bytes, requestBytes, requests };
}

function runConnection(
  load: ProduceLoad,
  measurement: Measurement,
  block: RequestBlock,
  fail: (error: Error) => void,
): void {
  const target = parseAddress(load.address);
  if (target === undefined) return fail(new Error(`${load.address} is not host:port`));
  const socket = net.connect({ ...target, noDelay: true });
  /** Requests that were sent together, and when: oldest first. */
  const sent: { readonly sinceMs: number; count: number }[] = [];
  let extraBytes = 0;
  const send = (count: number): void => {
    sent.push({ sinceMs: performance.now(), count });
    for (let left = count; left > 0; left -= block.requests) {
      const part = Math.min(left, block.requests);
      socket.write(
        part === block.requests ? block.bytes : block.bytes.subarray(0, part * block.requestBytes),
      );
    }
  };
  socket.on("connect", () => send(load.outstanding));
  socket.on("error", (error) => {
    if (!measurement.isOver) fail(error);
  });
  socket.on("close", () => {
    if (!measurement.isOver) fail(new Error("the server closed the connection"));
  });
  socket.on("data", (chunk: Buffer) => {
    // An error reply has another size: then the count is wrong, so look at the first reply of each chunk.
    if (extraBytes === 0 && chunk.length >= 13 && chunk[12] !== 0)
      return fail(new Error("the server refused a request"));
    const bytes = extraBytes + chunk.length;
    let answers = Math.floor(bytes / replyBytes);
    extraBytes = bytes - answers * replyBytes;
    const all = answers;
    while (answers > 0) {
      const oldest = sent[0];
      if (oldest === undefined) return fail(new Error("more answers than requests"));
      const part = Math.min(oldest.count, answers);
      measurement.answered(part, oldest.sinceMs);
      oldest.count -= part;
      answers -= part;
      if (oldest.count === 0) sent.shift();
    }
    if (measurement.isOver) socket.destroy();
    else if (all > 0) send(all);
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
