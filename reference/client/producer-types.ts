/**
 * What a producer is given: its options, and its way to the server.
 */
import type { Checksum, Clock, Random } from "../ports.ts";
import type { RetryPolicy } from "./retry.ts";

/** A record on its way to one partition. The producer copies the bytes at once. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly value: Uint8Array | null;
  readonly key?: Uint8Array | undefined;
  readonly timestampMs?: number | undefined;
}

/** The way to the server: two calls, so that a test can play the server. Both reject with a `ProtocolError`. */
export interface ProducerTransport {
  /** A new producer id, which no other producer has or had. */
  initProducer(): Promise<number>;
  /** Sends one record batch; resolves to the offset of its first record. `batch` stays as it is until that. */
  send(topic: string, partition: number, batch: Uint8Array): Promise<number>;
}

/** How a producer gathers, sends and retries; everything has a default. */
export interface ProducerOptions {
  /** How long the first record of a batch waits for others. 0 waits for the end of the turn. */
  readonly lingerMs?: number;
  /** No batch is larger; one that reaches this is sent at once. */
  readonly batchBytesMax?: number;
  /** The most bytes of records that have not settled; beyond it, `send` refuses. */
  readonly bufferBytesMax?: number;
  /** Batches of one partition that are under way at once. A server remembers the last eight. */
  readonly inFlightMax?: number;
  /** A record that is not acknowledged within this time fails. */
  readonly deliveryTimeoutMs?: number;
  readonly retry?: Partial<Pick<RetryPolicy, "delayMinMs" | "delayMaxMs">>;
}

/** What a producer gets from whoever makes it. */
export interface ProducerPorts {
  readonly transport: ProducerTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum?: Checksum;
}

/** The options with all defaults filled in. */
export type ProducerSettings = Required<Omit<ProducerOptions, "retry">> &
  Pick<RetryPolicy, "delayMinMs" | "delayMaxMs">;

/** The options of a producer that says nothing else. */
export const producerOptionsDefault: ProducerSettings = {
  lingerMs: 5,
  batchBytesMax: 256 * 1024,
  bufferBytesMax: 64 * 1024 * 1024,
  inFlightMax: 5,
  deliveryTimeoutMs: 120_000,
  delayMinMs: 50,
  delayMaxMs: 2_000,
};
