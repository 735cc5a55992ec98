/**
 * A compacted topic in a simulated cluster: keys that change all the time, and keys that come, go and never return.
 * What was acknowledged is noted down, and in the end every node's log is held against it.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import type { Simulation } from "../../simulator/simulation.ts";
import type { Log } from "../../storage/log.ts";
import { encodeRecordBatch } from "../../storage/record-batch-builder.ts";
import { RecordCursor } from "../../storage/record-cursor.ts";
import { SimulatedClient } from "./client.ts";
import type { SimulatedNode } from "./node.ts";
import type { ClusterPayload } from "./payload.ts";

const topic = "latest";
const partitions = 2;

/** One record as it was sent, or as it was found. */
interface Change {
  readonly key: string | undefined;
  /** Null removes the key. */
  readonly value: string | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const retryMs = 40;
const hotKeys = 4;
const comingKeysMax = 12;

function sameChange(left: Change | undefined, right: Change): boolean {
  return left?.key === right.key && left?.value === right.value;
}

/** The records in some batches, by offset. */
function changesIn(batches: Uint8Array, fromOffset: number): [number, Change][] {
  const cursor = new RecordCursor(batches, { fromOffset });
  const found: [number, Change][] = [];
  while (cursor.next()) {
    const { key, value } = cursor.record();
    const text = value === null ? null : decoder.decode(value).trimEnd();
    found.push([cursor.offset, { key: key === undefined ? undefined : decoder.decode(key), value: text }]);
  }
  return found;
}

/** One partition of the topic, and what clients were told about it. */
class CompactedLoad {
  readonly #partition: number;
  readonly #nodes: readonly string[];
  readonly #random: SeededRandom;
  readonly #onViolation: (what: string) => void;
  /** What was acknowledged, by offset. */
  readonly #written = new Map<number, Change>();
  /** Keys that are there and will be removed once. */
  readonly #coming: string[] = [];
  #number = 0;
  isEnding = false;

  constructor(
    partition: number,
    nodes: readonly string[],
    random: SeededRandom,
    onViolation: (what: string) => void,
  ) {
    this.#partition = partition;
    this.#nodes = nodes;
    this.#random = random;
    this.#onViolation = onViolation;
  }

