/**
 * What clients do in a simulated cluster: produce idempotently and send again until they are answered, read, ask
 * where partitions end, and commit positions. All that they are told is noted down.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { History } from "../../checkers/history.ts";
import type { KafkaInput, KafkaOutput } from "../../checkers/kafka-log.ts";
import { leaderAcksFlag } from "../../protocol/acks.ts";
import { errorCodeOf } from "../../protocol/errors.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { RecordCursor } from "../../storage/record-cursor.ts";
import type { SimulatedClient } from "./client.ts";

/** What the clients share. */
export interface LoadWorld {
  readonly topic: string;
  readonly nodes: readonly string[];
  readonly history: History<KafkaInput, KafkaOutput>;
  /** By partition: the offset behind the last record that was acknowledged. */
  readonly acknowledged: Map<number, number>;
  /** Told of an answer that must not be. */
  readonly onViolation: (what: string) => void;
  /** Clients end what they are at when this is set. */
  isEnding: boolean;
  message: number;
  answered: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const retryMs = 40;
const outOfRange = errorCodeOf("offset-out-of-range");
const fetchBytes = 4096;

/** The pairs of offset and message in some batches. */
export function messagesIn(batches: Uint8Array, fromOffset: number): [number, number][] {
  const cursor = new RecordCursor(batches, { fromOffset });
  const found: [number, number][] = [];
  while (cursor.next()) {
    const text = decoder.decode(batches.subarray(cursor.valueStart, cursor.valueEnd));
    found.push([cursor.offset, Number(text.split(" ")[0])]);
  }
  return found;
}

/** Produces to one partition, a batch at a time, until the end. */
export async function produceLoad(
  world: LoadWorld,
  client: SimulatedClient,
  random: SeededRandom,
  partition: number,
  producerId: number,
): Promise<void> {
  const { topic, nodes, history } = world;
  let sequence = 0;
  let target = random.pick(nodes);
  while (!world.isEnding) {
    const messages = Array.from({ length: random.nextBetween(1, 3) }, () => ++world.message);
    const padding = " ".repeat(random.pick([0, 0, 100, 400]));
    const records = messages.map((message) => ({ value: encoder.encode(`${message}${padding}`) }));
    const batch = encodeRecordBatch(records, { producerId, producerEpoch: 0, baseSequence: sequence });
    const key = String(partition);
    const ids = messages.map((message) => history.invoke(client.name, { kind: "send", key, message }));
    for (;;) {
      const reply = await client.ask(target, "Produce", { topic, partition, batch });
      if (reply?.kind === "reply") {
        const { baseOffset } = reply.value;
        for (const [place, id] of ids.entries()) {
          history.complete(id, { kind: "ok", output: { kind: "sent", offset: baseOffset + place } });
        }
        const end = baseOffset + messages.length;
        world.acknowledged.set(partition, Math.max(world.acknowledged.get(partition) ?? 0, end));
        world.answered++;
        break;
      }
      if (reply?.name === "sequence-gap" || reply?.name === "producer-fenced") {
        world.onViolation(`producer ${producerId} at ${sequence}: ${reply.message}`);
        return;
      }
      target = random.pick(nodes);
      await client.sleep(retryMs);
    }
    sequence += messages.length;
    await client.sleep(random.nextBetween(0, 60));
  }
}

/** Sends batches that only the leader has to have: they may be lost, and must not be invented or doubled. */
export async function hastyLoad(
  world: LoadWorld,
  client: SimulatedClient,
  random: SeededRandom,
  partition: number,
): Promise<void> {
  const { topic, nodes, history } = world;
  while (!world.isEnding) {
    const message = ++world.message;
    const batch = encodeRecordBatch([{ value: encoder.encode(String(message)) }]);
    const id = history.invoke(client.name, { kind: "send", key: String(partition), message });
    await client.ask(random.pick(nodes), "Produce", { topic, partition, batch }, { flags: leaderAcksFlag });
    history.complete(id, { kind: "unknown" });
    await client.sleep(random.nextBetween(50, 300));
  }
}

/** Reads one partition from its beginning on, and asks now and then where it ends. */
export async function readLoad(
  world: LoadWorld,
  client: SimulatedClient,
  random: SeededRandom,
  partition: number,
): Promise<void> {
  const { topic, nodes, history } = world;
  const key = String(partition);
  const assigned = history.invoke(client.name, { kind: "assign", keys: [key], fromStart: true });
  history.complete(assigned, { kind: "ok", output: { kind: "done" } });
  let offset = 0;
  let knownEnd = 0;
  let target = random.pick(nodes);
  while (!world.isEnding) {
    if (random.nextChance(0.2)) {
      const before = Math.max(world.acknowledged.get(partition) ?? 0, knownEnd);
      const reply = await client.ask(target, "GetOffset", { topic, partition, timeMs: 0 });
      if (reply?.kind === "reply") {
        knownEnd = reply.value.endOffset;
        if (knownEnd < before) {
          world.onViolation(
            `${topic}/${partition} ends at ${knownEnd}, and ended at ${before} before (${target})`,
          );
        }
      }
    }
    const request = { topic, partition, offset, bytesMax: fetchBytes, waitMs: random.pick([0, 200]) };
    const poll = history.invoke(client.name, { kind: "poll" });
    const reply = await client.ask(target, "Fetch", request);
    const pairs = reply?.kind === "reply" ? messagesIn(reply.value.batches, offset) : [];
    const messages = pairs.length === 0 ? {} : { [key]: pairs };
    history.complete(poll, { kind: "ok", output: { kind: "polled", messages } });
    const last = pairs[pairs.length - 1];
    if (last !== undefined) offset = last[0] + 1;
    if (reply?.kind === "error" && reply.name === "offset-out-of-range") {
      world.onViolation(`${topic}/${partition}: ${reply.message} (${target})`);
      return;
    }
    if (reply?.kind !== "reply") {
      target = random.pick(nodes);
      await client.sleep(retryMs);
    }
    await client.sleep(random.nextBetween(0, 80));
  }
}

/** Commits what was acknowledged as a group's position, and reads it back: it never goes back. */
export async function commitLoad(
  world: LoadWorld,
  client: SimulatedClient,
  random: SeededRandom,
  partition: number,
): Promise<void> {
  const { topic, nodes } = world;
  const group = `group ${partition}`;
  let committed = 0;
  let target = random.pick(nodes);
  while (!world.isEnding) {
    const offset = world.acknowledged.get(partition) ?? 0;
    const offsets = [{ topic, partition, offset }];
    const reply = await client.ask(target, "CommitOffset", { group, memberId: "", generation: 0, offsets });
    if (reply?.kind === "reply" && reply.value.errorCodes[0] === 0) committed = offset;
    if (reply?.kind === "reply" && reply.value.errorCodes[0] === outOfRange) {
      world.onViolation(
        `${target} refuses offset ${offset} of partition ${partition}, which was acknowledged, as out of range`,
      );
    }
    const partitions = [{ topic, partition }];
    const fetched = await client.ask(target, "FetchOffset", { group, partitions });
    const found = fetched?.kind === "reply" ? fetched.value.offsets[0]?.offset : undefined;
    if (found !== undefined && found < committed) {
      world.onViolation(
        `${group} stands at ${found}, and was told that it stands at ${committed} (${target})`,
      );
    }
    if (reply?.kind !== "reply") target = random.pick(nodes);
    await client.sleep(random.nextBetween(20, 200));
  }
}

/** Gives old records up now and then. */
export async function trimLoad(
  world: LoadWorld,
  client: SimulatedClient,
  random: SeededRandom,
  partition: number,
): Promise<void> {
  const { topic, nodes } = world;
  while (!world.isEnding) {
    await client.sleep(random.nextBetween(200, 1500));
    const end = world.acknowledged.get(partition) ?? 0;
    const beforeOffset = Math.floor(end * random.nextFloat());
    const target = random.pick(nodes);
    const reply = await client.ask(target, "Trim", { topic, partition, beforeOffset });
    if (reply?.kind === "reply" && reply.value.startOffset < beforeOffset) {
      world.onViolation(`${target} was to trim to ${beforeOffset}, and begins at ${reply.value.startOffset}`);
    }
  }
}
