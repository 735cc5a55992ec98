/**
 * What a cluster has come to when everything is healed: each node is made the leader and read from end to end, and what
 * the clients were told meanwhile is held against it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../checkers/history.ts";
import { checkKafkaLog } from "../checkers/kafka-log.ts";
import { checkLinearizability } from "../checkers/linearizability.ts";
import type { LogInput, LogOutput } from "../checkers/models.ts";
import { makeLogModel } from "../checkers/models.ts";
import { FetchedRecords } from "../client/records.ts";
import type { TestCluster } from "./test-cluster.ts";
import type { PartitionInput, TestLoad } from "./test-load.ts";

/** The verdict on one run. */
export interface TestVerdict {
  /** What is wrong, a line each; empty when nothing is. */
  readonly problems: readonly string[];
  readonly sendCount: number;
  readonly acknowledgedCount: number;
  /** Sends of which nobody was told what became of them, and how many of those are in the log. */
  readonly unknownCount: number;
  readonly unknownStoredCount: number;
  /** Placements that the search for a linear order tried. */
  readonly steps: number;
}

/** Healing is over when the cluster answers again, at the latest after so long. */
const recoveryMaxMs = 60_000;
const fetchBytes = 256 * 1024;
const stepsMax = 20_000_000;

/** Judges a load that has been stopped, on a cluster that has been healed. */
export async function judge(cluster: TestCluster, load: TestLoad): Promise<TestVerdict> {
  const { topic, partitions } = load;
  const problems = [...cluster.surprises, ...load.violations];
  const contents: string[][] = [];
  for (const { name } of cluster.nodes) {
    for (let partition = 0; partition < partitions; partition++) {
      const values = await leadAndRead(cluster, name, topic, partition);
      const expected = (contents[partition] ??= values);
      const difference = firstDifference(expected, values);
      if (difference !== undefined) problems.push(`${name}, partition ${partition}: ${difference}`);
    }
  }
  for (const [partition, values] of contents.entries()) noteFinalRead(load, partition, values);
  const kafka = checkKafkaLog(load.kafka.operations());
  for (const { anomaly, key, reason } of kafka.problems) problems.push(`${anomaly} in ${key}: ${reason}`);
  if (kafka.verdict === "unknown")
    problems.push("nothing was acknowledged and read: there is nothing to judge");

  const unknown = load.logs.operations().filter(({ outcome, input }) => {
    return outcome.kind === "unknown" && input.log.kind === "append";
  });
  const resolved = resolve(load.logs.operations(), contents);
  let steps = 0;
  for (const [partition, operations] of Map.groupBy(resolved, ({ input }) => input.partition)) {
    const plain = operations.map((operation) => ({ ...operation, input: operation.input.log }));
    const result = checkLinearizability<unknown, LogInput, LogOutput>(plain, makeLogModel(), {
      stepsMax,
    });
    steps += result.steps;
    if (result.verdict === "valid") continue;
    const stuck = result.problem?.stuck.slice(0, 4).map(describe) ?? [];
    problems.push(`partition ${partition}: linearizable: ${result.verdict}; none fits: ${stuck.join("; ")}`);
  }
  const { sendCount, acknowledgedCount } = kafka;
  const unknownStoredCount = unknown.filter((operation) => isStored(operation, contents)).length;
  return { problems, sendCount, acknowledgedCount, unknownCount: unknown.length, unknownStoredCount, steps };
}

/** Makes a node lead a partition, and reads all that it has of it. Rejects when it does not lead in time. */
async function leadAndRead(
  cluster: TestCluster,
  name: string,
  topic: string,
  partition: number,
): Promise<string[]> {
  const deadlineMs = performance.now() + recoveryMaxMs;
  const others = cluster.nodes.filter((node) => node.name !== name);
  for (;;) {
    const values = await readAll(cluster, name, topic, partition).catch((error: unknown) => String(error));
    if (typeof values !== "string") return values;
    if (performance.now() > deadlineMs) {
      throw new Error(`${name} cannot be made to lead partition ${partition}: ${values}`);
    }
    const fields = { action: "transfer", node: name, address: "" };
    await Promise.all(
      others.map((other) => cluster.ask(other.name, "ChangeCluster", fields, 5000).catch(() => undefined)),
    );
    await sleep(50);
  }
}

/** The values of a partition from the start; the node answers only while it leads. */
async function readAll(
  cluster: TestCluster,
  name: string,
  topic: string,
  partition: number,
): Promise<string[]> {
  const values: string[] = [];
  const { endOffset } = await cluster.ask(name, "GetOffset", { topic, partition, timeMs: 0 }, 5000);
  for (let offset = 0; offset < endOffset;) {
    const request = { topic, partition, offset, bytesMax: fetchBytes, waitMs: 0 };
    const reply = await cluster.ask(name, "Fetch", request, 5000);
    const records = new FetchedRecords({ topic, partition, offset }, reply);
    for (const record of records) values[record.offset] = record.text();
    if (records.nextOffset === offset) throw new Error(`nothing at offset ${offset} of ${endOffset}`);
    offset = records.nextOffset;
  }
  return values;
}

function firstDifference(expected: readonly string[], actual: readonly string[]): string | undefined {
  const length = Math.max(expected.length, actual.length);
  for (let offset = 0; offset < length; offset++) {
    if (expected[offset] === actual[offset]) continue;
    return `offset ${offset} has ${actual[offset] ?? "nothing"}, and ${expected[offset] ?? "nothing"} elsewhere`;
  }
  return undefined;
}

/** One more reader, who has seen everything: what was acknowledged must be there. */
function noteFinalRead(load: TestLoad, partition: number, values: readonly string[]): void {
  const process = `last reader ${partition}`;
  const key = String(partition);
  const assigned = load.kafka.invoke(process, { kind: "assign", keys: [key], fromStart: true });
  load.kafka.complete(assigned, { kind: "ok", output: { kind: "done" } });
  load.polled(
    load.kafka.invoke(process, { kind: "poll" }),
    key,
    values.map((value, offset) => [offset, value]),
  );
}

/**
 * Appends whose outcome nobody was told, with what the whole log says about them. One that is in it was carried out, at
 * the place where it stands, at any time after it began; one that is not has not been carried out before the log was
 * read, which was after all else, so nothing in the history can depend on it. This decides nothing that a search would
 * not find; it saves trying every order of all of them.
 */
function resolve(
  operations: readonly Operation<PartitionInput, LogOutput>[],
  contents: readonly (readonly string[])[],
): Operation<PartitionInput, LogOutput>[] {
  const places = contents.map((values) => new Map(values.map((value, offset) => [value, offset])));
  return operations.map((operation) => {
    const { outcome, input } = operation;
    if (outcome.kind !== "unknown" || input.log.kind !== "append") return operation;
    const offset = places[input.partition]?.get(input.log.value);
    if (offset === undefined) return { ...operation, outcome: { kind: "failed" } };
    return { ...operation, outcome: { kind: "ok", output: { kind: "appended", offset } } };
  });
}

function isStored(
  { input }: Operation<PartitionInput, LogOutput>,
  contents: readonly (readonly string[])[],
): boolean {
  return input.log.kind === "append" && (contents[input.partition]?.includes(input.log.value) ?? false);
}

function describe({ process, input, outcome }: Operation<LogInput, LogOutput>): string {
  return `${process} ${JSON.stringify(input)} -> ${JSON.stringify(outcome)}`;
}
