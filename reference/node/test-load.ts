/**
 * Clients that write, read and ask while a cluster is being harmed, and note down all that they are told. What they
 * noted is judged in test-verdict.ts.
 *
 * For each partition there is an idempotent producer with several records on their way, plain producers that send each
 * record once and may never learn what became of it, a reader, and one who asks where the partition ends. A committer
 * stores a group's position, never beyond what somebody was told of, and asks for it. Each has a client of its own, so
 * that they can disagree.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { History } from "../checkers/history.ts";
import type { OperationOutcome } from "../checkers/history.ts";
import type { KafkaInput, KafkaOutput } from "../checkers/kafka-log.ts";
import type { LogInput, LogOutput } from "../checkers/models.ts";
import { Client, ProtocolError } from "./client.ts";

/** What a client asks of a partition's log. */
export interface PartitionInput {
  readonly partition: number;
  readonly log: LogInput;
}

/** What a load does. */
export interface TestLoadOptions {
  readonly topic: string;
  readonly partitions: number;
  readonly addresses: readonly string[];
  /** Milliseconds of rest between what one client does and what it does next. */
  readonly paceMs?: number;
  /** How long a request waits: a node that is paused or cut off answers nobody, and is found out by this. */
  readonly requestTimeoutMs?: number;
}

/** Records that an idempotent producer sends together: a leader dies with some of them on their way. */
const recordsAtOnce = 8;
const plainProducers = 2;
const group = "test";

/** After these, the request may have been carried out; after all others it has not, and never will be. */
const openErrors: ReadonlySet<string> = new Set([
  "connection-closed",
  "request-timeout",
  "storage-error",
  "storage-full",
  "internal-error",
]);

/** The clients and their notes. */
export class TestLoad {
  /** As the checker of Kafka's logs wants it. */
  readonly kafka = new History<KafkaInput, KafkaOutput>();
  /** As the checker of linearizability wants it. */
  readonly logs = new History<PartitionInput, LogOutput>();
  /** Answers that nobody may get, whatever happens. */
  readonly violations: string[] = [];
  /** How often a client was left with which error. */
  readonly errors = new Map<string, number>();
  /** When records were acknowledged, on the monotonic clock, by partition. */
  readonly acknowledgedAtMs: readonly number[][];
  readonly #options: Required<TestLoadOptions>;
  readonly #clients: Client[] = [];
  #isRunning = true;
  #running: Promise<void>[] = [];
  #sent = 0;
  /** By partition: the offset behind the last record that was acknowledged or read. */
  readonly #knownEnds: number[];

  constructor(options: TestLoadOptions) {
    this.#options = { paceMs: 5, requestTimeoutMs: 2000, ...options };
    this.acknowledgedAtMs = Array.from({ length: options.partitions }, () => []);
    this.#knownEnds = this.acknowledgedAtMs.map(() => 0);
  }

  get topic(): string {
    return this.#options.topic;
  }

  get partitions(): number {
    return this.#options.partitions;
  }

  start(): void {
    for (let partition = 0; partition < this.partitions; partition++) {
      this.#running.push(this.#writeOnce(partition), this.#read(partition), this.#askForEnd(partition));
      for (let number = 0; number < plainProducers; number++) {
        this.#running.push(this.#writePlainly(partition, number));
      }
    }
    this.#running.push(this.#commit());
  }

  /** Resolves to the time at which a record of the partition was acknowledged that was not when this was called. */
  async acknowledged(partition: number, count = 1): Promise<number> {
    const times = this.acknowledgedAtMs[partition] ?? [];
    const place = times.length + count - 1;
    while (times.length <= place) await sleep(2);
    return times[place] ?? 0;
  }

  /** Resolves when so many more records of each partition have been acknowledged. */
  async progress(count = 1): Promise<void> {
    await Promise.all(this.acknowledgedAtMs.map((_, partition) => this.acknowledged(partition, count)));
  }