  /** Changes keys until the end, a batch at a time, each sent again until it is acknowledged. */
  async write(client: SimulatedClient): Promise<void> {
    const random = this.#random;
    const producerId = 100 + this.#partition;
    let baseSequence = 0;
    let target = random.pick(this.#nodes);
    while (!this.isEnding) {
      const changes = Array.from({ length: random.nextBetween(1, 4) }, () => this.#draw());
      const batch = encodeRecordBatch(
        changes.map(({ key, value }) => ({
          ...(key !== undefined && { key: encoder.encode(key) }),
          value: value === null ? null : encoder.encode(value + " ".repeat(random.pick([0, 50, 200]))),
        })),
        { producerId, producerEpoch: 0, baseSequence },
      );
      for (;;) {
        const request = { topic, partition: this.#partition, batch };
        const reply = await client.ask(target, "Produce", request);
        if (reply?.kind === "reply") {
          for (const [place, change] of changes.entries()) this.#note(reply.value.baseOffset + place, change);
          break;
        }
        if (reply?.name === "sequence-gap" || reply?.name === "producer-fenced")
          return this.#onViolation(`producer ${producerId} at ${baseSequence}: ${reply.message}`);
        target = random.pick(this.#nodes);
        await client.sleep(retryMs);
      }
      baseSequence += changes.length;
      await client.sleep(random.nextBetween(0, 40));
    }
  }

  /** Reads from the beginning to the end, again and again: what is there is what was sent, and stays where it is. */
  async read(client: SimulatedClient): Promise<void> {
    const random = this.#random.fork();
    const seen = new Map<number, Change>();
    while (!this.isEnding) {
      for (let offset = 0; !this.isEnding;) {
        const request = {
          topic: topic,
          partition: this.#partition,
          offset,
          bytesMax: 4096,
          waitMs: 0,
        };
        const reply = await client.ask(random.pick(this.#nodes), "Fetch", request);
        await client.sleep(random.nextBetween(0, 20));
        if (reply?.kind !== "reply") continue;
        const found = changesIn(reply.value.batches, offset);
        for (const [at, change] of found) {
          const before = this.#written.get(at) ?? seen.get(at) ?? change;
          if (!sameChange(before, change)) this.#tell(`a reader`, at, change, before);
          seen.set(at, change);
        }
        const cursor = new RecordCursor(reply.value.batches, { fromOffset: offset });
        while (cursor.next());
        if (cursor.batch === undefined) break;
        offset = cursor.batch.nextOffset;
      }
      await client.sleep(random.nextBetween(50, 500));
    }
  }

  /** Holds a node's log against what was acknowledged; resolves to how many records are gone from it. */
  async judge(name: string, log: Log): Promise<number> {
    const found = new Map<number, Change>();
    for (let offset = log.startOffset; offset < log.committedEnd;) {
      const read = await log.read(offset, 2 ** 20);
      if (read.kind !== "records") {
        this.#onViolation(`${name} ${this.#name}: ${JSON.stringify(read)}`);
        return 0;
      }
      for (const [at, change] of changesIn(read.bytes, offset)) found.set(at, change);
      offset = read.nextOffset;
    }
    for (const [at, change] of found) {
      const sent = this.#written.get(at);
      if (!sameChange(sent, change)) this.#tell(name, at, change, sent);
    }
    const newest = newestOf(found);
    for (const [key, at] of newestOf(this.#written)) {
      const isRemoved = this.#written.get(at)?.value === null;
      const here = newest.get(key);
      if (here === at || (isRemoved && here === undefined)) continue;
      this.#onViolation(
        `${name} ${this.#name}: the last of ${key} is at ${here}, and was written at ${at}` +
          (isRemoved ? ", where it was removed" : ""),
      );
    }
    for (const [at, { key }] of this.#written) {
      if (key === undefined && !found.has(at))
        this.#onViolation(`${name} ${this.#name}: what has no key is gone from ${at}`);
    }
    return this.#written.size - found.size;
  }

  get #name(): string {
    return `${topic}/${this.#partition}`;
  }

  #draw(): Change {
    const random = this.#random;
    const number = ++this.#number;
    const kind = random.nextFloat();
    if (kind < 0.05) return { key: undefined, value: `free ${number}` };
    if (kind < 0.3 && this.#coming.length > 0) {
      const [key] = this.#coming.splice(random.nextBetween(0, this.#coming.length - 1), 1);
      return { key, value: null };
    }
    if (kind < 0.55 && this.#coming.length < comingKeysMax) {
      const key = `guest ${number}`;
      this.#coming.push(key);
      return { key, value: `here ${number}` };
    }
    return { key: `key ${random.nextBetween(1, hotKeys)}`, value: `value ${number}` };
  }

  #note(offset: number, change: Change): void {
    const before = this.#written.get(offset);
    if (before !== undefined) this.#tell("the leader", offset, change, before);
    this.#written.set(offset, change);
  }

  #tell(who: string, offset: number, found: Change, expected: Change | undefined): void {
    const [here, sent] = [JSON.stringify(found), JSON.stringify(expected)];
    this.#onViolation(`${who} ${this.#name} at ${offset}: ${here}, and what was sent is ${sent}`);
  }
}

/** The topic, its clients, and the verdict on it. */
export class CompactedTopic {
  readonly clients: readonly SimulatedClient[];
  /** Records that are gone, on the node where most are. */
  gone = 0;
  readonly #nodes: readonly string[];
  readonly #random: SeededRandom;
  readonly #onViolation: (what: string) => void;
  readonly #loads: readonly CompactedLoad[];

  constructor(
    simulation: Simulation<ClusterPayload>,
    nodes: readonly string[],
    random: SeededRandom,
    onViolation: (what: string) => void,
  ) {
    this.#nodes = nodes;
    this.#random = random;
    this.#onViolation = onViolation;
    const numbers = Array.from({ length: partitions }, (_, number) => number);
    this.#loads = numbers.map((number) => new CompactedLoad(number, nodes, random.fork(), onViolation));
    const jobs = numbers.flatMap((number) => [`writer ${number}`, `reader ${number}`]);
    this.clients = jobs.map((job) => new SimulatedClient(simulation, `c ${job}`));
  }

  /** Makes the topic, and lets everybody work until the end. */
  async work(): Promise<void> {
    const [operator] = this.clients;
    const request = { topic, partitions, retentionMs: 0, retentionBytes: 0, isCompacted: true };
    for (let isMade = false; !isMade;) {
      const reply = await operator?.ask(this.#random.pick(this.#nodes), "CreateTopic", request);
      isMade = reply?.kind === "reply" || reply?.name === "topic-already-exists";
      if (!isMade) await operator?.sleep(retryMs);
    }
    const jobs = this.#loads.flatMap((load, number) => {
      const [writer, reader] = this.clients.slice(2 * number);
      return writer === undefined || reader === undefined ? [] : [load.write(writer), load.read(reader)];
    });
    await Promise.all(jobs);
  }

  /** Nothing new is begun. */
  end(): void {
    for (const load of this.#loads) load.isEnding = true;
  }

  /** Holds all nodes' logs against what was acknowledged. */
  async judge(nodes: readonly SimulatedNode[]): Promise<void> {
    for (const { name, broker } of nodes) {
      for (const [number, load] of this.#loads.entries()) {
        const log = broker?.topics.get(topic)?.partitions[number]?.log;
        if (log === undefined) this.#onViolation(`${name} has no ${topic}/${number}`);
        else this.gone = Math.max(this.gone, await load.judge(name, log));
      }
    }
  }
}

/** Where each key stands last. */
function newestOf(changes: ReadonlyMap<number, Change>): Map<string, number> {
  const newest = new Map<string, number>();
  for (const [at, { key }] of changes) {
    if (key !== undefined) newest.set(key, Math.max(at, newest.get(key) ?? 0));
  }
  return newest;
}
