/**
 * Transactions as Maelstrom writes them: lists of small operations on keys, and the same lists with the reads
 * filled in.
 */
import type { Operation } from "../history.ts";
import { examplesMax } from "../verdict.ts";
import type { TransactionGraph } from "./graph.ts";

export type Key = string | number;
export type Value = string | number | boolean;

/** `r` reads: a list of all that was appended, or the last value, or null. `append` adds to a list, `w` replaces. */
export type MicroOperation =
  | readonly ["r", Key, readonly Value[] | Value | null]
  | readonly ["append", Key, Value]
  | readonly ["w", Key, Value];

export type TransactionOperation = Operation<readonly MicroOperation[], readonly MicroOperation[]>;

/** A transaction that may have taken effect: all but those that failed. */
export interface Transaction {
  /** Its number in the graph. */
  readonly index: number;
  readonly operation: TransactionOperation;
  /** What it did. Reads have their results only when it was answered. */
  readonly steps: readonly MicroOperation[];
  readonly isCommitted: boolean;
}

export interface TransactionProblem {
  readonly anomaly: TransactionAnomaly;
  readonly reason: string;
}

/** What can be wrong besides the cycles. */
export const directAnomalies = {
  "malformed-answer": "The answer has other operations than were asked for, or a result of the wrong shape.",
  "invented-read": "A read shows a value that nobody wrote.",
  G1a: "A read shows what a transaction wrote that failed.",
  G1b: "A read shows what a transaction wrote and then wrote over.",
  internal: "A transaction does not see its own writes, or what it has read before.",
  "future-read": "A transaction reads what it writes only later.",
  "lost-update": "Two transactions read the same version of a key, and both wrote the next one.",
  "duplicate-elements": "A list shows the same element twice.",
  "incompatible-order": "Two reads show the same list in two orders.",
  "cyclic-versions": "The versions of a key come before one another in a circle.",
} as const;

export type TransactionAnomaly = keyof typeof directAnomalies;

/** What is wrong: all of it counted, some of it kept. */
export class Problems {
  readonly counts = new Map<TransactionAnomaly, number>();
  readonly list: TransactionProblem[] = [];

  add(anomaly: TransactionAnomaly, reason: string): void {
    const count = (this.counts.get(anomaly) ?? 0) + 1;
    this.counts.set(anomaly, count);
    if (count <= examplesMax) this.list.push({ anomaly, reason });
  }
}

/**
 * Numbers the transactions that may have taken effect. An answer that does not fit its question is a problem by itself;
 * the transaction then counts as one whose outcome is unknown, since nothing that it says can be relied on.
 */
export function transactionsOf(
  operations: readonly TransactionOperation[],
  write: "append" | "w",
  problems: Problems,
): readonly Transaction[] {
  return operations
    .filter(({ outcome }) => outcome.kind !== "failed")
    .map((operation, index) => {
      const { input, outcome } = operation;
      if (outcome.kind !== "ok") return { index, operation, steps: input, isCommitted: false };
      const reason = misfit(input, outcome.output, write);
      if (reason === undefined) return { index, operation, steps: outcome.output, isCommitted: true };
      problems.add("malformed-answer", reason);
      return { index, operation, steps: input, isCommitted: false };
    });
}

function misfit(
  asked: readonly MicroOperation[],
  answer: readonly MicroOperation[],
  write: "append" | "w",
): string | undefined {
  const shown = `${JSON.stringify(asked)} was answered with ${JSON.stringify(answer)}`;
  if (!Array.isArray(answer) || answer.length !== asked.length) return shown;
  for (const [position, step] of asked.entries()) {
    const own = answer[position]!;
    if (!Array.isArray(own) || own.length !== 3) return shown;
    const isSame = own[0] === step[0] && JSON.stringify(own[1]) === JSON.stringify(step[1]);
    if (!isSame) return shown;
    if (step[0] !== "r") {
      if (own[2] !== step[2]) return shown;
    } else if (
      write === "append"
        ? own[2] !== null && !Array.isArray(own[2])
        : typeof own[2] === "object" && own[2] !== null
    ) {
      return shown;
    }
  }
  return undefined;
}

/** A write of one value of a key, and by whom. */
export interface Writer {
  /** Undefined for a transaction that failed. */
  readonly transaction: Transaction | undefined;
  /** Whether the same transaction writes the key no more after it. */
  readonly isFinal: boolean;
}

/** Who wrote each value of each key. Values of one key are all different. */
export function writersOf(
  operations: readonly TransactionOperation[],
  transactions: readonly Transaction[],
): ReadonlyMap<string, Writer> {
  const writers = new Map<string, Writer>();
  const note = (steps: readonly MicroOperation[], transaction: Transaction | undefined): void => {
    const last = new Map<Key, number>();
    for (const [position, [kind, key]] of steps.entries()) if (kind !== "r") last.set(key, position);
    for (const [position, [kind, key, value]] of steps.entries()) {
      if (kind === "r") continue;
      writers.set(versionOf(key, value), { transaction, isFinal: last.get(key) === position });
    }
  };
  for (const { input, outcome } of operations) if (outcome.kind === "failed") note(input, undefined);
  for (const transaction of transactions) note(transaction.steps, transaction);
  return writers;
}

/** A name for one version of one key. */
export function versionOf(key: Key, value: Value | null): string {
  return `${JSON.stringify(key)}=${JSON.stringify(value)}`;
}

/** How a transaction is called in a reason. */
export function nameOf({ operation, steps }: Transaction): string {
  const text = JSON.stringify(steps);
  return `${operation.process} ${text.length > 120 ? `${text.slice(0, 117)}…` : text}`;
}

/** Edges for what everybody could see: the order of each client's own transactions, and that of the clock. */
export function addObservedOrder(graph: TransactionGraph, transactions: readonly Transaction[]): void {
  const last = new Map<string, Transaction>();
  for (const transaction of transactions) {
    const { process } = transaction.operation;
    const before = last.get(process);
    if (before !== undefined)
      graph.add(before.index, transaction.index, "process", `${process} did one after the other`);
    if (transaction.operation.completedAt !== Infinity) last.set(process, transaction);
  }
  // Only the latest of those that had ended need an edge; what came before them follows.
  const events = transactions.flatMap(({ index, operation }) => [
    { at: operation.invokedAt, index, isEnd: false },
    ...(operation.completedAt === Infinity ? [] : [{ at: operation.completedAt, index, isEnd: true }]),
  ]);
  const preceding = new Map<number, readonly number[]>();
  let latest = new Set<number>();
  for (const { index, isEnd } of events.toSorted((one, other) => one.at - other.at)) {
    if (isEnd) {
      latest = new Set([...latest].filter((other) => !preceding.get(index)!.includes(other)));
      latest.add(index);
      continue;
    }
    preceding.set(index, [...latest]);
    for (const other of latest) graph.add(other, index, "realtime", "one had ended when the other began");
  }
}
