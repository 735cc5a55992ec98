/**
 * What a workload is: which operations clients try, how each becomes messages, and what is wrong with what came out.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import type { Operation, OperationOutcome } from "#reference/checkers/history.ts";
import type { Verdict } from "#reference/checkers/verdict.ts";
import type { ConsistencyModel } from "#reference/checkers/transactions/models.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { TestClient } from "./client.ts";

export const workloadNames = [
  "echo",
  "unique-ids",
  "broadcast",
  "g-set",
  "g-counter",
  "pn-counter",
  "kafka",
  "lin-kv",
  "txn-list-append",
  "txn-rw-register",
] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** What workloads are told of the test. */
export interface WorkloadSettings {
  readonly nodeIds: readonly string[];
  readonly clientCount: number;
  readonly latencyMs: number;
  readonly topology: string;
  readonly consistencyModel: ConsistencyModel;
  readonly keyCount: number;
  readonly transactionLengthMax: number;
  readonly writesPerKeyMax: number;
  readonly random: SeededRandom;
}

/** One thread of the test: a place at which one operation after the other is tried. */
export interface Thread {
  readonly index: number;
  /** Its client, which is another one after an operation that ended in doubt, unless the workload keeps it. */
  client: TestClient;
  /** The name in the history, another one after each operation that ended in doubt. */
  process: string;
}

/** What a checker found, as Maelstrom's results are: fields by name. */
export interface WorkloadReport {
  readonly verdict: Verdict;
  /** One sentence for each thing that is wrong, the first ones of many. */
  readonly problems: readonly string[];
  readonly fields: Readonly<Record<string, Json | undefined>>;
}

/** A workload while it runs. `Input` and `Output` are what its history holds. */
export interface Workload<Input, Output> {
  /** How long a client waits for an answer. */
  readonly timeoutMs: number;
  /** Whether a client goes on under its address after an operation that ended in doubt. */
  readonly keepsClient: boolean;
  /** Called for each thread before the first operation. */
  readonly setUp?: (thread: Thread) => Promise<void>;
  /** The next operation of a thread; undefined when it has nothing to do just now. */
  next(thread: Thread): Input | undefined;
  /** Carries it out. */
  run(thread: Thread, input: Input): Promise<OperationOutcome<Output>>;
  /** The operations of a thread after the network is whole again, one after the other, until it returns undefined. */
  nextFinal?(thread: Thread): Input | undefined;
  /** The name under which an operation is counted. */
  nameOf(input: Input): string;
  judge(operations: readonly Operation<Input, Output>[]): WorkloadReport;
}

/** How long a client waits, in most workloads. */
export const timeoutMsDefault = 5000;

/** A workload of unknown types, as the runner sees it. */
export type AnyWorkload = Workload<unknown, unknown>;
