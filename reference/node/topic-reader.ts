/** Reads a topic from a starting point to its end, or for ever. */
import { unreachable } from "#reference/base/assert.ts";
import type { FetchedRecords } from "../client/records.ts";
import type { Client } from "./client.ts";

/** Where reading begins. */
export type Start =
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "id"; readonly ms: number; readonly sequence: number }
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" };

/** What to read, and where it goes. */
export interface ReadOptions {
  readonly client: Client;
  readonly topic: string;
  readonly partition: number | undefined;
  readonly start: Start;
  readonly countMax: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
  /** Writes up to so many records, and resolves to how many. */
  readonly write: (records: FetchedRecords, countMax: number) => Promise<number>;
}

/** How long a follower waits on the server for each answer. */
const followWaitMs = 10_000;
const fetchBytes = 1024 * 1024;

/** `17`, `1763700000000-3`, `earliest` or `latest`; undefined when it is none of these. */
export function parseStart(text: string): Start | undefined {
  if (text === "earliest" || text === "latest") return { kind: text };
  const match = /^(\d{1,16})(?:-(\d{1,10}))?$/.exec(text);
  const first = Number(match?.[1]);
  const second = Number(match?.[2]);
  if (match === null || first > Number.MAX_SAFE_INTEGER || second > 0xffff_ffff) return undefined;
  return match[2] === undefined
    ? { kind: "offset", offset: first }
    : { kind: "id", ms: first, sequence: second };
}

/** Reads one partition, or all. Rejects with a ProtocolError. */
export async function readTopic(options: ReadOptions): Promise<void> {
  const { client, topic, partition, follow } = options;
  const state = await client.describeTopic(topic);
  const numbers = partition === undefined ? [...state.partitions.keys()] : [partition];
  let left = options.countMax;
  const take = async (records: FetchedRecords): Promise<boolean> => {
    left -= await options.write(records, left);
    return left > 0;
  };
  if (!follow) {
    for (const number of numbers) if (left > 0) await readPartition(options, number, take);
    return;
  }
  // Writers take turns: a fetch of one partition may come while another's records are on their way out.
  let lastWrite: Promise<unknown> = Promise.resolve();
  const takeInTurn = (records: FetchedRecords): Promise<boolean> => {
    const result = lastWrite.then(() => left > 0 && take(records));
    lastWrite = result;
    return result;
  };
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal]);
  await Promise.all(
    numbers.map((number) =>
      readPartition({ ...options, signal }, number, takeInTurn).finally(() => done.abort()),
    ),
  ).catch((error: unknown) => {
    if (!signal.aborted || !(error instanceof Error) || error.name !== "request-aborted") throw error;
  });
}

async function readPartition(
  options: ReadOptions,
  partition: number,
  take: (records: FetchedRecords) => Promise<boolean>,
): Promise<void> {
  const { client, topic, follow, signal } = options;
  const range = await client.getOffset(topic, partition);
  let offset = await startOffset(options, partition, range);
  const waitMs = follow ? followWaitMs : 0;
  for (;;) {
    if (signal.aborted || (!follow && offset >= range.endOffset)) return;
    let records: FetchedRecords;
    try {
      records = await client.fetch(topic, offset, { partition, bytesMax: fetchBytes, waitMs, signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    if (records.isEmpty) {
      if (!follow) return;
      continue;
    }
    if (!(await take(records))) return;
    offset = records.nextOffset;
  }
}

/** The first offset to read. An offset before the oldest record is an error, which the first fetch reports. */
async function startOffset(
  { client, topic, start }: ReadOptions,
  partition: number,
  range: { readonly startOffset: number; readonly endOffset: number },
): Promise<number> {
  switch (start.kind) {
    case "earliest":
      return range.startOffset;
    case "latest":
      return range.endOffset;
    case "offset":
      return start.offset;
    case "id": {
      const { ms, sequence } = start;
      const last = Number.MAX_SAFE_INTEGER;
      const fields = {
        topic,
        partition,
        startMs: ms,
        startSequence: sequence,
        endMs: last,
        endSequence: 0,
        bytesMax: 1,
      };
      // A range reply's bounds are the offsets that the ids stand for.
      return (await client.call("ReadRange", fields)).startOffset;
    }
  }
  return unreachable(start, "start");
}