  /** Lets everybody finish what they have begun. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.destroy();
  }

  async #writeOnce(partition: number): Promise<void> {
    const client = this.#client();
    const producer = client.producer(this.topic, { deliveryTimeoutMs: 120_000 });
    while (this.#isRunning) {
      const sending = Array.from({ length: recordsAtOnce }, () =>
        this.#send(`idempotent ${partition}`, partition, true, async (value) => {
          return (await producer.send(value, { partition })).offset;
        }),
      );
      await Promise.all(sending);
      await this.#rest();
    }
    await producer.close();
  }

  async #writePlainly(partition: number, number: number): Promise<void> {
    const client = this.#client();
    while (this.#isRunning) {
      await this.#send(`plain ${partition}.${number}`, partition, false, async (value) => {
        return (await client.produce(this.topic, [value], { partition })).baseOffset;
      });
      await this.#rest();
    }
  }

  /** One record: both histories hear of it. */
  async #send(
    process: string,
    partition: number,
    isRetried: boolean,
    send: (value: string) => Promise<number>,
  ): Promise<void> {
    const message = ++this.#sent;
    const key = String(partition);
    const kafka = this.kafka.invoke(process, { kind: "send", key, message });
    const log = this.logs.invoke(process, { partition, log: { kind: "append", value: String(message) } });
    try {
      const offset = await send(String(message));
      this.#learn(partition, offset + 1);
      this.acknowledgedAtMs[partition]?.push(performance.now());
      this.kafka.complete(kafka, { kind: "ok", output: { kind: "sent", offset } });
      this.logs.complete(log, { kind: "ok", output: { kind: "appended", offset } });
    } catch (error) {
      const outcome = this.#outcomeOf(isRetried ? "send, again and again" : "send", error, isRetried);
      this.kafka.complete(kafka, outcome);
      this.logs.complete(log, outcome);
    }
  }

  async #read(partition: number): Promise<void> {
    const process = `reader ${partition}`;
    const key = String(partition);
    const assigned = this.kafka.invoke(process, { kind: "assign", keys: [key], fromStart: true });
    this.kafka.complete(assigned, { kind: "ok", output: { kind: "done" } });
    const client = this.#client();
    let offset = 0;
    while (this.#isRunning) {
      const poll = this.kafka.invoke(process, { kind: "poll" });
      const read = this.logs.invoke(process, { partition, log: { kind: "read", offset } });
      try {
        const records = await client.fetch(this.topic, offset, { partition, waitMs: 50 });
        const pairs = [...records].map((record): [number, string] => [record.offset, record.text()]);
        this.polled(poll, key, pairs);
        const [first] = pairs;
        // Nothing may be had from a leader that does not know yet that it is none: a fetch does not ask the others.
        if (first === undefined) this.logs.complete(read, { kind: "failed" });
        else this.logs.complete(read, { kind: "ok", output: { kind: "record", value: first[1] } });
        offset = records.nextOffset;
        this.#learn(partition, offset);
      } catch (error) {
        this.kafka.complete(poll, { kind: "failed" });
        this.logs.complete(read, { kind: "failed" });
        this.#outcomeOf("fetch", error, false);
        await this.#rest();
      }
    }
  }

  async #askForEnd(partition: number): Promise<void> {
    const client = this.#client();
    while (this.#isRunning) {
      const id = this.logs.invoke(`asker ${partition}`, { partition, log: { kind: "end" } });
      try {
        const { endOffset } = await client.getOffset(this.topic, partition);
        this.logs.complete(id, { kind: "ok", output: { kind: "end", offset: endOffset } });
      } catch (error) {
        this.logs.complete(id, { kind: "failed" });
        this.#outcomeOf("end", error, false);
      }
      await this.#rest(4);
    }
  }

  async #commit(): Promise<void> {
    const client = this.#client();
    const { topic } = this;
    while (this.#isRunning) {
      const offset = this.#knownEnds[0] ?? 0;
      const committing = this.kafka.invoke("committer", { kind: "commit", offsets: { group: offset } });
      try {
        await client.commitOffsets(group, [{ topic, partition: 0, offset }]);
        const output = { kind: "committed", offsets: { group: offset } } as const;
        this.kafka.complete(committing, { kind: "ok", output });
      } catch (error) {
        this.kafka.complete(committing, this.#outcomeOf("commit", error, true));
        // Somebody was told of a record before this offset: no node may ever know better.
        if (error instanceof ProtocolError && error.name === "offset-out-of-range") {
          this.violations.push(`offset ${offset}, which somebody was told of: ${error.message}`);
        }
      }
      const listing = this.kafka.invoke("committer", { kind: "list-committed", keys: ["group"] });
      try {
        const [position] = await client.fetchOffsets(group, [{ topic, partition: 0 }]);
        const offsets = position?.isCommitted === true ? { group: position.offset } : {};
        this.kafka.complete(listing, { kind: "ok", output: { kind: "committed", offsets } });
      } catch (error) {
        this.kafka.complete(listing, { kind: "failed" });
        this.#outcomeOf("list committed", error, false);
      }
      await this.#rest(4);
    }
  }

  #learn(partition: number, end: number): void {
    this.#knownEnds[partition] = Math.max(this.#knownEnds[partition] ?? 0, end);
  }

  /** What was polled, into the history. */
  polled(id: number, key: string, pairs: readonly (readonly [number, string])[]): void {
    const messages = pairs.map(([offset, text]): [number, number] => [offset, Number(text)]);
    const output = { kind: "polled", messages: messages.length === 0 ? {} : { [key]: messages } } as const;
    this.kafka.complete(id, { kind: "ok", output });
  }

  #outcomeOf(
    what: string,
    error: unknown,
    isRetried: boolean,
  ): Exclude<OperationOutcome<never>, { readonly kind: "ok" }> {
    const name = error instanceof ProtocolError ? error.name : String(error);
    const counted = `${what}: ${name}`;
    this.errors.set(counted, (this.errors.get(counted) ?? 0) + 1);
    // Whoever tried again and again may have been carried out by an earlier try.
    const isOpen = isRetried || !(error instanceof ProtocolError) || openErrors.has(name);
    return { kind: isOpen ? "unknown" : "failed", reason: String(error) };
  }

  #rest(times = 1): Promise<void> {
    return sleep(times * this.#options.paceMs);
  }

  #client(): Client {
    const { addresses, requestTimeoutMs } = this.#options;
    const client = new Client(addresses, { connectTimeoutMs: requestTimeoutMs, requestTimeoutMs });
    this.#clients.push(client);
    return client;
  }
}
