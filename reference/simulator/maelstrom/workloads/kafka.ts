/** Logs by key: clients send, poll what they are assigned to, and commit how far they got. */
import type { OperationOutcome } from "#reference/checkers/history.ts";
import {
  checkKafkaLog,
  kafkaAnomalies,
  type KafkaAnomaly,
  type KafkaInput,
  type KafkaOutput,
  type PolledMessages,
} from "#reference/checkers/kafka-log.ts";
import { failureOf, isInteger, isObject } from "../client.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import { KeyPool } from "../key-pool.ts";
import { timeoutMsDefault, type Thread, type Workload, type WorkloadSettings } from "../workload.ts";

/** One operation in so many assigns keys anew. */
const assignEvery = 64;

/** Polls of the end that bring nothing, after which a thread gives up, and how long it waits between them. */
const idlePollsMax = 5;
const idlePauseMs = 200;
/** How often a thread tries to be assigned to everything in the end. */
const finalAssignsMax = 20;

interface Reader {
  /** By key: the offset of the next message to ask for. */
  readonly positions: Map<string, number>;
  /** Assigned to everything, from the start. */
  isFinal: boolean;
  finalAssigns: number;
  idlePolls: number;
}

export function makeKafkaWorkload(settings: WorkloadSettings): Workload<KafkaInput, KafkaOutput> {
  const { random } = settings;
  const pool = new KeyPool(settings);
  const readers = new Map<number, Reader>();
  const sentKeys = new Set<string>();
  const readerOf = ({ index }: Thread): Reader => {
    const reader = readers.get(index) ?? {
      positions: new Map(),
      isFinal: false,
      finalAssigns: 0,
      idlePolls: 0,
    };
    readers.set(index, reader);
    return reader;
  };
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: false,
    nameOf: ({ kind }) => kind,
    next(thread) {
      const reader = readerOf(thread);
      if (reader.positions.size === 0 || random.nextBetween(1, assignEvery) === 1) {
        const wanted = pool.activeKeys.filter(() => random.nextChance(0.5));
        return { kind: "assign", keys: wanted.length > 0 ? wanted : [pool.activeKeys[0]!] };
      }
      if (random.nextChance(0.5)) return { kind: "poll" };
      const [key, message] = pool.nextWrite();
      sentKeys.add(key);
      return { kind: "send", key, message };
    },
    nextFinal(thread) {
      const reader = readerOf(thread);
      if (!reader.isFinal && reader.finalAssigns++ < finalAssignsMax) {
        return { kind: "assign", keys: [...sentKeys], fromStart: true };
      }
      return reader.idlePolls < idlePollsMax ? { kind: "poll" } : undefined;
    },
    run(thread, input) {
      switch (input.kind) {
        case "send":
          return send(thread, input.key, input.message);
        case "poll":
          return poll(thread, readerOf(thread));
        case "assign":
          return assign(thread, readerOf(thread), input);
        default:
          return Promise.resolve({ kind: "failed", reason: "never asked for by itself" });
      }
    },
    judge(operations) {
      const result = checkKafkaLog(operations);
      return {
        verdict: result.verdict,
        problems: result.problems.map(({ anomaly, key, reason }) => `${anomaly}, key ${key}: ${reason}`),
        fields: {
          "send-count": result.sendCount,
          "acknowledged-count": result.acknowledgedCount,
          "poll-count": result.pollCount,
          "read-count": result.readCount,
          "bad-error-types": Object.keys(result.counts),
          "error-counts": { ...result.counts },
          "error-meanings": Object.fromEntries(
            Object.keys(result.counts).map((name) => [name, kafkaAnomalies[name as KafkaAnomaly]]),
          ),
        },
      };
    },
  };
}

async function send(
  { client }: Thread,
  key: string,
  message: number,
): Promise<OperationOutcome<KafkaOutput>> {
  const answer = await client.ask(
    { type: "send", key, msg: message },
    { offset: isInteger },
    timeoutMsDefault,
  );
  if (answer.kind !== "ok") return failureOf(answer);
  return { kind: "ok", output: { kind: "sent", offset: answer.body["offset"] as number } };
}

async function assign(
  { client }: Thread,
  reader: Reader,
  { keys, fromStart = false }: Extract<KafkaInput, { readonly kind: "assign" }>,
): Promise<OperationOutcome<KafkaOutput>> {
  const answer = await client.ask(
    { type: "list_committed_offsets", keys },
    { offsets: isOffsets },
    timeoutMsDefault,
  );
  if (answer.kind !== "ok") {
    if (fromStart) await client.pause(idlePauseMs);
    return failureOf(answer, true);
  }
  const kept = new Map(fromStart ? [] : [...reader.positions].filter(([key]) => keys.includes(key)));
  reader.positions.clear();
  for (const key of keys) reader.positions.set(key, kept.get(key) ?? 0);
  reader.isFinal = fromStart;
  // Polls that brought nothing before say nothing about what is there now.
  reader.idlePolls = 0;
  const offsets = answer.body["offsets"] as Readonly<Record<string, number>>;
  return { kind: "ok", output: { kind: "committed", offsets } };
}

async function poll({ client }: Thread, reader: Reader): Promise<OperationOutcome<KafkaOutput>> {
  const offsets = Object.fromEntries(reader.positions);
  if (reader.isFinal && reader.idlePolls > 0) await client.pause(idlePauseMs);
  const answer = await client.ask({ type: "poll", offsets }, { msgs: isPolled }, timeoutMsDefault);
  // Asked again, a poll gives the same: nothing has happened.
  if (answer.kind !== "ok") return { ...failureOf(answer), kind: "failed" };
  const messages = answer.body["msgs"] as unknown as PolledMessages;
  const seen: Record<string, number> = {};
  for (const [key, pairs] of Object.entries(messages)) {
    const last = pairs.at(-1);
    if (last === undefined) continue;
    seen[key] = last[0];
    reader.positions.set(key, last[0] + 1);
  }
  const hasSeen = Object.keys(seen).length > 0;
  reader.idlePolls = hasSeen ? 0 : reader.idlePolls + 1;
  if (!hasSeen) return { kind: "ok", output: { kind: "polled", messages } };
  const committed = await client.ask({ type: "commit_offsets", offsets: seen }, {}, timeoutMsDefault);
  return { kind: "ok", output: { kind: "polled", messages, isCommitted: committed.kind === "ok" } };
}

/** By key, a whole number. */
function isOffsets(value: unknown): boolean {
  return isObject(value) && Object.values(value as Record<string, Json>).every(isInteger);
}

/** By key, a list of pairs of whole numbers. */
function isPolled(value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.values(value as Record<string, Json>).every(
    (pairs) =>
      Array.isArray(pairs) &&
      pairs.every((pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every(isInteger)),
  );
}
